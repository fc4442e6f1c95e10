//! A bounded duct of bytes between two threads: one end puts bytes in, the other takes them out.
//!
//! For receivers whose bytes cannot go straight to a descriptor, because something has to be done to
//! them on the receiver's own thread. Knows nothing of what that is. The end is said aloud at both
//! ends: what is put in ends with [`DuctIn::finish`], and is delivered when the other end says so
//! with [`DuctOut::acknowledge`]. A drop without it is a cut.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

/// Most bytes on their way. With what the transport behind it holds, a receiver's unsent output stays
/// within 64 KiB (spec §2, P5).
pub const CAPACITY: usize = 32 << 10;

/// Who waits for room is woken when there is this much: a wake-up costs more than a copy.
const ROOM: usize = CAPACITY / 2;

/// The end into which bytes go. Dropped before [`DuctIn::finish`]: what is in it still comes out, and
/// after it a cut.
#[derive(Debug)]
pub struct DuctIn(Arc<Shared>);

/// The end out of which bytes come. Dropped before [`DuctOut::acknowledge`]: nobody takes anything
/// any more.
#[derive(Debug)]
pub struct DuctOut(Arc<Shared>);

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The next bytes, never none.
    Bytes(Bytes),
    /// The end: everything came out. Deliver it, then acknowledge.
    End,
    /// No end: whoever put bytes in has given up.
    Cut,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    inlet: Inlet,
    outlet: Outlet,
    /// Waits for room or for the acknowledgement.
    writer: Option<Waker>,
    /// Waits for bytes or for their end.
    reader: Option<Waker>,
    /// When something was last taken out.
    taken: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Inlet {
    #[default]
    Open,
    Finished,
    Dropped,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Outlet {
    #[default]
    Open,
    Acknowledged,
    Dropped,
}

/// A duct with nothing in it. Holds no memory for bytes until there are some.
pub fn duct() -> (DuctIn, DuctOut) {
    let shared = Arc::new(Shared::default());
    (DuctIn(shared.clone()), DuctOut(shared))
}

impl DuctIn {
    /// Copies in as much of `parts` as there is room for, and says how many bytes. If all fits and
    /// it is the `last`, that is the end: whoever takes the bytes sees the end behind them at once.
    ///
    /// # Errors
    /// The other end is gone, or the end was said before.
    pub fn poll_write(
        &self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.outlet == Outlet::Dropped || state.inlet != Inlet::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (had, mut room) = (state.bytes.len(), CAPACITY.saturating_sub(state.bytes.len()));
        if room == 0 {
            register(&mut state.writer, cx);
            return Poll::Pending;
        }
        let mut all = true;
        for part in parts {
            let fits = part.len().min(room);
            state.bytes.extend_from_slice(&part[..fits]);
            room -= fits;
            all &= fits == part.len();
        }
        if last && all {
            state.inlet = Inlet::Finished;
        }
        let put = state.bytes.len() - had;
        let reader = if had == 0 && put > 0 { state.reader.take() } else { None };
        drop(state);
        wake(reader);
        Poll::Ready(Ok(put))
    }

    /// The explicit end of what is put in. Safe to say twice.
    pub fn finish(&self) {
        self.close(Inlet::Finished);
    }

    /// Ready when the other end has delivered everything.
    ///
    /// # Errors
    /// The other end was dropped instead.
    pub fn poll_acknowledged(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        match state.outlet {
            Outlet::Acknowledged => Poll::Ready(Ok(())),
            Outlet::Dropped => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Outlet::Open => {
                register(&mut state.writer, cx);
                Poll::Pending
            }
        }
    }

    /// When something was last taken out.
    pub fn taken(&self) -> Option<Instant> {
        self.0.lock().taken
    }

    /// Is the other end still there?
    pub fn is_there(&self) -> bool {
        self.0.lock().outlet != Outlet::Dropped
    }

    fn close(&self, how: Inlet) {
        let mut state = self.0.lock();
        if state.inlet == Inlet::Open {
            state.inlet = how;
            let reader = state.reader.take();
            drop(state);
            wake(reader);
        }
    }
}

impl Drop for DuctIn {
    fn drop(&mut self) {
        self.close(Inlet::Dropped);
    }
}

impl DuctOut {
    /// Takes the next bytes, at most `most` of them (at least one).
    pub fn poll_take(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Taken> {
        let mut state = self.0.lock();
        if state.bytes.is_empty() {
            return match state.inlet {
                Inlet::Finished => Poll::Ready(Taken::End),
                Inlet::Dropped => Poll::Ready(Taken::Cut),
                Inlet::Open => {
                    register(&mut state.reader, cx);
                    Poll::Pending
                }
            };
        }
        let count = state.bytes.len().min(most.max(1));
        let bytes = state.bytes.split_to(count).freeze();
        state.taken = Some(Instant::now());
        let room = CAPACITY - state.bytes.len() >= ROOM;
        let writer = if room { state.writer.take() } else { None };
        drop(state);
        wake(writer);
        Poll::Ready(Taken::Bytes(bytes))
    }

    /// Some of what was taken before has moved on: that counts as taken now.
    pub fn touch(&self) {
        self.0.lock().taken = Some(Instant::now());
    }

    /// Has everything been taken, with the end behind it?
    pub fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.bytes.is_empty() && state.inlet == Inlet::Finished
    }

    /// Everything up to the end was delivered. Said before [`Taken::End`] came out, it is a drop.
    pub fn acknowledge(self) {
        let mut state = self.0.lock();
        if state.bytes.is_empty() && state.inlet == Inlet::Finished {
            state.outlet = Outlet::Acknowledged;
        }
        // The drop wakes who waits for this.
    }
}

impl Drop for DuctOut {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.outlet == Outlet::Open {
            state.outlet = Outlet::Dropped;
            state.bytes = BytesMut::new();
        }
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

impl Shared {
    /// The state is consistent between statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    if place.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn put(inlet: &DuctIn, bytes: &[u8]) -> Poll<io::Result<usize>> {
        inlet.poll_write(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(bytes)], false)
    }

    fn take(outlet: &mut DuctOut) -> Poll<Taken> {
        outlet.poll_take(&mut Context::from_waker(Waker::noop()), usize::MAX)
    }

    fn is_broken<T>(poll: Poll<io::Result<T>>) -> bool {
        matches!(poll, Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    #[test]
    fn one_byte_in_gives_one_byte_out_and_one_wake_up() {
        let (inlet, mut outlet) = duct();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(outlet.poll_take(&mut Context::from_waker(&waker), 99).is_pending());
        for byte in [b"a", b"b", b"c"] {
            assert!(matches!(put(&inlet, byte), Poll::Ready(Ok(1))));
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "it is awake already");
        assert_eq!(take(&mut outlet), Poll::Ready(Taken::Bytes(Bytes::from_static(b"abc"))));
        assert!(take(&mut outlet).is_pending());
    }

    #[test]
    fn it_holds_no_more_than_its_capacity_and_tells_when_there_is_room() {
        let (inlet, mut outlet) = duct();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let parts = [IoSlice::new(&[1; CAPACITY]), IoSlice::new(&[2; 5])];
        assert!(matches!(inlet.poll_write(&mut cx, &parts, true), Poll::Ready(Ok(CAPACITY))));
        assert!(inlet.poll_write(&mut cx, &parts, true).is_pending());
        assert!(inlet.taken().is_none());
        let _ = outlet.poll_take(&mut Context::from_waker(Waker::noop()), 1);
        assert_eq!(woken.0.load(Ordering::SeqCst), 0, "one byte is not worth it");
        assert!(inlet.taken().is_some());
        let _ = take(&mut outlet);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        let before = inlet.taken();
        outlet.touch();
        assert!(inlet.taken() > before, "what is taken moves on");
    }

    #[test]
    fn the_end_is_said_aloud_on_both_sides() {
        let (inlet, mut outlet) = duct();
        let _ = put(&inlet, b"x");
        inlet.finish();
        assert!(is_broken(put(&inlet, b"y")), "nothing follows the end");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(take(&mut outlet), Poll::Ready(Taken::Bytes(_))));
        assert_eq!(take(&mut outlet), Poll::Ready(Taken::End));
        assert!(inlet.poll_acknowledged(&mut cx).is_pending(), "taken is not delivered");
        outlet.acknowledge();
        assert!(matches!(inlet.poll_acknowledged(&mut cx), Poll::Ready(Ok(()))));
    }

    #[test]
    fn the_end_comes_with_the_last_bytes() {
        let (inlet, mut outlet) = duct();
        let mut cx = Context::from_waker(Waker::noop());
        let parts = [IoSlice::new(b"la"), IoSlice::new(b"st")];
        assert!(!outlet.is_over());
        assert!(matches!(inlet.poll_write(&mut cx, &parts, true), Poll::Ready(Ok(4))));
        assert!(!outlet.is_over());
        assert!(matches!(take(&mut outlet), Poll::Ready(Taken::Bytes(_))));
        assert!(outlet.is_over());
        assert_eq!(take(&mut outlet), Poll::Ready(Taken::End));
    }

    #[test]
    fn a_drop_is_a_cut() {
        let (inlet, mut outlet) = duct();
        let _ = put(&inlet, b"x");
        drop(inlet);
        assert!(matches!(take(&mut outlet), Poll::Ready(Taken::Bytes(_))), "what is in comes out");
        assert_eq!(take(&mut outlet), Poll::Ready(Taken::Cut));

        let mut cx = Context::from_waker(Waker::noop());
        for early in [true, false] {
            let (inlet, outlet) = duct();
            let _ = put(&inlet, b"x");
            inlet.finish();
            match early {
                true => outlet.acknowledge(),
                false => drop(outlet),
            }
            assert!(is_broken(inlet.poll_acknowledged(&mut cx)) && !inlet.is_there());
        }
        let (inlet, outlet) = duct();
        drop(outlet);
        assert!(is_broken(put(&inlet, b"x")));
    }

    /// What `taker` gets of `body` put in by another thread in steps of `step`.
    fn across(body: Vec<u8>, step: usize, most: usize, finish: bool) -> (Vec<u8>, Taken) {
        let run = |future: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
        };
        let (inlet, mut outlet) = duct();
        let thread = std::thread::spawn(move || {
            run(Box::pin(async move {
                for mut piece in body.chunks(step) {
                    while !piece.is_empty() {
                        let parts = [IoSlice::new(piece)];
                        let put = poll_fn(|cx| inlet.poll_write(cx, &parts, false)).await.unwrap();
                        piece = &piece[put..];
                    }
                }
                if finish {
                    inlet.finish();
                    poll_fn(|cx| inlet.poll_acknowledged(cx)).await.unwrap();
                }
            }));
        });
        let (got, how) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Taken::Cut)));
        let (got_, how_) = (got.clone(), how.clone());
        run(Box::pin(async move {
            loop {
                match poll_fn(|cx| outlet.poll_take(cx, most)).await {
                    Taken::Bytes(bytes) => got_.lock().unwrap().extend_from_slice(&bytes),
                    end => {
                        *how_.lock().unwrap() = end;
                        return outlet.acknowledge();
                    }
                }
            }
        }));
        thread.join().unwrap();
        let (got, how) = (got.lock().unwrap().clone(), how.lock().unwrap().clone());
        (got, how)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_byte_comes_out_in_order_and_then_the_end(
            len in 0usize..200_000,
            step in 1usize..70_000,
            most in 1usize..70_000,
            finish: bool,
        ) {
            let body: Vec<u8> = (0..len).map(|at| (at * 31 / 7) as u8).collect();
            let (got, end) = across(body.clone(), step, most, finish);
            prop_assert!(got == body);
            prop_assert_eq!(end, if finish { Taken::End } else { Taken::Cut });
        }
    }
}
