//! Reads one HTTP/1.1 answer after the other, piece by piece, and says where a body ends. Knows no
//! sockets, and what a body should hold only from whoever looks at the pieces.

use anyhow::{Context, Result, anyhow, bail};

/// Longest head of an answer; those of relays are under 1 KiB.
const HEAD_MAX: usize = 16 << 10;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    state: State,
    head: Vec<u8>,
    /// The status; 0 until the head is there.
    pub status: u16,
    /// Bytes of the body so far, without framing.
    pub body: u64,
    /// The server closes the connection after this answer.
    pub closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes left of a body with a length.
    Sized(u64),
    /// The body ends with the connection.
    ToEnd,
    /// The size line of a chunk: its value so far, and whether an extension has begun.
    ChunkSize(u64, bool),
    /// Bytes left of a chunk.
    Chunk(u64),
    ChunkEnd,
    /// A line after the last chunk; whether it is still empty.
    Trailer(bool),
    Done,
}

impl Answer {
    /// Before its first byte.
    pub fn new() -> Self {
        Self { state: State::Head, head: Vec::new(), status: 0, body: 0, closes: false }
    }

    /// Has it come to its end?
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of the body that come next without framing, if their number is known.
    pub fn plain(&self) -> u64 {
        match self.state {
            State::Sized(left) => left,
            _ => 0,
        }
    }

    /// So many bytes of [`Answer::plain`] were thrown away unseen.
    pub fn skipped(&mut self, bytes: u64) {
        self.take(bytes);
    }

    /// Reads on. `sink` is shown each piece of the body and the offset it is at.
    ///
    /// # Errors
    /// It is no answer, it is a refusal, or more came than belongs to it.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.read_head(bytes)?,
                State::Sized(left) | State::Chunk(left) => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    sink(self.body, &bytes[..len]);
                    self.take(len as u64);
                    &bytes[len..]
                }
                State::ToEnd => {
                    sink(self.body, bytes);
                    self.body += bytes.len() as u64;
                    &[]
                }
                State::Done => bail!("{} bytes after the end of an answer", bytes.len()),
                _ => {
                    self.state = self.framing(bytes[0])?;
                    &bytes[1..]
                }
            };
        }
        Ok(())
    }

    /// The connection was closed.
    ///
    /// # Errors
    /// The answer was not complete.
    pub fn closed(&mut self) -> Result<()> {
        match self.state {
            State::Done => Ok(()),
            State::ToEnd => {
                self.state = State::Done;
                Ok(())
            }
            _ => bail!("cut after {} bytes of the body, status {}", self.body, self.status),
        }
    }

    fn take(&mut self, bytes: u64) {
        self.body += bytes;
        self.state = match self.state {
            State::Sized(left) if left == bytes => State::Done,
            State::Sized(left) => State::Sized(left - bytes),
            State::Chunk(left) if left == bytes => State::ChunkEnd,
            State::Chunk(left) => State::Chunk(left - bytes),
            other => other,
        };
    }

    /// Takes what belongs to the head; gives the rest.
    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        let status = parsed.parse(&self.head).context("no head of an answer")?;
        let httparse::Status::Complete(length) = status else {
            return if self.head.len() > HEAD_MAX { Err(anyhow!("a long head")) } else { Ok(&[]) };
        };
        let status = parsed.code.unwrap_or(0);
        let (state, closes) = body_of(status, parsed.headers)?;
        self.head.clear();
        // What came before the final answer, like 100 Continue, has no body and is not it.
        if status >= 200 {
            (self.status, self.state, self.closes) = (status, state, closes);
        }
        if status >= 400 {
            bail!("refused with {status}");
        }
        Ok(&bytes[length - before..])
    }

    fn framing(&self, byte: u8) -> Result<State> {
        Ok(match (self.state, byte) {
            (State::ChunkSize(0, _), b'\n') => State::Trailer(true),
            (State::ChunkSize(size, _), b'\n') => State::Chunk(size),
            (State::ChunkSize(size, _), b';') => State::ChunkSize(size, true),
            (State::ChunkSize(size, false), digit) if digit != b'\r' => {
                let digit = char::from(digit).to_digit(16).context("no size of a chunk")?;
                State::ChunkSize(size << 4 | u64::from(digit), false)
            }
            (State::ChunkEnd, b'\n') => State::ChunkSize(0, false),
            (State::ChunkEnd, byte) if byte != b'\r' => bail!("no end of a chunk"),
            (State::Trailer(true), b'\n') => State::Done,
            (State::Trailer(false), b'\n') => State::Trailer(true),
            (State::Trailer(_), byte) if byte != b'\r' => State::Trailer(false),
            (same, _) => same,
        })
    }
}

/// How the body of an answer ends, and whether the connection does so too.
fn body_of(status: u16, fields: &[httparse::Header<'_>]) -> Result<(State, bool)> {
    let of = |name: &str| {
        let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok().map(str::trim)
    };
    let closes = of("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let state = match (of("content-length"), of("transfer-encoding")) {
        _ if status == 204 => State::Done,
        (_, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => State::ChunkSize(0, false),
        (Some(length), _) => match length.parse().context("no number as a length")? {
            0 => State::Done,
            length => State::Sized(length),
        },
        _ => State::ToEnd,
    };
    Ok((state, closes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<(Answer, Vec<u8>)> {
        let (mut answer, mut body) = (Answer::new(), Vec::new());
        for piece in pieces {
            answer.feed(piece, &mut |at, bytes| {
                assert_eq!(at, body.len() as u64);
                body.extend_from_slice(bytes);
            })?;
        }
        Ok((answer, body))
    }

    #[test]
    fn answers_are_read_at_every_split() {
        let sized =
            &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..];
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a\r\nlo\r\n0\r\nX: y\r\n\r\n";
        for all in [sized, chunked] {
            for split in 0..=all.len() {
                let (answer, body) = read(&[&all[..split], &all[split..]]).unwrap();
                assert!(answer.is_done() && body == b"hello", "{split}");
            }
            let (mut cut, _) = read(&[&all[..all.len() - 1]]).unwrap();
            assert!(cut.closed().is_err(), "a cut is no end");
            assert!(read(&[all, b"x"]).is_err(), "more than the answer");
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let (mut answer, body) = read(&[b"HTTP/1.1 200 OK\r\n\r\nhello"]).unwrap();
        assert!(!answer.is_done() && body == b"hello");
        assert!(answer.closed().is_ok() && answer.is_done());
    }

    #[test]
    fn refusals_are_errors() {
        let error = read(&[b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"]).unwrap_err();
        assert!(error.to_string().contains("400"));
    }
}
