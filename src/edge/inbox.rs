//! What waits for one party: answers of its owner, lanes of its receivers. One reader, any number
//! of writers on any thread. Allocates nothing while it is empty, since most parties wait long and
//! hear little.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::Offer;
use crate::pipe::{Answer, Seat, Snapshot};

/// Beyond this, notices are dropped: they are told for the reader's comfort only (spec §9). All else
/// is bounded by the protocol: one answer for each question, one lane for each receiver.
const NOTICES_MAX: usize = 1024;

/// Snapshots that wait for one spectator: more than the changes of a whole short transfer, from nobody
/// to its end. Beyond it the newest stands for all that were left out.
const SNAPSHOTS_MAX: usize = 8;

/// One thing for a party.
#[derive(Debug)]
pub enum Post {
    /// An owner speaks; which one.
    Answer(u64, Answer),
    /// An owner says that the name lives elsewhere.
    Moved {
        /// Who says it.
        from: u64,
        /// To whom.
        seat: Seat,
        /// As of which view.
        epoch: u64,
    },
    /// There is a newer view.
    View,
    /// A link to this owner stands.
    LinkUp {
        /// To whom.
        owner: u64,
        /// Which one.
        link: u64,
    },
    /// A link is lost.
    LinkDown {
        /// To whom.
        owner: u64,
        /// Which one.
        link: u64,
        /// Since when nothing was heard of this owner.
        silent: Instant,
    },
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
    /// The owner whose links concern its reader; 0: none.
    owner: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Post>,
    reader: Option<Waker>,
    /// The reader is to be woken only by what cannot wait.
    patient: bool,
}

impl Inbox {
    /// One whose reader only looks on.
    pub(super) fn of_spectator() -> Self {
        Self { spectator: true, ..Self::default() }
    }

    pub(super) fn is_of_spectator(&self) -> bool {
        self.spectator
    }

    /// From now on the links to this owner concern the reader, and no others. To be said before anything
    /// is sent to that owner, so that the loss of its link is not missed.
    pub(super) fn heed(&self, owner: Option<u64>) {
        self.owner.store(owner.unwrap_or(0), Ordering::Release);
    }

    /// Do the links to this owner concern the reader?
    pub(super) fn heeds(&self, owner: u64) -> bool {
        self.owner.load(Ordering::Acquire) == owner
    }

    /// Adds `post` and wakes the reader.
    pub(super) fn put(&self, post: Post) {
        let mut inner = self.lock();
        let notice = matches!(post, Post::Answer(_, Answer::Tell { .. }));
        if notice && inner.queue.len() >= NOTICES_MAX {
            return;
        }
        let urgent = !inner.patient || is_urgent(&post);
        inner.add(post);
        let reader = if urgent { inner.reader.take() } else { None };
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
                inner.listen(cx, false);
                Poll::Pending
            }
        }
    }

    /// The next post, if there is one now.
    pub(super) fn take(&self) -> Option<Post> {
        self.lock().queue.pop_front()
    }

    /// Ready when something is here that cannot wait: all but a snapshot after which more will come.
    /// Until then the reader is not woken by the rest.
    pub(super) fn poll_urgent(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.queue.iter().any(is_urgent) {
            return Poll::Ready(());
        }
        inner.listen(cx, true);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Adds `post`. A snapshot takes the place of the newest one if only bytes have moved between
    /// them, or if too many wait. Of views and of what happens on links the last word is enough.
    fn add(&mut self, post: Post) {
        if is_news(&post) {
            let same = |old: &Post| match (old, &post) {
                (Post::View, Post::View) => true,
                (old, new) => link_of(old).is_some() && link_of(old) == link_of(new),
            };
            self.queue.retain(|old| !same(old));
        }
        if let Some(new) = shown(&post) {
            let waiting = self.queue.iter().filter(|old| shown(old).is_some()).count();
            let newest = self.queue.iter_mut().rfind(|old| shown(old).is_some());
            let is_same = |old: &Post| shown(old).is_some_and(|old| old.has_scene_of(new));
            if let Some(old) = newest.filter(|old| waiting >= SNAPSHOTS_MAX || is_same(old)) {
                *old = post;
                return;
            }
        }
        self.queue.push_back(post);
    }

    fn listen(&mut self, cx: &Context<'_>, patient: bool) {
        self.patient = patient;
        if self.reader.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
    }
}

/// The owner of the link that this is about.
fn link_of(post: &Post) -> Option<u64> {
    match post {
        Post::LinkUp { owner, .. } | Post::LinkDown { owner, .. } => Some(*owner),
        _ => None,
    }
}

fn is_news(post: &Post) -> bool {
    matches!(post, Post::View) || link_of(post).is_some()
}

/// What a spectator is to see.
fn shown(post: &Post) -> Option<&Snapshot> {
    match post {
        Post::Answer(_, Answer::Snapshot { snapshot, .. }) => snapshot.as_deref(),
        _ => None,
    }
}

fn is_urgent(post: &Post) -> bool {
    shown(post).is_none_or(Snapshot::is_over)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;
    use crate::pipe::{Notice, PartyId, State};

    const ME: PartyId = PartyId { origin: 0, boot: 0, seq: 1 };

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn parked(k: u16) -> Post {
        Post::Answer(1, Answer::Parked { seat: Seat { party: ME, attempt: 1 }, k })
    }

    fn notice() -> Post {
        Post::Answer(1, Answer::Tell { party: ME, notice: Notice::Connected })
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
        assert!(matches!(take(&inbox), Some(Post::Answer(_, Answer::Parked { k: 1, .. }))));
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
        while let Some(Post::Answer(_, Answer::Tell { .. })) = take(&inbox) {
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

    fn snapshot(state: State, receivers: u16, bytes: u64) -> Post {
        let snapshot = Snapshot { state, receivers, bytes, ..Snapshot::idle() };
        Post::Answer(1, Answer::Snapshot { watchers: vec![ME], snapshot: Some(snapshot.into()) })
    }

    /// Receivers and bytes of all snapshots that wait.
    fn seen(inbox: &Inbox) -> Vec<(u16, u64)> {
        let posts = std::iter::from_fn(|| inbox.take());
        posts.filter_map(|post| shown(&post).map(|s| (s.receivers, s.bytes))).collect()
    }

    #[test]
    fn of_snapshots_that_differ_in_bytes_only_the_newest_is_kept() {
        let inbox = Inbox::default();
        inbox.put(snapshot(State::Waiting, 1, 0));
        for bytes in 0..1000 {
            inbox.put(snapshot(State::Streaming, 1, bytes));
        }
        inbox.put(snapshot(State::Complete, 0, 1000));
        assert_eq!(seen(&inbox), [(1, 0), (1, 999), (0, 1000)]);
    }

    #[test]
    fn of_too_many_snapshots_the_oldest_and_the_newest_are_kept() {
        let inbox = Inbox::default();
        for receivers in 1..=100 {
            inbox.put(snapshot(State::Waiting, receivers, 0));
        }
        inbox.put(Post::Shutdown);
        let seen: Vec<u16> = seen(&inbox).into_iter().map(|(receivers, _)| receivers).collect();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 100]);
    }

    #[test]
    fn a_patient_reader_is_woken_by_what_cannot_wait() {
        for urgent in [Post::Shutdown, snapshot(State::Complete, 0, 0), parked(1)] {
            let (inbox, woken) = (Inbox::default(), Arc::new(Woken::default()));
            let waker = Waker::from(woken.clone());
            let mut cx = Context::from_waker(&waker);
            assert!(inbox.poll_urgent(&mut cx).is_pending());
            inbox.put(snapshot(State::Waiting, 1, 0));
            assert_eq!(woken.0.load(Ordering::SeqCst), 0);
            assert!(inbox.poll_urgent(&mut cx).is_pending());
            inbox.put(urgent);
            assert_eq!(woken.0.load(Ordering::SeqCst), 1);
            assert!(inbox.poll_urgent(&mut cx).is_ready() && seen(&inbox)[0] == (1, 0));
            assert!(inbox.poll_take(&mut cx).is_pending());
            inbox.put(snapshot(State::Waiting, 2, 0));
            assert_eq!(woken.0.load(Ordering::SeqCst), 2, "it has its patience no more");
        }
    }

    #[test]
    fn of_views_and_of_the_links_to_an_owner_the_last_word_is_kept() {
        let (inbox, silent) = (Inbox::default(), Instant::now());
        for link in 1..100 {
            inbox.put(Post::LinkUp { owner: 7, link });
            inbox.put(Post::View);
            inbox.put(Post::LinkDown { owner: 7, link, silent });
            inbox.put(Post::LinkUp { owner: 8, link });
        }
        inbox.put(Post::Shutdown);
        assert!(matches!(inbox.take(), Some(Post::View)));
        assert!(matches!(inbox.take(), Some(Post::LinkDown { owner: 7, link: 99, .. })));
        assert!(matches!(inbox.take(), Some(Post::LinkUp { owner: 8, link: 99 })));
        assert!(matches!(inbox.take(), Some(Post::Shutdown)) && inbox.take().is_none());
    }

    #[test]
    fn only_the_owner_it_heeds_concerns_it() {
        let inbox = Inbox::default();
        assert!(!inbox.heeds(7));
        inbox.heed(Some(7));
        assert!(inbox.heeds(7) && !inbox.heeds(8));
        inbox.heed(None);
        assert!(!inbox.heeds(7));
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
