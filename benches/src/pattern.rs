//! The bytes that are sent: a pattern in which a shift, a repeat or a gap shows. Knows nothing of who
//! carries them.

/// Bytes until the pattern repeats: a prime, so that no block size of a relay divides it.
const PERIOD: usize = 1_048_573;

/// Most bytes that [`Pattern::at`] can give at once.
pub const PIECE_MAX: usize = PERIOD;

/// The pattern, twice in a row, so that each piece is one slice.
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Makes it; always the same.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(2 * PERIOD + 8);
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        while bytes.len() < PERIOD {
            // xorshift: any generator that does not repeat within the period would do.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(PERIOD);
        bytes.extend_from_within(..);
        Self(bytes)
    }

    /// `len` bytes of the stream from `offset` on; at most [`PIECE_MAX`].
    pub fn at(&self, offset: u64, len: usize) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        &self.0[start..start + len]
    }

    /// The offset of the first of `bytes`, which arrived at `offset`, that is not what was sent.
    pub fn first_wrong(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut at = offset;
        for piece in bytes.chunks(PIECE_MAX) {
            let sent = self.at(at, piece.len());
            if piece != sent {
                let wrong = piece.iter().zip(sent).position(|(got, sent)| got != sent)?;
                return Some(at + wrong as u64);
            }
            at += piece.len() as u64;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_a_shift_and_a_repeated_block_show() {
        let pattern = Pattern::new();
        let offset = 3 * PERIOD as u64 - 7;
        let mut bytes = [pattern.at(offset, 1000), pattern.at(offset + 1000, 4000)].concat();
        assert_eq!(pattern.first_wrong(offset, &bytes), None);
        bytes[4321] ^= 1;
        assert_eq!(pattern.first_wrong(offset, &bytes), Some(offset + 4321));
        for block in [1, 4096, 65_536, 262_144, 1 << 20] {
            assert!(pattern.first_wrong(block, pattern.at(0, 4096)).is_some(), "block of {block}");
        }
    }
}
