//! Spec §22 "peers" and §27 row 32: what strangers say on the peer listener is refused before it changes
//! anything, also when it is a true recording of what a member said.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::clients::side_by_side;
use crate::common::{End, PATIENCE, Raw, eventually, pattern};
use crate::fleet::{Fleet, write_secret};

#[test]
fn strangers_are_refused_at_the_peer_listener() {
    side_by_side(&[
        ("garbage and requests without proof", strangers),
        ("another secret", another_secret),
        ("a recording", recording),
    ]);
}

fn peer(fleet: &Fleet, at: usize) -> SocketAddr {
    fleet.peer(at).parse().unwrap()
}

/// What must not change: who is a member, and since when.
fn membership(fleet: &Fleet) -> Vec<Value> {
    let seen = fleet.up().into_iter().map(|at| fleet.cluster(at));
    seen.map(|mut seen| Value::Array(vec![seen["epoch"].take(), seen["members"].take()])).collect()
}

fn strangers() {
    let fleet = Fleet::start(3);
    let before = membership(&fleet);
    let uuid = "6f1d0f5e-7c07-4c1e-9a3e-0d1b2c3d4e5f";
    let proof = format!("x-hoody-pipe-peer: 1 1 2 3 4 5 {} {}", "0".repeat(64), "0".repeat(64));
    for target in ["/raft/append", "/raft/vote", "/raft/snapshot", "/fleet/hello", "/fleet/join"] {
        for header in ["x: y", &proof, "x-hoody-pipe-peer: nonsense"] {
            let mut raw = Raw::connect(peer(&fleet, 0));
            raw.send(format!(
                "POST {target} HTTP/1.1\r\nHost: h\r\n{header}\r\nContent-Length: 4\r\n\r\nbody"
            ));
            refused(&mut raw, target);
        }
    }
    for (method, target, more) in [
        ("GET", "/link/1/1".to_owned(), "Connection: upgrade\r\nUpgrade: hoody-pipe-link\r\n"),
        ("GET", "/link".to_owned(), "Connection: upgrade\r\nUpgrade: hoody-pipe-link\r\n"),
        ("POST", format!("/trunk/{uuid}"), "Transfer-Encoding: chunked\r\n"),
        ("GET", "/metrics".to_owned(), ""),
        ("GET", "/cluster".to_owned(), ""),
        ("PUT", "/a-name-of-a-pipe".to_owned(), "Content-Length: 0\r\n"),
    ] {
        for header in ["x: y", &proof] {
            let mut raw = Raw::connect(peer(&fleet, 1));
            raw.send(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{header}\r\n{more}\r\n"));
            refused(&mut raw, &target);
        }
    }
    for noise in
        [pattern(100_000), vec![0xff; 4000], b"GET\r\n\r\n".repeat(100), vec![b'a'; 300_000]]
    {
        let mut raw = Raw::connect(peer(&fleet, 2));
        // It may close while it is still being talked to.
        let _ = raw.try_send(&noise);
        raw.half_close_if_open();
        raw.closed_within(PATIENCE);
    }
    let log = fleet.node(2).log().lines().count();
    assert!(log < 100, "{log} lines: {}", fleet.node(2).log());
    assert_eq!(membership(&fleet), before);
    fleet.assert_usable(&crate::common::unique(), 0, 1);
    // Who says nothing is not kept for ever.
    let mut silent = Raw::connect(peer(&fleet, 2));
    assert_eq!(silent.closed_within(PATIENCE), End::Clean);
}

/// Nothing but a refusal comes back, and the connection is not upgraded.
#[track_caller]
fn refused(raw: &mut Raw, what: &str) {
    match raw.try_head() {
        Ok(head) => {
            assert!((400..500).contains(&head.status), "{what}: {head:?}");
            let (body, _) = raw.rest();
            assert!(body.len() < 200, "{what}: {}", String::from_utf8_lossy(&body));
        }
        Err(End::Short | End::Reset) => {}
        Err(End::Clean) => unreachable!("an answer without a head"),
    }
}

/// A node that knows all addresses and another secret.
fn another_secret() {
    let mut fleet = Fleet::start(3);
    let before = membership(&fleet);
    let stranger = fleet.add();
    let folder = tempfile::TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    write_secret(&secret, "a secret of somebody else");
    let mut flags = fleet.flags_of(stranger);
    let at = flags.iter().position(|flag| flag == "--cluster-secret-file").unwrap();
    flags[at + 1] = secret.display().to_string();
    fleet.run_with(stranger, &flags);
    // It has tried each of the others several times by then.
    std::thread::sleep(Duration::from_secs(5));
    assert!(!fleet.is_ready(stranger), "{:#?}", fleet.cluster(stranger));
    let server = fleet.take(stranger);
    assert_eq!(membership(&fleet), before);
    for at in 0..3 {
        let log = fleet.node(at).log();
        assert!(log.lines().count() < 100, "a flood: {log}");
        assert!(!log.contains("somebody else") && !server.log().contains("somebody else"));
    }
    drop(server);
    fleet.assert_usable(&crate::common::unique(), 0, 1);
}

/// A proxy in front of a member that keeps what callers said on each connection.
struct Recorder {
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    fn start(at: SocketAddr, target: SocketAddr) -> Recorder {
        let listener = TcpListener::bind(at).unwrap();
        let said: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = said.clone();
        std::thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let Ok(member) = TcpStream::connect(target) else { continue };
                let number = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let (from, to) = (caller.try_clone().unwrap(), member.try_clone().unwrap());
                let all = all.clone();
                std::thread::spawn(move || {
                    copy(from, to, |bytes| all.lock().unwrap()[number].extend_from_slice(bytes));
                });
                std::thread::spawn(move || copy(member, caller, |_| {}));
            }
        });
        Recorder { said }
    }

    /// What was said on the connections whose first line begins like this.
    fn said(&self, start: &str) -> Vec<Vec<u8>> {
        let said = self.said.lock().unwrap();
        said.iter().filter(|said| said.starts_with(start.as_bytes())).cloned().collect()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut piece = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        see(&piece[..count]);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A node joins that is reached through a recorder. Whatever was said to it is said again.
fn recording() {
    let mut fleet = Fleet::start(3);
    let joiner = fleet.add();
    let told = format!("{}:7947", fleet.host(joiner));
    let recorder = Recorder::start(told.parse().unwrap(), peer(&fleet, joiner));
    let mut flags = fleet.flags_of(joiner);
    let real = fleet.peer(joiner);
    for at in 0..flags.len() {
        if flags[at] == "--cluster-advertise" {
            flags[at + 1].clone_from(&told);
        } else if flags[at] == "--cluster-peers" {
            flags[at + 1] = flags[at + 1].replace(&real, &told);
        }
    }
    fleet.run_with(joiner, &flags);
    let (links, raft) = (|| recorder.said("GET /link"), || recorder.said("POST /raft/"));
    eventually("all others have linked to it, and Raft has called", PATIENCE, || {
        links().len() >= 3 && !raft().is_empty() && fleet.is_ready(joiner)
    });
    let epoch = fleet.cluster(joiner)["epoch"].clone();
    for said in links().into_iter().take(5).chain(raft().into_iter().take(20)) {
        for target in [peer(&fleet, joiner), peer(&fleet, 0)] {
            let mut raw = Raw::connect(target);
            let _ = raw.try_send(&said);
            let first = String::from_utf8_lossy(&said[..40]).into_owned();
            refused(&mut raw, &first);
        }
    }
    assert_eq!(fleet.cluster(joiner)["epoch"], epoch);
    // Nor does a later life of it believe what was said to an earlier one.
    let mut server = fleet.take(joiner);
    server.signal(rustix::process::Signal::KILL);
    server.exit_code(PATIENCE);
    let links = links();
    fleet.run_with(joiner, &flags);
    for said in links.into_iter().take(5) {
        let mut raw = Raw::connect(peer(&fleet, joiner));
        let _ = raw.try_send(&said);
        refused(&mut raw, "a link to an earlier life");
    }
}
