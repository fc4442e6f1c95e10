//! One stretch of a lane's output: preface, chunk head, data of the window, tail. Knows how it is
//! framed and how much of it is out, not where it goes.

use std::io::IoSlice;
use std::ops::Range;

use crate::flow::chunked::{CHUNK_HEAD_MAX, chunk_head};

/// How a receiver's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As it is: by a length said before, by the end of the connection, or by whoever carries it.
    Plain,
    /// HTTP/1.1 chunks, ended by the last chunk.
    Chunked,
}

/// What is to be written next of a stretch whose data is not in our memory.
pub(super) enum Next<'a> {
    /// Bytes of ours.
    Text(&'a [u8]),
    /// A part of the window.
    Data(Range<usize>),
}

/// The parts of one stretch: preface, chunk head, data, tail.
const PARTS: usize = 4;

pub(super) struct Piece {
    /// The head of the chunk, at the end of the array.
    line: [u8; CHUNK_HEAD_MAX],
    line_len: usize,
    /// Its part of the window.
    pub(super) data: Range<usize>,
    tail: &'static [u8],
    /// Bytes of all four parts that are written.
    pub(super) sent: usize,
    /// The end marker is part of it.
    pub(super) last: bool,
}

impl Piece {
    /// The stretch `data` of the window, with the end marker if it is the last one.
    pub(super) fn new(framing: Framing, data: Range<usize>, last: bool) -> Self {
        let mut piece =
            Self { line: [0; CHUNK_HEAD_MAX], line_len: 0, data, tail: b"", sent: 0, last };
        if framing == Framing::Chunked {
            let (data, tail): (bool, &'static [u8]) = match (piece.data.is_empty(), last) {
                (true, true) => (false, b"0\r\n\r\n"),
                (true, false) => (false, b""),
                (false, true) => (true, b"\r\n0\r\n\r\n"),
                (false, false) => (true, b"\r\n"),
            };
            piece.tail = tail;
            if data {
                piece.line_len = chunk_head(&mut piece.line, piece.data.len()).len();
            }
        }
        piece
    }

    /// All its bytes but those of the preface.
    pub(super) fn len(&self) -> usize {
        self.line_len + self.data.len() + self.tail.len()
    }

    /// What is to be written next, and whether something follows it; `None`: all is written.
    pub(super) fn next<'a>(&'a self, preface: &'a [u8]) -> Option<(Next<'a>, bool)> {
        let line = &self.line[CHUNK_HEAD_MAX - self.line_len..];
        let mut left = preface.len() + self.len() - self.sent;
        let next = match self.sent {
            _ if left == 0 => return None,
            at if at < preface.len() => Next::Text(&preface[at..]),
            at if at - preface.len() < line.len() => Next::Text(&line[at - preface.len()..]),
            _ if left > self.tail.len() => {
                Next::Data(self.data.end - (left - self.tail.len())..self.data.end)
            }
            _ => Next::Text(&self.tail[self.tail.len() - left..]),
        };
        left -= match &next {
            Next::Text(text) => text.len(),
            Next::Data(data) => data.len(),
        };
        Some((next, left > 0))
    }

    /// What is left to write; the first part of the pair is that many slices.
    pub(super) fn left<'a>(
        &'a self,
        preface: &'a [u8],
        window: &'a [u8],
    ) -> (usize, [IoSlice<'a>; PARTS]) {
        let parts = [
            preface,
            &self.line[CHUNK_HEAD_MAX - self.line_len..],
            &window[self.data.clone()],
            self.tail,
        ];
        let mut slices = [IoSlice::new(&[]); PARTS];
        let (mut skip, mut count) = (self.sent, 0);
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
        (count, slices)
    }
}
