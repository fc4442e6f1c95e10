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

/// Where a place stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits to be matched.
    Parked,
    /// In the match that has begun.
    Matched,
    /// Its match was undone: kept until the party attaches again.
    Expected,
    /// Like `Expected`, but cancelled in between: told so when it comes.
    Doomed(Failure),
}

/// A match that has begun, or a transfer.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) id: TransferId,
    /// The link of the sender's side.
    pub(super) to: ReplyTo,
    pub(super) sender: PartyId,
    pub(super) streaming: bool,
    pub(super) label: Option<String>,
}

impl Match {
    /// Tells the sender's side to end it.
    pub(super) fn hit(&self, why: Failure) -> Output {
        let answer = Answer::Abort { transfer: self.id, sender: self.sender, why };
        Output { to: self.to, answer }
    }
}
