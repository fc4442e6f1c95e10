//! Spec §21, HTTP/1.0: quiet senders, receivers without chunks, connections that close.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::{Curl, End, PATIENCE, Raw, Server, assert_lines, unique};

fn get(server: &Server, target: &str) -> Raw {
    server.request(format!("GET {target} HTTP/1.0\r\n\r\n"))
}

fn post(server: &Server, target: &str, length: usize) -> Raw {
    server.request(format!("POST {target} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n"))
}

#[test]
fn a_sender_is_quiet_and_its_connection_closes() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = post(&server, &name, 3);
    receiver.head().expect(200);
    sender.expect_silence(Duration::from_millis(200));
    sender.send("abc");
    let head = sender.head();
    assert_eq!(head.version, "HTTP/1.0");
    head.expect(200);
    let (lines, end) = sender.lines();
    let sent = "[INFO] Sent 3 bytes to 1 of 1 receiver(s) in * s.";
    assert_lines(&lines, &[sent, "[INFO] Transfer complete."]);
    assert_eq!(end, End::Clean);
    assert_eq!(sender.closed_within(Duration::from_secs(3)), End::Clean);
    assert_eq!(receiver.rest(), (b"abc".to_vec(), End::Clean));
}

#[test]
fn a_receiver_gets_the_length_when_it_is_known() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = get(&server, &name);
    let mut sender = server.put_sized(&name, 3);
    let head = receiver.head();
    assert_eq!(head.version, "HTTP/1.0");
    head.expect(200).expect_field("content-length", "3");
    sender.send("abc");
    assert_eq!(receiver.rest(), (b"abc".to_vec(), End::Clean));
    assert_eq!(receiver.closed_within(Duration::from_secs(3)), End::Clean);
}

#[test]
fn a_receiver_gets_a_close_delimited_body_otherwise() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = get(&server, &name);
    let mut sender = server.put(&name);
    let head = receiver.head();
    head.expect(200);
    assert!(head.get("content-length").is_none() && head.get("transfer-encoding").is_none());
    sender.chunk(b"abc");
    assert_eq!(receiver.body(3), b"abc");
    sender.finish();
    assert_eq!(receiver.rest(), (vec![], End::Clean));
}

#[test]
fn a_failure_is_a_reset_when_the_body_is_close_delimited_and_short_otherwise() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = get(&server, &name);
    let mut sender = server.put(&name);
    receiver.head().expect(200);
    sender.chunk(b"abc");
    assert_eq!(receiver.body(3), b"abc");
    drop(sender);
    assert_eq!(receiver.rest(), (vec![], End::Reset));

    let name = unique();
    let mut receiver = get(&server, &name);
    let mut sender = server.put_sized(&name, 10);
    receiver.head().expect(200);
    sender.send("abc");
    assert_eq!(receiver.body(3), b"abc");
    drop(sender);
    assert_ne!(receiver.rest().1, End::Clean);
}

/// FIN is what the kernel would send for a process that is killed.
#[test]
fn a_server_that_is_killed_is_no_clean_end_of_a_close_delimited_body() {
    let mut server = Server::start(&[]);
    let name = unique();
    let url = server.url(&name);
    let curl = Curl::start(&["-0", "-fsSN", &url]);
    let mut sender = server.put(&name);
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    sender.chunk(b"half of it");
    curl.expect_output("half of it");
    server.signal(Signal::KILL);
    assert_eq!(server.exit_code(PATIENCE), None);
    assert_eq!(curl.ended().expect(56).text(), "half of it");
}

#[test]
fn errors_are_answered_in_its_own_version() {
    let server = Server::start(&[]);
    for request in [
        "GET /x?n=0 HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut raw = server.request(request);
        let head = raw.head();
        assert_eq!((head.version.as_str(), head.status), ("HTTP/1.0", 400), "{request:?}");
        let _ = raw.rest();
        raw.closed_within(Duration::from_secs(3));
    }
    let mut late = get(&server, "/x?wait=1");
    let head = late.head();
    assert_eq!((head.version.as_str(), head.status), ("HTTP/1.0", 408));
    head.expect_field("retry-after", "1");
}

#[test]
fn pages_work_without_a_host() {
    let server = Server::start(&[]);
    let mut page = get(&server, "/robots.txt");
    let head = page.head();
    assert_eq!((head.version.as_str(), head.status), ("HTTP/1.0", 200));
    assert_eq!(page.rest(), (b"User-agent: *\nDisallow: /\n".to_vec(), End::Clean));
}
