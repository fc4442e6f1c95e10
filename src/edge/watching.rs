//! A spectator at its edge: sees what happens at a name without taking part in it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

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
        let watching = Self { edge: edge.clone(), path, watcher, inbox };
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
            let post = poll_fn(|cx| self.inbox.poll_take(cx)).await;
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
                self.ask();
                None
            }
            Post::Shutdown => Some(Watched::Failed(Failure::ShuttingDown)),
            Post::Answer(_) | Post::Lane(_) => {
                debug_assert!(false, "a spectator takes no part");
                None
            }
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
