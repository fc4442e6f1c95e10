//! A fleet of real nodes: started, killed, frozen, restarted and asked what they think of each other.
//! Knows the command line and the admin listener, and nothing of what flows between nodes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{PATIENCE, Raw, SOON, Server, eventually, unique};
use crate::network::Network;

/// What every node of these fleets knows, unless a test says otherwise.
const SECRET: &str = "a secret of these tests only";

/// The ports of every node; addresses tell the nodes apart.
const PUBLIC: u16 = 8080;
const ADMIN: u16 = 9090;
/// Where nodes talk to each other.
pub const CLUSTER: u16 = 7946;

/// Where the lock of a subnet is held: below the ports that the kernel gives out by itself.
const LOCK: u16 = 7945;

/// How long a fleet may take to agree after a change; never part of an assertion.
const AGREEMENT: Duration = Duration::from_secs(40);

/// Several nodes that share a secret. Dropping it kills them all, frozen ones too.
pub struct Fleet {
    nodes: Vec<Node>,
    /// How many of them formed the fleet.
    first: usize,
    folder: TempDir,
    place: Place,
    flags: Vec<String>,
    /// Names that nobody uses, by owner; found while others were wanted.
    found: RefCell<HashMap<usize, Vec<String>>>,
}

/// One node, running or not.
struct Node {
    host: String,
    server: Option<Server>,
    frozen: Cell<bool>,
    /// Counts wiped disks.
    life: u32,
}

/// Where the addresses of a fleet come from.
enum Place {
    /// Loopback addresses `127.a.b.1` and on. The listener is a lock on this subnet.
    Loopback(String, #[allow(dead_code, reason = "held")] TcpListener),
    /// A network namespace for each node.
    Namespaces(Network),
}

impl Place {
    /// A subnet of the loopback network that no other test uses.
    fn loopback() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let at = std::process::id().wrapping_mul(31) + NEXT.fetch_add(1, Ordering::Relaxed);
            let subnet = format!("127.{}.{}", 64 + (at >> 8) % 128, at % 256);
            if let Ok(lock) = TcpListener::bind((format!("{subnet}.250"), LOCK)) {
                return Place::Loopback(subnet, lock);
            }
        }
    }

    fn host(&self, at: usize) -> String {
        match self {
            Place::Loopback(subnet, _) => format!("{subnet}.{}", at + 1),
            Place::Namespaces(network) => network.host(at),
        }
    }

    fn namespace(&self, at: usize) -> Option<String> {
        match self {
            Place::Loopback(..) => None,
            Place::Namespaces(network) => Some(network.namespace(at)),
        }
    }
}

/// Starting and stopping.
impl Fleet {
    /// A fleet of `size` nodes that have found each other.
    #[track_caller]
    pub fn start(size: usize) -> Fleet {
        Fleet::with(size, &[])
    }

    /// The same, with more flags for every node.
    #[track_caller]
    pub fn with(size: usize, flags: &[&str]) -> Fleet {
        Fleet::at(Place::loopback(), size, flags)
    }

    /// The same, each node in a network namespace of its own.
    #[track_caller]
    pub fn in_namespaces(network: Network, size: usize, flags: &[&str]) -> Fleet {
        Fleet::at(Place::Namespaces(network), size, flags)
    }

    #[track_caller]
    fn at(place: Place, size: usize, flags: &[&str]) -> Fleet {
        let fleet = Fleet::idle(place, size, flags);
        let mut fleet = fleet;
        for at in 0..size {
            fleet.run(at);
        }
        fleet.settled();
        fleet
    }

    /// A fleet of which no node runs yet.
    pub fn idle_with(size: usize, flags: &[&str]) -> Fleet {
        Fleet::idle(Place::loopback(), size, flags)
    }

    fn idle(place: Place, size: usize, flags: &[&str]) -> Fleet {
        let folder = TempDir::new().unwrap();
        write_secret(&folder.path().join("secret"), SECRET);
        let nodes = (0..size).map(|at| Node::new(place.host(at))).collect();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Fleet { nodes, first: size, folder, place, flags, found: RefCell::default() }
    }

    /// Runs a node that is not running, with the data it left behind.
    pub fn run(&mut self, at: usize) {
        let flags = self.flags_of(at);
        self.run_with(at, &flags);
    }

    /// Runs it with these flags instead of [`Fleet::flags_of`].
    pub fn run_with(&mut self, at: usize, flags: &[String]) {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let server = Server::start_at(self.place.namespace(at).as_deref(), &flags);
        let node = &mut self.nodes[at];
        assert!(node.server.is_none(), "it runs already");
        node.server = Some(server);
        node.frozen.set(false);
    }

    /// The command line of a node.
    pub fn flags_of(&self, at: usize) -> Vec<String> {
        let node = &self.nodes[at];
        let host = &node.host;
        let mut peers: Vec<String> = (0..self.first).map(|at| self.peer(at)).collect();
        if at >= self.first {
            peers.push(self.peer(at));
        }
        let secret = self.folder.path().join("secret").display().to_string();
        let pairs = [
            ("--listen", format!("{host}:{PUBLIC}")),
            ("--admin-listen", format!("{host}:{ADMIN}")),
            ("--cluster-listen", self.peer(at)),
            ("--cluster-advertise", self.peer(at)),
            ("--cluster-peers", peers.join(",")),
            ("--cluster-secret-file", secret),
            ("--data-dir", self.data(at).display().to_string()),
            ("--node-id", Fleet::name(at)),
        ];
        let mut flags: Vec<String> =
            pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        flags.extend(self.flags.iter().cloned());
        flags
    }

    /// What a node is called.
    pub fn name(at: usize) -> String {
        format!("node-{}", (b'a' + at as u8) as char)
    }

    /// Where a node keeps the membership.
    pub fn data(&self, at: usize) -> PathBuf {
        self.folder.path().join(format!("data-{at}-{}", self.nodes[at].life))
    }

    /// Where other nodes reach a node.
    pub fn peer(&self, at: usize) -> String {
        format!("{}:{CLUSTER}", self.nodes[at].host)
    }

    /// The address of a node without a port.
    pub fn host(&self, at: usize) -> &str {
        &self.nodes[at].host
    }

    /// Puts a further node there that does not run yet. The others have never heard of it.
    pub fn add(&mut self) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node::new(self.place.host(at)));
        at
    }

    /// Forgets what a stopped node had on its disk.
    pub fn wipe(&mut self, at: usize) {
        assert!(self.nodes[at].server.is_none(), "it still runs");
        self.nodes[at].life += 1;
    }

    /// Kills a node with SIGKILL.
    pub fn kill(&mut self, at: usize) {
        self.node(at).signal(Signal::KILL);
        self.nodes[at].server = None;
        self.found.borrow_mut().clear();
    }

    /// Stops a node as a machine that hangs.
    pub fn freeze(&self, at: usize) {
        self.node(at).signal(Signal::STOP);
        self.nodes[at].frozen.set(true);
        self.found.borrow_mut().clear();
    }

    /// Lets it go on.
    pub fn thaw(&self, at: usize) {
        self.node(at).signal(Signal::CONT);
        self.nodes[at].frozen.set(false);
        self.found.borrow_mut().clear();
    }

    /// Takes a node out of the fleet's hands, for what ends it otherwise.
    pub fn take(&mut self, at: usize) -> Server {
        self.found.borrow_mut().clear();
        self.nodes[at].server.take().expect("it runs")
    }

    /// The namespaces, if the fleet runs in some.
    pub fn network(&self) -> &Network {
        match &self.place {
            Place::Namespaces(network) => network,
            Place::Loopback(..) => panic!("a fleet on loopback addresses"),
        }
    }
}

impl Node {
    fn new(host: String) -> Node {
        Node { host, server: None, frozen: Cell::new(false), life: 0 }
    }
}

/// A file that nobody else may read.
pub fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(secret.as_bytes()).unwrap();
}

/// Looking.
impl Fleet {
    /// A running node.
    #[track_caller]
    pub fn node(&self, at: usize) -> &Server {
        self.nodes[at].server.as_ref().expect("this node runs")
    }

    /// The nodes that run and are not frozen.
    pub fn up(&self) -> Vec<usize> {
        let is_up = |node: &Node| node.server.is_some() && !node.frozen.get();
        (0..self.nodes.len()).filter(|&at| is_up(&self.nodes[at])).collect()
    }

    /// The URL of `target` at a node.
    pub fn url(&self, at: usize, target: &str) -> String {
        format!("http://{}:{PUBLIC}{target}", self.nodes[at].host)
    }

    /// What a node says of the fleet.
    #[track_caller]
    pub fn cluster(&self, at: usize) -> Value {
        let (head, text) = self.node(at).admin_answers("GET", "/cluster", &[]);
        head.expect(200);
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// The health of each node as one node sees it; `None`: not a member.
    pub fn health(&self, seen_by: usize, of: usize) -> Option<String> {
        member(&self.cluster(seen_by), &self.peer(of))
            .map(|member| member["health"].as_str().expect("a text").to_owned())
    }

    /// Whether `/readyz` of a node says 200.
    pub fn is_ready(&self, at: usize) -> bool {
        self.node(at).admin_answers("GET", "/readyz", &[]).0.status == 200
    }

    /// The node that leads, once all that run say the same.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let mut leader = None;
        eventually("all know one leader", AGREEMENT, || {
            let up = self.up();
            let said: Vec<_> = up.iter().map(|&at| self.led_by(&self.cluster(at))).collect();
            leader = said[0].filter(|leader| up.contains(leader));
            leader.is_some() && said.iter().all(|one| *one == leader)
        });
        leader.unwrap()
    }

    fn led_by(&self, cluster: &Value) -> Option<usize> {
        let name = cluster["leader"].as_str()?;
        let members = cluster["members"].as_array()?;
        let addr = members.iter().find(|member| member["id"] == name)?["addr"].as_str()?;
        (0..self.nodes.len()).find(|&at| self.peer(at) == addr)
    }

    /// Waits until the nodes that run are ready, have the same view, and nobody else is up in it.
    #[track_caller]
    pub fn settled(&self) {
        self.settled_within(AGREEMENT);
    }

    /// The same, with a bound that counts.
    #[track_caller]
    pub fn settled_within(&self, limit: Duration) {
        let mut last = Vec::new();
        let start = std::time::Instant::now();
        loop {
            let up = self.up();
            last.clear();
            last.extend(up.iter().map(|&at| self.cluster(at)));
            if self.agree(&up, &last) && up.iter().all(|&at| self.is_ready(at)) {
                return;
            }
            assert!(start.elapsed() < limit, "no agreement of {up:?} within {limit:?}: {last:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn agree(&self, up: &[usize], said: &[Value]) -> bool {
        let same = said.iter().all(|one| one["epoch"] == said[0]["epoch"]);
        let right = |one: &Value| {
            let is_up = |at| member(one, &self.peer(at)).is_some_and(|m| m["health"] == "up");
            let members = one["members"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|member| member["health"] == "up").count());
            up.iter().all(|&at| is_up(at)) && members == up.len() && self.led_by(one).is_some()
        };
        same && said.iter().all(right)
    }

    /// A name that nobody uses and that belongs to `owner`. Only in a fleet where nobody waits
    /// meanwhile: a receiver waits there, and whose count of waiting names rises is the owner.
    #[track_caller]
    pub fn name_owned_by(&self, owner: usize) -> String {
        loop {
            let found = self.found.borrow_mut().get_mut(&owner).and_then(Vec::pop);
            if let Some(name) = found {
                return name;
            }
            let name = unique();
            let at = self.owner_of(&name);
            self.found.borrow_mut().entry(at).or_default().push(name);
        }
    }

    /// The node that owns a name nobody uses.
    #[track_caller]
    pub fn owner_of(&self, name: &str) -> usize {
        let up = self.up();
        let nobody = vec![0; up.len()];
        eventually("who was here before is gone", PATIENCE, || self.waiting(&up) == nobody);
        let receiver = self.node(up[0]).get(&format!("{name}?n=256"));
        let mut owner = None;
        eventually("somebody owns the name", PATIENCE, || {
            let rises = self.waiting(&up).iter().position(|waiting| *waiting > 0);
            owner = rises.map(|at| up[at]);
            owner.is_some()
        });
        let owner = owner.unwrap();
        drop(receiver);
        eventually("the receiver is gone", PATIENCE, || self.waiting(&up) == nobody);
        owner
    }

    /// How many names wait at each of these owners.
    pub fn waiting(&self, nodes: &[usize]) -> Vec<u64> {
        let waiting = |&at: &usize| self.cluster(at)["pipes"]["waiting"].as_u64();
        nodes.iter().map(|at| waiting(at).expect("a number")).collect()
    }
}

/// Who has that address, as somebody sees it.
pub fn member<'a>(cluster: &'a Value, addr: &str) -> Option<&'a Value> {
    cluster["members"].as_array()?.iter().find(|member| member["addr"] == addr)
}

/// Clients.
impl Fleet {
    /// A sender at `from` and its receivers at `to`, streaming; all heads are read.
    #[track_caller]
    pub fn streaming(&self, name: &str, from: usize, to: &[usize]) -> (Raw, Vec<Raw>) {
        let n = to.len();
        let target = format!("{name}?n={n}");
        let mut sender = self.node(from).put(&target);
        sender.head().expect(200);
        let mut receivers: Vec<Raw> = to.iter().map(|&at| self.node(at).get(&target)).collect();
        sender.line_until(&format!("[INFO] Streaming to {n} receiver(s)..."));
        for receiver in &mut receivers {
            receiver.head().expect(200);
        }
        (sender, receivers)
    }

    /// A receiver that is known to be attached: `sender` is told so.
    #[track_caller]
    pub fn joins(&self, sender: &mut Raw, at: usize, target: &str) -> Raw {
        let receiver = self.node(at).get(target);
        sender.expect_line("[INFO] A receiver connected.");
        receiver
    }

    /// Proves that a name works between two nodes.
    #[track_caller]
    pub fn assert_usable(&self, name: &str, from: usize, to: usize) {
        let (mut sender, mut receivers) = self.streaming(name, from, &[to]);
        sender.chunk(b"still here");
        sender.finish();
        let got = receivers[0].rest();
        assert_eq!(got, (b"still here".to_vec(), crate::common::End::Clean));
        crate::common::reading::expect_complete(&mut sender);
    }

    /// Waits until nobody waits and nothing runs at any node that is up.
    #[track_caller]
    pub fn assert_empty(&self) {
        eventually("nothing is left", PATIENCE, || {
            self.up().iter().all(|&at| {
                let pipes = &self.cluster(at)["pipes"];
                pipes["waiting"] == 0 && pipes["streaming"] == 0
            })
        });
    }
}

/// Prints a measured time as a line of a table, past the capture of the test runner, and fails if
/// it is far over its bound.
#[track_caller]
pub fn measured(what: &str, time: Duration, bound: Duration) {
    let line = format!("FAULT | {what} | {:.1} s | {} s\n", time.as_secs_f64(), bound.as_secs());
    let _ = std::io::stderr().write_all(line.as_bytes());
    assert!(time <= bound * BUSY, "{what}: {time:?}, the bound is {bound:?}");
}

/// Bounds are those of the specification. On a machine that does other work besides, a test fails only
/// where a time is not just late: a fault that is never noticed takes minutes.
const BUSY: u32 = 2;

/// Prints a line past the capture of the test runner: a number worth quoting, or why a test is skipped.
pub fn remark(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// What goes on must go on at once; with room for a busy machine.
pub const AT_ONCE: Duration = SOON;
