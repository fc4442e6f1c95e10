//! Spec §27: requests that are wrong in their body, in their pace, or in their size.

use std::time::{Duration, Instant};

use crate::common::server::head;
use crate::common::{End, PATIENCE, SOON, Server, timed, unique};
use crate::reading::{LOST, expect_complete, expect_error, expect_failure};

/// Row 17: what may not stand where a chunk size is expected.
const BAD_SIZES: [&str; 11] = [
    "\r\n",
    " 5\r\nhello\r\n",
    "0x5\r\nhello\r\n",
    "+5\r\nhello\r\n",
    "-5\r\nhello\r\n",
    "5_0\r\nhello\r\n",
    "00000000000000005\r\nhello\r\n",
    "fffffffffffffffff\r\n",
    "5\r\nhelloX\r\n",
    "5;a=\0b\r\nhello\r\n",
    "5\nhello\r\n",
];

#[test]
fn row_17_a_malformed_chunk_in_the_stream_is_a_cut() {
    let server = Server::start(&[]);
    for bad in BAD_SIZES {
        let (mut sender, mut receivers) = server.streaming(&unique(), 1);
        sender.chunk(b"good");
        assert_eq!(receivers[0].body(4), b"good");
        sender.send(bad);
        expect_failure(&mut sender, LOST);
        let (rest, end) = receivers[0].rest();
        assert_eq!(end, End::Short, "{bad:?}");
        assert!(b"hello".starts_with(&rest[..]), "{bad:?}: {rest:?}");
    }
}

#[test]
fn row_17_a_malformed_first_chunk_is_refused_and_touches_nobody() {
    let server = Server::start(&[]);
    let text = "[ERROR] Malformed HTTP request: the first chunk is malformed.";
    for bad in BAD_SIZES {
        let name = unique();
        let mut receiver = server.waiting_receivers(&name, 1).remove(0);
        // One write, so that the chunk comes in the same segment as the head.
        let request = head("PUT", &name, &["Transfer-Encoding: chunked"]) + bad;
        let mut sender = server.request(request);
        let head = expect_error(&mut sender, 400, "bad_request", text);
        head.expect_field("connection", "close");
        assert_ne!(sender.closed_within(SOON), End::Reset, "{bad:?}");
        // The receiver has heard nothing of it, and gets what the next sender sends.
        assert!(!receiver.is_answered(), "{bad:?}");
        let mut next = server.put_sized(&name, 4);
        next.send("good");
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (b"good".to_vec(), End::Clean), "{bad:?}");
    }
}

#[test]
fn a_chunk_extension_and_upper_case_sizes_are_legal() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    sender.send("A;name=value\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\nX-Trailer: v\r\n\r\n");
    assert_eq!(receivers[0].rest(), (b"01234567890123456789".to_vec(), End::Clean));
    expect_complete(&mut sender);
}

#[test]
fn row_18_long_extensions_and_trailers_cost_no_memory() {
    let server = Server::start(&[]);
    let before = server.resident_kib();
    for body in [
        format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(64 << 10)),
        format!("1\r\nx\r\n0\r\n{}\r\n", "T: v\r\n".repeat((10 << 20) / 6)),
    ] {
        let (mut sender, mut receivers) = server.streaming(&unique(), 1);
        for piece in body.as_bytes().chunks(16 << 10) {
            if sender.try_send(piece).is_err() {
                break;
            }
        }
        let (bytes, end) = receivers[0].rest();
        assert!(bytes == b"x" || (bytes.is_empty() && end != End::Clean));
        sender.lines();
    }
    assert!(server.peak_kib() < before + (20 << 10), "{} KiB", server.peak_kib());
}

#[test]
fn row_18_dripped_trailers_end_within_thirty_seconds() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    sender.send("1\r\nx\r\n0\r\n");
    let mut writer = sender.writer();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(45) && writer.write_all(b"a: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
        start.elapsed()
    });
    let (bytes, _) = receivers[0].body_within(Duration::from_secs(40));
    assert_eq!(bytes, b"x");
    sender.closed_within(Duration::from_secs(40));
    drop(sender);
    assert!(dripping.join().unwrap() < Duration::from_secs(36));
}

#[test]
fn row_8_a_target_of_100_kib_costs_nothing() {
    let server = Server::start(&[]);
    let before = server.resident_kib();
    for _ in 0..50 {
        let mut raw = server.connect();
        let _ = raw.try_send(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100 << 10)));
        let status = raw.head().status;
        assert!([414, 431, 400].contains(&status), "{status}");
        let _ = raw.rest();
        raw.closed_within(PATIENCE);
    }
    assert!(server.peak_kib() < before + (20 << 10), "{} KiB", server.peak_kib());
}

#[test]
fn row_22_a_head_has_ten_seconds() {
    let server = Server::start(&[]);
    let limit = Duration::from_secs(15);
    let early = Duration::from_millis(8500);
    let mut silent = server.connect();
    let mut half = server.request("GET /x HTTP/1.1\r\nHost:");
    let mut dripped = server.request("GET /x HTTP/1.1\r\nHost: h\r\n");
    let mut writer = dripped.writer();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        for _ in 0..100 {
            if writer.write_all(b"X").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (end, time) = timed(|| silent.try_head_within(limit));
    assert!(end.is_err(), "a silent connection is closed without a word");
    assert!(time > early && time < limit, "{time:?}");
    for raw in [&mut half, &mut dripped] {
        raw.head().expect(408).expect_field("connection", "close");
        let _ = raw.rest();
    }
    half.closed_within(Duration::from_secs(3));
    dripped.closed_within(Duration::from_secs(3));
    dripping.join().unwrap();
}

#[test]
fn a_head_that_has_begun_behind_another_request_has_ten_seconds_too() {
    let server = Server::start(&[]);
    let mut raw = server.request(head("GET", "/x?n=0", &[]) + "GET /y HTTP/1.1\r\nHost:");
    raw.head().expect(400);
    let _ = raw.rest();
    let (_, time) = timed(|| {
        let text = "[ERROR] Request head timed out.";
        expect_error(&mut raw, 408, "head_timeout", text).expect_field("connection", "close");
    });
    assert!(time > Duration::from_millis(8500) && time < Duration::from_secs(15), "{time:?}");
}

#[test]
fn an_idle_keep_alive_connection_is_closed_after_thirty_seconds() {
    let server = Server::start(&[]);
    let mut raw = server.get("/x?n=0");
    raw.head().expect(400);
    let _ = raw.rest();
    let (end, time) = timed(|| raw.closed_within(Duration::from_secs(45)));
    assert_ne!(end, End::Reset);
    assert!(time > Duration::from_secs(28) && time < Duration::from_secs(36), "{time:?}");
}

#[test]
fn a_thousand_bad_requests_leave_nothing_behind() {
    let server = Server::start(&[]);
    server.get("/x?n=0").head().expect(400);
    let before = server.descriptors();
    for round in 0..1000 {
        let mut raw = server.get(&format!("/x?n=0&round={round}"));
        raw.head().expect(400);
    }
    crate::common::eventually("descriptors are closed", Duration::from_secs(5), || {
        server.descriptors() <= before + 2
    });
    server.assert_usable(&unique());
}
