//! Identities used at the meeting point. Opaque here: which machine an origin is, or how an answer
//! travels, is known above.

use std::fmt;

use uuid::Uuid;

/// One client request for as long as it lives; unique for ever, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId {
    /// Where the party's client is connected.
    pub origin: u64,
    /// Which life of that place this is.
    pub boot: u64,
    /// Counts the parties of one life.
    pub seq: u64,
}

/// A party together with the attempt under which it holds a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub party: PartyId,
    /// Grows with each attach of this party; what was said under an older one is stale.
    pub attempt: u32,
}

/// One match of a sender with its receivers. A match that was undone is never revived: the next one
/// has a new id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransferId(Uuid);

impl TransferId {
    /// A fresh random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// A given id, for scripts and tests.
    pub const fn from_u128(id: u128) -> Self {
        Self(Uuid::from_u128(id))
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where the answer to a call goes: the link it came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyTo(pub u64);

/// What a party does at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its body is the stream.
    Sender,
    /// It gets the stream.
    Receiver,
}
