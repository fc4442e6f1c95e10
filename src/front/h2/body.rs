//! The body of an HTTP/2 request. What has arrived waits in the h2 crate, within the stream's window,
//! and the window opens only as bytes are taken: a paused stream holds up no other.

use std::task::{Context, Poll};

use ::h2::RecvStream;
use bytes::{Buf, Bytes};

use crate::flow::{Fill, Source};
use crate::pipe::Failure;

/// A request body. Dropping it before its end tells the client to stop.
pub struct StreamBody {
    stream: RecvStream,
    /// Arrived, but not yet taken.
    piece: Bytes,
}

impl StreamBody {
    /// The body of a request.
    pub fn new(stream: RecvStream) -> Self {
        Self { stream, piece: Bytes::new() }
    }

    /// Reads and drops the rest. Bound it with a timeout.
    pub async fn discard(&mut self) {
        while let Some(Ok(piece)) = std::future::poll_fn(|cx| self.stream.poll_data(cx)).await {
            if self.stream.flow_control().release_capacity(piece.len()).is_err() {
                return;
            }
        }
    }
}

impl Source for StreamBody {
    type Error = Failure;

    /// Fills as much as has arrived: many small frames or a part of a large one. A reset, a length
    /// other than the declared one (the h2 crate checks it) and the end of the connection are a loss.
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, Failure>> {
        let mut bytes = 0;
        loop {
            let most = self.piece.len().min(into.len() - bytes);
            self.piece.copy_to_slice(&mut into[bytes..bytes + most]);
            bytes += most;
            if most > 0 && self.stream.flow_control().release_capacity(most).is_err() {
                return Poll::Ready(Err(Failure::SenderLost));
            }
            if bytes == into.len() {
                return Poll::Ready(Ok(Fill { bytes, end: false }));
            }
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => self.piece = piece,
                Poll::Ready(None) => return Poll::Ready(Ok(Fill { bytes, end: true })),
                // What came before the loss still goes out; the next call finds the loss again.
                Poll::Ready(Some(Err(_))) if bytes == 0 => {
                    return Poll::Ready(Err(Failure::SenderLost));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Ok(Fill { bytes, end: false })),
                Poll::Pending if bytes > 0 => return Poll::Ready(Ok(Fill { bytes, end: false })),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
