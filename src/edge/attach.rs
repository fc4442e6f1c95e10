//! The edge of this node: all its parties, and the one place where "local or remote" is decided.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoody_pipe_cluster::Cluster;
use hoody_pipe_cluster::link::{self, EdgeEnd, LinkId};

use super::inbox::{Inbox, Post};
use super::wire::{Down, Up};
use super::{Offer, rejections};
use crate::pipe::rendezvous::Output;
use crate::pipe::{
    Answer, Call, Caps, Failure, Load, PartyId, PipePath, PublicId, Registry, ReplyTo, Role,
    Snapshot, TransferId,
};

/// How long the owner may take to answer a DELETE or a question before it counts as unreachable. Locally it takes
/// microseconds.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The link of this node to itself. There is one, and it never breaks.
const OWN: LinkId = LinkId(0);

/// Locks of the map of parties, well above the number of threads that share it.
const SHARDS: usize = 64;

/// What holds for every transfer of this node.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most bytes the source is ahead of the slowest receiver (`--window`).
    pub window: usize,
    /// How long a receiver may take nothing, unless a party says otherwise (`--stall`).
    pub stall: Option<Duration>,
    /// How long a sender may be silent (`--idle-timeout`).
    pub idle: Option<Duration>,
    /// The caps at the owner.
    pub caps: Caps,
}

/// The edge of this node. A cheap handle.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    settings: Settings,
    cluster: Cluster,
    registry: Registry,
    /// The link to the owner that is this node itself.
    own: EdgeEnd<Up, Down>,
    parties: Arc<Parties>,
    boot: u64,
    seq: AtomicU64,
}

/// The inboxes of all parties of this node, by the last part of their id.
struct Parties([Mutex<HashMap<u64, Arc<Inbox>>>; SHARDS]);

impl Edge {
    /// An edge with no parties. `mint` makes match ids, `boot` tells this life from earlier ones.
    pub fn new(settings: Settings, cluster: Cluster, mint: fn() -> TransferId, boot: u64) -> Self {
        let parties = Arc::new(Parties(std::array::from_fn(|_| Mutex::default())));
        let (own, owner) = link::local(OWN);
        let inboxes = parties.clone();
        own.listen(move |_, answer| inboxes.route(answer));
        let answers = owner.clone();
        let registry = Registry::new(
            settings.caps,
            Arc::new(move |output: Output| answers.send(output.answer)),
            mint,
        );
        // The link and the names refer to each other: both live as long as the process.
        let names = registry.clone();
        owner.listen(move |LinkId(link), Up { path, call }| {
            names.deliver(&path, ReplyTo(link), call);
        });
        let seq = AtomicU64::new(1);
        Self(Arc::new(Inner { settings, cluster, registry, own, parties, boot, seq }))
    }

    /// What holds for every transfer.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Waiting names, active transfers and spectators of the names that this node owns.
    pub fn load(&self) -> Load {
        self.0.registry.load()
    }

    /// Parties connected to this node.
    pub fn parties(&self) -> usize {
        self.0.parties.0.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Ends whatever is at `path`; false if nobody is there, `None` if the owner did not answer.
    pub async fn cancel(&self, path: &PipePath, reason: Option<String>) -> Option<bool> {
        match self.ask(path, |asker| Call::Cancel { asker, reason }).await {
            Some(Post::Answer(Answer::Cancelled { found, .. })) => Some(found),
            _ => None,
        }
    }

    /// What is at `path` now, or what became of one transfer of it; `None` if that is not known.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the owner did not answer.
    pub async fn status(
        &self,
        path: &PipePath,
        transfer: Option<PublicId>,
    ) -> Result<Option<Arc<Snapshot>>, Failure> {
        match self.ask(path, |asker| Call::Status { asker, transfer }).await {
            Some(Post::Answer(Answer::Snapshot { snapshot, .. })) => Ok(snapshot),
            _ => Err(Failure::Unavailable),
        }
    }

    /// Asks the owner of `path` something, and waits for its answer.
    async fn ask(&self, path: &PipePath, call: impl FnOnce(PartyId) -> Call) -> Option<Post> {
        let (asker, inbox) = self.enter();
        self.call(path, call(asker));
        let answer = std::future::poll_fn(|cx| inbox.poll_take(cx));
        let answer = tokio::time::timeout(ANSWER_MAX, answer).await;
        self.exit(asker);
        match &answer {
            Ok(Post::Answer(Answer::Fail { why, .. })) => rejections::failed(why),
            Ok(_) => {}
            Err(_) => rejections::failed(&Failure::Unavailable),
        }
        answer.ok()
    }

    /// Ends the wait or the transfer of every party of this node: the last step of a drain but one.
    pub fn shut_down(&self) {
        self.stop(|inbox| !inbox.is_of_spectator());
    }

    /// Sends every spectator of this node away, once it has heard what was said to it before.
    pub fn dismiss_spectators(&self) {
        self.stop(Inbox::is_of_spectator);
    }

    fn stop(&self, whom: impl Fn(&Inbox) -> bool) {
        for shard in &self.0.parties.0 {
            let inboxes: Vec<_> = lock(shard).values().filter(|i| whom(i)).cloned().collect();
            inboxes.iter().for_each(|inbox| inbox.put(Post::Shutdown));
        }
    }

    /// Says `call` to the owner of `path`. Which node that is, is decided here and nowhere else.
    pub(super) fn call(&self, path: &PipePath, call: Call) {
        let owner = self.0.cluster.owner(path.as_str().as_bytes());
        debug_assert_eq!(owner, self.0.cluster.me(), "a view of one member has one owner");
        self.0.own.send(Up { path: path.clone(), call });
    }

    /// Brings a receiver's lane to its sender. Dropped, and so undone, if the sender is gone.
    pub(super) fn offer(&self, sender: PartyId, offer: Offer) {
        self.0.parties.put(sender, Post::Lane(Box::new(offer)));
    }

    /// A new party of this node.
    pub(super) fn enter(&self) -> (PartyId, Arc<Inbox>) {
        self.admit(Inbox::default())
    }

    /// A new spectator of this node.
    pub(super) fn look_on(&self) -> (PartyId, Arc<Inbox>) {
        self.admit(Inbox::of_spectator())
    }

    fn admit(&self, inbox: Inbox) -> (PartyId, Arc<Inbox>) {
        let inbox = Arc::new(inbox);
        let origin = self.0.cluster.me().0;
        let seq = self.0.seq.fetch_add(1, Ordering::Relaxed);
        lock(self.0.parties.shard(seq)).insert(seq, inbox.clone());
        (PartyId { origin, boot: self.0.boot, seq }, inbox)
    }

    /// A party of this node has gone.
    pub(super) fn exit(&self, party: PartyId) {
        lock(self.0.parties.shard(party.seq)).remove(&party.seq);
    }
}

impl Parties {
    fn shard(&self, seq: u64) -> &Mutex<HashMap<u64, Arc<Inbox>>> {
        &self.0[seq as usize % SHARDS]
    }

    /// Hands `post` to `party`, if it is still there.
    fn put(&self, party: PartyId, post: Post) {
        let inbox = lock(self.shard(party.seq)).get(&party.seq).cloned();
        if let Some(inbox) = inbox {
            inbox.put(post);
        }
    }

    /// Hands an owner's answer to the party or parties it is about.
    fn route(&self, answer: Down) {
        let party = match answer {
            Answer::Begin { transfer, sender, receivers, role: role @ Role::Receiver } => {
                for seat in receivers {
                    let begin = Answer::Begin { transfer, sender, receivers: vec![seat], role };
                    self.put(seat.party, Post::Answer(begin));
                }
                return;
            }
            Answer::Begin { sender, .. } => sender.party,
            Answer::Parked { seat, .. }
            | Answer::Reject { seat, .. }
            | Answer::Fail { seat, .. }
            | Answer::Lost { seat }
            | Answer::Left { seat, .. } => seat.party,
            Answer::Undo { sender, .. } | Answer::Abort { sender, .. } => sender,
            Answer::Tell { party, .. } => party,
            Answer::Cancelled { asker, .. } => asker,
            Answer::Snapshot { watcher, .. } => watcher,
        };
        self.put(party, Post::Answer(answer));
    }
}

/// The maps hold plain data that is consistent between statements, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use super::*;
    use crate::meter;

    /// More calls than one name takes before it turns newcomers away.
    const FLOOD: u64 = 2000;

    #[test]
    fn who_asks_a_name_with_a_full_backlog_is_answered_at_once_and_counted() {
        let text = meter::counted(|| {
            actix_rt::System::new().block_on(async {
                let (receipts, spectators_per_pipe, spectators) = (1, 1, 1);
                let caps =
                    Caps { pending: 1, active: 1, receipts, spectators_per_pipe, spectators };
                let settings = Settings { window: 1, stall: None, idle: None, caps };
                let cluster = Cluster::alone("a").unwrap();
                let edge = Edge::new(settings, cluster, TransferId::random, 1);
                let path = PipePath::new("a").unwrap();
                // Nothing is handled before this task waits.
                for seq in 0..FLOOD {
                    let watcher = PartyId { origin: 0, boot: 0, seq: FLOOD + seq };
                    edge.call(&path, Call::Watch { watcher });
                }
                let begin = Instant::now();
                assert_eq!(edge.cancel(&path, None).await, None);
                assert_eq!(edge.status(&path, None).await, Err(Failure::Unavailable));
                assert!(begin.elapsed() < ANSWER_MAX, "{:?}", begin.elapsed());
            });
        });
        assert!(text.contains("{reason=\"unavailable\"} 2"), "{text}");
    }
}
