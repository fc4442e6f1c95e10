//! The actor of one name: a thin shell that feeds calls to its [`Rendezvous`] and sends the answers
//! out. It arranges who meets whom and never sees a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};

use tracing::error;

use super::load::Share;
use super::progress::{Past, Snapshot};
use super::registry::{Shared, turned_away};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Call, PipePath, PublicId, ReplyTo, TransferId};

/// Room in the mailbox. Never reached: arrivals are turned away at a far smaller backlog, and each
/// party that is there has at most a handful of calls under way.
const MAILBOX: usize = 1 << 20;

/// The actor of one name. Lives from the first arrival until nobody is there.
pub(super) struct Pipe {
    path: PipePath,
    machine: Rendezvous,
    shared: Arc<Shared>,
    /// Calls handled so far, also read by the registry.
    handled: Arc<AtomicU64>,
    /// What this actor holds of the node's gauges.
    share: Share,
    /// When the machine is woken, and the timer for that.
    alarm: Option<(Millis, SpawnHandle)>,
}

/// One call on its way, and where its answer goes. One that is dropped unheard, because the actor
/// has died with it in its mailbox, is answered as if nobody were there.
pub(super) struct Deliver {
    from: ReplyTo,
    call: Option<Call>,
    shared: Arc<Shared>,
}

impl Deliver {
    pub(super) fn new(from: ReplyTo, call: Call, shared: Arc<Shared>) -> Self {
        Self { from, call: Some(call), shared }
    }

    /// The call, which has been heard now.
    pub(super) fn take(&mut self) -> Option<Call> {
        self.call.take()
    }
}

impl Message for Deliver {
    type Result = ();
}

impl Drop for Deliver {
    fn drop(&mut self) {
        if let Some(answer) = self.take().and_then(|call| turned_away(&call, false)) {
            self.shared.emit(Output { to: self.from, answer });
        }
    }
}

impl Pipe {
    /// Starts an actor on this thread.
    pub(super) fn launch(
        path: PipePath,
        shared: Arc<Shared>,
        handled: Arc<AtomicU64>,
    ) -> actix::Addr<Self> {
        let machine = Rendezvous::default();
        let mut ctx = Context::new();
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run(Self { path, machine, shared, handled, share: Share::default(), alarm: None })
    }

    /// Tells the machine something, or wakes it.
    fn step(&mut self, call: Option<(ReplyTo, Call)>) {
        let mut desk = Desk { shared: &self.shared, path: &self.path, share: &mut self.share };
        let now = self.shared.now();
        let outputs = match call {
            Some((from, call)) => self.machine.step(now, from, call, &mut desk),
            None => self.machine.wake(now, &mut desk),
        };
        self.settle(Share {
            waiting: usize::from(self.machine.is_waiting()),
            active: self.machine.active(),
            spectators: self.machine.spectators(),
        });
        for output in outputs {
            self.shared.emit(output);
        }
    }

    /// Between two steps: stops if nobody is here, and sets the alarm if somebody is waited for.
    fn rest(&mut self, ctx: &mut Context<Self>) {
        let handled = self.handled.load(Ordering::Acquire);
        if self.machine.is_idle() && self.shared.retire(&self.path, handled) {
            return ctx.stop();
        }
        let at = self.machine.wakes();
        if self.alarm.map(|(at, _)| at) == at {
            return;
        }
        if let Some((_, timer)) = self.alarm.take() {
            ctx.cancel_future(timer);
        }
        self.alarm = at.map(|at| {
            let pause = Duration::from_millis(at.saturating_sub(self.shared.now()));
            let wake = |pipe: &mut Self, ctx: &mut Context<Self>| {
                pipe.alarm = None;
                pipe.step(None);
                pipe.rest(ctx);
            };
            (at, ctx.run_later(pause, wake))
        });
    }

    fn settle(&mut self, share: Share) {
        self.shared.gauges.settle(&self.share, &share);
        self.share = share;
    }
}

/// The node as one name sees it. What the machine takes is held at once, so that even a panic in the
/// step gives it back.
struct Desk<'a> {
    shared: &'a Shared,
    path: &'a PipePath,
    share: &'a mut Share,
}

impl Room for Desk<'_> {
    fn wait(&mut self) -> bool {
        take(self.shared.may_wait(), &mut self.share.waiting)
    }

    fn start(&mut self) -> bool {
        take(self.shared.may_start(), &mut self.share.active)
    }

    fn watch(&mut self, there: usize) -> bool {
        take(self.shared.may_watch(there), &mut self.share.spectators)
    }

    fn expects(&mut self) -> bool {
        (self.shared.expects)(self.path)
    }

    fn mint(&mut self) -> TransferId {
        (self.shared.mint)()
    }

    fn take(&mut self, id: &PublicId, again: bool) -> bool {
        self.shared.take(id, again)
    }

    fn give_back(&mut self, id: &PublicId) {
        self.shared.give_back(id);
    }

    fn shelve(&mut self, past: Past) {
        self.shared.shelve(self.path, past);
    }

    fn forget(&mut self) {
        self.shared.forget(self.path);
    }

    fn recall(&mut self, id: Option<&PublicId>) -> Option<Snapshot> {
        self.shared.recall(self.path, id)
    }
}

/// Notes that one more was taken, if it was.
fn take(taken: bool, held: &mut usize) -> bool {
    *held += usize::from(taken);
    taken
}

impl Actor for Pipe {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Pipe {
    type Result = ();

    fn handle(&mut self, mut deliver: Deliver, ctx: &mut Context<Self>) {
        if let Some(call) = deliver.take() {
            self.step(Some((deliver.from, call)));
        }
        self.handled.fetch_add(1, Ordering::AcqRel);
        self.rest(ctx);
    }
}

/// A panic in a step drops the actor with parties still at it: each is told, so that the waiting
/// ones attach again and only this name is hit (spec §28 row 25).
impl Drop for Pipe {
    fn drop(&mut self) {
        self.settle(Share::default());
        for past in self.machine.ruins(self.shared.now()) {
            self.shared.shelve(&self.path, past);
        }
        if std::thread::panicking() {
            let panics = self.shared.count_panic();
            error!(panics, "the actor of a name has panicked, who waits there attaches again");
        }
        for output in self.machine.wreck() {
            self.shared.emit(output);
        }
    }
}
