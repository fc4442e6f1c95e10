//! The real listener, over real sockets: strangers, and a member of the fleet that knows the secret.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hoody_pipe_cluster::{Health, Secret, Settings, Signed, Unproven, View};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::*;
use crate::edge;
use crate::front::accept;
use crate::pipe::Caps;

/// Whatever is awaited comes long before this, or never.
const LONG: Duration = Duration::from_secs(30);

const TRUNK: &str = "/trunk/00000000-0000-4000-8000-000000000001";

/// Runs a test where servers and actors run.
fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(async {
        timeout(LONG, test).await.expect("it ends in time");
    });
}

/// A node of a fleet with its listener.
struct Node {
    cluster: Cluster,
    addr: String,
    _data: TempDir,
}

/// So many nodes of one fleet.
async fn fleet(count: usize) -> Vec<Node> {
    let bind = |_| accept::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect();
    let addrs: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    let mut nodes = Vec::new();
    for (listener, addr) in listeners.into_iter().zip(addrs.clone()) {
        let data = TempDir::new().unwrap();
        let cluster = Cluster::start(Settings {
            name: addr.clone(),
            region: String::new(),
            advertise: addr.clone(),
            peers: addrs.clone(),
            expect: count,
            secret: Secret::new("the secret of the fleet").unwrap(),
            data_dir: data.path().to_owned(),
        });
        let cluster = cluster.unwrap();
        let caps =
            Caps { pending: 9, active: 9, receipts: 9, spectators_per_pipe: 9, spectators: 9 };
        let settings = edge::Settings { window: 1, stall: None, idle: None, copy: false, caps };
        let edge = Edge::new(settings, cluster.clone(), TransferId::random);
        actix_rt::spawn(start(listener, edge, cluster.clone()).unwrap());
        nodes.push(Node { cluster, addr, _data: data });
    }
    for node in &nodes {
        let mut views = node.cluster.changes();
        let settled = |view: &Arc<View>| {
            let up = view.members().iter().filter(|member| member.health == Health::Up);
            up.count() == count
        };
        views.wait_for(settled).await.unwrap();
    }
    nodes
}

/// What a node answers.
#[derive(Debug)]
struct Answer {
    status: u16,
    proof: Option<String>,
    /// It said that it would close the connection.
    closes: bool,
}

async fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let field = |name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        head.lines().find_map(value)
    };
    let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().unwrap(),
        proof: field(PROOF_HEADER),
        closes: field("connection").as_deref() == Some("close"),
    })
}

/// Writes a request, as it is, and reads the answer; `None`: there was none.
async fn ask(addr: &str, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    let answer = read(&mut stream).await?;
    if answer.closes {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it said so");
    }
    Some(answer)
}

/// What one node signs for another, as it goes over the wire.
fn request(signed: &Signed, method: &str, target: &str, rest: &str) -> String {
    let (name, value) = &signed.header;
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{name}: {value}\r\n{rest}")
}

impl Node {
    /// Learns the clock of `to`, if no answer has told it yet.
    async fn meet(&self, to: &Self) {
        let signed = self.cluster.sign(to.cluster.me(), "GET", "/").unwrap();
        let answer = ask(&to.addr, request(&signed, "GET", "/", "\r\n")).await.unwrap();
        let learned = self.cluster.verify(&signed, answer.status, answer.proof.as_deref());
        assert!(matches!(learned, Ok(()) | Err(Unproven::Stale)), "{learned:?}");
    }

    /// Asks with a signature and believes the answer: its status.
    async fn asks(&self, to: &Self, method: &str, target: &str, rest: &str) -> u16 {
        let signed = self.cluster.sign(to.cluster.me(), method, target).unwrap();
        let answer = ask(&to.addr, request(&signed, method, target, rest)).await.unwrap();
        let proven = self.cluster.verify(&signed, answer.status, answer.proof.as_deref());
        assert_eq!(proven, Ok(()), "{method} {target}: {answer:?}");
        answer.status
    }
}

#[test]
fn a_stranger_gets_nothing_but_a_status() {
    run(async {
        let nodes = fleet(1).await;
        let node = &nodes[0];
        let before = (node.cluster.view(), node.cluster.status());
        let forged = format!("{PEER_HEADER}: 1 1 2 3 4 5 {0} {0}", "0".repeat(64));
        let long = format!("{PEER_HEADER}: {}", "1 ".repeat(1000));
        for (line, field, status) in [
            // Whatever the public listeners know.
            ("GET /", "A: b", 404),
            ("GET /hello", "A: b", 404),
            ("PUT /hello", "Content-Length: 1000000000", 404),
            ("DELETE /hello", "A: b", 404),
            ("OPTIONS *", "A: b", 404),
            ("GET /metrics", "A: b", 404),
            ("POST /drain", "A: b", 404),
            ("GET /raft/vote", "A: b", 404),
            ("POST /trunk/1", "A: b", 404),
            ("GET /link/1/x", "A: b", 404),
            // What is here for others, and only for them.
            ("POST /raft/vote", "Content-Length: 1000000000", 401),
            ("POST /fleet/hello", "Transfer-Encoding: chunked", 401),
            ("POST /fleet/hello", forged.as_str(), 401),
            ("POST /fleet/hello", long.as_str(), 401),
            ("GET /link/1/1", "Connection: upgrade\r\nUpgrade: hoody-pipe-link/1", 401),
            (&format!("POST {TRUNK}"), "Content-Length: 10", 401),
            // What no parser should take.
            ("GET /", "Host: another", 400),
            ("GET /", "Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
            ("GET / x", "A: b", 400),
            ("GET /\x01", "A: b", 400),
            ("\x16\x03\x01", "A: b", 400),
            ("GET /", "A: b\r\n".repeat(97).trim_end(), 431),
        ] {
            let request = format!("{line} HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
            let answer = ask(&node.addr, &request).await.unwrap();
            assert_eq!((answer.status, answer.proof), (status, None), "{request}");
            assert!(answer.closes, "{request}");
        }
        assert!(ask(&node.addr, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.is_none());
        assert_eq!((node.cluster.view(), node.cluster.status()), before);
    });
}

#[test]
fn a_stranger_is_not_read_for_long() {
    run(async {
        let nodes = fleet(1).await;
        let addr = &nodes[0].addr;
        let open = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(HEADS.bytes));
        assert_eq!(ask(addr, open).await.unwrap().status, 431);
        // One that never ends its head.
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let answer = timeout(Duration::from_secs(8), read(&mut slow)).await;
        assert_eq!(answer.expect("less than a client gets").unwrap().status, 408);
    });
}

#[test]
fn a_member_is_let_in_and_told_what_there_is_not() {
    run(async {
        let nodes = fleet(2).await;
        let [a, b] = &nodes[..] else { panic!("two") };
        a.meet(b).await;
        assert_eq!(a.asks(b, "GET", "/nothing", "\r\n").await, 404);
        assert_eq!(a.asks(b, "POST", "/raft/nothing", "\r\n").await, 404);
        assert_eq!(a.asks(b, "GET", "/link/1/1", "\r\n").await, 426);
        let early = "Connection: upgrade\r\nUpgrade: hoody-pipe-link/1\r\n\r\nearly";
        assert_eq!(a.asks(b, "GET", "/link/1/1", early).await, 426);
        let large = format!("Content-Length: {}\r\n\r\n", BODY_MAX + 1);
        assert_eq!(a.asks(b, "POST", "/raft/vote", &large).await, 413);
        let stream = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(a.asks(b, "POST", "/raft/vote", stream).await, 411);
    });
}

#[test]
fn what_was_not_signed_is_not_read_and_what_was_seen_is_not_seen_again() {
    run(async {
        let nodes = fleet(2).await;
        let [a, b] = &nodes[..] else { panic!("two") };
        a.meet(b).await;
        let sign = |method, target| a.cluster.sign(b.cluster.me(), method, target).unwrap();
        let signed = sign("POST", "/raft/vote");
        let altered = request(&signed, "POST", "/raft/vote", "Content-Length: 3\r\n\r\nabc");
        let answer = ask(&b.addr, &altered).await.unwrap();
        assert_eq!((answer.status, answer.proof, answer.closes), (401, None, true));
        for (method, target) in [("POST", "/raft/append"), ("GET", "/raft/vote")] {
            let signed = sign("POST", "/raft/vote");
            let answer = ask(&b.addr, request(&signed, method, target, "\r\n")).await.unwrap();
            assert_eq!(answer.proof, None);
        }
        let signed = sign("GET", "/nothing");
        let twice = request(&signed, "GET", "/nothing", "\r\n");
        assert!(ask(&b.addr, &twice).await.unwrap().proof.is_some());
        assert!(ask(&b.addr, &twice).await.unwrap().proof.is_none());
    });
}

#[test]
fn several_requests_share_a_connection() {
    run(async {
        let nodes = fleet(2).await;
        let [a, b] = &nodes[..] else { panic!("two") };
        a.meet(b).await;
        let mut stream = TcpStream::connect(&b.addr).await.unwrap();
        // One that is served, one that is not, and one more, in one write.
        let targets = [("POST", "/raft/no"), ("GET", "/nothing"), ("POST", "/raft/no")];
        let signed = targets.map(|(method, target)| {
            let signed = a.cluster.sign(b.cluster.me(), method, target).unwrap();
            (request(&signed, method, target, "\r\n"), signed)
        });
        let all: String = signed.iter().map(|(request, _)| request.as_str()).collect();
        stream.write_all(all.as_bytes()).await.unwrap();
        for (_, signed) in &signed {
            let answer = read(&mut stream).await.unwrap();
            assert_eq!((answer.status, answer.closes), (404, false));
            assert_eq!(a.cluster.verify(signed, 404, answer.proof.as_deref()), Ok(()));
        }
    });
}

#[test]
fn members_link_to_each_other_and_a_link_lives() {
    run(async {
        let nodes = fleet(2).await;
        let [a, b] = &nodes[..] else { panic!("two") };
        while a.cluster.link_to(b.cluster.me()).is_none()
            || b.cluster.link_to(a.cluster.me()).is_none()
        {
            sleep(Duration::from_millis(10)).await;
        }
        // By hand, and newer than the one that stands.
        let target = format!("/link/{}/1", u64::MAX);
        let signed = a.cluster.sign(b.cluster.me(), "GET", &target).unwrap();
        let upgrade = "Connection: upgrade\r\nUpgrade: hoody-pipe-link/1\r\n\r\n";
        let mut stream = TcpStream::connect(&b.addr).await.unwrap();
        let request = request(&signed, "GET", &target, upgrade);
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read(&mut stream).await.unwrap();
        assert_eq!(a.cluster.verify(&signed, 101, answer.proof.as_deref()), Ok(()));
        assert_eq!(stream.read_u32().await.unwrap(), 0, "it says that it lives");
        stream.write_u32(u32::MAX).await.unwrap();
        let mut rest = Vec::new();
        // With something unread it may be a reset.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.chunks(4).all(|ping| ping == [0; 4]), "what is no frame ends the link");
    });
}
