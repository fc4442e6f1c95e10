//! What a [`super::rendezvous`] is made of: the places of those who wait, and the match or transfer
//! they are in. Plain data; the rules are there.

use super::rendezvous::{Millis, Output};
use super::{Answer, Failure, PartyId, ReplyTo, Role, Seat, TransferId};

/// A party at a name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Seat,
    pub(super) role: Role,
    pub(super) to: ReplyTo,
    pub(super) since: Millis,
    pub(super) phase: Phase,
    pub(super) label: Option<String>,
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
    pub(super) streaming: bool,
    /// Cancelled before its start: what everyone in it is told when it is undone.
    pub(super) doom: Option<Failure>,
    pub(super) label: Option<String>,
}

impl Match {
    /// A match of this sender.
    pub(super) fn begun(id: TransferId, Place { seat, to, label, .. }: &Place) -> Self {
        let (to, sender, label) = (*to, seat.party, label.clone());
        Self { id, to, sender, streaming: false, doom: None, label }
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
