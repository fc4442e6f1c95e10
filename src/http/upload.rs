//! A sender's body as the fan-out reads it: plain, held to a declared length, or the usable part of
//! a multipart envelope. Works on any source of bytes; knows no transport.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Sleep;

use super::multipart::{Event, Parser};
use crate::edge::Body;
use crate::flow::{Fill, Pour, Source};
use crate::pipe::{Failure, Head, MultipartFault};

/// From commit to the first usable part (spec §14).
const PART_WAIT: Duration = Duration::from_secs(30);

/// One read of an envelope.
const BLOCK: usize = 64 << 10;

/// A sender's body with its declaration.
pub struct Upload<S> {
    source: S,
    /// Handed out once.
    head: Option<Head>,
    form: Form,
}

enum Form {
    Plain,
    Declared(Declared),
    Multipart(Box<Multipart>),
}

/// `X-Pipe-Length`: the last declared byte is held back until the body has ended cleanly, so that
/// an overlong or cut body never looks complete (spec §8).
struct Declared {
    length: u64,
    got: u64,
    held: Option<u8>,
    /// Told once what came before it is out.
    failed: Option<Failure>,
    /// The declared length is zero, and the body has ended.
    nothing: bool,
}

struct Multipart {
    parser: Parser,
    block: Vec<u8>,
    /// Bytes of the part that no window has taken yet: at most one block, or the text field.
    part: BytesMut,
    /// When the first usable part is late; set at commit.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Upload<S> {
    /// Bytes as they are; a `length` given holds them to it.
    pub fn plain(source: S, head: Head, length: Option<u64>) -> Self {
        let declared = length.map(|length| Declared {
            length,
            got: 0,
            held: None,
            failed: None,
            nothing: false,
        });
        Self { source, head: Some(head), form: declared.map_or(Form::Plain, Form::Declared) }
    }

    /// The usable part of an envelope; `request` is what the request itself declared.
    pub fn multipart(source: S, request: Head, boundary: &str) -> Self {
        let parser = Parser::new(boundary, request);
        let form = Multipart { parser, block: Vec::new(), part: BytesMut::new(), late: None };
        Self { source, head: None, form: Form::Multipart(Box::new(form)) }
    }

    /// The source, for what is left of it.
    pub fn into_source(self) -> S {
        self.source
    }
}

impl<S: Source<Error = Failure>> Source for Upload<S> {
    type Error = Failure;

    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, Failure>> {
        match &mut self.form {
            Form::Plain => self.source.poll_fill(cx, into),
            Form::Declared(declared) => declared.poll_fill(&mut self.source, cx, into),
            Form::Multipart(multipart) => multipart.poll_fill(&mut self.source, cx, into),
        }
    }

    /// Where something has to be looked for, or held back, the bytes have to be seen.
    fn pour(&mut self) -> Option<&mut dyn Pour<Error = Failure>> {
        match self.form {
            Form::Plain => self.source.pour(),
            Form::Declared(_) | Form::Multipart(_) => None,
        }
    }
}

impl<S: Source<Error = Failure>> Body for Upload<S> {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        if let (None, Form::Multipart(multipart)) = (&self.head, &mut self.form) {
            return multipart.poll_head(&mut self.source, cx);
        }
        if let Form::Declared(declared @ Declared { length: 0, .. }) = &mut self.form {
            ready!(declared.poll_nothing(&mut self.source, cx))?;
        }
        Poll::Ready(self.head.take().ok_or(Failure::Internal))
    }
}

impl Declared {
    /// A declared length of zero has no last byte to hold back: the head itself would be the whole
    /// answer. So it waits for the clean end.
    fn poll_nothing<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut byte = [0];
        let Fill { bytes, .. } = ready!(source.poll_fill(cx, &mut byte))?;
        if bytes > 0 {
            return Poll::Ready(Err(Failure::TooLong { declared: 0 }));
        }
        self.nothing = true;
        Poll::Ready(Ok(()))
    }

    fn poll_fill<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Failure>> {
        if self.nothing {
            return Poll::Ready(Ok(Fill { bytes: 0, end: true }));
        }
        if let Some(failure) = self.failed.take() {
            return Poll::Ready(Err(failure));
        }
        loop {
            let before = self.got;
            let Fill { mut bytes, end } = ready!(source.poll_fill(cx, into))?;
            self.got += bytes as u64;
            if let Some(failure) = self.verdict(end) {
                // What may go out still does; the last declared byte never does.
                let most = (self.length - u64::from(self.length > 0)).saturating_sub(before);
                bytes = bytes.min(usize::try_from(most).unwrap_or(usize::MAX));
                if bytes == 0 {
                    return Poll::Ready(Err(failure));
                }
                self.failed = Some(failure);
                return Poll::Ready(Ok(Fill { bytes, end: false }));
            }
            if let (true, Some(last)) = (end, self.held.take()) {
                into[0] = last;
                return Poll::Ready(Ok(Fill { bytes: 1, end }));
            }
            if !end && bytes > 0 && self.got == self.length {
                bytes -= 1;
                self.held = Some(into[bytes]);
            }
            if end || bytes > 0 {
                return Poll::Ready(Ok(Fill { bytes, end }));
            }
        }
    }

    fn verdict(&self, end: bool) -> Option<Failure> {
        let (got, declared) = (self.got, self.length);
        match (got > declared, end && got < declared) {
            (true, _) => Some(Failure::TooLong { declared }),
            (_, true) => Some(Failure::TooShort { got, declared }),
            _ => None,
        }
    }
}

impl Multipart {
    fn poll_head<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Failure>> {
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(PART_WAIT)));
        if late.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Failure::Multipart(MultipartFault::Late)));
        }
        loop {
            if let Some(head) = ready!(self.poll_feed(source, cx))? {
                self.late = None;
                return Poll::Ready(Ok(head));
            }
        }
    }

    fn poll_fill<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Failure>> {
        while self.part.is_empty() && !self.parser.ended() {
            ready!(self.poll_feed(source, cx))?;
        }
        let bytes = self.part.len().min(into.len());
        into[..bytes].copy_from_slice(&self.part.split_to(bytes));
        let end = self.part.is_empty() && self.parser.ended();
        Poll::Ready(Ok(Fill { bytes, end }))
    }

    /// One read of the envelope; the head of the usable part if it was in it.
    fn poll_feed<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Head>, Failure>> {
        self.block.resize(BLOCK, 0);
        let Fill { bytes, end } = ready!(source.poll_fill(cx, &mut self.block))?;
        let (mut head, part) = (None, &mut self.part);
        let mut take = |event: Event<'_>| match event {
            Event::Part(known) => head = Some(known),
            Event::Data(data) => part.extend_from_slice(data),
            Event::End => {}
        };
        let mut fed = self.parser.feed(&self.block[..bytes], &mut take);
        if end && fed.is_ok() {
            fed = self.parser.finish(&mut take);
        }
        Poll::Ready(fed.map(|()| head).map_err(Failure::Multipart))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives these pieces, one a call; the end after them is clean or a loss.
    struct Script {
        pieces: VecDeque<&'static [u8]>,
        clean: bool,
    }

    impl Source for Script {
        type Error = Failure;

        fn poll_fill(
            &mut self,
            _: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<Result<Fill, Failure>> {
            let Some(piece) = self.pieces.pop_front() else {
                let end = Fill { bytes: 0, end: true };
                return Poll::Ready(if self.clean { Ok(end) } else { Err(Failure::SenderLost) });
            };
            into[..piece.len()].copy_from_slice(piece);
            let end = self.clean && self.pieces.is_empty() && piece.ends_with(b"!");
            Poll::Ready(Ok(Fill { bytes: piece.len(), end }))
        }
    }

    /// Everything that comes out of an upload: its bytes in the pieces they come in, and its end.
    fn run(mut upload: Upload<Script>) -> (Vec<Vec<u8>>, Result<(), Failure>) {
        let (mut cx, mut out) = (Context::from_waker(std::task::Waker::noop()), Vec::new());
        loop {
            let mut window = [0; 64];
            let Poll::Ready(fill) = upload.poll_fill(&mut cx, &mut window) else {
                unreachable!("a script never waits")
            };
            match fill {
                Ok(Fill { bytes, end }) => {
                    out.push(window[..bytes].to_vec());
                    if end {
                        return (out, Ok(()));
                    }
                }
                Err(failure) => return (out, Err(failure)),
            }
        }
    }

    fn declared(
        length: u64,
        pieces: &[&'static [u8]],
        clean: bool,
    ) -> (String, Result<(), Failure>) {
        let source = Script { pieces: pieces.iter().copied().collect(), clean };
        let (out, end) = run(Upload::plain(source, Head::default(), Some(length)));
        let out = out.iter().map(|piece| String::from_utf8_lossy(piece).into_owned());
        (out.collect::<Vec<_>>().join("|"), end)
    }

    #[test]
    fn the_last_declared_byte_waits_for_the_clean_end() {
        let ok = |text: &str| (text.to_owned(), Ok(()));
        assert_eq!(declared(3, &[b"abc"], true), ok("ab|c"));
        assert_eq!(declared(3, &[b"ab", b"c"], true), ok("ab|c"));
        assert_eq!(declared(3, &[b"ab!"], true), ok("ab!"), "the end comes with the last bytes");
        assert_eq!(declared(0, &[], true), ok(""));
    }

    #[test]
    fn a_head_that_is_the_whole_answer_waits_for_the_clean_end() {
        let head = |pieces: &[&'static [u8]], clean| {
            let source = Script { pieces: pieces.iter().copied().collect(), clean };
            let mut upload = Upload::plain(source, Head::default(), Some(0));
            upload.poll_head(&mut Context::from_waker(std::task::Waker::noop()))
        };
        assert_eq!(head(&[], true), Poll::Ready(Ok(Head::default())));
        let long = Failure::TooLong { declared: 0 };
        assert_eq!(head(&[b"a"], true), Poll::Ready(Err(long)));
        assert_eq!(head(&[], false), Poll::Ready(Err(Failure::SenderLost)));
    }

    #[test]
    fn a_body_unlike_its_length_fails_after_what_may_go_out() {
        let lost = |text: &str, why| (text.to_owned(), Err(why));
        let short = |got| Failure::TooShort { got, declared: 5 };
        assert_eq!(declared(5, &[b"ab", b"c!"], true), lost("ab|c!", short(4)));
        assert_eq!(declared(5, &[b"abc"], true), lost("abc", short(3)));
        let long = Failure::TooLong { declared: 3 };
        assert_eq!(declared(3, &[b"abcd"], true), lost("ab", long.clone()));
        assert_eq!(declared(3, &[b"abc", b"d"], true), lost("ab", long.clone()));
        assert_eq!(declared(3, &[b"abcdefgh!"], true), lost("ab", long));
        assert_eq!(declared(0, &[b"a"], true), lost("", Failure::TooLong { declared: 0 }));
        assert_eq!(declared(3, &[b"abc"], false), lost("ab", Failure::SenderLost));
    }

    #[test]
    fn a_multipart_part_comes_out_whole() {
        let pieces: [&'static [u8]; 3] = [
            b"--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n",
            b"\r\nhel",
            b"lo\r\n--b--\r\n",
        ];
        let source = || Script { pieces: pieces.into_iter().collect(), clean: true };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let _clock = runtime.as_ref().expect("a runtime can be made").enter();
        let mut upload = Upload::multipart(source(), Head::default(), "b");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(upload.poll_head(&mut cx), Poll::Ready(Ok(_))));
        let (out, end) = run(upload);
        assert_eq!((out.concat(), end), (b"hello".to_vec(), Ok(())));
        let cut = Script { pieces: pieces[..2].iter().copied().collect(), clean: true };
        let mut upload = Upload::multipart(cut, Head::default(), "b");
        assert!(matches!(upload.poll_head(&mut cx), Poll::Ready(Ok(_))));
        let fault = Failure::Multipart(MultipartFault::NoUsablePart);
        assert_eq!(run(upload).1, Err(fault));
    }
}
