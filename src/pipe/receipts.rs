//! The transfer ids that senders chose: held while their transfer waits or runs, and for ten
//! minutes after (spec §16). Knows ids only, never names.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an id stays taken after its transfer has ended (spec §16).
const KEPT: Duration = Duration::from_secs(600);

/// All chosen ids of one node.
#[derive(Debug)]
pub(super) struct Receipts {
    /// Every id that is taken; `None` while its transfer lives, else the end of its receipt.
    held: HashMap<String, Option<Instant>>,
    /// Ended ones, oldest first. An id can stand here only once, since a taken one cannot be reused.
    ended: VecDeque<String>,
    /// How many ended ones are kept at most (`--max-receipts`); the oldest goes first.
    max: usize,
}

impl Receipts {
    pub(super) fn new(max: usize) -> Self {
        Self { held: HashMap::new(), ended: VecDeque::new(), max }
    }

    /// Takes this id if nobody holds it.
    pub(super) fn take(&mut self, now: Instant, id: &str) -> bool {
        self.expire(now);
        let free = !self.held.contains_key(id);
        if free {
            self.held.insert(id.to_owned(), None);
        }
        free
    }

    /// An id that was taken by a sender who was then refused.
    pub(super) fn forget(&mut self, id: &str) {
        if self.held.get(id) == Some(&None) {
            self.held.remove(id);
        }
    }

    /// The transfer of this id waits or runs; again, if its name was lost to a defect.
    pub(super) fn hold(&mut self, id: String) {
        if let Some(Some(_)) = self.held.insert(id.clone(), None) {
            self.ended.retain(|ended| *ended != id);
        }
    }

    /// The transfer of this id is over.
    pub(super) fn end(&mut self, now: Instant, id: &str) {
        let Some(slot @ None) = self.held.get_mut(id) else { return };
        *slot = Some(now + KEPT);
        self.ended.push_back(id.to_owned());
        while self.ended.len() > self.max {
            self.drop_oldest();
        }
    }

    fn expire(&mut self, now: Instant) {
        let over = |id: &String, held: &HashMap<String, Option<Instant>>| {
            held.get(id).copied().flatten().is_none_or(|until| until <= now)
        };
        while self.ended.front().is_some_and(|id| over(id, &self.held)) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(id) = self.ended.pop_front() {
            self.held.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks without taking.
    fn is_free(r: &mut Receipts, now: Instant, id: &str) -> bool {
        let free = r.take(now, id);
        if free {
            r.forget(id);
        }
        free
    }

    #[test]
    fn an_id_is_taken_until_ten_minutes_after_its_end() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        assert!(is_free(&mut r, t, "a"));
        r.hold("a".into());
        assert!(!is_free(&mut r, t + KEPT * 9, "a"), "a running transfer holds its id for ever");
        r.end(t, "a");
        assert!(!is_free(&mut r, t + KEPT - Duration::from_secs(1), "a"));
        assert!(is_free(&mut r, t + KEPT, "a"));
        assert!(r.held.is_empty() && r.ended.is_empty());
    }

    #[test]
    fn an_id_can_be_taken_up_again() {
        let (mut r, t) = (Receipts::new(1), Instant::now());
        r.hold("a".into());
        r.end(t, "a");
        r.hold("a".into());
        r.hold("b".into());
        r.end(t, "b");
        assert!(!is_free(&mut r, t + KEPT * 9, "a"), "it runs, and no other receipt drives it out");
        r.end(t, "a");
        assert!(is_free(&mut r, t + KEPT, "a") && r.held.is_empty() && r.ended.is_empty());
    }

    #[test]
    fn the_oldest_receipt_goes_first() {
        let (mut r, t) = (Receipts::new(2), Instant::now());
        for id in ["a", "b", "c"] {
            r.hold(id.into());
            r.end(t, id);
        }
        assert!(is_free(&mut r, t, "a") && !is_free(&mut r, t, "b") && !is_free(&mut r, t, "c"));
    }
}
