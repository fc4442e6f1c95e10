//! Any node gives the same answer for any name (spec §2, P9): statuses, events, refusals, caps and
//! cancelling, with the party concerned, the owner and the asker at different nodes.

use serde_json::{Value, json};

use crate::common::reading::{ALL_GONE, expect_complete, expect_error, expect_failure};
use crate::common::seeing::{assert_has, status, status_until, watch};
use crate::common::{End, Raw, eventually, timed, unique};
use crate::fleet::{AT_ONCE, Fleet};

#[test]
fn every_node_gives_the_same_answer() {
    let fleet = Fleet::start(3);
    for owner in 0..3 {
        statuses_of_a_life(&fleet, owner);
        spectators_see_all_of_it(&fleet, owner);
        refusals(&fleet, owner);
        cancelling(&fleet, owner);
        ids_are_taken_at_their_owner(&fleet, owner);
        deadlines(&fleet, owner);
    }
    fleet.assert_empty();
}

/// The status of a name at each node; they must be equal.
#[track_caller]
fn status_everywhere(fleet: &Fleet, target: &str, wanted: &Value) -> Value {
    let seen: Vec<Value> = fleet
        .up()
        .into_iter()
        .map(|at| status_until(fleet.node(at), target, wanted))
        .map(|mut seen| {
            // These go on between one question and the next.
            if seen["state"] == "streaming" {
                for figure in ["speed", "elapsed", "eta"] {
                    seen[figure].take();
                }
            }
            seen
        })
        .collect();
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    seen[0].clone()
}

fn statuses_of_a_life(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let (from, to) = ((owner + 1) % 3, (owner + 2) % 3);
    status_everywhere(fleet, &name, &json!({"state": "idle", "totalReceivers": null}));
    let id = format!("chosen-by-the-sender-{owner}");
    let mut sender = fleet
        .node(from)
        .put_with(&format!("{name}?n=2&sha256&transfer={id}"), &["X-Pipe-Length: 10"]);
    sender.head().expect(200);
    sender.expect_line("[INFO] Waiting for 2 receiver(s) to connect...");
    let target = format!("{name}?n=2");
    let mut one = fleet.joins(&mut sender, to, &target);
    let waiting = json!({"state": "waiting", "kind": "pipe", "transferId": id, "hasSender": true,
        "activeReceivers": 1, "totalReceivers": 2, "bytesTransferred": 0});
    status_everywhere(fleet, &name, &waiting);
    let by_id = format!("{name}?transfer={id}");
    status_everywhere(fleet, &by_id, &waiting);
    let mut two = fleet.joins(&mut sender, owner, &target);
    sender.expect_line("[INFO] Streaming to 2 receiver(s)...");
    sender.chunk(b"1234");
    let streaming = json!({"state": "streaming", "transferId": id, "hasSender": true,
        "activeReceivers": 2, "totalReceivers": 2, "bytesTransferred": 4, "totalBytes": 10});
    status_everywhere(fleet, &name, &streaming);
    status_everywhere(fleet, &by_id, &streaming);
    sender.chunk(b"567890");
    sender.finish();
    for receiver in [&mut one, &mut two] {
        receiver.head().expect(200).expect_field("x-hoody-pipe-transfer-id", &id);
        assert_eq!(receiver.rest(), (b"1234567890".to_vec(), End::Clean));
    }
    expect_complete(&mut sender);
    let digest = crate::common::sha256(b"1234567890");
    let complete = json!({"state": "complete", "transferId": id, "hasSender": false,
        "activeReceivers": 0, "bytesTransferred": 10, "reason": null, "sha256": digest});
    status_everywhere(fleet, &name, &complete);
    status_everywhere(fleet, &by_id, &complete);
    let mut unknown = fleet.node(to).get(&format!("{name}?status&transfer=unknown-unknown-un"));
    expect_error(&mut unknown, 404, "unknown_transfer", "[ERROR] Unknown or expired transfer.");
}

/// A spectator at each node sees who comes, the bytes, and one and the same end.
fn spectators_see_all_of_it(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let mut spectators: Vec<_> = (0..3).map(|at| watch(fleet.node(at), &name)).collect();
    for spectator in &mut spectators {
        spectator.expect_state(&json!({"state": "idle", "hasSender": false}));
    }
    let from = (owner + 1) % 3;
    let mut receiver = fleet.node((owner + 2) % 3).get(&name);
    for spectator in &mut spectators {
        spectator.state_until(&json!({"state": "waiting", "activeReceivers": 1}));
    }
    let mut sender = fleet.node(from).put_sized(&name, 8);
    sender.send(b"1234");
    receiver.head().expect(200);
    for spectator in &mut spectators {
        spectator.progress_until(&json!({"bytesTransferred": 4, "totalBytes": 8}));
    }
    sender.send(b"5678");
    assert_eq!(receiver.rest(), (b"12345678".to_vec(), End::Clean));
    sender.head().expect(200);
    expect_complete(&mut sender);
    let done: Vec<Value> = spectators.iter_mut().map(|spectator| spectator.done()).collect();
    assert_has(&done[0], &json!({"state": "complete", "bytesTransferred": 8, "reason": null}));
    assert!(done.windows(2).all(|pair| pair[0] == pair[1]), "{done:#?}");
    // Who comes late is told at once, everywhere.
    for at in 0..3 {
        assert_eq!(watch(fleet.node(at), &name).done(), done[0], "at node {at}");
    }
}

fn refusals(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let plain = name.as_str();
    let mut sender = fleet.node((owner + 1) % 3).waiting_sender(&format!("{name}?n=2"), 2);
    let taken = format!("[ERROR] Path '{plain}' already has a sender connected.");
    let mismatch = "[ERROR] Receiver count mismatch — expected 2 but got 3.";
    for at in 0..3 {
        let node = fleet.node(at);
        let (_, time) = timed(|| {
            expect_error(&mut node.put(&format!("{name}?n=2")), 400, "sender_taken", &taken);
        });
        assert!(time < AT_ONCE, "{time:?}");
        expect_error(&mut node.get(&format!("{name}?n=3")), 400, "n_mismatch", mismatch);
        let mut silent = node.put_with(&format!("{name}?n=2"), &["Expect: 100-continue"]);
        expect_error(&mut silent, 400, "sender_taken", &taken);
    }
    let target = format!("{name}?n=2");
    let mut receivers: Vec<Raw> =
        [0, 2].iter().map(|i| fleet.joins(&mut sender, (owner + i) % 3, &target)).collect();
    sender.expect_line("[INFO] Streaming to 2 receiver(s)...");
    // The owner hears of the start a moment after the sender.
    status_until(fleet.node(owner), &name, &json!({"state": "streaming"}));
    let active = format!("[ERROR] Path '{plain}' is already in use by an active transfer.");
    for at in 0..3 {
        expect_error(&mut fleet.node(at).put(&target), 400, "active", &active);
        expect_error(&mut fleet.node(at).get(&target), 400, "active", &active);
    }
    sender.finish();
    for receiver in &mut receivers {
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
    expect_complete(&mut sender);
    slots(fleet, owner);
}

/// Both places are taken, by receivers at two nodes; a third one is refused at each.
fn slots(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let target = format!("{name}?n=2");
    let _receivers = [1, 2].map(|i| fleet.node((owner + i) % 3).get(&target));
    status_until(fleet.node(0), &name, &json!({"state": "waiting", "activeReceivers": 2}));
    let full = format!("[ERROR] All 2 receiver slot(s) for '{name}' are already taken.");
    let mismatch = "[ERROR] Receiver count mismatch — expected 2 but got 1.";
    for at in 0..3 {
        expect_error(&mut fleet.node(at).get(&target), 400, "slots_full", &full);
        expect_error(&mut fleet.node(at).put(&name), 400, "n_mismatch", mismatch);
    }
}

fn cancelling(fleet: &Fleet, owner: usize) {
    for by in 0..3 {
        let name = fleet.name_owned_by(owner);
        let target = format!("{name}?n=2");
        let none = format!("[ERROR] No pipe at '{name}'.");
        expect_error(&mut fleet.node(by).ask("DELETE", &name), 404, "no_pipe", &none);
        // Waiting: a sender and a receiver, each at another node.
        let mut sender = fleet.node((by + 1) % 3).waiting_sender(&target, 2);
        let mut receiver = fleet.joins(&mut sender, (by + 2) % 3, &target);
        let reason = format!("{name}?reason=drift");
        let (_, time) = timed(|| {
            fleet.node(by).ask("DELETE", &reason).head().expect(204);
            expect_failure(&mut sender, "[ERROR] Cancelled: drift.");
            expect_error(&mut receiver, 410, "cancelled", "[ERROR] Cancelled: drift.");
        });
        assert!(time < AT_ONCE, "{time:?}");
        // Streaming.
        let (mut sender, mut receivers) = fleet.streaming(&name, (by + 1) % 3, &[(by + 2) % 3, by]);
        sender.chunk(b"abc");
        for receiver in &mut receivers {
            assert_eq!(receiver.body(3), b"abc");
        }
        let (_, time) = timed(|| {
            fleet.node(by).ask("DELETE", &reason).head().expect(204);
            expect_failure(&mut sender, "[ERROR] Cancelled: drift.");
            for receiver in &mut receivers {
                assert_eq!(receiver.rest(), (vec![], End::Short));
            }
        });
        assert!(time < AT_ONCE, "{time:?}");
        let failed = json!({"state": "failed", "reason": "Cancelled: drift"});
        status_everywhere(fleet, &name, &failed);
        fleet.assert_usable(&name, by, (by + 1) % 3);
    }
}

fn ids_are_taken_at_their_owner(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let other = fleet.name_owned_by(owner);
    let id = format!("the-same-id-twice-{owner}");
    let target = format!("{name}?transfer={id}");
    let mut sender = fleet.node((owner + 1) % 3).waiting_sender(&target, 1);
    for at in 0..3 {
        let mut next = fleet.node(at).put(&format!("{other}?transfer={id}"));
        let text = "[ERROR] Transfer id already in use.";
        expect_error(&mut next, 409, "transfer_taken", text);
    }
    let receiver = fleet.node((owner + 2) % 3).get(&name);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    drop(receiver);
    expect_failure(&mut sender, ALL_GONE);
    let failed = json!({"state": "failed", "transferId": id});
    status_everywhere(fleet, &format!("{name}?transfer={id}"), &failed);
}

/// Each party has its own clock, at its edge.
fn deadlines(fleet: &Fleet, owner: usize) {
    let name = fleet.name_owned_by(owner);
    let mut sender = fleet.node((owner + 1) % 3).waiting_sender(&format!("{name}?n=2&wait=2"), 2);
    let target = format!("{name}?n=2&wait=1");
    let mut receiver = fleet.joins(&mut sender, (owner + 2) % 3, &target);
    let text = "[ERROR] Timed out waiting for receivers.";
    expect_error(&mut receiver, 408, "timeout", text);
    sender.expect_line("[INFO] A receiver disconnected.");
    expect_failure(&mut sender, text);
    assert_eq!(status(fleet.node(owner), &name)["state"], "failed");
}

/// Caps of an owner hold for whoever comes, wherever; those of an address hold at its edge.
#[test]
fn caps_hold_at_their_node() {
    let fleet = Fleet::with(3, &["--max-pending", "2", "--max-active", "1"]);
    let names: Vec<String> = (0..3).map(|_| fleet.name_owned_by(2)).collect();
    let elsewhere = fleet.name_owned_by(1);
    let mut first = fleet.node(0).waiting_sender(&names[0], 1);
    let second = fleet.node(1).waiting_sender(&names[1], 1);
    let text = "[ERROR] Too many pending transfers. Try again later.";
    for at in 0..3 {
        expect_error(&mut fleet.node(at).put(&names[2]), 429, "pending_cap", text);
        expect_error(&mut fleet.node(at).get(&names[2]), 429, "pending_cap", text);
    }
    drop(fleet.node(0).waiting_sender(&elsewhere, 1));
    let mut running = fleet.joins(&mut first, 2, &names[0]);
    running.head().expect(200);
    first.expect_line("[INFO] Streaming to 1 receiver(s)...");
    drop(second);
    at_the_cap_of_active_ones(&fleet, &names[1]);
    first.finish();
    assert_eq!(running.rest(), (vec![], End::Clean));
    expect_complete(&mut first);
    fleet.assert_usable(&names[1], 1, 0);
    fleet.assert_empty();
}

/// One runs at this owner, and no more may.
fn at_the_cap_of_active_ones(fleet: &Fleet, name: &str) {
    let mut sender = None;
    eventually("the sender that left is forgotten", AT_ONCE, || {
        let mut next = fleet.node(1).put(name);
        let free = next.head().status == 200;
        sender = free.then_some(next);
        free
    });
    let mut receiver = fleet.node(0).get(name);
    let text = "[ERROR] Server at maximum active transfer capacity.";
    expect_failure(&mut sender.unwrap(), text);
    let text = format!("{text} Try again later.");
    expect_error(&mut receiver, 429, "active_cap", &text);
}

/// What names of pipes are on the public listener, though they mean something between nodes.
#[test]
fn nothing_of_the_inside_is_on_the_public_listener() {
    let fleet = Fleet::start(3);
    let tag = unique().replace('/', "");
    for path in ["/trunk/", "/link/", "/raft/append/", "/fleet/hello/"] {
        fleet.assert_usable(&format!("{path}{tag}"), 0, 1);
    }
    for name in ["/link", "/trunk", "/raft", "/_internal/x"] {
        let mut sender = fleet.node(0).waiting_sender(name, 1);
        let receiver = fleet.node(2).get_with(name, &["Upgrade: hoody-pipe-link", "X-Pipe-Hop: 9"]);
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        drop(receiver);
    }
}
