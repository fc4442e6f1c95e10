//! What waits for one party: answers of its owner, lanes of its receivers. One reader, any number
//! of writers on any thread. Allocates nothing while it is empty, since most parties wait long and
//! hear little.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Offer;
use crate::pipe::Answer;

/// Beyond this, notices are dropped: they are told for the reader's comfort only (spec §9). All else
/// is bounded by the protocol: one answer for each question, one lane for each receiver; of snapshots
/// only the newest is kept.
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
pub(super) struct Inbox {
    inner: Mutex<Inner>,
    /// Its reader takes no part and only looks on.
    spectator: bool,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Post>,
    reader: Option<Waker>,
}

impl Inbox {
    /// One whose reader only looks on.
    pub(super) fn of_spectator() -> Self {
        Self { spectator: true, ..Self::default() }
    }

    pub(super) fn is_of_spectator(&self) -> bool {
        self.spectator
    }

    /// Adds `post` and wakes the reader.
    pub(super) fn put(&self, post: Post) {
        let mut inner = self.lock();
        if let Post::Answer(Answer::Snapshot { .. }) = post {
            // Only the newest is of use to a spectator, however slowly it reads.
            inner.queue.retain(|old| !matches!(old, Post::Answer(Answer::Snapshot { .. })));
        }
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::pipe::{Notice, PartyId, Seat, Snapshot};

    const ME: PartyId = PartyId { origin: 0, boot: 0, seq: 1 };

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn parked(k: u16) -> Post {
        Post::Answer(Answer::Parked { seat: Seat { party: ME, attempt: 1 }, k })
    }

    fn notice() -> Post {
        Post::Answer(Answer::Tell { party: ME, notice: Notice::Connected })
    }

    fn take(inbox: &Inbox) -> Option<Post> {
        match inbox.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(post) => Some(post),
            Poll::Pending => None,
        }
    }

    #[test]
    fn posts_come_in_order_and_the_reader_is_woken() {
        let (inbox, woken) = (Inbox::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        assert!(inbox.poll_take(&mut Context::from_waker(&waker)).is_pending());
        inbox.put(parked(1));
        inbox.put(Post::Shutdown);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "a reader that is awake is left alone");
        assert!(matches!(take(&inbox), Some(Post::Answer(Answer::Parked { k: 1, .. }))));
        assert!(matches!(take(&inbox), Some(Post::Shutdown)));
        assert!(take(&inbox).is_none());
    }

    #[test]
    fn only_notices_are_dropped_when_there_are_too_many() {
        let inbox = Inbox::default();
        for _ in 0..NOTICES_MAX + 10 {
            inbox.put(notice());
        }
        inbox.put(parked(7));
        let mut notices = 0;
        while let Some(Post::Answer(Answer::Tell { .. })) = take(&inbox) {
            notices += 1;
        }
        assert_eq!(notices, NOTICES_MAX);
        inbox.put(notice());
        assert!(take(&inbox).is_some(), "there is room again");

        for _ in 0..NOTICES_MAX {
            inbox.put(notice());
        }
        inbox.put(Post::Shutdown);
        let mut last = None;
        while let Some(post) = take(&inbox) {
            last = Some(post);
        }
        assert!(matches!(last, Some(Post::Shutdown)), "the rest is never dropped");
    }

    #[test]
    fn of_snapshots_only_the_newest_is_kept() {
        let inbox = Inbox::default();
        let snapshot = |bytes| {
            let snapshot = Some(Box::new(Snapshot { bytes, ..Snapshot::idle() }));
            Post::Answer(Answer::Snapshot { watcher: ME, snapshot })
        };
        for bytes in 0..1000 {
            inbox.put(snapshot(bytes));
        }
        inbox.put(Post::Shutdown);
        assert!(matches!(take(&inbox), Some(Post::Answer(Answer::Snapshot { snapshot, .. }))
            if snapshot.as_ref().is_some_and(|s| s.bytes == 999)));
        assert!(matches!(take(&inbox), Some(Post::Shutdown)) && take(&inbox).is_none());
    }

    #[test]
    fn an_empty_inbox_holds_no_memory() {
        let inbox = Inbox::default();
        for _ in 0..100 {
            inbox.put(notice());
        }
        while take(&inbox).is_some() {}
        assert_eq!(inbox.lock().queue.capacity(), 0);
    }
}
