//! Fan-outs over real loopback sockets on one thread: a source that gives what the test feeds it, and
//! clients that read or do not. Whatever holds for bytes that are copied holds for bytes that the
//! kernel moves.

#![allow(clippy::unwrap_used)]

mod crowds;
mod pace;
mod roads;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::flow::{Fill, Framing, Hub, LaneEnd, LaneHold, Pour, Way, lane};

/// How the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    Copied,
    /// Through the kernel, from the first byte.
    Poured,
}

/// Runs a test over both roads, each on a thread of its own runtime, as a sender's thread is.
fn both(test: impl AsyncFn(Road)) {
    for road in [Road::Copied, Road::Poured] {
        run(test(road));
    }
}

/// Pipes that nobody else takes any of.
fn pipes() -> Pipes {
    Pipes::new(64).unwrap()
}

impl<S: Source> Fanout<S> {
    /// Sets out on this road.
    fn on(self, road: Road) -> Self {
        if road == Road::Poured { self.poured(&pipes()) } else { self }
    }
}

/// What the source does next.
enum Step {
    Data(Vec<u8>),
    /// The last bytes.
    End(Vec<u8>),
    Fail,
}

/// A source that the test feeds while it runs; silent in between.
#[derive(Clone, Default)]
struct Feed(Rc<RefCell<(VecDeque<Step>, Option<Waker>)>>);

impl Feed {
    fn push(&self, step: Step) {
        let (steps, waker) = &mut *self.0.borrow_mut();
        steps.push_back(step);
        waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Source for Feed {
    type Error = &'static str;

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>> {
        self.poll_give(cx, into.len(), |bytes| into[..bytes.len()].copy_from_slice(bytes))
    }

    fn pour(&mut self) -> Option<&mut dyn Pour<Error = Self::Error>> {
        Some(self)
    }
}

impl Pour for Feed {
    type Error = &'static str;

    fn stretch(&self) -> u64 {
        u64::MAX
    }

    fn poll_pour(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Hub,
    ) -> Poll<Result<Fill, Self::Error>> {
        let room = into.room();
        self.poll_give(cx, room, |bytes| assert_eq!(into.write(bytes).unwrap_or(0), bytes.len()))
    }
}

impl Feed {
    /// The next step, or as much of it as there is room for.
    fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        give: impl FnOnce(&[u8]),
    ) -> Poll<Result<Fill, &'static str>> {
        let (steps, waker) = &mut *self.0.borrow_mut();
        let (mut bytes, end) = match steps.pop_front() {
            Some(Step::Data(bytes)) => (bytes, false),
            Some(Step::End(bytes)) => (bytes, true),
            Some(Step::Fail) => return Poll::Ready(Err("broken")),
            None => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        let rest = bytes.split_off(bytes.len().min(room));
        if !bytes.is_empty() {
            give(&bytes);
        }
        match (rest.is_empty(), end) {
            (true, end) => return Poll::Ready(Ok(Fill { bytes: bytes.len(), end })),
            (false, true) => steps.push_front(Step::End(rest)),
            (false, false) => steps.push_front(Step::Data(rest)),
        }
        Poll::Ready(Ok(Fill { bytes: bytes.len(), end: false }))
    }
}

const PREFACE: &str = "HEAD\r\n\r\n";

/// A lane that is started and hung on `bell`, and its client.
async fn client(
    bell: &Arc<Bell>,
    framing: Framing,
    stall: Option<Duration>,
) -> (Lane, LaneHold, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let (mut lane, hold) = lane(Way::socket(server.into_std().unwrap().into()));
    lane.hang(bell.clone());
    lane.start(Bytes::from_static(PREFACE.as_bytes()), framing, stall).unwrap();
    (lane, hold, client)
}

/// A fan-out of a feed to clients that all read the same way.
struct Stage {
    feed: Feed,
    fanout: Fanout<Feed>,
    holds: Vec<LaneHold>,
    clients: Vec<TcpStream>,
}

impl Stage {
    async fn new(road: Road, n: usize, framing: Framing) -> Self {
        let (bell, feed) = (Arc::new(Bell::default()), Feed::default());
        let (mut lanes, mut holds, mut clients) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n {
            let (lane, hold, client) = client(&bell, framing, None).await;
            lanes.push(lane);
            holds.push(hold);
            clients.push(client);
        }
        // What is hashed has to be seen.
        let hash = road == Road::Copied;
        let fanout = Fanout::new(feed.clone(), lanes, bell, 64 << 10, hash, None).on(road);
        Self { feed, fanout, holds, clients }
    }

    async fn event(&mut self) -> Event<&'static str> {
        poll_fn(|cx| self.fanout.poll_next(cx)).await
    }

    /// Each client reads exactly this while the fan-out runs, in which nothing else happens.
    async fn all_read(&mut self, want: &str) {
        for client in &mut self.clients {
            let mut got = vec![0; want.len()];
            tokio::select! {
                event = poll_fn(|cx| self.fanout.poll_next(cx)) => panic!("{event:?}"),
                read = client.read_exact(&mut got) => drop(read.unwrap()),
            }
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
    }

    /// Everything that the clients get from now on, to the end of their connections.
    async fn rest(self) -> Vec<String> {
        drop(self.fanout);
        let mut all = Vec::new();
        for mut client in self.clients {
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
            all.push(rest);
        }
        all
    }
}

async fn end_of(hold: &mut LaneHold) -> LaneEnd {
    poll_fn(|cx| hold.poll_ended(cx)).await
}

/// Runs a test on a thread of its own runtime, as a sender's thread is.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn plain_bytes_come_as_they_are_and_the_last_ones_after_the_release() {
    both(async |road| {
        let mut s = Stage::new(road, 3, Framing::Plain).await;
        s.all_read(PREFACE).await;
        s.feed.push(Step::Data(b"hello ".to_vec()));
        s.all_read("hello ").await;
        assert_eq!(s.fanout.delivered(), 3 * 6);
        s.feed.push(Step::End(b"world".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        assert_eq!((s.fanout.total(), s.fanout.delivered()), (11, 3 * 6));
        for client in &s.clients {
            let early = client.try_read(&mut [0; 1]).unwrap_err();
            assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock, "the last read is held back");
        }
        s.fanout.release();
        assert_eq!(s.event().await, Event::Finished);
        assert_eq!((s.fanout.whole(), s.fanout.delivered()), (3, 3 * 11));
        for hold in &mut s.holds {
            assert_eq!(end_of(hold).await, LaneEnd::Whole);
        }
        assert_eq!(s.rest().await, ["world", "world", "world"]);
    });
}

#[test]
fn each_read_is_a_chunk_and_the_last_chunk_comes_after_the_release() {
    both(async |road| {
        let mut s = Stage::new(road, 2, Framing::Chunked).await;
        s.all_read(PREFACE).await;
        s.feed.push(Step::Data(b"hello world, hello".to_vec()));
        s.all_read("12\r\nhello world, hello\r\n").await;
        s.feed.push(Step::Data(b"!".to_vec()));
        s.all_read("1\r\n!\r\n").await;
        s.feed.push(Step::End(Vec::new()));
        assert_eq!(s.event().await, Event::BodyComplete);
        s.fanout.release();
        assert_eq!(s.event().await, Event::Finished);
        assert_eq!(s.rest().await, ["0\r\n\r\n", "0\r\n\r\n"]);
    });
}

#[test]
fn the_last_bytes_and_the_last_chunk_come_together() {
    both(async |road| {
        let mut s = Stage::new(road, 1, Framing::Chunked).await;
        s.all_read(PREFACE).await;
        s.feed.push(Step::End(b"bye".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        s.fanout.release();
        assert_eq!(s.event().await, Event::Finished);
        assert_eq!(s.rest().await, ["3\r\nbye\r\n0\r\n\r\n"]);
    });
}

#[test]
fn an_empty_body_ends_cleanly() {
    both(async |road| {
        for (framing, end) in [(Framing::Plain, ""), (Framing::Chunked, "0\r\n\r\n")] {
            let mut s = Stage::new(road, 1, framing).await;
            s.feed.push(Step::End(Vec::new()));
            assert_eq!(s.event().await, Event::BodyComplete);
            s.fanout.release();
            assert_eq!(s.event().await, Event::Finished);
            assert_eq!((s.fanout.total(), s.fanout.whole()), (0, 1));
            assert_eq!(s.rest().await, [format!("{PREFACE}{end}")]);
        }
    });
}

#[test]
fn the_digest_is_of_the_forwarded_bytes() {
    run(async {
        let mut s = Stage::new(Road::Copied, 1, Framing::Chunked).await;
        s.feed.push(Step::Data(b"hello ".to_vec()));
        s.feed.push(Step::End(b"world".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        let digest = s.fanout.digest().unwrap();
        assert_eq!(digest, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");

        let none =
            Fanout::new(Feed::default(), Vec::new(), Arc::default(), 1, false, None).digest();
        assert_eq!(none, None, "nobody asked");
    });
}

#[test]
fn a_client_that_is_gone_is_dropped_and_the_others_go_on() {
    both(async |road| {
        let mut s = Stage::new(road, 3, Framing::Plain).await;
        s.all_read(PREFACE).await;
        drop(s.holds.remove(0));
        drop(s.clients.remove(0));
        assert_eq!(s.event().await, Event::LaneLost);
        s.feed.push(Step::Data(b"hello ".to_vec()));
        s.all_read("hello ").await;
        drop(s.holds.remove(0));
        drop(s.clients.remove(0));
        assert_eq!(s.event().await, Event::LaneLost);
        s.feed.push(Step::End(b"world".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        s.fanout.release();
        assert_eq!(s.event().await, Event::Finished);
        assert_eq!((s.fanout.whole(), s.fanout.delivered()), (1, 6 + 11));
        assert_eq!(s.rest().await, ["world"]);
    });
}

#[test]
fn a_connection_that_breaks_is_found_by_writing() {
    both(async |road| {
        let mut s = Stage::new(road, 1, Framing::Plain).await;
        s.all_read(PREFACE).await;
        // The holder of the lane has not noticed: nothing rings.
        s.clients.clear();
        let mut events = Vec::new();
        while events.last() != Some(&Event::AllGone) {
            s.feed.push(Step::Data(b"x".to_vec()));
            // The first write is answered by a reset, which takes no time but a turn of the reactor.
            tokio::select! {
                biased;
                event = poll_fn(|cx| s.fanout.poll_next(cx)) => events.push(event),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(events, [Event::LaneLost, Event::AllGone]);
        assert_eq!(end_of(&mut s.holds[0]).await, LaneEnd::Cut);
    });
}

#[test]
fn when_nobody_is_left_it_is_over_also_after_the_end_of_the_body() {
    both(async |road| {
        let mut s = Stage::new(road, 2, Framing::Plain).await;
        s.feed.push(Step::End(b"bye".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        s.holds.clear();
        s.fanout.release();
        let events = [s.event().await, s.event().await, s.event().await];
        assert_eq!(events, [Event::LaneLost, Event::LaneLost, Event::AllGone]);
        assert_eq!(s.fanout.whole(), 0);
    });
}

#[test]
fn a_source_that_fails_cuts_every_lane() {
    both(async |road| {
        let mut s = Stage::new(road, 2, Framing::Chunked).await;
        s.all_read(PREFACE).await;
        s.feed.push(Step::Data(b"x".to_vec()));
        s.all_read("1\r\nx\r\n").await;
        s.feed.push(Step::Fail);
        assert_eq!(s.event().await, Event::Failed("broken"));
        let mut holds = std::mem::take(&mut s.holds);
        assert_eq!(s.rest().await, ["", ""], "no last chunk");
        for hold in &mut holds {
            assert_eq!(end_of(hold).await, LaneEnd::Cut);
        }
    });
}

#[test]
fn dropping_it_before_the_release_cuts_every_lane() {
    both(async |road| {
        let mut s = Stage::new(road, 1, Framing::Plain).await;
        s.all_read(PREFACE).await;
        s.feed.push(Step::End(b"bye".to_vec()));
        assert_eq!(s.event().await, Event::BodyComplete);
        let mut holds = std::mem::take(&mut s.holds);
        assert_eq!(s.rest().await, [""]);
        assert_eq!(end_of(&mut holds[0]).await, LaneEnd::Cut);
    });
}
