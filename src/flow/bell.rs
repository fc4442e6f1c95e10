//! A bell that any thread may ring and one task hears. Carries no message: who hears it looks for
//! itself what has changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Rung when a lane's client is gone, heard by the task that writes to the lanes.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl Bell {
    /// Rings; heard once, however often it was rung in between.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        let listener = self.lock().take();
        if let Some(waker) = listener {
            waker.wake();
        }
    }

    /// Ready once after each ring.
    pub fn poll_heard(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        let mut listener = self.lock();
        if listener.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            *listener = Some(cx.waker().clone());
        }
        drop(listener);
        // A ring between the first look and the registration must not be lost.
        if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_is_heard_once_however_often_it_rang() {
        let (bell, woken) = (Bell::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(bell.poll_heard(&mut cx).is_pending());
        bell.ring();
        bell.ring();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the listener is woken once");
        assert!(bell.poll_heard(&mut cx).is_ready());
        assert!(bell.poll_heard(&mut cx).is_pending());
        bell.ring();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2, "and again");
    }

    #[test]
    fn a_ring_before_anyone_listens_is_not_lost() {
        let bell = Bell::default();
        bell.ring();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(bell.poll_heard(&mut cx).is_ready());
        assert!(bell.poll_heard(&mut cx).is_pending());
    }

    #[test]
    fn the_listener_that_came_last_is_woken() {
        let (bell, first, last) =
            (Bell::default(), Arc::new(Woken::default()), Arc::new(Woken::default()));
        for woken in [&first, &last] {
            let waker = Waker::from(woken.clone());
            assert!(bell.poll_heard(&mut Context::from_waker(&waker)).is_pending());
        }
        bell.ring();
        assert_eq!((first.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn every_ring_of_another_thread_is_heard() {
        let bell = Arc::new(Bell::default());
        let (heard, rung) = std::sync::mpsc::sync_channel::<()>(0);
        let ringer = bell.clone();
        let thread = std::thread::spawn(move || {
            for () in rung {
                ringer.ring();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..1_000 {
            heard.send(()).unwrap();
            runtime.block_on(std::future::poll_fn(|cx| bell.poll_heard(cx)));
        }
        drop(heard);
        thread.join().unwrap();
    }
}
