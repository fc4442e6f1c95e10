//! A spectator at its edge: sees what happens at a name without taking part in it.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::timeout;

use super::asking::{ANSWER_MAX, Asking, Heard};
use super::{Edge, rejections};
use crate::pipe::{Answer, Call, Failure, PipePath, Reject, Snapshot};

/// One spectator. Dropping it leaves.
pub struct Watching {
    asking: Asking,
    /// It has seen something: from now on it goes on, whatever becomes of owners.
    shown: bool,
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
        let asking = Asking::new(edge, path, edge.look_on());
        let mut watching = Self { asking, shown: false };
        watching.ask();
        watching
    }

    /// What is there at first; the owner has a moment to say it.
    pub async fn first(&mut self) -> Watched {
        let first = timeout(ANSWER_MAX, self.next()).await;
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
            let heard = self.asking.next().await;
            if let Some(watched) = self.hear(heard) {
                return watched;
            }
        }
    }

    /// What has changed already, if something has.
    pub fn more(&mut self) -> Option<Watched> {
        while let Some(heard) = self.asking.more() {
            if let Some(watched) = self.hear(heard) {
                return Some(watched);
            }
        }
        None
    }

    /// Waits for what a spectator has to hear at once, such as an end; other changes wake nobody.
    /// Cancel-safe.
    pub async fn urgent(&mut self) {
        poll_fn(|cx| self.asking.poll_urgent(cx)).await;
    }

    fn hear(&mut self, heard: Heard) -> Option<Watched> {
        match heard {
            Heard::Answer(Answer::Snapshot { snapshot, .. }) => {
                self.shown = true;
                return snapshot.map(Watched::Snapshot);
            }
            // Another owner has no room for it: there may be some later.
            Heard::Answer(Answer::Reject { .. } | Answer::Fail { .. }) if self.shown => {
                if self.asking.lose() {
                    self.ask();
                }
            }
            Heard::Answer(Answer::Reject { why, .. }) => return Some(Watched::Refused(why)),
            Heard::Answer(Answer::Fail { why, .. }) => return Some(Watched::Failed(why)),
            Heard::Again => self.ask(),
            Heard::Shutdown => return Some(Watched::Failed(Failure::ShuttingDown)),
            Heard::Answer(_) => debug_assert!(false, "a spectator takes no part"),
            Heard::Nothing => {}
        }
        None
    }

    fn ask(&mut self) {
        let watcher = self.asking.asker;
        self.asking.ask(Call::Watch { watcher }, Some(Call::Unwatch { watcher }));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.asking.tell(Call::Unwatch { watcher: self.asking.asker });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use hoody_pipe_cluster::Cluster;

    use super::*;
    use crate::edge::Settings;
    use crate::edge::inbox::Post;
    use crate::edge::party::Input;
    use crate::pipe::{Caps, Seat, TransferId};

    fn edge() -> Edge {
        let (receipts, spectators_per_pipe, spectators) = (1, 1, 1);
        let caps = Caps { pending: 1, active: 1, receipts, spectators_per_pipe, spectators };
        let settings = Settings { window: 1, stall: None, idle: None, copy: false, caps };
        Edge::new(settings, Cluster::alone("a", 1).unwrap(), TransferId::random)
    }

    #[test]
    fn a_spectator_whose_owner_is_lost_again_and_again_asks_after_growing_pauses() {
        actix_rt::System::new().block_on(async {
            let edge = edge();
            let Input::View { owner: Some(owner), .. } =
                edge.view_of(&PipePath::new("/a").unwrap())
            else {
                panic!("a node alone owns every name")
            };
            let mut watching = Watching::new(&edge, PipePath::new("/a").unwrap());
            assert!(matches!(watching.first().await, Watched::Snapshot(_)));
            for (times, pause_ms) in [(1, 0), (2, 50), (3, 100)] {
                let begin = Instant::now();
                let seat = Seat { party: watching.asking.asker, attempt: 0 };
                watching.asking.put(Post::Answer(owner, Answer::Lost { seat }));
                assert!(matches!(watching.next().await, Watched::Snapshot(_)));
                let pause = Duration::from_millis(pause_ms);
                assert!(begin.elapsed() >= pause, "lost {times} times: {:?}", begin.elapsed());
            }
        });
    }
}
