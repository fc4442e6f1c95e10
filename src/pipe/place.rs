//! What a [`super::rendezvous`] is made of: the places of those who wait, and the match or transfer
//! they are in. Plain data; the rules are there.

use super::progress::{Outcome, Running, Snapshot};
use super::rendezvous::{Millis, Output};
use super::{Answer, Failure, Notice, PartyId, PublicId, ReplyTo, Role, Seat, TransferId};

/// A party at a name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Seat,
    pub(super) role: Role,
    pub(super) to: ReplyTo,
    pub(super) since: Millis,
    pub(super) phase: Phase,
    pub(super) label: Option<PublicId>,
    /// How many receivers a sender knows of; nothing if it does not know of its place.
    pub(super) told: Option<u16>,
}

impl Place {
    /// Says this to the side of the party.
    pub(super) fn say(&self, answer: Answer) -> Output {
        Output { to: self.to, answer }
    }

    /// Tells a sender that waits here.
    pub(super) fn tell(&self, notice: Notice, out: &mut Vec<Output>) {
        out.push(self.say(Answer::Tell { party: self.seat.party, notice }));
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
    /// Is back with another `n` than that of a younger match, and waits until the name is free of it.
    Behind {
        /// The number of receivers it states.
        n: u16,
    },
    /// In the match that has begun.
    Matched,
    /// Its match was undone: kept until the party attaches again, but no longer than this.
    Expected {
        /// When it is given up.
        until: Millis,
    },
}

impl Phase {
    /// Does its party just wait, in no match?
    pub(super) fn waits(self) -> bool {
        matches!(self, Self::Parked | Self::Behind { .. })
    }

    /// With which `n` it is held back, if it is.
    pub(super) fn behind(self) -> Option<u16> {
        match self {
            Self::Behind { n } => Some(n),
            Self::Parked | Self::Matched | Self::Expected { .. } => None,
        }
    }

    /// Until when a party is expected back.
    pub(super) fn until(self) -> Option<Millis> {
        match self {
            Self::Expected { until } => Some(until),
            Self::Parked | Self::Behind { .. } | Self::Matched => None,
        }
    }
}

/// A party that was cancelled while its match was being undone: told when it comes back.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) seat: Seat,
    pub(super) to: ReplyTo,
    pub(super) why: Failure,
    /// When it is forgotten.
    pub(super) until: Millis,
}

/// A match or transfer that was cancelled and whose link was lost since: perhaps with the word of it.
#[derive(Debug)]
pub(super) struct Aborted {
    pub(super) id: TransferId,
    pub(super) why: Failure,
    /// When it is forgotten.
    pub(super) until: Millis,
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
    /// It has made way for another transfer, and its name is not free of it.
    pub(super) aside: bool,
    /// A new party came to the name since it was released: the name does not show it any more.
    pub(super) past: bool,
    /// Cancelled: what its sender's side was told, and everyone in it is when it is undone.
    pub(super) doom: Option<Failure>,
    /// The id that its sender chose; known from the commit on.
    pub(super) label: Option<PublicId>,
}

impl Match {
    /// A match of this sender.
    pub(super) fn begun(id: TransferId, Place { seat, to, .. }: &Place) -> Self {
        let (to, sender) = (*to, seat.party);
        let (aside, past) = (false, false);
        Self { id, to, sender, running: None, aside, past, doom: None, label: None }
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

    /// Its sender's side tells how far it has come: never backwards.
    pub(super) fn heard(&mut self, bytes: u64, receivers: u16) {
        if let Some(running) = &mut self.running {
            running.bytes = running.bytes.max(bytes);
            running.receivers = running.receivers.min(receivers);
        }
    }

    /// Asks the sender's side to give it up, if one of these places was in it and it has not started.
    pub(super) fn undo_without(&self, gone: &[Place]) -> Option<Output> {
        let counted = gone.iter().any(|place| place.phase == Phase::Matched);
        (counted && !self.is_streaming()).then(|| self.undo())
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

    /// Cancels it. Its sender's side may undo the match before it hears of this.
    pub(super) fn cancel(&mut self, why: Failure) -> Output {
        self.doom = Some(why.clone());
        self.hit(why)
    }
}
