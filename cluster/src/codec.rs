//! Values to bytes and back, for frames between nodes and for the store. The only file that names
//! the codec; never used for what a client has sent.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of one value: a snapshot of the membership, with room to spare.
pub const VALUE_MAX: usize = 4 << 20;

/// The bytes are not a value of that type, or too many.
#[derive(Debug, thiserror::Error)]
#[error("not a valid frame: {0}")]
pub struct Malformed(#[from] bincode::Error);

fn options() -> impl Options {
    bincode::DefaultOptions::new().with_limit(VALUE_MAX as u64).reject_trailing_bytes()
}

/// The bytes of a value.
///
/// # Errors
/// It is larger than [`VALUE_MAX`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Malformed> {
    Ok(options().serialize(value)?)
}

/// The value that these bytes are, all of them.
///
/// # Errors
/// They are not one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    Ok(options().deserialize(bytes)?)
}
