//! The harness itself, against canned answers: if it could not tell a cut from a clean end, no
//! other test would mean anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::common::{Curl, End, Fault, Proxy, Raw, like, pattern, timed};

/// Answers one connection with `pieces`, each in a write of its own, then closes or resets.
fn canned(pieces: &'static [&'static [u8]], reset: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        for piece in pieces {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        if reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    address
}

fn read(pieces: &'static [&'static [u8]], reset: bool) -> (Vec<u8>, End) {
    let mut raw = Raw::connect(canned(pieces, reset));
    raw.send("GET / HTTP/1.1\r\n\r\n");
    raw.head().expect(200);
    raw.rest()
}

#[test]
fn the_raw_client_tells_apart_how_bodies_end() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const SIZED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    const PLAIN: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
    let whole = || b"abcd".to_vec();
    assert_eq!(read(&[CHUNKED, b"4\r\nabcd\r\n0\r\n\r\n"], false), (whole(), End::Clean));
    assert_eq!(
        read(&[CHUNKED, b"2\r\nab", b"\r", b"\n2\r\ncd\r\n0", b"\r\n\r\n"], false).1,
        End::Clean
    );
    assert_eq!(read(&[CHUNKED, b"4\r\nabcd\r\n"], false), (whole(), End::Short));
    assert_eq!(read(&[CHUNKED, b"5\r\nabcd"], false), (whole(), End::Short));
    assert_eq!(read(&[CHUNKED, b"4\r\nabcd\r\n0\r\n"], false), (whole(), End::Short));
    assert_eq!(read(&[CHUNKED, b"4\r\nabcd\r\n"], true), (whole(), End::Reset));
    assert_eq!(read(&[SIZED, b"ab", b"cd"], false), (whole(), End::Clean));
    assert_eq!(read(&[SIZED, b"ab"], false), (b"ab".to_vec(), End::Short));
    assert_eq!(read(&[SIZED, b"ab"], true), (b"ab".to_vec(), End::Reset));
    assert_eq!(read(&[PLAIN, b"ab", b"cd"], false), (whole(), End::Clean));
    assert_eq!(read(&[PLAIN, b"abcd"], true), (whole(), End::Reset));
}

#[test]
fn the_raw_client_reads_lines_as_they_come() {
    let mut raw = Raw::connect(canned(
        &[
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\nx: 2\r\n\r\n3\r\none\r\n",
            b"6\r\n\ntwo\nt\r\n",
        ],
        false,
    ));
    raw.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(raw.head().all("X"), ["1", "2"]);
    assert_eq!((raw.line(), raw.line()), ("one".into(), "two".into()));
    assert_eq!(raw.rest(), (b"t".to_vec(), End::Short));
}

#[test]
fn patterns_of_lines_match_numbers_only() {
    assert!(like("sent in * s.", "sent in 0.1 s."));
    assert!(!like("sent in * s.", "sent in a.b s."));
    assert!(!like("sent in * s.", "sent in 0.1 s"));
    assert!(like("plain", "plain") && !like("plain", "other"));
}

#[test]
fn curl_gives_its_output_and_exit_code() {
    let cut: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"];
    let address = canned(cut, false);
    let curl = Curl::start(&["-sSN", &format!("http://{address}/")]);
    curl.expect_output("ab");
    curl.ended().expect(18);
    let address = canned(&[b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno"], false);
    Curl::run(&["-fsS", &format!("http://{address}/")]).expect(22);
}

#[test]
fn the_proxy_changes_no_byte_and_keeps_the_time() {
    let address = canned(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"abcdefghi"], false);
    let delay = Duration::from_millis(100);
    let proxy = Proxy::start(address, Fault { segment: 1, delay, rate: 10_000 });
    let mut raw = Raw::connect(proxy.address());
    raw.send("GET / HTTP/1.1\r\n\r\n");
    let (head, time) = timed(|| raw.head());
    head.expect(200);
    assert!(time >= delay * 2, "both directions are slow: {time:?}");
    assert_eq!(raw.rest(), (b"abcdefghi".to_vec(), End::Clean));
}

#[test]
fn the_pattern_never_changes_and_does_not_repeat() {
    let bytes = pattern(4096);
    assert_eq!(bytes[..64], pattern(64)[..]);
    assert_ne!(bytes[..2048], bytes[2048..]);
}
