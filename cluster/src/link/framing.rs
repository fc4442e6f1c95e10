//! Frames on a byte stream, and the signs of life between them.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::outbox::Outbox;
use super::{FRAME_MAX, PING_EVERY, SILENCE_MAX};

/// What a side says when it has nothing to say: a frame of no bytes.
const PING: &[u8] = &0u32.to_be_bytes();

/// One read: many frames of the usual size.
const READ: usize = 16 << 10;

/// The frames that arrive.
pub(super) struct Frames<R> {
    io: R,
    unread: BytesMut,
    /// The other side is gone if it has said nothing by then.
    until: Instant,
}

/// A length that no frame has.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(io: R) -> Self {
        Self { io, unread: BytesMut::new(), until: Instant::now() + SILENCE_MAX }
    }

    /// The next frame that says something; `None` if there will be none: the end, or silence, or what
    /// is no frame. `heard` is called for whatever arrives. Cancel-safe.
    pub(super) async fn next(&mut self, heard: impl Fn()) -> Option<Bytes> {
        loop {
            match split(&mut self.unread) {
                Ok(Some(frame)) if frame.is_empty() => continue,
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(TooLong) => return None,
            }
            self.unread.reserve(READ);
            // What has arrived is read even when it is late to look.
            let read = timeout_at(self.until, self.io.read_buf(&mut self.unread)).await;
            let Ok(Ok(1..)) = read else { return None };
            self.until = Instant::now() + SILENCE_MAX;
            heard();
        }
    }
}

/// Takes the first frame if it is complete.
fn split(unread: &mut BytesMut) -> Result<Option<Bytes>, TooLong> {
    let Some(length) = unread.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_MAX {
        return Err(TooLong);
    }
    if unread.len() < size_of::<u32>() + length {
        return Ok(None);
    }
    unread.advance(size_of::<u32>());
    Ok(Some(unread.split_to(length).freeze()))
}

/// Writes what waits in `outbox`, and a sign of life each second, until the link is over, which it is
/// when nothing can be written any more.
pub(super) async fn write(outbox: &Outbox, mut io: impl AsyncWrite + Unpin) {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writing = async {
        loop {
            let mut bytes = tokio::select! {
                bytes = outbox.take() => bytes,
                _ = ping.tick() => Bytes::from_static(PING),
            };
            if io.write_all_buf(&mut bytes).await.is_err() || io.flush().await.is_err() {
                return outbox.close();
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = outbox.closed() => {}
    }
}
