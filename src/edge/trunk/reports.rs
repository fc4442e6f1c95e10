//! What the receivers' side of a trunk says of its receivers: a few words, which never wait for room.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::FAREWELL_MAX;
use super::frames::{self, Said};

/// The writing side of a trunk. At most one word for each receiver waits, and one for all.
pub struct Reports<W> {
    io: W,
    waiting: BytesMut,
}

impl<W: AsyncWrite + Unpin> Reports<W> {
    /// Nothing was said yet.
    pub fn new(io: W) -> Self {
        Self { io, waiting: BytesMut::new() }
    }

    /// Says something; it goes out with [`Reports::flow`].
    pub fn say(&mut self, said: Said) {
        if let Ok(frame) = frames::encode(&said) {
            self.waiting.extend_from_slice(&frame);
        }
    }

    /// Sends what was said, as far as there is room, for ever; ready only with the end of the
    /// connection. Cancel-safe.
    pub async fn flow(&mut self) -> io::Error {
        std::future::poll_fn(|cx| {
            while !self.waiting.is_empty() {
                if let Err(error) = ready!(self.poll_send(cx)) {
                    return Poll::Ready(error);
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.waiting.advance(sent);
        Poll::Ready(Ok(()))
    }

    /// The last word was said: sends all of it and the end of the connection. Best effort, within
    /// [`FAREWELL_MAX`].
    pub async fn close(mut self) {
        let _ = timeout(FAREWELL_MAX, async {
            self.io.write_all(&self.waiting).await?;
            self.io.shutdown().await
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn what_is_said_goes_out_in_order_whatever_the_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(3);
            let mut reports = Reports::new(near);
            let said = [Said::Lost, Said::Lost, Said::Whole { receivers: 2 }];
            said.iter().for_each(|said| reports.say(*said));
            let mut got = [0; 16];
            tokio::select! {
                error = reports.flow() => panic!("{error}"),
                read = far.read_exact(&mut got) => drop(read.unwrap()),
            }
            let mut got = BytesMut::from(&got[..]);
            for said in said {
                assert_eq!(frames::take(&mut got, 9), Ok(Some(said)));
            }
            drop(far);
            reports.say(Said::Lost);
            assert_eq!(reports.flow().await.kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
