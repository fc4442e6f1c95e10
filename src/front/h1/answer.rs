//! Replies on the wire of HTTP/1.x, and how a connection ends so that they are read.

use std::time::Duration;

use ::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use ::http::{HeaderMap, StatusCode, Version};
use tokio::time::timeout;

use crate::front::transport::Transport;
use crate::http::Reply;

/// How long a client may take to accept a reply that fits its window many times over.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// After a refusal, what the client still uploads is read and dropped for this long, so that a
/// reset does not overtake the text (spec §7).
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Writes `reply` whole. `close`: say that the connection ends.
pub async fn write(
    io: &Transport,
    version: Version,
    reply: &Reply,
    close: bool,
    head_only: bool,
) -> std::io::Result<()> {
    let bytes = encode(version, reply, close, head_only);
    let written = timeout(WRITE_MAX, io.write_all(&bytes)).await;
    written.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// A whole reply.
pub fn encode(version: Version, reply: &Reply, close: bool, head_only: bool) -> Vec<u8> {
    let mut out = head(version, reply.status, &reply.headers);
    if reply.status != StatusCode::NO_CONTENT {
        field(&mut out, &CONTENT_LENGTH, &HeaderValue::from(reply.body.len()));
    }
    end_head(&mut out, close);
    if !head_only {
        out.extend_from_slice(&reply.body);
    }
    out
}

/// Status line and fields; [`end_head`] follows.
pub fn head(version: Version, status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let version: &[u8] = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    out.extend_from_slice(version);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        field(&mut out, name, value);
    }
    out
}

/// One field, its name in the usual spelling.
pub fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let mut start = true;
    for byte in name.as_str().bytes() {
        out.push(if start { byte.to_ascii_uppercase() } else { byte });
        start = byte == b'-';
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Says whether the connection stays, and ends the head.
pub fn end_head(out: &mut Vec<u8>, close: bool) {
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends a connection whose request was not read to its end: FIN (below TLS after close_notify), then
/// reading and dropping, at most a second in all. A plain half-close, because a reset discards what
/// the client has not read yet.
pub async fn linger(io: &Transport) {
    let end = async {
        io.half_close().await;
        io.discard().await;
    };
    let _ = timeout(DRAIN_MAX, end).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_spelled_as_usual() {
        let mut headers = HeaderMap::new();
        headers.insert("x-pipe-error", HeaderValue::from_static("method"));
        let body = bytes::Bytes::from_static(b"no\n");
        let reply = Reply { status: StatusCode::METHOD_NOT_ALLOWED, headers, body };
        let text = "HTTP/1.1 405 Method Not Allowed\r\nX-Pipe-Error: method\r\n\
                    Content-Length: 3\r\nConnection: close\r\n\r\n";
        assert_eq!(encode(Version::HTTP_11, &reply, true, true), text.as_bytes());
        let text = "HTTP/1.0 405 Method Not Allowed\r\nX-Pipe-Error: method\r\n\
                    Content-Length: 3\r\nConnection: close\r\n\r\nno\n";
        assert_eq!(encode(Version::HTTP_10, &reply, true, false), text.as_bytes());
    }
}
