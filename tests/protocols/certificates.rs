//! The certificate of a running relay: read again when it changes, kept when it is broken; and what
//! does not speak TLS where it should, or does where it should not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::server::run_to_end;
use crate::common::{Curl, PATIENCE, SOON, eventually, unique};
use crate::kit::{Folder, Relay, Tls1, Tls2};

/// Whether a client that trusts only the certificate that is in the folder now is content.
fn is_served(relay: &Relay) -> bool {
    let (cert, url) = (relay.folder.path("cert.pem"), relay.url(Tls2, "/new"));
    Curl::run(&["-fsS", "--cacert", &cert, &url]).code == Some(0)
}

#[test]
fn a_new_certificate_is_served_within_five_seconds() {
    let relay = Relay::start(&[]);
    assert!(is_served(&relay));
    let name = unique();
    let mut old = relay.waiting_sender(Tls1, &name);
    relay.folder.make_pair();
    eventually("the new certificate", Duration::from_secs(5), || is_served(&relay));
    // Connections that were there stay.
    let receiver = relay.receiver(Tls2, &name);
    old.write(b"still here");
    old.close();
    assert_eq!(receiver.ended().expect(0).text(), "still here");
    old.ended().expect(0);
}

#[test]
fn on_sighup_it_is_served_at_once() {
    let relay = Relay::start(&[]);
    relay.folder.make_pair();
    relay.server.signal(Signal::HUP);
    eventually("the new certificate", SOON, || is_served(&relay));
}

#[test]
fn a_broken_certificate_is_reported_once_and_not_used() {
    let relay = Relay::start(&[]);
    let trusted = relay.folder.path("trusted.pem");
    std::fs::copy(relay.folder.path("cert.pem"), &trusted).unwrap();
    let other = Folder::new();
    other.make_pair();
    // A certificate without its key.
    let text = std::fs::read_to_string(other.path("cert.pem")).unwrap();
    relay.folder.replace("cert.pem", &text);
    let warned = |text: &str| relay.server.log().matches(text).count();
    eventually("it is reported", Duration::from_secs(5), || warned("cannot be used together") == 1);
    let url = relay.url(Tls2, "/new");
    Curl::run(&["-fsS", "--cacert", &trusted, &url]).expect(0);
    relay.folder.make_pair();
    eventually("the next one is used", Duration::from_secs(5), || is_served(&relay));
    assert_eq!(warned("the old certificate stays"), 1);
}

/// What comes back for `bytes` until the other side closes, within 5 s.
fn answer(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut io = TcpStream::connect(address).unwrap();
    io.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    io.write_all(bytes).unwrap();
    let mut got = Vec::new();
    let end = io.read_to_end(&mut got);
    let open = end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!open, "still open after 5 s");
    got
}

#[test]
fn row_21_the_wrong_language_is_hung_up_on() {
    let relay = Relay::start(&[]);
    let plain = answer(relay.secure(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(plain.first() != Some(&b'H'), "no HTTP where TLS is spoken");
    let hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
    let plain = relay.server.address().to_string();
    assert!(answer(&plain, hello).starts_with(b"HTTP/1.1 400 "));
    for _ in 0..50 {
        answer(relay.secure(), b"\r\n\r\n");
    }
    assert!(relay.server.log().lines().count() < 5, "{}", relay.server.log());
}

#[test]
fn check_looks_at_the_certificate() {
    let folder = Folder::new();
    folder.make_pair();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let check = |cert: &str, key: &str| {
        let listen = ["--check", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"];
        run_to_end(&[&listen[..], &["--tls-cert", cert, "--tls-key", key]].concat())
    };
    assert_eq!(check(&cert, &key), Some(0));
    assert_eq!(check(&cert, &cert), Some(1));
    assert_eq!(check(&folder.path("missing"), &key), Some(1));
    assert_eq!(run_to_end(&["--tls-listen", "127.0.0.1:0"]), Some(2));
}

#[test]
fn pages_know_that_they_came_through_tls() {
    let relay = Relay::start(&[]);
    for protocol in [Tls1, Tls2] {
        let url = relay.run(protocol, &["-fsS"], "/new").expect(0).text();
        assert!(url.starts_with(&format!("https://{}/", relay.secure())), "{url}");
    }
    eventually("it listens", PATIENCE, || relay.server.stdout().contains("https://127.0.0.1:"));
}

/// Every time: the alert is written in a single attempt, on a socket that was accepted just now.
#[test]
fn a_handshake_that_fails_says_why() {
    let relay = Relay::start(&[]);
    for _ in 0..30 {
        let mut client = TcpStream::connect(relay.secure()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.first(), Some(&21), "an alert (RFC 8446 §5.1): {got:?}");
    }
}
