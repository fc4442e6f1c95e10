//! Spec §28, rows 13 and 14: a node that holds clients dies or hangs. Its own clients lose their
//! connections; everybody else is told in time, goes on, or waits on.

use std::time::{Duration, Instant};

use crate::clients::{Pump, expect_started, live_sender, receiver, side_by_side};
use crate::common::reading::{ALL_GONE, expect_complete, expect_error};
use crate::common::{Curl, End, PATIENCE, Raw, eventually};
use crate::fleet::{Fleet, measured};

const STREAMING: &str = "[INFO] Streaming to 1 receiver(s)...";

/// Row 13.
const KILLED: Duration = Duration::from_secs(2);
/// Row 14.
const FROZEN: Duration = Duration::from_secs(12);

#[test]
fn a_killed_edge_is_noticed_by_its_own_clients_and_their_peers() {
    side_by_side(&[
        ("receiving edge", || receiving_edge_killed(2)),
        ("receiving edge that owns the name", || receiving_edge_killed(1)),
        ("the only receiving edge", only_receiving_edge_killed),
        ("sender's edge", || senders_edge_killed(2)),
        ("sender's edge that owns the name", || senders_edge_killed(0)),
        ("while waiting", edges_killed_while_waiting),
    ]);
}

#[test]
fn an_edge_that_hangs_is_given_up_in_time() {
    side_by_side(&[
        ("receiving edge", receiving_edge_frozen),
        ("sender's edge", || senders_edge_frozen(2)),
        ("sender's edge that owns the name", || senders_edge_frozen(0)),
        ("while waiting", edge_frozen_while_waiting),
    ]);
}

/// Which codes curl gives when its connection is lost.
#[track_caller]
fn assert_lost(curl: Curl, bytes: &[u8]) {
    let ended = curl.ended();
    assert!(matches!(ended.code, Some(18 | 52 | 55 | 56)), "{ended:?}");
    assert!(ended.stdout.starts_with(bytes), "{ended:?}");
}

fn receiving_edge_killed(owner: usize) {
    let mut fleet = Fleet::start(3);
    let (from, edge) = (0, 1);
    let name = fleet.name_owned_by(owner);
    let target = format!("{name}?n=4");
    let lost = [0, 1].map(|_| receiver(&fleet, edge, &target));
    let mut sender = fleet.node(from).put(&target);
    sender.head().expect(200);
    let mut receivers = [from, 2].map(|at| fleet.node(at).get(&target));
    sender.line_until("[INFO] Streaming to 4 receiver(s)...");
    sender.chunk(b"before");
    expect_started(&mut receivers);
    for receiver in &mut receivers {
        assert_eq!(receiver.body(6), b"before");
    }
    lost.iter().for_each(|lost| lost.expect_bytes(6));
    fleet.kill(edge);
    let start = Instant::now();
    sender.expect_line("[INFO] A receiver disconnected.");
    sender.expect_line("[INFO] A receiver disconnected.");
    let who = if owner == edge { "receiving edge and owner" } else { "receiving edge" };
    measured(&format!("{who} killed: sender told"), start.elapsed(), KILLED);
    for lost in lost {
        assert_lost(lost, b"before");
    }
    sender.chunk(b" and after");
    sender.finish();
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (b" and after".to_vec(), End::Clean));
    }
    let sent = expect_complete(&mut sender);
    assert!(sent.starts_with("[INFO] Sent 16 bytes to 2 of 4 receiver(s)"), "{sent}");
    fleet.assert_usable(&name, 2, from);
}

fn only_receiving_edge_killed() {
    let mut fleet = Fleet::start(3);
    let name = fleet.name_owned_by(2);
    let lost = receiver(&fleet, 1, &name);
    let mut sender = live_sender(&fleet, 0, &name);
    sender.write(b"before");
    lost.expect_bytes(6);
    let mut spectator = crate::common::seeing::watch(fleet.node(2), &name);
    fleet.kill(1);
    let start = Instant::now();
    sender.expect_output(ALL_GONE);
    measured("only receiving edge killed: sender told", start.elapsed(), KILLED);
    assert_lost(lost, b"before");
    assert_eq!(spectator.done()["reason"], "All receivers disconnected");
    fleet.assert_usable(&name, 2, 0);
    // curl ends at its next token at the latest.
    eventually("curl stops to read", PATIENCE, || sender.try_write(b"more").is_err());
    assert_ne!(sender.ended().code, Some(0));
}

fn senders_edge_killed(owner: usize) {
    let mut fleet = Fleet::start(3);
    let edge = 0;
    let name = fleet.name_owned_by(owner);
    let target = format!("{name}?n=3");
    let receivers = [1, 2, 1].map(|at| receiver(&fleet, at, &target));
    let mut sender = live_sender(&fleet, edge, &target);
    sender.write(b"before");
    receivers.iter().for_each(|receiver| receiver.expect_bytes(6));
    fleet.kill(edge);
    let start = Instant::now();
    for receiver in receivers {
        let ended = receiver.ended();
        assert_eq!(ended.expect(18).stdout, b"before");
    }
    let who = if owner == edge { "sender's edge and owner" } else { "sender's edge" };
    measured(&format!("{who} killed: receivers cut"), start.elapsed(), KILLED);
    usable_soon(&fleet, &name, 1, 2, start, &format!("{who} killed: name free"));
    eventually("curl stops to read", PATIENCE, || sender.try_write(b"more").is_err());
    assert_lost(sender, b"");
}

/// The name can be used between two nodes, within the bound of a re-homing.
fn usable_soon(fleet: &Fleet, name: &str, from: usize, to: usize, start: Instant, what: &str) {
    let mut sender = None;
    eventually("the name is free", PATIENCE, || {
        let mut next = fleet.node(from).put(name);
        let free = next.head().status == 200;
        sender = free.then_some(next);
        free
    });
    let mut receiver = fleet.node(to).get(name);
    receiver.head().expect(200);
    measured(what, start.elapsed(), Duration::from_secs(5));
    let mut sender = sender.unwrap();
    sender.chunk(b"next");
    sender.finish();
    assert_eq!(receiver.rest(), (b"next".to_vec(), End::Clean));
    expect_complete(&mut sender);
}

fn edges_killed_while_waiting() {
    let mut fleet = Fleet::start(3);
    let (told, orphaned) = (fleet.name_owned_by(2), fleet.name_owned_by(2));
    let target = |name: &str| format!("{name}?n=2");
    let mut sender = fleet.node(0).waiting_sender(&target(&told), 2);
    let lost = receiver(&fleet, 1, &target(&told));
    sender.expect_line("[INFO] A receiver connected.");
    let mut lost_sender = live_sender(&fleet, 1, &target(&orphaned));
    lost_sender.expect_output("[INFO] Waiting for 2 ");
    let mut patient = fleet.node(0).get(&target(&orphaned));
    lost_sender.expect_output("[INFO] A receiver connected.");
    fleet.kill(1);
    let start = Instant::now();
    sender.expect_line("[INFO] A receiver disconnected.");
    measured("receiving edge killed while waiting: sender told", start.elapsed(), KILLED);
    let mut next = another_sender(&fleet, 2, &target(&orphaned));
    measured("sender's edge killed while waiting: place free", start.elapsed(), KILLED);
    assert_lost(lost, b"");
    // With a silent stdin curl notices at its next token at the latest.
    eventually("curl stops to read", PATIENCE, || lost_sender.try_write(b"token").is_err());
    assert_lost(lost_sender, b"[INFO] Waiting");
    assert!(patient.is_silent(Duration::from_millis(100)), "it waits on");
    let mut others = [0, 2].map(|at| fleet.node(at).get(&target(&told)));
    let mut last = fleet.node(0).get(&target(&orphaned));
    for (sender, receivers) in
        [(&mut sender, others.each_mut()), (&mut next, [&mut patient, &mut last])]
    {
        sender.line_until("[INFO] Streaming to 2 receiver(s)...");
        sender.chunk(b"for whoever is left");
        sender.finish();
        for receiver in receivers {
            receiver.head().expect(200);
            assert_eq!(receiver.rest(), (b"for whoever is left".to_vec(), End::Clean));
        }
        expect_complete(sender);
    }
}

/// A sender at a name whose last one is being given up.
fn another_sender(fleet: &Fleet, at: usize, target: &str) -> Raw {
    let mut sender = None;
    eventually("the place of the sender is free", PATIENCE, || {
        let mut next = fleet.node(at).put(target);
        let free = next.head().status == 200;
        sender = free.then_some(next);
        free
    });
    sender.unwrap()
}

fn receiving_edge_frozen() {
    let fleet = Fleet::start(3);
    let edge = 1;
    let name = fleet.name_owned_by(2);
    let target = format!("{name}?n=3");
    let lost = receiver(&fleet, edge, &target);
    let mut sender = fleet.node(0).put(&target);
    sender.head().expect(200);
    let mut receivers = [0, 2].map(|at| fleet.node(at).get(&target));
    sender.line_until("[INFO] Streaming to 3 receiver(s)...");
    expect_started(&mut receivers);
    sender.chunk(b"before");
    lost.expect_bytes(6);
    for receiver in &mut receivers {
        assert_eq!(receiver.body(6), b"before");
    }
    fleet.freeze(edge);
    let start = Instant::now();
    // The others go on meanwhile: a window and the kernels' buffers are between them and the frozen one.
    while !sender.is_answered() {
        sender.chunk(b"meanwhile");
        for receiver in &mut receivers {
            assert_eq!(receiver.body(9), b"meanwhile");
        }
        assert!(start.elapsed() < PATIENCE, "the sender is not told");
        std::thread::sleep(Duration::from_millis(20));
    }
    sender.expect_line("[INFO] A receiver disconnected.");
    measured("receiving edge frozen: sender told", start.elapsed(), FROZEN);
    fleet.thaw(edge);
    let ended = lost.ended();
    assert!(matches!(ended.code, Some(18 | 56)), "never a clean end: {ended:?}");
    assert!(ended.stdout.starts_with(b"before"));
    let pumped = Pump::start(sender, receivers.into()).stop();
    let (mut sender, mut receivers, _) = pumped;
    sender.finish();
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
    let sent = expect_complete(&mut sender);
    assert!(sent.contains(" to 2 of 3 receiver(s) in "), "{sent}");
    fleet.settled();
    fleet.assert_usable(&name, edge, 0);
    fleet.assert_empty();
}

fn senders_edge_frozen(owner: usize) {
    let fleet = Fleet::start(3);
    let edge = 0;
    let name = fleet.name_owned_by(owner);
    let target = format!("{name}?n=2");
    let receivers = [1, 2].map(|at| receiver(&fleet, at, &target));
    let mut sender = live_sender(&fleet, edge, &target);
    sender.write(b"before");
    receivers.iter().for_each(|receiver| receiver.expect_bytes(6));
    fleet.freeze(edge);
    let start = Instant::now();
    for receiver in receivers {
        assert_eq!(receiver.ended().expect(18).stdout, b"before");
    }
    let who = if owner == edge { "sender's edge and owner" } else { "sender's edge" };
    measured(&format!("{who} frozen: receivers cut"), start.elapsed(), FROZEN);
    let mut next = another_sender(&fleet, 1, &name);
    measured(&format!("{who} frozen: place of the sender free"), start.elapsed(), FROZEN);
    fleet.thaw(edge);
    // The old sender must neither go on nor meet anybody. The new one does.
    eventually("curl stops to read", PATIENCE, || sender.try_write(b"more").is_err());
    let ended = sender.ended();
    assert!(ended.code != Some(0) && !ended.text().contains("Transfer complete."), "{ended:?}");
    let mut receiver = fleet.node(edge).get(&name);
    next.line_until("[INFO] Streaming to 1 receiver(s)...");
    next.chunk(b"of the new one");
    next.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"of the new one".to_vec(), End::Clean));
    expect_complete(&mut next);
    fleet.settled();
    fleet.assert_usable(&name, edge, 1);
    fleet.assert_empty();
}

/// Its clients may wait on when it comes back; nobody waits for them meanwhile.
fn edge_frozen_while_waiting() {
    let fleet = Fleet::start(3);
    let (told, orphaned) = (fleet.name_owned_by(2), fleet.name_owned_by(2));
    let mut sender = fleet.node(0).waiting_sender(&format!("{told}?n=2"), 2);
    let mut frozen = fleet.joins(&mut sender, 1, &format!("{told}?n=2"));
    let mut frozen_sender = fleet.node(1).waiting_sender(&orphaned, 1);
    fleet.freeze(1);
    let start = Instant::now();
    sender.expect_line("[INFO] A receiver disconnected.");
    measured("receiving edge frozen while waiting: sender told", start.elapsed(), FROZEN);
    // Its place is taken meanwhile, and the one that comes back is told so or waits; it gets no byte.
    let mut next = another_sender(&fleet, 2, &orphaned);
    measured("sender's edge frozen while waiting: place free", start.elapsed(), FROZEN);
    let mut others = [0, 2].map(|at| fleet.node(at).get(&format!("{told}?n=2")));
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    fleet.thaw(1);
    let mut receiver = fleet.node(0).get(&orphaned);
    receiver.head().expect(200);
    // The one that was away is older: it may put the other one out, unless that one is matched already.
    let met = first_streaming(&mut next, &mut frozen_sender);
    met.chunk(b"one of them");
    met.finish();
    assert_eq!(receiver.rest(), (b"one of them".to_vec(), End::Clean));
    sender.finish();
    for other in &mut others {
        other.head().expect(200);
        assert_eq!(other.rest(), (vec![], End::Clean));
    }
    expect_complete(&mut sender);
    // The receiver that was away too long: in use while the others stream, otherwise it waits on.
    let mut last = another_sender(&fleet, 0, &format!("{told}?n=2"));
    let mut answered = false;
    eventually("it is told so, or waits", PATIENCE, || {
        answered = frozen.is_answered();
        answered || crate::common::seeing::status(fleet.node(0), &told)["activeReceivers"] == 1
    });
    if !answered {
        let second = fleet.node(2).get(&format!("{told}?n=2"));
        last.line_until("[INFO] Streaming to 2 receiver(s)...");
        frozen.head().expect(200);
        drop(second);
    } else {
        let text = format!("[ERROR] Path '{told}' is already in use by an active transfer.");
        expect_error(&mut frozen, 400, "active", &text);
    }
}

/// Which of two senders has been told that it streams; the first may be told that it may not.
fn first_streaming<'a>(one: &'a mut Raw, other: &'a mut Raw) -> &'a mut Raw {
    let deadline = Instant::now() + PATIENCE;
    let mut refused = false;
    while Instant::now() < deadline {
        if !refused && !one.is_silent(Duration::from_millis(5)) {
            let line = one.line();
            refused = line.starts_with("[ERROR] Path ");
            assert!(refused || line.starts_with("[INFO] "), "{line:?}");
            if line == STREAMING {
                return one;
            }
        }
        if !other.is_silent(Duration::from_millis(5)) {
            let line = other.line();
            assert!(line.starts_with("[INFO] "), "the older one is told {line:?}");
            if line == STREAMING {
                return other;
            }
        }
    }
    panic!("neither of two senders meets the receiver");
}
