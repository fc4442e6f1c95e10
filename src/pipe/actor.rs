//! The actor of one name: a thin shell that feeds calls to its [`Rendezvous`] and sends the answers
//! out. It arranges who meets whom and never sees a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, ActorContext, Context, Handler, Message};

use super::registry::Shared;
use super::rendezvous::{Rendezvous, Room};
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

/// One call, and where its answer goes.
pub(super) struct Deliver {
    pub(super) from: ReplyTo,
    pub(super) call: Call,
}

impl Message for Deliver {
    type Result = ();
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
        let wait = self.share.0 == 1 || self.shared.may_wait();
        let start = self.shared.may_start();
        self.share = (self.share.0.max(usize::from(wait)), self.share.1 + usize::from(start));
        let label = match &call {
            Call::Attach(a) => a.label.as_deref().is_none_or(|l| self.shared.label_is_free(l)),
            _ => true,
        };
        let mint = self.shared.mint;
        let mut room = Room { wait, start, label, mint: &mut || mint() };
        let outputs = self.machine.step(self.shared.now(), from, call, &mut room);
        // What was set aside before the step and not used is given back.
        self.settle((usize::from(self.machine.is_waiting()), self.machine.active()));
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

impl Actor for Pipe {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Pipe {
    type Result = ();

    fn handle(&mut self, call: Deliver, ctx: &mut Context<Self>) {
        self.step(call.from, call.call);
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
        if std::thread::panicking() {
            self.shared.count_panic();
        }
        for output in self.machine.wreck() {
            self.shared.emit(output);
        }
    }
}
