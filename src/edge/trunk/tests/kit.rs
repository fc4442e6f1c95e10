//! Two nodes with their cluster listeners, a sender at one, receivers at both, and the owner's word.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use hoody_pipe_cluster::link::LinkNumber;
use hoody_pipe_cluster::{
    Admitted, Epoch, Health, Member, PEER_HEADER, PROOF_HEADER, PeerRequest, Secret, Seed, View,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::edge::wire::Down;
use crate::edge::{
    Body, Edge, Opening, Outfit, ReceiveWish, Received, Receiving, SendEvent, SendWish, Sending,
    Settings, Wants,
};
use crate::flow::{Fill, Framing, Source, Way};
use crate::pipe::{
    Answer, Caps, Failure, Head, Notice, PartyId, PipePath, PublicId, Role, Seat, TransferId,
};

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
}

pub struct Node {
    pub edge: Edge,
    me: NodeId,
    /// Parties that have come so far: the last part of their ids.
    seq: Cell<u64>,
    trunks: Arc<Trunks>,
    views: Arc<watch::Sender<Arc<View>>>,
}

/// What the cluster listener of a node serves.
#[derive(Default)]
struct Trunks {
    sockets: Mutex<Vec<std::net::TcpStream>>,
    links: Mutex<Vec<std::net::TcpStream>>,
    running: AtomicUsize,
}

impl Fleet {
    async fn new() -> Self {
        let listeners = [listener(), listener()];
        let addrs = listeners.each_ref().map(|l| l.local_addr().unwrap().to_string());
        let [first, second] = listeners;
        let (a, b) = (Node::new(0, first, &addrs), Node::new(1, second, &addrs));
        let fleet = Self { a, b, epoch: Cell::new(1) };
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
            receivers.push(Client::new(node, n, sha256 && node.me == self.b.me).await);
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
        for socket in self.a.trunks.sockets.lock().unwrap().drain(..) {
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

fn listener() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

impl Node {
    /// Each owns all names in its own view, and knows where the other is.
    fn new(at: u64, listener: std::net::TcpListener, addrs: &[String; 2]) -> Self {
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
        let settings = Settings { window: 64 << 10, stall: None, idle: None, caps };
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
    fn next_seat(&self) -> Seat {
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
            trunks.sockets.lock().unwrap().push(socket.into());
            trunks.running.fetch_add(1, Ordering::SeqCst);
            serve(&edge, stream, unread, transfer, &admitted).await;
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

/// A sender's client, and its task.
pub struct Sender {
    pub seat: Rc<Cell<Seat>>,
    body: Feed,
    notices: Rc<RefCell<Vec<Notice>>>,
    asked: Rc<Cell<bool>>,
    confirm: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Sender {
    fn new(node: &Node, n: u16, adjust: impl FnOnce(&mut SendWish)) -> Self {
        let mut wish = SendWish {
            path: PipePath::new("a").unwrap(),
            n,
            wait: Duration::from_secs(600),
            stall: None,
            sha256: false,
            length: None,
            label: None,
            protocol: "a test",
        };
        adjust(&mut wish);
        let (body, notices) = (Feed::default(), Rc::new(RefCell::new(Vec::new())));
        let (confirm, mut confirmed) = mpsc::channel(9);
        let seat = Rc::new(Cell::new(node.next_seat()));
        let asked = Rc::new(Cell::new(false));
        let mut sending = Sending::new(&node.edge, wish, body.clone());
        let (said, at, wanted) = (Rc::clone(&notices), seat.clone(), asked.clone());
        let task = tokio::task::spawn_local(async move {
            loop {
                let next = poll_fn(|cx| {
                    let next = pin!(sending.next()).poll(cx);
                    at.set(sending.seat());
                    next
                });
                tokio::select! {
                    event = next => match event {
                        SendEvent::Notice(notice) => said.borrow_mut().push(notice),
                        SendEvent::Confirm { .. } => wanted.set(true),
                        SendEvent::Over => return,
                        SendEvent::Admitted => {}
                        SendEvent::Refused(why) => panic!("{why:?}"),
                    },
                    Some(()) = confirmed.recv(), if wanted.get() => {
                        wanted.set(false);
                        sending.confirm();
                    }
                }
            }
        });
        Self { seat, body, notices, asked, confirm, task }
    }

    /// Its client is there, as soon as anybody wants to know.
    pub fn confirm(&self) {
        self.confirm.try_send(()).unwrap();
    }

    pub async fn asked_to_confirm(&self) {
        until(|| self.asked.get()).await;
    }

    pub fn head(&self) {
        self.body.push(Step::Head);
    }

    pub fn data(&self, bytes: &[u8]) {
        self.body.push(Step::Data(bytes.to_vec(), false));
    }

    pub fn end(&self, bytes: &[u8]) {
        self.body.push(Step::Data(bytes.to_vec(), true));
    }

    pub fn fail(&self, why: Failure) {
        self.body.push(Step::Fail(why));
    }

    /// What it was told so far.
    pub fn told(&self) -> Vec<Notice> {
        self.notices.borrow().clone()
    }

    /// Waits until it was told this.
    pub async fn hears(&self, notice: Notice) {
        until(|| self.notices.borrow().contains(&notice)).await;
    }

    /// All that it was told, when nothing more will come.
    pub async fn over(self) -> Vec<Notice> {
        soon(self.task).await.unwrap();
        self.notices.take()
    }
}

/// What a body does next.
enum Step {
    Head,
    Data(Vec<u8>, bool),
    Fail(Failure),
}

/// A body that the test feeds while it runs.
#[derive(Clone, Default)]
struct Feed(Rc<RefCell<(VecDeque<Step>, Option<Waker>)>>);

impl Feed {
    fn push(&self, step: Step) {
        let (steps, waker) = &mut *self.0.borrow_mut();
        steps.push_back(step);
        waker.take().into_iter().for_each(Waker::wake);
    }

    fn poll_step(&self, cx: &Context<'_>) -> Poll<Step> {
        let (steps, waker) = &mut *self.0.borrow_mut();
        steps.pop_front().map_or_else(
            || {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            },
            Poll::Ready,
        )
    }
}

impl Body for Feed {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        self.poll_step(cx).map(|step| match step {
            Step::Head => Ok(Head::default()),
            Step::Fail(why) => Err(why),
            Step::Data(..) => panic!("the head comes first"),
        })
    }
}

impl Source for Feed {
    type Error = Failure;

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>> {
        self.poll_step(cx).map(|step| match step {
            Step::Data(mut bytes, end) => {
                let rest = bytes.split_off(bytes.len().min(into.len()));
                into[..bytes.len()].copy_from_slice(&bytes);
                let more = !rest.is_empty();
                if more {
                    self.0.borrow_mut().0.push_front(Step::Data(rest, end));
                }
                Ok(Fill { bytes: bytes.len(), end: end && !more })
            }
            Step::Fail(why) => Err(why),
            Step::Head => panic!("the head comes once"),
        })
    }
}

/// A receiver's client, and its task.
pub struct Client {
    pub seat: Rc<Cell<Seat>>,
    stream: TcpStream,
    started: Arc<AtomicBool>,
    task: JoinHandle<Received>,
}

impl Client {
    async fn new(node: &Node, n: u16, sha256: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let path = PipePath::new("a").unwrap();
        let wants = Wants { stall: None, sha256 };
        let wish = ReceiveWish { path, n, wait: Duration::from_secs(600), wants };
        let seat = Rc::new(Cell::new(node.next_seat()));
        let mut receiving = Receiving::new(&node.edge, wish);
        let (at, started) = (seat.clone(), Arc::new(AtomicBool::new(false)));
        let start = started.clone();
        let task = tokio::task::spawn_local(async move {
            let mut make = || {
                let socket = SockRef::from(&server).try_clone()?;
                let open = Box::new(|opening: Opening<'_>| match opening {
                    Opening::Stream { .. } => (Bytes::from(PREFACE), Framing::Chunked),
                    Opening::Failed(why) => (format!("{why:?}").into(), Framing::Plain),
                });
                let started = start.clone();
                let start = Box::new(move || started.store(true, Ordering::SeqCst));
                Ok(Outfit { way: Way::socket(socket.into()), start, open })
            };
            poll_fn(|cx| {
                let end = pin!(receiving.outcome(&mut make)).poll(cx);
                at.set(receiving.seat());
                end
            })
            .await
        });
        Self { seat, stream, started, task }
    }

    /// It has come back under its second attempt.
    pub async fn attaches_again(&self) {
        until(|| self.seat.get().attempt == 2).await;
    }

    /// Its node knows of the start.
    pub async fn starts(&self) {
        until(|| self.started.load(Ordering::SeqCst)).await;
    }

    /// It gets exactly this next.
    pub async fn reads(&mut self, want: &str) {
        let mut got = vec![0; want.len()];
        soon(self.stream.read_exact(&mut got)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), want);
    }

    /// How its request ends; it reads nothing.
    pub async fn end(self) -> Received {
        soon(self.task).await.unwrap()
    }

    /// Everything to the end of its connection, and how its request ended.
    pub async fn rest(mut self) -> (String, Received) {
        let mut rest = String::new();
        soon(self.stream.read_to_string(&mut rest)).await.unwrap();
        (rest, soon(self.task).await.unwrap())
    }

    /// The bytes of a chunked body with its clean end, and how its request ended.
    pub async fn whole(mut self) -> (Vec<u8>, Received) {
        let (mut wire, mut body) = (Vec::new(), Vec::new());
        soon(self.stream.read_to_end(&mut wire)).await.unwrap();
        let mut rest = wire.strip_prefix(PREFACE.as_bytes()).unwrap();
        let mut decoder = crate::flow::chunked::Decoder::new();
        while !decoder.ended() {
            assert!(!rest.is_empty(), "no clean end");
            rest = &rest[decoder.framing(rest).unwrap()..];
            let data = rest.len().min(decoder.remaining() as usize);
            body.extend_from_slice(&rest[..data]);
            decoder.data(data as u64);
            rest = &rest[data..];
        }
        (body, soon(self.task).await.unwrap())
    }

    /// Its connection ends, and its task with it.
    pub fn leave(self) {
        self.task.abort();
    }
}
