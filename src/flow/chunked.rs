//! The framing of HTTP/1.1 chunked bodies: an incremental, strict decoder, and the head of a chunk.
//!
//! The decoder neither sees nor copies body data: it is told how much of a chunk was consumed
//! elsewhere (perhaps by the kernel) and is shown only the bytes between chunks. Knows no sockets.
//!
//! Strict, because a lenient reader next to a proxy is how requests are smuggled (spec §21, §27
//! rows 17 and 18): bare CR or LF, white space around a size, signs, prefixes are all refused.

/// Longest chunk line (size, extensions, CRLF). Real ones are under 30 bytes; extensions are only
/// skipped, so this bounds how much framing a peer can make us read for one byte of data.
pub const LINE_MAX: usize = 4 * 1024;

/// All trailer fields of one body together, counted without their LFs. They are dropped.
pub const TRAILERS_MAX: usize = 16 * 1024;

/// Most hex digits of a chunk size; 16 digits are exactly a `u64`.
const SIZE_DIGITS_MAX: usize = 16;

/// Room for the head of any chunk: 16 digits and CRLF.
pub const CHUNK_HEAD_MAX: usize = SIZE_DIGITS_MAX + 2;

/// What ends a chunked body. Nothing else may be taken for a clean end.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The body is not what RFC 9112 calls chunked, or one of the limits above was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked body")]
pub struct Malformed;

/// Follows one chunked body from its first size line to the end of its trailers.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Data bytes left in the chunk, while `state` is `Data`; before that the size read so far.
    left: u64,
    /// Bytes of the current chunk line, or of all trailers, read so far; checked against a limit.
    seen: usize,
    /// The size of the newest chunk.
    newest: u64,
}

/// What the next byte must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A hex digit or, after the first digit, what ends the size.
    Size,
    /// An extension, up to CR.
    Extension,
    /// The LF of a chunk line.
    SizeLf,
    /// Data, which is consumed elsewhere.
    Data,
    /// The CR after a chunk's data.
    DataCr,
    /// The LF after a chunk's data.
    DataLf,
    /// The first byte of a trailer line, or the CR of the empty line that ends the body.
    TrailerStart,
    /// The rest of a trailer line, up to CR.
    Trailer,
    /// The LF of a trailer line.
    TrailerLf,
    /// The very last LF.
    EndLf,
    /// Nothing: what follows is not part of this body.
    Ended,
    /// Nothing: the body was refused, and stays refused.
    Refused,
}

impl Decoder {
    /// At the start of a body.
    pub fn new() -> Decoder {
        Decoder { state: State::Size, left: 0, seen: 0, newest: 0 }
    }

    /// Data bytes left in the current chunk; 0 when framing is expected (or the body has ended).
    pub fn remaining(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// The size of the newest chunk whose size is known; 0 before the first one, and after the last.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// How many bytes lie between the data of two chunks, if the next one has a size of as many digits
    /// as the newest one. A guess.
    pub fn likely_framing(&self) -> usize {
        let digits = self.newest.checked_ilog2().map_or(1, |bits| bits as usize / 4 + 1);
        2 + digits + 2
    }

    /// `n` data bytes were consumed elsewhere; never more than [`Decoder::remaining`].
    pub fn data(&mut self, n: u64) {
        debug_assert!(n <= self.remaining(), "more data than the chunk holds");
        if self.state == State::Data {
            self.left = self.left.saturating_sub(n);
            if self.left == 0 {
                self.state = State::DataCr;
            }
        }
    }

    /// Consumes framing bytes until data is due, the body has ended, or the input is used up, and
    /// returns how many. Once it failed it fails for ever.
    pub fn framing(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.state {
                State::Data | State::Ended => return Ok(at),
                _ => self.step(byte).inspect_err(|_| self.state = State::Refused)?,
            }
        }
        if self.state == State::Refused { Err(Malformed) } else { Ok(bytes.len()) }
    }

    /// Whether all data was read and only trailers are missing.
    pub fn in_trailers(&self) -> bool {
        use State::{EndLf, Trailer, TrailerLf, TrailerStart};
        matches!(self.state, TrailerStart | Trailer | TrailerLf | EndLf)
    }

    /// Whether the last chunk and the trailers were read completely: the one clean end.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The transition function: one framing byte.
    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (State::Size, b';') if self.seen > 0 => State::Extension,
            (State::Size, b'\r') if self.seen > 0 => State::SizeLf,
            (State::Extension | State::Trailer | State::TrailerStart, _) => self.text(byte)?,
            (State::SizeLf, b'\n') => self.line_ended(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.next_line(State::Size),
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Ended,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    /// One more digit of a size. While it is read, `seen` counts the digits.
    fn digit(&mut self, byte: u8) -> Result<State, Malformed> {
        self.count(SIZE_DIGITS_MAX)?;
        let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
        self.left = (self.left << 4) | u64::from(digit);
        Ok(State::Size)
    }

    /// One byte of an extension or a trailer line: anything but control characters, up to its CR.
    fn text(&mut self, byte: u8) -> Result<State, Malformed> {
        self.count(if self.state == State::Extension { LINE_MAX } else { TRAILERS_MAX })?;
        match (byte, self.state) {
            (b'\r', State::Extension) => Ok(State::SizeLf),
            (b'\r', State::TrailerStart) => Ok(State::EndLf),
            (b'\r', _) => Ok(State::TrailerLf),
            (b'\t' | b' '..=b'~' | 0x80.., State::TrailerStart) => Ok(State::Trailer),
            (b'\t' | b' '..=b'~' | 0x80.., same) => Ok(same),
            _ => Err(Malformed),
        }
    }

    /// The chunk line is complete: data follows, or the trailers if its size is zero.
    fn line_ended(&mut self) -> State {
        self.newest = self.left;
        if self.left == 0 { self.next_line(State::TrailerStart) } else { State::Data }
    }

    fn next_line(&mut self, state: State) -> State {
        self.seen = 0;
        state
    }

    fn count(&mut self, limit: usize) -> Result<(), Malformed> {
        self.seen += 1;
        if self.seen > limit { Err(Malformed) } else { Ok(()) }
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

/// A dry run over body bytes that came together with the request head, so that a body which is
/// malformed from the start is refused with a status. What follows the end is not looked at.
pub fn validate_prefix(bytes: &[u8]) -> Result<(), Malformed> {
    let mut decoder = Decoder::new();
    let mut rest = bytes;
    while !rest.is_empty() && !decoder.ended() {
        rest = &rest[decoder.framing(rest)?..];
        let data = rest.len().min(usize::try_from(decoder.remaining()).unwrap_or(usize::MAX));
        decoder.data(data as u64);
        rest = &rest[data..];
    }
    Ok(())
}

/// Writes the head of a chunk of `len` bytes (`{len:x}` and CRLF) into `buf` and returns it.
/// `len` is never 0, which would end the body: see [`LAST_CHUNK`].
pub fn chunk_head(buf: &mut [u8; CHUNK_HEAD_MAX], len: usize) -> &[u8] {
    debug_assert!(len > 0, "an empty chunk ends the body");
    let mut at = CHUNK_HEAD_MAX - 2;
    buf[at..].copy_from_slice(b"\r\n");
    let mut left = len;
    loop {
        at -= 1;
        buf[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            return &buf[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// Feeds the pieces one after the other; gives the data, whether the body ended, and how many
    /// bytes of the input belong to it.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut decoder, mut data, mut used) = (Decoder::new(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !decoder.ended() {
                let framing = decoder.framing(rest)?;
                let take = rest.len().min(framing + decoder.remaining() as usize);
                data.extend_from_slice(&rest[framing..take]);
                decoder.data((take - framing) as u64);
                rest = &rest[take..];
                used += take;
            }
        }
        Ok((data, decoder.ended(), used))
    }

    fn encode(chunks: &[Vec<u8>]) -> Vec<u8> {
        let (mut body, mut head) = (Vec::new(), [0; CHUNK_HEAD_MAX]);
        for chunk in chunks {
            body.extend_from_slice(chunk_head(&mut head, chunk.len()));
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        [&body, LAST_CHUNK].concat()
    }

    #[test]
    fn malformed_bodies_are_refused_at_every_split() {
        let table: [&[u8]; 30] = [
            b"\r\n",
            b"\r\nhello",
            b" 5\r\nhello\r\n",
            b"\t5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5 ;a=b\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"-5\r\nhello\r\n",
            b"5_0\r\nhello\r\n",
            b"g\r\n",
            b";a=b\r\nhello\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"10000000000000000\r\n",
            b"5\nhello\r\n",
            b"5\rhello\r\n",
            b"5\r\r\nhello\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\r\n\r\n0\r\n\r\n",
            b"5;a=\0\r\nhello\r\n",
            b"5;a=\x1b\r\nhello\r\n",
            b"5;a=b\nhello\r\n",
            b"5;a=b\rhello\r\n",
            b"0\r\na: b\n\r\n",
            b"0\r\na: \0\r\n\r\n",
            b"0\r\na: b\rc\r\n\r\n",
            b"0\r\n\rX",
        ];
        for body in table {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(validate_prefix(body), Err(Malformed), "{shown:?}");
            for split in 0..=body.len() {
                let (a, b) = body.split_at(split);
                assert_eq!(decode(&[a, b]), Err(Malformed), "{shown:?} at {split}");
            }
        }
    }

    #[test]
    fn well_formed_bodies_are_read() {
        let table: [(&[u8], &[u8]); 8] = [
            (b"0\r\n\r\n", b""),
            (b"000\r\n\r\n", b""),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
            (
                b"A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
                b"0123456789\r\n\r\n\r\n\r\n\r\n",
            ),
            (b"5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n", b"hello"),
            (b"5;\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"1\r\nx\r\n0\r\nDigest: abc\r\n folded\r\nB:\r\n\r\n", b"x"),
        ];
        for (body, data) in table {
            let expected = Ok((data.to_vec(), true, body.len()));
            assert_eq!(decode(&[body]), expected, "{:?}", String::from_utf8_lossy(body));
            assert_eq!(validate_prefix(body), Ok(()));
        }
    }

    #[test]
    fn what_follows_the_end_is_left_alone() {
        assert_eq!(decode(&[b"0\r\n\r\nGET / HTTP/1.1\r\n"]), Ok((vec![], true, 5)));
        assert_eq!(validate_prefix(b"0\r\n\r\n\0\0"), Ok(()));
    }

    #[test]
    fn nothing_but_the_whole_last_chunk_is_an_end() {
        let body = b"5\r\nhello\r\n0\r\na: b\r\n\r\n";
        for cut in 0..body.len() {
            let (_, ended, _) = decode(&[&body[..cut]]).unwrap();
            assert!(!ended, "cut at {cut}");
            assert_eq!(validate_prefix(&body[..cut]), Ok(()));
        }
    }

    #[test]
    fn the_largest_size_is_a_u64() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.framing(b"ffffffffffffffff\r\n"), Ok(18));
        assert_eq!(decoder.remaining(), u64::MAX);
        decoder.data(1 << 40);
        assert_eq!(decoder.remaining(), u64::MAX - (1 << 40));
        assert_eq!(decoder.framing(b"data"), Ok(0));
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let line = |len: usize| [b"1;".as_slice(), &vec![b'x'; len], b"\r\n"].concat();
        assert!(decode(&[&line(LINE_MAX - 2)]).is_ok());
        assert_eq!(decode(&[&line(LINE_MAX)]), Err(Malformed));
        assert_eq!(decode(&[&line(64 * 1024)]), Err(Malformed));

        // Lines of 10 bytes each: the bound is on all of them together.
        let trailers =
            |n: usize| [b"0\r\n".as_slice(), &b"a: 12345\r\n".repeat(n), b"\r\n"].concat();
        assert!(decode(&[&trailers(TRAILERS_MAX / 10)]).unwrap().1);
        assert_eq!(decode(&[&trailers(TRAILERS_MAX / 10 + 200)]), Err(Malformed));
    }

    #[test]
    fn a_refused_body_stays_refused() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.framing(b"x"), Err(Malformed));
        assert_eq!(decoder.framing(b"0\r\n\r\n"), Err(Malformed));
        assert_eq!(decoder.framing(b""), Err(Malformed));
        assert!(!decoder.ended());
    }

    #[test]
    fn heads_of_chunks() {
        let mut buf = [0; CHUNK_HEAD_MAX];
        for len in [1, 9, 10, 15, 16, 255, 256, 65_536, 262_144, usize::MAX] {
            assert_eq!(chunk_head(&mut buf, len), format!("{len:x}\r\n").as_bytes());
        }
    }

    /// Cuts `body` at the given places (taken modulo its length).
    fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
        let mut places: Vec<_> = places.iter().map(|place| place % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bytes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
            places in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let body = encode(&chunks);
            let whole = Ok((chunks.concat(), true, body.len()));
            prop_assert_eq!(decode(&cut(&body, &places)), whole.clone());
            let bytes: Vec<_> = body.chunks(1).collect();
            prop_assert_eq!(decode(&bytes), whole);
        }

        #[test]
        fn garbage_gives_the_same_verdict_at_any_split(
            body in prop::collection::vec(prop::sample::select(b"\r\n0123af;x= \t\0\xff".as_slice()), 0..60),
            places in prop::collection::vec(any::<usize>(), 0..9),
        ) {
            prop_assert_eq!(decode(&cut(&body, &places)), decode(&[&body]));
            prop_assert_eq!(validate_prefix(&body).is_ok(), decode(&[&body]).is_ok());
        }
    }
}
