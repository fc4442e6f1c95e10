//! One receiver's way out of a fan-out, in two halves.
//!
//! [`Lane`] stands in the fan-out and writes on the sender's thread, to a duplicate of the receiver's
//! descriptor or into a duct. [`LaneHold`] stays with the receiver: it learns how the lane ended, and
//! dropping it says that the client is gone. A lane may stand for a crowd of receivers, of whom its
//! hold reports. Knows nothing of who the receivers are.

mod crowd;
mod piece;
mod way;

use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Bell;
use super::store::Shown;
use crowd::Crowd;
pub use crowd::{Loss, Report};
pub use piece::Framing;
use piece::{Next, Piece};
pub use way::{Way, is_hung_up};

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
    /// Receivers that it stands for.
    receivers: u16,
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
    /// Only of a lane that stands for several.
    crowd: Option<Mutex<Crowd>>,
}

/// A lane that goes `way`, to one receiver.
pub fn lane(way: Way) -> (Lane, LaneHold) {
    build(way, 1, Shared::default())
}

/// A lane that goes `way`, to where so many receivers are. It is whole only when its hold has
/// reported what became of each of them.
pub fn crowd(way: Way, receivers: u16) -> (Lane, LaneHold) {
    let crowd = Some(Mutex::new(Crowd::new(receivers)));
    build(way, receivers, Shared { crowd, ..Shared::default() })
}

fn build(way: Way, receivers: u16, shared: Shared) -> (Lane, LaneHold) {
    let shared = Arc::new(shared);
    let (end, ended) = oneshot::channel();
    let hold = LaneHold { shared: shared.clone(), end: ended };
    let lane = Lane {
        way,
        shared,
        end: Some(end),
        framing: Framing::Plain,
        preface: Bytes::new(),
        piece: None,
        at: 0,
        ended: false,
        blocked: None,
        stall: None,
        receivers,
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

    /// Receivers that it stands for and that are not known to be lost.
    pub fn receivers(&self) -> u16 {
        self.receivers
    }

    /// Does it stand for a crowd, of which its hold reports?
    pub fn is_crowd(&self) -> bool {
        self.shared.crowd.is_some()
    }

    /// The next receiver that is lost, each said once. To be asked when the bell rings.
    pub fn next_loss(&mut self) -> Option<Loss> {
        let gone = self.is_gone();
        let mut crowd = self.shared.crowd();
        let reported = crowd.as_mut().and_then(|crowd| crowd.next_loss());
        // Whoever says so before the end was written does not know what it says.
        let settled = self.ended && crowd.is_some_and(|crowd| crowd.is_settled());
        let rest = (gone && !settled && self.receivers > 0).then_some(Loss::Left);
        let loss = reported.or(rest)?;
        self.receivers -= 1;
        Some(loss)
    }

    /// Once all is written: is it known what became of everybody behind it?
    pub(super) fn is_settled(&self) -> bool {
        self.shared.crowd().is_none_or(|crowd| crowd.is_settled())
    }

    /// Asks the way itself whether the client is still there: the kernel knows before the watch on
    /// the receiver's thread does.
    pub fn is_there(&self) -> bool {
        !self.is_gone() && self.way.is_there()
    }

    /// Is it written to a descriptor, on this thread?
    pub(super) fn is_socket(&self) -> bool {
        self.way.is_socket()
    }

    /// Starts the lane on this thread: `preface` goes out before the stream. From here on a drop is
    /// a cut. Fails if the way cannot be opened on this thread.
    pub fn start(
        &mut self,
        preface: Bytes,
        framing: Framing,
        stall: Option<Duration>,
    ) -> io::Result<()> {
        self.way.open()?;
        (self.preface, self.framing, self.stall) = (preface, framing, stall);
        self.shared.started.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the preface it was started with, and nothing else: a whole reply instead of a stream.
    pub async fn carry_reply(mut self) {
        if std::future::poll_fn(|cx| self.poll_write(cx, &mut Shown::Memory(&[]), true))
            .await
            .is_ok()
        {
            self.finish();
        }
    }

    /// Writes what is new of what is `shown`, and the end marker if `end`. Ready when all of it is
    /// written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        shown: &mut Shown<'_>,
        end: bool,
    ) -> Poll<io::Result<()>> {
        while !self.is_even(shown.len(), end) {
            let taken = ready!(self.poll_piece(cx, shown, end))?;
            self.advance(taken);
        }
        if end {
            let finished = self.way.poll_finish(cx);
            if finished.is_pending() {
                self.blocked.get_or_insert_with(Instant::now);
            }
            return finished;
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
        let (limit, blocked) = (self.stall?, self.blocked?);
        // What left a duct since then has moved, though the duct may be full again.
        let since = self.way.taken().map_or(blocked, |taken| taken.max(blocked));
        Some((since + limit, limit))
    }

    /// The explicit end: everything was written.
    pub(super) fn finish(mut self) {
        if let Some(end) = self.end.take() {
            // The receiver's half may be gone by now; then nobody needs to know.
            let _ = end.send(LaneEnd::Whole);
        }
    }

    /// One write of what is left of the current piece, or of a new one.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        shown: &mut Shown<'_>,
        end: bool,
    ) -> Poll<io::Result<usize>> {
        let (framing, new) = (self.framing, self.at..shown.len());
        let piece = self.piece.get_or_insert_with(|| Piece::new(framing, new, end));
        let written = match shown {
            Shown::Memory(window) => match piece.left(&self.preface, window) {
                (0, _) => Poll::Ready(Ok(0)),
                (count, parts) => self.way.poll_write(cx, &parts[..count], piece.last),
            },
            Shown::Kernel { hub, only, .. } => match piece.next(&self.preface) {
                None => Poll::Ready(Ok(0)),
                Some((Next::Text(text), more)) => self.way.poll_send(cx, text, more),
                Some((Next::Data(data), more)) => {
                    let mut send =
                        |socket: BorrowedFd<'_>| hub.send(socket, data.clone(), more, *only);
                    self.way.poll_out(cx, &mut send)
                }
            },
        };
        if written.is_pending() {
            self.blocked.get_or_insert_with(Instant::now);
        }
        written
    }

    /// Has any byte gone out?
    fn has_spoken(&self) -> bool {
        self.preface.is_empty() || self.piece.as_ref().is_some_and(|piece| piece.sent > 0)
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
        if started && !self.has_spoken() {
            // A cut answer is clearer than none.
            self.way.write_now(&self.preface);
        }
        let _ = end.send(if started { LaneEnd::Cut } else { LaneEnd::Undone });
    }
}

impl LaneHold {
    /// Ready with the lane's end, once.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        Pin::new(&mut self.end).poll(cx).map(|end| end.unwrap_or(LaneEnd::Cut))
    }

    /// Tells of the receivers behind a lane that stands for several; false if that cannot be true.
    pub fn report(&self, report: Report) -> bool {
        let taken = self.shared.crowd().is_some_and(|mut crowd| crowd.report(report));
        self.shared.ring();
        taken
    }

    /// The client is to get no more: the lane is dropped as if its client were gone, and its end comes.
    pub fn give_up(&self) {
        self.shared.gone.store(true, Ordering::Release);
        self.shared.ring();
    }

    /// Has the first byte gone out, or may it have?
    pub fn started(&self) -> bool {
        self.shared.started.load(Ordering::Acquire)
    }
}

impl Drop for LaneHold {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Shared {
    fn crowd(&self) -> Option<MutexGuard<'_, Crowd>> {
        let crowd = self.crowd.as_ref()?;
        Some(crowd.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self) {
        if let Some(bell) = &*self.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;
    use std::os::unix::net::UnixStream;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::flow::duct::{DuctOut, Taken, duct};

    /// A lane to a descriptor that is never written to.
    fn idle_lane() -> (Lane, LaneHold) {
        lane(Way::socket(UnixStream::pair().unwrap().0.into()))
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
        let (lane, hold) = lane(Way::socket(server.into_std().unwrap().into()));
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

    fn poll(lane: &mut Lane, window: &[u8], end: bool) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        lane.poll_write(&mut cx, &mut Shown::Memory(window), end)
    }

    fn take(outlet: &mut DuctOut) -> Option<Taken> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match outlet.poll_take(&mut cx, usize::MAX) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_lane_into_a_duct_is_whole_when_all_is_delivered() {
        let (inlet, mut outlet) = duct();
        let (mut lane, mut hold) = lane(Way::duct(inlet));
        lane.start(Bytes::from_static(b"head "), Framing::Chunked, None).unwrap();
        assert!(poll(&mut lane, b"ab", false).is_ready());
        assert_eq!(take(&mut outlet), Some(Taken::Bytes("head 2\r\nab\r\n".into())));
        assert!(take(&mut outlet).is_none());
        assert!(poll(&mut lane, b"ab", true).is_pending(), "written is not delivered");
        assert_eq!(take(&mut outlet), Some(Taken::Bytes("0\r\n\r\n".into())));
        assert_eq!(take(&mut outlet), Some(Taken::End));
        assert!(poll(&mut lane, b"ab", true).is_pending());
        outlet.acknowledge();
        assert!(matches!(poll(&mut lane, b"ab", true), Poll::Ready(Ok(()))));
        lane.finish();
        assert_eq!(run(end_of(&mut hold)), LaneEnd::Whole);
    }

    #[test]
    fn a_lane_into_a_duct_is_cut_by_a_drop_on_either_side() {
        let (inlet, mut outlet) = duct();
        let (mut one, mut hold) = lane(Way::duct(inlet));
        one.start(Bytes::from_static(b"head"), Framing::Plain, None).unwrap();
        drop(one);
        assert_eq!(run(end_of(&mut hold)), LaneEnd::Cut);
        assert_eq!(take(&mut outlet), Some(Taken::Bytes("head".into())));
        assert_eq!(take(&mut outlet), Some(Taken::Cut));

        let (inlet, outlet) = duct();
        let (mut other, _hold) = lane(Way::duct(inlet));
        other.start(Bytes::new(), Framing::Plain, None).unwrap();
        assert!(other.is_there() && poll(&mut other, b"x", true).is_pending());
        drop(outlet);
        assert!(!other.is_there() && matches!(poll(&mut other, b"x", true), Poll::Ready(Err(_))));
    }

    #[test]
    fn a_duct_stalls_when_nothing_leaves_it() {
        let limit = Duration::from_secs(7);
        let (inlet, mut outlet) = duct();
        let (mut lane, _hold) = lane(Way::duct(inlet));
        lane.start(Bytes::new(), Framing::Plain, Some(limit)).unwrap();
        let window = vec![0; crate::flow::duct::CAPACITY + 1];
        assert!(lane.stalls_at().is_none());
        assert!(poll(&mut lane, &window, false).is_pending());
        let (first, _) = lane.stalls_at().unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let before = Instant::now();
        let _ = outlet.poll_take(&mut cx, 1);
        let (next, said) = lane.stalls_at().unwrap();
        assert!(next >= first && next >= before + limit && said == limit, "a byte has moved");
        // The end that waits for its delivery stalls in the same way.
        let _ = (take(&mut outlet), poll(&mut lane, &window, true));
        assert!(lane.stalls_at().is_some());
    }
}
