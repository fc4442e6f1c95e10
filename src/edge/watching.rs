//! A spectator at its edge: sees what happens at a name without taking part in it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::backoff::Backoff;
use super::inbox::{Inbox, Post};
use super::{Edge, rejections};
use crate::pipe::{Answer, Call, Failure, PartyId, PipePath, Reject, Snapshot};

/// How long the owner may take to show the first snapshot before it counts as unreachable. Locally it
/// takes microseconds.
const FIRST_MAX: Duration = Duration::from_secs(2);

/// One spectator. Dropping it leaves.
pub struct Watching {
    edge: Edge,
    path: PipePath,
    watcher: PartyId,
    inbox: Arc<Inbox>,
    /// How often the owner was lost, and the pauses after it.
    lost: (u32, Backoff),
    /// Ask again at this moment.
    retry: Option<Instant>,
}

/// What a spectator hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// What is at the name now. After one that is over nothing more comes.
    Snapshot(Arc<Snapshot>),
    /// It may not watch.
    Refused(Reject),
    /// It cannot watch any more: the owner is out of reach, or the node stops.
    Failed(Failure),
}

impl Watching {
    /// A spectator that asks to watch now.
    pub fn new(edge: &Edge, path: PipePath) -> Self {
        let (watcher, inbox) = edge.look_on();
        let lost = (0, Backoff::new(Instant::now()));
        let watching = Self { edge: edge.clone(), path, watcher, inbox, lost, retry: None };
        watching.ask();
        watching
    }

    /// What is there at first; the owner has a moment to say it.
    pub async fn first(&mut self) -> Watched {
        let first = timeout(FIRST_MAX, self.next()).await;
        let first = first.unwrap_or(Watched::Failed(Failure::Unavailable));
        match &first {
            Watched::Refused(why) => rejections::refused(why),
            Watched::Failed(why) => rejections::failed(why),
            Watched::Snapshot(_) => {}
        }
        first
    }

    /// What changes next. A few changes of the state or the parties wait for who asks late; of
    /// bytes that have moved only the newest. Cancel-safe.
    pub async fn next(&mut self) -> Watched {
        loop {
            let retry = self.retry;
            let post = tokio::select! {
                post = poll_fn(|cx| self.inbox.poll_take(cx)) => post,
                () = until(retry) => {
                    self.retry = None;
                    self.ask();
                    continue;
                }
            };
            if let Some(watched) = self.hear(post) {
                return watched;
            }
        }
    }

    /// What has changed already, if something has.
    pub fn more(&mut self) -> Option<Watched> {
        while let Some(post) = self.inbox.take() {
            if let Some(watched) = self.hear(post) {
                return Some(watched);
            }
        }
        None
    }

    /// Waits for what a spectator has to hear at once, such as an end; other changes wake nobody.
    /// Cancel-safe.
    pub async fn urgent(&mut self) {
        poll_fn(|cx| self.inbox.poll_urgent(cx)).await;
    }

    fn hear(&mut self, post: Post) -> Option<Watched> {
        match post {
            Post::Answer(Answer::Snapshot { snapshot, .. }) => snapshot.map(Watched::Snapshot),
            Post::Answer(Answer::Reject { why, .. }) => Some(Watched::Refused(why)),
            Post::Answer(Answer::Fail { why, .. }) => Some(Watched::Failed(why)),
            Post::Answer(Answer::Lost { .. }) => {
                self.lose();
                None
            }
            Post::Shutdown => Some(Watched::Failed(Failure::ShuttingDown)),
            Post::Answer(_) | Post::Lane(_) => {
                debug_assert!(false, "a spectator takes no part");
                None
            }
        }
    }

    /// Asks again: at once at first, then after pauses that grow.
    fn lose(&mut self) {
        let (count, backoff) = &mut self.lost;
        *count = count.saturating_add(1);
        let now = Instant::now();
        self.retry = backoff.pause(now, *count).map(|pause| now + pause);
        if self.retry.is_none() {
            self.ask();
        }
    }

    fn ask(&self) {
        self.edge.call(&self.path, Call::Watch { watcher: self.watcher });
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.edge.call(&self.path, Call::Unwatch { watcher: self.watcher });
        self.edge.exit(self.watcher);
    }
}

/// Ready at that moment, if there is one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hoody_pipe_cluster::Cluster;

    use super::*;
    use crate::edge::Settings;
    use crate::pipe::{Caps, Seat, TransferId};

    fn edge() -> Edge {
        let (receipts, spectators_per_pipe, spectators) = (1, 1, 1);
        let caps = Caps { pending: 1, active: 1, receipts, spectators_per_pipe, spectators };
        let settings = Settings { window: 1, stall: None, idle: None, caps };
        Edge::new(settings, Cluster::alone("a").unwrap(), TransferId::random, 1)
    }

    #[test]
    fn a_spectator_whose_owner_is_lost_again_and_again_asks_after_growing_pauses() {
        actix_rt::System::new().block_on(async {
            let mut watching = Watching::new(&edge(), PipePath::new("/a").unwrap());
            assert!(matches!(watching.first().await, Watched::Snapshot(_)));
            for (times, pause_ms) in [(1, 0), (2, 50), (3, 100)] {
                let begin = Instant::now();
                let seat = Seat { party: watching.watcher, attempt: 0 };
                watching.inbox.put(Post::Answer(Answer::Lost { seat }));
                assert!(matches!(watching.next().await, Watched::Snapshot(_)));
                let pause = Duration::from_millis(pause_ms);
                assert!(begin.elapsed() >= pause, "lost {times} times: {:?}", begin.elapsed());
            }
        });
    }
}
