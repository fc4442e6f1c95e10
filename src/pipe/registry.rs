//! All names of this node that somebody is at, each with its actor. Starts actors, routes calls to
//! them in order, and counts what the node's caps limit. Knows neither links nor HTTP: answers leave
//! through the `outlet` given at the start.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::Addr;

use super::actor::{Deliver, Pipe};
use super::load::{Caps, Gauges, Load};
use super::progress::{Past, Snapshot};
use super::receipts::Receipts;
use super::rendezvous::{Millis, Output};
use super::{Answer, Call, Failure, PartyId, PipePath, PublicId, ReplyTo, Seat, TransferId};

/// Locks of the map of names. A power of two, well above the number of threads that share it.
const SHARDS: usize = 64;

/// What the clock shows at the start: far from zero, so that what began before this process, and is
/// told of by others, has its moment on it too.
const ORIGIN: Millis = 1 << 40;

/// Calls that may wait in one actor's mailbox before newcomers are turned away. Four times the
/// largest pipe; the other calls are bounded by the parties that are there.
const BACKLOG_MAX: u64 = 1024;

/// Whom an answer to what the node itself says would go to; there is none.
const NOBODY: ReplyTo = ReplyTo(0);

/// Where answers go. Called on the actor's thread, in order; must not block.
pub type Outlet = Arc<dyn Fn(Output) + Send + Sync>;

/// Says whether older parties may still be on their way to a name. Called on the actor's thread; must not
/// block or call back.
pub type Expects = Arc<dyn Fn(&PipePath) -> bool + Send + Sync>;

/// The names of this node. A cheap handle.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What the actors and the registry share.
pub(super) struct Shared {
    caps: Caps,
    /// Makes match ids; a parameter so that a test can make it fail.
    pub(super) mint: fn() -> TransferId,
    pub(super) expects: Expects,
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
    /// The marks of all links over which something was said to the actor.
    links: u64,
}

impl Registry {
    /// No names yet. `mint` makes the ids of matches.
    pub fn new(caps: Caps, outlet: Outlet, expects: Expects, mint: fn() -> TransferId) -> Self {
        Self(Arc::new(Shared {
            caps,
            mint,
            expects,
            outlet,
            started: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            gauges: Gauges::default(),
            receipts: Mutex::new(Receipts::new(caps.receipts)),
            panics: AtomicU64::new(0),
        }))
    }

    /// Hands `call` to the actor of `path`, which is started on this thread if there is none and the
    /// call is one that somebody has to hear. Calls of one caller arrive in order. Must run on a thread
    /// with an actix runtime. Before the first party of a name that older ones may be on their way to, or
    /// a wish to cancel or to see what is there, deliver [`Call::Collect`].
    pub fn deliver(&self, path: &PipePath, from: ReplyTo, call: Call) {
        if let Err(answer) = self.0.try_deliver(path, from, call)
            && let Some(answer) = answer
        {
            self.0.emit(Output { to: from, answer });
        }
    }

    /// A link is lost: whoever came over it has no place any more at any name. Heard after all that
    /// was delivered before.
    pub fn lost(&self, link: ReplyTo) {
        self.0.tell(link, |_, slot| slot.links & mark(link) != 0, || Call::Gone { link });
    }

    /// Names that are not to be kept live elsewhere now: who waits there is told to come anew, and should
    /// they come back they show nothing of what was over here. Heard after all that was delivered before.
    /// `keep` is asked under a lock and must not call back.
    pub fn retain(&self, keep: impl Fn(&PipePath) -> bool) {
        lock(&self.0.receipts).retain(&keep);
        self.0.tell(NOBODY, |path, _| !keep(path), || Call::Evict);
    }

    /// What is in use of what the caps limit.
    pub fn load(&self) -> Load {
        self.0.gauges.load()
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
        slot.links |= mark(from);
        self.hand_over(slot, from, call)
    }

    fn hand_over(
        self: &Arc<Self>,
        slot: &mut Slot,
        from: ReplyTo,
        call: Call,
    ) -> Result<(), Option<Answer>> {
        slot.delivered += 1;
        // The mailbox is larger than any backlog: this fails only when the actor has just died.
        slot.addr
            .try_send(Deliver::new(from, call, self.clone()))
            .map_err(|e| e.into_inner().take().and_then(|call| turned_away(&call, false)))
    }

    /// Says to each of these names what nobody waits for an answer to.
    fn tell(
        self: &Arc<Self>,
        from: ReplyTo,
        whom: impl Fn(&PipePath, &Slot) -> bool,
        call: impl Fn() -> Call,
    ) {
        for shard in &self.shards {
            for (_, slot) in lock(shard).iter_mut().filter(|(path, slot)| whom(path, slot)) {
                // An actor that has just died has lost everybody, and has told them.
                let _ = self.hand_over(slot, from, call());
            }
        }
    }

    /// Where nobody is, only an arrival, the wish to collect and the news of a running transfer have a
    /// meaning. What is over can be told without an actor.
    fn answer_alone(&self, path: &PipePath, call: &Call) -> Option<Option<Answer>> {
        match call {
            Call::Attach(_)
            | Call::Collect
            | Call::Cancel { .. }
            | Call::Ready { .. }
            | Call::Resume { .. } => None,
            Call::Watch { watcher } => {
                let (watchers, past) = (vec![*watcher], self.recall(path, None)?);
                Some(Some(Answer::Snapshot { watchers, snapshot: Some(past.into()) }))
            }
            Call::Status { asker, transfer } => {
                let past = self.recall(path, transfer.as_ref());
                let past = past.or_else(|| transfer.is_none().then(Snapshot::idle));
                let (watchers, snapshot) = (vec![*asker], past.map(Arc::new));
                Some(Some(Answer::Snapshot { watchers, snapshot }))
            }
            call => Some(turned_away(call, false)),
        }
    }

    fn start(self: &Arc<Self>, path: &PipePath) -> Slot {
        let handled = Arc::new(AtomicU64::new(0));
        let addr = Pipe::launch(path.clone(), self.clone(), handled.clone());
        Slot { addr, delivered: 0, handled, links: 0 }
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
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        ORIGIN.saturating_add(elapsed)
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

/// The mark of a link in [`Slot::links`]. Several may share one: then a name hears of the loss of a link
/// that it has never heard of.
fn mark(ReplyTo(link): ReplyTo) -> u64 {
    1 << (link % u64::from(u64::BITS))
}

/// Those who come anew, and may be turned away when too many do.
fn is_arrival(call: &Call) -> bool {
    match call {
        Call::Attach(_)
        | Call::Collect
        | Call::Cancel { .. }
        | Call::Status { .. }
        | Call::Watch { .. } => true,
        Call::Leave { .. }
        | Call::Withdraw { .. }
        | Call::Ready { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Released { .. }
        | Call::Ended { .. }
        | Call::Unwatch { .. }
        | Call::Resume { .. }
        | Call::Gone { .. }
        | Call::Evict => false,
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
        Call::Released { transfer, sender } | Call::Ended { transfer, sender, .. } => {
            Some(Answer::Freed { transfer: *transfer, sender: *sender })
        }
        Call::Leave { ask: false, .. }
        | Call::Withdraw { .. }
        | Call::Ready { .. }
        | Call::Resume { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Unwatch { .. }
        | Call::Gone { .. }
        | Call::Evict
        | Call::Collect => None,
    }
}

/// The maps hold plain data that is consistent between statements, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
