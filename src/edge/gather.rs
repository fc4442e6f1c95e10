//! The lanes of one match at the sender's side: who is there, who is missing. Pure; the decision to
//! start or to give up falls here and nowhere else.

use std::time::{Duration, Instant};

use super::Offer;
use crate::pipe::{Seat, TransferId};

/// How long the lanes of a match may take to arrive, and the sender to prove that it is alive.
pub(super) const GATHER_MAX: Duration = Duration::from_secs(2);

/// The lanes of one match before its start. Dropping it undoes all of them.
#[derive(Debug)]
pub(super) struct Gather {
    /// Which match.
    pub(super) transfer: TransferId,
    /// The sender first, then all receivers.
    pub(super) roll: Vec<Seat>,
    /// The lanes that are here.
    pub(super) lanes: Vec<Offer>,
    /// When to give up.
    pub(super) until: Instant,
    /// The sender has acknowledged what it was told.
    pub(super) confirmed: bool,
}

impl Gather {
    pub(super) fn new(
        now: Instant,
        transfer: TransferId,
        sender: Seat,
        receivers: Vec<Seat>,
    ) -> Self {
        let mut roll = Vec::with_capacity(receivers.len() + 1);
        roll.push(sender);
        roll.extend(receivers);
        let lanes = Vec::with_capacity(roll.len() - 1);
        Self { transfer, roll, lanes, until: now + GATHER_MAX, confirmed: false }
    }

    /// Takes a lane of this match. One of another match, or of a stranger, is dropped: undone.
    pub(super) fn add(&mut self, offer: Offer) {
        let invited = offer.transfer == self.transfer && self.roll[1..].contains(&offer.seat);
        let twice = self.lanes.iter().any(|lane| lane.seat == offer.seat);
        if invited && !twice {
            self.lanes.push(offer);
        }
    }

    /// All `n` lanes are here.
    pub(super) fn is_full(&self) -> bool {
        self.lanes.len() + 1 == self.roll.len()
    }

    /// A lane closed before the start: this match cannot happen any more.
    pub(super) fn is_broken(&self) -> bool {
        self.lanes.iter().any(|offer| offer.lane.is_gone())
    }

    /// Every client is there at this moment, as far as the kernel knows.
    pub(super) fn is_alive(&self) -> bool {
        self.lanes.iter().all(|offer| offer.lane.is_there())
    }
}
