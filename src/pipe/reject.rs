//! Refusals of the owner: why a party does not get a place at a name (spec §7 step 10).

use serde::{Deserialize, Serialize};

/// Why a party was refused at the name it asked for. Nothing is registered for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reject {
    /// A transfer of that name is streaming.
    Active,
    /// A sender already waits there.
    SenderTaken,
    /// All `n` receiver slots are taken.
    SlotsFull {
        /// The number of slots.
        n: u16,
    },
    /// The party states another `n` than those who are there.
    Mismatch {
        /// What the pipe has.
        expected: u16,
        /// What the party said.
        got: u16,
    },
    /// The transfer id is held by another transfer or receipt.
    TransferTaken,
    /// Too many names are waiting on the owner.
    PendingCap,
    /// Too many spectators at the name, or on the owner.
    SpectatorCap,
}
