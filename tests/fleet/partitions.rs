//! Spec §28, rows 14 to 16: cables between nodes are cut, or carry one way only, while every client still
//! reaches its own node. Needs root; skipped otherwise, with the reason printed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::clients::{Pump, side_by_side};
use crate::common::reading::{expect_complete, expect_error, expect_failure};
use crate::common::seeing::status_until;
use crate::common::{End, PATIENCE, Raw, eventually, timed};
use crate::fleet::{AT_ONCE, CLUSTER, Fleet, measured};
use crate::network::Network;

const UNAVAILABLE: &str = "[ERROR] Pipe temporarily unavailable. Try again later.";

/// Waiting parties meet so soon after a cable is mended.
const MENDED: Duration = Duration::from_secs(10);
/// A cut is certain after so long (row 15).
const CUT: Duration = Duration::from_secs(12);
/// Row 16: counted from the arrival, or from the cut for who waited before it.
const GIVEN_UP: Duration = Duration::from_secs(15 + 1);
/// Nobody is given up while its owner can still come back in time.
const HELD: Duration = Duration::from_secs(13);

#[test]
fn a_fleet_that_is_cut_in_two_heals() {
    side_by_side(&[
        ("owner and edge", owner_and_edge),
        ("two edges of a transfer", two_edges),
        ("a minority", || minority(false)),
        ("a minority with the leader", || minority(true)),
    ]);
}

#[test]
fn a_node_that_nobody_reaches_loses_its_names() {
    side_by_side(&[
        ("a deaf leader", || deaf_node(true)),
        ("a deaf follower", || deaf_node(false)),
    ]);
}

fn fleet() -> Option<Fleet> {
    Network::of(3).map(|network| Fleet::in_namespaces(network, 3, &[]))
}

/// Row 15, the first half: the name's owner is out of reach of one of the edges.
fn owner_and_edge() {
    let Some(fleet) = fleet() else { return };
    let owner = fleet.leader();
    let (a, b) = ((owner + 1) % 3, (owner + 2) % 3);
    let (running, waiting) = (fleet.name_owned_by(owner), fleet.name_owned_by(owner));
    let (sender, receivers) = fleet.streaming(&running, a, &[b, a]);
    let mut held = fleet.node(a).waiting_sender(&waiting, 1);
    let pump = Pump::start(sender, receivers);
    fleet.network().cut(owner, a);
    let start = Instant::now();
    // Long enough for every detector, and short of the 15 s after which the sender is told.
    std::thread::sleep(Duration::from_secs(9));
    assert!(held.is_silent(Duration::from_millis(10)), "nobody is told so early");
    let mut receiver = fleet.node(b).get(&waiting);
    fleet.network().heal(owner, a);
    println!("cut for {:?}", start.elapsed());
    let (_, time) = timed(|| {
        held.line_until("[INFO] Streaming to 1 receiver(s)...");
        receiver.head().expect(200);
    });
    measured("owner and edge cut, then mended: held party meets", time, MENDED);
    held.chunk(b"held");
    held.finish();
    assert_eq!(receiver.rest(), (b"held".to_vec(), End::Clean));
    expect_complete(&mut held);
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "bytes stopped: {pumped:?}");
    fleet.settled();
    healthy(&fleet, &[running, waiting]);
}

/// Row 15, the second half: a transfer runs between them, and a pair waits to.
fn two_edges() {
    let Some(fleet) = fleet() else { return };
    let owner = fleet.leader();
    let (a, b) = ((owner + 1) % 3, (owner + 2) % 3);
    let (running, waiting) = (fleet.name_owned_by(owner), fleet.name_owned_by(owner));
    let (mut sender, mut receivers) = fleet.streaming(&running, a, &[b, owner, b]);
    sender.chunk(b"before");
    for receiver in &mut receivers {
        assert_eq!(receiver.body(6), b"before");
    }
    fleet.network().cut(a, b);
    let start = Instant::now();
    let mut held = fleet.node(a).waiting_sender(&waiting, 1);
    let mut receiver = fleet.node(b).get(&waiting);
    held.expect_line("[INFO] A receiver connected.");
    for lost in [0, 2] {
        let (_, end) = receivers[lost].rest();
        assert_ne!(end, End::Clean, "beyond the cut");
    }
    measured("two edges cut: receivers cut", start.elapsed(), CUT);
    sender.expect_line("[INFO] A receiver disconnected.");
    sender.expect_line("[INFO] A receiver disconnected.");
    measured("two edges cut: sender told", start.elapsed(), CUT);
    sender.chunk(b" and after");
    sender.finish();
    assert_eq!(receivers[1].rest(), (b" and after".to_vec(), End::Clean));
    let sent = expect_complete(&mut sender);
    assert!(sent.contains(" to 1 of 3 receiver(s) in "), "{sent}");
    // The pair that cannot reach each other has seen neither an error nor a start.
    assert!(receiver.is_silent(Duration::from_millis(10)), "no start across a cut");
    fleet.network().heal(a, b);
    let (_, time) = timed(|| {
        receiver.head().expect(200);
        loop {
            let line = held.line();
            assert!(!line.starts_with("[ERROR]"), "{line:?}");
            if line == "[INFO] Streaming to 1 receiver(s)..." {
                break;
            }
        }
    });
    measured("two edges cut, then mended: held pair meets", time, MENDED);
    held.chunk(b"held");
    held.finish();
    assert_eq!(receiver.rest(), (b"held".to_vec(), End::Clean));
    expect_complete(&mut held);
    fleet.settled();
    healthy(&fleet, &[running, waiting]);
}

/// Row 16.
fn minority(leads: bool) {
    let Some(fleet) = fleet() else { return };
    let leader = fleet.leader();
    let alone = if leads { leader } else { (leader + 1) % 3 };
    let (a, b) = ((alone + 1) % 3, (alone + 2) % 3);
    let who = if leads { "minority with the leader" } else { "minority" };
    let inside: Vec<String> = (0..3).map(|_| fleet.name_owned_by(alone)).collect();
    let outside: Vec<String> = (0..3).map(|_| fleet.name_owned_by(a)).collect();
    let (sender, receivers) = fleet.streaming(&inside[0], alone, &[alone]);
    let pumps = [Pump::start(sender, receivers), {
        let (sender, receivers) = fleet.streaming(&outside[0], a, &[b]);
        Pump::start(sender, receivers)
    }];
    let mut early = fleet.node(alone).waiting_sender(&outside[1], 1);
    let moved = fleet.node(a).get(&inside[1]);
    status_until(fleet.node(b), &inside[1], &json!({"activeReceivers": 1}));
    fleet.network().isolate(alone);
    let start = Instant::now();
    // The majority takes over what was inside, and its own goes on as before.
    fleet.assert_usable(&outside[2], b, a);
    let mut sender = fleet.node(b).put(&inside[1]);
    meet(&mut sender, moved);
    measured(&format!("{who}: its names meet outside"), start.elapsed(), Duration::from_secs(10));
    // Inside, its own names work, and those of the others are given up.
    fleet.assert_usable(&inside[2], alone, alone);
    let mut late = fleet.node(alone).get(&outside[1]);
    let came = Instant::now();
    expect_failure(&mut early, UNAVAILABLE);
    given_up(&format!("{who}: who waited is told"), start.elapsed());
    expect_error(&mut late, 503, "unavailable", UNAVAILABLE);
    given_up(&format!("{who}: 503 for who comes"), came.elapsed());
    // One pipe of the same name on each side is the most there may be.
    fleet.assert_usable(&inside[1], alone, alone);
    fleet.network().rejoin(alone);
    let (_, time) = timed(|| fleet.settled());
    measured(&format!("{who}: healed, all up again"), time, Duration::from_secs(25));
    for pump in pumps {
        let pumped = pump.finish();
        assert!(pumped.longest < AT_ONCE, "bytes stopped: {pumped:?}");
    }
    healthy(&fleet, &[inside, outside].concat());
}

/// Rows 14 and 15, in one direction only: what a node says is heard, and nobody can say anything to it.
fn deaf_node(leads: bool) {
    let Some(fleet) = fleet() else { return };
    let leader = fleet.leader();
    let deaf = if leads { leader } else { (leader + 1) % 3 };
    let [a, b] = [(deaf + 1) % 3, (deaf + 2) % 3];
    let who = if leads { "deaf leader" } else { "deaf follower" };
    let names: Vec<String> = (0..2).map(|_| fleet.name_owned_by(deaf)).collect();
    let (sender, receivers) = fleet.streaming(&names[0], a, &[b, a]);
    let pump = Pump::start(sender, receivers);
    let mut held = fleet.node(a).waiting_sender(&names[1], 1);
    fleet.network().deafen(deaf, CLUSTER);
    let start = Instant::now();
    let mut receiver = fleet.node(b).get(&names[1]);
    held.line_until("[INFO] Streaming to 1 receiver(s)...");
    measured(&format!("{who}: its names meet elsewhere"), start.elapsed(), Duration::from_secs(10));
    held.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (vec![], End::Clean));
    expect_complete(&mut held);
    eventually("clients are sent elsewhere", PATIENCE, || !fleet.is_ready(deaf));
    assert!(fleet.is_ready(a) && fleet.is_ready(b));
    eventually("one of the others leads", PATIENCE, || {
        let led = [a, b].map(|at| fleet.cluster(at)["leader"].clone());
        led[0] == led[1] && [a, b].iter().any(|&at| led[0] == Fleet::name(at).as_str())
    });
    assert_eq!(fleet.health(a, deaf).as_deref(), Some("down"));
    fleet.network().undeafen(deaf, CLUSTER);
    let (_, time) = timed(|| fleet.settled());
    measured(&format!("{who}: reached again, all up"), time, Duration::from_secs(25));
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "bytes stopped: {pumped:?}");
    healthy(&fleet, &names);
}

fn given_up(what: &str, time: Duration) {
    assert!(time > HELD, "{what}: too early, after {time:?}");
    measured(what, time, GIVEN_UP);
}

/// A pair meets, and its transfer is complete.
fn meet(sender: &mut Raw, mut receiver: Raw) {
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    sender.chunk(b"met");
    sender.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"met".to_vec(), End::Clean));
    expect_complete(sender);
}

/// Nothing is left, nothing comes twice: every name is free and works between all nodes.
fn healthy(fleet: &Fleet, names: &[String]) {
    fleet.assert_empty();
    for (at, name) in names.iter().enumerate() {
        let mut receiver = fleet.node(at % 3).get(name);
        status_until(fleet.node((at + 1) % 3), name, &json!({"activeReceivers": 1}));
        assert!(!receiver.is_answered(), "a receiver without a sender");
        let mut sender = fleet.node((at + 2) % 3).put(name);
        meet(&mut sender, receiver);
    }
    assert!(names.len() < PATIENCE.as_secs() as usize);
}
