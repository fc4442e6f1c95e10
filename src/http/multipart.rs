//! Finds the one usable part of a multipart/form-data body, piece by piece (spec §14).
//!
//! Push style: the caller feeds body bytes as they come and gets events in order. Knows no sockets
//! and no timers; holds at most one part head, one text field and the start of a boundary.

use memchr::{memchr, memmem};

use super::delimiter::{Boundary, Found};
use super::disposition::names_a_file;
use super::field::{parameter, without_controls};
use super::headers::part_head;
use crate::pipe::{Head, MultipartFault};

/// Most bytes before the first boundary (spec §14). Browsers and curl send none.
pub const PREAMBLE_MAX: usize = 64 * 1024;

/// Largest head of a part (spec §14).
pub const PART_HEAD_MAX: usize = 16 * 1024;

/// Most parts that are read and dropped before the usable one (spec §14).
pub const DROPPED_PARTS_MAX: usize = 1_000;

/// Largest text field, which is held in memory (spec §14).
pub const TEXT_MAX: usize = 1024 * 1024;

/// The field whose text is sent when there is no file.
const TEXT_FIELD: &[u8] = b"input_text";

/// What the caller learns, always in this order: one `Part`, any number of `Data`, one `End`.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The usable part begins.
    Part(Head),
    /// Bytes of it, never empty: a slice of the input, or a few bytes that had been withheld because
    /// they looked like the start of a boundary, or the whole text field (at most 1 MiB).
    Data(&'a [u8]),
    /// Its end boundary was read: the transfer is complete and all further input is ignored.
    End,
}

/// Reads one body. After a fault it must not be fed again.
pub struct Parser {
    /// What the request head said; a part takes its metadata from it.
    request: Head,
    boundary: Boundary,
    place: Place,
    /// The first text field, once it was read completely.
    text: Option<Vec<u8>>,
    /// Parts that have ended and were not the usable one.
    dropped: usize,
}

/// Where in the envelope the next byte is.
enum Place {
    /// In something that the next boundary ends.
    Content(Content),
    /// In the head of a part, which is collected here up to its blank line.
    PartHead(Vec<u8>),
    /// Nothing is of interest any more.
    Over,
}

/// What the bytes before the next boundary are.
enum Content {
    /// Text before the first boundary, so many bytes of it.
    Preamble(usize),
    /// A part that is not wanted.
    Dropped,
    /// A text field that may be wanted at the end.
    Text(Vec<u8>),
    /// A part with an empty file name and, up to here, an empty body: what browsers send for a file
    /// field that was left empty. The first byte of a body makes it the usable part.
    Unsure(Box<Head>),
    /// The usable part.
    Usable,
}

impl Parser {
    /// For a body with this boundary (already checked: 1-70 characters of RFC 2046), sent by a
    /// request whose fields said `request`.
    pub fn new(boundary: &str, request: Head) -> Parser {
        let place = Place::Content(Content::Preamble(0));
        Parser { request, boundary: Boundary::new(boundary), place, text: None, dropped: 0 }
    }

    /// Takes all of the input and tells what it means. Everything that cannot be the start of a
    /// boundary is passed on at once; the rest is at most 5 bytes longer than the boundary.
    pub fn feed(
        &mut self,
        input: &[u8],
        out: &mut impl FnMut(Event<'_>),
    ) -> Result<(), MultipartFault> {
        let mut rest = input;
        while !rest.is_empty() {
            let used = match &mut self.place {
                Place::Content(_) => self.content(rest, out)?,
                Place::PartHead(_) => self.part_head(rest, out)?,
                Place::Over => return Ok(()),
            };
            rest = &rest[used..];
        }
        Ok(())
    }

    /// The body ended. A text field that is complete by then is sent; a usable part that is not is
    /// a fault.
    pub fn finish(&mut self, out: &mut impl FnMut(Event<'_>)) -> Result<(), MultipartFault> {
        match self.place {
            Place::Over => Ok(()),
            Place::Content(Content::Usable) => Err(MultipartFault::NoUsablePart),
            _ => self.without_file(out),
        }
    }

    /// Whether `End` was told: the rest of the body is of no interest.
    pub fn ended(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// Reads up to the next boundary; returns how many bytes were used.
    fn content(
        &mut self,
        input: &[u8],
        out: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, MultipartFault> {
        let Place::Content(content) = &mut self.place else { return Ok(0) };
        let (used, found) = self.boundary.search(input, &mut |data| content.take(data, out))?;
        match found {
            None => {}
            Some(Found::Open) => self.boundary_read(false, out)?,
            Some(Found::Close) => self.boundary_read(true, out)?,
            Some(Found::Broken) => return Err(MultipartFault::NoUsablePart),
        }
        Ok(used)
    }

    /// A boundary ended what was before it; the closing one ends the envelope too.
    fn boundary_read(
        &mut self,
        closing: bool,
        out: &mut impl FnMut(Event<'_>),
    ) -> Result<(), MultipartFault> {
        match std::mem::replace(&mut self.place, Place::PartHead(Vec::new())) {
            Place::Content(Content::Usable) => {
                self.place = Place::Over;
                out(Event::End);
                return Ok(());
            }
            Place::Content(Content::Text(text)) => {
                self.text = Some(text);
                self.dropped += 1;
            }
            Place::Content(Content::Dropped | Content::Unsure(_)) => self.dropped += 1,
            Place::Content(Content::Preamble(_)) | Place::PartHead(_) | Place::Over => {}
        }
        match (self.dropped > DROPPED_PARTS_MAX, closing) {
            (true, _) => Err(MultipartFault::NoUsablePart),
            (false, true) => self.without_file(out),
            (false, false) => Ok(()),
        }
    }

    /// Collects a part's head up to its blank line; returns how many bytes were used.
    fn part_head(
        &mut self,
        input: &[u8],
        out: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, MultipartFault> {
        let Place::PartHead(head) = &mut self.place else { return Ok(0) };
        let used = memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        if head.len() + used > PART_HEAD_MAX {
            return Err(MultipartFault::NoUsablePart);
        }
        head.extend_from_slice(&input[..used]);
        if head == b"\r\n" || head.ends_with(b"\r\n\r\n") {
            let head = std::mem::take(head);
            self.place = Place::Content(self.begin(&head, out));
        }
        Ok(used)
    }

    /// Decides what a part is by its head.
    fn begin(&self, head: &[u8], out: &mut impl FnMut(Event<'_>)) -> Content {
        let content_type = field(head, "content-type");
        let disposition = without_controls(field(head, "content-disposition").unwrap_or_default());
        if content_type.is_some() || names_a_file(&disposition) {
            let head = part_head(&self.request, content_type, Some(&disposition));
            if has_empty_file_name(&disposition) {
                return Content::Unsure(Box::new(head));
            }
            out(Event::Part(head));
            return Content::Usable;
        }
        let is_text = parameter(&disposition, "name").as_deref() == Some(TEXT_FIELD);
        if is_text && self.text.is_none() { Content::Text(Vec::new()) } else { Content::Dropped }
    }

    /// The envelope ended without a file part: the text field takes its place, if there was one.
    fn without_file(&mut self, out: &mut impl FnMut(Event<'_>)) -> Result<(), MultipartFault> {
        let text = self.text.take().ok_or(MultipartFault::NoUsablePart)?;
        out(Event::Part(part_head(&self.request, Some(b"text/plain; charset=utf-8"), None)));
        if !text.is_empty() {
            out(Event::Data(&text));
        }
        out(Event::End);
        self.place = Place::Over;
        Ok(())
    }
}

impl Content {
    /// Takes bytes that are certainly before the next boundary.
    fn take(&mut self, data: &[u8], out: &mut impl FnMut(Event<'_>)) -> Result<(), MultipartFault> {
        match self {
            Content::Preamble(seen) => {
                *seen += data.len();
                if *seen > PREAMBLE_MAX {
                    return Err(MultipartFault::NoUsablePart);
                }
            }
            Content::Dropped => {}
            Content::Text(text) => {
                if text.len() + data.len() > TEXT_MAX {
                    return Err(MultipartFault::TextTooLarge);
                }
                text.extend_from_slice(data);
            }
            Content::Unsure(head) => {
                out(Event::Part(std::mem::take(head)));
                out(Event::Data(data));
                *self = Content::Usable;
            }
            Content::Usable => out(Event::Data(data)),
        }
        Ok(())
    }
}

/// The value of a field in a part's head, without white space around it; of several the first.
/// Only CRLF ends a line. Folded lines are not joined: HTTP has done away with them.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = head;
    while let Some(end) = memmem::find(rest, b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        let Some(colon) = memchr(b':', line) else { continue };
        if line[..colon].eq_ignore_ascii_case(name.as_bytes()) {
            return Some(line[colon + 1..].trim_ascii());
        }
    }
    None
}

/// Whether the file name is there but empty, as browsers send it for an empty file field.
fn has_empty_file_name(disposition: &[u8]) -> bool {
    parameter(disposition, "filename").is_some_and(|name| name.is_empty())
        && parameter(disposition, "filename*").is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::pipe::Kind;
    use MultipartFault::{NoUsablePart, TextTooLarge};

    /// What came out of a body: its head, its bytes, whether `End` was told.
    #[derive(Debug, Default, PartialEq)]
    struct Got {
        head: Option<Head>,
        data: Vec<u8>,
        ended: bool,
    }

    impl Got {
        fn take(&mut self, event: Event<'_>) {
            assert!(!self.ended, "nothing comes after the end");
            match event {
                Event::Part(head) => assert!(self.head.replace(head).is_none(), "one part"),
                Event::Data(data) => {
                    assert!(self.head.is_some() && !data.is_empty());
                    self.data.extend_from_slice(data);
                }
                Event::End => self.ended = true,
            }
        }
    }

    /// Reads a body with boundary `b` in the given pieces.
    fn read(pieces: &[&[u8]]) -> Result<Got, MultipartFault> {
        let (mut parser, mut got) = (Parser::new("b", Head::default()), Got::default());
        for piece in pieces {
            parser.feed(piece, &mut |event| got.take(event))?;
            assert_eq!(parser.ended(), got.ended);
        }
        parser.finish(&mut |event| got.take(event))?;
        assert!(got.ended && parser.ended());
        Ok(got)
    }

    /// Reads a body whole and byte by byte: its file name, its type, its bytes.
    fn usable(body: &str) -> Result<(Option<String>, Option<String>, String), MultipartFault> {
        let got = read(&[body.as_bytes()]);
        let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), got);
        let Got { head, data, .. } = got?;
        let head = head.unwrap();
        let name = head.disposition.and_then(|it| it.file_name);
        Ok((name, head.media_type, String::from_utf8(data).unwrap()))
    }

    const FILE: &str = "Content-Disposition: form-data; name=f; filename=\"a\"\r\n\r\n";
    const TEXT: &str = "Content-Disposition: form-data; name=\"input_text\"\r\n\r\n";
    const FIELD: &str = "Content-Disposition: form-data; name=\"other\"\r\n\r\n";
    const LEFT_EMPTY: &str = "Content-Disposition: form-data; name=f; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n";

    #[test]
    fn the_usable_part_is_found() {
        let utf8 = "text/plain; charset=utf-8";
        let table = [
            // One file, with and without what may stand around it.
            (format!("--b\r\n{FILE}x\r\n--b--\r\n"), (Some("a"), None, "x")),
            (format!("--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            (format!("preamble\r\n--b\r\n{FILE}x\r\n--b--epilogue"), (Some("a"), None, "x")),
            (format!("--b \t\r\n{FILE}x\r\n--b\t \r\n"), (Some("a"), None, "x")),
            (format!("--b\r\n{FILE}\r\n--b--\r\n"), (Some("a"), None, "")),
            (format!("--b\r\n{FILE}--b--\r\n"), (Some("a"), None, "")),
            (format!("--b\r\n{FILE}\r\n\r\n\r\n--b--\r\n"), (Some("a"), None, "\r\n\r\n")),
            // The first of several.
            (format!("--b\r\n{FIELD}y\r\n--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            (format!("--b\r\n{FILE}x\r\n--b\r\n{FILE}y\r\n--b--"), (Some("a"), None, "x")),
            (format!("--b\r\n\r\nno head\r\n--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            // A file by its type alone.
            (
                "--b\r\ncontent-TYPE : a/b\r\nContent-Type: A/B; c=d\r\n\r\nx\r\n--b--".into(),
                (None, Some("a/b"), "x"),
            ),
            ("--b\r\nContent-Type: rubbish\r\n\r\nx\r\n--b--".into(), (None, None, "x")),
            (
                "--b\r\nContent-Disposition: x; filename*=UTF-8''%41\r\n\r\nx\r\n--b--".into(),
                (Some("A"), None, "x"),
            ),
            // Fields that were left empty, and one that was not.
            (format!("--b\r\n{LEFT_EMPTY}\r\n--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            (format!("--b\r\n{LEFT_EMPTY}--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            (
                format!("--b\r\n{LEFT_EMPTY}x\r\n--b\r\n{FILE}y\r\n--b--"),
                (None, Some("application/octet-stream"), "x"),
            ),
            (
                format!("--b\r\n{LEFT_EMPTY}--b\r\r\n--b--"),
                (None, Some("application/octet-stream"), "--b\r"),
            ),
            // The text field, when there is no file.
            (format!("--b\r\n{TEXT}hi\r\n--b--"), (None, Some(utf8), "hi")),
            (format!("--b\r\n{TEXT}\r\n--b--"), (None, Some(utf8), "")),
            (format!("--b\r\n{TEXT}hi\r\n--b\r\n{TEXT}ho\r\n--b--"), (None, Some(utf8), "hi")),
            (format!("--b\r\n{TEXT}hi\r\n--b\r\n{LEFT_EMPTY}\r\n--b--"), (None, Some(utf8), "hi")),
            (format!("--b\r\n{TEXT}hi\r\n--b\r\n{FILE}x\r\n--b--"), (Some("a"), None, "x")),
            (format!("--b\r\n{TEXT}hi\r\n--b\r\n{FIELD}lost"), (None, Some(utf8), "hi")),
        ];
        for (body, (name, media_type, data)) in table {
            let owned = |it: Option<&str>| it.map(str::to_owned);
            assert_eq!(usable(&body), Ok((owned(name), owned(media_type), data.into())), "{body}");
        }
    }

    #[test]
    fn bodies_without_a_usable_part_are_faults() {
        let table = [
            String::new(),
            "--b--\r\n".into(),
            "no boundary at all".into(),
            "--b\r\n".into(),
            format!("--b\r\n{FIELD}y\r\n--b--\r\n"),
            format!("--b\r\n{LEFT_EMPTY}\r\n--b--\r\n"),
            format!("--b\n{}x\n--b--\n", FILE.replace("\r\n", "\n")),
            format!("--b\r\n{}x\r\n--b--\r\n", FILE.replace("\r\n", "\n")),
            format!("--b junk\r\n{FILE}x\r\n--b--"),
            // Cut before the part's end.
            format!("--b\r\n{}", &FILE[..FILE.len() - 2]),
            format!("--b\r\n{FILE}"),
            format!("--b\r\n{FILE}x"),
            format!("--b\r\n{FILE}x\r\n"),
            format!("--b\r\n{FILE}x\r\n--b"),
            format!("--b\r\n{FILE}x\r\n--b-"),
            format!("--b\r\n{FILE}x\r\n--b\r"),
            format!("--b\r\n{FILE}x\r\n--b \r"),
            format!("--b\r\n{TEXT}hi"),
            format!("--b\r\n{TEXT}hi\r\n--b\r\n{FILE}x"),
            // Nobody can tell whether this is the end.
            format!("--b\r\n{FILE}x\r\n--b y\r\n--b--"),
        ];
        for body in table {
            assert_eq!(usable(&body), Err(NoUsablePart), "{body}");
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let preamble = |size: usize| format!("{}\r\n--b\r\n{FILE}x\r\n--b--", "p".repeat(size));
        let head = |size: usize| {
            let filler = "h".repeat(size - FILE.len() - 4);
            format!("--b\r\nX:{filler}\r\n{FILE}x\r\n--b--")
        };
        let parts = |n: usize| {
            format!("{}--b\r\n{FILE}x\r\n--b--", format!("--b\r\n{FIELD}y\r\n").repeat(n))
        };
        let text = |size: usize| format!("--b\r\n{TEXT}{}\r\n--b--", "t".repeat(size));
        let check = |body: &dyn Fn(usize) -> String, limit: usize, fault: MultipartFault| {
            assert!(read(&[body(limit).as_bytes()]).is_ok(), "{limit}");
            assert_eq!(read(&[body(limit + 1).as_bytes()]), Err(fault), "{limit} and one");
        };
        check(&preamble, PREAMBLE_MAX, NoUsablePart);
        check(&head, PART_HEAD_MAX, NoUsablePart);
        check(&parts, DROPPED_PARTS_MAX, NoUsablePart);
        check(&text, TEXT_MAX, TextTooLarge);
    }

    #[test]
    fn an_endless_preamble_or_head_is_refused_early() {
        for start in ["", "--b\r\n", "--b\r\nContent-Type: "] {
            let mut parser = Parser::new("b", Head::default());
            parser.feed(start.as_bytes(), &mut |_| {}).unwrap();
            let mut taken = 0;
            while parser.feed(&[b'x'; 1024], &mut |_| {}).is_ok() {
                taken += 1024;
                assert!(taken <= PREAMBLE_MAX, "{start}");
            }
        }
    }

    #[test]
    fn many_small_parts_are_refused() {
        let body = format!("--b\r\n{FIELD}y\r\n").repeat(10_000);
        assert_eq!(read(&[body.as_bytes()]), Err(NoUsablePart));
        let body = format!("--b\r\n{LEFT_EMPTY}\r\n").repeat(10_000);
        assert_eq!(read(&[body.as_bytes()]), Err(NoUsablePart));
    }

    #[test]
    fn the_head_of_the_part_is_known_before_its_first_byte() {
        let (mut parser, mut events) = (Parser::new("b", Head::default()), Vec::new());
        let mut feed = |piece: &str| {
            events.clear();
            let mut note = |event: Event<'_>| {
                events.push(match event {
                    Event::Part(_) => "part".to_owned(),
                    Event::Data(data) => String::from_utf8(data.to_vec()).unwrap(),
                    Event::End => "end".to_owned(),
                });
            };
            parser.feed(piece.as_bytes(), &mut note).unwrap();
            events.join("|")
        };
        assert_eq!(feed(&format!("--b\r\n{FILE}")), "part");
        assert_eq!(feed("a"), "a");
        assert_eq!(feed("b\r"), "b");
        assert_eq!(feed("c\r\n--"), "\r|c");
        assert_eq!(feed("b"), "");
        assert_eq!(feed("--"), "end");
        assert_eq!(feed("anything\r\n--b\r\n"), "");
    }

    #[test]
    fn metadata_of_the_request_goes_with_the_part() {
        let request = Head {
            piping: vec![b"meta".to_vec()],
            media_type: Some("multipart/form-data".into()),
            ..Head::default()
        };
        for body in [
            format!("--b\r\n{FILE}x\r\n--b--"),
            format!("--b\r\n{TEXT}x\r\n--b--"),
            format!("--b\r\n{LEFT_EMPTY}x\r\n--b--"),
        ] {
            let (mut parser, mut got) = (Parser::new("b", request.clone()), Got::default());
            parser.feed(body.as_bytes(), &mut |event| got.take(event)).unwrap();
            let head = got.head.unwrap();
            assert_eq!(head.piping, request.piping);
            assert_ne!(head.media_type, request.media_type);
        }
    }

    #[test]
    fn hostile_file_names_are_sanitised() {
        let table: [(&[u8], Option<&str>); 5] = [
            (b"filename=\"../../etc/passwd\"", Some("etcpasswd")),
            (b"filename=\"a\0b\"", Some("ab")),
            (b"filename=\"a\nb\"", Some("ab")),
            (b"filename=\"say \\\"hi\\\"\"", Some("say \"hi\"")),
            (b"filename*=KOI8-R''%c1", None),
        ];
        for (parameter, expected) in table {
            let body =
                [b"--b\r\nContent-Disposition: form-data; ", parameter, b"\r\n\r\nx\r\n--b--"];
            let head = read(&[&body.concat()]).unwrap().head.unwrap();
            let disposition = head.disposition.unwrap();
            assert_eq!(disposition.file_name.as_deref(), expected);
            assert_eq!(disposition.kind == Kind::Part, expected.is_some());
        }
    }

    #[test]
    fn a_part_of_8_mib_passes_unchanged() {
        let data: Vec<u8> =
            (0..8 * 1024 * 1024_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let disposition = b"form-data; name=\"input_data\"";
        let body = [
            b"--b\r\nContent-Disposition: ".as_slice(),
            disposition,
            b"\r\nContent-Type: application/octet-stream\r\n\r\n",
            &data,
            b"\r\n--b--\r\n",
        ]
        .concat();
        let pieces: Vec<_> = body.chunks(60_001).collect();
        let got = read(&pieces).unwrap();
        assert!(got.data == data);
        let head = got.head.unwrap();
        assert_eq!(head.media_type.as_deref(), Some("application/octet-stream"));
        assert_eq!(head.disposition.unwrap().value, disposition);
        assert_eq!(head.length, None);
    }

    /// Data full of look-alikes: everything but a boundary line.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let words: &[&[u8]] = &[
            b"\r",
            b"\n",
            b"\r\n",
            b"-",
            b"--",
            b"\r\n-",
            b"\r\n--",
            b"\r\n--bb",
            b"\r\n--b-x",
            b"\r\n--b\rx",
            b"--b--",
            b"\n--b--",
            b"x",
            b"\0",
            b"\xff",
        ];
        prop::collection::vec(prop::sample::select(words), 0..20)
            .prop_map(|words| words.concat())
            .prop_filter("holds a boundary line", |data| {
                let line = [b"\r\n", data.as_slice(), b"\r\n"].concat();
                ["\r\n--b\r\n", "\r\n--b--", "\r\n--b ", "\r\n--b\t"]
                    .iter()
                    .all(|end| memmem::find(&line, end.as_bytes()).is_none())
            })
    }

    fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
        let mut places: Vec<_> = places.iter().map(|place| place % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bytes(
            data in data(),
            before in data(),
            places in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let body = [
                b"--b\r\n", FIELD.as_bytes(), &before, b"\r\n--b\r\n", FILE.as_bytes(), &data, b"\r\n--b--",
            ].concat();
            let got = read(&cut(&body, &places)).unwrap();
            prop_assert_eq!(&got.data, &data);
            let bytes: Vec<_> = body.chunks(1).collect();
            prop_assert_eq!(read(&bytes).unwrap(), got);
        }

        #[test]
        fn a_body_cut_before_its_end_never_looks_complete(data in data(), at in any::<usize>()) {
            let body = [b"--b\r\n", FILE.as_bytes(), &data, b"\r\n--b--"].concat();
            let at = at % body.len();
            prop_assert_eq!(read(&[&body[..at]]), Err(NoUsablePart));
        }

        #[test]
        fn rubbish_gives_the_same_verdict_at_any_split(
            words in prop::collection::vec(prop::sample::select(&[
                "\r\n", "--b", "--b\r\n", "\r\n--b--", "\r\n\r\n", "--", "x", ":", " ", "\0",
                "Content-Type: a/b\r\n", "Content-Disposition: x; filename=\r\n", FILE, TEXT,
            ][..]), 0..20),
            places in prop::collection::vec(any::<usize>(), 0..9),
        ) {
            let body = words.concat().into_bytes();
            prop_assert_eq!(read(&cut(&body, &places)), read(&[&body]));
        }
    }
}
