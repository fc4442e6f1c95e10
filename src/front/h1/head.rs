//! Request heads of HTTP/1.x: read within bounds, and parsed strictly (spec §21, framing).
//!
//! Nothing ambiguous passes: two readings of one request is how requests are smuggled. Knows no
//! routes and no texts.

use std::net::IpAddr;
use std::time::Duration;

use ::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use bytes::{Buf, BytesMut};
use tokio::time::{Instant, timeout_at};

use crate::front::transport::Transport;
use crate::http::request::is_host;
use crate::http::{BodyKind, Refusal, RequestHead, target};

/// What a stranger may make a listener hold for a head, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a head.
    pub bytes: usize,
    /// A head arrives within this, and a new connection says something within this.
    pub wait: Duration,
}

/// For clients (spec §12, §20).
pub const CLIENTS: Limits = Limits { bytes: 128 << 10, wait: Duration::from_secs(10) };

/// Most fields of a head (spec §20).
const FIELDS_MAX: usize = 96;

/// A connection between two requests is closed after this (spec §12).
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// One read while a head arrives. Most heads fit; what follows them stays small.
const READ: usize = 4 << 10;

/// The first bytes of HTTP/2 with prior knowledge.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A head, and what its connection may do after it.
pub struct Parsed {
    /// The request.
    pub head: RequestHead,
    /// Bytes of the head in the buffer.
    pub len: usize,
    /// The client lets the connection be reused.
    pub keep_alive: bool,
}

/// What came of reading a head.
pub enum Read {
    /// A head; it still stands in the buffer.
    Head(Box<Parsed>),
    /// A plain connection that begins as HTTP/2 does; all of it still stands in the buffer.
    Http2,
    /// The client went away, or was silent for too long.
    End,
}

/// Reads the next head into `buf` and parses it. What follows the head stays in `buf`.
pub async fn read(
    io: &Transport,
    buf: &mut BytesMut,
    peer: IpAddr,
    first: bool,
    limits: Limits,
) -> Result<Read, Refusal> {
    let silence = if first { limits.wait } else { IDLE_WAIT };
    // What has come already is the beginning of a head.
    let silence = if buf.is_empty() { silence } else { limits.wait };
    let mut until = Instant::now() + silence;
    let mut scan = Scan::default();
    loop {
        let had = buf.len();
        if had > 0 {
            let end = scan.head_end(buf)?;
            if end.unwrap_or(had) > limits.bytes {
                return Err(Refusal::HeadTooLarge);
            }
            if let Some(len) = end {
                if first && !io.is_secure() && buf.starts_with(HTTP2_PREFACE) {
                    return Ok(Read::Http2);
                }
                let parsed = parse(&buf[..len], peer, io.is_secure())?;
                return Ok(Read::Head(Box::new(parsed)));
            }
        }
        match timeout_at(until, fill(io, buf)).await {
            Ok(Ok(0) | Err(_)) => return Ok(Read::End),
            Ok(Ok(_)) if had == 0 && !first => until = Instant::now() + limits.wait,
            Ok(Ok(_)) => {}
            Err(_) if buf.is_empty() => return Ok(Read::End),
            Err(_) => return Err(Refusal::HeadTimeout),
        }
    }
}

/// Adds one read to `buf`. Cancel-safe: `buf` grows only when bytes have arrived.
pub async fn fill(io: &Transport, buf: &mut BytesMut) -> std::io::Result<usize> {
    std::future::poll_fn(|cx| {
        let had = buf.len();
        buf.resize(had + READ, 0);
        let read = io.poll_read(cx, &mut buf[had..]);
        let got = if let std::task::Poll::Ready(Ok(n)) = read { n } else { 0 };
        buf.truncate(had + got);
        if buf.is_empty() {
            // Nothing is held while a connection is silent.
            *buf = BytesMut::new();
        }
        read
    })
    .await
}

/// How far a growing head has been looked at, so that a dripped one costs no more than another.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    /// A space was seen in the request line: what follows is the target.
    in_target: bool,
    /// The request line is over.
    in_fields: bool,
}

impl Scan {
    /// The length of the head if it is complete. Refuses at the first byte that no head may hold,
    /// so that noise is not waited for.
    fn head_end(&mut self, buf: &mut BytesMut) -> Result<Option<usize>, Refusal> {
        while self.at == 0 && buf.starts_with(b"\r\n") {
            buf.advance(2);
        }
        if self.at == 0 && buf.first().is_some_and(|&b| !is_token_byte(b) && b != b'\r') {
            return Err(Refusal::Malformed("it does not begin with a method"));
        }
        while let Some(&byte) = buf.get(self.at) {
            match byte {
                b'\n' if self.at == 0 || buf[self.at - 1] != b'\r' => {
                    return Err(Refusal::Malformed("a line ends without CR"));
                }
                b'\n' if buf[..self.at].ends_with(b"\r\n\r") => return Ok(Some(self.at + 1)),
                b'\n' => self.in_fields = true,
                b'\r' => match buf.get(self.at + 1) {
                    Some(b'\n') => {}
                    Some(_) => return Err(Refusal::Malformed("a CR stands alone")),
                    None => return Ok(None),
                },
                b' ' => self.in_target = true,
                b'\t' if self.in_fields => {}
                0..0x20 | 0x7f if self.in_target && !self.in_fields => {
                    return Err(Refusal::BadPath);
                }
                0..0x20 | 0x7f => return Err(Refusal::Malformed("a control character")),
                _ => {}
            }
            self.at += 1;
        }
        Ok(None)
    }
}

/// The version to answer in when a head was not understood.
pub fn version_of(bytes: &[u8]) -> Version {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    match line.trim_ascii_end().ends_with(b"HTTP/1.0") {
        true => Version::HTTP_10,
        false => Version::HTTP_11,
    }
}

/// Parses a complete head whose lines end in CRLF.
fn parse(bytes: &[u8], peer: IpAddr, secure: bool) -> Result<Parsed, Refusal> {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Err(Refusal::Malformed("HTTP/2 begins a connection, and through TLS by ALPN"));
    }
    let line_end =
        bytes.windows(2).position(|w| w == b"\r\n").ok_or(Refusal::Malformed("no request line"))?;
    let (method, target, version) = request_line(&bytes[..line_end])?;
    let mut headers = fields(&bytes[line_end + 2..])?;
    check_host(&headers, version)?;
    let body = body_kind(&headers, version, &method)?;
    let (authority, local) = target::split_authority(target);
    let target = local.into_owned();
    if let Some(authority) = authority {
        // It replaces Host (RFC 9112 §3.2.2).
        let host = HeaderValue::from_bytes(authority).ok().filter(|_| is_host(authority));
        headers.insert(HOST, host.ok_or(Refusal::Malformed("the authority is malformed"))?);
    }
    let keep_alive = version == Version::HTTP_11 && !asks_to_close(&headers);
    let head = RequestHead { method, target, version, headers, body, peer, secure };
    Ok(Parsed { head, len: bytes.len(), keep_alive })
}

fn request_line(line: &[u8]) -> Result<(Method, &[u8], Version), Refusal> {
    const WRONG: Refusal = Refusal::Malformed("the request line is not METHOD TARGET VERSION");
    let mut parts = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(WRONG);
    };
    let method = Method::from_bytes(method).map_err(|_| WRONG)?;
    if target.is_empty() {
        return Err(WRONG);
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, Version::HTTP_11)),
        b"HTTP/1.0" => Ok((method, target, Version::HTTP_10)),
        _ => Err(Refusal::Malformed("only HTTP/1.0 and HTTP/1.1 are served here")),
    }
}

fn fields(bytes: &[u8]) -> Result<HeaderMap, Refusal> {
    let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let parsed = match httparse::parse_headers(bytes, &mut slots) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(Refusal::Malformed("a header field is malformed"));
        }
    };
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        if field.name.len() > usize::from(u16::MAX) {
            return Err(Refusal::HeadTooLarge);
        }
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Refusal::Malformed("a header field is malformed"));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

/// Exactly one well-formed Host; HTTP/1.0 may have none.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::Malformed("the Host is malformed")),
        (Some(_), Some(_)) => Err(Refusal::Malformed("more than one Host")),
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Refusal::Malformed("no Host")),
    }
}

/// How the body is delimited, if there is exactly one way to read that.
fn body_kind(headers: &HeaderMap, version: Version, method: &Method) -> Result<BodyKind, Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Refusal::Malformed("both Content-Length and Transfer-Encoding")),
        (Some(_), _) if version == Version::HTTP_10 => {
            Err(Refusal::Malformed("Transfer-Encoding in HTTP/1.0"))
        }
        (Some(c), None)
            if codings.next().is_none() && c.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(BodyKind::Stream)
        }
        (Some(_), None) => Err(Refusal::Malformed("a Transfer-Encoding other than chunked")),
        (None, Some(_)) if lengths.next().is_some() => {
            Err(Refusal::Malformed("more than one Content-Length"))
        }
        (None, Some(length)) => decimal(length.as_bytes()).map(BodyKind::Length),
        (None, None) if version == Version::HTTP_10 && has_body(method) => {
            Err(Refusal::Malformed("a body without Content-Length in HTTP/1.0"))
        }
        (None, None) => Ok(BodyKind::Empty),
    }
}

fn has_body(method: &Method) -> bool {
    method == Method::POST || method == Method::PUT
}

/// The number in a `Content-Length`: 1 to 19 digits, so it always fits.
///
/// # Errors
/// It is none.
pub fn decimal(digits: &[u8]) -> Result<u64, Refusal> {
    const WRONG: Refusal = Refusal::Malformed("Content-Length is not a number");
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(WRONG)
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .flat_map(|v| v.as_bytes().split(|&b| b == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Feeds `bytes` in pieces of `step`, as a socket would.
    fn feed(bytes: &[u8], step: usize) -> Result<Option<Parsed>, Refusal> {
        let (mut buf, mut scan) = (BytesMut::new(), Scan::default());
        for piece in bytes.chunks(step.max(1)) {
            buf.extend_from_slice(piece);
            if let Some(len) = scan.head_end(&mut buf)? {
                return parse(&buf[..len], PEER, false).map(Some);
            }
        }
        Ok(None)
    }

    fn ok(head: &str) -> Parsed {
        feed(head.as_bytes(), 7).ok().flatten().unwrap_or_else(|| unreachable!("refused: {head}"))
    }

    fn refusal(head: &str) -> Option<Refusal> {
        feed(head.as_bytes(), 5).err()
    }

    #[test]
    fn a_head_is_taken_apart() {
        let parsed =
            ok("\r\n\r\nPUT /a?n=2 HTTP/1.1\r\nHost: h:80\r\nX-A: 1\r\nx-a:  2 \r\n\r\nbody");
        assert_eq!(parsed.head.method, Method::PUT);
        assert_eq!(parsed.head.target, b"/a?n=2");
        let values: Vec<_> = parsed.head.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!((parsed.head.body, parsed.keep_alive), (BodyKind::Empty, true));
    }

    #[test]
    fn an_absolute_target_replaces_the_host() {
        let parsed = ok("GET ftp://other:99/x?y HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(parsed.head.target, b"/x?y");
        assert_eq!(parsed.head.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["other:99"]);
        assert_eq!(ok("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").head.target, b"/");
    }

    #[test]
    fn there_is_one_way_to_read_where_the_body_ends() {
        let kind =
            |fields: &str| ok(&format!("PUT /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).head.body;
        assert_eq!(kind("Content-Length: 007\r\n"), BodyKind::Length(7));
        assert_eq!(kind("Transfer-Encoding: Chunked\r\n"), BodyKind::Stream);
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5,5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "A: b\r\n folded\r\n",
            "no colon\r\n",
            "A: \0\r\n",
        ] {
            let head = format!("PUT /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            assert!(matches!(refusal(&head), Some(Refusal::Malformed(_))), "{fields:?}");
        }
    }

    #[test]
    fn http_1_0_knows_lengths_only_and_closes() {
        let parsed = ok("PUT /x HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((parsed.head.body, parsed.keep_alive), (BodyKind::Length(1), false));
        for fields in ["", "Transfer-Encoding: chunked\r\n"] {
            let head = format!("POST /x HTTP/1.0\r\n{fields}\r\n");
            assert!(matches!(refusal(&head), Some(Refusal::Malformed(_))), "{fields:?}");
        }
    }

    #[test]
    fn hosts_are_checked() {
        for host in ["h", "h:80", "[::1]", "[::1]:80", "a-b.c_d:1", "127.0.0.1"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a@b", "a/b", "a b", "[::1", "[::1]x", "h:port", "h:123456", "a?b"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        let head = |fields: &str| refusal(&format!("GET /x HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(head(""), Some(Refusal::Malformed("no Host")));
        assert_eq!(head("Host: a\r\nHost: a\r\n"), Some(Refusal::Malformed("more than one Host")));
    }

    #[test]
    fn noise_is_refused_at_its_first_byte() {
        for noise in ["\x16\x03\x01", " GET", "GET /x HTTP/1.1\n", "GET /x HTTP/1.1\rX", "G\0"] {
            assert!(matches!(refusal(noise), Some(Refusal::Malformed(_))), "{noise:?}");
        }
        assert_eq!(refusal("GET /a\x01b"), Some(Refusal::BadPath));
        assert_eq!(refusal("GET /x HT"), None, "the rest may still come");
    }

    #[test]
    fn connections_close_when_asked() {
        let keeps = |value: &str| {
            ok(&format!("GET /x HTTP/1.1\r\nHost: h\r\nConnection: {value}\r\n\r\n")).keep_alive
        };
        assert!(keeps("keep-alive") && keeps("closed"));
        assert!(!keeps("close") && !keeps("x, CLOSE") && !keeps("close , y"));
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_pieces_make_no_difference(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            step in 1usize..50,
        ) {
            let whole = feed(&bytes, usize::MAX).map(|p| p.map(|p| p.len));
            prop_assert_eq!(feed(&bytes, step).map(|p| p.map(|p| p.len)), whole);
        }

        #[test]
        fn a_good_head_is_read_alike_in_any_pieces(
            target in "/[a-z0-9%/?=&]{0,40}",
            fields in proptest::collection::vec(("X-[a-z]{1,8}", "[ -~]{0,20}"), 0..20),
            step in 1usize..80,
        ) {
            let mut head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n");
            for (name, value) in &fields {
                head += &format!("{name}: {value}\r\n");
            }
            head += "\r\n";
            let parsed = feed(head.as_bytes(), step);
            let Ok(Some(parsed)) = parsed else { return Err(TestCaseError::fail(head)) };
            prop_assert_eq!(parsed.len, head.len());
            prop_assert_eq!(parsed.head.headers.len(), fields.len() + 1);
            prop_assert_eq!(parsed.head.target, target.as_bytes());
        }
    }
}
