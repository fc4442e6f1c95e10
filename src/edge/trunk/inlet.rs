//! What comes over a trunk, at the receivers' side: the frame that opens it, then the bytes, then the
//! explicit end. Holds at most what one read gave beyond that frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::frames::{self, OPENED_MAX, Opened};
use crate::flow::chunked::Decoder;
use crate::flow::{Fill, Source};

/// One read where framing is expected: of what comes with it so much is moved at most. The rest of a
/// large chunk is read to where it belongs.
const READ: usize = 16 << 10;

/// Room for the end of a trunk.
const SCRATCH: usize = 64;

/// The trunk ended in any other way than with its last chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trunk was cut")]
pub struct Cut;

/// The reading side of a trunk.
pub struct Inlet<R> {
    io: R,
    /// What was read before of the connection, and not decoded.
    unread: BytesMut,
    decoder: Decoder,
    /// Decoded, and not yet taken.
    ahead: BytesMut,
    /// Of a known length, so many bytes were not given out yet.
    left: Option<u64>,
    /// The last of them, while the end of the trunk has not been read.
    last: Option<u8>,
}

impl<R: AsyncRead + Unpin> Inlet<R> {
    /// A trunk of which `unread` was read already.
    pub fn new(io: R, unread: BytesMut) -> Self {
        let (decoder, ahead) = (Decoder::new(), BytesMut::new());
        Self { io, unread, decoder, ahead, left: None, last: None }
    }

    /// What the trunk carries. Cancel-safe; to be asked once.
    pub async fn opened(&mut self) -> Result<Opened, Cut> {
        std::future::poll_fn(|cx| self.poll_opened(cx)).await
    }

    /// So many bytes will come. The last one is given out together with the end: a client that has them
    /// all may close its connection at once, and has got everything only if nothing is to come.
    pub fn expect(&mut self, length: Option<u64>) {
        self.left = length;
    }

    /// After the last chunk: ready when the sender's side lets go of the trunk. As long as this side has not
    /// said what became of everybody, it does so only if the transfer has failed there, or with its node.
    pub fn poll_let_go(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; SCRATCH];
        // Nothing follows the last chunk: whatever comes is no word of a transfer that goes on.
        Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut scratch)).map(drop)
    }

    /// Reads and drops what is left, to the end of the connection.
    pub async fn discard(mut self) {
        let mut block = vec![0; READ];
        while self.io.read(&mut block).await.is_ok_and(|read| read > 0) {}
    }

    fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opened, Cut>> {
        loop {
            match frames::take(&mut self.ahead, OPENED_MAX) {
                Ok(Some(opened)) => return Poll::Ready(Ok(opened)),
                Ok(None) if self.decoder.ended() => return Poll::Ready(Err(Cut)),
                Ok(None) => {}
                Err(_) => return Poll::Ready(Err(Cut)),
            }
            let had = self.ahead.len();
            self.ahead.resize(had + READ, 0);
            let mut ahead = std::mem::take(&mut self.ahead);
            let read = self.poll_decode(cx, &mut ahead[had..]);
            let got = if let Poll::Ready(Ok(got)) = read { got } else { 0 };
            ahead.truncate(had + got);
            // Nothing is held while the head is long in coming.
            self.ahead = if ahead.is_empty() { BytesMut::new() } else { ahead };
            ready!(read)?;
        }
    }

    /// Reads once and leaves the data of that at the start of `into`: none if it was only framing.
    fn poll_decode(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, Cut>> {
        let chunk = usize::try_from(self.decoder.remaining()).unwrap_or(usize::MAX);
        let most = if chunk > 0 { chunk } else { READ }.min(into.len());
        let mut buf = ReadBuf::new(&mut into[..most]);
        if self.unread.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)).map_err(|_| Cut)?;
        } else {
            let first = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(first));
        }
        let read = buf.filled().len();
        if read == 0 {
            return Poll::Ready(Err(Cut));
        }
        Poll::Ready(self.decode(into, read))
    }

    /// Moves the data among the first `read` bytes of `into` together.
    fn decode(&mut self, into: &mut [u8], read: usize) -> Result<usize, Cut> {
        let (mut from, mut to) = (0, 0);
        while from < read && !self.decoder.ended() {
            from += self.decoder.framing(&into[from..read]).map_err(|_| Cut)?;
            let left = usize::try_from(self.decoder.remaining()).unwrap_or(usize::MAX);
            let data = left.min(read - from);
            if from != to {
                into.copy_within(from..from + data, to);
            }
            self.decoder.data(data as u64);
            (from, to) = (from + data, to + data);
        }
        Ok(to)
    }
}

impl<R: AsyncRead + Unpin> Source for Inlet<R> {
    type Error = Cut;

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>> {
        let most = match self.left {
            Some(1) => return self.poll_last(cx, into),
            Some(left @ 2..) => usize::try_from(left - 1).unwrap_or(usize::MAX).min(into.len()),
            Some(0) | None => into.len(),
        };
        let fill = ready!(self.poll_some(cx, &mut into[..most]))?;
        self.left = self.left.map(|left| left.saturating_sub(fill.bytes as u64));
        Poll::Ready(Ok(fill))
    }
}

impl<R: AsyncRead + Unpin> Inlet<R> {
    /// The last byte of a known length, when the end has been read too.
    fn poll_last(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, Cut>> {
        loop {
            let mut scratch = [0; SCRATCH];
            let Fill { bytes, end } = ready!(self.poll_some(cx, &mut scratch))?;
            if bytes + usize::from(self.last.is_some()) > 1 {
                return Poll::Ready(Err(Cut));
            }
            self.last = self.last.or((bytes > 0).then_some(scratch[0]));
            if end {
                into[0] = self.last.take().ok_or(Cut)?;
                return Poll::Ready(Ok(Fill { bytes: 1, end }));
            }
        }
    }

    /// The next bytes, as they come.
    fn poll_some(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, Cut>> {
        if !self.ahead.is_empty() {
            let bytes = into.len().min(self.ahead.len());
            self.ahead.copy_to_slice(&mut into[..bytes]);
            let all = self.ahead.is_empty();
            if all {
                self.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(Fill { bytes, end: all && self.decoder.ended() }));
        }
        loop {
            if self.decoder.ended() {
                return Poll::Ready(Ok(Fill { bytes: 0, end: true }));
            }
            let bytes = ready!(self.poll_decode(cx, into))?;
            if bytes > 0 {
                return Poll::Ready(Ok(Fill { bytes, end: self.decoder.ended() }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::io;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::chunked::{CHUNK_HEAD_MAX, LAST_CHUNK, chunk_head};
    use crate::pipe::{Failure, Head};

    /// Gives these pieces, one for each read, then the end of the connection.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(mut piece) = self.0.pop_front() else { return Poll::Ready(Ok(())) };
            let rest = piece.split_off(piece.len().min(into.remaining()));
            into.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
            Poll::Ready(Ok(()))
        }
    }

    fn chunk(data: &[u8]) -> Vec<u8> {
        [chunk_head(&mut [0; CHUNK_HEAD_MAX], data.len()), data, b"\r\n"].concat()
    }

    fn opened() -> Opened {
        Opened::Stream { head: Head::default(), id: "an id".into(), stall: None }
    }

    /// Everything that comes out, if it comes to a clean end.
    fn read(wire: &[u8], step: usize, window: usize) -> Result<(Opened, Vec<u8>), Cut> {
        let (unread, wire) = wire.split_at(wire.len().min(step / 2));
        let pieces = wire.chunks(step.max(1)).map(<[u8]>::to_vec).collect();
        let mut inlet = Inlet::new(Pieces(pieces), BytesMut::from(unread));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (opened, mut all, mut window) =
                (inlet.opened().await?, Vec::new(), vec![0; window]);
            loop {
                let fill = poll_fn(|cx| inlet.poll_fill(cx, &mut window)).await?;
                all.extend_from_slice(&window[..fill.bytes]);
                if fill.end {
                    return Ok((opened, all));
                }
            }
        })
    }

    fn wire(opened: &Opened, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = chunk(&frames::encode(opened).unwrap());
        chunks.iter().for_each(|data| wire.extend(chunk(data)));
        wire.extend_from_slice(LAST_CHUNK);
        wire
    }

    #[test]
    fn a_failure_is_an_opening_too() {
        let failed = Opened::Failed(Failure::Cancelled(Some("enough".into())));
        assert_eq!(read(&wire(&failed, &[]), 7, 9), Ok((failed, Vec::new())));
    }

    #[test]
    fn a_trunk_without_an_opening_is_cut() {
        for wire in [&b""[..], LAST_CHUNK, b"x", b"4\r\n\xff\xff\xff\xff\r\n0\r\n\r\n"] {
            assert_eq!(read(wire, 99, 99), Err(Cut), "{wire:?}");
        }
    }

    #[test]
    fn the_last_byte_of_a_known_length_comes_with_the_end() {
        let whole = wire(&opened(), &[b"abc".to_vec(), b"de".to_vec()]);
        let bytes = |wire: &[u8], step, length| {
            let pieces = wire.chunks(step).map(<[u8]>::to_vec).collect();
            let mut inlet = Inlet::new(Pieces(pieces), BytesMut::new());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut all = Vec::new();
            runtime.block_on(async {
                inlet.opened().await.unwrap();
                inlet.expect(Some(length));
                let mut window = [0; 99];
                while let Ok(Fill { bytes, end }) =
                    poll_fn(|cx| inlet.poll_fill(cx, &mut window)).await
                {
                    all.extend_from_slice(&window[..bytes]);
                    if end {
                        all.push(b'.');
                        return;
                    }
                }
            });
            String::from_utf8(all).unwrap()
        };
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(bytes(&whole, step, 5), "abcde.");
            assert_eq!(bytes(&whole[..whole.len() - 1], step, 5), "abcd", "no end, no last byte");
            assert_eq!(bytes(&whole, step, 4), "abc", "more than declared");
        }
        assert_eq!(bytes(&wire(&opened(), &[]), 1, 0), ".");
        assert_eq!(bytes(&wire(&opened(), &[b"a".to_vec()]), 1, 1), "a.");
    }

    proptest! {
        #[test]
        fn the_bytes_come_out_at_any_split_and_every_other_end_is_a_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
            step in 1usize..400,
            window in 1usize..200,
            cut in any::<prop::sample::Index>(),
        ) {
            let wire = wire(&opened(), &chunks);
            prop_assert_eq!(read(&wire, step, window), Ok((opened(), chunks.concat())));
            prop_assert_eq!(read(&wire[..cut.index(wire.len())], step, window), Err(Cut));
        }
    }
}
