//! Spec §26: the ten checks of piping-server-check, over HTTP/1.1 and, where they apply, HTTP/1.0.

use std::time::{Duration, Instant};

use crate::common::server::head;
use crate::common::{End, Raw, SOON, Server, eventually, pattern, timed};

const MESSAGE: &[u8] = b"my message";

/// The version a check runs over, and how its requests are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Zero,
}

use Version::{One, Zero};

impl Version {
    /// A head with a Host for 1.1 and none for 1.0.
    fn head(self, method: &str, target: &str, headers: &[&str]) -> String {
        let text = head(method, target, headers);
        match self {
            One => text,
            Zero => text.replace(" HTTP/1.1\r\nHost: localhost", " HTTP/1.0"),
        }
    }

    fn get(self, server: &Server, target: &str) -> Raw {
        server.request(self.head("GET", target, &[]))
    }

    fn send(self, server: &Server, method: &str, target: &str, body: &[u8]) -> Raw {
        let length = format!("Content-Length: {}", body.len());
        let text = self.head(method, target, &["Content-Type: text/plain", &length]);
        server.request([text.as_bytes(), body].concat())
    }
}

/// A path as the checker makes them.
fn path() -> String {
    format!("/{}", uuid::Uuid::new_v4())
}

#[track_caller]
fn assert_message(receiver: &mut Raw) {
    let (head, time) = timed(|| receiver.head());
    assert!(time < Duration::from_secs(6));
    head.expect(200)
        .expect_field("content-type", "text/plain")
        .expect_field("x-robots-tag", "none");
    assert_eq!(receiver.rest(), (MESSAGE.to_vec(), End::Clean));
}

/// The name can be used again at once, by a GET and a POST at the same moment.
#[track_caller]
fn assert_reusable(version: Version, server: &Server, path: &str) {
    let mut receiver = version.get(server, path);
    let mut sender = version.send(server, "POST", path, MESSAGE);
    assert_message(&mut receiver);
    sender.head().expect(200);
    assert_eq!(sender.rest().1, End::Clean);
}

fn sender_first(method: &str) {
    let server = Server::start(&[]);
    let path = path();
    let mut sender = One.send(&server, method, &path, MESSAGE);
    sender.head().expect(200);
    // A second sender that never sends a byte of its chunked body is refused nevertheless.
    let request = head(method, &path, &["Transfer-Encoding: chunked"]);
    assert!((400..500).contains(&server.request(request).head().status));
    let mut receiver = One.get(&server, &path);
    assert_message(&mut receiver);
    assert_eq!(sender.rest().1, End::Clean);
    assert_reusable(One, &server, &path);
}

#[test]
fn post_first() {
    sender_first("POST");
}

#[test]
fn put() {
    sender_first("PUT");
}

#[test]
fn post_first_and_put_over_http_1_0() {
    // A 1.0 sender has no answer before the end, so nothing says which of the two was first.
    for method in ["POST", "PUT"] {
        let server = Server::start(&[]);
        let path = path();
        let mut sender = Zero.send(&server, method, &path, MESSAGE);
        let mut receiver = Zero.get(&server, &path);
        assert_message(&mut receiver);
        sender.head().expect(200);
        assert_eq!(sender.rest().1, End::Clean);
        assert_reusable(Zero, &server, &path);
    }
}

#[test]
fn get_first() {
    for version in [One, Zero] {
        let server = Server::start(&[]);
        let path = path();
        let mut receiver = version.get(&server, &path);
        receiver.expect_silence(Duration::from_millis(300));
        let mut sender = version.send(&server, "POST", &path, MESSAGE);
        assert_message(&mut receiver);
        sender.head().expect(200);
        assert_eq!(sender.rest().1, End::Clean);
        assert_reusable(version, &server, &path);
    }
}

#[test]
fn post_cancel_post() {
    let server = Server::start(&[]);
    let path = path();
    let mut sender = server.request(head("POST", &path, &["Transfer-Encoding: chunked"]));
    sender.head().expect(200);
    drop(sender);
    eventually("the second POST is taken", SOON, || {
        server.request(head("POST", &path, &["Transfer-Encoding: chunked"])).head().status == 200
    });
}

#[test]
fn get_cancel_get() {
    for version in [One, Zero] {
        let server = Server::start(&[]);
        let path = path();
        let mut receiver = version.get(&server, &path);
        receiver.expect_silence(Duration::from_secs(3));
        drop(receiver);
        // The checker gives it three seconds; the specification one.
        eventually("the place is free", SOON, || {
            server.get(&format!("{path}?wait=1")).head().status == 408
        });
        assert_reusable(version, &server, &path);
    }
}

#[test]
fn service_worker_registration_rejection() {
    let server = Server::start(&[]);
    for version in [One, Zero] {
        let request = version.head("GET", &path(), &["Service-Worker: script"]);
        let mut raw = server.request(request);
        let (head, time) = timed(|| raw.head());
        assert!((400..500).contains(&head.status) && time < Duration::from_secs(1));
    }
}

#[test]
fn post_first_byte_by_byte_streaming() {
    let server = Server::start(&[]);
    for version in [One, Zero] {
        let path = path();
        let framing =
            if version == One { "Transfer-Encoding: chunked" } else { "Content-Length: 256" };
        let mut sender = server.request(version.head("POST", &path, &[framing]));
        if version == One {
            sender.head().expect(200);
        }
        let mut receiver = version.get(&server, &path);
        for byte in 0..=255_u8 {
            if version == One {
                sender.chunk(&[byte])
            } else {
                sender.send([byte])
            }
            if byte == 0 {
                receiver.head().expect(200);
            }
            assert_eq!(receiver.body(1), [byte]);
        }
        if version == One {
            sender.finish();
        } else {
            sender.head().expect(200);
        }
        assert_eq!(receiver.rest(), (vec![], End::Clean));
        assert_eq!(sender.rest().1, End::Clean);
    }
}

#[test]
fn multipart_form_data() {
    let server = Server::start(&[]);
    let path = path();
    let body = pattern(8 << 20);
    let part = "--boundary\r\nContent-Disposition: form-data; name=\"input_data\"\r\n\
                Content-Type: application/octet-stream\r\n\r\n";
    let whole = [part.as_bytes(), &body, b"\r\n--boundary--\r\n"].concat();
    let length = format!("Content-Length: {}", whole.len());
    let kind = "Content-Type: multipart/form-data; boundary=boundary";
    let mut sender = server.request(head("POST", &path, &[&length, kind]));
    sender.head().expect(200);
    let mut receiver = server.get(&path);
    let mut writer = sender.writer();
    let feeding = std::thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&whole).unwrap();
    });
    let head = receiver.head();
    head.expect(200)
        .expect_field("content-type", "application/octet-stream")
        .expect_field("content-disposition", "form-data; name=\"input_data\"");
    let (bytes, end) = receiver.rest();
    assert!(bytes == body && end == End::Clean);
    feeding.join().unwrap();
    assert_eq!(sender.rest().1, End::Clean);
}

#[test]
fn simultaneous_request() {
    for version in [One, Zero] {
        for _ in 0..30 {
            let server = Server::start(&[]);
            let path = path();
            std::thread::scope(|scope| {
                scope.spawn(|| assert_message(&mut version.get(&server, &path)));
                scope.spawn(|| {
                    let mut sender = version.send(&server, "POST", &path, MESSAGE);
                    sender.head().expect(200);
                    assert_eq!(sender.rest().1, End::Clean);
                });
            });
        }
    }
}

#[test]
fn post_first_chunked_long_transfer() {
    let server = Server::start(&[]);
    let path = path();
    let mut sender = server.request(head("POST", &path, &["Transfer-Encoding: chunked"]));
    sender.head().expect(200);
    let mut receiver = server.get(&path);
    let before = server.resident_kib();
    let block = pattern(256 << 10);
    let wanted = block.clone();
    let reading = std::thread::spawn(move || {
        receiver.head().expect(200);
        let mut count = 0;
        let end = receiver.drain(|piece| {
            for (at, byte) in piece.iter().enumerate().step_by(97) {
                assert_eq!(*byte, wanted[(count + at) % wanted.len()]);
            }
            count += piece.len();
        });
        (count, end)
    });
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_secs(4) {
        sender.chunk(&block);
        sent += block.len();
    }
    sender.finish();
    assert_eq!(reading.join().unwrap(), (sent, End::Clean));
    assert_eq!(sender.rest().1, End::Clean);
    assert!(server.peak_kib() < before + (16 << 10), "{} KiB", server.peak_kib());
}
