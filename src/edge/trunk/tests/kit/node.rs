//! A node of the fleet: its edge, and a cluster listener as small as can be.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::BytesMut;
use hoody_pipe_cluster::link::LinkNumber;
use hoody_pipe_cluster::{
    Admitted, Epoch, Health, Member, PEER_HEADER, PROOF_HEADER, PeerRequest, Secret, Seed, View,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::*;
use crate::edge::{Edge, Settings};
use crate::pipe::{Caps, PartyId, PublicId, Seat, TransferId};

pub struct Node {
    pub edge: Edge,
    pub(super) me: NodeId,
    /// Parties that have come so far: the last part of their ids.
    seq: Cell<u64>,
    pub(super) trunks: Arc<Trunks>,
    pub(super) views: Arc<watch::Sender<Arc<View>>>,
}

/// What the cluster listener of a node serves.
#[derive(Default)]
pub(super) struct Trunks {
    /// Only while they are served: a socket is closed when nobody holds it.
    pub(super) sockets: Mutex<Vec<Weak<std::net::TcpStream>>>,
    pub(super) links: Mutex<Vec<std::net::TcpStream>>,
    pub(super) running: AtomicUsize,
}

pub(super) fn listener() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

impl Node {
    /// Each owns all names in its own view, and knows where the other is.
    pub(super) fn new(at: u64, listener: std::net::TcpListener, addrs: &[String; 2]) -> Self {
        let me = NodeId(at + 1);
        let member = |(i, addr): (usize, &String)| Member {
            id: NodeId(i as u64 + 1),
            name: format!("node-{i}"),
            addr: Some(addr.clone()),
            region: String::new(),
            boot: 1,
            health: if i as u64 == at { Health::Up } else { Health::Draining },
        };
        let members = addrs.iter().enumerate().map(member).collect();
        let view = Arc::new(View::of(Epoch(1), Seed([7; 16]), members));
        let views = Arc::new(watch::Sender::new(view));
        let secret = Secret::new("the secret of the fleet").unwrap();
        let cluster = Cluster::told(me, 1, &secret, views.clone()).unwrap();
        let (receipts, spectators_per_pipe, spectators) = (9, 1, 1);
        let caps = Caps { pending: 99, active: 99, receipts, spectators_per_pipe, spectators };
        let settings = Settings { window: 64 << 10, stall: None, idle: None, copy: false, caps };
        let edge = Edge::new(settings, cluster.clone(), TransferId::random);
        let trunks = Arc::new(Trunks::default());
        let served = (edge.clone(), trunks.clone());
        // The listener has a thread of its own, as it has in a node.
        std::thread::spawn(move || {
            let system = actix_rt::System::new();
            system.block_on(listen(listener, cluster, served.0, served.1));
        });
        Self { edge, me, seq: Cell::new(0), trunks, views }
    }

    /// The seat of the next party.
    pub(super) fn next_seat(&self) -> Seat {
        self.seq.set(self.seq.get() + 1);
        let party = PartyId { origin: self.me.0, boot: 1, seq: self.seq.get() };
        Seat { party, attempt: 1 }
    }
}

async fn listen(
    listener: std::net::TcpListener,
    cluster: Cluster,
    edge: Edge,
    trunks: Arc<Trunks>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        actix_rt::spawn(peer(stream, cluster.clone(), edge.clone(), trunks.clone()));
    }
}

/// Serves one connection as the cluster listener of a node does.
async fn peer(mut stream: TcpStream, cluster: Cluster, edge: Edge, trunks: Arc<Trunks>) {
    let mut head = BytesMut::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
            continue;
        }
        return;
    };
    let unread = head.split_off(end);
    let text = String::from_utf8(head.to_vec()).unwrap();
    let mut first = text.lines().next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let header = text.lines().find_map(|line| line.strip_prefix(&format!("{PEER_HEADER}: ")));
    match cluster.admit(&PeerRequest { method, target, header }) {
        Err(denied) => {
            let proof = denied.proof.unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 {} No\r\ncontent-length: 0\r\n{PROOF_HEADER}: {proof}\r\n\r\n",
                denied.status
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
        Ok(admitted) => {
            let socket = SockRef::from(&stream).try_clone().unwrap();
            let Some(transfer) = target.strip_prefix("/trunk/") else {
                trunks.links.lock().unwrap().push(socket.into());
                return link(stream, &cluster, &edge, target, &admitted).await;
            };
            let PublicId::Uuid(transfer) = PublicId::from(transfer) else { panic!("{target}") };
            let socket: Arc<std::net::TcpStream> = Arc::new(socket.into());
            trunks.sockets.lock().unwrap().push(Arc::downgrade(&socket));
            trunks.running.fetch_add(1, Ordering::SeqCst);
            serve(&edge, stream, unread, transfer, &admitted).await;
            drop(socket);
            trunks.running.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Serves a link as the cluster listener of a node does.
async fn link(
    mut stream: TcpStream,
    cluster: &Cluster,
    edge: &Edge,
    target: &str,
    admitted: &Admitted,
) {
    let number = LinkNumber::of_target(target).unwrap();
    let answer = format!(
        "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: {}\r\n{PROOF_HEADER}: {}\r\n\r\n",
        hoody_pipe_cluster::link::UPGRADE,
        admitted.proof(101, b""),
    );
    if stream.write_all(answer.as_bytes()).await.is_ok()
        && let Some(incoming) = cluster.accept(admitted, number, stream)
    {
        edge.serve_link(incoming).await;
    }
}
