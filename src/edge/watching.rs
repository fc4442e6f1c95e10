//! A spectator at its edge: sees what happens at a name without taking part in it.

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
    Snapshot(Snapshot),
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

    /// What changes next: only the newest, if several things have changed meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> Watched {
        loop {
            match std::future::poll_fn(|cx| self.inbox.poll_take(cx)).await {
                Post::Answer(Answer::Snapshot { snapshot: Some(snapshot), .. }) => {
                    return Watched::Snapshot(*snapshot);
                }
                Post::Answer(Answer::Reject { why, .. }) => return Watched::Refused(why),
                Post::Answer(Answer::Fail { why, .. }) => return Watched::Failed(why),
                Post::Answer(Answer::Lost { .. }) => self.ask(),
                Post::Shutdown => return Watched::Failed(Failure::ShuttingDown),
                Post::Answer(_) | Post::Lane(_) => {
                    debug_assert!(false, "a spectator takes no part");
                }
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
