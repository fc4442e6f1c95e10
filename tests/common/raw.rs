//! A raw HTTP/1.x client: sends exactly the bytes it is given and tells apart the three ways in
//! which an answer can end. Knows no more of the answers than `answer` tells it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::answer::{Decoder, End, Head, Step, find};
use super::{PATIENCE, like};

/// One connection.
pub struct Raw {
    stream: TcpStream,
    /// Bytes from the socket that are not parsed yet.
    inbox: Vec<u8>,
    /// Body bytes that are parsed but not handed out yet.
    decoded: Vec<u8>,
    decoder: Decoder,
    headless: bool,
}

impl Raw {
    /// Connects, with TCP_NODELAY so that each `send` is a segment of its own.
    pub fn connect(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts"))
    }

    /// Connects, if somebody accepts.
    pub fn try_connect(address: SocketAddr) -> io::Result<Raw> {
        TcpStream::connect_timeout(&address, PATIENCE).map(Raw::over)
    }

    /// Connects from the given local address.
    pub fn connect_from(local: IpAddr, address: SocketAddr) -> Raw {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(local, 0).into()).unwrap();
        socket.connect(&address.into()).expect("the server accepts");
        Raw::over(socket.into())
    }

    /// Connects with the smallest buffers, so that not reading is noticed early on either side.
    pub fn connect_narrow(address: SocketAddr) -> Raw {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.connect(&address.into()).expect("the server accepts");
        Raw::over(socket.into())
    }

    fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (inbox, decoded) = (Vec::new(), Vec::new());
        Raw { stream, inbox, decoded, decoder: Decoder::Done, headless: false }
    }

    /// Says whether the next answer has no body whatever its headers say.
    pub fn answers_head(&mut self, headless: bool) {
        self.headless = headless;
    }

    /// Sends `bytes`; fails if the connection is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes bytes");
    }

    /// Sends `bytes`.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends one chunk of a chunked body, in one write.
    #[track_caller]
    pub fn chunk(&mut self, data: &[u8]) {
        self.try_chunk(data).expect("the connection takes bytes");
    }

    /// Sends one chunk of a chunked body, in one write.
    pub fn try_chunk(&mut self, data: &[u8]) -> io::Result<()> {
        let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(b"\r\n");
        self.try_send(bytes)
    }

    /// Sends the last chunk.
    #[track_caller]
    pub fn finish(&mut self) {
        self.send(b"0\r\n\r\n");
    }

    /// Closes the sending direction.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// The same, if the other side has not closed it.
    pub fn half_close_if_open(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes the connection with RST.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// A second handle on the same socket, for another thread to write to.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// The port of this side.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// Bytes of the body that have arrived and were not handed out; of a body that is not chunked.
    pub fn unread(&self) -> u64 {
        let kernel = rustix::io::ioctl_fionread(&self.stream).expect("the connection is open");
        kernel + (self.inbox.len() + self.decoded.len()) as u64
    }

    /// One read from the socket: what arrived in one segment, unless more came meanwhile.
    #[track_caller]
    pub fn segment(&mut self) -> Vec<u8> {
        self.fill(PATIENCE).expect("something arrives");
        std::mem::take(&mut self.inbox)
    }

    /// The head of the next answer.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|end| panic!("no answer but {end:?}"))
    }

    /// The head of the next answer, or how the connection ended without one.
    #[track_caller]
    pub fn try_head(&mut self) -> Result<Head, End> {
        self.try_head_within(PATIENCE)
    }

    /// The same with a deadline of its own.
    #[track_caller]
    pub fn try_head_within(&mut self, limit: Duration) -> Result<Head, End> {
        let deadline = Instant::now() + limit;
        let length = loop {
            if let Some(at) = find(&self.inbox, b"\r\n\r\n") {
                break at;
            }
            self.fill(deadline.saturating_duration_since(Instant::now()))?;
        };
        let bytes: Vec<u8> = self.inbox.drain(..length + 4).collect();
        let head = Head::parse(std::str::from_utf8(&bytes[..length]).expect("heads are UTF-8"));
        self.decoder = Decoder::for_answer(&head, self.headless);
        Ok(head)
    }

    /// The next `count` bytes of the body.
    #[track_caller]
    pub fn body(&mut self, count: usize) -> Vec<u8> {
        while self.decoded.len() < count {
            let piece = self.piece(PATIENCE);
            let piece = piece.unwrap_or_else(|end| panic!("{end:?} before {count} bytes"));
            self.decoded.extend_from_slice(&piece);
        }
        let rest = self.decoded.split_off(count);
        std::mem::replace(&mut self.decoded, rest)
    }

    /// All that is left of the body, and how it ended.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        self.body_within(PATIENCE)
    }

    /// All that is left of the body when pieces may be `limit` apart, and how it ended.
    #[track_caller]
    pub fn body_within(&mut self, limit: Duration) -> (Vec<u8>, End) {
        let mut bytes = std::mem::take(&mut self.decoded);
        loop {
            match self.piece(limit) {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(end) => return (bytes, end),
            }
        }
    }

    /// Hands all that is left of the body to `take`, and says how it ended.
    #[track_caller]
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> End {
        take(&std::mem::take(&mut self.decoded));
        loop {
            match self.piece(PATIENCE) {
                Ok(piece) => take(&piece),
                Err(end) => return end,
            }
        }
    }

    /// The next line of the body, or how the body ended.
    #[track_caller]
    pub fn try_line(&mut self, limit: Duration) -> Result<String, End> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = find(&self.decoded, b"\n") {
                let line: Vec<u8> = self.decoded.drain(..=at).collect();
                return Ok(String::from_utf8(line[..at].to_vec()).expect("lines are UTF-8"));
            }
            let piece = self.piece(deadline.saturating_duration_since(Instant::now()))?;
            self.decoded.extend_from_slice(&piece);
        }
    }

    /// The next line of the body.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.try_line(PATIENCE).unwrap_or_else(|end| panic!("{end:?} instead of a line"))
    }

    /// Fails unless the next line is `wanted` (`*` stands for a number).
    #[track_caller]
    pub fn expect_line(&mut self, wanted: &str) {
        let line = self.line();
        assert!(like(wanted, &line), "the line is {line:?} instead of {wanted:?}");
    }

    /// Reads lines until `wanted`.
    #[track_caller]
    pub fn line_until(&mut self, wanted: &str) {
        let mut line = String::new();
        while !like(wanted, &line) {
            line = self.line();
            assert!(!line.starts_with("[ERROR]"), "{line:?} instead of {wanted:?}");
        }
    }

    /// All lines that are left, and how the body ended.
    #[track_caller]
    pub fn lines(&mut self) -> (Vec<String>, End) {
        let (bytes, end) = self.rest();
        let text = String::from_utf8(bytes).expect("lines are UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
        (text.lines().map(str::to_owned).collect(), end)
    }

    /// Fails unless nothing arrives for `time`.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        assert!(self.is_silent(time), "silence was expected");
    }

    /// Whether nothing arrives for `time`; the line end behind a chunk is nothing.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.decoder.step(&mut self.inbox) {
                Step::Data(data) => self.decoded.extend(data),
                Step::Complete | Step::Starved => {}
            }
            if !self.inbox.is_empty() || !self.decoded.is_empty() {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece) {
                Err(error) if timed_out(&error) => return true,
                Ok(0) | Err(_) => return false,
                Ok(count) => self.inbox.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Fails unless the connection ends without another byte.
    #[track_caller]
    pub fn expect_no_more(&mut self) {
        assert!(self.inbox.is_empty(), "{:?}", String::from_utf8_lossy(&self.inbox));
        assert_eq!(self.fill(PATIENCE), Err(End::Short));
    }

    /// How the connection ends; what arrives before is dropped.
    #[track_caller]
    pub fn closed_within(&mut self, limit: Duration) -> End {
        let deadline = Instant::now() + limit;
        loop {
            self.inbox.clear();
            if let Err(end) = self.fill(deadline.saturating_duration_since(Instant::now())) {
                return if end == End::Reset { end } else { End::Clean };
            }
        }
    }

    /// Whether something (also an end) can be read now.
    pub fn is_answered(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let answered = !matches!(self.stream.peek(&mut [0]), Err(error) if timed_out(&error));
        self.stream.set_nonblocking(false).unwrap();
        answered
    }

    /// Waits for the next answer and says whether it is an error; nothing of it is taken.
    #[track_caller]
    pub fn is_refused(&mut self) -> bool {
        while find(&self.inbox, b"\r\n").is_none() {
            self.fill(PATIENCE).unwrap_or_else(|end| panic!("no answer but {end:?}"));
        }
        !self.inbox.starts_with(b"HTTP/1.1 2")
    }

    /// The next decoded piece of the body, or its end.
    #[track_caller]
    fn piece(&mut self, limit: Duration) -> Result<Vec<u8>, End> {
        let deadline = Instant::now() + limit;
        loop {
            match self.decoder.step(&mut self.inbox) {
                Step::Data(data) => return Ok(data),
                Step::Complete => return Err(End::Clean),
                Step::Starved => {}
            }
            match self.fill(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(End::Reset) => return Err(End::Reset),
                Err(_) => return Err(self.decoder.at_close()),
            }
        }
    }

    /// Reads once; `Err` is the end. Panics when nothing arrives for `limit`.
    #[track_caller]
    fn fill(&mut self, limit: Duration) -> Result<(), End> {
        let limit = limit.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(End::Short),
            Ok(count) => {
                self.inbox.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(End::Reset),
            Err(error) if timed_out(&error) => panic!("nothing arrived in time"),
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

/// Waits until one of `all` got an answer or an end, and says which.
pub fn first_answered(all: &mut [Raw], limit: Duration) -> Option<usize> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(at) = all.iter_mut().position(Raw::is_answered) {
            return Some(at);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
