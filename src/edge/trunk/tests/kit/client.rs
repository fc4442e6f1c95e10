//! A receiver of the fleet: its client, and its task.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::super::*;
use super::{Node, PREFACE, soon, until};
use crate::edge::{Opening, Outfit, ReceiveWish, Received, Receiving, Wants};
use crate::flow::{Framing, Way};
use crate::pipe::{PipePath, Seat};

/// The buffers of a narrow receiver, in bytes.
const NARROW: u32 = 4096;

/// A receiver's client, and its task.
pub struct Client {
    pub seat: Rc<Cell<Seat>>,
    stream: TcpStream,
    started: Arc<AtomicBool>,
    task: JoinHandle<Received>,
}

impl Client {
    pub(super) async fn new(node: &Node, n: u16, sha256: bool) -> Self {
        Self::with(node, n, sha256, false).await
    }

    /// The same; a narrow one holds a few kilobytes that it has not read.
    pub(super) async fn with(node: &Node, n: u16, sha256: bool, narrow: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        if narrow {
            socket.set_recv_buffer_size(NARROW).unwrap();
        }
        let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        if narrow {
            SockRef::from(&server).set_send_buffer_size(NARROW as usize).unwrap();
        }
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

    /// Its request is cut while it reads nothing, and what it finds then has no clean end.
    pub async fn finds_a_cut(mut self) {
        assert_eq!(soon(self.task).await.unwrap(), Received::Cut);
        let mut wire = Vec::new();
        soon(self.stream.read_to_end(&mut wire)).await.unwrap();
        assert!(!wire.ends_with(b"0\r\n\r\n"), "a clean end");
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
