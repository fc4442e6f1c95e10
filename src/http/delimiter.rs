//! Searches a stream for the boundary lines of a multipart body. Knows nothing of parts.
//!
//! A boundary line is CRLF (or the start), `--`, the boundary, then `--`, or white space and CRLF.
//! The same bytes followed by anything else are data: only the whole line is a boundary.

use memchr::{memmem, memrchr};

/// What was found, its last byte used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A boundary line: another part follows.
    Open,
    /// The closing boundary, up to its `--`.
    Close,
    /// A boundary and white space, but then something else than a line end. The bytes before it
    /// may be a complete part or may not: nobody can tell.
    Broken,
}

/// Follows one body from boundary to boundary, in pieces of any size.
pub struct Boundary {
    /// CRLF, `--` and the boundary. Its first byte occurs only once in it, so that a failed match
    /// can begin again only at the byte it failed at.
    pattern: Vec<u8>,
    finder: memmem::Finder<'static>,
    state: State,
    /// Bytes of the stream that are part of the match so far, in case it fails. At most one more
    /// than `pattern` is long.
    held: Vec<u8>,
}

/// How far a match has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of the pattern; 0 is no match at all.
    Prefix(usize),
    /// The whole pattern.
    Whole,
    /// The pattern and `-`.
    Dash,
    /// The pattern and CR.
    Cr,
    /// The pattern and white space.
    Padding,
    /// The pattern, white space and CR.
    PaddingCr,
}

/// At the start of a line: as if CRLF had been matched, with nothing held.
const LINE_START: State = State::Prefix(2);

/// What one more byte makes of a match.
enum Step {
    On(State),
    Done(Found),
    Failed,
}

impl Boundary {
    /// At the start of a body, where a boundary needs no CRLF before it. `boundary` has no CR.
    pub fn new(boundary: &str) -> Boundary {
        let pattern = format!("\r\n--{boundary}").into_bytes();
        let finder = memmem::Finder::new(&pattern).into_owned();
        let held = Vec::with_capacity(pattern.len() + 1);
        Boundary { pattern, finder, state: LINE_START, held }
    }

    /// Reads up to and including the next boundary; gives how many bytes were used (all, if none
    /// was found) and stops at the first error of `sink`, which gets the bytes before the boundary.
    /// What may be the start of a boundary is withheld until it is known.
    ///
    /// The bytes after a boundary are taken for the start of a line, so one may follow at once.
    pub fn search<E>(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(usize, Option<Found>), E> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Prefix(0) {
                at += self.skim(&input[at..], sink)?;
                continue;
            }
            match self.step(byte) {
                Step::On(state) => {
                    self.hold(byte, state);
                    at += 1;
                }
                Step::Done(found) => {
                    self.held.clear();
                    self.state = LINE_START;
                    return Ok((at + 1, Some(found)));
                }
                Step::Failed => self.release(sink)?,
            }
        }
        Ok((at, None))
    }

    /// The transition function: one byte of a match that has begun.
    fn step(&self, byte: u8) -> Step {
        match (self.state, byte) {
            (State::Prefix(n), _) if byte != self.pattern[n] => Step::Failed,
            (State::Prefix(n), _) if n + 1 < self.pattern.len() => Step::On(State::Prefix(n + 1)),
            (State::Prefix(_), _) => Step::On(State::Whole),
            (State::Whole, b'-') => Step::On(State::Dash),
            (State::Whole, b'\r') => Step::On(State::Cr),
            (State::Whole | State::Padding, b' ' | b'\t') => Step::On(State::Padding),
            (State::Padding, b'\r') => Step::On(State::PaddingCr),
            (State::Dash, b'-') => Step::Done(Found::Close),
            (State::Cr | State::PaddingCr, b'\n') => Step::Done(Found::Open),
            (State::Padding | State::PaddingCr, _) => Step::Done(Found::Broken),
            (State::Whole | State::Dash | State::Cr, _) => Step::Failed,
        }
    }

    /// Keeps a byte of a match, unless the match can no longer turn out to be data.
    fn hold(&mut self, byte: u8, state: State) {
        self.state = state;
        if !matches!(state, State::Padding | State::PaddingCr) {
            self.held.push(byte);
        }
    }

    /// The match failed: what was withheld is data. The failing byte is looked at again.
    fn release<E>(&mut self, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.state = State::Prefix(0);
        if !self.held.is_empty() {
            sink(&self.held)?;
            self.held.clear();
        }
        Ok(())
    }

    /// Passes on everything before the next (possible start of a) pattern, at the speed of memory.
    fn skim<E>(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let (data, state) = match self.finder.find(input) {
            Some(at) => (at, State::Whole),
            None => {
                let partial = self.partial(input);
                (input.len() - partial, State::Prefix(partial))
            }
        };
        if data > 0 {
            sink(&input[..data])?;
        }
        let used = input.len().min(data + self.pattern.len());
        self.held.extend_from_slice(&input[data..used]);
        self.state = state;
        Ok(used)
    }

    /// How many bytes at the end of `input`, which holds no whole pattern, begin one.
    fn partial(&self, input: &[u8]) -> usize {
        let tail = &input[input.len().saturating_sub(self.pattern.len() - 1)..];
        let start = memrchr(self.pattern[0], tail).map(|at| &tail[at..]);
        start.filter(|start| self.pattern.starts_with(start)).map_or(0, <[u8]>::len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// The stretches of data and the boundaries between them, of pieces fed one by one.
    fn split(boundary: &str, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<Found>) {
        let mut search = Boundary::new(boundary);
        let (mut data, mut all) = (vec![Vec::new()], Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let last = data.last_mut().unwrap();
                let mut sink = |bytes: &[u8]| -> Result<(), Infallible> {
                    assert!(!bytes.is_empty());
                    last.extend_from_slice(bytes);
                    Ok(())
                };
                let (used, found) = search.search(rest, &mut sink).unwrap();
                rest = &rest[used..];
                if let Some(found) = found {
                    all.push(found);
                    data.push(Vec::new());
                }
            }
        }
        (data, all)
    }

    #[test]
    fn boundaries_are_told_from_look_alikes() {
        use Found::{Broken, Close, Open};
        let table: [(&str, &[&str], &[Found]); 21] = [
            ("--b\r\n", &["", ""], &[Open]),
            ("\r\n--b\r\n", &["", ""], &[Open]),
            ("--b--", &["", ""], &[Close]),
            ("x\r\n--b\r\ny\r\n--b--z", &["x", "y", "z"], &[Open, Close]),
            ("--b\r\n--b\r\n", &["", "", ""], &[Open, Open]),
            ("x\r\n--b \t \r\ny", &["x", "y"], &[Open]),
            ("x\r\n--b \r\r\n", &["x", "\n"], &[Broken]),
            ("x\r\n--b y", &["x", ""], &[Broken]),
            ("x--b\r\n", &["x--b"], &[]),
            ("x\n--b\n", &["x\n--b\n"], &[]),
            ("x\r--b\r\ny", &["x\r--b\r\ny"], &[]),
            ("x\r\n--bb\r\ny", &["x\r\n--bb\r\ny"], &[]),
            ("x\r\n--b-\r\ny", &["x\r\n--b-\r\ny"], &[]),
            ("x\r\n--b\ny", &["x\r\n--b\ny"], &[]),
            ("x\r\n--b\ry", &["x\r\n--b\ry"], &[]),
            ("x\r\n-b\r\n--c", &["x\r\n-b\r\n--c"], &[]),
            ("\r\r\n--b--", &["\r", ""], &[Close]),
            ("\r\n\r\n--b--", &["\r\n", ""], &[Close]),
            ("x\r\n--b-\r\n--b--", &["x\r\n--b-", ""], &[Close]),
            ("x\r\n--b\r\r\n--b\r\n", &["x\r\n--b\r", ""], &[Open]),
            ("--\r\n--b--", &["--", ""], &[Close]),
        ];
        for (body, data, found) in table {
            let data: Vec<_> = data.iter().map(|it| it.as_bytes().to_vec()).collect();
            let expected = (data, found.to_vec());
            assert_eq!(split("b", &[body.as_bytes()]), expected, "{body:?}");
            let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
            assert_eq!(split("b", &bytes), expected, "{body:?} byte by byte");
        }
    }

    #[test]
    fn only_the_possible_start_of_a_boundary_is_withheld() {
        let mut search = Boundary::new("bound");
        let mut got = |piece: &[u8]| {
            let mut got = Vec::new();
            let mut sink = |bytes: &[u8]| -> Result<(), Infallible> {
                got.extend_from_slice(bytes);
                Ok(())
            };
            search.search(piece, &mut sink).unwrap();
            String::from_utf8(got).unwrap()
        };
        assert_eq!(got(b"a"), "a");
        assert_eq!(got(b"b\r"), "b");
        assert_eq!(got(b"\n--bou"), "");
        assert_eq!(got(b"nd-"), "");
        assert_eq!(got(b"x\r\n"), "\r\n--bound-x");
        assert_eq!(got(b"\r"), "\r\n");
        assert_eq!(got(b"\r\ny"), "\r\r\ny");
    }

    proptest! {
        #[test]
        fn any_split_finds_the_same(
            words in prop::collection::vec(prop::sample::select(
                &["\r", "\n", "\r\n", "-", "--", "\r\n--", "a-a", "\r\n--a-a", "\r\n--a-a\r\n", " ", "x"][..]
            ), 0..30),
            places in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let body = words.concat().into_bytes();
            let mut places: Vec<_> = places.iter().map(|at| at % (body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let pieces: Vec<_> = places.windows(2).map(|two| &body[two[0]..two[1]]).collect();
            prop_assert_eq!(split("a-a", &pieces), split("a-a", &[&body]));
        }
    }
}
