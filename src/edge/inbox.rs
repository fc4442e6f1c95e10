//! What waits for one party: answers of its owner, lanes of its receivers. One reader, any number
//! of writers on any thread. Allocates nothing while it is empty, since most parties wait long and
//! hear little.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Offer;
use crate::pipe::Answer;

/// Beyond this, notices are dropped: they are told for the reader's comfort only (spec §9). All else
/// is bounded by the protocol: one answer for each question, one lane for each receiver.
const NOTICES_MAX: usize = 1024;

/// One thing for a party.
#[derive(Debug)]
pub(super) enum Post {
    /// The owner of its name speaks.
    Answer(Answer),
    /// A receiver offers its lane to this sender.
    Lane(Box<Offer>),
    /// The node stops now.
    Shutdown,
}

/// The inbox of one party.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Post>,
    reader: Option<Waker>,
}

impl Inbox {
    /// Adds `post` and wakes the reader.
    pub(super) fn put(&self, post: Post) {
        let mut inner = self.lock();
        let notice = matches!(post, Post::Answer(Answer::Tell { .. }));
        if notice && inner.queue.len() >= NOTICES_MAX {
            return;
        }
        inner.queue.push_back(post);
        let reader = inner.reader.take();
        drop(inner);
        if let Some(waker) = reader {
            waker.wake();
        }
    }

    /// The next post, in order.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Post> {
        let mut inner = self.lock();
        match inner.queue.pop_front() {
            Some(post) => Poll::Ready(post),
            None => {
                inner.queue = VecDeque::new();
                if inner.reader.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
                    inner.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
