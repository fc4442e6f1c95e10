//! Spec §28, row 21, between nodes: every byte that one node sends to another takes 200 ms, and so do
//! the packets that open a connection. Everything becomes slower, and nothing else.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::clients::side_by_side;
use crate::common::reading::{expect_complete, expect_error};
use crate::common::seeing::{status, status_until};
use crate::common::{End, Fault, Proxy, eventually, timed};
use crate::fleet::{AT_ONCE, Fleet, measured};
use crate::history::body;

/// One way.
const DELAY: Duration = Duration::from_millis(200);

/// Where a node listens really; where the others look for it, a proxy does.
const BEHIND: u16 = 7947;

/// A match takes: attach, begin, the dial of a trunk, the start; and as much again for a back-off.
const MET: Duration = Duration::from_secs(6);

/// Some nodes that are far from each other.
struct Far {
    fleet: Fleet,
    lines: Vec<Option<Proxy>>,
}

impl Far {
    /// A fleet of three that has formed.
    fn start() -> Far {
        let fleet = Fleet::idle_with(3, &[]);
        let mut far = Far { fleet, lines: Vec::new() };
        (0..3).for_each(|at| far.run(at));
        let (_, time) = timed(|| far.fleet.settled());
        measured("200 ms: three nodes find each other", time, Duration::from_secs(20));
        far
    }

    fn run(&mut self, at: usize) {
        let (peer, behind) = (self.fleet.peer(at), format!("{}:{BEHIND}", self.fleet.host(at)));
        let mut flags = self.fleet.flags_of(at);
        let listen = flags.iter().position(|flag| flag == "--cluster-listen").unwrap();
        flags[listen + 1].clone_from(&behind);
        let fault = Fault { segment: usize::MAX, delay: DELAY, rate: 0 };
        let line =
            Proxy::start_at(peer.parse().unwrap(), behind.parse().unwrap(), fault, DELAY * 2);
        self.lines.resize_with(self.lines.len().max(at + 1), || None);
        self.lines[at] = Some(line);
        self.fleet.run_with(at, &flags);
    }

    /// Its kernel refuses connections from now on, as one does without a proxy.
    fn kill(&mut self, at: usize) {
        self.lines[at] = None;
        self.fleet.kill(at);
    }
}

#[test]
fn nodes_far_apart_are_one_relay() {
    side_by_side(&[
        ("far: pairs", pairs),
        ("far: the leader is killed", leader_killed),
        ("far: nodes come and go", comes_and_goes),
    ]);
}

/// Whoever owns the name: they meet, every byte arrives, the name is free at the end; and all the time
/// one node leads.
fn pairs() {
    let Far { fleet, lines: _lines } = Far::start();
    let term = fleet.cluster(0)["term"].clone();
    let begun = Instant::now();
    for owner in 0..3 {
        let name = fleet.name_owned_by(owner);
        let ((mut sender, mut receivers), time) =
            timed(|| fleet.streaming(&name, 0, &[1, 0, 2, 1]));
        measured("200 ms: sender and four receivers meet", time, MET);
        let sent = body(owner as u64, 1 << 20);
        sender.chunk(&sent[..1000]);
        let text = format!("[ERROR] Path '{name}' is already in use by an active transfer.");
        let mut late = fleet.node(1).get(&format!("{name}?n=4"));
        expect_error(&mut late, 400, "active", &text);
        assert_eq!(status(fleet.node(2), &name)["state"], "streaming");
        std::thread::scope(|all| {
            for receiver in &mut receivers {
                let sent = &sent;
                all.spawn(move || assert!(receiver.rest() == (sent.clone(), End::Clean)));
            }
            sender.chunk(&sent[1000..]);
            sender.finish();
        });
        expect_complete(&mut sender);
        fleet.assert_usable(&name, 1, 2);
    }
    // Many heartbeats long.
    eventually("it is watched for a while", Duration::from_secs(30), || {
        begun.elapsed() > Duration::from_secs(15)
    });
    for at in 0..3 {
        assert_eq!(fleet.cluster(at)["term"], term, "nobody else was elected");
        assert!(fleet.is_ready(at));
    }
    fleet.assert_empty();
}

/// Rows 11 and 17.
fn leader_killed() {
    let mut far = Far::start();
    let leader = far.fleet.leader();
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    let name = far.fleet.name_owned_by(leader);
    let mut sender = far.fleet.node(a).waiting_sender(&name, 1);
    far.kill(leader);
    let start = Instant::now();
    let mut receiver = far.fleet.node(b).get(&name);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    measured(
        "200 ms: owner and leader killed while waiting",
        start.elapsed(),
        Duration::from_secs(8),
    );
    sender.chunk(b"met");
    sender.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"met".to_vec(), End::Clean));
    expect_complete(&mut sender);
    far.run(leader);
    far.fleet.settled();
    far.fleet.assert_usable(&name, leader, a);
}

/// Row 18: one joins, one leaves, and who waits meets.
fn comes_and_goes() {
    let mut far = Far::start();
    let joiner = far.fleet.add();
    let name = far.fleet.name_owned_by(1);
    let mut sender = far.fleet.node(0).waiting_sender(&name, 1);
    far.run(joiner);
    let (_, time) = timed(|| far.fleet.settled());
    measured("200 ms: a fourth node joins", time, Duration::from_secs(10));
    // The leader is the hardest to part with; the sender is at node 0.
    let at = far.fleet.leader().max(1);
    let mut leaver = far.fleet.take(at);
    leaver.signal(rustix::process::Signal::TERM);
    let left = far.fleet.up();
    eventually("it drains", AT_ONCE * 2, || {
        far.fleet.health(left[0], at).as_deref() == Some("draining")
    });
    let mut receiver = far.fleet.node(joiner).get(&name);
    let (_, time) = timed(|| sender.line_until("[INFO] Streaming to 1 receiver(s)..."));
    measured("200 ms: a node leaves: a waiting pair meets", time, MET);
    sender.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (vec![], End::Clean));
    assert_eq!(leaver.exit_code(Duration::from_secs(15)), Some(0));
    far.fleet.settled();
    let waiting = far.fleet.node(left[0]).get(&name);
    status_until(far.fleet.node(joiner), &name, &json!({"activeReceivers": 1}));
    drop(waiting);
}
