//! All names of this node that somebody is at, each with its actor. Starts actors, routes calls to
//! them in order, and counts what the node's caps limit. Knows neither links nor HTTP: answers leave
//! through the `outlet` given at the start.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::Addr;

use super::actor::{Deliver, Pipe};
use super::progress::{Past, Snapshot};
use super::receipts::Receipts;
use super::rendezvous::{Millis, Output};
use super::{Answer, Call, Failure, PartyId, PipePath, PublicId, ReplyTo, Seat, TransferId};

/// Locks of the map of names. A power of two, well above the number of threads that share it.
const SHARDS: usize = 64;

/// Calls that may wait in one actor's mailbox before newcomers are turned away. Four times the
/// largest pipe; the other calls are bounded by the parties that are there.
const BACKLOG_MAX: u64 = 1024;

/// The caps of spec §20 that hold at the owner of a name.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Names in `waiting`.
    pub pending: usize,
    /// Transfers from commit until the last receiver is done.
    pub active: usize,
    /// Receipts that are kept for ten minutes.
    pub receipts: usize,
    /// Spectators of one name.
    pub spectators_per_pipe: usize,
    /// Spectators of all names.
    pub spectators: usize,
}

/// How much of what [`Caps`] limit is in use now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Names in `waiting`.
    pub waiting: usize,
    /// Transfers from commit until the last receiver is done.
    pub active: usize,
    /// Spectators.
    pub spectators: usize,
}

/// What one name has of the node's load.
pub(super) type Share = Load;

/// Where answers go. Called on the actor's thread, in order; must not block.
pub type Outlet = Arc<dyn Fn(Output) + Send + Sync>;

/// The names of this node. A cheap handle.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What the actors and the registry share.
pub(super) struct Shared {
    caps: Caps,
    /// Makes match ids; a parameter so that a test can make it fail.
    pub(super) mint: fn() -> TransferId,
    outlet: Outlet,
    started: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<PipePath, Slot>>; SHARDS],
    pub(super) gauges: Gauges,
    receipts: Mutex<Receipts>,
    panics: AtomicU64,
}

/// One name in the map.
struct Slot {
    addr: Addr<Pipe>,
    /// Calls handed to the actor so far; with `handled` it tells when its mailbox is empty.
    delivered: u64,
    handled: Arc<AtomicU64>,
}

impl Registry {
    /// No names yet. `mint` makes the ids of matches.
    pub fn new(caps: Caps, outlet: Outlet, mint: fn() -> TransferId) -> Self {
        Self(Arc::new(Shared {
            caps,
            mint,
            outlet,
            started: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            gauges: Gauges::default(),
            receipts: Mutex::new(Receipts::new(caps.receipts)),
            panics: AtomicU64::new(0),
        }))
    }

    /// Hands `call` to the actor of `path`, which is started on this thread if there is none. Calls
    /// of one caller arrive in order. Must run on a thread with an actix runtime.
    pub fn deliver(&self, path: &PipePath, from: ReplyTo, call: Call) {
        if let Err(answer) = self.0.try_deliver(path, from, call)
            && let Some(answer) = answer
        {
            self.0.emit(Output { to: from, answer });
        }
    }

    /// What is in use of what the caps limit.
    pub fn load(&self) -> Load {
        let Gauges { waiting, active, spectators } = &self.0.gauges;
        Load { waiting: waiting.get(), active: active.get(), spectators: spectators.get() }
    }

    #[cfg(test)]
    fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn names(&self) -> usize {
        self.0.shards.iter().map(|s| lock(s).len()).sum()
    }
}

impl Shared {
    fn try_deliver(
        self: &Arc<Self>,
        path: &PipePath,
        from: ReplyTo,
        call: Call,
    ) -> Result<(), Option<Answer>> {
        let arrival = is_arrival(&call);
        let mut shard = lock(self.shard(path));
        let slot = match shard.entry(path.clone()) {
            Entry::Occupied(slot) if slot.get().addr.connected() => slot.into_mut(),
            slot => {
                if let Some(answer) = self.answer_alone(path, &call) {
                    return Err(answer);
                }
                slot.insert_entry(self.start(path)).into_mut()
            }
        };
        if arrival && slot.delivered - slot.handled.load(Ordering::Acquire) >= BACKLOG_MAX {
            return Err(turned_away(&call, true));
        }
        slot.delivered += 1;
        // The mailbox is larger than any backlog: this fails only when the actor has just died.
        slot.addr
            .try_send(Deliver::new(from, call, self.clone()))
            .map_err(|e| e.into_inner().take().and_then(|call| turned_away(&call, false)))
    }

    /// Where nobody is, only an arrival or the news of a running transfer has a meaning. What is
    /// over can be told without an actor.
    fn answer_alone(&self, path: &PipePath, call: &Call) -> Option<Option<Answer>> {
        match call {
            Call::Attach(_) | Call::Cancel { .. } | Call::Ready { .. } => None,
            Call::Watch { watcher } => {
                let past = self.recall(path, None)?;
                Some(Some(Answer::Snapshot { watcher: *watcher, snapshot: Some(past.into()) }))
            }
            Call::Status { asker, transfer } => {
                let past = self.recall(path, transfer.as_ref());
                let past = past.or_else(|| transfer.is_none().then(Snapshot::idle));
                let snapshot = past.map(Arc::new);
                Some(Some(Answer::Snapshot { watcher: *asker, snapshot }))
            }
            call => Some(turned_away(call, false)),
        }
    }

    fn start(self: &Arc<Self>, path: &PipePath) -> Slot {
        let handled = Arc::new(AtomicU64::new(0));
        let addr = Pipe::launch(path.clone(), self.clone(), handled.clone());
        Slot { addr, delivered: 0, handled }
    }

    /// Forgets an idle name, unless a call is already on its way to it.
    pub(super) fn retire(&self, path: &PipePath, handled: u64) -> bool {
        let mut shard = lock(self.shard(path));
        let quiet = shard.get(path).is_none_or(|slot| slot.delivered == handled);
        if quiet {
            shard.remove(path);
        }
        quiet
    }

    pub(super) fn emit(&self, output: Output) {
        (self.outlet)(output);
    }

    pub(super) fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn may_wait(&self) -> bool {
        self.gauges.waiting.add_below(self.caps.pending)
    }

    pub(super) fn may_start(&self) -> bool {
        self.gauges.active.add_below(self.caps.active)
    }

    /// One more spectator of a name that has so many.
    pub(super) fn may_watch(&self, there: usize) -> bool {
        there < self.caps.spectators_per_pipe
            && self.gauges.spectators.add_below(self.caps.spectators)
    }

    pub(super) fn take(&self, id: &PublicId, again: bool) -> bool {
        lock(&self.receipts).take(Instant::now(), id, again)
    }

    pub(super) fn give_back(&self, id: &PublicId) {
        lock(&self.receipts).give_back(id);
    }

    pub(super) fn shelve(&self, path: &PipePath, past: Past) {
        lock(&self.receipts).add(Instant::now(), path, past);
    }

    pub(super) fn forget(&self, path: &PipePath) {
        lock(&self.receipts).forget(path);
    }

    pub(super) fn recall(&self, path: &PipePath, id: Option<&PublicId>) -> Option<Snapshot> {
        lock(&self.receipts).recall(Instant::now(), path, id)
    }

    /// One more actor was lost to a defect; how many in all.
    pub(super) fn count_panic(&self) -> u64 {
        self.panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn shard(&self, path: &PipePath) -> &Mutex<HashMap<PipePath, Slot>> {
        let hash = self.hasher.hash_one(path) as usize;
        &self.shards[hash % SHARDS]
    }
}

/// Those who come anew, and may be turned away when too many do.
fn is_arrival(call: &Call) -> bool {
    match call {
        Call::Attach(_) | Call::Cancel { .. } | Call::Status { .. } | Call::Watch { .. } => true,
        Call::Leave { .. }
        | Call::Ready { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Released { .. }
        | Call::Ended { .. }
        | Call::Unwatch { .. } => false,
    }
}

/// What the caller of a call that nobody took is told, if it waits for an answer.
pub(super) fn turned_away(call: &Call, full: bool) -> Option<Answer> {
    let alone = |party: PartyId| Seat { party, attempt: 0 };
    let unavailable = |seat| Some(Answer::Fail { seat, why: Failure::Unavailable });
    match call {
        Call::Attach(a) if full => unavailable(a.seat),
        Call::Watch { watcher } if full => unavailable(alone(*watcher)),
        Call::Attach(a) => Some(Answer::Lost { seat: a.seat }),
        Call::Watch { watcher } => Some(Answer::Lost { seat: alone(*watcher) }),
        Call::Leave { seat, ask: true, .. } => {
            Some(Answer::Left { seat: *seat, sender_there: false })
        }
        Call::Status { asker, .. } => unavailable(alone(*asker)),
        Call::Cancel { asker, .. } if full => unavailable(alone(*asker)),
        Call::Cancel { asker, .. } => Some(Answer::Cancelled { asker: *asker, found: false }),
        _ => None,
    }
}

/// The load of all names together.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    waiting: Gauge,
    active: Gauge,
    spectators: Gauge,
}

impl Gauges {
    /// Moves a name's share from what it `had` to what it `has`.
    pub(super) fn settle(&self, had: &Share, has: &Share) {
        self.waiting.settle(had.waiting, has.waiting);
        self.active.settle(had.active, has.active);
        self.spectators.settle(had.spectators, has.spectators);
    }
}

/// A number that several actors raise and lower.
#[derive(Debug, Default)]
struct Gauge(AtomicUsize);

impl Gauge {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one if that keeps the number at or below `cap`.
    fn add_below(&self, cap: usize) -> bool {
        let add = |now: usize| (now < cap).then_some(now + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add).is_ok()
    }

    /// Moves an actor's share from `had` to `has`.
    fn settle(&self, had: usize, has: usize) {
        if has > had {
            self.0.fetch_add(has - had, Ordering::AcqRel);
        } else if had > has {
            self.0.fetch_sub(had - has, Ordering::AcqRel);
        }
    }
}

/// The maps hold plain data that is consistent between statements, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
