//! What waits to be written on one link, and the word that ends it.
//!
//! Never waits and has a bound: who does not keep up loses the link. Knows no socket.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{Notify, watch};

use super::{FRAME_MAX, QUEUE_MAX};

/// The frames that wait, one behind the other as they go over the wire.
pub(super) struct Outbox {
    waiting: Mutex<BytesMut>,
    /// Something waits. For the one who writes.
    some: Notify,
    over: watch::Sender<bool>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let (waiting, some) = (Mutex::default(), Notify::new());
        Self { waiting, some, over: watch::Sender::new(false) }
    }

    /// Adds a frame. False if the link is over, which it is from now on if there is no room.
    pub(super) fn send(&self, frame: &[u8]) -> bool {
        debug_assert!(!frame.is_empty(), "an empty frame is how a link says that it lives");
        if *self.over.borrow() {
            return false;
        }
        let fits = {
            let mut waiting = self.waiting();
            let room = QUEUE_MAX.saturating_sub(waiting.len());
            let fits = frame.len() <= FRAME_MAX && size_of::<u32>() + frame.len() <= room;
            if fits {
                waiting.put_u32(frame.len() as u32);
                waiting.put_slice(frame);
            }
            fits
        };
        if fits {
            self.some.notify_one()
        } else {
            self.close()
        }
        fits
    }

    /// Takes all that waits, as soon as something does. Cancel-safe. For one task only.
    pub(super) async fn take(&self) -> Bytes {
        loop {
            let waiting = self.waiting().split();
            if !waiting.is_empty() {
                return waiting.freeze();
            }
            self.some.notified().await;
        }
    }

    /// Ends the link.
    pub(super) fn close(&self) {
        self.over.send_replace(true);
    }

    /// Returns when the link is over. Cancel-safe.
    pub(super) async fn closed(&self) {
        // The sender lives in `self`, so this ends with the word alone.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.over.borrow()
    }

    /// Whole frames between statements: a poisoned lock is usable.
    fn waiting(&self) -> MutexGuard<'_, BytesMut> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("over", &self.is_closed()).finish_non_exhaustive()
    }
}
