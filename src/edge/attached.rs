//! What a sender and a receiver have in common while they are attached: identity, inbox, timer, and
//! the place at the owner. Dropping it is leaving.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::Edge;
use super::backoff::Backoff;
use super::inbox::{Inbox, Post};
use super::party::{Act, Input, Party};
use super::wire::Up;
use crate::pipe::{Attach, Call, PartyId, PipePath, PublicId, Role, Seat};

/// How long the owner may take to say that a place is free, when a wait has passed.
const LEFT_MAX: Duration = Duration::from_secs(1);

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
    /// The owner was asked to free its place; when to stop waiting for the answer.
    leaving: Option<Instant>,
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
        let mut party = Party::new(Seat { party, attempt: 0 }, role);
        party.step(arrived, edge.view_of(&path));
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
            leaving: None,
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

    /// When its client hears that its wait has passed, if it is about to: the owner frees its place first,
    /// unless it does not answer.
    pub(super) fn leaving(&mut self) -> Option<Instant> {
        let is_leaving = self.party.is_leaving();
        is_leaving.then(|| *self.leaving.get_or_insert_with(|| Instant::now() + LEFT_MAX))
    }

    /// Says `call` to this owner; over which link, if one stands.
    pub(super) fn say(&self, owner: u64, call: Call) -> Option<u64> {
        self.edge.say(owner, Up { epoch: self.party.epoch(), path: self.path.clone(), call })
    }

    /// Says `call` to the owner in the newest view.
    pub(super) fn tell(&self, call: Call) {
        self.party.owner().map(|owner| self.say(owner, call));
    }

    /// Says `call` to every owner that was ever told of the transfer. Which of them have to answer before
    /// their word counts: those that are other nodes and to which a link stands.
    pub(super) fn tell_all(&self, call: &Call) -> Vec<u64> {
        let told = self.party.told().filter(|&owner| self.say(owner, call.clone()).is_some());
        told.filter(|&owner| !self.edge.is_me(owner)).collect()
    }

    /// Feeds the machine and does what it says towards owners, but for telling of a transfer; the rest
    /// is the caller's.
    pub(super) fn step(&mut self, input: Input) -> Vec<Act> {
        let mut acts = self.party.step(Instant::now(), input);
        self.inbox.heed(self.party.owner());
        acts.retain_mut(|act| match act {
            Act::Attach { undone, .. } => {
                let now = Instant::now();
                let pause = Some(*undone).filter(|&undone| undone > 0);
                self.retry =
                    pause.and_then(|undone| self.backoff.pause(now, undone)).map(|p| now + p);
                if self.retry.is_none() {
                    self.attach();
                }
                false
            }
            Act::Withdraw { owner, seat } => {
                self.say(*owner, Call::Withdraw { seat: *seat });
                false
            }
            Act::Leave { owner, seat, ask, why } => {
                self.retry = None;
                self.say(*owner, Call::Leave { seat: *seat, ask: *ask, why: why.take() });
                false
            }
            Act::Unready { owner, transfer } => {
                self.edge.reception().declined(*transfer);
                self.say(*owner, Call::Unready { transfer: *transfer });
                false
            }
            _ => true,
        });
        acts
    }

    /// Asks for a place, if the machine still wants one there.
    fn attach(&mut self) {
        let Some(owner) = self.party.asks() else { return };
        let seat = self.party.seat();
        let age_ms = u64::try_from(self.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (role, n, label) = (self.role, self.n, self.label.clone());
        let link = self.say(owner, Call::Attach(Attach { seat, role, n, age_ms, label }));
        let acts = self.party.step(Instant::now(), Input::Sent { link });
        debug_assert!(acts.is_empty(), "what has been sent asks for nothing");
    }

    /// What a post is to the machine; `None` if it is not for it.
    pub(super) fn input(&self, post: Post) -> Option<Input> {
        match post {
            Post::Answer(from, answer) => Some(Input::Owner { from, answer }),
            Post::Moved { from, seat, epoch } => Some(Input::Moved { from, seat, epoch }),
            Post::View => Some(self.edge.view_of(&self.path)),
            Post::LinkUp { owner, link } => Some(Input::LinkUp { owner, link }),
            Post::LinkDown { owner, link, silent } => Some(Input::LinkDown { owner, link, silent }),
            Post::Lane(_) | Post::Shutdown => None,
        }
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
            self.attach();
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.step(Input::Gone(None));
        self.edge.exit(self.id());
    }
}
