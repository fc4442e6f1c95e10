//! Whom an owner has told that somebody was there when they ended what is at a name. Pure; knows neither
//! links nor names.
//!
//! An answer can be lost with its link. Whoever asks again finds nobody any more, and is told what it was
//! told at first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::asking::ANSWER_MAX;
use crate::pipe::PartyId;

/// How long an answer is remembered: twice as long as anybody asks.
const REMEMBERED: Duration = ANSWER_MAX.saturating_mul(2);

/// Most answers that are remembered; beyond, the oldest is forgotten. Only those to other nodes are, and
/// only those that have found somebody.
const FOUND_MAX: usize = 1024;

/// Who was told, and until when that is remembered. The oldest first.
#[derive(Debug, Default)]
pub(super) struct Found(VecDeque<(Instant, PartyId)>);

impl Found {
    /// What `asker` is told when this time somebody was found, or nobody.
    pub(super) fn note(&mut self, now: Instant, asker: PartyId, found: bool) -> bool {
        while self.0.front().is_some_and(|(until, _)| *until <= now) {
            self.0.pop_front();
        }
        if self.0.iter().any(|(_, told)| *told == asker) {
            return true;
        }
        if found {
            if self.0.len() == FOUND_MAX {
                self.0.pop_front();
            }
            self.0.push_back((now + REMEMBERED, asker));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(seq: u64) -> PartyId {
        PartyId { origin: 1, boot: 1, seq }
    }

    #[test]
    fn who_asks_again_is_told_what_it_was_told_at_first() {
        let (mut found, now) = (Found::default(), Instant::now());
        assert!(!found.note(now, asker(1), false));
        assert!(found.note(now, asker(1), true), "somebody has come meanwhile");
        assert!(found.note(now, asker(1), false));
        assert!(!found.note(now, asker(2), false), "each asks for itself");
        let later = now + REMEMBERED;
        assert!(found.note(later - Duration::from_millis(1), asker(1), false));
        assert!(!found.note(later, asker(1), false));
    }

    #[test]
    fn of_too_many_the_oldest_is_forgotten() {
        let (mut found, now) = (Found::default(), Instant::now());
        for seq in 0..=FOUND_MAX as u64 {
            assert!(found.note(now, asker(seq), true));
        }
        assert!(!found.note(now, asker(0), false) && found.note(now, asker(1), false));
        assert_eq!(found.0.len(), FOUND_MAX);
    }
}
