//! Where a node of a test lives: a name, an address, a directory; and a listener as small as can be.
//! Looks at nothing but what the crate shows to its users.

#[path = "../common/http.rs"]
mod http;

use std::thread::yield_now;
use std::time::{Duration, Instant};

use hoody_pipe_cluster::link::{LinkNumber, UPGRADE};
use hoody_pipe_cluster::{
    Cluster, Health, NodeId, PEER_HEADER, PROOF_HEADER, PeerRequest, Secret, Settings,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use self::http::{Request, answer, upgrade};

/// Whatever is awaited comes long before this, or never.
const LONG: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What outlives a node: it can be started there again and again.
pub struct Site {
    pub name: String,
    addr: String,
    dir: TempDir,
}

/// A running node.
pub struct Node {
    pub cluster: Cluster,
    listener: JoinHandle<()>,
    deaf: watch::Sender<bool>,
}

pub fn secret() -> Secret {
    Secret::new("the secret of the fleet").expect("it is long enough")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// So many sites on a network of their own: no connection of another test has these addresses.
pub fn sites(net: u8, count: u8) -> Vec<Site> {
    let site = |host: u8| {
        let free =
            std::net::TcpListener::bind(format!("127.77.{net}.{host}:0")).expect("a port is free");
        let addr = free.local_addr().expect("it is bound").to_string();
        Site { name: format!("node-{host}"), addr, dir: directory() }
    };
    (1..=count).map(site).collect()
}

/// Waits until it is so.
pub async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(PAUSE).await;
        }
    };
    timeout(LONG, wait).await.expect("it comes to be so in time");
}

/// Waits until it is so at all of these nodes.
pub async fn all(nodes: &[&Node], so: impl Fn(&Node) -> bool) {
    let wait = async {
        while !nodes.iter().all(|node| so(node)) {
            sleep(PAUSE).await;
        }
    };
    if timeout(LONG, wait).await.is_err() {
        let seen = |node: &&Node| format!("{:?} {:?}\n", node.cluster.status(), node.healths());
        panic!("it is not so in time:\n{}", nodes.iter().map(seen).collect::<String>());
    }
}

impl Site {
    pub fn list(sites: &[Site]) -> Vec<String> {
        sites.iter().map(|site| site.addr.clone()).collect()
    }

    pub fn start(&self, list: &[String], expect: usize) -> Node {
        self.start_as(&self.name, secret(), list, expect)
    }

    pub fn start_as(&self, name: &str, secret: Secret, list: &[String], expect: usize) -> Node {
        let cluster = self.open(name, secret, list, expect);
        let socket = std::net::TcpListener::bind(&self.addr).expect("its address is its own");
        socket.set_nonblocking(true).expect("a socket can wait");
        let listener = TcpListener::from_std(socket).expect("a socket can be awaited");
        let (deaf, hears) = watch::channel(false);
        let listener = tokio::spawn(listen(listener, cluster.clone(), hears));
        Node { cluster, listener, deaf }
    }

    /// Starts a node as soon as the last tasks of a killed one have let go of its disk.
    fn open(&self, name: &str, secret: Secret, list: &[String], expect: usize) -> Cluster {
        let begun = Instant::now();
        loop {
            match Cluster::start(self.settings(name, secret.clone(), list, expect)) {
                Ok(cluster) => return cluster,
                Err(error) => {
                    let busy = format!("{error:#}").contains("already open");
                    assert!(busy && begun.elapsed() < LONG, "it does not start: {error:#}");
                    yield_now();
                }
            }
        }
    }

    pub fn try_start(&self, list: &[String], expect: usize) -> anyhow::Result<Cluster> {
        Cluster::start(self.settings(&self.name, secret(), list, expect))
    }

    fn settings(&self, name: &str, secret: Secret, list: &[String], expect: usize) -> Settings {
        Settings {
            name: name.to_owned(),
            region: "here".to_owned(),
            advertise: self.addr.clone(),
            peers: list.to_vec(),
            expect,
            secret,
            data_dir: self.dir.path().to_owned(),
        }
    }

    /// The disk is lost.
    pub fn wipe(&mut self) {
        self.dir = directory();
    }
}

impl Node {
    /// Ends it without a word, and waits until its tasks are ending.
    pub async fn kill(self) {
        self.listener.abort();
        let _ = self.listener.await;
        let views = self.cluster.changes();
        drop(self.cluster);
        until(|| views.has_changed().is_err()).await;
    }

    /// Nothing that comes in is answered any more, and what it says itself is heard as before; or that is
    /// over.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.send_replace(deaf);
    }

    pub fn healths(&self) -> Vec<(NodeId, Health)> {
        self.cluster.view().members().iter().map(|it| (it.id, it.health)).collect()
    }

    pub fn health(&self, id: NodeId) -> Option<Health> {
        self.cluster.view().member(id).map(|member| member.health)
    }

    pub fn sees_all(&self, health: Health) -> bool {
        self.healths().iter().all(|(_, it)| *it == health)
    }
}

/// Serves until it is aborted; all connections end with it.
async fn listen(listener: TcpListener, cluster: Cluster, mut deaf: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let hears = !*deaf.borrow_and_update();
        tokio::select! {
            accepted = listener.accept(), if hears => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(serve(stream, cluster.clone()));
            }
            changed = deaf.changed() => {
                if changed.is_err() {
                    return;
                }
                connections.abort_all();
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, cluster: Cluster) {
    while let Some(request) = Request::read(&mut stream).await {
        let Request { method, target, header, body } = &request;
        let head = PeerRequest { method, target, header: header.as_deref() };
        let admitted = match cluster.admit(&head) {
            Ok(admitted) => admitted,
            Err(denied) => {
                answer(&mut stream, denied.status, denied.proof, b"").await;
                continue;
            }
        };
        if let Some(number) = LinkNumber::of_target(target) {
            upgrade(&mut stream, &admitted.proof(101, b"")).await;
            let mut link = cluster.accept(&admitted, number, stream).expect("it has others");
            drop(cluster);
            while link.next().await.is_some() {}
            return;
        }
        let (status, said) = cluster.answer(&admitted, target, body).await;
        answer(&mut stream, status, Some(admitted.proof(status, &said)), &said).await;
    }
}
