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

    /// Is nobody holding this id?
    pub(super) fn is_free(&mut self, now: Instant, id: &str) -> bool {
        self.expire(now);
        !self.held.contains_key(id)
    }

    /// The transfer of this id waits or runs.
    pub(super) fn hold(&mut self, id: String) {
        self.held.entry(id).or_insert(None);
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

    #[test]
    fn an_id_is_taken_until_ten_minutes_after_its_end() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        assert!(r.is_free(t, "a"));
        r.hold("a".into());
        assert!(!r.is_free(t + KEPT * 9, "a"), "a running transfer holds its id for ever");
        r.end(t, "a");
        assert!(!r.is_free(t + KEPT - Duration::from_secs(1), "a"));
        assert!(r.is_free(t + KEPT, "a"));
        assert!(r.held.is_empty() && r.ended.is_empty());
    }

    #[test]
    fn the_oldest_receipt_goes_first() {
        let (mut r, t) = (Receipts::new(2), Instant::now());
        for id in ["a", "b", "c"] {
            r.hold(id.into());
            r.end(t, id);
        }
        assert!(r.is_free(t, "a") && !r.is_free(t, "b") && !r.is_free(t, "c"));
    }
}
