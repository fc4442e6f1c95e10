//! Spec §9 and §10: what a sender and a receiver read, line by line and header by header.

use std::time::Duration;

use crate::common::{End, SOON, Server, assert_lines, sha256, timed, unique};
use crate::reading::{LOST, expect_failure};

/// The fields of every receiver's answer, beside those the sender declares.
const ALWAYS: [(&str, &str); 6] = [
    ("cache-control", "no-store, no-transform"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "none"),
    ("referrer-policy", "no-referrer"),
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "X-Hoody-Pipe-Transfer-Id, X-Piping, X-Hoody-Pipe, Content-Disposition",
    ),
];

#[test]
fn the_sender_gets_exactly_these_headers() {
    let server = Server::start(&[]);
    let mut sender = server.put(&unique());
    let head = sender.head();
    let wanted = [
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store, no-transform"),
        ("content-type", "text/plain; charset=utf-8"),
        ("transfer-encoding", "chunked"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "none"),
    ];
    assert_eq!((head.version.as_str(), head.status), ("HTTP/1.1", 200));
    assert_eq!(head.names(), wanted.map(|(name, _)| name));
    for (name, value) in wanted {
        head.expect_field(name, value);
    }
}

#[test]
fn the_receiver_gets_exactly_these_headers() {
    let server = Server::start(&[]);
    for (sized, sent) in [(false, "transfer-encoding"), (true, "content-length")] {
        let name = unique();
        let mut receiver = server.get(&name);
        let mut sender = if sized { server.put_sized(&name, 2) } else { server.put(&name) };
        let head = receiver.head();
        assert_eq!((head.version.as_str(), head.status), ("HTTP/1.1", 200));
        let mut names: Vec<&str> = ALWAYS.iter().map(|(name, _)| *name).collect();
        names.extend([sent, "x-hoody-pipe-transfer-id"]);
        names.sort_unstable();
        assert_eq!(head.names(), names);
        for (name, value) in ALWAYS {
            head.expect_field(name, value);
        }
        head.expect_field(sent, if sized { "2" } else { "chunked" });
        let id = head.get("x-hoody-pipe-transfer-id").unwrap();
        let dashes: Vec<usize> = id.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((id.len(), dashes, &id[14..15]), (36, vec![8, 13, 18, 23], "4"), "a UUIDv4");
        sender.head().expect(200);
    }
}

#[test]
fn what_the_sender_declares_is_forwarded_in_order() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put_with(
        &name,
        &[
            "Content-Type: application/octet-stream",
            "Content-Encoding: gzip",
            "X-Piping: one",
            "X-Hoody-Pipe: a",
            "X-Piping: two",
            "X-Hoody-Pipe: b, c",
            "X-Pipe-Hop: 1",
            "X-Custom: 1",
        ],
    );
    let head = receiver.head();
    head.expect_field("content-type", "application/octet-stream");
    head.expect_field("content-encoding", "gzip");
    assert_eq!(head.all("x-piping"), ["one", "two"]);
    assert_eq!(head.all("x-hoody-pipe"), ["a", "b, c"]);
    assert!(head.get("x-pipe-hop").is_none() && head.get("x-custom").is_none());
    sender.head().expect(200);
}

#[test]
fn lines_when_the_receiver_comes_first() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receivers = server.waiting_receivers(&name, 1);
    let mut sender = server.put(&name);
    sender.chunk(b"my message");
    sender.finish();
    sender.head().expect(200);
    let (lines, end) = sender.lines();
    assert_lines(
        &lines,
        &[
            "[INFO] Waiting for 1 receiver(s) to connect...",
            "[INFO] 1 receiver(s) already connected.",
            "[INFO] Streaming to 1 receiver(s)...",
            "[INFO] Upload complete.",
            "[INFO] Sent 10 bytes to 1 of 1 receiver(s) in * s.",
            "[INFO] Transfer complete.",
        ],
    );
    assert_eq!(end, End::Clean);
    receivers[0].head().expect(200);
    assert_eq!(receivers[0].rest(), (b"my message".to_vec(), End::Clean));
}

#[test]
fn lines_when_the_sender_comes_first_with_three_receivers_and_one_leaves() {
    let server = Server::start(&[]);
    let name = unique();
    let target = format!("{name}?n=3");
    let mut sender = server.waiting_sender(&target, 3);
    let mut receivers = Vec::new();
    let leaver = server.get(&target);
    sender.expect_line("[INFO] A receiver connected.");
    drop(leaver);
    sender.expect_line("[INFO] A receiver disconnected.");
    for _ in 0..3 {
        receivers.push(server.get(&target));
        sender.expect_line("[INFO] A receiver connected.");
    }
    sender.expect_line("[INFO] Streaming to 3 receiver(s)...");
    sender.chunk(b"x");
    sender.finish();
    let (lines, end) = sender.lines();
    let sent = "[INFO] Sent 1 bytes to 3 of 3 receiver(s) in * s.";
    assert_lines(&lines, &["[INFO] Upload complete.", sent, "[INFO] Transfer complete."]);
    assert_eq!(end, End::Clean);
}

#[test]
fn the_digest_stands_between_upload_and_sum_whoever_asks_for_it() {
    let server = Server::start(&[]);
    for (put, get) in [("?sha256", ""), ("", "?sha256=yes")] {
        let name = unique();
        let mut receiver = server.get(&format!("{name}{get}"));
        let mut sender = server.put(&format!("{name}{put}"));
        sender.head().expect(200);
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        sender.chunk(b"hash ");
        sender.chunk(b"me");
        sender.finish();
        receiver.head().expect(200);
        let (lines, _) = sender.lines();
        let digest = format!("[INFO] SHA-256: {}", sha256(b"hash me"));
        assert_lines(
            &lines,
            &[
                "[INFO] Upload complete.",
                &digest,
                "[INFO] Sent 7 bytes to 1 of 1 receiver(s) in * s.",
                "[INFO] Transfer complete.",
            ],
        );
    }
}

#[test]
fn a_failed_transfer_has_no_digest() {
    let server = Server::start(&[]);
    let (mut sender, _receivers) = server.streaming(&format!("{}?sha256", unique()), 1);
    sender.send("zz\r\n");
    let lines = expect_failure(&mut sender, LOST);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_quiet_sender_gets_one_answer_at_the_end() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.put(&format!("{name}?quiet&sha256"));
    let mut receiver = server.get(&name);
    receiver.head().expect(200);
    sender.chunk(b"hush");
    sender.expect_silence(Duration::from_millis(200));
    sender.finish();
    let head = sender.head();
    head.expect(200).expect_field("content-type", "text/plain; charset=utf-8");
    assert!(head.get("content-length").is_some());
    let (lines, end) = sender.lines();
    let digest = format!("[INFO] SHA-256: {}", sha256(b"hush"));
    let sent = "[INFO] Sent 4 bytes to 1 of 1 receiver(s) in * s.";
    assert_lines(&lines, &[&digest, sent, "[INFO] Transfer complete."]);
    assert_eq!(end, End::Clean);
}

#[test]
fn a_quiet_sender_learns_of_each_failure_at_once() {
    let server = Server::start(&[]);
    let mut late = server.put(&format!("{}?quiet&wait=1", unique()));
    let head = late.head();
    head.expect(408).expect_field("retry-after", "1");
    assert_eq!(late.lines().0, ["[ERROR] Timed out waiting for receivers."]);

    let name = unique();
    let mut alone = server.put(&format!("{name}?quiet"));
    let mut receiver = server.get(&name);
    receiver.head().expect(200);
    alone.chunk(b"in the middle");
    drop(receiver);
    let (head, time) = timed(|| alone.head());
    head.expect(502).expect_field("connection", "close");
    let text = "[ERROR] All receivers disconnected before transfer completed.";
    assert_eq!(alone.lines(), (vec![text.to_owned()], End::Clean));
    assert!(time < SOON, "{time:?}");

    let name = unique();
    let mut broken = server.put(&format!("{name}?quiet"));
    let mut receiver = server.get(&name);
    receiver.head().expect(200);
    broken.send("zz\r\n");
    broken.head().expect(502);
    assert_eq!(broken.lines().0, [LOST]);
    assert_eq!(receiver.rest().1, End::Short);
}

#[test]
fn a_waiting_sender_gets_a_line_every_25_seconds() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2&wait=40"), 2);
    let receiver = server.get(&format!("{name}?n=2"));
    sender.expect_line("[INFO] A receiver connected.");
    let (line, time) = timed(|| sender.try_line(Duration::from_secs(40)).unwrap());
    assert!(time > Duration::from_secs(24) && time < Duration::from_secs(30), "{time:?}");
    let left = line.strip_prefix("[INFO] Still waiting: 1 of 2 receiver(s) connected, ");
    let left = left.and_then(|rest| rest.strip_suffix(" s left.")).expect(&line);
    assert!((10..=15).contains(&left.parse::<u32>().unwrap()), "{line}");
    drop(receiver);
}
