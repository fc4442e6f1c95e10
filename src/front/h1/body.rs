//! The body of an HTTP/1.x request, read from its socket straight into the window.
//!
//! Knows framing only. A body that ends before its end, or whose chunks are malformed, is lost.

use std::future::Future;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Sleep;

use crate::flow::chunked::Decoder;
use crate::flow::{Fill, Source};
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
        let ended = match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(decoder) => decoder.ended(),
        };
        ended.then_some(self.spill)
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
                return Poll::Ready(Ok(Fill { bytes, end: decoder.ended() }));
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
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::front::transport::Socket;

    /// What came out, and how it ended: the body, whether it ended, and what is left behind it.
    type Read = (Vec<u8>, Result<Option<Vec<u8>>, Failure>);

    /// Sends `pieces`, of which the first has come with the head, and closes; reads with a buffer of
    /// `window` bytes.
    fn read(kind: BodyKind, pieces: Vec<Vec<u8>>, window: usize) -> Read {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (io, _) = listener.accept().await.unwrap();
            let io = Transport::plain(Socket::new(io));
            let mut pieces = pieces.into_iter();
            let head = BytesMut::from(&pieces.next().unwrap_or_default()[..]);
            let sent = async move {
                for piece in pieces {
                    client.write_all(&piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            tokio::join!(drain(SocketBody::new(&io, kind, head), window), sent).0
        })
    }

    async fn drain(mut body: SocketBody<'_>, window: usize) -> Read {
        let (mut got, mut buffer) = (Vec::new(), vec![0; window]);
        loop {
            match std::future::poll_fn(|cx| body.poll_fill(cx, &mut buffer)).await {
                Ok(Fill { bytes, end }) => {
                    got.extend_from_slice(&buffer[..bytes]);
                    if end {
                        return (got, Ok(body.rest().map(|rest| rest.to_vec())));
                    }
                    assert!(bytes > 0, "ready with nothing, and not at the end");
                }
                Err(why) => return (got, Err(why)),
            }
        }
    }

    fn pieces_of(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        bytes.chunks(step).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn what_follows_a_body_is_left_for_the_next_request() {
        let wire = b"5\r\nhello\r\n3;x=y\r\n wo\r\n0\r\nT: x\r\n\r\nGET /".to_vec();
        let (body, rest) = read(BodyKind::Stream, vec![wire], 64);
        assert_eq!((body, rest), (b"hello wo".to_vec(), Ok(Some(b"GET /".to_vec()))));
        let (body, rest) = read(BodyKind::Length(5), vec![b"helloGET /".to_vec()], 64);
        assert_eq!((body, rest), (b"hello".to_vec(), Ok(Some(b"GET /".to_vec()))));
        let (body, rest) = read(BodyKind::Empty, vec![b"GET /".to_vec()], 64);
        assert_eq!((body, rest), (Vec::new(), Ok(Some(b"GET /".to_vec()))));
    }

    #[test]
    fn a_body_cut_short_is_lost_after_what_came() {
        for wire in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "9\r\nhello", "5\r\nhello\r\nx"] {
            let (body, end) = read(BodyKind::Stream, pieces_of(wire.as_bytes(), 4), 64);
            assert_eq!((body, end), (b"hello".to_vec(), Err(Failure::SenderLost)), "{wire:?}");
        }
        let (body, end) = read(BodyKind::Length(6), pieces_of(b"hello", 2), 64);
        assert_eq!((body, end), (b"hello".to_vec(), Err(Failure::SenderLost)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_chunked_body_comes_out_whole_however_it_is_cut(
            chunks in proptest::collection::vec(1usize..5000, 0..8),
            step in 1usize..3000,
            window in 1usize..6000,
        ) {
            let (mut wire, mut body) = (Vec::new(), Vec::new());
            for (i, len) in chunks.into_iter().enumerate() {
                let data: Vec<u8> = (0..len).map(|at| (at * 7 + i) as u8).collect();
                wire.extend_from_slice(format!("{len:x}\r\n").as_bytes());
                wire.extend_from_slice(&data);
                wire.extend_from_slice(b"\r\n");
                body.extend_from_slice(&data);
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (got, end) = read(BodyKind::Stream, pieces_of(&wire, step), window);
            prop_assert_eq!(end, Ok(Some(Vec::new())));
            prop_assert!(got == body);
        }
    }
}
