//! Nodes that talk to each other over real sockets, with a listener as small as can be.

mod calls;
#[path = "../../tests/common/http.rs"]
mod http;
mod links;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::link::{Incoming, LinkEvent, LinkNumber, UPGRADE};
use crate::net::Net;
use crate::placement::Seed;
use crate::view::{Epoch, Health, Member, NodeId, View};
use crate::{Cluster, Denied, PEER_HEADER, PROOF_HEADER, PeerRequest, Secret};

use self::http::{Request, answer, upgrade};

/// Whatever is awaited comes long before this, or never.
const LONG: Duration = Duration::from_secs(20);

pub(super) const A: NodeId = NodeId(0xa);
pub(super) const B: NodeId = NodeId(0xb);

/// Where nobody listens.
pub(super) const NOBODY: &str = "127.0.0.1:1";

/// A node: its cluster, its listener, and what comes in.
pub(super) struct Node {
    cluster: Cluster,
    addr: String,
    events: mpsc::Receiver<LinkEvent>,
    /// Links that others have made to here.
    incoming: mpsc::Receiver<Incoming>,
    /// Each target that somebody who is nobody has asked for.
    denied: mpsc::Receiver<String>,
}

pub(super) fn secret() -> Secret {
    Secret::new("the secret of the fleet").unwrap()
}

/// Waits for what must come.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("it comes in time")
}

impl Node {
    pub(super) async fn new(id: NodeId) -> Self {
        Self::with(id, 1, secret()).await
    }

    pub(super) async fn with(id: NodeId, boot: u64, secret: Secret) -> Self {
        let views = Arc::new(watch::Sender::new(Arc::new(View::unknown())));
        let cluster = Cluster::told(id, boot, &secret, views).unwrap();
        let events = cluster.link_events().expect("they are given out once");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (links, incoming) = mpsc::channel(16);
        let (nobodies, denied) = mpsc::channel(1024);
        tokio::spawn(listen(listener, cluster.clone(), links, nobodies));
        Self { cluster, addr, events, incoming, denied }
    }

    pub(super) fn net(&self) -> &Net {
        self.cluster.net.as_ref().unwrap()
    }

    /// Makes all of them members in this node's view.
    pub(super) fn sees(&self, epoch: u64, others: &[(NodeId, &str)]) {
        let member = |&(id, addr): &(NodeId, &str)| Member {
            id,
            name: format!("{id:?}"),
            addr: Some(addr.to_owned()),
            region: String::new(),
            boot: 1,
            health: Health::Up,
        };
        let me = [(self.cluster.me, self.addr.as_str())];
        let members = me.iter().chain(others).map(member).collect();
        let view = View::of(Epoch(epoch), Seed([1; 16]), members);
        self.cluster.views.send_replace(Arc::new(view));
    }

    pub(super) async fn event(&mut self) -> LinkEvent {
        soon(self.events.recv()).await.expect("the mesh lives")
    }

    pub(super) async fn incoming(&mut self) -> Incoming {
        soon(self.incoming.recv()).await.expect("the listener lives")
    }
}

/// Accepts until the test is over.
async fn listen(
    listener: TcpListener,
    cluster: Cluster,
    links: mpsc::Sender<Incoming>,
    denied: mpsc::Sender<String>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (cluster, links, denied) = (cluster.clone(), links.clone(), denied.clone());
        tokio::spawn(async move {
            let mut stream = stream;
            while let Some(request) = Request::read(&mut stream).await {
                let Request { method, target, header, body } = &request;
                let head = PeerRequest { method, target, header: header.as_deref() };
                let admitted = match cluster.admit(&head) {
                    Ok(admitted) => admitted,
                    Err(Denied { status, proof }) => {
                        let _ = denied.try_send(request.target);
                        answer(&mut stream, status, proof, b"").await;
                        continue;
                    }
                };
                if let Some(number) = LinkNumber::of_target(target) {
                    upgrade(&mut stream, &admitted.proof(101, b"")).await;
                    let link = cluster.accept(&admitted, number, stream).unwrap();
                    let _ = links.send(link).await;
                    return;
                }
                assert!(admitted.covers(body));
                let proof = admitted.proof(200, body);
                answer(&mut stream, 200, Some(proof), body).await;
            }
        });
    }
}

/// Stands between a node and those who reach it through here, and can be cut or held.
pub(super) struct Wire {
    pub(super) addr: String,
    there: watch::Sender<SocketAddr>,
    cut: watch::Sender<bool>,
    held: watch::Sender<bool>,
}

impl Wire {
    pub(super) async fn to(addr: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let (cut, held) = (watch::Sender::new(false), watch::Sender::new(false));
        let there = watch::Sender::new(addr.parse().unwrap());
        let leads_to = there.subscribe();
        let (cuts, holds) = (cut.clone(), held.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let there = *leads_to.borrow();
                let far = TcpStream::connect(there).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, cuts.subscribe(), holds.subscribe()));
                tokio::spawn(carry(far_read, near_write, cuts.subscribe(), holds.subscribe()));
            }
        });
        Self { addr: here, there, cut, held }
    }

    /// New connections go there from now on.
    pub(super) fn lead_to(&self, addr: &str) {
        self.there.send_replace(addr.parse().unwrap());
    }

    /// Closes all connections there are.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
        self.cut.send_replace(false);
    }

    /// From now on nothing passes, and nothing is closed.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
    mut held: watch::Receiver<bool>,
) {
    let mut buf = vec![0; 64 << 10];
    let copy = async {
        while let Ok(read @ 1..) = from.read(&mut buf).await {
            let _ = held.wait_for(|held| !held).await;
            if to.write_all(&buf[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = copy => {}
        _ = cut.changed() => {}
    }
}
