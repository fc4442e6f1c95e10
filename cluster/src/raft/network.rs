//! What Raft says to other members: one request each, with the fleet's identity in front.
//!
//! openraft gives a request up after a heartbeat, and says the same again at the next. To a node far
//! away nothing would ever be said to the end, not even a connection be made. So a request goes on when
//! openraft has given it up ([`EXCHANGE_MAX`]), and who says the same again gets the answer of the one
//! that is under way. Raft bears answers that are late.
//!
//! Decides nothing and knows no links.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::LEASE;
use super::types::Types;
use crate::bonds::Bonds;
use crate::codec;
use crate::peers::{CallError, Peers};
use crate::roll::Roll;
use crate::view::NodeId;

/// The targets of the requests.
pub(super) const APPEND: &str = "/raft/append";
pub(super) const VOTE: &str = "/raft/vote";
pub(super) const SNAPSHOT: &str = "/raft/snapshot";

/// After a member could not be reached: a heartbeat, so that none is lost once it is back.
const BACKOFF: Duration = Duration::from_millis(250);

/// A request, from its first word to the end of its answer. With a round trip of 400 ms (spec §28, row
/// 21) a connection, the clock of the listener and the request itself take 1.2 s; and what was said
/// before a lease of the leader is no sign of life any more.
///
/// Of requests that differ, one may begin with each heartbeat: a handful at a time for each member.
const EXCHANGE_MAX: Duration = LEASE;

type Failure<E> = RPCError<u64, BasicNode, E>;

/// The way to all members.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(super) peers: Peers,
    pub(super) bonds: Bonds,
    /// Where members are now: an address may change with a restart.
    pub(super) rolls: watch::Receiver<Arc<Roll>>,
}

/// The way to one member.
#[derive(Debug)]
pub(crate) struct Way {
    network: Network,
    to: NodeId,
    /// Where it was when it was let in.
    first_addr: String,
    /// The last request, unless its answer was taken.
    last: Option<Exchange>,
}

/// A request under way, whether anybody waits for it or not.
#[derive(Debug)]
struct Exchange {
    addr: String,
    target: &'static str,
    body: Vec<u8>,
    begun: Instant,
    answer: JoinHandle<Result<(u16, Bytes), CallError>>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Way {
        let first_addr = node.addr.clone();
        Way { network: self.clone(), to: NodeId(target), first_addr, last: None }
    }
}

impl Way {
    async fn call<Q, A, E>(&mut self, target: &'static str, question: &Q) -> Result<A, Failure<E>>
    where
        Q: Serialize,
        A: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
    {
        let fleet = self.network.bonds.fleet().ok_or_else(|| failure("in no fleet"))?;
        let body = codec::encode(&(fleet, question)).map_err(failure)?;
        match self.exchange(target, body).await.map_err(failure)? {
            (200, answer) => {
                let answer: Result<A, E> = codec::decode(&answer).map_err(failure)?;
                answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to.0, error)))
            }
            (status, _) => Err(failure(format!("answered {status}"))),
        }
    }

    /// The answer to a request, be it to the very same one that was made a moment ago. What is dropped
    /// here goes on.
    async fn exchange(
        &mut self,
        target: &'static str,
        body: Vec<u8>,
    ) -> Result<(u16, Bytes), CallError> {
        let addr = self.addr();
        let same = |last: &Exchange| {
            (&last.addr, last.target, &last.body) == (&addr, target, &body)
                && last.begun.elapsed() < EXCHANGE_MAX
        };
        let last = self.last.take().filter(same);
        let last = last.unwrap_or_else(|| self.begin(addr, target, body));
        let answer = (&mut self.last.insert(last).answer).await;
        self.last = None;
        answer.unwrap_or(Err(CallError::Unreachable))
    }

    fn begin(&self, addr: String, target: &'static str, body: Vec<u8>) -> Exchange {
        let (peers, to) = (self.network.peers.clone(), self.to);
        let (at, said) = (addr.clone(), body.clone());
        let answer =
            tokio::spawn(async move { peers.post(to, &at, target, said, EXCHANGE_MAX).await });
        Exchange { addr, target, body, begun: Instant::now(), answer }
    }

    /// Where it is now.
    fn addr(&self) -> String {
        let roll = self.network.rolls.borrow();
        let known = roll.view().member(self.to).and_then(|member| member.addr.clone());
        known.unwrap_or_else(|| self.first_addr.clone())
    }
}

/// All failures are alike: wait for a moment and try again.
fn failure<E: std::error::Error>(why: impl ToString) -> Failure<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<RaftError<u64>>> {
        self.call(APPEND, &request).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<RaftError<u64, InstallSnapshotError>>> {
        self.call(SNAPSHOT, &request).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<RaftError<u64>>> {
        self.call(VOTE, &request).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;
    use crate::contact::Contacts;
    use crate::door::{Denied, Door, PeerRequest};
    use crate::raft::Disk;
    use crate::{PEER_HEADER, PROOF_HEADER, Secret};

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    /// What openraft would wait; the tests decide when an answer comes.
    const LIMIT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    fn secret() -> Secret {
        Secret::new("the secret of the fleet").unwrap()
    }

    /// A way to a listener that gives one answer for each permit, and the permits. An answer is how many
    /// requests there were.
    async fn way() -> (tempfile::TempDir, Way, Arc<Semaphore>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let first_addr = listener.local_addr().unwrap().to_string();
        let (door, permits) =
            (Door::open(B, secret(), Contacts::default()).unwrap(), Arc::new(Semaphore::new(0)));
        let answers = permits.clone();
        tokio::spawn(async move {
            let count = Arc::new(AtomicU8::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, door.clone(), answers.clone(), count.clone()));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(dir.path()).unwrap();
        let network = Network {
            peers: Peers::new(A, secret()).unwrap(),
            bonds: Bonds::open(A, 1, disk).unwrap(),
            rolls: watch::Sender::new(Arc::new(Roll::new())).subscribe(),
        };
        (dir, Way { network, to: B, first_addr, last: None }, permits)
    }

    async fn serve(stream: TcpStream, door: Door, answers: Arc<Semaphore>, count: Arc<AtomicU8>) {
        let mut stream = BufStream::new(stream);
        loop {
            let (mut header, mut length, mut line) = (None, 0, String::new());
            while stream.read_line(&mut line).await.unwrap() > 2 {
                match line.trim().split_once(": ") {
                    Some((name, value)) if name == PEER_HEADER => header = Some(value.to_owned()),
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    _ => {}
                }
                line.clear();
            }
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            let header = header.as_deref();
            let request = PeerRequest { method: "POST", target: APPEND, header };
            let (status, proof, body) = match door.admit(&request) {
                Ok(admitted) => {
                    let body = vec![1 + count.fetch_add(1, Ordering::Relaxed)];
                    answers.acquire().await.unwrap().forget();
                    (200, admitted.proof(200, &body), body)
                }
                Err(Denied { status, proof }) => (status, proof.unwrap(), Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{PROOF_HEADER}: {proof}\r\n\r\n"
            );
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            stream.flush().await.unwrap();
        }
    }

    async fn asks(way: &mut Way, body: &[u8], limit: Duration) -> Option<u8> {
        let answer = timeout(limit, way.exchange(APPEND, body.to_vec())).await.ok()?;
        Some(answer.unwrap().1[0])
    }

    #[tokio::test]
    async fn what_was_given_up_goes_on_and_the_same_again_gets_its_answer() {
        let (_dir, mut way, permits) = way().await;
        for _ in 0..3 {
            assert_eq!(asks(&mut way, b"append", LIMIT).await, None);
        }
        permits.add_permits(1);
        assert_eq!(asks(&mut way, b"append", LONG).await, Some(1), "there was one request");
        permits.add_permits(1);
        assert_eq!(asks(&mut way, b"append", LONG).await, Some(2), "an answer is given once");
    }

    #[tokio::test]
    async fn something_else_does_not_wait_for_what_was_given_up() {
        let (_dir, mut way, permits) = way().await;
        assert_eq!(asks(&mut way, b"append", LIMIT).await, None);
        permits.add_permits(2);
        assert!(asks(&mut way, b"another", LONG).await.is_some());
    }
}
