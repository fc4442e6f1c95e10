//! Spec §22, the row "drain", on a single node; row 19 of §28.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::uses::first_refused;
use crate::common::{End, PATIENCE, Raw, SOON, Server, eventually, timed, unique};
use crate::reading::{expect_complete, expect_error, expect_failure};
use crate::seeing::{assert_has, watch};

const STOPPING: &str = "[ERROR] Server shutting down.";

#[test]
fn an_idle_server_exits_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        let (code, time) = timed(|| server.exit_code(PATIENCE));
        assert_eq!(code, Some(0));
        assert!(time < SOON, "{signal:?}: {time:?}");
    }
}

#[test]
fn new_requests_are_accepted_for_five_seconds_and_refused_afterwards() {
    let mut server = Server::start(&["--drain-timeout", "30"]);
    let (mut running, mut receivers) = server.streaming(&unique(), 1);
    server.signal(Signal::TERM);
    // Within the five seconds everything works as before.
    server.assert_usable(&unique());
    let name = unique();
    let late = server.waiting_sender(&name, 1);
    let (mut refused, time) = timed(|| first_refused(&server));
    assert!(time > Duration::from_secs(3), "not after {time:?}");
    expect_error(&mut refused, 503, "draining", STOPPING);
    expect_error(&mut server.put(&unique()), 503, "draining", STOPPING);
    // What came in time goes on, also a pair that is still to be completed by nobody.
    running.chunk(b"still running");
    assert_eq!(receivers[0].body(13), b"still running");
    running.finish();
    expect_complete(&mut running);
    assert!(server.is_running());
    drop(late);
    assert_eq!(server.exit_code(Duration::from_secs(5)), Some(0), "nothing is left");
}

#[test]
fn an_interrupt_refuses_at_once() {
    let mut server = Server::start(&[]);
    let (mut running, mut receivers) = server.streaming(&unique(), 1);
    server.signal(Signal::INT);
    eventually("new requests are refused", SOON, || {
        let mut probe = server.put(&unique());
        probe.head().status == 503
    });
    running.chunk(b"x");
    running.finish();
    assert_eq!(receivers[0].rest(), (b"x".to_vec(), End::Clean));
    expect_complete(&mut running);
    assert_eq!(server.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, wanted) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut server = Server::start(&[]);
        let (mut running, mut receivers) = server.streaming(&unique(), 2);
        let name = unique();
        let mut other = server.waiting_sender(&name, 1);
        let mut old = server.request(format!("GET {name} HTTP/1.0\r\n\r\n"));
        old.head().expect(200);
        server.signal(Signal::TERM);
        // Two signals that a busy machine delivers at the same moment have no order.
        eventually("the first one is heard", SOON, || server.log().contains("draining"));
        running.chunk(b"still fine");
        other.chunk(b"still fine");
        for receiver in receivers.iter_mut().chain([&mut old]) {
            assert_eq!(receiver.body(10), b"still fine");
        }
        server.assert_usable(&unique());
        server.signal(signal);
        let (code, time) = timed(|| server.exit_code(PATIENCE));
        assert_eq!(code, Some(wanted), "what shells give for the signal");
        assert!(time < SOON, "{time:?}");
        for receiver in &mut receivers {
            let (rest, end) = receiver.rest();
            assert!(rest.is_empty() && end != End::Clean, "{end:?}");
        }
        assert_eq!(old.rest(), (vec![], End::Reset), "FIN is a clean end for HTTP/1.0");
    }
}

#[test]
fn what_is_left_at_the_timeout_is_told_and_cut() {
    let mut server = Server::start(&["--drain-timeout", "7"]);
    let (mut running, mut receivers) = server.streaming(&unique(), 2);
    running.chunk(b"abc");
    let mut waiting = server.waiting_sender(&unique(), 1);
    let mut quiet = server.put_with(&format!("{}?quiet", unique()), &["Expect: 100-continue"]);
    quiet.head().expect(100);
    let mut receiver = server.waiting_receivers(&unique(), 1).remove(0);
    server.signal(Signal::TERM);
    let (_, time) = timed(|| expect_failure(&mut running, STOPPING));
    assert!(time > Duration::from_secs(6), "nothing is cut before the timeout: {time:?}");
    expect_failure(&mut waiting, STOPPING);
    for streaming in &mut receivers {
        assert_eq!(streaming.rest(), (b"abc".to_vec(), End::Short));
    }
    expect_error(&mut receiver, 503, "draining", STOPPING);
    let head = quiet.head();
    head.expect(503).expect_field("retry-after", "1");
    assert_eq!(quiet.lines().0, [STOPPING]);
    // The clients close, as curl does after a cut.
    drop((running, waiting, receivers, receiver, quiet));
    assert_eq!(server.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn spectators_see_the_end_of_what_is_cut() {
    let mut server = Server::start(&["--drain-timeout", "1"]);
    let (streaming, waiting) = (unique(), unique());
    let (sender, receivers) = server.streaming(&streaming, 1);
    let waits = server.waiting_sender(&waiting, 1);
    let mut spectators: Vec<_> =
        (0..20).flat_map(|_| [watch(&server, &streaming), watch(&server, &waiting)]).collect();
    let mut idle = watch(&server, &unique());
    server.signal(Signal::INT);
    for spectator in &mut spectators {
        let done = spectator.done();
        assert_has(&done, &json!({"state": "failed", "reason": "Server shutting down"}));
    }
    idle.expect_state(&json!({"state": "idle"}));
    assert_eq!(idle.raw().rest(), (vec![], End::Clean), "nothing has ended there");
    drop((sender, receivers, waits));
    assert_eq!(server.exit_code(PATIENCE), Some(0));
}

/// Row 19 of §28: a hundred of each.
#[test]
fn a_hundred_running_and_a_hundred_waiting() {
    let mut server = Server::start(&["--drain-timeout", "8"]);
    let mut running: Vec<(Raw, Vec<Raw>)> = Vec::new();
    for _ in 0..100 {
        running.push(server.streaming(&unique(), 1));
    }
    let waiting: Vec<Raw> = (0..100).map(|_| server.get(&unique())).collect();
    server.assert_usable(&unique());
    server.signal(Signal::TERM);
    // Half of them finish in time, half are still there at the end.
    for (sender, receivers) in running.drain(..50) {
        let (mut sender, mut receivers) = (sender, receivers);
        sender.chunk(b"done");
        sender.finish();
        assert_eq!(receivers[0].rest(), (b"done".to_vec(), End::Clean));
        expect_complete(&mut sender);
    }
    for (mut sender, mut receivers) in running {
        expect_failure(&mut sender, STOPPING);
        assert_eq!(receivers[0].rest().1, End::Short);
    }
    for mut receiver in waiting {
        expect_error(&mut receiver, 503, "draining", STOPPING);
    }
    assert_eq!(server.exit_code(Duration::from_secs(6)), Some(0));
}

/// Matched, but the multipart head that its answer begins with has not come.
#[test]
fn a_receiver_that_waits_for_the_first_part_is_answered_once() {
    let mut server = Server::start(&["--drain-timeout", "1"]);
    let name = unique();
    let mut receiver = server.waiting_receivers(&name, 1).remove(0);
    let mut sender = server.put_with(&name, &["Content-Type: multipart/form-data; boundary=b"]);
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    server.signal(Signal::INT);
    expect_failure(&mut sender, STOPPING);
    expect_error(&mut receiver, 503, "draining", STOPPING);
    assert!(receiver.try_head().is_err(), "one answer, not two");
    assert_eq!(server.exit_code(PATIENCE), Some(0));
}
