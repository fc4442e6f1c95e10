//! The body of an HTTP/2 request. Its client may send within the stream's window, which opens only as
//! bytes are passed on: a paused stream holds up no other.
//!
//! What has arrived is taken out of the h2 crate at once, also while nobody wants it: there each frame
//! costs far more than its bytes, and too many small ones end the whole connection.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::h2::RecvStream;
use bytes::{Buf, Bytes, BytesMut};

use crate::flow::{Fill, Source};
use crate::pipe::Failure;

/// A request body. Dropping it before its end tells the client to stop.
pub struct StreamBody(Rc<RefCell<Inlet>>);

/// Takes what arrives of a body out of the h2 crate while its reader is busy with other things.
pub struct Puller(Rc<RefCell<Inlet>>);

struct Inlet {
    stream: RecvStream,
    /// Arrived while nobody wanted it, in one piece: at most the stream's window.
    kept: BytesMut,
    /// Arrived after it, but not yet passed on.
    piece: Bytes,
    /// How it ended, behind all that is here.
    end: Option<Result<(), Failure>>,
}

impl StreamBody {
    /// The body of a request.
    pub fn new(stream: RecvStream) -> Self {
        let (kept, piece) = (BytesMut::new(), Bytes::new());
        Self(Rc::new(RefCell::new(Inlet { stream, kept, piece, end: None })))
    }

    /// For the task that reads the body, and only for that one: it is woken for both.
    pub fn puller(&self) -> Puller {
        Puller(self.0.clone())
    }

    /// Reads and drops the rest. Bound it with a timeout.
    pub async fn discard(&mut self) {
        poll_fn(|cx| self.0.borrow_mut().poll_discard(cx, true)).await;
    }

    /// Does `work`; meanwhile what arrives is dropped. The client gets no more than its window for
    /// that.
    pub async fn ignore_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if done.is_pending() {
                let _ = self.0.borrow_mut().poll_discard(cx, false);
            }
            done
        })
        .await
    }
}

impl Puller {
    /// Pulls without an end. Cancel-safe.
    pub async fn run(&self) {
        poll_fn(|cx| self.0.borrow_mut().poll_keep(cx)).await;
        pending().await
    }
}

impl Inlet {
    /// The next frame: `None` at the end, however it comes. A reset, a length other than the declared
    /// one (the h2 crate checks it) and the end of the connection are a loss.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        self.end = Some(match ready!(self.stream.poll_data(cx)) {
            Some(Ok(frame)) => return Poll::Ready(Some(frame)),
            Some(Err(_)) => Err(Failure::SenderLost),
            None => Ok(()),
        });
        Poll::Ready(None)
    }

    /// Keeps what has arrived; ready at the end.
    fn poll_keep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(frame) = ready!(self.poll_frame(cx)) {
            let before = std::mem::take(&mut self.piece);
            self.kept.extend_from_slice(&before);
            self.kept.extend_from_slice(&frame);
        }
        Poll::Ready(())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>, invite: bool) -> Poll<()> {
        let mut bytes = self.kept.len() + self.piece.len();
        (self.kept, self.piece) = (BytesMut::new(), Bytes::new());
        loop {
            if invite && bytes > 0 {
                // Only a stream that is gone refuses this, which is found by reading on.
                let _ = self.stream.flow_control().release_capacity(bytes);
            }
            match ready!(self.poll_frame(cx)) {
                Some(frame) => bytes = frame.len(),
                None => return Poll::Ready(()),
            }
        }
    }

    /// Passes on what is here, and lets the client send as much again.
    fn pass(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        let first = self.kept.len().min(into.len());
        self.kept.copy_to_slice(&mut into[..first]);
        if self.kept.is_empty() {
            self.kept = BytesMut::new();
        }
        let second = self.piece.len().min(into.len() - first);
        self.piece.copy_to_slice(&mut into[first..first + second]);
        let bytes = first + second;
        let refused = bytes > 0 && self.stream.flow_control().release_capacity(bytes).is_err();
        // Behind an end nobody is let in any more.
        match refused && self.end.is_none() {
            true => Err(Failure::SenderLost),
            false => Ok(bytes),
        }
    }
}

impl Source for StreamBody {
    type Error = Failure;

    /// Fills as much as has arrived: many small frames or a part of a large one.
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, Failure>> {
        let inlet = &mut *self.0.borrow_mut();
        let mut bytes = 0;
        loop {
            bytes += inlet.pass(&mut into[bytes..])?;
            if bytes == into.len() {
                return Poll::Ready(Ok(Fill { bytes, end: false }));
            }
            match inlet.poll_frame(cx) {
                Poll::Ready(Some(piece)) => inlet.piece = piece,
                Poll::Ready(None) => match &inlet.end {
                    // What came before the loss still goes out; the next call finds it again.
                    Some(Err(why)) if bytes == 0 => return Poll::Ready(Err(why.clone())),
                    Some(Ok(())) => return Poll::Ready(Ok(Fill { bytes, end: true })),
                    _ => return Poll::Ready(Ok(Fill { bytes, end: false })),
                },
                Poll::Pending if bytes > 0 => return Poll::Ready(Ok(Fill { bytes, end: false })),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
