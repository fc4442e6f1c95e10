//! The actor of one name: a thin shell that feeds calls to its [`Rendezvous`] and sends the answers
//! out. It arranges who meets whom and never sees a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, ActorContext, Context, Handler, Message};

use tracing::error;

use super::registry::{Shared, turned_away};
use super::rendezvous::{Output, Rendezvous, Room};
use super::{Call, PipePath, ReplyTo};

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
    /// Chosen transfer ids that this name held after the last step. Nearly always empty.
    labels: Vec<String>,
    /// What this actor holds of the node's gauges: names waiting (0 or 1) and active transfers.
    share: (usize, usize),
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
        if let Some(answer) = self.take().and_then(|call| turned_away(call, false)) {
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
        ctx.run(Self { path, machine, shared, handled, labels: Vec::new(), share: (0, 0) })
    }

    fn step(&mut self, from: ReplyTo, call: Call) {
        let shared = self.shared.clone();
        let wanted = match &call {
            Call::Attach(a) => a.label.clone(),
            _ => None,
        };
        let mut taken = None;
        // What the machine takes is held at once, so that even a panic in the step gives it back.
        let (waiting, active) = (&mut self.share.0, &mut self.share.1);
        let mut room = Room {
            wait: &mut || take(shared.may_wait(), waiting),
            start: &mut || take(shared.may_start(), active),
            label: &mut || {
                taken = wanted.clone().filter(|label| shared.take_label(label));
                taken.is_some() || wanted.is_none()
            },
            mint: &mut || (shared.mint)(),
        };
        let outputs = self.machine.step(shared.now(), from, call, &mut room);
        self.settle((usize::from(self.machine.is_waiting()), self.machine.active()));
        if let Some(label) = taken.filter(|l| !self.machine.labels().any(|held| held == l)) {
            shared.forget_label(&label);
        }
        self.settle_labels();
        for output in outputs {
            self.shared.emit(output);
        }
    }

    fn settle(&mut self, share: (usize, usize)) {
        self.shared.pending.settle(self.share.0, share.0);
        self.shared.active.settle(self.share.1, share.1);
        self.share = share;
    }

    /// Chosen ids that appeared are held, those that vanished start their receipt.
    fn settle_labels(&mut self) {
        if self.labels.is_empty() && self.machine.labels().next().is_none() {
            return;
        }
        let now: Vec<String> = self.machine.labels().map(str::to_owned).collect();
        for gone in self.labels.iter().filter(|l| !now.contains(l)) {
            self.shared.end_label(gone);
        }
        for held in &now {
            self.shared.hold_label(held.clone());
        }
        self.labels = now;
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
            self.step(deliver.from, call);
        }
        let handled = self.handled.fetch_add(1, Ordering::AcqRel) + 1;
        if self.machine.is_idle() && self.shared.retire(&self.path, handled) {
            ctx.stop();
        }
    }
}

/// A panic in a step drops the actor with parties still at it: each is told, so that the waiting
/// ones attach again and only this name is hit (spec §28 row 25).
impl Drop for Pipe {
    fn drop(&mut self) {
        self.settle((0, 0));
        // A sender that comes back takes its id up again.
        self.labels.iter().for_each(|label| self.shared.end_label(label));
        if std::thread::panicking() {
            let panics = self.shared.count_panic();
            error!(panics, "the actor of a name has panicked, who waits there attaches again");
        }
        for output in self.machine.wreck() {
            self.shared.emit(output);
        }
    }
}
