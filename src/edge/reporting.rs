//! What the owner is told of a running transfer by its sender's side: how far it has come, and how it
//! ended. Knows nothing of who watches.

use std::time::{Duration, Instant};

use crate::flow::{Fanout, Source};
use crate::pipe::{Call, Failure, Outcome, TransferId};

/// The least time between two reports, and between the commit and the first one: a short transfer
/// reports nothing but its end (spec §16: every 250 ms).
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A running transfer, and what its owner knows of it.
pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) n: u16,
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
    /// Receivers still to get bytes.
    receivers: u16,
}

impl Position {
    /// Where a fan-out is.
    pub(super) fn of<S: Source>(fanout: &Fanout<S>) -> Self {
        Self { bytes: fanout.total(), receivers: fanout.receivers() }
    }
}

impl Transfer {
    /// One that starts now.
    pub(super) fn begin(id: TransferId, n: u16, hashed: bool) -> Self {
        let now = Instant::now();
        Self { id, n, hashed, began: now, last: now, told: Position { bytes: 0, receivers: n } }
    }

    /// When the owner is to be told of this position; `None` while it knows.
    pub(super) fn report_at(&self, here: Position) -> Option<Instant> {
        (here != self.told).then(|| self.last + REPORT_EVERY)
    }

    /// What the owner is told now.
    pub(super) fn report(&mut self, here: Position) -> Call {
        (self.last, self.told) = (Instant::now(), here);
        let Position { bytes, receivers } = here;
        Call::Progress { transfer: self.id, bytes, receivers }
    }

    /// The end. Without a fan-out nothing has flowed; the digest of a failed transfer is nobody's.
    pub(super) fn outcome<S: Source>(
        &self,
        fanout: Option<&mut Fanout<S>>,
        result: Result<(), Failure>,
    ) -> Outcome {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Self { n, hashed, .. } = *self;
        let (bytes, whole, receivers) = (0, 0, n);
        let none = Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest: None };
        let Some(fanout) = fanout else { return none };
        let Position { bytes, receivers } = Position::of(fanout);
        let digest = if none.result.is_ok() { fanout.digest() } else { None };
        Outcome { bytes, whole: fanout.whole(), receivers, digest, ..none }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: TransferId = TransferId::from_u128(1);

    #[test]
    fn what_has_not_moved_is_not_reported() {
        let mut transfer = Transfer::begin(X, 2, false);
        let at = |bytes, receivers| Position { bytes, receivers };
        assert_eq!(transfer.report_at(at(0, 2)), None);
        let began = transfer.began;
        assert_eq!(transfer.report_at(at(0, 1)), Some(began + REPORT_EVERY), "a receiver has left");
        assert_eq!(transfer.report_at(at(7, 2)), Some(began + REPORT_EVERY));
        let told = Call::Progress { transfer: X, bytes: 7, receivers: 2 };
        assert_eq!(transfer.report(at(7, 2)), told);
        assert_eq!(transfer.report_at(at(7, 2)), None);
        let next = transfer.report_at(at(8, 2));
        assert!(next >= Some(Instant::now() + REPORT_EVERY - Duration::from_millis(100)));
    }
}
