//! `X-Pipe-Length`, Content-Length, `X-Pipe-N` and transfer ids, end to end (spec §5, §6, §8).

use std::time::Duration;

use crate::common::server::head;
use crate::common::{Curl, End, SOON, Server, eventually, pattern, unique};
use crate::reading::{LOST, expect_complete, expect_failure};

#[test]
fn a_declared_length_reaches_the_receivers() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put_with(&name, &["X-Pipe-Length: 6"]);
    receiver.head().expect(200).expect_field("content-length", "6");
    sender.head().expect(200);
    sender.chunk(b"abc");
    assert_eq!(receiver.body(3), b"abc");
    sender.chunk(b"def");
    // The last byte is held until the sender's body has ended cleanly.
    assert_eq!(receiver.body(2), b"de");
    receiver.expect_silence(Duration::from_millis(200));
    sender.finish();
    assert_eq!(receiver.rest(), (b"f".to_vec(), End::Clean));
    expect_complete(&mut sender);
}

#[test]
fn a_body_that_is_short_or_long_never_looks_complete() {
    let server = Server::start(&[]);
    let short = "[ERROR] Transfer failed — the body is shorter than X-Pipe-Length (4 of 6 bytes).";
    let long = "[ERROR] Transfer failed — the body is longer than X-Pipe-Length (6 bytes).";
    for (body, wanted) in [("abcd", short), ("abcdefgh", long)] {
        for pieces in [1, 2] {
            let name = unique();
            let mut receiver = server.get(&name);
            let mut sender = server.put_with(&name, &["X-Pipe-Length: 6"]);
            sender.head().expect(200);
            receiver.head().expect(200);
            for piece in body.as_bytes().chunks(body.len() / pieces) {
                sender.chunk(piece);
            }
            let _ = sender.try_send("0\r\n\r\n");
            expect_failure(&mut sender, wanted);
            let (bytes, end) = receiver.rest();
            assert_eq!(end, End::Short, "{wanted}");
            assert!(bytes.len() < 6 && body.as_bytes().starts_with(&bytes), "{wanted}");
        }
    }
}

#[test]
fn a_quiet_sender_with_a_wrong_length_gets_502() {
    let server = Server::start(&[]);
    let name = unique();
    let _receiver = server.get(&name);
    let mut sender = server.put_with(&format!("{name}?quiet"), &["X-Pipe-Length: 2"]);
    sender.chunk(b"abc");
    sender.head().expect(502);
    let text = "[ERROR] Transfer failed — the body is longer than X-Pipe-Length (2 bytes).";
    assert_eq!(sender.lines().0, [text]);
}

#[test]
fn a_length_that_agrees_with_content_length_is_fine() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let request = format!(
        "PUT {name} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-Pipe-Length: 3\r\n\r\nabc"
    );
    let mut sender = server.request(request);
    receiver.head().expect(200).expect_field("content-length", "3");
    assert_eq!(receiver.rest(), (b"abc".to_vec(), End::Clean));
    sender.head().expect(200);
    expect_complete(&mut sender);
}

/// Row 13 of §27.
#[test]
fn fewer_bytes_than_content_length_are_a_lost_sender() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.put_sized(&name, 10);
    sender.head().expect(200);
    sender.send("12345");
    sender.half_close();
    // While waiting the sender is simply gone; the next one meets the receiver.
    let mut receiver = server.get(&name);
    eventually("the place is free", SOON, || {
        let mut next = server.put_sized(&name, 1);
        let free = next.head().status == 200;
        if free {
            next.send("x");
            receiver.head().expect(200);
            assert_eq!(receiver.rest(), (b"x".to_vec(), End::Clean));
        }
        free
    });

    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put_sized(&name, 10);
    receiver.head().expect(200).expect_field("content-length", "10");
    sender.head().expect(200);
    sender.send("12345");
    assert_eq!(receiver.body(5), b"12345");
    sender.half_close();
    expect_failure(&mut sender, LOST);
    assert_eq!(receiver.rest(), (vec![], End::Short));
}

#[test]
fn an_empty_body_is_legal_in_every_form() {
    let server = Server::start(&[]);
    let forms: [&[&str]; 3] = [
        &["Content-Length: 0"],
        &["Transfer-Encoding: chunked", "X-Pipe-Length: 0"],
        &["Transfer-Encoding: chunked"],
    ];
    for form in forms {
        let name = unique();
        let mut receiver = server.get(&name);
        let mut sender = server.request(head("PUT", &name, form));
        sender.head().expect(200);
        if form[0].starts_with("Transfer") {
            sender.finish();
        }
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (vec![], End::Clean), "{form:?}");
        assert!(expect_complete(&mut sender).starts_with("[INFO] Sent 0 bytes to 1 of 1"));
    }
}

#[test]
fn the_number_of_receivers_can_be_a_header() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.put_with(&name, &["X-Pipe-N: 2"]);
    sender.head().expect(200);
    sender.expect_line("[INFO] Waiting for 2 receiver(s) to connect...");
    let mut one = server.get_with(&format!("{name}?n=2"), &["X-Pipe-N: 2"]);
    let mut two = server.get_with(&name, &["x-pipe-n: 2"]);
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    one.head().expect(200);
    two.head().expect(200);
}

#[test]
fn all_receivers_learn_the_chosen_transfer_id() {
    let server = Server::start(&[]);
    let name = unique();
    let id = "chosen_by-the-sender-0001";
    let mut receivers = server.waiting_receivers(&name, 2);
    let mut sender = server.put(&format!("{name}?n=2&transfer={id}"));
    sender.head().expect(200);
    for receiver in &mut receivers {
        receiver.head().expect_field("x-hoody-pipe-transfer-id", id);
    }
}

#[test]
fn the_three_spellings_of_a_name_are_one_pipe() {
    let server = Server::start(&[]);
    let name = unique();
    for spelling in
        [format!("/pipe{name}"), format!("/api/v1/pipe{name}"), name.replace('t', "%74")]
    {
        let mut receiver = server.get(&spelling);
        let mut sender = server.put_sized(&name, 1);
        sender.send("x");
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (b"x".to_vec(), End::Clean), "{spelling}");
    }
    // Sub-delimiters and empty segments are kept apart.
    let mut sender = server.waiting_sender(&format!("{name}/!"), 1);
    for other in ["/%21", "//!", "/!/"] {
        server.waiting_sender(&format!("{name}{other}"), 1);
    }
    sender.expect_silence(Duration::from_millis(100));
}

#[test]
fn a_file_that_curl_sends_keeps_its_length() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&name);
    let body = pattern(3 << 20);
    let file = std::env::temp_dir().join(format!("hoody-pipe{}", name.replace('/', "-")));
    std::fs::write(&file, &body).unwrap();
    let receiver = Curl::start(&["-fsSN", "-D", "-", &url]);
    let sender = Curl::run(&["-sS", "--fail-with-body", "-T", file.to_str().unwrap(), &url]);
    let _ = std::fs::remove_file(&file);
    let received = receiver.ended();
    let text = received.expect(0).text();
    assert!(sender.expect(0).text().ends_with("[INFO] Transfer complete.\n"));
    assert!(text.to_lowercase().contains("content-length: 3145728\r\n"));
    assert!(received.stdout.ends_with(&body));
}
