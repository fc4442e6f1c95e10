//! What the owner and the operators are told of a running transfer by its sender's side: how far it
//! has come, and how it ended. Knows nothing of who watches.

use std::time::{Duration, Instant};

use super::Offer;
use crate::flow::{Fanout, Source};
use crate::meter::{self, Moved};
use crate::pipe::{Call, Failure, Outcome, PublicId, Seat, TransferId};

/// The least time between two reports, and between the commit and the first one: a short transfer
/// reports nothing but its end (spec §16: every 250 ms).
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A running transfer, and what its owner knows of it.
pub(super) struct Transfer {
    pub(super) id: TransferId,
    /// Everyone in it, the sender first.
    roll: Vec<Seat>,
    /// Somebody wants the hash.
    pub(super) hashed: bool,
    began: Instant,
    /// When the owner was told last.
    last: Instant,
    told: Position,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Body bytes read.
    bytes: u64,
    /// The same bytes as receivers got them, added up.
    delivered: u64,
    /// Receivers still to get bytes.
    receivers: u16,
}

impl Position {
    /// Where a fan-out is.
    pub(super) fn of<S: Source>(fanout: &Fanout<S>) -> Self {
        let (bytes, receivers) = (fanout.total(), fanout.receivers());
        Self { bytes, delivered: fanout.delivered(), receivers }
    }

    /// Nothing has flowed to those who are there.
    pub(super) fn before_bytes(offers: &[Offer]) -> Self {
        let receivers = offers.iter().map(|offer| offer.lane.receivers()).sum();
        Self { bytes: 0, delivered: 0, receivers }
    }
}

impl Transfer {
    /// One that starts now.
    pub(super) fn begin(id: TransferId, roll: Vec<Seat>, hashed: bool) -> Self {
        let now = Instant::now();
        let told = Position { bytes: 0, delivered: 0, receivers: receivers_of(&roll) };
        Self { id, roll, hashed, began: now, last: now, told }
    }

    /// What an owner is told of it at its start.
    pub(super) fn ready(&self, total: Option<u64>, label: Option<PublicId>) -> Call {
        Call::Ready { transfer: self.id, roll: self.roll.clone(), total, label }
    }

    /// What an owner that may not know of it is told of it, `here`.
    pub(super) fn resume(
        &self,
        total: Option<u64>,
        label: Option<PublicId>,
        here: Position,
        released: bool,
    ) -> Call {
        let (transfer, roll, elapsed_ms) = (self.id, self.roll.clone(), self.elapsed_ms());
        let Position { bytes, receivers, .. } = here;
        Call::Resume { transfer, roll, total, label, elapsed_ms, bytes, receivers, released }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When this position is to be told; `None` while it is known.
    pub(super) fn report_at(&self, here: Position) -> Option<Instant> {
        (here != self.told).then(|| self.due())
    }

    /// The same for a fan-out. Asked whenever bytes have moved, so the lanes are added up only if
    /// nothing else is new.
    pub(super) fn report_of_at<S: Source>(&self, fanout: &Fanout<S>) -> Option<Instant> {
        let told = (self.told.bytes, self.told.receivers);
        if (fanout.total(), fanout.receivers()) != told {
            return Some(self.due());
        }
        self.report_at(Position::of(fanout))
    }

    fn due(&self) -> Instant {
        self.last + REPORT_EVERY
    }

    /// Counts what is new, and says what the owner is told of it, if anything.
    pub(super) fn report(&mut self, here: Position) -> Option<Call> {
        let before = self.count(here);
        let Position { bytes, receivers, .. } = here;
        let news = (bytes, receivers) != (before.bytes, before.receivers);
        news.then_some(Call::Progress { transfer: self.id, bytes, receivers })
    }

    /// Counts for the operators what has moved since the position that it returns.
    fn count(&mut self, here: Position) -> Position {
        let before = std::mem::replace(&mut self.told, here);
        self.last = Instant::now();
        let taken = here.bytes.saturating_sub(before.bytes);
        let delivered = here.delivered.saturating_sub(before.delivered);
        meter::moved(Moved { taken, delivered, hashed: if self.hashed { taken } else { 0 } });
        before
    }

    /// The end. Without a fan-out nothing has flowed; the digest of a failed transfer is nobody's.
    pub(super) fn outcome<S: Source>(
        &mut self,
        fanout: Option<&mut Fanout<S>>,
        result: Result<(), Failure>,
    ) -> Outcome {
        let (elapsed_ms, hashed) = (self.elapsed_ms(), self.hashed);
        let n = receivers_of(&self.roll);
        let (bytes, whole, receivers) = (0, 0, n);
        let none = Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest: None };
        let Some(fanout) = fanout else { return none };
        let here = Position::of(fanout);
        self.count(here);
        let Position { bytes, receivers, .. } = here;
        let digest = if none.result.is_ok() { fanout.digest() } else { None };
        Outcome { bytes, whole: fanout.whole(), receivers, digest, ..none }
    }
}

/// How many receivers are in a match with these. It has at most 256.
fn receivers_of(roll: &[Seat]) -> u16 {
    u16::try_from(roll.len().saturating_sub(1)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PartyId;

    const X: TransferId = TransferId::from_u128(1);

    /// A sender and two receivers.
    fn roll() -> Vec<Seat> {
        let party = |seq| PartyId { origin: 0, boot: 0, seq };
        (1..=3).map(|seq| Seat { party: party(seq), attempt: 1 }).collect()
    }

    #[test]
    fn what_has_not_moved_is_not_reported() {
        let mut transfer = Transfer::begin(X, roll(), false);
        let at = |bytes, receivers| Position { bytes, delivered: 0, receivers };
        assert_eq!(transfer.report_at(at(0, 2)), None);
        let began = transfer.began;
        assert_eq!(transfer.report_at(at(0, 1)), Some(began + REPORT_EVERY), "a receiver has left");
        assert_eq!(transfer.report_at(at(7, 2)), Some(began + REPORT_EVERY));
        let told = Call::Progress { transfer: X, bytes: 7, receivers: 2 };
        assert_eq!(transfer.report(at(7, 2)), Some(told));
        assert_eq!(transfer.report_at(at(7, 2)), None);
        let next = transfer.report_at(at(8, 2));
        assert!(next >= Some(Instant::now() + REPORT_EVERY - Duration::from_millis(100)));
    }

    #[test]
    fn only_what_is_new_is_counted_and_told() {
        let text = meter::counted(|| {
            let mut transfer = Transfer::begin(X, roll(), true);
            let at = |bytes, delivered, receivers| Position { bytes, delivered, receivers };
            assert_eq!(transfer.report_at(at(0, 0, 2)), None);
            for (here, told) in [
                (at(10, 10, 2), true),
                // The receivers have caught up, which is no news to those who watch.
                (at(10, 20, 2), false),
                (at(10, 20, 1), true),
                (at(30, 40, 1), true),
            ] {
                assert_eq!(transfer.report_at(here), Some(transfer.last + REPORT_EVERY));
                assert_eq!(transfer.report(here).is_some(), told, "{here:?}");
                assert_eq!(transfer.report_at(here), None);
            }
        });
        for line in
            ["transferred_bytes_total 30", "delivered_bytes_total 40", "hashed_bytes_total 30"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
