//! Spec §16: `?status`, what it says in each state of a name.

use std::time::Duration;

use serde_json::json;

use crate::common::server::head;
use crate::common::{End, SOON, Server, eventually, sha256, unique};
use crate::reading::{ALL_GONE, LOST, draining, expect_complete, expect_error, expect_failure};
use crate::seeing::{assert_has, status, status_until};

const IDLE: &str = "{\"state\":\"idle\",\"kind\":null,\"peers\":null,\"transferId\":null,\
    \"hasSender\":false,\"activeReceivers\":0,\"totalReceivers\":null,\"bytesTransferred\":0,\
    \"totalBytes\":null,\"speed\":0,\"eta\":null,\"elapsed\":0.0,\"reason\":null,\"sha256\":null}";

#[test]
fn an_unused_name_is_idle() {
    let server = Server::start(&[]);
    let mut raw = server.get(&format!("{}?status", unique()));
    let head = raw.head();
    head.expect(200)
        .expect_field("cache-control", "no-store")
        .expect_field("content-type", "application/json")
        .expect_field("x-content-type-options", "nosniff")
        .expect_field("access-control-allow-origin", "*");
    assert_eq!(raw.rest(), (IDLE.as_bytes().to_vec(), End::Clean));
}

#[test]
fn head_has_the_headers_alone_and_the_connection_stays() {
    let server = Server::start(&[]);
    let name = unique();
    let mut raw = server.ask("HEAD", &format!("{name}?status"));
    let length = IDLE.len().to_string();
    raw.head().expect(200).expect_field("content-length", &length);
    raw.answers_head(false);
    raw.send(head("GET", &format!("{name}?status"), &[]));
    raw.head().expect(200).expect_field("content-length", &length);
    assert_eq!(raw.rest().0, IDLE.as_bytes());
}

#[test]
fn it_wins_over_every_other_parameter() {
    let server = Server::start(&[]);
    for query in ["status&n=0", "n=2&n=3&status=1", "progress&status", "ws&live&wait&status=yes"] {
        assert_eq!(server.get(&format!("{}?{query}", unique())).head().status, 200, "{query}");
    }
    // It means nothing to others, and off is off.
    server.put(&format!("{}?status", unique())).head().expect(200);
    expect_error(
        &mut server.get(&format!("{}?status=0&n=0", unique())),
        400,
        "bad_n",
        "[ERROR] Invalid receiver count — \"n\" must be a positive integer.",
    );
    assert_eq!(server.ask("HEAD", &format!("{}?status=no", unique())).head().status, 405);
}

#[test]
fn a_waiting_pipe_shows_who_is_there() {
    let server = Server::start(&[]);
    let name = unique();
    let receivers = server.waiting_receivers(&name, 3);
    let seen = json!({"state": "waiting", "kind": "pipe", "peers": null, "transferId": null,
        "hasSender": false, "activeReceivers": 3, "totalReceivers": 3, "bytesTransferred": 0,
        "totalBytes": null, "speed": 0, "eta": null, "elapsed": 0.0, "reason": null,
        "sha256": null});
    assert_eq!(status(&server, &name), seen);
    // Asking takes no slot and frees none.
    drop(receivers);
    status_until(&server, &name, &json!({"state": "idle"}));

    let name = unique();
    let _sender = server.waiting_sender(&format!("{name}?n=5"), 5);
    let seen = json!({"state": "waiting", "transferId": null, "hasSender": true,
        "activeReceivers": 0, "totalReceivers": 5});
    assert_has(&status(&server, &format!("/api/v1/pipe{name}?n=77")), &seen);
}

#[test]
fn a_running_transfer_shows_how_far_it_has_come() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.put_sized(&format!("{name}?n=2"), 10);
    let mut receivers = [0, 1].map(|_| server.get(&format!("{name}?n=2")));
    sender.send("1234");
    let heads = receivers.each_mut().map(|receiver| receiver.head());
    let id = heads[0].get("x-hoody-pipe-transfer-id").unwrap();
    let seen = status_until(&server, &name, &json!({"bytesTransferred": 4}));
    let wanted = json!({"state": "streaming", "kind": "pipe", "transferId": id, "hasSender": true,
        "activeReceivers": 2, "totalReceivers": 2, "totalBytes": 10, "reason": null,
        "sha256": null});
    assert_has(&seen, &wanted);
    assert!(seen["speed"].is_u64() && seen["elapsed"].as_f64() > Some(0.0), "{seen}");

    let [gone, mut stays] = receivers;
    drop(gone);
    status_until(&server, &name, &json!({"activeReceivers": 1, "totalReceivers": 2}));
    sender.send("567890");
    assert_eq!(stays.rest(), (b"1234567890".to_vec(), End::Clean));
    sender.head().expect(200);
    expect_complete(&mut sender);
    let seen = status(&server, &name);
    let wanted = json!({"state": "complete", "kind": "pipe", "transferId": id, "hasSender": false,
        "activeReceivers": 0, "totalReceivers": 2, "bytesTransferred": 10, "totalBytes": 10,
        "eta": null, "reason": null, "sha256": null});
    assert_has(&seen, &wanted);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(status(&server, &name), seen, "speed and elapsed are frozen");
}

/// The sender of a stream that declares its length; multipart never has one.
#[test]
fn the_total_is_what_was_declared() {
    let server = Server::start(&[]);
    for (headers, total) in [
        (&["Transfer-Encoding: chunked", "X-Pipe-Length: 7"][..], json!(7)),
        (&["Transfer-Encoding: chunked"], json!(null)),
        (&["Content-Length: 900", "Content-Type: multipart/form-data; boundary=b"], json!(null)),
    ] {
        let name = unique();
        let _receiver = server.get(&name);
        let mut sender = server.request(head("PUT", &name, headers));
        sender.head().expect(200);
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        let wanted = json!({"state": "streaming", "totalBytes": total, "bytesTransferred": 0});
        assert_has(&status(&server, &name), &wanted);
    }
}

#[test]
fn receivers_that_leave_before_the_first_part_of_a_form_are_not_counted() {
    let server = Server::start(&[]);
    let name = unique();
    let [gone, _stays] = [0, 1].map(|_| server.get(&format!("{name}?n=2")));
    let form = "Content-Type: multipart/form-data; boundary=b";
    let mut sender = server.put_with(&format!("{name}?n=2"), &[form]);
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    drop(gone);
    let wanted = json!({"state": "streaming", "activeReceivers": 1, "bytesTransferred": 0});
    status_until(&server, &name, &wanted);
}

#[test]
fn a_released_transfer_is_shown_until_a_new_party_comes() {
    let server = Server::start(&[]);
    let (name, mut sender, mut slow, body) = draining(&server);
    let seen = status_until(&server, &name, &json!({"bytesTransferred": body.len()}));
    assert_has(&seen, &json!({"state": "streaming", "activeReceivers": 1}));
    let id = seen["transferId"].as_str().unwrap();
    let next = server.waiting_sender(&format!("{name}?n=3"), 3);
    assert_has(&status(&server, &name), &json!({"state": "waiting", "totalReceivers": 3}));
    let by_id = format!("{name}?transfer={id}");
    assert_has(&status(&server, &by_id), &json!({"state": "streaming", "totalReceivers": 1}));
    slow.head().expect(200);
    assert_eq!(slow.rest(), (body, End::Clean));
    expect_complete(&mut sender);
    assert_has(&status(&server, &by_id), &json!({"state": "complete"}));
    assert_has(&status(&server, &name), &json!({"state": "waiting"}));
    drop(next);
    let wanted = json!({"state": "failed", "reason": "Sender disconnected", "transferId": null});
    status_until(&server, &name, &wanted);
}

/// Rows 6 to 9 of §8.
#[test]
fn a_pipe_that_nobody_is_left_at_shows_why() {
    let server = Server::start(&[]);
    let failed = |reason: &str, n: u16| {
        json!({"state": "failed", "kind": "pipe", "reason": reason, "transferId": null,
            "hasSender": false, "activeReceivers": 0, "totalReceivers": n, "bytesTransferred": 0,
            "elapsed": 0.0, "sha256": null})
    };
    // The sender leaves: alone, and before a receiver that stays.
    let name = unique();
    drop(server.waiting_sender(&format!("{name}?n=3"), 3));
    status_until(&server, &name, &failed("Sender disconnected", 3));
    let name = unique();
    let sender = server.waiting_sender(&format!("{name}?n=2"), 2);
    let receiver = server.get(&format!("{name}?n=2"));
    status_until(&server, &name, &json!({"activeReceivers": 1}));
    drop(sender);
    let wanted = json!({"state": "waiting", "hasSender": false, "activeReceivers": 1});
    status_until(&server, &name, &wanted);
    drop(receiver);
    status_until(&server, &name, &json!({"state": "idle", "reason": null}));

    // Its wait passes.
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?wait=1"), 1);
    expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.");
    assert_has(&status(&server, &name), &failed("Timed out waiting for receivers", 1));

    // Receivers only.
    let name = unique();
    let mut receivers = [0, 1].map(|_| server.get(&format!("{name}?n=3&wait=1")));
    for receiver in &mut receivers {
        let text = "[ERROR] Timed out waiting for sender.";
        expect_error(receiver, 408, "timeout", text);
    }
    assert_has(&status(&server, &name), &failed("Timed out", 3));
    // A new party begins anew.
    drop(server.waiting_receivers(&name, 1));
    status_until(&server, &name, &json!({"state": "idle"}));
}

/// Row 11 of §8.
#[test]
fn a_pipe_that_found_no_room_shows_it() {
    let server = Server::start(&["--max-active", "0"]);
    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put(&name);
    receiver.head().expect(429);
    sender.head().expect(200);
    expect_failure(&mut sender, "[ERROR] Server at maximum active transfer capacity.");
    let wanted = json!({"state": "failed", "reason": "Server at capacity", "elapsed": 0.0});
    assert_has(&status(&server, &name), &wanted);
}

/// The reasons of §9 for transfers that had begun.
#[test]
fn a_transfer_that_failed_shows_why() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let failed = |reason: &str| json!({"state": "failed", "reason": reason, "sha256": null});

    let name = unique();
    let (sender, mut receivers) = server.streaming(&format!("{name}?sha256"), 1);
    drop(sender);
    assert_ne!(receivers[0].rest().1, End::Clean);
    assert_has(&status_until(&server, &name, &failed("Sender disconnected")), &json!({}));

    let name = unique();
    let (mut sender, receivers) = server.streaming(&name, 2);
    drop(receivers);
    expect_failure(&mut sender, ALL_GONE);
    assert_has(&status(&server, &name), &failed("All receivers disconnected"));

    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put_with(&name, &["X-Pipe-Length: 2"]);
    sender.chunk(b"abc");
    receiver.head().expect(200);
    sender.head().expect(200);
    let long = "[ERROR] Transfer failed — the body is longer than X-Pipe-Length (2 bytes).";
    expect_failure(&mut sender, long);
    assert_has(&status(&server, &name), &failed("Length mismatch"));

    let name = unique();
    let (mut sender, _receivers) = server.streaming(&name, 1);
    expect_failure(&mut sender, "[ERROR] Transfer aborted — idle timeout exceeded.");
    assert_has(&status(&server, &name), &failed("Idle timeout"));

    let name = unique();
    let mut receiver = server.get(&name);
    let headers = ["Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked"];
    let mut sender = server.request(head("POST", &name, &headers));
    sender.chunk(b"--b--\r\n");
    sender.finish();
    receiver.head().expect(500);
    sender.head().expect(200);
    let text = "[ERROR] Transfer failed — the multipart body has no usable part.";
    expect_failure(&mut sender, text);
    assert_has(&status(&server, &name), &failed("Invalid multipart body"));

    let name = unique();
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    sender.chunk(b"abc");
    assert_eq!(receivers[0].body(3), b"abc");
    sender.send("zzz\r\n");
    expect_failure(&mut sender, LOST);
    let wanted = json!({"bytesTransferred": 3, "reason": "Sender disconnected"});
    assert_has(&status(&server, &name), &wanted);
}

#[test]
fn a_cancelled_pipe_shows_the_reason() {
    let server = Server::start(&[]);
    for (query, reason) in [("?reason=wrong+image.", "Cancelled: wrong image"), ("", "Cancelled")] {
        let waiting = unique();
        let mut sender = server.waiting_sender(&format!("{waiting}?n=2"), 2);
        let streaming = unique();
        let (mut other, _receivers) = server.streaming(&streaming, 1);
        for (name, sender) in [(&waiting, &mut sender), (&streaming, &mut other)] {
            server.ask("DELETE", &format!("{name}{query}")).head().expect(204);
            let _ = sender.lines();
            let wanted = json!({"state": "failed", "reason": reason});
            status_until(&server, name, &wanted);
        }
    }
}

#[test]
fn a_hashed_transfer_shows_its_digest() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&format!("{name}?sha256"));
    let mut sender = server.put(&name);
    sender.chunk(b"my message");
    receiver.head().expect(200);
    assert_eq!(receiver.body(10), b"my message");
    assert_has(&status(&server, &name), &json!({"state": "streaming", "sha256": null}));
    sender.finish();
    sender.head().expect(200);
    expect_complete(&mut sender);
    assert_has(&status(&server, &name), &json!({"sha256": sha256(b"my message")}));
}

#[test]
fn names_and_reasons_are_never_logged() {
    let server = Server::start(&["--log-level", "debug"]);
    let name = "/very-secret-name";
    let id = "very-secret-transfer";
    let mut sender = server.waiting_sender(&format!("{name}?transfer={id}"), 1);
    let mut spectator = crate::seeing::watch(&server, name);
    status(&server, &format!("{name}?transfer={id}"));
    server.ask("DELETE", &format!("{name}?reason=very-secret-reason")).head().expect(204);
    expect_failure(&mut sender, "[ERROR] Cancelled: very-secret-reason.");
    assert_has(&spectator.done(), &json!({"reason": "Cancelled: very-secret-reason"}));
    // What was logged by now stands before the line of this.
    server.assert_usable(&unique());
    eventually("a transfer is logged", SOON, || server.log().contains("transfer ended"));
    let log = server.log();
    assert!(!log.contains("very-secret"), "{log}");
}

#[test]
fn a_node_that_drains_still_tells() {
    let mut server = Server::start(&["--drain-timeout", "1"]);
    let name = unique();
    let (_sender, _receivers) = server.streaming(&name, 1);
    server.signal(rustix::process::Signal::INT);
    crate::common::eventually("new requests are refused", SOON, || {
        server.put(&unique()).head().status == 503
    });
    assert_has(&status(&server, &name), &json!({"state": "streaming"}));
    assert_eq!(server.exit_code(SOON * 2), Some(0));
}
