//! Who asks, and under which URL: what a trusted proxy says in front of what the socket says
//! (spec §6, §17). Knows no socket: the caller says who the peer is.

use std::net::{IpAddr, SocketAddr};

use ::http::header::{HOST, HeaderName};
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The host in texts when an HTTP/1.0 client names none: it then most likely sits on this machine.
const NO_HOST: &str = "localhost";

/// Whether the forwarded headers of this peer count.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// The client's address: the rightmost entry of `X-Forwarded-For` that is no trusted proxy, if the
/// peer is one; otherwise the peer.
///
/// If all entries are trusted it is the leftmost one. An entry that is no address ends the search:
/// what stands left of it is hearsay, so the proxy that reported it stands for its client. IPv4
/// addresses mapped into IPv6 come out as IPv4.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines: Vec<&HeaderValue> = headers.get_all(FORWARDED_FOR).iter().collect();
    for entry in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b',')) {
        if !is_trusted(address, trusted) {
            break;
        }
        match parse_address(entry) {
            Some(before) => address = before,
            None => break,
        }
    }
    address
}

/// Reads an address as proxies write it: bare, with a port, or in brackets.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let inside = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = inside.unwrap_or(entry).parse::<IpAddr>().ok();
    let address = bare.or_else(|| entry.parse::<SocketAddr>().ok().map(|both| both.ip()));
    address.map(|address| address.to_canonical())
}

/// The base of URLs in texts, without trailing `/`: `--public-url`, else what the client used.
///
/// `secure` is whether the listener speaks TLS, `trusted` whether the peer's forwarded headers
/// count. The result holds no character that means something inside the quotes of a shell.
pub fn base_url(
    public_url: Option<&str>,
    secure: bool,
    headers: &HeaderMap,
    trusted: bool,
) -> String {
    if let Some(url) = public_url {
        return url.to_owned();
    }
    let said = |name| first(headers.get(name).filter(|_| trusted));
    let scheme = match said(FORWARDED_PROTO) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => "http",
        _ if secure => "https",
        _ => "http",
    };
    let host = said(FORWARDED_HOST).filter(|host| is_plain_host(host));
    let host = host.or_else(|| first(headers.get(HOST)).filter(|host| is_plain_host(host)));
    format!("{scheme}://{}", host.unwrap_or(NO_HOST))
}

/// The first item of a list: with several proxies, what the first of them was asked for.
fn first(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()?.split(',').next().map(str::trim)
}

/// Whether it is a host with or without port, made of harmless characters only.
fn is_plain_host(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    host.bytes().all(plain) && host.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let line = |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn the_address_is_the_rightmost_entry_that_is_no_trusted_proxy() {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8", "::1/128"]
            .iter()
            .map(|net| net.parse().unwrap())
            .collect();
        for (peer, lines, want) in [
            ("127.0.0.1", vec![], "127.0.0.1"),
            ("127.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("::1", vec!["2001:db8::7"], "2001:db8::7"),
            ("::ffff:127.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("127.0.0.1", vec!["::ffff:192.0.2.7"], "192.0.2.7"),
            ("192.0.2.9", vec!["192.0.2.7"], "192.0.2.9"),
            ("127.0.0.1", vec!["1.1.1.1, 192.0.2.7, 10.0.0.1"], "192.0.2.7"),
            ("127.0.0.1", vec!["1.1.1.1, 192.0.2.7", "10.0.0.1,10.0.0.2"], "192.0.2.7"),
            ("127.0.0.1", vec!["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", vec!["192.0.2.7:4711"], "192.0.2.7"),
            ("127.0.0.1", vec!["[2001:db8::7]:4711"], "2001:db8::7"),
            ("127.0.0.1", vec!["[2001:db8::7]"], "2001:db8::7"),
            ("127.0.0.1", vec!["1.1.1.1, unknown, 10.0.0.1"], "10.0.0.1"),
            ("127.0.0.1", vec!["1.1.1.1, "], "127.0.0.1"),
            ("127.0.0.1", vec!["nonsense"], "127.0.0.1"),
        ] {
            let named: Vec<_> = lines.iter().map(|line| (FORWARDED_FOR, *line)).collect();
            let got = client_address(peer.parse().unwrap(), &headers(&named), &trusted);
            assert_eq!(got, want.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn nobody_is_trusted_without_networks() {
        let spoofed = headers(&[(FORWARDED_FOR, "192.0.2.7")]);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &spoofed, &[]), peer);
        assert!(!is_trusted(peer, &[]));
    }

    #[test]
    fn the_base_is_what_the_client_used() {
        let direct = headers(&[(HOST, "p.example:8080")]);
        let proxied = headers(&[
            (HOST, "10.0.0.3"),
            (FORWARDED_PROTO, "HTTPS"),
            (FORWARDED_HOST, "p.example, inner"),
        ]);
        for (public, secure, headers, trusted, want) in [
            (None, false, &direct, false, "http://p.example:8080"),
            (None, true, &direct, true, "https://p.example:8080"),
            (None, false, &proxied, true, "https://p.example"),
            (None, false, &proxied, false, "http://10.0.0.3"),
            (Some("https://x.example/relay"), false, &proxied, true, "https://x.example/relay"),
            (None, false, &HeaderMap::new(), true, "http://localhost"),
        ] {
            assert_eq!(base_url(public, secure, headers, trusted), want);
        }
    }

    #[test]
    fn a_proxy_may_take_tls_away_but_not_invent_a_scheme() {
        for (said, want) in [("http", "http://p"), ("ftp", "https://p"), ("", "https://p")] {
            let headers = headers(&[(HOST, "p"), (FORWARDED_PROTO, said)]);
            assert_eq!(base_url(None, true, &headers, true), want, "{said:?}");
        }
    }

    #[test]
    fn hosts_that_a_shell_would_read_are_not_repeated() {
        for host in ["a\"; reboot; \"", "$(reboot)", "a`b`", "a b", "a/b", "me@a", ""] {
            let both = headers(&[(HOST, host), (FORWARDED_HOST, host)]);
            assert_eq!(base_url(None, false, &both, true), "http://localhost", "{host:?}");
            let one = headers(&[(HOST, "p"), (FORWARDED_HOST, host)]);
            assert_eq!(base_url(None, false, &one, true), "http://p", "{host:?}");
        }
    }
}
