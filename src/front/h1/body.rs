//! The body of an HTTP/1.x request, read from its socket straight into the window.
//!
//! Knows framing only: how it comes without being read is in [`pour`]. A body that ends before its end, or whose chunks are malformed, is lost.

mod pour;

use std::future::Future;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Sleep;

use crate::flow::chunked::Decoder;
use crate::flow::{Fill, Pour, Source};
use crate::front::transport::Transport;
use crate::http::BodyKind;
use crate::pipe::Failure;

/// Room for what follows the data of a chunk: its end, the next head, and the first bytes of a small
/// next chunk. Larger data is read into the window without a copy.
const SPILL: usize = 1 << 10;

/// How long trailers may take after the last chunk. Nobody sends any on purpose; a body that stays
/// open for them is lost.
const TRAILERS_MAX: Duration = Duration::from_secs(10);

/// One read of what nobody wants any more.
const DISCARD: usize = 64 << 10;

/// A request body. Reads nothing until it is polled.
pub struct SocketBody<'a> {
    io: &'a Transport,
    framing: Framing,
    /// Read, but not yet taken: what came with the head, or behind a chunk.
    spill: BytesMut,
    /// When the trailers are late; set when they are waited for.
    late: Option<Pin<Box<Sleep>>>,
}

enum Framing {
    Length(u64),
    Chunked(Decoder),
}

impl Framing {
    fn ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.ended(),
        }
    }
}

impl<'a> SocketBody<'a> {
    /// A body whose first bytes came with the head.
    pub fn new(io: &'a Transport, kind: BodyKind, read: BytesMut) -> Self {
        let framing = match kind {
            BodyKind::Empty => Framing::Length(0),
            BodyKind::Length(length) => Framing::Length(length),
            BodyKind::Stream => Framing::Chunked(Decoder::new()),
        };
        Self { io, framing, spill: read, late: None }
    }

    /// Was the body read to its end? Then the rest belongs to the next request.
    pub fn rest(self) -> Option<BytesMut> {
        self.framing.ended().then_some(self.spill)
    }

    /// Reads and drops the rest of the body. Bound it with a timeout.
    pub async fn discard(&mut self) {
        let mut block = vec![0; DISCARD];
        loop {
            match std::future::poll_fn(|cx| self.poll_fill(cx, &mut block)).await {
                Ok(Fill { end: false, .. }) => {}
                Ok(Fill { end: true, .. }) | Err(_) => return,
            }
        }
    }

    fn poll_length(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Failure>> {
        let Framing::Length(left) = &mut self.framing else {
            return Poll::Ready(Err(Failure::Internal));
        };
        if *left == 0 {
            return Poll::Ready(Ok(Fill { bytes: 0, end: true }));
        }
        let most = into.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let bytes = if self.spill.is_empty() {
            match ready!(self.io.poll_read(cx, &mut into[..most])) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Failure::SenderLost)),
                Ok(bytes) => bytes,
            }
        } else {
            take(&mut self.spill, &mut into[..most])
        };
        *left -= bytes as u64;
        Poll::Ready(Ok(Fill { bytes, end: *left == 0 }))
    }

    /// Fills as much as has arrived: many small chunks or a part of a large one.
    fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Failure>> {
        let Framing::Chunked(decoder) = &mut self.framing else {
            return Poll::Ready(Err(Failure::Internal));
        };
        let mut bytes = 0;
        loop {
            if unspill(decoder, &mut self.spill, into, &mut bytes).is_err() {
                return lost_after(bytes);
            }
            if decoder.ended() || bytes == into.len() {
                // The end is told by itself: data is never held back for it (spec §8).
                return Poll::Ready(Ok(Fill { bytes, end: decoder.ended() && bytes == 0 }));
            }
            let most = (into.len() - bytes).min(usize_of(decoder.remaining()));
            let data = &mut into[bytes..bytes + most];
            match poll_spilling(self.io, cx, data, &mut self.spill) {
                Poll::Ready(Ok(0) | Err(_)) => return lost_after(bytes),
                Poll::Ready(Ok(got)) => {
                    decoder.data(got.min(most) as u64);
                    bytes += got.min(most);
                }
                Poll::Pending if decoder.in_trailers() && is_late(&mut self.late, cx) => {
                    return lost_after(bytes);
                }
                Poll::Pending if bytes > 0 => return Poll::Ready(Ok(Fill { bytes, end: false })),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Source for SocketBody<'_> {
    type Error = Failure;

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>> {
        match self.framing {
            Framing::Length(_) => self.poll_length(cx, into),
            Framing::Chunked(_) => self.poll_chunked(cx, into),
        }
    }

    /// Through TLS the bytes are not those of the socket.
    fn pour(&mut self) -> Option<&mut dyn Pour<Error = Failure>> {
        if self.io.is_secure() { None } else { Some(self) }
    }
}

/// What was read before the loss still goes out; the loss is found again by the next call.
fn lost_after(bytes: usize) -> Poll<Result<Fill, Failure>> {
    match bytes {
        0 => Poll::Ready(Err(Failure::SenderLost)),
        bytes => Poll::Ready(Ok(Fill { bytes, end: false })),
    }
}

/// Starts the clock of the trailers, or looks at it.
fn is_late(late: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    late.get_or_insert_with(|| Box::pin(tokio::time::sleep(TRAILERS_MAX)))
        .as_mut()
        .poll(cx)
        .is_ready()
}

/// Decodes what has been read already: framing is consumed, data goes to `into[*bytes..]`.
fn unspill(
    decoder: &mut Decoder,
    spill: &mut BytesMut,
    into: &mut [u8],
    bytes: &mut usize,
) -> Result<(), crate::flow::chunked::Malformed> {
    while !spill.is_empty() && !decoder.ended() {
        if decoder.remaining() == 0 {
            let used = decoder.framing(spill)?;
            let _ = spill.split_to(used);
            continue;
        }
        let most = (into.len() - *bytes).min(usize_of(decoder.remaining()));
        if most == 0 {
            break;
        }
        let took = take(spill, &mut into[*bytes..*bytes + most]);
        decoder.data(took as u64);
        *bytes += took;
    }
    Ok(())
}

/// One read: first into `data`, what is more into `spill` (which is empty). Returns both together.
fn poll_spilling(
    io: &Transport,
    cx: &mut Context<'_>,
    data: &mut [u8],
    spill: &mut BytesMut,
) -> Poll<std::io::Result<usize>> {
    let direct = data.len();
    spill.resize(SPILL, 0);
    let slices = &mut [IoSliceMut::new(data), IoSliceMut::new(spill)];
    let read = io.poll_readv(cx, slices);
    let got = if let Poll::Ready(Ok(n)) = read { n } else { 0 };
    spill.truncate(got.saturating_sub(direct));
    read
}

/// Moves bytes from the front of `from`; returns how many.
fn take(from: &mut BytesMut, into: &mut [u8]) -> usize {
    let n = from.len().min(into.len());
    into[..n].copy_from_slice(&from.split_to(n));
    n
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
