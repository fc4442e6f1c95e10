//! One receiver's way out of a fan-out, in two halves.
//!
//! [`Lane`] stands in the fan-out and writes to a duplicate of the receiver's descriptor, on the
//! sender's thread. [`LaneHold`] stays with the receiver: it learns how the lane ended, and dropping
//! it says that the client is gone. Knows nothing of who the receiver is.

use std::future::Future;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::Bell;
use super::chunked::{CHUNK_HEAD_MAX, chunk_head};

/// How a receiver's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As it is: by a length said before, or by the end of the connection.
    Plain,
    /// HTTP/1.1 chunks, ended by the last chunk.
    Chunked,
}

/// How a lane ended, for its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneEnd {
    /// It never started: nothing was written to the client.
    Undone,
    /// Everything was written, the end marker included.
    Whole,
    /// It started and did not come to its end.
    Cut,
}

/// The writing half. Dropped before all is written, it is cut, or undone if it never started.
pub struct Lane {
    way: Way,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<LaneEnd>>,
    framing: Framing,
    /// Written before the first byte of the stream.
    preface: Bytes,
    /// What is being written now.
    piece: Option<Piece>,
    /// How far into the window this lane is.
    at: usize,
    /// The last byte and the end marker are written.
    ended: bool,
    /// A write that took nothing since then, while bytes waited.
    blocked: Option<Instant>,
    /// How long it may take nothing; `None`: for ever.
    stall: Option<Duration>,
}

/// The descriptor, before and after the reactor of the sender's thread knows it.
enum Way {
    Closed(Option<OwnedFd>),
    Open(TcpStream),
}

/// The receiver's half. Dropping it says that the client is gone.
pub struct LaneHold {
    shared: Arc<Shared>,
    end: oneshot::Receiver<LaneEnd>,
}

#[derive(Default)]
struct Shared {
    gone: AtomicBool,
    started: AtomicBool,
    bell: Mutex<Option<Arc<Bell>>>,
}

/// One stretch of output: preface, chunk head, data of the window, tail.
struct Piece {
    /// The head of the chunk, at the end of the array.
    line: [u8; CHUNK_HEAD_MAX],
    line_len: usize,
    data: Range<usize>,
    tail: &'static [u8],
    /// Bytes of all four that are written.
    sent: usize,
    /// The end marker is part of it.
    last: bool,
}

/// A lane that writes to `socket`, a duplicate of the receiver's descriptor (non-blocking).
pub fn lane(socket: OwnedFd) -> (Lane, LaneHold) {
    let shared = Arc::new(Shared::default());
    let (end, ended) = oneshot::channel();
    let hold = LaneHold { shared: shared.clone(), end: ended };
    let lane = Lane {
        way: Way::Closed(Some(socket)),
        shared,
        end: Some(end),
        framing: Framing::Plain,
        preface: Bytes::new(),
        piece: None,
        at: 0,
        ended: false,
        blocked: None,
        stall: None,
    };
    (lane, hold)
}

impl Lane {
    /// From now on `bell` rings when the receiver's half is dropped.
    pub fn hang(&self, bell: Arc<Bell>) {
        *self.shared.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(bell);
        // The client may have gone before the bell was there.
        if self.is_gone() {
            self.shared.ring();
        }
    }

    /// Has the receiver's half said that the client is gone?
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    /// Asks the kernel whether the client is still there: it knows before the watch on the
    /// receiver's thread does.
    pub fn is_there(&self) -> bool {
        let fd = match &self.way {
            Way::Closed(Some(fd)) => fd.as_fd(),
            Way::Closed(None) => return false,
            Way::Open(stream) => stream.as_fd(),
        };
        !self.is_gone() && !is_hung_up(fd)
    }

    /// Starts the lane on this thread: `preface` goes out before the stream. From here on a drop is
    /// a cut. Fails if the descriptor cannot be registered with this thread's reactor.
    pub fn start(
        &mut self,
        preface: Bytes,
        framing: Framing,
        stall: Option<Duration>,
    ) -> io::Result<()> {
        if let Way::Closed(fd) = &mut self.way {
            let fd = fd.take().ok_or(io::ErrorKind::NotConnected)?;
            self.way = Way::Open(TcpStream::from_std(fd.into())?);
        }
        (self.preface, self.framing, self.stall) = (preface, framing, stall);
        self.shared.started.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the preface it was started with, and nothing else: a whole reply instead of a stream.
    pub async fn carry_reply(mut self) {
        if std::future::poll_fn(|cx| self.poll_write(cx, &[], true)).await.is_ok() {
            self.finish();
        }
    }

    /// Writes what is new in `window`, and the end marker if `end`. Ready when all of it is written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        window: &[u8],
        end: bool,
    ) -> Poll<io::Result<()>> {
        while !self.is_even(window.len(), end) {
            let piece = match self.piece.take() {
                Some(piece) => piece,
                None => self.cut_piece(window.len(), end),
            };
            let piece = self.piece.insert(piece);
            let Way::Open(stream) = &self.way else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match piece.write(stream, &self.preface, window) {
                Ok(taken) => self.advance(taken),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(Instant::now);
                    ready!(stream.poll_write_ready(cx))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Everything up to `len` (and the end marker, if `end`) is written.
    pub(super) fn is_even(&self, len: usize, end: bool) -> bool {
        self.at == len && self.preface.is_empty() && (self.ended || !end)
    }

    /// Bytes of the window that it has taken, in whole pieces.
    pub(super) fn taken(&self) -> usize {
        self.at
    }

    /// The window starts anew.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// When this lane has taken nothing for too long, and the limit that says so.
    pub(super) fn stalls_at(&self) -> Option<(Instant, Duration)> {
        let limit = self.stall?;
        self.blocked.map(|since| (since + limit, limit))
    }

    /// The explicit end: everything was written.
    pub(super) fn finish(mut self) {
        if let Some(end) = self.end.take() {
            // The receiver's half may be gone by now; then nobody needs to know.
            let _ = end.send(LaneEnd::Whole);
        }
    }

    /// Has any byte gone out?
    fn has_spoken(&self) -> bool {
        self.preface.is_empty() || self.piece.as_ref().is_some_and(|piece| piece.sent > 0)
    }

    fn cut_piece(&self, len: usize, end: bool) -> Piece {
        let data = self.at..len;
        let mut piece =
            Piece { line: [0; CHUNK_HEAD_MAX], line_len: 0, data, tail: b"", sent: 0, last: end };
        if self.framing == Framing::Chunked {
            let (data, tail): (bool, &'static [u8]) = match (piece.data.is_empty(), end) {
                (true, true) => (false, b"0\r\n\r\n"),
                (true, false) => (false, b""),
                (false, true) => (true, b"\r\n0\r\n\r\n"),
                (false, false) => (true, b"\r\n"),
            };
            piece.tail = tail;
            if data {
                piece.line_len = chunk_head(&mut piece.line, piece.data.len()).len();
            }
        }
        piece
    }

    fn advance(&mut self, taken: usize) {
        self.blocked = None;
        let Some(piece) = &mut self.piece else { return };
        piece.sent += taken;
        if piece.sent == self.preface.len() + piece.len() {
            self.at = piece.data.end;
            self.ended = piece.last;
            self.preface = Bytes::new();
            self.piece = None;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let Some(end) = self.end.take() else { return };
        let started = self.shared.started.load(Ordering::Acquire);
        if let (Way::Open(stream), false) = (&self.way, self.has_spoken()) {
            // A cut answer is clearer than none. Best effort: a full socket takes nothing.
            let _ = rustix::io::write(stream, &self.preface);
        }
        let _ = end.send(if started { LaneEnd::Cut } else { LaneEnd::Undone });
    }
}

impl LaneHold {
    /// Ready with the lane's end, once.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        Pin::new(&mut self.end).poll(cx).map(|end| end.unwrap_or(LaneEnd::Cut))
    }

    /// Has the first byte gone out, or may it have?
    pub fn started(&self) -> bool {
        self.shared.started.load(Ordering::Acquire)
    }
}

impl Drop for LaneHold {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Release);
        self.shared.ring();
    }
}

impl Shared {
    fn ring(&self) {
        if let Some(bell) = &*self.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            bell.ring();
        }
    }
}

/// Has the peer of this socket closed, half-closed or reset it?
pub fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut poll = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Errors and hang-ups are always reported; a failure to ask is found by the next write.
    rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready > 0)
}

impl Piece {
    fn len(&self) -> usize {
        self.line_len + self.data.len() + self.tail.len()
    }

    /// One vectored write of what is left.
    fn write(&self, stream: &TcpStream, preface: &[u8], window: &[u8]) -> io::Result<usize> {
        let parts = [
            preface,
            &self.line[CHUNK_HEAD_MAX - self.line_len..],
            &window[self.data.clone()],
            self.tail,
        ];
        let mut slices = [IoSlice::new(&[]); 4];
        let (mut skip, mut count) = (self.sent, 0);
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
        if count == 0 {
            return Ok(0);
        }
        match stream.try_write_vectored(&slices[..count])? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            taken => Ok(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;
    use std::os::unix::net::UnixStream;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A lane to a descriptor that is never written to.
    fn idle_lane() -> (Lane, LaneHold) {
        lane(UnixStream::pair().unwrap().0.into())
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    async fn end_of(hold: &mut LaneHold) -> LaneEnd {
        poll_fn(|cx| hold.poll_ended(cx)).await
    }

    async fn tcp_lane() -> (Lane, LaneHold, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (lane, hold) = lane(server.into_std().unwrap().into());
        (lane, hold, client)
    }

    #[test]
    fn a_lane_that_never_starts_is_undone() {
        let (lane, mut hold) = idle_lane();
        assert!(!hold.started());
        drop(lane);
        assert_eq!(run(end_of(&mut hold)), LaneEnd::Undone);
    }

    #[test]
    fn a_lane_that_starts_and_does_not_finish_is_cut() {
        run(async {
            let (mut lane, mut hold, mut client) = tcp_lane().await;
            lane.start(Bytes::from_static(b"a head"), Framing::Chunked, None).unwrap();
            assert!(hold.started());
            drop(lane);
            assert_eq!(end_of(&mut hold).await, LaneEnd::Cut);
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            assert_eq!(got, "a head", "a cut answer is clearer than none");
        });
    }

    #[test]
    fn a_reply_is_carried_whole_and_unframed() {
        run(async {
            let (mut lane, mut hold, mut client) = tcp_lane().await;
            lane.start(Bytes::from_static(b"410 and why"), Framing::Plain, None).unwrap();
            lane.carry_reply().await;
            assert_eq!(end_of(&mut hold).await, LaneEnd::Whole);
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            assert_eq!(got, "410 and why");
        });
    }

    #[test]
    fn who_leaves_is_heard_whether_the_bell_was_there_before_or_not() {
        for early in [true, false] {
            let (lane, hold) = idle_lane();
            let bell = Arc::new(Bell::default());
            if early {
                lane.hang(bell.clone());
            }
            assert!(!lane.is_gone());
            drop(hold);
            assert!(lane.is_gone());
            if !early {
                lane.hang(bell.clone());
            }
            run(poll_fn(|cx| bell.poll_heard(cx)));
        }
    }

    #[test]
    fn a_lane_starts_once() {
        run(async {
            let (mut lane, _hold, _client) = tcp_lane().await;
            lane.way = Way::Closed(None);
            let error = lane.start(Bytes::new(), Framing::Plain, None).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        });
    }
}
