//! One large body for many receivers. Knows nothing of TLS.

use std::io::{ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Client, Meeting, Target};
use crate::pattern::Pattern;
use crate::usage::Usage;

/// Data of one write of the sender; chunks are as large as programs make them that copy.
const WRITE: usize = 256 << 10;
const CHUNK: usize = 64 << 10;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    /// Receivers, 1 to 256.
    pub receivers: usize,
    /// Bytes of the body.
    pub size: u64,
    /// In chunks; else with a Content-Length.
    pub chunked: bool,
    /// Every receiver compares every byte. Costs more than the server does.
    pub verify: bool,
}

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From the first byte written to the last one read by anybody.
    pub wall: Duration,
    /// CPU time of the server, from before the connections to after the sender's answer.
    pub cpu: Duration,
    /// Bytes that arrived, at all receivers together.
    pub delivered: u64,
}

impl Took {
    /// Server CPU seconds for each 10^9 bytes delivered.
    pub fn cpu_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.delivered as f64 / 1e9)
    }

    /// 10^9 bytes delivered in a second, all receivers together.
    pub fn gb_per_second(&self) -> f64 {
        self.delivered as f64 / 1e9 / self.wall.as_secs_f64()
    }
}

/// Carries it once. `before_last`, if given, is called when everybody has all but the last byte; the
/// sender holds that one back so long.
///
/// # Errors
/// The server refuses, cuts, hangs, or delivers a wrong byte or a wrong number of them.
pub fn carry(
    target: &Target,
    bulk: Bulk,
    pattern: &Pattern,
    before_last: Option<&mut dyn FnMut() -> Result<()>>,
) -> Result<Took> {
    let before = Usage::of(&target.pids);
    let length = (!bulk.chunked).then_some(bulk.size);
    let meeting = Meeting::open(target, bulk.receivers, length)?;
    let mut run = Run::new(meeting, bulk, pattern);
    if let Some(call) = before_last {
        run.up_to(bulk.size - 1)?;
        call()?;
    }
    run.up_to(bulk.size)?;
    let wall = run.begun.elapsed();
    run.end()?;
    let delivered = run.meeting.receivers.iter().map(|receiver| receiver.answer.body).sum();
    Ok(Took { wall, cpu: Usage::of(&target.pids).since(&before), delivered })
}

struct Run<'a> {
    meeting: Meeting,
    bulk: Bulk,
    pattern: &'a Pattern,
    buffer: Vec<u8>,
    begun: Instant,
    out: Outgoing,
}

/// What the sender writes: one chunk after the other, or plain pieces.
#[derive(Default)]
struct Outgoing {
    /// Bytes of the body that are written, with their framing.
    sent: u64,
    /// The head of the piece that is being written, its data, and what ends it.
    head: String,
    data: usize,
    tail: &'static [u8],
    /// How much of all three is written.
    done: usize,
}

impl Outgoing {
    fn is_between_pieces(&self) -> bool {
        self.done == self.head.len() + self.data + self.tail.len()
    }

    /// Begins the next piece, of so many bytes; the end of the body is written with its last one.
    fn next(&mut self, data: usize, bulk: &Bulk) {
        let last = self.sent + data as u64 == bulk.size;
        let head = if bulk.chunked { format!("{data:x}\r\n") } else { String::new() };
        let tail: &[u8] = match (bulk.chunked, last) {
            (false, _) => b"",
            (true, false) => b"\r\n",
            (true, true) => b"\r\n0\r\n\r\n",
        };
        *self = Self { sent: self.sent, head, data, tail, done: 0 };
    }
}

impl<'a> Run<'a> {
    fn new(meeting: Meeting, bulk: Bulk, pattern: &'a Pattern) -> Self {
        let (begun, out) = (Instant::now(), Outgoing::default());
        Self { meeting, bulk, pattern, buffer: Client::buffer(), begun, out }
    }

    /// Goes on until every receiver has so many bytes; with the last one, until every answer has ended.
    fn up_to(&mut self, goal: u64) -> Result<()> {
        let sender = self.meeting.sender_id();
        self.meeting.poller.watch_writes(&self.meeting.sender.socket, sender, true)?;
        let mut ready = Vec::new();
        while !self.is_reached(goal) {
            self.meeting.check_time()?;
            self.meeting.poller.wait(Duration::from_secs(1), &mut ready)?;
            for socket in &ready {
                if socket.id != sender {
                    self.receive(socket.id as usize)?;
                    continue;
                }
                if socket.read {
                    self.hear()?;
                }
                if socket.write && !self.meeting.sender.answer.is_done() {
                    self.send(goal)?;
                }
            }
        }
        Ok(())
    }

    fn is_reached(&self, goal: u64) -> bool {
        let last = goal == self.bulk.size;
        self.meeting
            .receivers
            .iter()
            .all(|receiver| receiver.answer.body == goal && (receiver.answer.is_done() || !last))
    }

    fn receive(&mut self, at: usize) -> Result<()> {
        let (pattern, mut wrong) = (self.pattern, None);
        let receiver = &mut self.meeting.receivers[at];
        let (skip, verify) = (!self.bulk.verify, self.bulk.verify);
        receiver.read(&mut self.buffer, skip, &mut |at, bytes| {
            if verify && wrong.is_none() {
                wrong = pattern.first_wrong(at, bytes);
            }
        })?;
        if let Some(wrong) = wrong {
            bail!("wrong byte at {wrong} of receiver {at}");
        }
        if receiver.answer.is_done() {
            let (got, size) = (receiver.answer.body, self.bulk.size);
            ensure!(got == size, "receiver {at} got {got} bytes of {size}");
            self.meeting.poller.remove(&receiver.socket)?;
        }
        Ok(())
    }

    /// The sender's answer may come while it writes.
    fn hear(&mut self) -> Result<()> {
        let sender = &mut self.meeting.sender;
        sender.read(&mut self.buffer, false, &mut |_, _| {})?;
        if sender.answer.is_done() {
            self.meeting.poller.remove(&sender.socket)?;
            ensure!(self.out.sent == self.bulk.size, "an answer before the end of the body");
        }
        Ok(())
    }

    /// Writes once, up to `goal` bytes of the body.
    fn send(&mut self, goal: u64) -> Result<()> {
        let socket = &self.meeting.sender.socket;
        if self.out.is_between_pieces() {
            if self.out.sent == goal {
                let id = self.meeting.sender_id();
                return self.meeting.poller.watch_writes(socket, id, false);
            }
            let most = if self.bulk.chunked { CHUNK } else { WRITE };
            let data = usize::try_from(goal - self.out.sent).unwrap_or(usize::MAX).min(most);
            self.out.next(data, &self.bulk);
        }
        let out = &mut self.out;
        let data = self.pattern.at(out.sent, out.data);
        let mut parts =
            [IoSlice::new(out.head.as_bytes()), IoSlice::new(data), IoSlice::new(out.tail)];
        let mut parts = &mut parts[..];
        IoSlice::advance_slices(&mut parts, out.done);
        match (&mut &*socket).write_vectored(parts) {
            Ok(written) => out.done += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if out.is_between_pieces() {
            out.sent += out.data as u64;
        }
        Ok(())
    }

    /// Waits for the end of the sender's answer.
    fn end(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        let id = self.meeting.sender_id();
        while !self.meeting.sender.answer.is_done() {
            self.meeting.check_time()?;
            self.meeting.poller.watch_writes(&self.meeting.sender.socket, id, false)?;
            self.meeting.poller.wait(Duration::from_secs(1), &mut ready)?;
            if ready.iter().any(|socket| socket.read) {
                self.hear()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::limit::{self, Mode};

    const LOAD: Bulk = Bulk { receivers: 3, size: 3_000_001, chunked: false, verify: true };

    fn carried(target: &Target, bulk: Bulk) -> Result<Took> {
        carry(target, bulk, &Pattern::new(), None)
    }

    /// A relay that is served by a thread of this process for as long as it runs.
    fn relay(serve: impl FnOnce(TcpListener) + Send + 'static) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener));
        Target::new("relay", address, vec![std::process::id()])
    }

    #[test]
    fn both_limits_deliver_every_byte() {
        for mode in [Mode::Splice { pipe: 64 << 10 }, Mode::Copy { block: 100_000 }] {
            let relay = relay(move |listener| limit::serve(&listener, &mode).unwrap());
            for (receivers, verify) in [(3, true), (3, false), (1, true)] {
                let took = carried(&relay, Bulk { receivers, verify, ..LOAD }).unwrap();
                assert_eq!(took.delivered, LOAD.size * receivers as u64);
                assert!(took.wall > Duration::ZERO);
            }
            let mut had_most = false;
            let mut asked = || {
                had_most = true;
                Ok(())
            };
            carry(&relay, LOAD, &Pattern::new(), Some(&mut asked)).unwrap();
            assert!(had_most);
        }
    }

    /// A relay to one receiver that does something to the bytes.
    fn liar(lie: impl Fn(&mut Vec<u8>) + Send + 'static) -> Target {
        relay(move |listener| {
            let mut receiver = head(listener.accept().unwrap().0);
            let mut sender = head(listener.accept().unwrap().0);
            let mut body = vec![0; LOAD.size as usize];
            sender.read_exact(&mut body).unwrap();
            lie(&mut body);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            // The driver may have seen enough before the end.
            let _ = receiver.write_all(head.as_bytes()).and_then(|()| receiver.write_all(&body));
            let _ = sender.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            let _ = receiver.read(&mut [0]);
        })
    }

    fn head(mut socket: TcpStream) -> TcpStream {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        socket
    }

    fn said(lie: impl Fn(&mut Vec<u8>) + Send + 'static) -> String {
        match carried(&liar(lie), Bulk { receivers: 1, ..LOAD }) {
            Ok(_) => "all is well".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_byte_a_missing_one_and_a_block_in_the_wrong_place_are_seen() {
        assert_eq!(said(|_| {}), "all is well");
        assert_eq!(said(|body| body[2_345_678] ^= 0x20), "wrong byte at 2345678 of receiver 0");
        assert_eq!(
            said(|body| body.truncate(3_000_000)),
            "receiver 0 got 3000000 bytes of 3000001"
        );
        let swap = |body: &mut Vec<u8>| body[65_536..196_608].rotate_left(65_536);
        assert_eq!(said(swap), "wrong byte at 65536 of receiver 0");
    }
}
