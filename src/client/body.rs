//! The body of an upload: a stream that ends only when it was told to end.
//!
//! If the feeder vanishes for whatever reason, the stream yields an error, and the connection is
//! closed without the last chunk. Knows nothing of where the bytes come from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Pieces between the source and the connection.
const PIECES: usize = 1;

/// What the feeder has said.
enum Item {
    Piece(Bytes),
    End,
}

/// The feeding end. Dropping it without [`Feeder::end`] cuts the upload.
pub struct Feeder(Sender<Item>);

/// The stream.
pub struct Body {
    items: Receiver<Item>,
    ended: bool,
    cutting: bool,
    want: Option<oneshot::Sender<()>>,
}

/// Makes both ends, and a message that comes when the connection is there and first wants bytes; it
/// is lost if that never happens.
pub fn body() -> (Feeder, Body, oneshot::Receiver<()>) {
    let (feeder, items) = channel(PIECES);
    let (want, wanted) = oneshot::channel();
    let body = Body { items, ended: false, cutting: false, want: Some(want) };
    (Feeder(feeder), body, wanted)
}

impl Feeder {
    /// Hands on a piece; `false` when nobody takes it any more.
    pub async fn piece(&self, piece: Bytes) -> bool {
        self.0.send(Item::Piece(piece)).await.is_ok()
    }

    /// Says that these were all bytes; `false` when nobody listens any more.
    pub async fn end(self) -> bool {
        self.0.send(Item::End).await.is_ok()
    }
}

impl Stream for Body {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(want) = self.want.take() {
            // Whoever fed it may have left; the items tell.
            let _ = want.send(());
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match self.items.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Item::Piece(piece))) => Poll::Ready(Some(Ok(piece))),
            Poll::Ready(Some(Item::End)) => {
                self.ended = true;
                Poll::Ready(None)
            }
            // The connection drops what it has not written yet when it sees an error. Being idle
            // once makes it write.
            Poll::Ready(None) if !self.cutting => {
                self.cutting = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(Some(Err(io::Error::other("the upload was cut")))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;

    use super::*;

    async fn next(body: &mut Body) -> Option<io::Result<Bytes>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await
    }

    #[tokio::test]
    async fn it_ends_only_when_told_so() {
        let (feeder, mut stream, _) = body();
        assert!(feeder.piece(Bytes::from_static(b"a")).await);
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), "a");
        assert!(feeder.end().await);
        assert!(next(&mut stream).await.is_none() && next(&mut stream).await.is_none());
        let (feeder, mut stream, _) = body();
        assert!(feeder.piece(Bytes::from_static(b"a")).await);
        drop(feeder);
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), "a");
        assert!(next(&mut stream).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn it_is_wanted_when_it_is_first_looked_at() {
        let (feeder, mut stream, mut wanted) = body();
        assert!(wanted.try_recv().is_err());
        assert!(feeder.end().await && next(&mut stream).await.is_none());
        assert!(wanted.await.is_ok());
        let (_feeder, stream, wanted) = body();
        drop(stream);
        assert!(wanted.await.is_err());
    }
}
