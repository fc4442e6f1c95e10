//! Where trunks ring at the sender's side: which of them are let in, and what the others are told.
//! Pure; `D` is whoever waits for an answer.
//!
//! A dial may be faster than the news of its match, so one that nobody has heard of is held for a
//! moment. What has started lets nobody in any more, and that is remembered for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::pipe::TransferId;

/// How long a dial waits for the news of its match.
pub const HOLD_MAX: Duration = Duration::from_secs(2);

/// How long it is remembered what became of a match. A trunk is dialled for
/// [`super::dialing::DIAL_MAX`] at most.
pub const MEMORY: Duration = Duration::from_secs(10);

/// Most dials that are held at once: each is a connection of a node of this fleet.
pub const HELD_MAX: usize = 4096;

/// Most matches that are remembered after their end; the oldest are forgotten first. One that is
/// forgotten early is told to attach again, which is safe.
pub const REMEMBERED_MAX: usize = 65_536;

/// All matches of this node that have receivers elsewhere.
#[derive(Debug)]
pub struct Desk<D> {
    known: HashMap<TransferId, Known>,
    /// What is over, by the moment of its end.
    ended: VecDeque<(Instant, TransferId)>,
    /// By the moment of their arrival.
    held: VecDeque<(Instant, TransferId, D)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Gathering,
    Started,
    /// It had started.
    Over,
    Undone,
}

/// What a dial is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its match gathers its lanes: hand it to the sender.
    HandOver,
    /// The match will not happen: attach again.
    Undone,
    /// The transfer has started without it.
    Late,
}

impl<D> Default for Desk<D> {
    fn default() -> Self {
        Self { known: HashMap::new(), ended: VecDeque::new(), held: VecDeque::new() }
    }
}

impl<D> Desk<D> {
    /// A trunk rings. `None`: it is held, and comes back from [`Desk::gathering`], [`Desk::undone`] or
    /// [`Desk::expire`].
    pub fn dial(&mut self, now: Instant, transfer: TransferId, dial: D) -> Option<(D, Verdict)> {
        self.forget(now);
        if !self.known.contains_key(&transfer) && self.held.len() < HELD_MAX {
            self.held.push_back((now, transfer, dial));
            return None;
        }
        Some((dial, self.verdict(transfer)))
    }

    /// What a trunk of this match is told that was not held, or was let in and did not start.
    pub fn verdict(&self, transfer: TransferId) -> Verdict {
        match self.known.get(&transfer) {
            Some(Known::Gathering) => Verdict::HandOver,
            Some(Known::Started | Known::Over) => Verdict::Late,
            Some(Known::Undone) | None => Verdict::Undone,
        }
    }

    /// A match gathers its lanes. Hands over the dials that were held for it.
    pub fn gathering(&mut self, now: Instant, transfer: TransferId) -> Vec<D> {
        self.forget(now);
        self.known.insert(transfer, Known::Gathering);
        self.let_go(transfer)
    }

    /// A match has become a transfer: nobody is let in any more.
    pub fn started(&mut self, transfer: TransferId) {
        self.known.insert(transfer, Known::Started);
    }

    /// A match was given up, or declined from the first. Gives back the dials that were held for it:
    /// they are undone.
    pub fn undone(&mut self, now: Instant, transfer: TransferId) -> Vec<D> {
        self.end(now, transfer, Known::Undone);
        self.let_go(transfer)
    }

    /// A transfer is over.
    pub fn over(&mut self, now: Instant, transfer: TransferId) {
        self.end(now, transfer, Known::Over);
    }

    /// The dials that nobody has asked for in time: they are undone.
    pub fn expire(&mut self, now: Instant) -> Vec<D> {
        let due = self.held.iter().take_while(|(at, ..)| *at + HOLD_MAX <= now).count();
        self.held.drain(..due).map(|(_, _, dial)| dial).collect()
    }

    /// When to call [`Desk::expire`] next; `None` while nobody is held.
    pub fn expires_at(&self) -> Option<Instant> {
        self.held.front().map(|(at, ..)| *at + HOLD_MAX)
    }

    /// Matches that are known and dials that are held.
    pub fn load(&self) -> (usize, usize) {
        (self.known.len(), self.held.len())
    }

    fn let_go(&mut self, transfer: TransferId) -> Vec<D> {
        let (mut gone, mut kept) = (Vec::new(), VecDeque::with_capacity(self.held.len()));
        for (at, x, dial) in self.held.drain(..) {
            if x == transfer { gone.push(dial) } else { kept.push_back((at, x, dial)) }
        }
        self.held = kept;
        gone
    }

    fn end(&mut self, now: Instant, transfer: TransferId, how: Known) {
        self.forget(now);
        let before = self.known.insert(transfer, how);
        if !matches!(before, Some(Known::Over | Known::Undone)) {
            self.ended.push_back((now, transfer));
        }
    }

    /// Forgets what ended long ago, and the oldest of too many.
    fn forget(&mut self, now: Instant) {
        while let Some((at, transfer)) = self.ended.front().copied() {
            if at + MEMORY > now && self.ended.len() < REMEMBERED_MAX {
                return;
            }
            self.ended.pop_front();
            self.known.remove(&transfer);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const X1: TransferId = TransferId::from_u128(1);
    const X2: TransferId = TransferId::from_u128(2);

    fn desk() -> (Desk<u32>, Instant) {
        (Desk::default(), Instant::now())
    }

    #[test]
    fn a_match_that_gathers_lets_them_in() {
        let (mut desk, now) = desk();
        assert!(desk.gathering(now, X1).is_empty());
        assert_eq!(desk.dial(now, X1, 7), Some((7, Verdict::HandOver)));
    }

    #[test]
    fn a_dial_that_is_faster_than_the_news_is_held_for_two_seconds() {
        let (mut desk, now) = desk();
        assert_eq!(desk.dial(now, X1, 1), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(desk.dial(later, X2, 2), None);
        assert_eq!(desk.expires_at(), Some(now + HOLD_MAX));
        assert_eq!(desk.gathering(later, X2), [2]);
        assert_eq!(desk.dial(later, X2, 3), Some((3, Verdict::HandOver)));
        assert!(desk.expire(later).is_empty());
        assert_eq!(desk.expire(now + HOLD_MAX), [1]);
        assert_eq!((desk.expires_at(), desk.load().1), (None, 0));
        assert_eq!(desk.verdict(X1), Verdict::Undone);
    }

    #[test]
    fn what_has_started_lets_nobody_in_and_is_remembered_for_ten_seconds() {
        let (mut desk, now) = desk();
        desk.gathering(now, X1);
        desk.started(X1);
        let hour = now + Duration::from_secs(3600);
        assert_eq!(desk.dial(hour, X1, 1), Some((1, Verdict::Late)));
        desk.over(hour, X1);
        let soon = hour + MEMORY - Duration::from_millis(1);
        assert_eq!(desk.dial(soon, X1, 2), Some((2, Verdict::Late)));
        assert_eq!(desk.dial(hour + MEMORY, X1, 3), None, "it is forgotten");
        assert_eq!(desk.load(), (0, 1));
    }

    #[test]
    fn what_was_given_up_is_undone_at_once() {
        let (mut desk, now) = desk();
        assert_eq!(desk.dial(now, X1, 1), None);
        assert_eq!(desk.undone(now, X1), [1], "a match that is declined from the first");
        assert_eq!(desk.dial(now, X1, 2), Some((2, Verdict::Undone)));
        desk.undone(now, X1);
        desk.gathering(now + MEMORY, X2);
        assert_eq!(desk.load(), (1, 0), "only what gathers is still known");
    }

    #[test]
    fn everything_is_bounded() {
        let (mut desk, now) = desk();
        for i in 0..HELD_MAX + 5 {
            let held = desk.dial(now, TransferId::from_u128(i as u128), 1).is_none();
            assert_eq!(held, i < HELD_MAX);
        }
        for i in 0..REMEMBERED_MAX + 5 {
            desk.over(now, TransferId::from_u128(i as u128));
        }
        assert!(desk.load().0 <= REMEMBERED_MAX);
    }

    proptest! {
        /// Every dial is answered exactly once, and nobody is let into what has started.
        #[test]
        fn every_dial_is_answered_once(
            steps in prop::collection::vec((0u8..6, 0u128..3, 0u64..1500), 0..80),
        ) {
            let (mut desk, mut now) = desk();
            let (mut waiting, mut started) = (std::collections::HashSet::new(), [false; 3]);
            for (id, (what, x, ms)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(ms);
                let (transfer, x) = (TransferId::from_u128(x), x as usize);
                let back = match what {
                    0 | 1 => match desk.dial(now, transfer, id as u32) {
                        Some((_, verdict)) => {
                            prop_assert!(!started[x] || verdict != Verdict::HandOver);
                            Vec::new()
                        }
                        None => {
                            waiting.insert(id as u32);
                            Vec::new()
                        }
                    },
                    2 if !started[x] => desk.gathering(now, transfer),
                    3 if desk.verdict(transfer) == Verdict::HandOver => {
                        desk.started(transfer);
                        started[x] = true;
                        Vec::new()
                    }
                    4 if !started[x] => desk.undone(now, transfer),
                    _ => desk.expire(now),
                };
                for dial in back {
                    prop_assert!(waiting.remove(&dial));
                }
            }
            let rest = desk.expire(now + HOLD_MAX);
            prop_assert_eq!(rest.into_iter().collect::<std::collections::HashSet<_>>(), waiting);
        }
    }
}
