//! What a [`super::rendezvous`] is made of: the places of those who wait, and the match or transfer
//! they are in. Plain data; the rules are there.

use super::progress::{Outcome, Running, Snapshot};
use super::rendezvous::{Millis, Output};
use super::{Answer, Failure, PartyId, PublicId, ReplyTo, Role, Seat, TransferId};

/// A party at a name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Seat,
    pub(super) role: Role,
    pub(super) to: ReplyTo,
    pub(super) since: Millis,
    pub(super) phase: Phase,
    pub(super) label: Option<PublicId>,
}

impl Place {
    /// Says this to the side of the party.
    pub(super) fn say(&self, answer: Answer) -> Output {
        Output { to: self.to, answer }
    }

    /// Tells it that its wait is over.
    pub(super) fn fail(&self, why: Failure) -> Output {
        self.say(Answer::Fail { seat: self.seat, why })
    }
}

/// Where a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits to be matched.
    Parked,
    /// In the match that has begun.
    Matched,
    /// Its match was undone: kept until the party attaches again.
    Expected,
}

/// A match that has begun, or a transfer.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) id: TransferId,
    /// The link of the sender's side.
    pub(super) to: ReplyTo,
    pub(super) sender: PartyId,
    /// Set by the commit.
    pub(super) running: Option<Running>,
    /// A new party came to the name since it was released: the name does not show it any more.
    pub(super) past: bool,
    /// Cancelled before its start: what everyone in it is told when it is undone.
    pub(super) doom: Option<Failure>,
    /// The id that its sender chose; known from the commit on.
    pub(super) label: Option<PublicId>,
}

impl Match {
    /// A match of this sender.
    pub(super) fn begun(id: TransferId, Place { seat, to, .. }: &Place) -> Self {
        let (to, sender) = (*to, seat.party);
        Self { id, to, sender, running: None, past: false, doom: None, label: None }
    }

    /// It has started.
    pub(super) fn is_streaming(&self) -> bool {
        self.running.is_some()
    }

    /// The id by which people know it.
    pub(super) fn public(&self) -> PublicId {
        self.label.clone().unwrap_or(PublicId::Uuid(self.id))
    }

    /// What there is to see of it, if it has started.
    pub(super) fn snapshot(&self, now: Millis) -> Option<Snapshot> {
        self.running.as_ref().map(|running| running.snapshot(now, self.public()))
    }

    /// What is left to see of it, if it had started.
    pub(super) fn ended(&self, outcome: Outcome) -> Option<Snapshot> {
        self.running.as_ref().map(|running| running.ended(outcome, self.public()))
    }

    /// Asks the sender's side to give it up.
    pub(super) fn undo(&self) -> Output {
        let answer = Answer::Undo { transfer: self.id, sender: self.sender };
        Output { to: self.to, answer }
    }

    /// Tells the sender's side to end it.
    pub(super) fn hit(&self, why: Failure) -> Output {
        let answer = Answer::Abort { transfer: self.id, sender: self.sender, why };
        Output { to: self.to, answer }
    }
}
