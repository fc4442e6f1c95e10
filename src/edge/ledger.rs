//! What operators learn of each transfer when it is over: one count and one line of the log (spec
//! §19, §25). A name and an id that a client has chosen are told as keyed hashes only.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use tracing::info;

use super::SendWish;
use crate::meter::{self, Ending};
use crate::pipe::{Failure, Outcome, TransferId};

/// Keys the hashes of this life of the process, so that nobody can try names against a log.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Writes down how a transfer has ended that had begun. Said once for each.
pub(super) fn close(wish: &SendWish, transfer: TransferId, outcome: &Outcome) {
    let (ending, result) = match outcome.result {
        Ok(()) => (Ending::Completed, "completed"),
        Err(_) => (Ending::Failed, "failed"),
    };
    meter::transfer_ended(ending);
    let transfer = match &wish.label {
        Some(label) => format!("chosen-{}", hashed(label)),
        None => transfer.to_string(),
    };
    info!(
        transfer,
        name = hashed(wish.path.as_str()),
        result,
        reason = outcome.result.as_ref().err().map(Failure::class),
        bytes = outcome.bytes,
        whole = outcome.whole,
        n = outcome.n,
        seconds = outcome.elapsed_ms as f64 / 1000.0,
        protocol = wish.protocol,
        "transfer ended"
    );
}

/// The same text gives the same 16 digits as long as this process runs, and nothing more is told.
fn hashed(text: impl Hash) -> String {
    format!("{:016x}", KEY.hash_one(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_names_apart_and_nothing_else() {
        assert_eq!(hashed("a"), hashed("a"));
        assert_ne!(hashed("a"), hashed("b"));
        assert_eq!(hashed("long".repeat(99)).len(), 16);
    }
}
