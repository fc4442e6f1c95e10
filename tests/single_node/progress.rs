//! Spec §16: `?progress`, the events of a name as they happen.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::server::head;
use crate::common::{Curl, End, Raw, SOON, Server, eventually, sha256, unique};
use crate::reading::{draining, expect_complete, expect_error};
use crate::seeing::{assert_has, status, status_until, watch};

#[test]
fn a_transfer_from_its_first_party_to_its_end() {
    let server = Server::start(&[]);
    let name = unique();
    let mut spectator = watch(&server, &name);
    let state = |state: &str, sender: bool, there: u16, of: u16| {
        json!({"state": state, "hasSender": sender, "activeReceivers": there,
            "totalReceivers": of})
    };
    spectator.expect_state(&state("idle", false, 0, 0));
    let mut one = server.get(&format!("{name}?n=2"));
    spectator.expect_state(&state("waiting", false, 1, 2));
    let mut sender = server.put_with(&format!("{name}?n=2&sha256"), &["X-Pipe-Length: 6"]);
    spectator.expect_state(&state("waiting", true, 1, 2));
    let mut two = server.get(&format!("{name}?n=2"));
    spectator.state_until(&state("streaming", true, 2, 2));
    let zero = json!({"bytesTransferred": 0, "totalBytes": 6, "speed": 0, "eta": null,
        "activeReceivers": 2});
    spectator.progress_until(&zero);
    sender.chunk(b"abc");
    let data = spectator.progress_until(&json!({"bytesTransferred": 3, "totalBytes": 6}));
    assert!(data["speed"].as_u64() > Some(0) && data["eta"].is_u64(), "{data}");
    assert!(data["elapsed"].as_f64() >= Some(0.2), "{data}");
    sender.chunk(b"def");
    sender.finish();
    let done = spectator.done();
    let id = one.head().get("x-hoody-pipe-transfer-id").unwrap().to_owned();
    assert_eq!((one.rest().0, two.head().status), (b"abcdef".to_vec(), 200));
    let wanted = json!({"state": "complete", "bytesTransferred": 6, "reason": null,
        "sha256": sha256(b"abcdef"), "transferId": id});
    assert_has(&done, &wanted);
    assert!(done["duration"].is_f64() && done["avgSpeed"].is_u64(), "{done}");
    assert_eq!(done.as_object().unwrap().len(), 7);
}

/// Row "state" of §16: on every change, however short the transfer.
#[test]
fn a_short_transfer_shows_each_of_its_states() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let name = unique();
        let mut spectator = watch(&server, &name);
        let _receiver = server.get(&name);
        let _sender =
            server.request([head("PUT", &name, &["Content-Length: 2"]), "hi".into()].concat());
        let mut states = Vec::new();
        loop {
            let (event, data) = spectator.event();
            match event.as_str() {
                "state" => states.push(data["state"].as_str().unwrap().to_owned()),
                "done" => break,
                _ => {}
            }
        }
        states.dedup();
        assert_eq!(states, ["idle", "waiting", "streaming"]);
    }
}

#[test]
fn the_stream_has_its_headers() {
    let server = Server::start(&[]);
    for accept in ["Accept: text/event-stream", "Accept: */*"] {
        let mut raw = server.get_with(&format!("{}?progress&n=0", unique()), &[accept]);
        raw.head()
            .expect(200)
            .expect_field("content-type", "text/event-stream; charset=utf-8")
            .expect_field("cache-control", "no-store, no-transform")
            .expect_field("x-accel-buffering", "no")
            .expect_field("access-control-allow-origin", "*")
            .expect_field("transfer-encoding", "chunked")
            .expect_field("vary", "Accept");
    }
}

#[test]
fn watching_takes_no_slot_and_fixes_no_n() {
    let server = Server::start(&["--max-pending", "1"]);
    let name = unique();
    let mut spectators = [0, 1, 2].map(|_| watch(&server, &name));
    // Not a name that waits: there is room for one.
    server.assert_usable(&unique());
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    sender.chunk(b"x");
    sender.finish();
    assert_eq!(receivers[0].rest(), (b"x".to_vec(), End::Clean));
    expect_complete(&mut sender);
    for spectator in &mut spectators {
        assert_has(&spectator.done(), &json!({"state": "complete", "bytesTransferred": 1}));
    }
}

#[test]
fn a_name_that_is_left_is_idle_again_and_the_stream_stays() {
    let server = Server::start(&[]);
    let name = unique();
    let mut spectator = watch(&server, &name);
    spectator.expect_state(&json!({"state": "idle"}));
    let receiver = server.get(&name);
    spectator.expect_state(&json!({"state": "waiting", "activeReceivers": 1}));
    drop(receiver);
    spectator.expect_state(&json!({"state": "idle", "activeReceivers": 0, "totalReceivers": 0}));
    let sender = server.waiting_sender(&name, 1);
    spectator.expect_state(&json!({"state": "waiting", "hasSender": true}));
    drop(sender);
    assert_has(&spectator.done(), &json!({"state": "failed", "reason": "Sender disconnected"}));
}

#[test]
fn a_pipe_that_fails_while_waiting_is_done() {
    let server = Server::start(&[]);
    for (target, reason) in [
        ("?wait=1", "Timed out waiting for receivers"),
        ("?wait=100", "Cancelled: enough"),
        ("?wait=99", "Sender disconnected"),
    ] {
        let name = unique();
        let sender = server.waiting_sender(&format!("{name}{target}"), 1);
        let mut spectator = watch(&server, &name);
        spectator.expect_state(&json!({"state": "waiting"}));
        match target {
            "?wait=99" => drop(sender),
            "?wait=100" => {
                server.ask("DELETE", &format!("{name}?reason=enough")).head().expect(204);
            }
            _ => {}
        }
        let wanted = json!({"state": "failed", "bytesTransferred": 0, "duration": 0.0,
            "avgSpeed": 0, "reason": reason, "sha256": null, "transferId": null});
        assert_eq!(spectator.done(), wanted);
    }
    let name = unique();
    let _receiver = server.get(&format!("{name}?wait=1"));
    let mut spectator = watch(&server, &name);
    assert_has(&spectator.done(), &json!({"state": "failed", "reason": "Timed out"}));
}

#[test]
fn a_transfer_that_fails_is_done() {
    let server = Server::start(&[]);
    for (lose_sender, reason) in
        [(true, "Sender disconnected"), (false, "All receivers disconnected")]
    {
        let name = unique();
        let (mut sender, mut receivers) = server.streaming(&name, 1);
        let mut spectator = watch(&server, &name);
        spectator.expect_state(&json!({"state": "streaming"}));
        spectator.progress_until(&json!({"bytesTransferred": 0}));
        sender.chunk(b"abcd");
        assert_eq!(receivers[0].body(4), b"abcd");
        spectator.progress_until(&json!({"bytesTransferred": 4}));
        if lose_sender {
            drop(sender)
        } else {
            receivers.clear()
        }
        let done = spectator.done();
        assert_has(&done, &json!({"state": "failed", "bytesTransferred": 4, "reason": reason}));
    }
}

#[test]
fn an_end_that_lingers_is_said_at_once() {
    let server = Server::start(&[]);
    let name = unique();
    server.assert_usable(&name);
    let id = status(&server, &name)["transferId"].clone();
    for _ in 0..2 {
        let done = watch(&server, &name).done();
        assert_has(&done, &json!({"state": "complete", "transferId": id}));
    }
    // EventSource comes back after an end, and is told to stop.
    let target = format!("{name}?progress");
    let mut raw = server.get_with(&target, &["Last-Event-ID: 5"]);
    raw.head().expect(204).expect_field("access-control-allow-origin", "*");
    raw.send(head("GET", &target, &["Last-Event-ID:"]));
    raw.head().expect(204);
    // With a new party it is news again.
    let _sender = server.waiting_sender(&name, 1);
    let mut raw = server.get_with(&target, &["Last-Event-ID: 5"]);
    raw.head().expect(200);
    assert_eq!(raw.line(), "event: state");
    // And where nothing has ended, too.
    server.get_with(&format!("{}?progress", unique()), &["Last-Event-ID: 5"]).head().expect(200);
}

#[test]
fn a_spectator_sees_the_transfer_it_saw_to_its_end() {
    let server = Server::start(&[]);
    let (name, mut sender, mut slow, body) = draining(&server);
    let mut first = watch(&server, &name);
    first.expect_state(&json!({"state": "streaming"}));
    let _next = server.waiting_sender(&format!("{name}?n=3"), 3);
    let mut second = watch(&server, &name);
    second.expect_state(&json!({"state": "waiting", "totalReceivers": 3}));
    slow.head().expect(200);
    assert_eq!(slow.rest(), (body.clone(), End::Clean));
    expect_complete(&mut sender);
    let done = first.done();
    assert_has(&done, &json!({"state": "complete", "bytesTransferred": body.len()}));
    second.raw().expect_silence(Duration::from_millis(100));
}

#[test]
fn progress_comes_four_times_a_second_at_most() {
    let server = Server::start(&[]);
    let name = unique();
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    let mut spectator = watch(&server, &name);
    for _ in 0..100 {
        sender.chunk(b"0123456789");
        assert_eq!(receivers[0].body(10), b"0123456789");
        std::thread::sleep(Duration::from_millis(10));
    }
    sender.finish();
    let mut events = Vec::new();
    loop {
        let (event, data) = spectator.event();
        if event == "done" {
            let allowed = 2 + (data["duration"].as_f64().unwrap() * 4.0) as usize;
            assert!((3..=allowed).contains(&events.len()), "{allowed}: {events:?}");
            assert_has(&data, &json!({"bytesTransferred": 1000}));
            break;
        }
        if event == "progress" {
            events.push(data["bytesTransferred"].as_u64().unwrap());
        }
    }
    assert!(events.is_sorted_by(|a, b| a < b), "each one is news: {events:?}");
}

/// Row 30 of §27.
#[test]
fn spectators_have_caps() {
    let text = "[ERROR] Too many spectators. Try again later.";
    let server = Server::start(&[]);
    let name = unique();
    let mut all: Vec<_> = (0..256).map(|_| watch(&server, &name)).collect();
    let target = format!("{name}?progress");
    expect_error(&mut server.get(&target), 429, "spectator_cap", text);
    // Other names, status and parties are not hit.
    let other = watch(&server, &unique());
    assert_has(&status(&server, &name), &json!({"state": "idle"}));
    let sender = server.waiting_sender(&name, 1);
    // One leaves.
    drop(all.pop());
    eventually("there is room again", SOON, || server.get(&target).head().status == 200);
    drop((other, sender));

    let server = Server::start(&["--max-spectators", "2", "--max-spectators-per-pipe", "1"]);
    let [one, two] = [unique(), unique()];
    let first = watch(&server, &one);
    expect_error(&mut server.get(&format!("{one}?progress")), 429, "spectator_cap", text);
    let _second = watch(&server, &two);
    let third = format!("{}?progress", unique());
    expect_error(&mut server.get(&third), 429, "spectator_cap", text);
    drop(first);
    eventually("there is room again", SOON, || server.get(&third).head().status == 200);
}

#[test]
fn a_refused_or_finished_stream_leaves_the_connection() {
    let server = Server::start(&["--max-spectators", "0"]);
    let name = unique();
    let mut raw = server.get(&format!("{name}?progress"));
    raw.head().expect(429);
    let _ = raw.rest();
    raw.send(head("GET", &format!("{name}?status"), &[]));
    raw.head().expect(200);

    let server = Server::start(&[]);
    server.assert_usable(&name);
    let mut spectator = watch(&server, &name);
    spectator.done();
    let raw = spectator.raw();
    raw.send(head("GET", &format!("{name}?status"), &[]));
    raw.head().expect(200);
}

#[test]
fn http10_gets_a_stream_that_ends_with_the_connection() {
    let server = Server::start(&[]);
    let name = unique();
    let mut raw = server.request(format!("GET {name}?progress HTTP/1.0\r\n\r\n"));
    let head = raw.head();
    head.expect(200);
    assert!(head.get("transfer-encoding").is_none() && head.get("content-length").is_none());
    assert_eq!(raw.line(), "event: state");
    server.assert_usable(&name);
    let (rest, end) = raw.rest();
    assert_eq!(end, End::Clean);
    assert!(String::from_utf8_lossy(&rest).contains("event: done"));
}

#[test]
fn a_spectator_that_leaves_leaves_nothing() {
    let server = Server::start(&["--max-spectators", "3"]);
    // Every worker has served somebody.
    (0..8).for_each(|_| server.assert_usable(&unique()));
    let before = server.descriptors();
    for _ in 0..20 {
        let name = unique();
        let spectators = [0, 1, 2].map(|_| watch(&server, &name));
        drop(spectators);
        eventually("there is room again", SOON, || {
            server.get(&format!("{}?progress", unique())).head().status == 200
        });
    }
    eventually("all have left", SOON, || server.descriptors() <= before);
    // A half-close is leaving, too.
    let mut spectator = watch(&server, &unique());
    spectator.expect_state(&json!({"state": "idle"}));
    spectator.raw().half_close();
    spectator.raw().closed_within(SOON);
}

#[test]
fn a_spectator_that_does_not_read_holds_nobody_up() {
    let server = Server::start(&[]);
    let name = unique();
    let mut lazy = Raw::connect_narrow(server.address());
    lazy.send(head("GET", &format!("{name}?progress"), &[]));
    status_until(&server, &name, &json!({"state": "idle"}));
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    let mut keen = watch(&server, &name);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..8 {
        sender.chunk(&piece);
        assert_eq!(receivers[0].body(piece.len()).len(), piece.len());
    }
    sender.finish();
    expect_complete(&mut sender);
    assert_has(&keen.done(), &json!({"bytesTransferred": 8 << 20}));
    // It gets all that it asks for in the end.
    lazy.head().expect(200);
    let (events, end) = lazy.rest();
    assert!(String::from_utf8_lossy(&events).contains("event: done") && end == End::Clean);
}

/// The relay gives it 30 s, behind what the kernel holds; the kernel itself would give it 60 s.
#[test]
fn a_spectator_that_takes_nothing_is_dropped() {
    let server = Server::start(&["--max-spectators", "1"]);
    let name = unique();
    let mut lazy = Raw::connect_narrow(server.address());
    lazy.send(head("GET", &format!("{name}?progress"), &[]));
    lazy.head().expect(200);
    let target = format!("{}?progress", unique());
    assert_eq!(server.get(&target).head().status, 429, "it has its place");
    // Two events of a hundred bytes for each receiver that comes and goes, 160 a second at most. They
    // fill what the kernel holds; 30 s later it is dropped.
    eventually("it is dropped", Duration::from_secs(75), || {
        for _ in 0..4 {
            let receiver = server.get(&name);
            status_until(&server, &name, &json!({"state": "waiting"}));
            drop(receiver);
            status_until(&server, &name, &json!({"state": "idle"}));
        }
        server.get(&target).head().status == 200
    });
    drop(lazy);
}

#[test]
fn a_drain_does_not_wait_for_spectators() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        let name = unique();
        let (mut sender, mut receivers) = server.streaming(&name, 1);
        let mut watches_nothing = watch(&server, &unique());
        let mut spectator = watch(&server, &name);
        server.signal(signal);
        eventually("the drain has begun", SOON, || server.log().contains("draining"));
        // It sees the end of what it watches.
        sender.chunk(b"last");
        sender.finish();
        assert_eq!(receivers[0].rest(), (b"last".to_vec(), End::Clean));
        expect_complete(&mut sender);
        assert_has(&spectator.done(), &json!({"state": "complete", "bytesTransferred": 4}));
        // Who watches nothing is let go, without a word that it would take for an end.
        watches_nothing.expect_state(&json!({"state": "idle"}));
        assert_eq!(watches_nothing.raw().rest(), (vec![], End::Clean));
        assert_eq!(server.exit_code(SOON), Some(0));
    }
}

#[test]
fn a_node_that_stops_takes_no_spectators() {
    let mut server = Server::start(&["--drain-timeout", "2"]);
    let (_sender, _receivers) = server.streaming(&unique(), 1);
    server.signal(Signal::INT);
    eventually("new requests are refused", SOON, || server.put(&unique()).head().status == 503);
    let text = "[ERROR] Server shutting down.";
    let mut raw = server.get(&format!("{}?progress", unique()));
    expect_error(&mut raw, 503, "draining", text);
    assert_eq!(server.exit_code(SOON * 2), Some(0));
}

#[test]
fn curl_reads_it_as_it_comes() {
    let server = Server::start(&[]);
    let name = unique();
    let spectator = Curl::start(&["-fsSN", &server.url(&format!("{name}?progress"))]);
    spectator.expect_output("event: state\nid: 1\ndata: {\"state\":\"idle\"");
    server.assert_usable(&name);
    let ended = spectator.ended();
    ended.expect(0);
    assert!(ended.text().contains("event: done\n"), "{}", ended.text());
}
