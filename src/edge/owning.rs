//! This node as an owner: names that live here, and the links over which other nodes speak to them.
//!
//! Frames of a link are handled in order. One whose sender knows a newer view is held, with all behind
//! it, until this node has caught up. What a call deserves is decided in [`super::judge`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hoody_pipe_cluster::link::{FrameSender, Incoming, LinkId, OwnerEnd};
use hoody_pipe_cluster::{Cluster, Epoch, NodeId, codec};
use tokio::time::timeout;
use tracing::warn;

use super::found::Found;
use super::judge::{Takeover, Verdict, judge, wants_all};
use super::wire::{Down, Rising, Up};
use crate::pipe::rendezvous::Output;
use crate::pipe::{Answer, Call, Caps, PipePath, Registry, ReplyTo, TransferId};

/// How long a link waits for a view that its edge knows and this node does not.
const HOLD_MAX: Duration = Duration::from_secs(2);

/// The owner's side of this node.
pub(super) struct Owning {
    cluster: Cluster,
    registry: Registry,
    links: Arc<Links>,
    moves: Arc<Moves>,
}

/// What has come to this node lately.
struct Moves {
    cluster: Cluster,
    takeover: Mutex<Takeover>,
}

/// The ways back to the edges.
struct Links {
    own: OwnerEnd<Up, Answer>,
    others: RwLock<HashMap<u64, FrameSender>>,
    /// What was said over a link that may be lost.
    found: Mutex<Found>,
}

impl Owning {
    /// No names yet. `own` is the link of this node to itself, `mint` makes match ids.
    pub(super) fn new(
        cluster: Cluster,
        caps: Caps,
        mint: fn() -> TransferId,
        own: OwnerEnd<Up, Answer>,
    ) -> Arc<Self> {
        let links = Arc::new(Links {
            own: own.clone(),
            others: RwLock::default(),
            found: Mutex::default(),
        });
        let answers = links.clone();
        let outlet = move |Output { to, answer }| answers.answer(to, answer);
        let takeover = Mutex::new(Takeover::new(Instant::now(), cluster.me()));
        let moves = Arc::new(Moves { cluster: cluster.clone(), takeover });
        let expected = moves.clone();
        let expects = Arc::new(move |path: &PipePath| expected.is_fresh(path));
        let registry = Registry::new(caps, Arc::new(outlet), expects, mint);
        let owning = Arc::new(Self { cluster, registry, links, moves });
        // The link and the names refer to each other: both live as long as the process.
        let names = owning.clone();
        own.listen(move |LinkId(link), Up { path, call, .. }| {
            names.deliver(&path, ReplyTo(link), call);
        });
        owning
    }

    /// The names of this node.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// There is a newer view: who waits at a name that lives elsewhere now has to go there.
    pub(super) fn turn(&self) {
        let (view, me) = (self.cluster.view(), self.cluster.me());
        // Noted when it comes, not when somebody asks for a place: names have moved away and back since.
        self.moves.takeover().see(Instant::now(), &view);
        self.registry.retain(|path| view.owner(path.as_str().as_bytes()) == Some(me));
    }

    /// Serves the link of another node until it is lost. Who came over it has lost its places then.
    /// Runs on a thread with an actix runtime; dropping it ends the link.
    pub(super) async fn serve(&self, mut incoming: Incoming) {
        // Dropped before the link is, and so before a newer link of the same edge is listened to.
        let mut served = Served::new(self, &incoming);
        while let Some(frame) = incoming.next().await {
            let Ok(rising) = codec::decode::<Rising>(&frame) else {
                warn!(node = %self.name(incoming.from), "a frame of this node makes no sense, its link is closed");
                return;
            };
            let Rising::Call(up) = rising else {
                served.knows(rising);
                continue;
            };
            let caught_up = served.catch_up(up.epoch).await;
            served.hear(caught_up, up);
        }
    }

    /// Hands a call to the actor of its name, which collects first if older parties may come. Who leaves
    /// for another owner although the name is mine has done so by a view that was skipped here, and will
    /// be back.
    fn deliver(&self, path: &PipePath, from: ReplyTo, call: Call) {
        if wants_all(&call) && self.moves.is_fresh(path) {
            self.collect(path);
        }
        let returns = matches!(call, Call::Withdraw { .. }) && self.is_mine(path);
        self.registry.deliver(path, from, call);
        if returns {
            self.collect(path);
        }
    }

    fn collect(&self, path: &PipePath) {
        self.registry.deliver(path, ReplyTo(self.links.own.id().0), Call::Collect);
    }

    fn is_mine(&self, path: &PipePath) -> bool {
        self.cluster.view().owner(path.as_str().as_bytes()) == Some(self.cluster.me())
    }

    /// What people call a node.
    fn name(&self, node: NodeId) -> String {
        self.cluster.view().member(node).map_or_else(String::new, |member| member.name.clone())
    }
}

impl Moves {
    /// May older parties be on their way to this name of mine?
    fn is_fresh(&self, path: &PipePath) -> bool {
        if self.cluster.is_alone() {
            return false;
        }
        let (now, view) = (Instant::now(), self.cluster.view());
        let mut takeover = self.takeover();
        // A view may be known here before this node has turned to it.
        takeover.see(now, &view);
        takeover.is_fresh(now, path.as_str().as_bytes())
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn takeover(&self) -> MutexGuard<'_, Takeover> {
        self.takeover.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn answer(&self, ReplyTo(link): ReplyTo, answer: Answer) {
        if link == self.own.id().0 {
            return self.own.send(answer);
        }
        let answer = match answer {
            Answer::Cancelled { asker, found } => {
                // Plain data, consistent between statements: a poisoned lock is usable.
                let mut told = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                let found = told.note(Instant::now(), asker, found);
                Answer::Cancelled { asker, found }
            }
            answer => answer,
        };
        self.send(link, &Down::Answer(answer));
    }

    /// A link that is lost takes nothing; its edge attaches again over the next one.
    fn send(&self, link: u64, down: &Down) {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let (Some(sender), Ok(frame)) = (others.get(&link), codec::encode(down)) {
            sender.send(frame.into());
        }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<u64, FrameSender>)) {
        change(&mut self.others.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One link of another node while it is served.
struct Served<'a> {
    owning: &'a Owning,
    from: NodeId,
    link: u64,
    /// The newest view that was waited for in vain.
    missed: u64,
}

impl<'a> Served<'a> {
    fn new(owning: &'a Owning, incoming: &Incoming) -> Self {
        let (link, from) = (incoming.id.0, incoming.from);
        owning.links.change(|links| drop(links.insert(link, incoming.sender())));
        owning.moves.takeover().linked(Instant::now());
        Self { owning, from, link, missed: 0 }
    }

    /// Waits until this node knows that view or a newer one; false if it does not in time. What has
    /// been waited for once is not waited for again.
    async fn catch_up(&mut self, epoch: u64) -> bool {
        let cluster = &self.owning.cluster;
        if cluster.view().epoch().0 >= epoch {
            return true;
        }
        let mut changes = cluster.changes();
        let newer = changes.wait_for(|view| view.epoch().0 >= epoch);
        if epoch > self.missed && matches!(timeout(HOLD_MAX, newer).await, Ok(Ok(_))) {
            return true;
        }
        self.missed = self.missed.max(epoch);
        false
    }

    /// The edge says which view it knows.
    fn knows(&self, rising: Rising) {
        if let Rising::Knows { epoch } = rising {
            let mut takeover = self.owning.moves.takeover();
            takeover.heard(Instant::now(), self.from, Epoch(epoch));
        }
    }

    fn hear(&self, caught_up: bool, Up { path, call, .. }: Up) {
        let Self { owning, link, .. } = self;
        let view = owning.cluster.view();
        match judge(caught_up, owning.is_mine(&path), &call) {
            Verdict::Deliver => owning.deliver(&path, ReplyTo(*link), call),
            Verdict::Moved(seat) => {
                owning.links.send(*link, &Down::Moved { seat, epoch: view.epoch().0 });
            }
            Verdict::Ignore => {}
        }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.owning.links.change(|links| drop(links.remove(&self.link)));
        self.owning.registry.lost(ReplyTo(self.link));
    }
}

#[cfg(test)]
mod tests;
