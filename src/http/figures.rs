//! The numbers of a transfer as spectators read them: integers, and times with one decimal (spec §16).
//! Knows no JSON keys.

use serde::{Serialize, Serializer};

/// A time, written in seconds with one decimal.
#[derive(Debug, Clone, Copy)]
pub struct Seconds {
    /// In milliseconds.
    pub ms: u64,
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tenths = self.ms.saturating_add(50) / 100;
        // A double tells tenths of a second apart for millions of years.
        serializer.serialize_f64(tenths as f64 / 10.0)
    }
}

/// Bytes a second, on average.
pub fn speed(bytes: u64, elapsed_ms: u64) -> u64 {
    let speed = u128::from(bytes) * 1000 / u128::from(elapsed_ms.max(1));
    u64::try_from(speed).unwrap_or(u64::MAX)
}

/// Whole seconds to the end at that speed, rounded up; unknown without a length or while nothing moves.
pub fn eta(bytes: u64, total: Option<u64>, speed: u64) -> Option<u64> {
    let left = total?.saturating_sub(bytes);
    if left == 0 {
        return Some(0);
    }
    (speed > 0).then(|| left.div_ceil(speed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_decimal() {
        let written = |ms| serde_json::to_string(&Seconds { ms }).unwrap_or_default();
        for (ms, expected) in
            [(0, "0.0"), (49, "0.0"), (50, "0.1"), (1_049, "1.0"), (61_960, "62.0"), (300, "0.3")]
        {
            assert_eq!(written(ms), expected);
        }
    }

    #[test]
    fn speed_is_an_average() {
        assert_eq!((speed(0, 0), speed(7, 0), speed(1000, 3000)), (0, 7000, 333));
        assert_eq!(speed(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn an_eta_needs_a_length_and_a_speed() {
        assert_eq!((eta(5, None, 9), eta(5, Some(9), 0)), (None, None));
        assert_eq!((eta(0, Some(10), 3), eta(10, Some(10), 0)), (Some(4), Some(0)));
        assert_eq!(eta(11, Some(10), 3), Some(0), "more than was declared");
    }
}
