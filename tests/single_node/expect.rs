//! Spec §7, `Expect: 100-continue`: admission comes first, then `100` in a segment of its own,
//! then the 200.

use std::time::Duration;

use crate::common::{Curl, End, SOON, Server, timed, unique};
use crate::reading::expect_error;

const EXPECT: &str = "Expect: 100-continue";

#[test]
fn an_admitted_sender_gets_100_and_at_least_50_ms_later_200() {
    let server = Server::start(&[]);
    // A reader that the machine holds up sees both at once, so one good round of ten is enough.
    let good = (0..10).any(|_| {
        let mut sender = server.put_with(&unique(), &[EXPECT]);
        let first = sender.segment();
        assert!(first.starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"), "{first:?}");
        if first.len() > 25 {
            return false;
        }
        let (head, time) = timed(|| sender.head());
        head.expect(200);
        // The clock of this side starts a little late, by the way of the first segment.
        time > Duration::from_millis(35)
    });
    assert!(good, "100 in a segment of its own, 200 not earlier than 50 ms after it");
}

#[test]
fn the_word_may_be_written_in_any_case() {
    let server = Server::start(&[]);
    let mut sender = server.put_with(&unique(), &["expect: 100-Continue"]);
    sender.head().expect(100);
    sender.head().expect(200);
}

#[test]
fn a_quiet_sender_gets_100_too() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.put_with(&format!("{name}?quiet"), &[EXPECT]);
    sender.head().expect(100);
    let mut receiver = server.get(&name);
    sender.finish();
    sender.head().expect(200);
    receiver.head().expect(200);
}

#[test]
fn a_refused_sender_never_gets_100() {
    let server = Server::start(&[]);
    let mut refused = server.put_with("/x?n=0", &[EXPECT]);
    let text = "[ERROR] Invalid receiver count — \"n\" must be a positive integer.";
    let head = expect_error(&mut refused, 400, "bad_n", text);
    head.expect_field("connection", "close");
    assert_ne!(refused.closed_within(SOON), End::Reset);
}

#[test]
fn without_the_header_there_is_no_100() {
    let server = Server::start(&[]);
    server.put(&unique()).head().expect(200);
    let mut old = server
        .request("POST /old?wait=1 HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    old.head().expect(408);
}

#[test]
fn another_expectation_is_refused() {
    let server = Server::start(&[]);
    let mut raw = server.put_with(&unique(), &["Expect: 200-ok"]);
    expect_error(&mut raw, 417, "expectation", "[ERROR] Unsupported Expect header.");
}

/// Row 4 of §27 and §1.5: the refusal does not wait for a silent stdin.
#[test]
fn a_refused_curl_with_a_silent_stdin_ends_at_once() {
    let server = Server::start(&[]);
    let name = unique();
    let _waiting = server.waiting_receivers(&name, 30);
    let url = server.url(&format!("{name}?n=3"));
    let mut fastest = f64::MAX;
    for _ in 0..5 {
        let curl =
            Curl::start(&["-sS", "--fail-with-body", "-w", "%{time_total}", "-T", "-", &url]);
        let ended = curl.ended();
        ended.expect(22);
        let text = ended.text();
        let (body, time) = text.split_once('\n').unwrap();
        assert_eq!(body, "[ERROR] Receiver count mismatch — expected 30 but got 3.");
        fastest = fastest.min(time.parse().unwrap());
    }
    // The 100 ms of the specification hold on a quiet machine. A busy one only ever adds, so the
    // fastest of five counts, with some room; a curl that is not refused before `100 Continue` takes
    // a second before it sends without one.
    assert!(fastest < 0.25, "100 ms, not {fastest} s");
}
