//! Two nodes with their cluster listeners, a sender at one, receivers at both, and the owner's word.

mod client;
mod node;
mod sender;

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use hoody_pipe_cluster::{Epoch, Health, Seed, View};

use super::*;
use crate::edge::wire::Down;
use crate::edge::{Edge, SendWish};
use crate::pipe::{Answer, Role, Seat, TransferId};

pub use client::Client;
pub use node::Node;
use node::listener;
pub use sender::Sender;

pub const PREFACE: &str = "HEAD\r\n\r\n";

/// Runs a test with a fleet of two.
pub fn run(test: impl AsyncFnOnce(Fleet)) {
    actix_rt::System::new().block_on(async {
        let fleet = Fleet::new().await;
        tokio::time::timeout(Duration::from_secs(60), test(fleet)).await.expect("it ends in time");
    });
}

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes in time")
}

/// Waits until it is so.
pub async fn until(so: impl Fn() -> bool) {
    soon(async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

pub struct Fleet {
    /// Where senders are.
    pub a: Node,
    pub b: Node,
    /// The newest view that both know.
    epoch: Cell<u64>,
    /// Whether the sockets of new receivers hold little.
    narrow: Cell<bool>,
}

impl Fleet {
    async fn new() -> Self {
        let listeners = [listener(), listener()];
        let addrs = listeners.each_ref().map(|l| l.local_addr().unwrap().to_string());
        let [first, second] = listeners;
        let (a, b) = (Node::new(0, first, &addrs), Node::new(1, second, &addrs));
        let fleet = Self { a, b, epoch: Cell::new(1), narrow: Cell::new(false) };
        for node in fleet.nodes() {
            let edge = node.edge.clone();
            tokio::task::spawn_local(async move { edge.attend().await });
        }
        fleet
    }

    fn nodes(&self) -> [&Node; 2] {
        [&self.a, &self.b]
    }

    /// Both learn that node 0 or 1 owns all names now. Returns when both have links.
    pub async fn owned_by(&self, at: usize) {
        self.owner_in_view(at);
        until(|| self.is_linked()).await;
    }

    /// The same, whatever their links are like.
    pub fn owner_in_view(&self, at: usize) {
        self.epoch.set(self.epoch.get() + 1);
        for node in self.nodes() {
            let mut members = node.views.borrow().members().to_vec();
            for (i, member) in members.iter_mut().enumerate() {
                member.health = if i == at { Health::Up } else { Health::Draining };
            }
            let view = View::of(Epoch(self.epoch.get()), Seed([7; 16]), members);
            node.views.send_replace(Arc::new(view));
        }
    }

    fn is_linked(&self) -> bool {
        let link = |a: &Node, b: &Node| a.edge.cluster().link_to(b.me);
        link(&self.a, &self.b).is_some() && link(&self.b, &self.a).is_some()
    }

    /// Breaks the links both ways, and waits for new ones.
    pub async fn break_links(&self) {
        let link = || self.a.edge.cluster().link_to(self.b.me);
        let old = link();
        for node in self.nodes() {
            for socket in node.trunks.links.lock().unwrap().drain(..) {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
        until(|| self.is_linked() && link() != old).await;
    }

    /// A sender at the first node that waits for so many receivers.
    pub fn sender(&self, n: u16) -> Sender {
        let sender = Sender::new(&self.a, n, |_| ());
        sender.head();
        sender
    }

    /// A receiver at node 0 or 1.
    pub async fn receiver(&self, at: usize, n: u16) -> Client {
        Client::new(self.nodes()[at], n, false).await
    }

    /// A fleet whose node b knows a wrong address of the other.
    pub async fn apart() -> Self {
        let mut fleet = Self::new().await;
        let closed = listener().local_addr().unwrap().to_string();
        let (b, own) = (listener(), String::new());
        fleet.b = Node::new(1, b, &[closed, own]);
        fleet
    }

    /// A match that has started, with a head.
    pub async fn meet(&self, local: usize, remote: usize) -> Talk {
        self.meet_with(local, remote, |_| ()).await
    }

    pub async fn meet_with(
        &self,
        local: usize,
        remote: usize,
        wish: impl FnOnce(&mut SendWish),
    ) -> Talk {
        let talk = self.talk(local, remote, wish, false).await;
        talk.sender.head();
        talk.sender.confirm();
        talk
    }

    /// One whose receivers, all elsewhere, hold little that they have not read.
    pub async fn meet_narrow(&self, remote: usize) -> Talk {
        self.narrow.set(true);
        self.meet(0, remote).await
    }

    /// One whose receivers elsewhere want the bytes hashed.
    pub async fn meet_hashed(&self, local: usize, remote: usize) -> Talk {
        let talk = self.talk(local, remote, |_| (), true).await;
        talk.sender.head();
        talk.sender.confirm();
        talk
    }

    pub async fn meet_without_head(&self, local: usize, remote: usize) -> Talk {
        let talk = self.talk(local, remote, |_| (), false).await;
        talk.sender.confirm();
        talk
    }

    /// A match whose sender does not confirm that it is there.
    pub async fn invite(&self, local: usize, remote: usize) -> Talk {
        let talk = self.talk(local, remote, |_| (), false).await;
        talk.sender.head();
        talk
    }

    async fn talk(
        &self,
        local: usize,
        remote: usize,
        wish: impl FnOnce(&mut SendWish),
        sha256: bool,
    ) -> Talk {
        self.talk_to(local, remote, wish, sha256, false).await
    }

    async fn talk_to(
        &self,
        local: usize,
        remote: usize,
        wish: impl FnOnce(&mut SendWish),
        sha256: bool,
        deaf: bool,
    ) -> Talk {
        let n = u16::try_from(local + remote).unwrap();
        let sender = Sender::new(&self.a, n, wish);
        let mut receivers = Vec::new();
        for node in [vec![&self.a; local], vec![&self.b; remote]].concat() {
            let sha256 = sha256 && node.me == self.b.me;
            receivers.push(Client::with(node, n, sha256, self.narrow.get()).await);
        }
        let hear = [self.a.edge.clone(), self.b.edge.clone()];
        let talk = Talk { transfer: TransferId::random(), sender, receivers, hear };
        if !deaf {
            talk.begin_sender();
        }
        talk.begin_receivers();
        talk
    }

    /// A match of which the sender has not heard yet.
    pub async fn unheard(&self, remote: usize) -> Talk {
        let talk = self.talk_to(0, remote, |_| (), false, true).await;
        talk.sender.head();
        talk.sender.confirm();
        talk
    }

    /// Waits until so many trunks have rung at the senders' node.
    pub async fn rung(&self, count: usize) {
        until(|| self.a.trunks.running.load(Ordering::SeqCst) == count).await;
    }

    /// A receiver that hears of a running transfer as if it were in it.
    pub async fn latecomer(&self, talk: &Talk) -> Client {
        let late = Client::new(&self.b, 2, false).await;
        let begin = Answer::Begin {
            transfer: talk.transfer,
            sender: talk.sender.seat.get(),
            receivers: vec![late.seat.get()],
            role: Role::Receiver,
        };
        hears(&self.b.edge, begin);
        late
    }

    /// Closes the connections of all trunks, in both directions.
    pub fn break_trunks(&self) {
        let sockets: Vec<_> = self.a.trunks.sockets.lock().unwrap().drain(..).collect();
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Waits until no party, trunk or dial is left.
    pub async fn is_idle(&self) {
        until(|| {
            let nodes = [&self.a, &self.b];
            let parties: usize = nodes.iter().map(|node| node.edge.parties()).sum();
            let trunks = |node: &&Node| node.trunks.running.load(Ordering::SeqCst);
            parties + nodes.iter().map(trunks).sum::<usize>() == 0
                && self.b.edge.inwards().is_empty()
        })
        .await;
    }
}

/// A node hears what it says itself, as the owner of the name.
fn hears(edge: &Edge, answer: Answer) {
    edge.hear(edge.cluster().me().0, Down::Answer(answer));
}

/// One match.
pub struct Talk {
    pub transfer: TransferId,
    pub sender: Sender,
    pub receivers: Vec<Client>,
    hear: [Edge; 2],
}

impl Talk {
    /// The owner's word to the sender.
    pub fn begin_sender(&self) {
        self.say(&self.hear[0], self.seats(), Role::Sender);
    }

    /// The same, about an attempt of the sender that is not its newest.
    pub fn begin_stale_sender(&self) {
        let mut sender = self.sender.seat.get();
        sender.attempt -= 1;
        let (transfer, receivers, role) = (self.transfer, self.seats(), Role::Sender);
        hears(&self.hear[0], Answer::Begin { transfer, sender, receivers, role });
    }

    /// The owner's word to the receivers.
    fn begin_receivers(&self) {
        for (edge, origin) in self.hear.iter().zip([1, 2]) {
            let mut here = self.seats();
            here.retain(|seat| seat.party.origin == origin);
            if !here.is_empty() {
                self.say(edge, here, Role::Receiver);
            }
        }
    }

    fn seats(&self) -> Vec<Seat> {
        self.receivers.iter().map(|r| r.seat.get()).collect()
    }

    fn say(&self, edge: &Edge, receivers: Vec<Seat>, role: Role) {
        let (transfer, sender) = (self.transfer, self.sender.seat.get());
        let begin = Answer::Begin { transfer, sender, receivers, role };
        hears(edge, begin);
    }

    /// Another match of the same parties, once all have attached again; the sender is asked to confirm.
    pub async fn again(mut self) -> Self {
        let seats = || self.receivers.iter().map(|r| &r.seat).chain([&self.sender.seat]);
        until(|| seats().all(|seat| seat.get().attempt == 2)).await;
        self.transfer = TransferId::random();
        self.sender.asked.set(false);
        self.begin_sender();
        self.begin_receivers();
        self.sender.asked_to_confirm().await;
        self
    }
}
