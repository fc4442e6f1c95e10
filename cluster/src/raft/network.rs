//! What Raft says to other members: one request each, with the fleet's identity in front.
//!
//! Decides nothing and knows no links.

use std::sync::Arc;
use std::time::Duration;

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

use super::types::Types;
use crate::bonds::Bonds;
use crate::codec;
use crate::peers::Peers;
use crate::roll::Roll;
use crate::view::NodeId;

/// The targets of the requests.
pub(super) const APPEND: &str = "/raft/append";
pub(super) const VOTE: &str = "/raft/vote";
pub(super) const SNAPSHOT: &str = "/raft/snapshot";

/// After a member could not be reached: a heartbeat, so that none is lost once it is back.
const BACKOFF: Duration = Duration::from_millis(250);

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
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Way {
        Way { network: self.clone(), to: NodeId(target), first_addr: node.addr.clone() }
    }
}

impl Way {
    async fn call<Q, A, E>(
        &self,
        target: &str,
        question: &Q,
        limit: Duration,
    ) -> Result<A, Failure<E>>
    where
        Q: Serialize,
        A: DeserializeOwned,
        E: DeserializeOwned + std::error::Error,
    {
        let Network { peers, bonds, rolls } = &self.network;
        let fleet = bonds.fleet().ok_or_else(|| failure("in no fleet"))?;
        let body = codec::encode(&(fleet, question)).map_err(failure)?;
        let known = rolls.borrow().view().member(self.to).and_then(|member| member.addr.clone());
        let addr = known.as_deref().unwrap_or(&self.first_addr);
        match peers.post(self.to, addr, target, body, limit).await.map_err(failure)? {
            (200, answer) => {
                let answer: Result<A, E> = codec::decode(&answer).map_err(failure)?;
                answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to.0, error)))
            }
            (status, _) => Err(failure(format!("answered {status}"))),
        }
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
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<RaftError<u64>>> {
        self.call(APPEND, &request, option.hard_ttl()).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<RaftError<u64, InstallSnapshotError>>> {
        self.call(SNAPSHOT, &request, option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<RaftError<u64>>> {
        self.call(VOTE, &request, option.hard_ttl()).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
