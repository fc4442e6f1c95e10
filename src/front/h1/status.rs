//! The status stream of an HTTP/1.1 sender: lines as chunks, written when the socket takes them.
//! The data path never waits for it (spec §9).

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::flow::chunked::{CHUNK_HEAD_MAX, LAST_CHUNK, chunk_head};

/// Lines that wait for a client that does not read (spec §9); beyond it only those go in that must.
const QUEUE_MAX: usize = 16 << 10;

/// Most zeros before one chunk size, which may have 16 digits; lines need three.
const PROBES_MAX: u8 = 12;

/// What is on its way to one sender.
pub struct StatusStream<'a> {
    io: &'a TcpStream,
    queue: Vec<u8>,
    /// Nothing is written before this.
    hold: Option<Instant>,
    /// Zeros written since the last chunk.
    probes: u8,
    /// The client takes nothing any more: all is dropped.
    broken: bool,
}

impl<'a> StatusStream<'a> {
    /// Nothing to say yet.
    pub fn new(io: &'a TcpStream) -> Self {
        Self { io, queue: Vec::new(), hold: None, probes: 0, broken: false }
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
        !self.queue.is_empty() && !self.broken
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
        while self.is_pending() {
            if self.io.writable().await.is_err() {
                self.broken = true;
            }
            match self.io.try_write(&self.queue) {
                Ok(n) if n > 0 => drop(self.queue.drain(..n)),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => self.broken = true,
            }
        }
        self.queue = Vec::new();
    }
}
