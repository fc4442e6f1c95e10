//! The status stream of an HTTP/1.1 sender: lines as chunks, written when the socket takes them.
//! The data path never waits for it (spec §9).

use tokio::time::Instant;

use crate::flow::chunked::{CHUNK_HEAD_MAX, LAST_CHUNK, chunk_head};
use crate::front::telling::QUEUE_MAX;
use crate::front::transport::Transport;

/// Most zeros before one chunk size, which may have 16 digits; lines need three.
const PROBES_MAX: u8 = 12;

/// What is on its way to one sender.
pub struct StatusStream<'a> {
    io: &'a Transport,
    queue: Vec<u8>,
    /// Something was written that may not be with the kernel yet.
    unflushed: bool,
    /// Nothing is written before this.
    hold: Option<Instant>,
    /// Zeros written since the last chunk.
    probes: u8,
    /// The client takes nothing any more: all is dropped.
    broken: bool,
}

impl<'a> StatusStream<'a> {
    /// Nothing to say yet.
    pub fn new(io: &'a Transport) -> Self {
        let queue = Vec::new();
        Self { io, queue, unflushed: false, hold: None, probes: 0, broken: false }
    }

    /// Writes nothing before `until`.
    pub fn hold(&mut self, until: Option<Instant>) {
        self.hold = until;
    }

    /// Is it too early for the final head?
    pub fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Queues the head of the answer.
    pub fn head(&mut self, head: &[u8]) {
        self.queue.extend_from_slice(head);
    }

    /// Queues one line as one chunk. A line that need not be seen is dropped when the queue is full.
    pub fn line(&mut self, line: &str, must: bool) {
        if self.broken || (!must && self.queue.len() >= QUEUE_MAX) {
            return;
        }
        self.probes = 0;
        let mut size = [0; CHUNK_HEAD_MAX];
        self.queue.extend_from_slice(chunk_head(&mut size, line.len()));
        self.queue.extend_from_slice(line.as_bytes());
        self.queue.extend_from_slice(b"\r\n");
    }

    /// Writes a byte that says nothing: a leading zero of the next chunk size. A host whose program
    /// was killed answers it with a reset, even while it holds unsent body and so sends no FIN.
    pub fn probe(&mut self) {
        if self.queue.is_empty() && self.hold.is_none() && self.probes < PROBES_MAX {
            self.probes += 1;
            self.queue.push(b'0');
        }
    }

    /// Queues the clean end.
    pub fn end(&mut self) {
        self.queue.extend_from_slice(LAST_CHUNK);
    }

    /// Is there anything to write?
    pub fn is_pending(&self) -> bool {
        (self.unflushed || !self.queue.is_empty()) && !self.broken
    }

    /// The client could not be written to.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes all that is queued, as the socket takes it. Cancel-safe.
    pub async fn flush(&mut self) {
        if let Some(until) = self.hold {
            tokio::time::sleep_until(until).await;
            self.hold = None;
        }
        while !self.queue.is_empty() && !self.broken {
            match std::future::poll_fn(|cx| self.io.poll_write(cx, &self.queue)).await {
                Ok(n) if n > 0 => drop(self.queue.drain(..n)),
                Ok(_) | Err(_) => self.broken = true,
            }
            self.unflushed = true;
        }
        self.queue = Vec::new();
        self.broken |= self.io.flush().await.is_err();
        self.unflushed = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::front::transport::Socket;

    /// What a client gets of the stream that `say` makes.
    fn said(say: impl AsyncFnOnce(&mut StatusStream<'_>)) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (io, _) = listener.accept().await.unwrap();
            let io = Transport::plain(Socket::new(io));
            let mut status = StatusStream::new(&io);
            say(&mut status).await;
            status.flush().await;
            drop(io);
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            got
        })
    }

    #[test]
    fn each_line_is_a_chunk() {
        let got = said(async |status| {
            status.head(b"HEAD ");
            status.line("[INFO] one\n", false);
            status.line("[INFO] two\n", true);
            status.end();
        });
        assert_eq!(got, "HEAD b\r\n[INFO] one\n\r\nb\r\n[INFO] two\n\r\n0\r\n\r\n");
    }

    #[test]
    fn a_full_queue_keeps_what_must_be_seen() {
        let got = said(async |status| {
            for _ in 0..10_000 {
                status.line("[INFO] again\n", false);
            }
            assert!(status.queue.len() < QUEUE_MAX + 32);
            status.line("[INFO] Transfer complete.\n", true);
        });
        assert!(got.ends_with("1a\r\n[INFO] Transfer complete.\n\r\n"));
    }

    #[test]
    fn a_probe_is_part_of_the_next_chunk_size() {
        let got = said(async |status| {
            for _ in 0..100 {
                status.probe();
                status.flush().await;
            }
            status.line("[INFO] x\n", true);
            status.flush().await;
            status.probe();
            status.flush().await;
            status.end();
        });
        let zeros = "0".repeat(PROBES_MAX.into());
        assert_eq!(got, format!("{zeros}9\r\n[INFO] x\n\r\n00\r\n\r\n"));
        let size = got.split("\r\n").next().unwrap_or_default();
        assert!(size.len() <= 16 && u64::from_str_radix(size, 16) == Ok(9));
    }

    #[test]
    fn nothing_is_written_while_it_is_held() {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let (io, _) = listener.accept().await.unwrap();
                let io = Transport::plain(Socket::new(io));
                let (mut status, start) = (StatusStream::new(&io), Instant::now());
                status.hold(Some(start + Duration::from_millis(50)));
                status.line("[INFO] x\n", true);
                status.probe();
                status.flush().await;
                assert!(start.elapsed() >= Duration::from_millis(50) && !status.is_pending());
            });
    }
}
