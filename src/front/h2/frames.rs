//! The frames of an HTTP/2 connection as they pass by, in either direction: where each begins and
//! ends, and whether a client sends too many that carry nothing. Pure; reads only the nine bytes
//! before each frame, and changes none.

use std::time::{Duration, Instant};

/// Bytes before each frame: length (3), kind, flags, stream (4) (RFC 9113 §4.1).
const HEAD: usize = 9;

/// Kinds of frames (RFC 9113 §6). There are others, which mean nothing to us.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames without content that a client may send at once. Ten times what any client was seen to
/// send, and a hundredth of a second of ours.
const ALLOWED: u32 = 1000;

/// So many more are allowed each second: requests that are given up, measurements of the line.
const ALLOWED_PER_SECOND: u32 = 100;

/// And for each frame of data, either way: a client acknowledges each with up to two window updates,
/// and measures the line meanwhile.
const ALLOWED_PER_DATA: u32 = 4;

/// And one for so many bytes of it: a client may take large frames out of its window piece by piece.
const BYTES_PER_ALLOWED: u32 = 256;

/// Most that data can earn: two window updates for each KiB of 5 MiB on their way.
const EARNED_MAX: u32 = 10_000;

/// The head of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    kind: u8,
    flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    /// Bytes behind the head.
    pub len: u32,
}

/// Where in the stream of frames a byte is.
#[derive(Debug, Default)]
pub struct Scanner {
    head: [u8; HEAD],
    /// Bytes of the next head that are here.
    have: usize,
    /// The frame that is passing, and its bytes that are still to come.
    passing: Option<(Frame, usize)>,
    /// Bytes that come before the first frame.
    skip: usize,
}

/// Something that passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The head of a frame is here.
    Head(Frame),
    /// The last byte of a frame is here. Follows its head.
    Whole(Frame),
}

impl Frame {
    /// Does it end its stream in this direction?
    pub fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Bytes of a body in it, padding included.
    pub fn data(self) -> u32 {
        if self.kind == DATA { self.len } else { 0 }
    }

    /// Is it a part of the head of a request?
    pub fn is_of_head(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION)
    }

    /// Is it the last part of it?
    pub fn ends_head(self) -> bool {
        self.is_of_head() && self.flags & END_HEADERS != 0
    }

    /// Does it end its stream without a word?
    pub fn is_reset(self) -> bool {
        self.kind == RST_STREAM
    }

    /// Does it carry nothing that anybody waits for? Answers to SETTINGS and PING count too: we ask
    /// once or twice in a connection's life.
    fn is_idle(self) -> bool {
        match self.kind {
            DATA => self.len == 0 && !self.ends_stream(),
            HEADERS | CONTINUATION | GOAWAY => false,
            _ => true,
        }
    }
}

impl Scanner {
    /// Nothing has passed yet; `skip` bytes come before the first frame.
    pub fn new(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Looks at the next bytes and says what passed.
    pub fn feed(&mut self, mut bytes: &[u8], mut passed: impl FnMut(Passed)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if let Some((frame, left)) = &mut self.passing {
                let seen = (*left).min(bytes.len());
                *left -= seen;
                bytes = &bytes[seen..];
                if *left == 0 {
                    passed(Passed::Whole(*frame));
                    self.passing = None;
                }
                continue;
            }
            let more = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have == HEAD {
                self.have = 0;
                let frame = self.parse();
                passed(Passed::Head(frame));
                match frame.len {
                    0 => passed(Passed::Whole(frame)),
                    len => self.passing = Some((frame, len as usize)),
                }
            }
        }
    }

    fn parse(&self) -> Frame {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Frame { kind, flags, stream, len: u32::from_be_bytes([0, a, b, c]) }
    }
}

/// How many frames without content a client may still send.
#[derive(Debug)]
pub struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// As many as may come at once.
    pub fn new(now: Instant) -> Self {
        Self { left: ALLOWED, since: now }
    }

    /// A frame of the client has come. False: that was one too many.
    pub fn take(&mut self, now: Instant, frame: Frame) -> bool {
        self.earn(frame);
        !frame.is_idle() || self.spend(now)
    }

    /// A frame has gone to the client. Data earns; a reset counts like one of the client's, since
    /// some are the answer to its mistakes, which cost it nothing. False: that was one too many.
    pub fn give(&mut self, now: Instant, frame: Frame) -> bool {
        self.earn(frame);
        !frame.is_reset() || self.spend(now)
    }

    fn earn(&mut self, frame: Frame) {
        if frame.data() > 0 {
            let earned = ALLOWED_PER_DATA + frame.data() / BYTES_PER_ALLOWED;
            self.left = (self.left + earned).min(EARNED_MAX);
        }
    }

    fn spend(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            self.refill(now);
        }
        let enough = self.left > 0;
        self.left = self.left.saturating_sub(1);
        enough
    }

    /// What the time since the last look has earned.
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).min(Duration::from_secs(3600));
        let earned = passed.as_millis() * u128::from(ALLOWED_PER_SECOND) / 1000;
        self.left = u32::try_from(earned).unwrap_or(ALLOWED).min(ALLOWED);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
        let mut out = vec![len[1], len[2], len[3], kind, flags];
        out.extend_from_slice(&stream.to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    fn head(kind: u8, flags: u8) -> Frame {
        Frame { kind, flags, stream: 1, len: 0 }
    }

    #[test]
    fn a_frame_says_what_it_ends() {
        assert!(head(DATA, END_STREAM).ends_stream() && head(HEADERS, 5).ends_stream());
        assert!(!head(6, 1).ends_stream() && !head(CONTINUATION, 1).ends_stream());
        assert!(head(CONTINUATION, END_HEADERS).ends_head() && !head(HEADERS, 1).ends_head());
        assert_eq!(Frame { len: 7, ..head(DATA, 0) }.data(), 7);
        assert_eq!(Frame { len: 7, ..head(HEADERS, 0) }.data(), 0);
    }

    #[test]
    fn a_flood_is_found_and_a_pause_is_forgiven() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let good = |take: &mut dyn FnMut() -> bool| (0..10_000).take_while(|_| take()).count();
        let kinds = [2, 3, 4, 6, WINDOW_UPDATE, 77, DATA].map(|kind| (kind, 0));
        for (kind, flags) in kinds.into_iter().chain([(4, 1), (6, 1)]) {
            let (mut allowance, frame) = (Allowance::new(start), head(kind, flags));
            let first = good(&mut || allowance.take(start, frame));
            let second = good(&mut || allowance.take(later, frame));
            let right = (ALLOWED as usize, ALLOWED_PER_SECOND as usize);
            assert_eq!((first, second), right, "kind {kind}");
        }
        let mut allowance = Allowance::new(start);
        let reset = head(RST_STREAM, 0);
        assert_eq!(good(&mut || allowance.give(start, reset)), ALLOWED as usize);
        assert_eq!(good(&mut || allowance.give(later, reset)), ALLOWED_PER_SECOND as usize);
    }

    #[test]
    fn resets_over_a_long_life_are_no_flood() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for at in 0..100_000 {
            let now = start + Duration::from_millis(10 * at);
            assert!(allowance.give(now, head(RST_STREAM, 0)), "reset {at}");
        }
    }

    #[test]
    fn large_frames_may_be_taken_piece_by_piece() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..320 {
            assert!(allowance.give(start, Frame { len: 16 << 10, ..head(DATA, 0) }));
        }
        for at in 0..320 * 16 * 2 - 500 {
            assert!(allowance.take(start, head(WINDOW_UPDATE, 0)), "update {at}");
        }
    }

    #[test]
    fn what_belongs_to_the_traffic_is_no_flood() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..100_000 {
            assert!(allowance.take(start, head(HEADERS, 5)), "requests have their own limits");
            assert!(allowance.take(start, head(DATA, END_STREAM)));
        }
        for _ in 0..100_000 {
            assert!(allowance.give(start, Frame { len: 1, ..head(DATA, 0) }));
            assert!(allowance.give(start, head(HEADERS, 4)) && allowance.give(start, head(6, 1)));
            assert!(allowance.take(start, head(WINDOW_UPDATE, 0)));
            assert!(allowance.take(start, head(WINDOW_UPDATE, 0)));
            assert!(allowance.take(start, Frame { len: 1, ..head(DATA, 0) }));
            assert!(allowance.take(start, head(6, 0)));
        }
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0u8..12, any::<u8>(), 0u32..99, 0usize..300), 0..20),
            cuts in proptest::collection::vec(1usize..400, 1..50),
            skip in 0usize..30,
        ) {
            let mut wire = vec![0xff; skip];
            let mut expected = Vec::new();
            for (kind, flags, stream, len) in frames {
                wire.extend(frame(kind, flags, stream, &vec![7; len]));
                let frame = Frame { kind, flags, stream, len: len as u32 };
                expected.extend([Passed::Head(frame), Passed::Whole(frame)]);
            }
            let (mut scanner, mut seen, mut at) = (Scanner::new(skip), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                if at == wire.len() {
                    break;
                }
                let end = (at + cut).min(wire.len());
                scanner.feed(&wire[at..end], |passed| seen.push(passed));
                at = end;
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
