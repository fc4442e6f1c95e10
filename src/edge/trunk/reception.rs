//! The desk of this node: a thin shell around [`crate::edge::desk`] that is asked on one thread and
//! told on others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::edge::desk::{self, Verdict};
use crate::pipe::TransferId;

type Desk = desk::Desk<oneshot::Sender<Verdict>>;

/// The desk of this node. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Reception(Arc<Mutex<Desk>>);

/// A match of a sender of this node with receivers elsewhere, as the desk knows it. Dropped before
/// [`Meeting::started`], it is undone, after it, over.
#[derive(Debug)]
pub struct Meeting {
    reception: Reception,
    transfer: TransferId,
    started: bool,
}

impl Reception {
    /// A match gathers its lanes: trunks are let in from now on.
    pub fn gathering(&self, transfer: TransferId) -> Meeting {
        let held = self.desk().gathering(Instant::now(), transfer);
        tell(held, Verdict::HandOver);
        Meeting { reception: self.clone(), transfer, started: false }
    }

    /// What a trunk is told that rings now; takes as long as it is held. Cancelled, it counts as held
    /// until its time has passed.
    pub async fn ask(&self, transfer: TransferId) -> Verdict {
        let (dial, mut answer) = oneshot::channel();
        if let Some((_, verdict)) = self.desk().dial(Instant::now(), transfer, dial) {
            return verdict;
        }
        tokio::select! {
            biased;
            verdict = &mut answer => verdict.unwrap_or(Verdict::Undone),
            () = sleep(desk::HOLD_MAX) => {
                let expired = self.desk().expire(Instant::now());
                tell(expired, Verdict::Undone);
                // It may have been handed over at the last moment.
                answer.await.unwrap_or(Verdict::Undone)
            }
        }
    }

    /// A sender of this node declines a match, unless it is in it: whoever rings for it is undone at once.
    pub fn declined(&self, transfer: TransferId) {
        let mut desk = self.desk();
        if desk.verdict(transfer) == Verdict::Undone {
            let held = desk.undone(Instant::now(), transfer);
            drop(desk);
            tell(held, Verdict::Undone);
        }
    }

    /// What a trunk is told that was let in and did not start.
    pub fn verdict(&self, transfer: TransferId) -> Verdict {
        self.desk().verdict(transfer)
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(dials: Vec<oneshot::Sender<Verdict>>, verdict: Verdict) {
    for dial in dials {
        // Whoever rang may have gone.
        let _ = dial.send(verdict);
    }
}

impl Meeting {
    /// The transfer is on: nobody is let in any more.
    pub fn started(&mut self) {
        self.started = true;
        self.reception.desk().started(self.transfer);
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let (now, mut desk) = (Instant::now(), self.reception.desk());
        if self.started {
            desk.over(now, self.transfer);
            return;
        }
        let held = desk.undone(now, self.transfer);
        drop(desk);
        tell(held, Verdict::Undone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: TransferId = TransferId::from_u128(1);

    fn run(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(test);
    }

    #[test]
    fn a_dial_hears_what_becomes_of_its_match() {
        run(async {
            let reception = Reception::default();
            let early = reception.ask(X);
            tokio::pin!(early);
            held(early.as_mut()).await;
            let mut meeting = reception.gathering(X);
            assert_eq!(early.await, Verdict::HandOver);
            assert_eq!(reception.ask(X).await, Verdict::HandOver);
            meeting.started();
            assert_eq!(reception.ask(X).await, Verdict::Late);
            drop(meeting);
            assert_eq!(reception.verdict(X), Verdict::Late);
        });
    }

    /// Rings, and is held.
    async fn held(dial: std::pin::Pin<&mut impl Future<Output = Verdict>>) {
        tokio::select! {
            biased;
            verdict = dial => panic!("{verdict:?}"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[test]
    fn what_is_declined_holds_nobody_and_undoes_nothing_that_goes_on() {
        run(async {
            let (reception, start) = (Reception::default(), tokio::time::Instant::now());
            let dial = reception.ask(X);
            tokio::pin!(dial);
            held(dial.as_mut()).await;
            reception.declined(X);
            assert_eq!(dial.await, Verdict::Undone);
            assert_eq!(reception.ask(X).await, Verdict::Undone);
            assert_eq!(start.elapsed(), std::time::Duration::ZERO, "at once");
            let mut meeting = reception.gathering(X);
            reception.declined(X);
            assert_eq!(reception.verdict(X), Verdict::HandOver);
            meeting.started();
            reception.declined(X);
            assert_eq!(reception.verdict(X), Verdict::Late);
        });
    }

    #[test]
    fn what_was_given_up_holds_nobody() {
        run(async {
            let reception = Reception::default();
            drop(reception.gathering(X));
            assert_eq!(reception.ask(X).await, Verdict::Undone);
        });
    }
}
