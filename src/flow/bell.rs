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
