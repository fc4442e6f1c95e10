//! Spec §16: receipts, what a transfer leaves behind under its id.

use std::time::Duration;

use serde_json::json;

use crate::common::server::head;
use crate::common::{End, SOON, Server, sha256, unique};
use crate::reading::{expect_complete, expect_error, expect_failure};
use crate::seeing::{assert_has, status, status_until};

const TAKEN: &str = "[ERROR] Transfer id already in use.";
const UNKNOWN: &str = "[ERROR] Unknown or expired transfer.";

/// A chosen id that nobody else uses.
fn fresh_id() -> String {
    unique().replace('/', "id-of-a-transfer-")
}

#[track_caller]
fn expect_unknown(server: &Server, target: &str) {
    expect_error(&mut server.get(&format!("{target}&status")), 404, "unknown_transfer", UNKNOWN);
}

#[test]
fn a_receiver_verifies_itself_by_the_receipt() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&format!("{name}?sha256"));
    let mut sender = server.put_sized(&name, 7);
    sender.send("payload");
    let head = receiver.head();
    let id = head.get("x-hoody-pipe-transfer-id").unwrap();
    let (body, end) = receiver.rest();
    assert_eq!(end, End::Clean);
    sender.head().expect(200);
    expect_complete(&mut sender);
    // A new pipe at the name does not touch it.
    let _next = server.waiting_sender(&name, 1);
    let receipt = status(&server, &format!("{name}?transfer={id}"));
    let wanted = json!({"state": "complete", "transferId": id, "sha256": sha256(&body),
        "bytesTransferred": 7, "totalBytes": 7, "totalReceivers": 1, "reason": null});
    assert_has(&receipt, &wanted);
}

#[test]
fn a_chosen_id_is_known_from_the_arrival_of_its_sender() {
    let server = Server::start(&[]);
    let (name, id) = (unique(), fresh_id());
    let by_id = format!("{name}?transfer={id}");
    expect_unknown(&server, &by_id);
    let mut sender = server.waiting_sender(&by_id, 1);
    let wanted = json!({"state": "waiting", "transferId": id, "hasSender": true});
    assert_has(&status(&server, &by_id), &wanted);
    assert_has(&status(&server, &name), &wanted);
    let mut receiver = server.get(&name);
    receiver.head().expect(200).expect_field("x-hoody-pipe-transfer-id", &id);
    assert_has(&status(&server, &by_id), &json!({"state": "streaming", "transferId": id}));
    sender.finish();
    expect_complete(&mut sender);
    assert_has(&status(&server, &by_id), &json!({"state": "complete", "transferId": id}));
    // It belongs to its name.
    expect_unknown(&server, &format!("{}?transfer={id}", unique()));
}

#[test]
fn a_transfer_without_a_chosen_id_is_known_by_its_own() {
    let server = Server::start(&[]);
    let name = unique();
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    let id = status(&server, &name)["transferId"].as_str().unwrap().to_owned();
    let by_id = format!("{name}?transfer={id}");
    assert_has(&status(&server, &by_id), &json!({"state": "streaming"}));
    sender.finish();
    assert_eq!(receivers[0].rest().1, End::Clean);
    expect_complete(&mut sender);
    assert_has(&status(&server, &by_id), &json!({"state": "complete", "transferId": id}));
    expect_unknown(&server, &format!("{}?transfer={id}", unique()));
    expect_unknown(&server, &format!("{name}?transfer={}", id.to_uppercase()));
}

#[test]
fn a_chosen_id_that_failed_while_waiting_leaves_a_receipt() {
    let server = Server::start(&[]);
    for (query, reason) in [
        ("&wait=1", "Timed out waiting for receivers"),
        ("&wait=100", "Cancelled: enough"),
        ("&wait=99", "Sender disconnected"),
    ] {
        let (name, id) = (unique(), fresh_id());
        let _receiver = server.get(&format!("{name}?n=2"));
        let by_id = format!("{name}?transfer={id}");
        let mut sender = server.waiting_sender(&format!("{by_id}&n=2{query}"), 2);
        match query {
            "&wait=99" => drop(sender),
            "&wait=100" => {
                server.ask("DELETE", &format!("{name}?reason=enough")).head().expect(204);
            }
            _ => drop(expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.")),
        }
        let wanted = json!({"state": "failed", "transferId": id, "reason": reason,
            "hasSender": false, "activeReceivers": 0, "totalReceivers": 2});
        status_until(&server, &by_id, &wanted);
    }
}

/// Row 29 of §27.
#[test]
fn an_id_that_is_held_is_refused_on_any_name() {
    let server = Server::start(&[]);
    let (name, id) = (unique(), fresh_id());
    let refused = |id: &str| {
        let mut raw = server.put(&format!("{}?transfer={id}", unique()));
        expect_error(&mut raw, 409, "transfer_taken", TAKEN);
    };
    let mut sender = server.waiting_sender(&format!("{name}?transfer={id}"), 1);
    refused(&id);
    let mut receiver = server.get(&name);
    receiver.head().expect(200);
    refused(&id);
    sender.finish();
    expect_complete(&mut sender);
    refused(&id);

    // An id that the relay made is held like a chosen one.
    let (mut sender, receivers) = server.streaming(&name, 1);
    let own = status(&server, &name)["transferId"].as_str().unwrap().to_owned();
    refused(&own);
    sender.finish();
    expect_complete(&mut sender);
    refused(&own);
    drop(receivers);
    // One that was never let in holds nothing.
    let free = fresh_id();
    let _waiting = server.waiting_sender(&name, 1);
    server.put(&format!("{name}?transfer={free}")).head().expect(400);
    server.put(&format!("{}?transfer={free}", unique())).head().expect(200);
}

/// Rows 28 and 29 of §27.
#[test]
fn wrong_ids_are_refused() {
    let server = Server::start(&[]);
    let name = unique();
    let text = "[ERROR] Invalid transfer id.";
    for id in ["short", "", "with.a.dot.in.the.middle", &"x".repeat(65)] {
        let target = format!("{name}?status&transfer={id}");
        expect_error(&mut server.get(&target), 400, "bad_transfer", text);
        server.ask("HEAD", &target).head().expect(400);
    }
    let id = fresh_id();
    let twice = format!("{name}?status&transfer={id}&transfer={id}");
    let text = "[ERROR] Parameter \"transfer\" is given more than once.";
    expect_error(&mut server.get(&twice), 400, "dup_param", text);
    expect_unknown(&server, &format!("{name}?transfer={id}"));
    let mut raw = server.ask("HEAD", &format!("{name}?status&transfer={id}"));
    raw.head().expect(404).expect_field("x-pipe-error", "unknown_transfer");
    raw.half_close();
    raw.expect_no_more();
}

/// Beyond the 30 s that everything is shown, which the number of receipts does not bound.
#[test]
fn the_oldest_receipt_goes_first() {
    let server = Server::start(&["--max-receipts", "2"]);
    let name = unique();
    let ids = [fresh_id(), fresh_id(), fresh_id()];
    for id in &ids {
        let mut sender = server.waiting_sender(&format!("{name}?transfer={id}"), 1);
        let mut receiver = server.get(&name);
        receiver.head().expect(200);
        sender.finish();
        expect_complete(&mut sender);
    }
    for id in &ids {
        status(&server, &format!("{name}?transfer={id}"));
    }
    std::thread::sleep(Duration::from_millis(30_500));
    expect_unknown(&server, &format!("{name}?transfer={}", ids[0]));
    for id in &ids[1..] {
        status(&server, &format!("{name}?transfer={id}"));
    }
    // Its id is free again.
    server.put(&format!("{name}?transfer={}", ids[0])).head().expect(200);
}

/// The linger of 30 s, waited for once.
#[test]
fn what_is_over_is_shown_for_half_a_minute() {
    let server = Server::start(&[]);
    let (name, kept) = (unique(), unique());
    server.assert_usable(&name);
    let id = status(&server, &name)["transferId"].as_str().unwrap().to_owned();
    let by_id = format!("{name}?transfer={id}");
    let (mut sender, _receivers) = server.streaming(&format!("{kept}?sha256"), 1);
    let hashed = status(&server, &kept)["transferId"].as_str().unwrap().to_owned();
    sender.finish();
    expect_complete(&mut sender);
    std::thread::sleep(Duration::from_secs(27));
    assert_has(&status(&server, &name), &json!({"state": "complete"}));
    assert_has(&status(&server, &by_id), &json!({"state": "complete"}));
    std::thread::sleep(Duration::from_millis(3500));
    assert_has(&status(&server, &name), &json!({"state": "idle"}));
    expect_unknown(&server, &by_id);
    assert_has(&status(&server, &kept), &json!({"state": "idle"}));
    let receipt = status(&server, &format!("{kept}?transfer={hashed}"));
    assert_has(&receipt, &json!({"state": "complete", "sha256": sha256(b"")}));
    // The end is no news for EventSource any more: it watches anew.
    server.get_with(&format!("{name}?progress"), &["Last-Event-ID: 3"]).head().expect(200);
    let mut raw = server.request(head("GET", &format!("{name}?status"), &[]));
    assert!(raw.try_head_within(SOON).is_ok());
}
