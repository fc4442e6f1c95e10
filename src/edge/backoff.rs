//! How long to wait before asking an owner again. Pure; knows nothing of who asks, or why it failed.

use std::time::{Duration, Instant};

/// The first pause, after the second failure; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Failures longer ago than this say nothing about the next one.
const CALM: Duration = Duration::from_secs(10);

/// The pauses of one party or spectator.
#[derive(Debug)]
pub struct Backoff {
    /// Failures that are forgotten.
    forgotten: u32,
    /// When it was asked last.
    last: Instant,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(now: Instant) -> Self {
        Self { forgotten: 0, last: now }
    }

    /// How long to wait before the next attempt, after so many failures in all; `None`: not at all.
    pub fn pause(&mut self, now: Instant, failures: u32) -> Option<Duration> {
        if now.saturating_duration_since(self.last) > CALM {
            self.forgotten = failures.saturating_sub(1);
        }
        let recent = failures.saturating_sub(self.forgotten);
        self.last = now;
        (recent > 1).then(|| PAUSE.saturating_mul(1 << (recent - 2).min(10)).min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_at_once_and_pauses_grow_until_it_is_calm() {
        let now = Instant::now();
        let mut backoff = Backoff::new(now);
        let ms = |pause: Option<Duration>| pause.map(|pause| pause.as_millis());
        let pauses: Vec<_> = (0..9).map(|failures| ms(backoff.pause(now, failures))).collect();
        let grown = [50, 100, 200, 400, 800, 1600, 2000].map(Some);
        assert_eq!(pauses, [&[None, None], &grown[..]].concat());
        assert_eq!(ms(backoff.pause(now + CALM, 100)), Some(2000));
        let calm = now + CALM * 2 + PAUSE;
        assert_eq!(ms(backoff.pause(calm, 101)), None);
        assert_eq!(ms(backoff.pause(calm, 102)), Some(50));
    }
}
