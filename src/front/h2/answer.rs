//! The answer to one HTTP/2 request, and how it ends: END_STREAM is a clean end, RST_STREAM with
//! INTERNAL_ERROR a cut. A drop before the end is a cut.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::h2::server::SendResponse;
use ::h2::{Reason, SendStream};
use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use bytes::Bytes;
use tokio::time::timeout;

use super::wire::{Account, Book};
use crate::http::Reply;

/// How long a client may take to accept a reply that fits its window many times over.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A piece smaller than this waits its turn.
const SMALL: usize = 1 << 10;

/// An answer on its way.
pub struct Answer {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    account: Rc<Account>,
    /// Bytes of the body that were given to the h2 crate, and whether the end was.
    given: (u64, bool),
}

impl Answer {
    /// Nothing answered yet.
    pub fn new(respond: SendResponse<Bytes>, account: Account) -> Self {
        Self { respond, stream: None, account: Rc::new(account), given: (0, false) }
    }

    /// The entry of this stream in the book of its connection.
    pub fn account(&self) -> &Rc<Account> {
        &self.account
    }

    /// Says `100 Continue`.
    pub fn say_continue(&mut self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        // Only a stream that is gone refuses this, which is found by watching it.
        let _ = self.respond.send_informational(response);
    }

    /// Says the head; `end`: there is no body.
    pub fn open(&mut self, status: StatusCode, headers: HeaderMap, end: bool) -> io::Result<()> {
        let mut response = Response::new(());
        *response.version_mut() = Version::HTTP_2;
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        self.stream = Some(self.respond.send_response(response, end).map_err(io::Error::other)?);
        self.given.1 = end;
        Ok(())
    }

    /// Gives more of the body, all at once, whatever the client's window.
    pub fn give(&mut self, bytes: Bytes, end: bool) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        self.given.0 += bytes.len() as u64;
        stream.send_data(bytes, end).map_err(io::Error::other)?;
        self.given.1 = end;
        Ok(())
    }

    /// Gives more of the body as the client's window takes it; `end`: the last of it. Not
    /// cancel-safe.
    pub async fn pass(&mut self, mut bytes: Bytes, end: bool) -> io::Result<()> {
        while self.pass_some(&mut bytes, end).await? {}
        Ok(())
    }

    /// The same for as much of `bytes` as the window takes at once; false when all of it was given.
    /// A small piece waits until what was given before is written: here each piece costs far more
    /// than its bytes, and meanwhile more gathers where it comes from.
    pub async fn pass_some(&mut self, bytes: &mut Bytes, end: bool) -> io::Result<bool> {
        if !bytes.is_empty() {
            let room = std::future::poll_fn(|cx| self.poll_room(cx, bytes.len())).await?;
            let piece = bytes.split_to(room.min(bytes.len()));
            if piece.len() < SMALL && self.held() > 0 {
                self.written().await?;
            }
            self.give(piece, end && bytes.is_empty())?;
        }
        match (bytes.is_empty(), end && !self.given.1) {
            (true, true) => self.end().map(|()| false),
            (empty, _) => Ok(!empty),
        }
    }

    /// Asks for room only while there is something for it: what one stream holds of the
    /// connection's window is missing to the others.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.reserve_capacity(wanted);
        loop {
            match stream.capacity() {
                0 => match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => return Poll::Ready(Ok(room)),
            }
        }
    }

    /// Bytes of the body that were given and are not with the kernel yet.
    pub fn held(&self) -> u64 {
        self.given.0.saturating_sub(self.account.flushed())
    }

    /// A look at this moment, for waiting beside everything else until what was said is out.
    pub fn lines(&self) -> Lines {
        Lines { book: self.account.book().clone(), since: self.account.book().flushes() }
    }

    /// Waits until the client resets the stream or its connection ends. Cancel-safe.
    pub async fn gone(&mut self) {
        let gone = |cx: &mut Context<'_>| match &mut self.stream {
            Some(stream) => stream.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        };
        std::future::poll_fn(gone).await;
    }

    /// Gives a whole reply and waits until it is written, or until the client is gone.
    pub async fn reply(&mut self, reply: Reply, head_only: bool) {
        let Reply { status, mut headers, body } = reply;
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let bare = head_only || body.is_empty();
        let given =
            self.open(status, headers, bare).is_ok() && (bare || self.give(body, true).is_ok());
        if given {
            self.settle().await;
        }
    }

    /// Ends the body cleanly.
    pub fn end(&mut self) -> io::Result<()> {
        self.give(Bytes::new(), true)
    }

    /// Waits until all that was given is with the kernel; an error if the client is gone before.
    /// Cancel-safe.
    pub async fn written(&mut self) -> io::Result<()> {
        let (bytes, end) = self.given;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(written) = self.account.poll_written(cx, bytes, end) {
                return Poll::Ready(written);
            }
            match &mut self.stream {
                Some(stream) => {
                    stream.poll_reset(cx).map(|_| Err(io::ErrorKind::BrokenPipe.into()))
                }
                None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        })
        .await
    }

    /// The same, for the last thing that is said: bounded, and best effort.
    pub async fn settle(&mut self) {
        let _ = timeout(WRITE_MAX, self.written()).await;
    }
}

/// What a connection was given until one moment.
pub struct Lines {
    book: Rc<Book>,
    since: u64,
}

impl Lines {
    /// Waits until the kernel has all of it that the client lets out (its windows may hold back the
    /// rest for as long as it likes), or the connection is over. Cancel-safe.
    pub async fn out(&self) {
        std::future::poll_fn(|cx| self.book.poll_out(cx, self.since)).await;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Some clients take any other reason, or none, for a clean end.
        if !self.given.1 {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}
