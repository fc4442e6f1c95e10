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
use crate::flow::{Fill, Source};
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
        let declared = length.map(|length| Declared { length, got: 0, held: None });
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
}

impl<S: Source<Error = Failure>> Body for Upload<S> {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        if let (None, Form::Multipart(multipart)) = (&self.head, &mut self.form) {
            return multipart.poll_head(&mut self.source, cx);
        }
        Poll::Ready(self.head.take().ok_or(Failure::Internal))
    }
}

impl Declared {
    fn poll_fill<S: Source<Error = Failure>>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Failure>> {
        loop {
            let Fill { mut bytes, end } = ready!(source.poll_fill(cx, into))?;
            self.got += bytes as u64;
            if self.got > self.length {
                return Poll::Ready(Err(Failure::TooLong { declared: self.length }));
            }
            if end && self.got < self.length {
                let (got, declared) = (self.got, self.length);
                return Poll::Ready(Err(Failure::TooShort { got, declared }));
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
