//! Spec §26: the ten checks of piping-server-check over all four protocols, with stock curl.

use std::time::Duration;

use crate::common::{PATIENCE, SOON, eventually, pattern, timed};
use crate::kit::{ALL, Protocol, Relay};

const MESSAGE: &str = "my message";

fn path() -> String {
    format!("/{}", uuid::Uuid::new_v4())
}

#[track_caller]
fn assert_message(answer: &crate::common::curl::Ended) {
    let text = answer.expect(0).text().to_ascii_lowercase();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\ncontent-type: text/plain\r\n"), "{head}");
    assert!(head.contains("\r\nx-robots-tag: none\r\n"), "{head}");
    assert_eq!(body, MESSAGE);
}

/// A GET and a POST at the same moment.
#[track_caller]
fn assert_passes(relay: &Relay, protocol: Protocol, path: &str) {
    let receiver = relay.curl(protocol, &["-fsSN", "-i"], path);
    send(relay, protocol, "POST", path).ended().expect(0);
    assert_message(&receiver.ended_within(Duration::from_secs(6)));
}

fn send(relay: &Relay, protocol: Protocol, method: &str, path: &str) -> crate::common::Curl {
    let kind = "Content-Type: text/plain";
    relay.curl(protocol, &["-sSN", "-X", method, "-H", kind, "-d", MESSAGE], path)
}

#[test]
fn post_first_and_put() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        for method in ["POST", "PUT"] {
            let path = path();
            let sender = send(&relay, protocol, method, &path);
            sender.expect_output("[INFO] Waiting for ");
            // A second sender that never sends a byte is refused nevertheless.
            let args = ["-sS", "--no-progress-meter", "-o", "/dev/null", "-w", "%{http_code}"];
            let mut second = relay.curl(protocol, &[&args[..], &["-T", "."]].concat(), &path);
            if protocol.is_two() {
                // curl 7.88 may overlook an early answer until its stdin yields.
                second.close();
            }
            assert_eq!(second.ended().text(), "400", "{protocol:?}");
            assert_message(&relay.run(protocol, &["-fsSN", "-i"], &path));
            sender.ended().expect(0);
            assert_passes(&relay, protocol, &path);
        }
    }
}

#[test]
fn get_first() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let path = path();
        let receiver = relay.curl(protocol, &["-fsSN", "-i"], &path);
        relay.until_a_receiver_waits(&path);
        assert_eq!(receiver.output(), b"", "no head before the match");
        send(&relay, protocol, "POST", &path).ended().expect(0);
        assert_message(&receiver.ended());
        assert_passes(&relay, protocol, &path);
    }
}

#[test]
fn post_cancel_post() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let path = path();
        relay.waiting_sender(protocol, &path).kill();
        eventually("the second POST is taken", PATIENCE, || {
            let second = send(&relay, protocol, "POST", &path);
            eventually("it is answered", PATIENCE, || !second.output().is_empty());
            String::from_utf8_lossy(&second.output()).contains("Waiting")
        });
    }
}

#[test]
fn get_cancel_get() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let path = path();
        let receiver = relay.receiver(protocol, &path);
        relay.until_a_receiver_waits(&path);
        receiver.kill();
        eventually("the place is free", SOON, || relay.is_idle(&path));
        eventually("the proof has gone too", SOON, || {
            relay.status(protocol, &["-X", "DELETE"], &path) == "404"
        });
        assert_passes(&relay, protocol, &path);
    }
}

#[test]
fn service_worker_registration_rejection() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let args = ["-H", "Service-Worker: script"];
        let (status, time) = timed(|| relay.status(protocol, &args, &path()));
        assert_eq!(status, "400");
        assert!(time < SOON, "{time:?}");
    }
}

#[test]
fn post_first_byte_by_byte_streaming() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let path = path();
        let mut sender = relay.curl(protocol, &["-sSN", "-T", "-"], &path);
        sender.write(&[0]);
        let receiver = relay.receiver(protocol, &path);
        receiver.expect_bytes(1);
        for byte in 1..=255_u8 {
            sender.write(&[byte]);
            receiver.expect_bytes(usize::from(byte) + 1);
        }
        sender.close();
        sender.ended().expect(0);
        assert_eq!(receiver.ended().expect(0).stdout, (0..=255).collect::<Vec<u8>>());
    }
}

#[test]
fn multipart_form_data() {
    let relay = Relay::start(&[]);
    let (file, body) = (relay.folder.path("part"), pattern(8 << 20));
    std::fs::write(&file, &body).unwrap();
    for protocol in ALL {
        let path = path();
        let receiver = relay.curl(protocol, &["-fsSN", "-i"], &path);
        let part = format!("input_data=<{file};type=application/octet-stream");
        relay.run(protocol, &["-sS", "--fail-with-body", "-F", &part], &path).expect(0);
        let got = receiver.ended().expect(0).stdout.clone();
        let end = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        assert!(head.contains("content-type: application/octet-stream\r\n"), "{head}");
        assert!(head.contains("content-disposition: form-data; name=\"input_data\"\r\n"), "{head}");
        assert!(got[end..] == body, "{protocol:?}");
    }
}

#[test]
fn simultaneous_request() {
    for protocol in ALL {
        for _ in 0..5 {
            let relay = Relay::start(&[]);
            assert_passes(&relay, protocol, &path());
        }
    }
}

#[test]
fn post_first_chunked_long_transfer() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let path = path();
        let mut sender = relay.curl(protocol, &["-sSN", "-T", "-"], &path);
        let receiver = relay.receiver(protocol, &path);
        let (mut stdin, block) = (sender.take_stdin(), pattern(64 << 10));
        let feeding = std::thread::spawn(move || {
            use std::io::Write;
            let start = std::time::Instant::now();
            let mut sent = Vec::new();
            while start.elapsed() < Duration::from_secs(2) && sent.len() < 64 << 20 {
                stdin.write_all(&block).unwrap();
                sent.extend_from_slice(&block);
            }
            sent
        });
        let sent = feeding.join().unwrap();
        sender.ended().expect(0);
        assert!(receiver.ended().expect(0).stdout == sent, "{protocol:?}");
    }
}
