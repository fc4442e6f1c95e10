//! The bytes below an HTTP/2 connection, and the book that is kept of them: what of each stream is
//! with the kernel, whether the client floods, since when a head is incomplete.
//!
//! The h2 crate tells none of this. Knows frames, not requests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Allowance, Frame, Passed, Scanner};
use crate::front::gate::Busy;
use crate::front::transport::Transport;

/// The 24 bytes that a client says before its first frame (RFC 9113 §3.4).
const PREFACE_LEN: usize = 24;

/// Most bytes read in one turn of a connection's task: then its streams take theirs out. As the
/// smallest frames these are 26,000, which cost less than the budget that `mod.rs` sets for them.
const TURN_MAX: usize = 256 << 10;

/// What the h2 crate reads from and writes to.
pub struct Wire {
    io: Rc<Transport>,
    book: Rc<Book>,
    /// Read before it was known to be HTTP/2.
    before: BytesMut,
}

/// What is known of one connection beside what the h2 crate knows. For one thread.
pub struct Book {
    inbound: RefCell<Scanner>,
    outbound: RefCell<Scanner>,
    allowance: RefCell<Allowance>,
    /// The client sends too much that carries nothing.
    flooded: Cell<bool>,
    /// A stream gave up on the connection.
    doomed: Cell<bool>,
    /// Nothing is written any more.
    over: Cell<bool>,
    /// Since when the head of a request is incomplete.
    in_head: Cell<Option<Instant>>,
    /// Streams that are being answered.
    accounts: RefCell<HashMap<u32, Written>>,
    /// Streams of which something is written but not flushed.
    unflushed: RefCell<Vec<u32>>,
    /// Streams that are answered, but whose last frame may still be here.
    parting: RefCell<Vec<Busy>>,
    /// Bytes read in this turn of the task.
    turn: Cell<usize>,
    /// How often all that was written was flushed, and whether it is now.
    flushes: Cell<(u64, bool)>,
    /// Who waits for that.
    waiting: RefCell<Vec<Waker>>,
    /// Receivers that are matched: the connection carries their bytes.
    pub lanes: Cell<usize>,
    /// The task of the connection.
    task: RefCell<Option<Waker>>,
}

/// What of one stream is with the kernel.
#[derive(Debug, Default)]
struct Written {
    /// Bytes of its body, and whether its end is out: handed over, and flushed.
    handed: (u64, bool),
    flushed: (u64, bool),
    waiting: Option<Waker>,
}

/// One stream's entry in the book. Dropping it closes the entry.
pub struct Account {
    book: Rc<Book>,
    stream: u32,
    /// Goes on until its last frame is out.
    busy: Option<Busy>,
}

impl Wire {
    /// The connection `io`, of which `before` was read already.
    pub fn new(io: Rc<Transport>, book: Rc<Book>, before: BytesMut) -> Self {
        Self { io, book, before }
    }
}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Self {
            inbound: RefCell::new(Scanner::new(PREFACE_LEN)),
            outbound: RefCell::default(),
            allowance: RefCell::new(Allowance::new(Instant::now())),
            flooded: Cell::new(false),
            doomed: Cell::new(false),
            over: Cell::new(false),
            in_head: Cell::new(None),
            accounts: RefCell::default(),
            unflushed: RefCell::default(),
            parting: RefCell::default(),
            turn: Cell::new(0),
            flushes: Cell::new((0, true)),
            waiting: RefCell::default(),
            lanes: Cell::new(0),
            task: RefCell::new(None),
        }
    }

    /// Opens the entry of a stream, which is `busy` until its last frame is with the kernel.
    pub fn open(self: &Rc<Self>, stream: u32, busy: Busy) -> Account {
        self.accounts.borrow_mut().insert(stream, Written::default());
        Account { book: self.clone(), stream, busy: Some(busy) }
    }

    /// The h2 crate has written what it could: the streams that had ended before are over.
    pub fn settle(&self) {
        if self.flushes.get().1 {
            self.parting.take();
        }
    }

    /// The client has read all, or has had the time for it.
    pub fn forget(&self) {
        self.parting.take();
    }

    /// Streams that are being answered.
    pub fn streams(&self) -> usize {
        self.accounts.borrow().len()
    }

    /// Does the client send too much that carries nothing?
    pub fn is_flooded(&self) -> bool {
        self.flooded.get()
    }

    /// Has a stream given up on the connection?
    pub fn is_doomed(&self) -> bool {
        self.doomed.get()
    }

    /// Since when the head of a request is incomplete.
    pub fn in_head(&self) -> Option<Instant> {
        self.in_head.get()
    }

    /// The task to wake when a stream ends or the connection has to; its turn begins.
    pub fn register(&self, cx: &Context<'_>) {
        self.turn.set(0);
        *self.task.borrow_mut() = Some(cx.waker().clone());
    }

    /// The connection is over: nothing more is written.
    pub fn close(&self) {
        self.over.set(true);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        for written in self.accounts.borrow_mut().values_mut() {
            written.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// How often all that was written was flushed.
    pub fn flushes(&self) -> u64 {
        self.flushes.get().0
    }

    /// Ready when the connection has written and flushed all it could after the flush `since`, or is
    /// over. What it still holds then waits for the client's windows.
    pub fn poll_out(&self, cx: &mut Context<'_>, since: u64) -> Poll<()> {
        let (flushes, whole) = self.flushes.get();
        if self.over.get() || (whole && flushes > since) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
            // Also a connection that has nothing to write flushes when it is looked at.
            self.wake();
        }
        Poll::Pending
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    fn received(&self, bytes: &[u8]) {
        self.inbound.borrow_mut().feed(bytes, |passed| match passed {
            Passed::Head(frame) => self.received_head(frame),
            Passed::Whole(frame) if frame.ends_head() => self.in_head.set(None),
            Passed::Whole(_) => {}
        });
    }

    fn received_head(&self, frame: Frame) {
        let now = Instant::now();
        if !self.allowance.borrow_mut().take(now, frame) {
            self.flooded.set(true);
            self.wake();
        }
        if frame.is_of_head() && self.in_head.get().is_none() {
            self.in_head.set(Some(now));
        }
    }

    fn written(&self, bytes: &[u8]) {
        self.outbound.borrow_mut().feed(bytes, |passed| {
            let Passed::Whole(frame) = passed else { return };
            if !self.allowance.borrow_mut().give(Instant::now(), frame) {
                self.flooded.set(true);
                self.wake();
            }
            if let Some(written) = self.accounts.borrow_mut().get_mut(&frame.stream) {
                written.handed.0 += u64::from(frame.data());
                written.handed.1 |= frame.ends_stream();
                self.unflushed.borrow_mut().push(frame.stream);
            }
        });
    }

    fn flushed(&self) {
        self.flushes.set((self.flushes() + 1, true));
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        let mut accounts = self.accounts.borrow_mut();
        for stream in self.unflushed.borrow_mut().drain(..) {
            if let Some(written) = accounts.get_mut(&stream) {
                written.flushed = written.handed;
                written.waiting.take().into_iter().for_each(Waker::wake);
            }
        }
    }
}

impl Account {
    /// The book it is in.
    pub fn book(&self) -> &Rc<Book> {
        &self.book
    }

    /// Ready when `bytes` of the stream's body, and its end if `end`, are with the kernel; an error
    /// if the connection is over before.
    pub fn poll_written(
        &self,
        cx: &mut Context<'_>,
        bytes: u64,
        end: bool,
    ) -> Poll<io::Result<()>> {
        let mut accounts = self.book.accounts.borrow_mut();
        let Some(written) = accounts.get_mut(&self.stream) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if written.flushed.0 >= bytes && (written.flushed.1 || !end) {
            return Poll::Ready(Ok(()));
        }
        if self.book.over.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        written.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Bytes of the stream's body that are with the kernel.
    pub fn flushed(&self) -> u64 {
        let accounts = self.book.accounts.borrow();
        accounts.get(&self.stream).map_or(0, |written| written.flushed.0)
    }

    /// The whole connection is lost: its client's host has vanished.
    pub fn doom(&self) {
        self.book.doomed.set(true);
        self.book.wake();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.book.accounts.borrow_mut().remove(&self.stream);
        if !self.book.over.get() {
            self.book.parting.borrow_mut().extend(self.busy.take());
        }
        self.book.wake();
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.book.is_flooded() {
            // The task of the connection was woken to end it.
            return Poll::Pending;
        }
        if self.book.turn.get() >= TURN_MAX {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let had = into.filled().len();
        if self.before.is_empty() {
            let read = ready!(self.io.poll_read(cx, into.initialize_unfilled()))?;
            into.advance(read);
        } else {
            let most = self.before.len().min(into.remaining());
            into.put_slice(&self.before[..most]);
            self.before.advance(most);
        }
        let read = &into.filled()[had..];
        self.book.turn.set(self.book.turn.get() + read.len());
        self.book.received(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.book.flushes.set((self.book.flushes(), false));
        let taken = ready!(self.io.poll_write(cx, bytes))?;
        self.book.written(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.io.poll_flush(cx))?;
        self.book.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_half_close(cx)
    }
}
