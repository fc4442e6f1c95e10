//! The lanes of one match at the sender's side: who is there, who is missing. Pure; the decision to
//! start or to give up falls here and nowhere else. Knows nothing of what a lane is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pipe::{Seat, TransferId};

/// How long the lanes of a match may take to arrive, and the sender to prove that it is alive.
pub const GATHER_MAX: Duration = Duration::from_secs(2);

/// For whom a lane stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// In which match.
    pub transfer: TransferId,
    /// The receivers behind the lane: one, or all those of another node.
    pub seats: Arc<[Seat]>,
    /// Grows each time that this lane is offered again.
    pub attempt: u32,
}

/// The lanes of one match before its start. Dropping it drops them: all are undone.
#[derive(Debug)]
pub struct Gather<L> {
    transfer: TransferId,
    /// The sender first, then all receivers.
    roll: Vec<Seat>,
    lanes: Vec<(Claim, L)>,
    until: Instant,
}

impl<L> Gather<L> {
    /// A match that has [`GATHER_MAX`] to get its lanes.
    pub fn new(
        now: Instant,
        transfer: TransferId,
        sender: Seat,
        receivers: impl IntoIterator<Item = Seat>,
    ) -> Self {
        let roll = std::iter::once(sender).chain(receivers).collect();
        Self { transfer, roll, lanes: Vec::new(), until: now + GATHER_MAX }
    }

    /// Which match.
    pub fn transfer(&self) -> TransferId {
        self.transfer
    }

    /// When to give up.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Takes a lane of this match, and gives back the one that it replaces: an older one for the very
    /// same receivers.
    ///
    /// # Errors
    /// The lane itself, which is not let in: it is of another match or of strangers, stands for nobody,
    /// for somebody twice, or for somebody who has a lane that is no older.
    pub fn add(&mut self, claim: Claim, lane: L) -> Result<Option<L>, L> {
        if claim.transfer != self.transfer || !self.is_invited(&claim.seats) {
            return Err(lane);
        }
        let shared = |there: &Claim| there.seats.iter().any(|seat| claim.seats.contains(seat));
        let Some(at) = self.lanes.iter().position(|(there, _)| shared(there)) else {
            self.lanes.push((claim, lane));
            return Ok(None);
        };
        let (there, _) = &self.lanes[at];
        if there.seats != claim.seats || there.attempt >= claim.attempt {
            return Err(lane);
        }
        Ok(Some(std::mem::replace(&mut self.lanes[at], (claim, lane)).1))
    }

    /// All of them receivers of this match, each once.
    fn is_invited(&self, seats: &[Seat]) -> bool {
        let known = |(i, seat)| self.roll[1..].contains(seat) && !seats[..i].contains(seat);
        !seats.is_empty() && seats.iter().enumerate().all(known)
    }

    /// Every receiver has its lane.
    pub fn is_full(&self) -> bool {
        let here: usize = self.lanes.iter().map(|(claim, _)| claim.seats.len()).sum();
        here + 1 == self.roll.len()
    }

    /// The lanes that are here.
    pub fn lanes(&self) -> impl Iterator<Item = &L> {
        self.lanes.iter().map(|(_, lane)| lane)
    }

    /// The start: everyone in it, the sender first, and the lanes.
    pub fn into_parts(self) -> (Vec<Seat>, Vec<L>) {
        (self.roll, self.lanes.into_iter().map(|(_, lane)| lane).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipe::PartyId;

    const X1: TransferId = TransferId::from_u128(1);
    const X2: TransferId = TransferId::from_u128(2);

    fn seat(seq: u64, attempt: u32) -> Seat {
        Seat { party: PartyId { origin: 0, boot: 0, seq }, attempt }
    }

    fn claim(seats: &[Seat], attempt: u32) -> Claim {
        Claim { transfer: X1, seats: seats.into(), attempt }
    }

    /// A match of sender 1 with receivers 2 (at its third attempt), 3 and 4.
    fn gather() -> Gather<&'static str> {
        Gather::new(Instant::now(), X1, seat(1, 1), [seat(2, 3), seat(3, 1), seat(4, 1)])
    }

    #[test]
    fn it_is_full_when_every_receiver_has_a_lane() {
        let mut gather = gather();
        assert_eq!(gather.add(claim(&[seat(4, 1), seat(2, 3)], 1), "two"), Ok(None));
        assert!(!gather.is_full());
        assert_eq!(gather.add(claim(&[seat(3, 1)], 0), "one"), Ok(None));
        assert!(gather.is_full());
        let (roll, lanes) = gather.into_parts();
        assert_eq!(roll, [seat(1, 1), seat(2, 3), seat(3, 1), seat(4, 1)]);
        assert_eq!(lanes, ["two", "one"]);
    }

    #[test]
    fn strangers_and_stale_lanes_are_not_let_in() {
        let mut gather = gather();
        let other = Claim { transfer: X2, ..claim(&[seat(3, 1)], 0) };
        assert_eq!(gather.add(other, "of another match"), Err("of another match"));
        for seats in [
            &[seat(5, 1)][..],
            &[seat(2, 2)],
            &[seat(1, 1)],
            &[],
            &[seat(3, 1), seat(5, 1)],
            &[seat(3, 1), seat(3, 1)],
        ] {
            assert_eq!(gather.add(claim(seats, 9), "stranger"), Err("stranger"), "{seats:?}");
        }
        assert_eq!(gather.lanes().count(), 0);
    }

    #[test]
    fn a_newer_lane_for_the_same_receivers_replaces_the_older_one() {
        let mut gather = gather();
        let both = [seat(2, 3), seat(3, 1)];
        assert_eq!(gather.add(claim(&both, 2), "second"), Ok(None));
        assert_eq!(gather.add(claim(&both, 1), "first, late"), Err("first, late"));
        assert_eq!(gather.add(claim(&both, 2), "twice"), Err("twice"));
        assert_eq!(gather.add(claim(&both, 3), "third"), Ok(Some("second")));
        assert_eq!(gather.add(claim(&both[..1], 4), "a part"), Err("a part"));
        assert_eq!(gather.lanes().collect::<Vec<_>>(), [&"third"]);
        assert!(!gather.is_full());
    }

    #[test]
    fn it_has_two_seconds() {
        let now = Instant::now();
        let gather = Gather::<()>::new(now, X1, seat(1, 1), [seat(2, 1)]);
        assert_eq!(gather.until(), now + Duration::from_secs(2));
    }

    proptest! {
        /// Whatever is offered: nobody has two lanes, and it is full exactly when all have one.
        #[test]
        fn each_receiver_has_at_most_one_lane(
            offers in prop::collection::vec((prop::collection::vec(0u64..6, 0..4), 0u32..4), 0..40),
        ) {
            let mut gather = Gather::new(Instant::now(), X1, seat(0, 1), (1..5).map(|i| seat(i, 1)));
            let mut inside = std::collections::HashMap::new();
            for (id, (seats, attempt)) in offers.into_iter().enumerate() {
                let seats: Vec<_> = seats.into_iter().map(|i| seat(i, 1)).collect();
                match gather.add(claim(&seats, attempt), id) {
                    Ok(replaced) => {
                        let new = (seats, attempt);
                        if let Some(old) = replaced.and_then(|old| inside.remove(&old)) {
                            let (old, before): (Vec<Seat>, u32) = old;
                            prop_assert!(old == new.0 && before < new.1);
                        }
                        inside.insert(id, new);
                    }
                    Err(back) => prop_assert_eq!(back, id),
                }
                let here: Vec<_> = inside.values().flat_map(|(seats, _)| seats).collect();
                let each_once = here.iter().enumerate().all(|(i, seat)| !here[..i].contains(seat));
                prop_assert!(each_once && here.iter().all(|seat| (1..5).contains(&seat.party.seq)));
                prop_assert_eq!(gather.is_full(), here.len() == 4);
                prop_assert_eq!(gather.lanes().count(), inside.len());
            }
        }
    }
}
