//! Seeded transfers over real sockets, each copied and poured: whatever the segments, the chunks, the
//! clients and their deaths are, both roads end in the same way and nobody gets a wrong byte.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::super::*;
use crate::flow::{Bell, Event, Fanout, Framing as Out, LaneHold, Pipes, Way, lane};
use crate::front::transport::Socket;

/// A case takes some milliseconds.
const SEEDS: u64 = 60;

/// Small, so that a stream of half a megabyte meets every step of it.
const WINDOW: usize = 32 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    Copied,
    /// The kernel may move what shows volume.
    Poured,
}

/// What both roads must agree on.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    end: Result<(), Failure>,
    /// Of each receiver that stays: its data, and whether its end is clean. The data of a failed
    /// transfer depends on timing, and is only compared with the body.
    got: Vec<Option<Vec<u8>>>,
}

/// One case, made from its seed.
#[derive(Clone)]
struct Case {
    body: Vec<u8>,
    kind: BodyKind,
    wire: Vec<u8>,
    /// How the sender ends: after all of the wire, or before, politely or with a reset.
    sent: usize,
    reset: bool,
    receivers: Vec<Receiver>,
}

#[derive(Clone)]
struct Receiver {
    framing: Out,
    /// It leaves after so many bytes.
    leaves: Option<usize>,
    /// One read.
    sip: usize,
    /// A receive buffer of a few kilobytes.
    small: bool,
}

impl Case {
    fn new(dice: &mut Rng) -> Self {
        let body: Vec<u8> = (0..dice.usize(0..600_000)).map(|_| dice.u8(..)).collect();
        let chunked = dice.bool();
        let wire = if chunked { chunks(dice, &body) } else { body.clone() };
        let kind = if chunked { BodyKind::Stream } else { BodyKind::Length(body.len() as u64) };
        let short = dice.u8(..4) == 0 && !wire.is_empty();
        let sent = if short { dice.usize(..wire.len()) } else { wire.len() };
        let receivers = (0..dice.usize(1..6)).map(|_| Receiver::new(dice, body.len())).collect();
        Self { body, kind, wire, sent, reset: short && dice.bool(), receivers }
    }
}

impl Receiver {
    fn new(dice: &mut Rng, body: usize) -> Self {
        let framing = if dice.bool() { Out::Chunked } else { Out::Plain };
        let leaves = (dice.u8(..4) == 0).then(|| dice.usize(..=body));
        let sip = dice.choice([700, 9_000, 64 << 10]).unwrap();
        Self { framing, leaves, sip, small: dice.bool() }
    }
}

/// The body in chunks of all sizes, among them runs of large ones.
fn chunks(dice: &mut Rng, body: &[u8]) -> Vec<u8> {
    let (mut wire, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let most = dice.choice([30, 5_000, 70_000, 70_000, 200_000]).unwrap();
        for _ in 0..dice.usize(1..6) {
            let chunk = rest.len().min(dice.usize(1..most));
            if chunk > 0 {
                let extension = if dice.u8(..5) == 0 { ";x=y" } else { "" };
                wire.extend_from_slice(format!("{chunk:x}{extension}\r\n").as_bytes());
                wire.extend_from_slice(&rest[..chunk]);
                wire.extend_from_slice(b"\r\n");
                rest = &rest[chunk..];
            }
        }
    }
    wire.extend_from_slice(b"0\r\nT: x\r\n\r\n");
    wire
}

/// A connection, of whose ends the first may have a small receive buffer.
async fn connection(small: bool) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    if small {
        socket.set_recv_buffer_size(4 << 10).unwrap();
    }
    let far = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (far, near)
}

/// Sends in segments of all sizes.
async fn send(mut sender: TcpStream, case: &Case, mut dice: Rng) {
    let mut rest = &case.wire[..case.sent];
    while !rest.is_empty() {
        let most = dice.choice([1, 40, 3_000, 100_000]).unwrap();
        for _ in 0..dice.usize(1..20) {
            let (now, then) = rest.split_at(rest.len().min(most));
            // The transfer may be over before the body is.
            if now.is_empty() || sender.write_all(now).await.is_err() {
                break;
            }
            rest = then;
        }
        if sender.write_all(&[]).await.is_err() || socket_is_over(&sender) {
            return;
        }
        tokio::task::yield_now().await;
    }
    if case.reset {
        socket2::SockRef::from(&sender).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn socket_is_over(socket: &TcpStream) -> bool {
    crate::flow::is_hung_up(std::os::fd::AsFd::as_fd(socket))
}

/// Reads to the end, or until it leaves; the data if the end was clean for its framing, and in any
/// case only what the body begins with.
async fn receive(
    mut client: TcpStream,
    hold: LaneHold,
    who: &Receiver,
    body: &[u8],
) -> Option<Vec<u8>> {
    let (mut got, mut block) = (Vec::new(), vec![0; who.sip]);
    while who.leaves.is_none_or(|leaves| got.len() < leaves) {
        match client.read(&mut block).await {
            Ok(0) | Err(_) => break,
            Ok(read) => got.extend_from_slice(&block[..read]),
        }
    }
    if who.leaves.is_some_and(|leaves| got.len() >= leaves) {
        drop((hold, client));
        got = data(who.framing, &got).0;
        assert!(body.starts_with(&got), "wrong bytes for one that leaves");
        return None;
    }
    let (data, clean) = data(who.framing, &got);
    assert!(body.starts_with(&data), "wrong bytes");
    (clean && data.len() == body.len()).then_some(data)
}

/// The data of what was received, and whether its framing has come to an end.
fn data(framing: Out, got: &[u8]) -> (Vec<u8>, bool) {
    if framing == Out::Plain {
        return (got.to_vec(), true);
    }
    let (mut decoder, mut data, mut rest) = (Decoder::new(), Vec::new(), got);
    while !rest.is_empty() && !decoder.ended() {
        rest = &rest[decoder.framing(rest).unwrap()..];
        let take = rest.len().min(usize_of(decoder.remaining()));
        data.extend_from_slice(&rest[..take]);
        decoder.data(take as u64);
        rest = &rest[take..];
    }
    (data, decoder.ended())
}

/// Carries one case along one road; also says whether the kernel has moved any of it.
async fn run(case: &Case, road: Road, seed: u64) -> (Seen, bool) {
    let (sender, source) = connection(false).await;
    let io = Transport::plain(Socket::new(source));
    let (bell, pipes) = (Arc::new(Bell::default()), Pipes::new(4));
    let (mut lanes, mut clients) = (Vec::new(), Vec::new());
    for who in &case.receivers {
        let (client, near) = connection(who.small).await;
        let (mut lane, hold) = lane(Way::socket(near.into_std().unwrap().into()));
        lane.hang(bell.clone());
        lane.start(bytes::Bytes::new(), who.framing, None).unwrap();
        lanes.push(lane);
        clients.push((client, hold, who));
    }
    let body = SocketBody::new(&io, case.kind, BytesMut::new());
    let pipes = pipes.filter(|_| road == Road::Poured);
    let fanout = Fanout::new(body, lanes, bell, WINDOW, false, None).through(pipes.clone());
    let receive = clients.into_iter().map(|(client, hold, who)| {
        let (who, body) = (who.clone(), case.body.clone());
        tokio::spawn(async move { receive(client, hold, &who, &body).await })
    });
    let receivers: Vec<_> = receive.collect();
    let (case_, dice) = (case.clone(), Rng::with_seed(seed));
    let sent = tokio::spawn(async move { send(sender, &case_, dice).await });
    let (end, poured) = carry(fanout, pipes).await;
    drop(io);
    let mut got = Vec::new();
    for receiver in receivers {
        got.push(receiver.await.unwrap());
    }
    sent.await.unwrap();
    (Seen { end, got }, poured)
}

async fn carry(
    mut fanout: Fanout<SocketBody<'_>>,
    pipes: Option<Pipes>,
) -> (Result<(), Failure>, bool) {
    let mut poured = false;
    let end = loop {
        let event = std::future::poll_fn(|cx| {
            let event = fanout.poll_next(cx);
            poured |= pipes.as_ref().is_some_and(|pipes| pipes.descriptors() > 0);
            event
        });
        match event.await {
            Event::BodyComplete => fanout.release(),
            Event::Finished => break Ok(()),
            Event::Failed(why) => break Err(why),
            Event::AllGone => break Err(Failure::ReceiversGone),
            Event::LaneLost => {}
            Event::LaneStalled(_) | Event::Idle => panic!("there is no limit"),
        }
    };
    (end, poured)
}

#[test]
fn both_roads_show_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut moved = 0;
    for seed in 0..SEEDS {
        let case = Case::new(&mut Rng::with_seed(seed));
        let carry = |road| runtime.block_on(run(&case, road, seed));
        let (copied, never) = carry(Road::Copied);
        let (poured, by_kernel) = carry(Road::Poured);
        moved += u64::from(by_kernel);
        assert!(!never, "seed {seed}");
        let whole = |seen: &Seen| seen.got.iter().flatten().count();
        assert!(poured.end == copied.end, "seed {seed}: {:?}, {:?}", poured.end, copied.end);
        assert!(poured.got == copied.got, "seed {seed}: {} and {}", whole(&poured), whole(&copied));
    }
    assert!(moved > SEEDS / 3, "only {moved} of the cases were about the kernel at all");
}
