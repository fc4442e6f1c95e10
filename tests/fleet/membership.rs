//! Spec §22: who is a member, as operators see it: first start, joining, restarts, wiped disks, leaving,
//! and what goes on without a quorum.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::clients::{Pump, side_by_side};
use crate::common::reading::{expect_complete, expect_error, expect_failure};
use crate::common::seeing::{status, status_until};
use crate::common::server::said_at_end;
use crate::common::{Curl, End, PATIENCE, eventually, timed, unique};
use crate::fleet::{AT_ONCE, Fleet, measured, member, write_secret};

#[test]
fn nodes_come_and_go() {
    side_by_side(&[
        ("the first start", first_start),
        ("five nodes", five_nodes),
        ("a restart", restart),
        ("a wiped disk", wiped),
        ("a name twice", same_name),
    ]);
}

#[test]
fn nodes_leave_politely() {
    side_by_side(&[
        ("SIGTERM", || drains(Signal::TERM)),
        ("SIGINT", || drains(Signal::INT)),
        ("POST /drain", asked_to_drain),
        ("what is left at the drain limit", drain_limit),
        ("no quorum", no_quorum),
    ]);
}

/// Lines of the log that say something about a node.
fn said(fleet: &Fleet, by: usize, what: &str, about: usize) -> usize {
    let log = fleet.node(by).log();
    let (what, name) = (format!("\"{what}\""), format!("\"{}\"", Fleet::name(about)));
    log.lines().filter(|line| line.contains(&what) && line.contains(&name)).count()
}

/// Waits until the log says it, once: it is written a moment after the thing is known.
#[track_caller]
fn expect_said(fleet: &Fleet, by: usize, what: &str, about: usize) {
    eventually(what, PATIENCE, || said(fleet, by, what, about) > 0);
    assert_eq!(said(fleet, by, what, about), 1, "{by} of {about}: {}", fleet.node(by).log());
}

/// A node without the others is not ready, and says why; together they are a fleet.
fn first_start() {
    let mut fleet = Fleet::idle_with(3, &[]);
    fleet.run(0);
    let (head, text) = fleet.node(0).admin_answers("GET", "/readyz", &[]);
    assert_eq!((head.status, text.contains("not joined")), (503, true), "{text}");
    assert_eq!(fleet.node(0).admin_answers("GET", "/livez", &[]).0.status, 200);
    let mut early = fleet.node(0).get(&unique());
    fleet.run(1);
    assert!(early.is_silent(Duration::from_millis(300)), "it waits for the fleet to form");
    assert!(!fleet.is_ready(0) && !fleet.is_ready(1), "two of three are not what was expected");
    fleet.run(2);
    let (_, time) = timed(|| fleet.settled());
    measured("three nodes find each other", time, Duration::from_secs(15));
    drop(early);
    fleet.assert_empty();
    fields(&fleet);
    for at in 0..3 {
        for name in 0..3 {
            expect_said(&fleet, at, "a node joins the fleet", name);
        }
    }
    // The data directory holds no name and no byte of a pipe.
    let name = unique();
    fleet.assert_usable(&name, 0, 1);
    for at in 0..3 {
        for entry in std::fs::read_dir(fleet.data(at)).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains(&name[1..]) && !text.contains("still here"), "P6");
        }
    }
}

/// Every field of `/cluster`.
fn fields(fleet: &Fleet) {
    let leader = fleet.leader();
    for at in 0..3 {
        let seen = fleet.cluster(at);
        let keys: Vec<&String> = seen.as_object().unwrap().keys().collect();
        let all = ["node", "region", "state", "leader", "term", "epoch", "members", "pipes"];
        assert!(keys.len() == all.len() && all.iter().all(|key| seen.get(key).is_some()), "{seen}");
        assert_eq!(seen["node"], Fleet::name(at).as_str());
        assert_eq!(seen["leader"], Fleet::name(leader).as_str());
        let state = if at == leader { "leader" } else { "follower" };
        assert_eq!(seen["state"], state, "{seen}");
        assert!(seen["term"].as_u64() > Some(0) && seen["epoch"].as_u64() > Some(0), "{seen}");
        assert_eq!(seen["pipes"], json!({"waiting": 0, "streaming": 0}));
        let members = seen["members"].as_array().unwrap();
        assert_eq!(members.len(), 3);
        for other in 0..3 {
            let one = member(&seen, &fleet.peer(other)).unwrap();
            let wanted = json!({"id": Fleet::name(other), "addr": fleet.peer(other),
                "region": "default", "health": "up", "voter": true});
            for key in ["id", "addr", "region", "health", "voter"] {
                assert_eq!(one[key], wanted[key], "{one}");
            }
            let share = one["share"].as_f64().unwrap();
            assert!((share - 1.0 / 3.0).abs() < 0.001, "{one}");
        }
    }
}

/// Three voters, the others learn; the names of a dead one move; a fleet of five loses two.
fn five_nodes() {
    let mut fleet = Fleet::start(5);
    eventually("three of five vote", PATIENCE * 3, || {
        let seen = fleet.cluster(0);
        voters(&seen).len() == 3 || voters(&seen).len() == 5
    });
    let leader = fleet.leader();
    let other = (leader + 1) % 5;
    let names: Vec<String> =
        [leader, other].iter().map(|&owner| fleet.name_owned_by(owner)).collect();
    let left: Vec<usize> = (0..5).filter(|at| ![leader, other].contains(at)).collect();
    let mut waiting: Vec<_> =
        names.iter().map(|name| fleet.node(left[0]).waiting_sender(name, 1)).collect();
    fleet.kill(other);
    fleet.settled();
    // A vote that is lost is given to another, so that the next loss can be borne too.
    eventually("three that are up vote", PATIENCE * 3, || {
        let seen = fleet.cluster(left[0]);
        let votes = voters(&seen);
        votes.len() == 3 && votes.iter().all(|one| one["health"] == "up")
    });
    fleet.kill(leader);
    let start = Instant::now();
    for (sender, name) in waiting.iter_mut().zip(&names) {
        let mut receiver = fleet.node(left[1]).get(name);
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        sender.finish();
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
    measured(
        "five nodes lose two in turn: waiting pairs meet",
        start.elapsed(),
        Duration::from_secs(5),
    );
    fleet.settled();
}

pub fn voters(seen: &Value) -> Vec<&Value> {
    seen["members"].as_array().unwrap().iter().filter(|one| one["voter"] == true).collect()
}

/// A node that comes back with its data is who it was.
fn restart() {
    let mut fleet = Fleet::start(3);
    let at = (fleet.leader() + 1) % 3;
    fleet.kill(at);
    let others = [(at + 1) % 3, (at + 2) % 3];
    eventually("it is down", PATIENCE, || fleet.health(others[0], at).as_deref() == Some("down"));
    expect_said(&fleet, others[0], "a node is down", at);
    fleet.run(at);
    let (_, time) = timed(|| fleet.settled());
    measured("a node killed and started again is up", time, Duration::from_secs(5));
    for by in 0..3 {
        assert_eq!(fleet.cluster(by)["members"].as_array().unwrap().len(), 3);
    }
    assert_eq!(said(&fleet, others[0], "a node joins the fleet", at), 1, "it joined once");
    // All at once, as after a power failure.
    (0..3).for_each(|at| fleet.kill(at));
    (0..3).for_each(|at| fleet.run(at));
    let (_, time) = timed(|| fleet.settled());
    measured("all nodes killed and started again are up", time, Duration::from_secs(15));
    fleet.assert_usable(&unique(), 0, 1);
}

/// A wiped disk is a new node; it takes the place of the dead one of its name.
fn wiped() {
    let mut fleet = Fleet::start(3);
    let at = (fleet.leader() + 1) % 3;
    let other = (at + 1) % 3;
    fleet.kill(at);
    eventually("it is down", PATIENCE, || fleet.health(other, at).as_deref() == Some("down"));
    fleet.wipe(at);
    fleet.run(at);
    let (_, time) = timed(|| fleet.settled());
    measured("a wiped node joins under its old name", time, Duration::from_secs(15));
    eventually("the dead one of that name is forgotten", PATIENCE, || {
        (0..3).all(|by| fleet.cluster(by)["members"].as_array().unwrap().len() == 3)
    });
    fleet.assert_usable(&unique(), at, other);
    // It votes again after a while, so that the fleet survives the next one.
    eventually("there are three voters", PATIENCE * 3, || voters(&fleet.cluster(other)).len() == 3);
}

/// A name that a living node has is refused, loudly, and changes nothing.
fn same_name() {
    let mut fleet = Fleet::start(3);
    let joiner = fleet.add();
    let mut flags = fleet.flags_of(joiner);
    let at = flags.iter().position(|flag| flag == "--node-id").unwrap();
    flags[at + 1] = Fleet::name(0);
    fleet.run_with(joiner, &flags);
    let name = Fleet::name(0);
    let mut server = fleet.take(joiner);
    eventually("it says what is wrong", PATIENCE, || {
        server.log().lines().any(|line| line.contains(&name) && line.contains("in use"))
            || !server.is_running()
    });
    assert!(server.log().contains(&name), "{}", server.log());
    assert_eq!(fleet.cluster(1)["members"].as_array().unwrap().len(), 3);
    drop(server);
    without_a_secret(&fleet);
}

/// A node of a fleet does not start without a secret, nor with a short one.
fn without_a_secret(fleet: &Fleet) {
    let flags = fleet.flags_of(3);
    let at = flags.iter().position(|flag| flag == "--cluster-secret-file").unwrap();
    let mut none = flags.clone();
    none.drain(at..at + 2);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("short");
    write_secret(&path, "15 characters..");
    let mut short = flags;
    short[at + 1] = path.display().to_string();
    for flags in [none, short] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (code, said) = said_at_end(&flags);
        assert!(code.is_some_and(|code| code != 0) && said.contains("secret"), "{code:?} {said}");
    }
}

/// Spec §22, "drain": readiness, names, newcomers, what runs, and the end.
fn drains(signal: Signal) {
    let mut fleet = Fleet::with(3, &["--drain-timeout", "30"]);
    let at = (fleet.leader() + 1) % 3;
    let [a, b] = [(at + 1) % 3, (at + 2) % 3];
    let names: Vec<String> = (0..3).map(|_| fleet.name_owned_by(at)).collect();
    let (sender, receivers) = fleet.streaming(&names[0], at, &[a, at, b]);
    let pump = Pump::start(sender, receivers);
    let mut waiting = fleet.node(a).waiting_sender(&names[1], 1);
    let mut inside = fleet.node(at).get(&names[2]);
    status_until(fleet.node(a), &names[2], &json!({"activeReceivers": 1}));
    let mut server = fleet.take(at);
    server.signal(signal);
    let start = Instant::now();
    eventually("not ready", AT_ONCE, || {
        server.admin_answers("GET", "/readyz", &[]).0.status == 503
    });
    // Its names move, and who waits for them notices nothing.
    eventually("others see it drain", AT_ONCE, || {
        fleet.health(a, at).as_deref() == Some("draining")
    });
    let mut outside = fleet.node(b).get(&names[1]);
    outside.head().expect(200);
    measured(&format!("{signal:?}: names of the leaver meet"), start.elapsed(), MOVED);
    waiting.finish();
    assert_eq!(outside.rest(), (vec![], End::Clean));
    waiting.line_until("[INFO] Transfer complete.");
    // A client of its own that waits can still be met.
    let mut sender = fleet.node(a).put(&names[2]);
    sender.chunk(b"in time");
    sender.finish();
    inside.head().expect(200);
    assert_eq!(inside.rest(), (b"in time".to_vec(), End::Clean));
    sender.head().expect(200);
    expect_complete(&mut sender);
    newcomers(&server, signal, start);
    for other in [a, b] {
        assert_eq!(status(fleet.node(other), &names[0])["state"], "streaming", "at {other}");
    }
    assert!(server.is_running(), "a transfer runs");
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "{pumped:?}");
    assert_eq!(server.exit_code(Duration::from_secs(10)), Some(0));
    fleet.settled();
    let left = fleet.health(a, at);
    assert!(matches!(left.as_deref(), None | Some("down")), "{left:?}");
    fleet.assert_usable(&names[0], a, b);
}

/// Ownership of names moves so soon (row 18).
const MOVED: Duration = Duration::from_secs(4);

/// New requests are taken for 5 s after SIGTERM, and not at all after SIGINT.
fn newcomers(server: &crate::common::Server, signal: Signal, start: Instant) {
    let text = "[ERROR] Server shutting down.";
    if signal == Signal::INT {
        return drop(expect_error(&mut server.get(&unique()), 503, "draining", text));
    }
    while start.elapsed() < Duration::from_secs(4) {
        let mut receiver = server.get(&unique());
        let taken = receiver.is_silent(Duration::from_millis(200));
        // A machine that was busy meanwhile may have let the 5 s pass.
        let after = start.elapsed();
        assert!(taken || after > Duration::from_millis(4500), "refused after {after:?}");
    }
    eventually("newcomers are refused", Duration::from_secs(4), || {
        let mut receiver = server.get(&unique());
        !receiver.is_silent(Duration::from_millis(100))
    });
    expect_error(&mut server.get(&unique()), 503, "draining", text);
}

/// The same over the admin listener, of a node without any client: it stays for the 5 s.
fn asked_to_drain() {
    let mut fleet = Fleet::start(3);
    let leader = fleet.leader();
    let mut server = fleet.take(leader);
    let start = Instant::now();
    assert_eq!(server.admin_answers("POST", "/drain", &[]).0.status, 202);
    let (code, time) = timed(|| server.exit_code(Duration::from_secs(15)));
    assert_eq!(code, Some(0));
    assert!(time > Duration::from_secs(4), "in a fleet not before the 5 s: {time:?}");
    let (_, time) = timed(|| fleet.settled());
    println!("the fleet agreed {time:?} after the end, {:?} after the wish", start.elapsed());
    fleet.run(leader);
    fleet.settled();
    let seen = fleet.cluster(leader);
    assert_eq!(seen["members"].as_array().unwrap().len(), 3, "{seen:#}");
    assert_eq!(voters(&seen).len(), 3, "a rolling restart changes no voters: {seen:#}");
}

/// What is still there at the limit is told.
fn drain_limit() {
    let mut fleet = Fleet::with(3, &["--drain-timeout", "7"]);
    let name = fleet.name_owned_by(1);
    let (mut sender, mut receivers) = fleet.streaming(&name, 0, &[1, 0]);
    sender.chunk(b"abc");
    for receiver in &mut receivers {
        assert_eq!(receiver.body(3), b"abc");
    }
    let far = unique();
    let (mut far_sender, mut far_receivers) = fleet.streaming(&far, 1, &[0, 2]);
    let mut waiting = fleet.node(0).waiting_sender(&unique(), 1);
    let mut receiver = fleet.node(0).get(&unique());
    let mut server = fleet.take(0);
    server.signal(Signal::TERM);
    let start = Instant::now();
    let text = "[ERROR] Server shutting down.";
    expect_failure(&mut sender, text);
    assert!(start.elapsed() > Duration::from_secs(6), "{:?}", start.elapsed());
    expect_failure(&mut waiting, text);
    expect_error(&mut receiver, 503, "draining", text);
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (vec![], End::Short));
    }
    // A receiver at the leaver is lost for its sender elsewhere, which goes on.
    assert_eq!(far_receivers[0].rest(), (vec![], End::Short));
    far_sender.expect_line("[INFO] A receiver disconnected.");
    measured("drain limit: all are told", start.elapsed(), Duration::from_secs(7 + 1));
    far_sender.chunk(b"on");
    far_sender.finish();
    assert_eq!(far_receivers[1].rest(), (b"on".to_vec(), End::Clean));
    expect_complete(&mut far_sender);
    drop((sender, waiting, receivers, far_receivers, receiver));
    assert_eq!(server.exit_code(Duration::from_secs(10)), Some(0));
    fleet.settled();
    fleet.assert_usable(&name, 1, 2);
}

/// Row 17: two of three are dead. What is inside the third goes on; the rest is told after 15 s; joins
/// wait until there is a quorum again.
fn no_quorum() {
    let mut fleet = Fleet::start(3);
    let rest = fleet.leader();
    let dead = [(rest + 1) % 3, (rest + 2) % 3];
    let own: Vec<String> = (0..2).map(|_| fleet.name_owned_by(rest)).collect();
    let foreign: Vec<String> = dead.iter().map(|&owner| fleet.name_owned_by(owner)).collect();
    let (sender, receivers) = fleet.streaming(&own[0], rest, &[rest, rest]);
    let pump = Pump::start(sender, receivers);
    let mut waiting = fleet.node(rest).waiting_sender(&own[1], 1);
    dead.iter().for_each(|&at| fleet.kill(at));
    let start = Instant::now();
    fleet.joins(&mut waiting, rest, &own[1]).head().expect(200);
    let mut late = fleet.node(rest).get(&foreign[0]);
    let mut sender = fleet.node(rest).put(&foreign[1]);
    let two = ["-sS", "--fail-with-body", "--http2-prior-knowledge", "-T", "-"];
    let url = fleet.url(rest, &foreign[1]);
    let two = [&two[..], &[&url]].concat();
    let two = Curl::start_with(&two, std::process::Stdio::null());
    let text = "[ERROR] Pipe temporarily unavailable. Try again later.";
    for party in [&mut late, &mut sender] {
        expect_error(party, 503, "unavailable", text);
    }
    assert_eq!(two.ended().expect(22).text(), format!("{text}\n"));
    measured("no quorum: names of the dead are given up", start.elapsed(), Duration::from_secs(17));
    assert!(start.elapsed() > Duration::from_secs(10), "too early: {:?}", start.elapsed());
    let joiner = fleet.add();
    fleet.run(joiner);
    std::thread::sleep(Duration::from_secs(2));
    assert!(!fleet.is_ready(joiner), "nobody can join now");
    fleet.run(dead[0]);
    fleet.run(dead[1]);
    let (_, time) = timed(|| fleet.settled());
    measured("quorum regained: all up, the joiner too", time, Duration::from_secs(30));
    let pumped = pump.finish();
    assert!(pumped.longest < AT_ONCE, "{pumped:?}");
    fleet.assert_usable(&foreign[0], joiner, dead[0]);
}
