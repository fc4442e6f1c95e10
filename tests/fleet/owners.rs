//! Spec §28, rows 11, 12, 14 and 17: the owner of a name, or the leader of the fleet, dies or hangs while
//! clients of that name wait or stream at other nodes. Nobody may notice.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::clients::{Pump, expect_started, side_by_side};
use crate::common::reading::expect_error;
use crate::common::seeing::{assert_has, status, status_until, watch};
use crate::common::{End, PATIENCE, Raw, eventually, timed};
use crate::fleet::{AT_ONCE, Fleet, measured};
use crate::history::{Got, History, Sent, body};

/// Row 11.
const KILLED: Duration = Duration::from_secs(5);
/// Row 14.
const FROZEN: Duration = Duration::from_secs(10);

#[test]
fn nobody_notices_the_death_of_an_owner() {
    side_by_side(&[
        ("killed while waiting", || while_waiting("killed", false)),
        ("killed while waiting, the leader", || while_waiting("killed", true)),
        ("killed mid-stream", || mid_stream("killed", false)),
        ("killed mid-stream, the leader", || mid_stream("killed", true)),
        ("the leader is killed", leader_killed),
    ]);
}

#[test]
fn whoever_looks_never_hears_that_nobody_waits() {
    side_by_side(&[
        ("looked at, killed", || looked_at("killed")),
        ("looked at, stopped", || looked_at("stopped")),
        ("looked at, frozen", || looked_at("frozen")),
    ]);
}

#[test]
fn nobody_notices_an_owner_that_hangs() {
    side_by_side(&[
        ("frozen while waiting", || while_waiting("frozen", false)),
        ("frozen while waiting, the leader", || while_waiting("frozen", true)),
        ("frozen mid-stream", || mid_stream("frozen", false)),
        ("frozen mid-stream, the leader", || mid_stream("frozen", true)),
    ]);
}

/// A fleet, the node that something will happen to, and the two others.
struct Stage {
    fleet: Fleet,
    owner: usize,
    others: [usize; 2],
    what: &'static str,
    bound: Duration,
}

impl Stage {
    fn set(what: &'static str, leads: bool) -> Stage {
        let fleet = Fleet::start(3);
        let leader = fleet.leader();
        let owner = if leads { leader } else { (leader + 1) % 3 };
        let others = [(owner + 1) % 3, (owner + 2) % 3];
        let bound = if what == "killed" { KILLED } else { FROZEN };
        Stage { fleet, owner, others, what, bound }
    }

    fn strike(&mut self) {
        match self.what {
            "killed" => self.fleet.kill(self.owner),
            "stopped" => self.fleet.node(self.owner).signal(Signal::TERM),
            _ => self.fleet.freeze(self.owner),
        }
    }

    /// What the table calls it.
    fn title(&self, leads: bool, when: &str) -> String {
        let who = if leads { "owner and leader" } else { "owner" };
        format!("{who} {} {when}", self.what)
    }
}

/// Statuses and spectators at both other nodes, while a sender and one of two receivers wait on.
fn looked_at(what: &'static str) {
    let mut stage = Stage::set(what, false);
    let [a, b] = stage.others;
    let name = stage.fleet.name_owned_by(stage.owner);
    let target = format!("{name}?n=2");
    let mut sender = stage.fleet.node(a).waiting_sender(&target, 2);
    let first = stage.fleet.joins(&mut sender, b, &target);
    let waiting = json!({"state": "waiting", "hasSender": true, "activeReceivers": 1});
    let mut spectators = [a, b].map(|at| watch(stage.fleet.node(at), &name));
    spectators.iter_mut().for_each(|spectator| spectator.expect_state(&waiting));
    stage.strike();
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < stage.bound {
        for at in [a, b] {
            assert_has(&status(stage.fleet.node(at), &name), &waiting);
            asked += 1;
        }
    }
    assert!(asked > 10, "a status takes seconds");
    let second = stage.fleet.node(a).get(&target);
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    expect_started(&mut [first, second]);
    // Nothing else was seen meanwhile.
    for spectator in &mut spectators {
        spectator.state_or(&json!({"state": "waiting", "hasSender": true}), "streaming");
    }
}

/// Row 14: who cancels while the owner hangs waits until there is another one, and hears what it has done.
#[test]
fn a_delete_outlasts_an_owner_that_hangs() {
    let mut stage = Stage::set("frozen", false);
    let [a, b] = stage.others;
    let name = stage.fleet.name_owned_by(stage.owner);
    let mut sender = stage.fleet.node(a).waiting_sender(&name, 1);
    stage.strike();
    let (head, time) = timed(|| stage.fleet.node(b).ask("DELETE", &name).head());
    measured("DELETE at an owner that hangs", time, FROZEN);
    head.expect(204);
    sender.expect_line("[ERROR] Cancelled.");
}

/// A pair of which one half or nobody has come yet.
struct Half {
    name: String,
    sender: Option<Raw>,
    receiver: Option<Raw>,
}

fn while_waiting(what: &'static str, leads: bool) {
    let mut stage = Stage::set(what, leads);
    let [a, b] = stage.others;
    let names: Vec<String> = (0..6).map(|_| stage.fleet.name_owned_by(stage.owner)).collect();
    // A sender and one of two receivers, a lone receiver, a lone sender, and a name not yet used.
    let mut sender = stage.fleet.node(a).waiting_sender(&format!("{}?n=2", names[0]), 2);
    let first = stage.fleet.joins(&mut sender, b, &format!("{}?n=2", names[0]));
    let alone = stage.fleet.node(b).get(&names[1]);
    status_until(stage.fleet.node(a), &names[1], &json!({"activeReceivers": 1}));
    let lonely = stage.fleet.node(a).waiting_sender(&names[2], 1);
    let ghost = stage.fleet.node(a).waiting_sender(&names[4], 1);
    stage.strike();
    let start = Instant::now();
    let second = stage.fleet.node(a).get(&format!("{}?n=2", names[0]));
    let pairs = [
        Half { name: names[1].clone(), sender: None, receiver: Some(alone) },
        Half { name: names[2].clone(), sender: Some(lonely), receiver: None },
        Half { name: names[3].clone(), sender: None, receiver: None },
    ];
    let fleet = &stage.fleet;
    let complete = |half| complete(fleet, half, stage.others);
    let pairs = pairs.map(complete);
    // The sender may be told of the second receiver, unless the match is made with it, and of nothing
    // else.
    if !like_streaming(&sender.line(), 2) {
        sender.expect_line("[INFO] Streaming to 2 receiver(s)...");
    }
    let mut transfers = vec![(sender, vec![first, second], 2)];
    for (mut sender, receiver) in pairs {
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        transfers.push((sender, vec![receiver], 1));
    }
    for (_, receivers, _) in &mut transfers {
        expect_started(receivers);
    }
    measured(&stage.title(leads, "while waiting"), start.elapsed(), stage.bound);
    for (seed, (mut sender, mut receivers, n)) in transfers.into_iter().enumerate() {
        let sent = body(seed as u64, 3000);
        sender.chunk(&sent);
        sender.finish();
        let mut history = History::default();
        for receiver in &mut receivers {
            history.got(Got::by_raw(receiver, &[]));
        }
        history.sent(Sent::by_raw(&mut sender, &[], &sent, n)).check_all_well();
    }
    if what == "frozen" {
        after_a_thaw(stage, ghost, &names[4], &names[5]);
    }
}

/// Whether a sender is told that it begins; the only other line there may be is of a receiver.
fn like_streaming(line: &str, n: usize) -> bool {
    assert!(
        line.starts_with("[INFO] Streaming to") || line == "[INFO] A receiver connected.",
        "{line}"
    );
    line == format!("[INFO] Streaming to {n} receiver(s)...")
}

/// The missing halves come, to the nodes that are left.
fn complete(fleet: &Fleet, half: Half, [a, b]: [usize; 2]) -> (Raw, Raw) {
    let receiver = half.receiver.unwrap_or_else(|| fleet.node(b).get(&half.name));
    let sender = half.sender.unwrap_or_else(|| {
        let mut sender = fleet.node(a).put(&half.name);
        sender.head().expect(200);
        sender
    });
    (sender, receiver)
}

/// The old owner wakes up with a sender in its books that has left meanwhile, and with a name that is
/// used under a new owner.
fn after_a_thaw(stage: Stage, ghost: Raw, haunted: &str, busy: &str) {
    let Stage { fleet, owner, others: [a, b], .. } = stage;
    let (sender, receivers) = fleet.streaming(busy, a, &[b]);
    drop(ghost);
    status_until(fleet.node(b), haunted, &json!({"hasSender": false}));
    fleet.thaw(owner);
    let mut receiver = fleet.node(owner).get(haunted);
    assert!(receiver.is_silent(Duration::from_millis(500)), "it met a sender that is gone");
    let pump = Pump::start(sender, receivers);
    let mut sender = fleet.node(a).put(haunted);
    sender.head().expect(200);
    let (_, time) = timed(|| sender.line_until("[INFO] Streaming to 1 receiver(s)..."));
    measured("met at the old owner after SIGCONT", time, FROZEN);
    sender.chunk(b"for the living");
    sender.finish();
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"for the living".to_vec(), End::Clean));
    // It is an owner again some time later; what runs is known to whoever owns it.
    fleet.settled();
    let text = format!("[ERROR] Path '{busy}' is already in use by an active transfer.");
    for at in 0..3 {
        expect_error(&mut fleet.node(at).get(busy), 400, "active", &text);
    }
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "{pumped:?}");
    fleet.assert_usable(busy, owner, a);
    fleet.assert_empty();
}

fn mid_stream(what: &'static str, leads: bool) {
    let mut stage = Stage::set(what, leads);
    let [a, b] = stage.others;
    let name = stage.fleet.name_owned_by(stage.owner);
    let (sender, receivers) = stage.fleet.streaming(&name, a, &[b, a, b]);
    let mut spectator = watch(stage.fleet.node(b), &name);
    let before = status(stage.fleet.node(a), &name);
    let pump = Pump::start(sender, receivers);
    stage.strike();
    let start = Instant::now();
    let streaming =
        json!({"state": "streaming", "transferId": before["transferId"], "activeReceivers": 3});
    let moved = || {
        [a, b].iter().all(|&at| {
            let Some(seen) = status_if_known(&stage.fleet, at, &name) else { return false };
            // Figures are those of now, not the last ones of the old owner.
            let right = |key: &str| seen[key] == streaming[key];
            ["state", "transferId", "activeReceivers"].iter().all(|key| right(key))
                && seen["bytesTransferred"].as_u64() > before["bytesTransferred"].as_u64()
        })
    };
    eventually("the status is right again", PATIENCE, moved);
    measured(&stage.title(leads, "mid-stream: status right"), start.elapsed(), stage.bound);
    // The name stays in use; who comes hears so, from whatever owner.
    let text = format!("[ERROR] Path '{name}' is already in use by an active transfer.");
    for at in [a, b] {
        expect_error(&mut stage.fleet.node(at).put(&name), 400, "active", &text);
        expect_error(&mut stage.fleet.node(at).get(&format!("{name}?n=3")), 400, "active", &text);
    }
    if what == "frozen" {
        stage.fleet.thaw(stage.owner);
        stage.fleet.settled();
    }
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "bytes stopped: {pumped:?}");
    let done = spectator.done();
    assert_eq!(
        (&done["state"], &done["bytesTransferred"]),
        (&json!("complete"), &json!(pumped.bytes))
    );
    for at in stage.fleet.up() {
        assert_eq!(status(stage.fleet.node(at), &name)["state"], "complete", "at node {at}");
        stage.fleet.assert_usable(&name, at, a);
    }
    stage.fleet.assert_empty();
}

/// The status of a name; `None` while its owner cannot be asked.
fn status_if_known(fleet: &Fleet, at: usize, name: &str) -> Option<Value> {
    let mut raw = fleet.node(at).get(&format!("{name}?status"));
    let head = raw.head();
    let (body, end) = raw.rest();
    assert_eq!(end, End::Clean);
    match head.status {
        200 => Some(serde_json::from_slice(&body).expect("a status is JSON")),
        _ => {
            head.expect(503).expect_field("x-pipe-error", "unavailable");
            None
        }
    }
}

/// Row 17: pairs of names that do not belong to the leader form as if nothing had happened.
fn leader_killed() {
    let mut fleet = Fleet::start(3);
    let leader = fleet.leader();
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    let names: Vec<String> = (0..3).map(|_| fleet.name_owned_by(b)).collect();
    let (sender, receivers) = fleet.streaming(&names[0], a, &[b, a]);
    let pump = Pump::start(sender, receivers);
    let mut waiting = fleet.node(b).waiting_sender(&names[1], 1);
    fleet.kill(leader);
    let (_, time) = timed(|| {
        fleet.node(a).get(&names[1]).head().expect(200);
        waiting.line_until("[INFO] Streaming to 1 receiver(s)...");
        fleet.assert_usable(&names[2], b, a);
    });
    measured("leader killed: pairs of other owners meet", time, AT_ONCE);
    let (_, time) = timed(|| fleet.settled());
    measured("leader killed: a new one and a new view", time, Duration::from_secs(10));
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "bytes stopped: {pumped:?}");
    fleet.assert_usable(&names[0], a, b);
}
