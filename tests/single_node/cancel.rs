//! Spec §13: DELETE.

use std::time::Duration;

use crate::common::server::head;
use crate::common::{Curl, End, PATIENCE, SOON, Server, eventually, timed, unique};
use crate::reading::{draining, expect_complete, expect_error, expect_failure};

#[track_caller]
fn cancel(server: &Server, target: &str) {
    let mut raw = server.ask("DELETE", target);
    let head = raw.head();
    head.expect(204).expect_field("access-control-allow-origin", "*");
    assert!(head.get("content-length").is_none_or(|length| length == "0"), "{head:?}");
    raw.expect_silence(Duration::from_millis(20));
}

#[test]
fn a_waiting_sender_is_told_the_reason() {
    let server = Server::start(&[]);
    for (query, text) in [
        ("?reason=drift", "[ERROR] Cancelled: drift."),
        ("?reason=two+words.", "[ERROR] Cancelled: two words."),
        ("?reason=caf%C3%A9", "[ERROR] Cancelled: café."),
        ("", "[ERROR] Cancelled."),
        ("?reason=", "[ERROR] Cancelled."),
    ] {
        let name = unique();
        let mut sender = server.waiting_sender(&name, 1);
        cancel(&server, &format!("{name}{query}"));
        let (_, time) = timed(|| expect_failure(&mut sender, text));
        assert!(time < SOON, "{query}: {time:?}");
        assert!(server.is_idle(&name), "{query}");
    }
}

#[test]
fn waiting_receivers_get_410() {
    let server = Server::start(&[]);
    for (query, text) in
        [("?reason=no%20more", "[ERROR] Cancelled: no more."), ("", "[ERROR] Cancelled.")]
    {
        let name = unique();
        let mut receivers = server.waiting_receivers(&name, 3);
        cancel(&server, &format!("/pipe{name}{query}"));
        for receiver in &mut receivers {
            expect_error(receiver, 410, "cancelled", text);
        }
        assert!(server.is_idle(&name));
    }
}

#[test]
fn a_streaming_pipe_is_cut_on_both_sides() {
    let server = Server::start(&[]);
    let name = unique();
    let (mut sender, mut receivers) = server.streaming(&name, 2);
    sender.chunk(b"abc");
    for receiver in &mut receivers {
        assert_eq!(receiver.body(3), b"abc");
    }
    cancel(&server, &format!("{name}?reason=drift"));
    expect_failure(&mut sender, "[ERROR] Cancelled: drift.");
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (vec![], End::Short));
    }
    server.assert_usable(&name);
}

/// Wherever the DELETE meets the match, everybody hears of it.
#[test]
fn cancelling_at_the_moment_of_the_match_leaves_nobody_without_an_answer() {
    let server = Server::start(&[]);
    for round in 0..40 {
        let name = unique();
        let mut receivers = server.waiting_receivers(&name, 2);
        // Both connections are there before, so that the requests come as one after the other.
        let (mut sender, mut asker) = (server.connect(), server.connect());
        sender.send(head("PUT", &format!("{name}?n=2"), &["Transfer-Encoding: chunked"]));
        asker.send(head("DELETE", &name, &[]));
        asker.head().expect(204);
        let mut started = 0;
        for receiver in &mut receivers {
            let head = receiver.try_head();
            let head = head.unwrap_or_else(|end| panic!("round {round}: {end:?} and no answer"));
            let (rest, end) = receiver.rest();
            match head.status {
                200 => assert!(rest.is_empty() && end != End::Clean, "round {round}: {end:?}"),
                410 => assert_eq!((&rest[..], end), (&b"[ERROR] Cancelled.\n"[..], End::Clean)),
                _ => panic!("round {round}: {head:?}"),
            }
            started += usize::from(head.status == 200);
        }
        assert!(started == 0 || started == 2, "round {round}: {started} of 2 have started");
        sender.head().expect(200);
        // It may have come after the DELETE, and waits then.
        if started > 0 {
            expect_failure(&mut sender, "[ERROR] Cancelled.");
        }
    }
}

#[test]
fn a_quiet_sender_gets_410_waiting_and_streaming() {
    let server = Server::start(&[]);
    for streaming in [false, true] {
        let name = unique();
        let target = format!("{name}?quiet&n=2");
        let mut sender = server.put_with(&target, &["Expect: 100-continue"]);
        sender.head().expect(100);
        let mut one = server.get(&format!("{name}?n=2"));
        let two = streaming.then(|| server.get(&format!("{name}?n=2")));
        if streaming {
            one.head().expect(200);
        }
        cancel(&server, &format!("{name}?reason=stop"));
        sender.head().expect(410);
        assert_eq!(sender.lines().0, ["[ERROR] Cancelled: stop."]);
        if streaming {
            assert_eq!(one.rest().1, End::Short);
        }
        drop(two);
    }
}

#[test]
fn a_released_transfer_that_is_still_draining_can_be_cancelled() {
    let server = Server::start(&[]);
    let (name, mut sender, mut slow, _) = draining(&server);
    cancel(&server, &format!("{name}?reason=late"));
    expect_failure(&mut sender, "[ERROR] Cancelled: late.");
    slow.head().expect(200);
    assert_ne!(slow.rest().1, End::Clean);
}

#[test]
fn a_new_pipe_of_that_name_is_cancelled_instead() {
    let server = Server::start(&[]);
    let (name, mut sender, mut slow, _) = draining(&server);
    let mut next = server.waiting_sender(&name, 1);
    cancel(&server, &name);
    expect_failure(&mut next, "[ERROR] Cancelled.");
    slow.head().expect(200);
    assert_eq!(slow.rest().1, End::Clean);
    expect_complete(&mut sender);
}

#[test]
fn a_body_of_the_request_is_dropped() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    let request = format!("DELETE {name} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    server.request(request).head().expect(204);
    expect_failure(&mut sender, "[ERROR] Cancelled.");
}

/// Row 31 of §27.
#[test]
fn wrong_requests_touch_nobody() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    let text = "[ERROR] Invalid \"reason\" — at most 200 printable characters.";
    let long = format!("?reason={}", "a".repeat(201));
    for query in ["?reason=a%0Ab", "?reason=%E2%80%AE", "?reason=%C2%85", &long] {
        expect_error(&mut server.ask("DELETE", &format!("{name}{query}")), 400, "bad_reason", text);
    }
    let text = format!("[ERROR] No pipe at '{name}x'.");
    expect_error(&mut server.ask("DELETE", &format!("{name}x")), 404, "no_pipe", &text);
    let text = "[ERROR] Method DELETE is not allowed.";
    expect_error(&mut server.ask("DELETE", "/help"), 405, "method", text);
    sender.expect_silence(Duration::from_millis(100));
    cancel(&server, &format!("{name}?reason={}", "é".replace('é', "%C3%A9").repeat(200)));
    let wanted = format!("[ERROR] Cancelled: {}.", "é".repeat(200));
    expect_failure(&mut sender, &wanted);
}

#[test]
fn names_and_reasons_are_never_logged() {
    let server = Server::start(&["--log-level", "debug"]);
    let name = "/very-secret-name";
    let mut sender = server.waiting_sender(&format!("{name}?wait=1234"), 1);
    cancel(&server, &format!("{name}?reason=very-secret-reason"));
    expect_failure(&mut sender, "[ERROR] Cancelled: very-secret-reason.");
    // What was logged by now stands before the line of this.
    server.assert_usable(&unique());
    eventually("a transfer is logged", SOON, || server.log().contains("transfer ended"));
    let log = server.log();
    for secret in ["very-secret-name", "very-secret-reason", "wait=1234"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn curl_exits_as_the_specification_says() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&name);
    let mut sender =
        Curl::start(&["-sSN", "--no-progress-meter", "--fail-with-body", "-T", ".", &url]);
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"token\n");
    receiver.expect_output("token\n");
    Curl::run(&["-fsS", "-X", "DELETE", &format!("{url}?reason=drift")]).expect(0);
    receiver.ended().expect(18);
    sender.expect_output("[ERROR] Cancelled: drift.\n");
    // The sender's curl ends at its next token at the latest.
    eventually("curl stops to read", PATIENCE, || sender.try_write(b"token\n").is_err());
    let ended = sender.ended();
    assert_ne!(ended.code, Some(0), "{}", ended.stderr);
}
