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
        Self { transfer, roll, lanes, until: now + GATHER_MAX }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixStream;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::edge::Wants;
    use crate::flow::{self, Framing, LaneEnd, LaneHold};
    use crate::pipe::PartyId;

    const X1: TransferId = TransferId::from_u128(1);
    const X2: TransferId = TransferId::from_u128(2);

    fn seat(seq: u64, attempt: u32) -> Seat {
        Seat { party: PartyId { origin: 0, boot: 0, seq }, attempt }
    }

    fn offer(transfer: TransferId, seat: Seat) -> (Offer, LaneHold) {
        let (lane, hold) = flow::lane(flow::Way::socket(UnixStream::pair().unwrap().0.into()));
        let open = Box::new(|_: crate::edge::Opening<'_>| (Bytes::new(), Framing::Plain));
        (Offer { transfer, seat, lane, wants: Wants::default(), start: None, open }, hold)
    }

    /// A match of sender 1 with receivers 2 (at its third attempt) and 3.
    fn gather() -> Gather {
        Gather::new(Instant::now(), X1, seat(1, 1), vec![seat(2, 3), seat(3, 1)])
    }

    fn is_undone(hold: &mut LaneHold) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        hold.poll_ended(&mut cx) == Poll::Ready(LaneEnd::Undone)
    }

    #[test]
    fn it_is_full_when_every_receiver_has_offered_its_lane() {
        let mut gather = gather();
        let (one, mut hold_one) = offer(X1, seat(3, 1));
        let (other, mut hold_other) = offer(X1, seat(2, 3));
        gather.add(one);
        assert!(!gather.is_full());
        gather.add(other);
        assert!(gather.is_full() && !gather.is_broken());
        assert_eq!(gather.roll, [seat(1, 1), seat(2, 3), seat(3, 1)]);
        drop(gather);
        assert!(is_undone(&mut hold_one) && is_undone(&mut hold_other), "dropping it undoes all");
    }

    #[test]
    fn strangers_and_stale_lanes_are_undone() {
        let mut gather = gather();
        for (transfer, seat) in
            [(X2, seat(3, 1)), (X1, seat(4, 1)), (X1, seat(2, 2)), (X1, seat(1, 1))]
        {
            let (offer, mut hold) = offer(transfer, seat);
            gather.add(offer);
            assert!(is_undone(&mut hold), "{transfer} {seat:?}");
        }
        let (first, mut hold_first) = offer(X1, seat(3, 1));
        let (again, mut hold_again) = offer(X1, seat(3, 1));
        gather.add(first);
        gather.add(again);
        assert!(!is_undone(&mut hold_first) && is_undone(&mut hold_again));
        assert!(!gather.is_full(), "one receiver cannot stand for two");
    }

    #[test]
    fn it_is_broken_when_a_lane_closes() {
        let mut gather = gather();
        let (offer, hold) = offer(X1, seat(3, 1));
        gather.add(offer);
        assert!(!gather.is_broken());
        drop(hold);
        assert!(gather.is_broken());
    }

    #[test]
    fn it_has_two_seconds() {
        let now = Instant::now();
        let gather = Gather::new(now, X1, seat(1, 1), vec![seat(2, 1)]);
        assert_eq!(gather.until, now + Duration::from_secs(2));
    }
}
