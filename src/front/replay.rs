//! A checked request, said again to actix-web over the same socket.
//!
//! What actix-web reads is rebuilt from the parsed head, so that both servers understand the same
//! request: one target, one Host, no body, no upgrade. Nothing else of the socket is read.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use ::http::Version;
use ::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use bytes::{Buf, Bytes};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Transport;
use crate::http::RequestHead;

/// Fields about the connection and the body, which are ours to deal with.
const OURS: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE];

/// What a query may hold raw here, but not in the URI parser there.
const RAW: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A socket on which one request is read first, and nothing after it.
pub struct Replay {
    io: Rc<Transport>,
    request: Bytes,
}

impl Replay {
    /// Says `head` again on `io`.
    pub fn new(io: Rc<Transport>, head: &RequestHead) -> Self {
        Self { io, request: rebuild(head).into() }
    }
}

/// The head on the wire.
fn rebuild(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend(percent_encode(&head.target, RAW).flat_map(str::bytes));
    let version: &[u8] = match head.version {
        Version::HTTP_10 => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    };
    out.extend_from_slice(version);
    for (name, value) in head.headers.iter().filter(|(name, _)| !OURS.contains(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

impl AsyncRead for Replay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.request.is_empty() {
            // The connection closes after this answer: what follows the request is not for here.
            return Poll::Pending;
        }
        let n = self.request.len().min(into.remaining());
        into.put_slice(&self.request[..n]);
        self.request.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_half_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::http::BodyKind;

    #[test]
    fn only_what_both_servers_understand_alike_is_said() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "h"),
            ("upgrade", "h2c"),
            ("expect", "x"),
            ("content-length", "5"),
            ("accept", "a"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = RequestHead {
            method: Method::GET,
            target: b"/new?a=\"<\xff>".to_vec(),
            version: Version::HTTP_11,
            headers,
            body: BodyKind::Length(5),
            peer: [127, 0, 0, 1].into(),
            secure: false,
        };
        let said = "GET /new?a=%22%3C%FF%3E HTTP/1.1\r\nhost: h\r\naccept: a\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&rebuild(&head)), said);
    }
}
