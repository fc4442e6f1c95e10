//! A request head and a complete reply as plain values. How they came in or go out is the front's
//! business.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

/// A request head that passed the checks of HTTP syntax and framing (spec §21).
///
/// Has no `Debug`: target and headers hold names, which are credentials.
#[derive(Clone)]
pub struct RequestHead {
    /// Case-sensitive; unknown methods are extension methods.
    pub method: Method,
    /// The request target: a path with or without a query, `*`, or (for CONNECT) anything. Any bytes
    /// but spaces and control characters. An absolute target has lost its scheme and authority.
    pub target: Vec<u8>,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// All fields in order; the authority of an absolute target has already replaced `Host`.
    pub headers: HeaderMap,
    /// How the body is delimited.
    pub body: BodyKind,
    /// The client's address as the listener saw it.
    pub peer: IpAddr,
    /// Whether the listener speaks TLS.
    pub secure: bool,
}

/// How a request body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    Empty,
    /// `Content-Length`, also zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`, or an HTTP/2 stream without a length.
    Stream,
}

/// A whole reply, ready to be written by any front. The front adds `Content-Length` (from the
/// body) and `Connection`, and leaves the body out for HEAD.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Fields in the order they are written.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A host name, an IPv4 address or a bracketed IPv6 address, with or without a port.
pub fn is_host(host: &[u8]) -> bool {
    let (name, rest) = match host.strip_prefix(b"[") {
        Some(inner) => match inner.iter().position(|&b| b == b']') {
            Some(end) => (&inner[..end], &inner[end + 1..]),
            None => return false,
        },
        None => host.split_at(host.iter().position(|&b| b == b':').unwrap_or(host.len())),
    };
    let v6 = host.starts_with(b"[");
    let name_ok = name.iter().all(|&b| match b {
        b':' => v6,
        b => b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&b),
    });
    let port_ok = rest.is_empty()
        || rest
            .strip_prefix(b":")
            .is_some_and(|p| p.len() <= 5 && p.iter().all(u8::is_ascii_digit));
    !name.is_empty() && name_ok && port_ok
}
