//! What a sender and a receiver have in common while they are attached: identity, inbox, timer, and
//! the place at the owner. Dropping it is leaving.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use super::Edge;
use super::backoff::Backoff;
use super::inbox::{Inbox, Post};
use super::party::{Act, Input, Party};
use crate::pipe::{Attach, Call, PartyId, PipePath, PublicId, Role, Seat};

/// One party of this node at one name.
pub(super) struct Attached {
    pub(super) edge: Edge,
    pub(super) path: PipePath,
    pub(super) n: u16,
    pub(super) party: Party,
    role: Role,
    label: Option<PublicId>,
    inbox: Arc<Inbox>,
    arrived: Instant,
    /// Attach again at this moment (back-off).
    retry: Option<Instant>,
    backoff: Backoff,
    timer: Pin<Box<Sleep>>,
}

impl Attached {
    pub(super) fn new(
        edge: Edge,
        path: PipePath,
        role: Role,
        n: u16,
        label: Option<PublicId>,
    ) -> Self {
        let (party, inbox) = edge.enter();
        let arrived = Instant::now();
        let party = Party::new(Seat { party, attempt: 0 }, role);
        let timer = Box::pin(tokio::time::sleep_until(arrived.into()));
        Self {
            edge,
            path,
            n,
            party,
            role,
            label,
            inbox,
            arrived,
            retry: None,
            backoff: Backoff::new(arrived),
            timer,
        }
    }

    pub(super) fn id(&self) -> PartyId {
        self.party.seat().party
    }

    /// When the client came.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    pub(super) fn call(&self, call: Call) {
        self.edge.call(&self.path, call);
    }

    /// Feeds the machine and does what it says towards the owner; the rest is the caller's.
    pub(super) fn step(&mut self, input: Input) -> Vec<Act> {
        let mut acts = self.party.step(input);
        acts.retain_mut(|act| match act {
            Act::Attach { seat, undone } => {
                match self.backoff.pause(Instant::now(), *undone) {
                    Some(pause) => self.retry = Some(Instant::now() + pause),
                    None => self.attach(*seat),
                }
                false
            }
            Act::Leave { seat, ask, why } => {
                self.retry = None;
                self.call(Call::Leave { seat: *seat, ask: *ask, why: why.take() });
                false
            }
            Act::Unready { transfer } => {
                self.call(Call::Unready { transfer: *transfer });
                false
            }
            _ => true,
        });
        acts
    }

    fn attach(&self, seat: Seat) {
        let age_ms = u64::try_from(self.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (role, n, label) = (self.role, self.n, self.label.clone());
        self.call(Call::Attach(Attach { seat, role, n, age_ms, label }));
    }

    pub(super) fn poll_post(&self, cx: &mut Context<'_>) -> Poll<Post> {
        self.inbox.poll_take(cx)
    }

    /// Ready when `at` has come; attaches again in between when a back-off ends.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        loop {
            let next = self.retry.map_or(at, |retry| retry.min(at));
            if self.timer.deadline() != next.into() {
                self.timer.as_mut().reset(next.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.retry.is_none_or(|retry| at <= retry) {
                return Poll::Ready(());
            }
            self.retry = None;
            self.attach(self.party.seat());
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.step(Input::Gone(None));
        self.edge.exit(self.id());
    }
}
