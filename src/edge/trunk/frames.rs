//! What the two ends of a trunk say to each other, and how it is framed: a length of four bytes, then
//! the value. Knows no connections.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use hoody_pipe_cluster::codec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::flow::{Loss, Report};
use crate::pipe::{Failure, Head, PartyId, Seat};

/// Most bytes of a [`Dial`]: 256 receivers take a tenth of it.
pub const DIAL_MAX: usize = 64 << 10;

/// Most bytes of a [`Said`].
pub const SAID_MAX: usize = 64;

/// Most bytes of an [`Opened`]: the declaration comes from a head of at most 128 KiB.
pub const OPENED_MAX: usize = 256 << 10;

/// The bytes that say how long a frame is.
const LENGTH: usize = 4;

/// The first word of the receivers' side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// Whose stream it wants.
    pub sender: PartyId,
    /// All receivers of the match on this node.
    pub seats: Vec<Seat>,
    /// Grows with each dial of this trunk.
    pub attempt: u32,
    /// One of the receivers wants the bytes hashed.
    pub sha256: bool,
}

/// What becomes of the receivers behind a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// One has left.
    Lost,
    /// One took nothing for this long and was cut.
    Stalled {
        /// The limit that was passed.
        limit: Duration,
    },
    /// All that are left, so many, have everything.
    Whole {
        /// How many.
        receivers: u16,
    },
}

/// What a trunk carries, said as soon as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opened {
    /// The stream.
    Stream {
        /// The sender's declaration.
        head: Head,
        /// The public transfer id.
        id: String,
        /// The stall limit that the sender asked for.
        stall: Option<Duration>,
    },
    /// A failure before any byte.
    Failed(Failure),
}

/// It is no frame, or a longer one than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame")]
pub struct Malformed;

impl From<Said> for Report {
    fn from(said: Said) -> Self {
        match said {
            Said::Lost => Self::Lost(Loss::Left),
            Said::Stalled { limit } => Self::Lost(Loss::Stalled(limit)),
            Said::Whole { receivers } => Self::Whole(receivers),
        }
    }
}

/// The frame of a value.
///
/// # Errors
/// It is larger than anything that is ever said.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Malformed> {
    let value = codec::encode(value).map_err(|_| Malformed)?;
    let length = u32::try_from(value.len()).map_err(|_| Malformed)?;
    Ok([&length.to_be_bytes()[..], &value].concat())
}

/// Takes the next frame of at most `max` bytes off `buf`, once it is there as a whole.
///
/// # Errors
/// It is too long, or not such a value.
pub fn take<T: DeserializeOwned>(buf: &mut BytesMut, max: usize) -> Result<Option<T>, Malformed> {
    let Some(length) = buf.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > max {
        return Err(Malformed);
    }
    if buf.len() < LENGTH + length {
        return Ok(None);
    }
    buf.advance(LENGTH);
    codec::decode(&buf.split_to(length)).map(Some).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn dial(seats: u64) -> Dial {
        let party = |seq| PartyId { origin: u64::MAX, boot: u64::MAX, seq: u64::MAX - seq };
        let seats = (0..seats).map(|seq| Seat { party: party(seq), attempt: u32::MAX });
        Dial { sender: party(0), seats: seats.collect(), attempt: 1, sha256: true }
    }

    #[test]
    fn the_largest_frames_fit() {
        assert!(encode(&dial(256)).unwrap().len() < DIAL_MAX / 4);
        let stalled = Said::Stalled { limit: Duration::MAX };
        assert!(encode(&stalled).unwrap().len() <= SAID_MAX);
        let head = Head { piping: vec![vec![b'x'; 1 << 10]; 128], ..Head::default() };
        let (id, stall) = ("x".repeat(128), Some(Duration::MAX));
        let opened = Opened::Stream { head, id, stall };
        assert!(encode(&opened).unwrap().len() < OPENED_MAX);
    }

    #[test]
    fn what_is_too_long_or_no_such_value_is_malformed() {
        let mut long = BytesMut::from(&[0, 0, 0, 65][..]);
        assert_eq!(take::<Said>(&mut long, SAID_MAX), Err(Malformed), "before it has come");
        for wrong in [&[0, 0, 0, 1, 9][..], &[0, 0, 0, 0], &[0, 0, 0, 2, 0, 0]] {
            assert_eq!(take::<Said>(&mut BytesMut::from(wrong), SAID_MAX), Err(Malformed));
        }
    }

    #[test]
    fn the_bytes_of_a_frame_are_pinned() {
        let whole = encode(&Said::Whole { receivers: 3 }).unwrap();
        assert_eq!(whole, [0, 0, 0, 2, 2, 3]);
        assert_eq!(encode(&Said::Lost).unwrap(), [0, 0, 0, 1, 0]);
    }

    proptest! {
        /// However the bytes arrive, the same frames come out, and what follows them stays.
        #[test]
        fn frames_are_found_at_any_split(
            counts in prop::collection::vec(1u64..5, 1..5),
            step in 1usize..60,
        ) {
            let frames: Vec<_> = counts.into_iter().map(dial).collect();
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode(frame).unwrap()).collect();
            let (mut buf, mut found) = (BytesMut::new(), Vec::new());
            for piece in [&bytes[..], b"abc"].concat().chunks(step) {
                buf.extend_from_slice(piece);
                while found.len() < frames.len()
                    && let Some(frame) = take::<Dial>(&mut buf, DIAL_MAX).unwrap()
                {
                    found.push(frame);
                }
            }
            prop_assert_eq!(found, frames);
            prop_assert_eq!(&buf[..], b"abc");
        }
    }
}
