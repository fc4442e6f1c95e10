//! Identities used at the meeting point. Opaque here: which machine an origin is, or how an answer
//! travels, is known above.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One client request for as long as it lives; unique for ever, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartyId {
    /// Where the party's client is connected.
    pub origin: u64,
    /// Which life of that place this is.
    pub boot: u64,
    /// Counts the parties of one life.
    pub seq: u64,
}

/// A party together with the attempt under which it holds a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub party: PartyId,
    /// Grows with each attach of this party; what was said under an older one is stale.
    pub attempt: u32,
}

/// One match of a sender with its receivers. A match that was undone is never revived: the next one
/// has a new id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The id by which people know a transfer: the one its sender chose, else that of its match. What is
/// spelled like an id of ours is the same id, whoever made it up.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PublicId {
    /// Spelled as a UUID in lower case.
    Uuid(TransferId),
    /// Anything else that a sender may choose.
    Text(Arc<str>),
}

impl From<&str> for PublicId {
    fn from(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(id) if id.to_string() == text => Self::Uuid(TransferId(id)),
            _ => Self::Text(text.into()),
        }
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A chosen id is part of a query, so it is hidden.
impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicId(hidden)")
    }
}

/// Where the answer to a call goes: the link it came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplyTo(pub u64);

/// What a party does at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Its body is the stream.
    Sender,
    /// It gets the stream.
    Receiver,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_is_the_same_id_when_somebody_chooses_it() {
        let ours = TransferId::random();
        assert_eq!(PublicId::from(&*ours.to_string()), PublicId::Uuid(ours));
        for text in ["run-42-of-today-", "ABCDEF00-0000-4000-8000-00000000000A"] {
            let id = PublicId::from(text);
            assert_eq!(id, PublicId::Text(text.into()));
            assert_eq!(id.to_string(), text);
        }
        let bare = ours.to_string().replace('-', "");
        assert_ne!(PublicId::from(&*bare), PublicId::Uuid(ours), "another spelling, another id");
        assert!(!format!("{:?}", PublicId::from("run-42-of-today-")).contains("run"));
    }
}
