//! The table of spec §8, rows 13 to 20: a name that streams, and how it becomes free. Row 17 is in
//! `cancel`.

use crate::common::server::head;
use crate::common::{Curl, End, Raw, SOON, Server, pattern, timed, unique};
use crate::reading::{ALL_GONE, LOST, draining, expect_complete, expect_failure};

#[test]
fn row_13_one_of_several_leaves_and_the_others_continue() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 3);
    sender.chunk(b"one ");
    for receiver in &mut receivers {
        assert_eq!(receiver.body(4), b"one ");
    }
    drop(receivers.remove(1));
    sender.expect_line("[INFO] A receiver disconnected.");
    receivers[1].half_close();
    sender.expect_line("[INFO] A receiver disconnected.");
    sender.chunk(b"two");
    sender.finish();
    assert_eq!(receivers[0].rest(), (b"two".to_vec(), End::Clean));
    assert!(expect_complete(&mut sender).starts_with("[INFO] Sent 7 bytes to 1 of 3 receiver(s)"));
}

#[test]
fn row_14_a_receiver_that_takes_nothing_is_cut() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2&stall=1"), 2);
    let mut frozen = Raw::connect_narrow(server.address());
    frozen.send(format!("GET {name}?n=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let mut reader = server.get(&format!("{name}?n=2"));
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    let body = pattern(16 << 20);
    let copy = body.clone();
    let reading = std::thread::spawn(move || {
        reader.head().expect(200);
        reader.rest()
    });
    for piece in copy.chunks(64 << 10) {
        sender.chunk(piece);
    }
    sender.finish();
    sender.expect_line("[INFO] A receiver was dropped: it took no data for 1 s.");
    let sent = expect_complete(&mut sender);
    assert!(sent.starts_with("[INFO] Sent 16777216 bytes to 1 of 2 receiver(s) in "), "{sent}");
    let (bytes, end) = reading.join().unwrap();
    assert!(bytes == body && end == End::Clean);
    frozen.head().expect(200);
    let (bytes, end) = frozen.rest();
    assert!(body.starts_with(&bytes) && end != End::Clean);
}

#[test]
fn row_15_the_last_receiver_is_gone() {
    let server = Server::start(&[]);
    let name = unique();
    let (mut sender, receivers) = server.streaming(&name, 2);
    drop(receivers);
    let (lines, time) = timed(|| expect_failure(&mut sender, ALL_GONE));
    let gone = "[INFO] A receiver disconnected.";
    assert_eq!(lines, [gone, gone, ALL_GONE]);
    assert!(time < SOON, "{time:?}");
    assert!(server.is_idle(&name), "the name is free before the sender sees the end");
}

#[test]
fn row_15_the_last_receiver_is_dropped_for_stalling() {
    let server = Server::start(&["--stall", "1"]);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    let mut frozen = Raw::connect_narrow(server.address());
    frozen.send(format!("GET {name} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    let mut writer = sender.writer();
    let feeding = std::thread::spawn(move || {
        use std::io::Write;
        let piece = [b"10000\r\n".as_slice(), &pattern(65536), b"\r\n"].concat();
        while writer.write_all(&piece).is_ok() {}
    });
    let lines = expect_failure(&mut sender, ALL_GONE);
    assert_eq!(lines[0], "[INFO] A receiver was dropped: it took no data for 1 s.");
    feeding.join().unwrap();
}

#[test]
fn row_16_the_sender_is_lost_or_its_body_is_malformed() {
    let server = Server::start(&[]);
    type Lose = fn(Raw);
    let ways: [(&str, Lose); 4] = [
        ("close", drop),
        ("reset", Raw::reset),
        ("half-close", |mut raw| {
            raw.half_close();
            expect_failure(&mut raw, LOST);
        }),
        ("bad chunk", |mut raw| {
            raw.send("xyz\r\n");
            expect_failure(&mut raw, LOST);
        }),
    ];
    for (how, lose) in ways {
        let name = unique();
        let (mut sender, mut receivers) = server.streaming(&name, 2);
        sender.chunk(b"abc");
        for receiver in &mut receivers {
            assert_eq!(receiver.body(3), b"abc");
        }
        lose(sender);
        for receiver in &mut receivers {
            let ((rest, end), time) = timed(|| receiver.rest());
            assert_eq!((rest.len(), end), (0, End::Short), "{how}");
            assert!(time < SOON, "{how}: {time:?}");
        }
        assert!(server.is_idle(&name), "{how}: the name is free before anybody sees the cut");
    }
}

/// The body is known to have failed when the receivers get to hear of the sender at all.
#[test]
fn row_16_a_body_that_fails_at_once_is_a_head_and_a_cut() {
    let server = Server::start(&[]);
    let request = |target: &str| {
        head("PUT", target, &["X-Pipe-Length: 10", "Transfer-Encoding: chunked"])
            + "5\r\nhello\r\n0\r\n\r\n"
    };
    let text = "[ERROR] Transfer failed — the body is shorter than X-Pipe-Length (5 of 10 bytes).";
    for round in 0..40 {
        let (name, n) = (unique(), if round % 2 == 0 { 1 } else { 3 });
        let mut receivers = server.waiting_receivers(&name, n);
        let mut sender = server.request(request(&format!("{name}?n={n}")));
        sender.head().expect(200);
        expect_failure(&mut sender, text);
        for receiver in &mut receivers {
            receiver.head().expect(200).expect_field("content-length", "10");
            let (rest, end) = receiver.rest();
            assert!(b"hello".starts_with(&rest[..]) && end != End::Clean, "{rest:?} {end:?}");
        }
    }
    for n in [1, 3] {
        let target = format!("{}?n={n}", unique());
        let url = server.url(&target);
        let receivers: Vec<Curl> = (0..n).map(|_| Curl::start(&["-fsSN", &url])).collect();
        let mut sender = server.request(request(&target));
        sender.head().expect(200);
        expect_failure(&mut sender, text);
        for receiver in receivers {
            receiver.ended().expect(18);
        }
    }
}

#[test]
fn row_18_the_name_is_released_while_a_receiver_is_still_draining() {
    let server = Server::start(&[]);
    let (name, mut sender, mut slow, body) = draining(&server);
    server.assert_usable(&name);
    slow.head().expect(200);
    assert_eq!(slow.rest(), (body, End::Clean));
    expect_complete(&mut sender);
}

#[test]
fn rows_19_and_20_the_name_is_free_before_either_side_sees_the_end() {
    let server = Server::start(&[]);
    let name = unique();
    for round in 0..200 {
        let sized = round % 2 == 1;
        let mut sender = if sized { server.put_sized(&name, 5) } else { server.put(&name) };
        sender.head().expect(200);
        sender.expect_line("[INFO] Waiting for 1 receiver(s) to connect...");
        let mut receiver = server.get(&name);
        receiver.head().expect(200);
        if sized {
            sender.send(b"hello");
        } else {
            sender.chunk(b"hello");
            sender.finish();
        }
        // Every third round waits for the sender's end instead of the receiver's.
        if round % 3 == 2 {
            sender.line_until("[INFO] Transfer complete.");
        } else {
            assert_eq!(receiver.rest(), (b"hello".to_vec(), End::Clean), "round {round}");
        }
    }
}

#[test]
fn half_a_close_after_the_body_is_no_loss() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    sender.chunk(b"all of it");
    sender.finish();
    sender.half_close();
    assert_eq!(receivers[0].rest(), (b"all of it".to_vec(), End::Clean));
    expect_complete(&mut sender);
}
