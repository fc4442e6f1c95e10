//! HTTP/2 connections: one task for each, one more for each of its streams, all on one thread.
//!
//! The h2 crate does frames, header compression and flow control. Here are the limits of a connection,
//! and its end. A connection with one waiting receiver holds about 39 KiB, each further receiver on
//! it about 9 KiB (over HTTP/1.1: 6 KiB). Knows nothing of pipes; the file `stream` does.

mod answer;
mod body;
mod frames;
mod receive;
mod send;
mod stream;
mod watch;
mod wire;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use ::h2::server::{Builder, Connection, SendResponse};
use ::h2::{Reason, RecvStream};
use ::http::Request;
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, timeout};

use super::context::Context;
use super::h1::linger;
use super::site::Site;
use super::transport::Transport;
use crate::edge::Descriptor;
use wire::{Book, Wire};

/// Streams of a connection at once (spec §20).
const STREAMS_MAX: u32 = 128;

/// Most bytes of a request head (spec §20).
const HEAD_MAX: u32 = 128 << 10;

/// A connection's window holds this many streams' windows, so that paused streams never block another
/// one (spec §11).
const WINDOWS: u32 = 128;

/// The largest window that HTTP/2 can express.
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// Output of a stream that waits in the h2 crate: one frame. With the duct before it and what the
/// kernel holds behind it, a receiver's unsent output stays within 64 KiB (spec §2, P5).
const SEND_BUFFER: usize = 16 << 10;

/// What small DATA frames that wait for their stream's task may cost together, as the h2 crate counts
/// them (256 bytes each, less what they carry); beyond it the connection ends. Those tasks take them
/// out as they come, so this bounds what one look at the connection may find.
const FRAMES_MAX: usize = 16 << 20;

/// Requests that were reset before we looked at them; more at once is an attack.
const UNSEEN_RESETS_MAX: usize = 64;

/// A new connection says its first request within this, and a head that has begun is complete within
/// this (spec §12).
const HEAD_WAIT: Duration = Duration::from_secs(10);

/// A connection without streams is closed after this (spec §12).
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// After a polite goodbye, a connection without streams is closed after this.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);

/// What the streams of one connection share.
pub struct Shared {
    io: Rc<Transport>,
    ctx: Rc<Context>,
    site: Rc<Site>,
    peer: IpAddr,
    /// Descriptors are left for it; otherwise its streams are refused.
    room: bool,
    /// Counts the socket, which stays open until the last stream lets go of it.
    _open: Descriptor,
}

/// Serves one connection to its end. `before` was read from it already. It counts as `open`; without
/// `room` for it, its first streams are refused and no more are taken.
pub async fn serve(
    io: Transport,
    before: BytesMut,
    peer: IpAddr,
    (open, room): (Descriptor, bool),
    ctx: Rc<Context>,
    site: Rc<Site>,
) {
    let io = Rc::new(io);
    let book = Rc::new(Book::new());
    let wire = Wire::new(io.clone(), book.clone(), before);
    let builder = builder(ctx.edge.settings().window);
    if let Ok(Ok(connection)) = timeout(HEAD_WAIT, builder.handshake::<_, Bytes>(wire)).await {
        let (gate, io) = (ctx.gate.clone(), io.clone());
        let shared = Rc::new(Shared { io, ctx: ctx.clone(), site, peer, room, _open: open });
        let closed = Box::pin(async move {
            if room {
                ctx.gate.closed().await;
            }
        });
        let mut server = Server::new(connection, book.clone(), closed);
        while let Some((request, respond)) = std::future::poll_fn(|cx| server.poll(cx)).await {
            let account = server.book.open(respond.stream_id().as_u32(), gate.serve());
            tokio::task::spawn_local(stream::serve(request, respond, account, shared.clone()));
        }
        server.book.close();
    }
    // What is unread would reset the connection, and a reset could overtake the last frames.
    linger(&io).await;
    book.forget();
}

fn builder(window: usize) -> Builder {
    let window = u32::try_from(window).unwrap_or(WINDOW_MAX).min(WINDOW_MAX);
    let mut builder = Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(window.saturating_mul(WINDOWS).min(WINDOW_MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        // The crate counts them over the connection's whole life; our allowance grows with time.
        .max_local_error_reset_streams(None)
        .data_frame_budget(FRAMES_MAX)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// One connection as its task sees it.
struct Server<F> {
    connection: Connection<Wire, Bytes>,
    book: Rc<Book>,
    /// Ready when the node takes no new requests.
    closed: Option<Pin<Box<F>>>,
    /// It has had a stream.
    used: bool,
    /// Since when there is no stream.
    idle: Option<Instant>,
    /// When the goodbye was said.
    leaving: Option<Instant>,
    /// It was told to end now.
    abandoned: bool,
    timer: Pin<Box<Sleep>>,
}

type Accepted = (Request<RecvStream>, SendResponse<Bytes>);

impl<F: Future<Output = ()>> Server<F> {
    fn new(connection: Connection<Wire, Bytes>, book: Rc<Book>, closed: Pin<Box<F>>) -> Self {
        let now = Instant::now();
        Self {
            connection,
            book,
            closed: Some(closed),
            used: false,
            idle: Some(now),
            leaving: None,
            abandoned: false,
            timer: Box::pin(tokio::time::sleep_until(now + HEAD_WAIT)),
        }
    }

    /// The next request, or `None` when the connection is over. Drives all its streams.
    fn poll(&mut self, cx: &mut Task<'_>) -> Poll<Option<Accepted>> {
        self.book.register(cx);
        if self.book.is_doomed() {
            return Poll::Ready(None);
        }
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(accepted))) => {
                    (self.used, self.idle) = (true, None);
                    return Poll::Ready(Some(accepted));
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                // Before the process ends, the client is to read its last frames: a socket that is
                // closed with unread data could overtake them.
                Poll::Pending if self.leaving.is_none() => self.book.settle(),
                Poll::Pending => {}
            }
            if self.book.is_flooded() && self.leave(Reason::ENHANCE_YOUR_CALM) {
                continue;
            }
            if self.poll_closed(cx) {
                self.say_goodbye();
                continue;
            }
            let Some(until) = self.deadline() else { return Poll::Pending };
            if self.timer.deadline() != until {
                self.timer.as_mut().reset(until);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let why = match self.book.in_head() {
                Some(_) => Reason::ENHANCE_YOUR_CALM,
                None if self.leaving.is_some() || !self.used => Reason::NO_ERROR,
                None => {
                    self.say_goodbye();
                    continue;
                }
            };
            if !self.leave(why) {
                return Poll::Ready(None);
            }
        }
    }

    /// The node takes no new requests; true once.
    fn poll_closed(&mut self, cx: &mut Task<'_>) -> bool {
        let closed = self.closed.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready());
        if closed {
            self.closed = None;
        }
        closed
    }

    /// No new streams; those that run go on.
    fn say_goodbye(&mut self) {
        self.leaving = Some(Instant::now());
        self.connection.graceful_shutdown();
    }

    /// Ends the connection and all its streams now; false if that was said before.
    fn leave(&mut self, why: Reason) -> bool {
        let first = !self.abandoned;
        self.abandoned = true;
        if first {
            self.connection.abrupt_shutdown(why);
        }
        first
    }

    /// When the client is late with what it owes, or idle for too long.
    fn deadline(&mut self) -> Option<Instant> {
        match (self.book.streams(), self.idle) {
            (0, None) => self.idle = Some(Instant::now()),
            (0, Some(_)) => {}
            _ => self.idle = None,
        }
        let head = self.book.in_head().map(|since| Instant::from_std(since) + HEAD_WAIT);
        let idle = self.idle.map(|since| match self.leaving {
            Some(left) => left.max(since) + GOODBYE_WAIT,
            None => since + if self.used { IDLE_WAIT } else { HEAD_WAIT },
        });
        [head, idle].into_iter().flatten().min()
    }
}
