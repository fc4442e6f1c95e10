//! How the members agree: Raft, with its log on disk and its requests between members.
//!
//! The only place that knows which Raft this is. What is agreed upon is a [`Command`]; what comes of
//! it is a [`Roll`]. Who should be a member, and who should vote, is decided elsewhere.

mod machine;
mod network;
mod store;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use openraft::error::Fatal;
use openraft::{BasicNode, ChangeMembers, Config, ServerState, SnapshotPolicy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::autopilot::Action;
use crate::bonds::Bonds;
use crate::codec;
use crate::peers::Peers;
use crate::roll::{Command, FleetId, Roll};
use crate::view::NodeId;
use machine::Machine;
use network::Network;
pub(crate) use store::{Disk, Identity};
use types::{Metrics, Raft};

/// Between two heartbeats of the leader, and how long openraft waits for a request of it: the request
/// itself goes on ([`network`]). Milliseconds.
const HEARTBEAT: u64 = 250;

/// No heartbeat for so long: the next election. Milliseconds, at least and at most.
const ELECTION: (u64, u64) = (1000, 1500);

/// Until so long after a leader's last word, nobody votes for another one.
pub(crate) const LEASE: Duration = Duration::from_millis(ELECTION.1);

/// openraft waits so long for a chunk of a snapshot. Milliseconds.
const SNAPSHOT_MAX: u64 = 2000;

/// Most bytes of a chunk of a snapshot: well within one request.
const SNAPSHOT_CHUNK: u64 = 1 << 20;

/// A snapshot after so many entries, and so many are kept behind it for those who lag.
const ENTRIES_MAX: u64 = 500;
const ENTRIES_KEPT: u64 = 200;

/// A change that is not agreed upon within this is not waited for. It may come to be later. A change of
/// the voters is agreed upon twice, with a round trip of up to 400 ms (spec §28, row 21) for each.
pub(crate) const WRITE_MAX: Duration = Duration::from_millis(1500);

/// Who hears nothing of a leader's Raft for so long is in touch with none: heartbeats are far more
/// frequent.
const IN_TOUCH: Duration = Duration::from_secs(5);

/// Who lacks no more than so many entries has caught up: a few are always under way.
const LAG_MAX: u64 = 8;

/// This node's part in the agreement. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Consensus {
    me: NodeId,
    raft: Raft,
    bonds: Bonds,
    rolls: watch::Receiver<Arc<Roll>>,
    /// When a leader's Raft was last heard.
    led: Arc<Mutex<Option<Instant>>>,
    /// It never leads again.
    abdicated: Arc<AtomicBool>,
    /// It does not lead for now.
    barred: Arc<AtomicBool>,
}

/// What this node knows of the agreement at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    pub state: &'static str,
    /// Why it has stopped, if it did so by itself: its disk has failed.
    pub failure: Option<String>,
    /// The last one that this node has heard of. A learner that was forgotten hears of no other.
    pub leader: Option<NodeId>,
    /// It leads, or has just heard a leader's Raft.
    pub in_touch: bool,
    pub term: u64,
    pub voters: BTreeSet<NodeId>,
    pub learners: BTreeSet<NodeId>,
    /// A change of the voters is half done.
    pub unsettled: bool,
    /// This node leads, and most voters have said so within [`LEASE`]: no other one can.
    pub leads: bool,
    /// Who has all of the log that matters; known to the leader.
    pub caught_up: BTreeSet<NodeId>,
}

/// Nothing was agreed upon in time.
#[derive(Debug, thiserror::Error)]
#[error("the fleet has not agreed: {0}")]
pub(crate) struct NotAgreed(String);

impl Consensus {
    /// Takes part from now on, with what the disk has.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) async fn start(
        me: NodeId,
        disk: Disk,
        bonds: Bonds,
        peers: Peers,
    ) -> anyhow::Result<Self> {
        let config = Config {
            heartbeat_interval: HEARTBEAT,
            election_timeout_min: ELECTION.0,
            election_timeout_max: ELECTION.1,
            install_snapshot_timeout: SNAPSHOT_MAX,
            snapshot_max_chunk_size: SNAPSHOT_CHUNK,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_MAX),
            max_in_snapshot_log_to_keep: ENTRIES_KEPT,
            ..Config::default()
        };
        let machine = Machine::open(disk.clone())?;
        let rolls = machine.rolls();
        let network = Network { peers, bonds: bonds.clone(), rolls: rolls.clone() };
        let config = Arc::new(config.validate()?);
        let raft = Raft::new(me.0, config, network, disk, machine).await?;
        let (led, abdicated, barred) = Default::default();
        let consensus = Self { me, raft, bonds, rolls, led, abdicated, barred };
        consensus.found().await?;
        Ok(consensus)
    }

    /// Begins the log of the fleet that this node has founded, if it has and if that was not done.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) async fn found(&self) -> anyhow::Result<()> {
        let standing = self.bonds.get();
        let Some(pledge) = standing.founded() else { return Ok(()) };
        if self.raft.is_initialized().await? {
            return Ok(());
        }
        let member = |(id, addr): &(NodeId, String)| (id.0, BasicNode::new(addr));
        let members: BTreeMap<u64, BasicNode> = pledge.members.iter().map(member).collect();
        self.raft.initialize(members).await.context("cannot begin the log of the fleet")
    }

    /// What is agreed upon; tells of each change.
    pub(crate) fn rolls(&self) -> watch::Receiver<Arc<Roll>> {
        self.rolls.clone()
    }

    /// What is agreed upon now.
    pub(crate) fn roll(&self) -> Arc<Roll> {
        self.rolls.borrow().clone()
    }

    /// What is known now.
    pub(crate) fn figures(&self) -> Figures {
        let metrics = self.raft.metrics().borrow().clone();
        let stopped = metrics.running_state.is_err();
        let failure = match &metrics.running_state {
            Ok(()) | Err(Fatal::Stopped) => None,
            Err(error) => Some(error.to_string()),
        };
        let state = match metrics.state {
            _ if stopped => "stopped",
            ServerState::Leader => "leader",
            ServerState::Follower => "follower",
            ServerState::Candidate => "candidate",
            ServerState::Learner => "learner",
            ServerState::Shutdown => "stopped",
        };
        let members = metrics.membership_config.membership();
        let acknowledged = metrics.millis_since_quorum_ack.is_some_and(|ago| ago < ELECTION.1);
        Figures {
            state,
            failure,
            leader: metrics.current_leader.filter(|_| !stopped).map(NodeId),
            in_touch: !stopped && (state == "leader" || self.is_led()),
            term: metrics.current_term,
            voters: members.voter_ids().map(NodeId).collect(),
            learners: members.learner_ids().map(NodeId).collect(),
            unsettled: members.get_joint_config().len() > 1,
            leads: state == "leader" && acknowledged && self.may_lead(),
            caught_up: self.caught_up(&metrics),
        }
    }

    fn is_led(&self) -> bool {
        let led = *self.led.lock().unwrap_or_else(PoisonError::into_inner);
        led.is_some_and(|led| led.elapsed() < IN_TOUCH)
    }

    fn caught_up(&self, metrics: &Metrics) -> BTreeSet<NodeId> {
        let last = metrics.last_log_index.unwrap_or(0);
        let replication = metrics.replication.iter().flatten();
        let near =
            replication.filter(|(_, has)| has.is_some_and(|has| has.index + LAG_MAX >= last));
        near.map(|(id, _)| NodeId(*id)).chain([self.me]).collect()
    }

    /// Where a node was when it was let in.
    pub(crate) fn first_addr(&self, id: NodeId) -> Option<String> {
        let metrics = self.raft.metrics();
        let members = metrics.borrow().membership_config.clone();
        members.membership().get_node(&id.0).map(|node| node.addr.clone())
    }

    /// Has the fleet agree upon this, if this node leads.
    ///
    /// # Errors
    /// It does not, or there was no agreement in time: it may come later.
    pub(crate) async fn write(&self, command: Command) -> Result<(), NotAgreed> {
        within(self.raft.client_write(command)).await
    }

    /// Changes who votes and who listens, if this node leads.
    ///
    /// # Errors
    /// As for [`Self::write`]; also while another such change is under way.
    pub(crate) async fn act(&self, action: Action) -> Result<(), NotAgreed> {
        let one = |id: NodeId| BTreeSet::from([id.0]);
        let (change, retain) = match action {
            Action::Forget(id) => return self.write(Command::Forget(id)).await,
            Action::Listen(id) => {
                let addr = self.roll().view().member(id).and_then(|it| it.addr.clone());
                let node = BasicNode::new(addr.unwrap_or_default());
                (ChangeMembers::AddNodes(BTreeMap::from([(id.0, node)])), true)
            }
            Action::Settle => (ChangeMembers::AddVoterIds(BTreeSet::new()), true),
            Action::Promote(id) => (ChangeMembers::AddVoterIds(one(id)), true),
            Action::Replace { old, new } => {
                let mut voters = self.figures().voters;
                voters.remove(&old);
                voters.insert(new);
                let voters = voters.into_iter().map(|id| id.0).collect();
                (ChangeMembers::ReplaceAllVoters(voters), false)
            }
            Action::Demote(id) => (ChangeMembers::RemoveVoters(one(id)), true),
            Action::Remove(id) if self.figures().voters.contains(&id) => {
                (ChangeMembers::RemoveVoters(one(id)), false)
            }
            Action::Remove(id) => (ChangeMembers::RemoveNodes(one(id)), false),
            Action::StepDown => {
                self.abdicate();
                return Ok(());
            }
        };
        within(self.raft.change_membership(change, retain)).await
    }

    /// Stands for election now. The others refuse within [`LEASE`] of the leader's last word.
    pub(crate) async fn stand(&self) {
        if !self.may_lead() {
            return;
        }
        if let Err(error) = self.raft.trigger().elect().await {
            tracing::debug!(%error, "cannot stand for election");
        }
    }

    /// Stops leading and never leads again: the others elect another one. It votes and listens on.
    pub(crate) fn abdicate(&self) {
        self.abdicated.store(true, Ordering::Relaxed);
        self.show_ambition();
    }

    /// The same, until it is said otherwise. Says whether that is news.
    pub(crate) fn bar(&self, barred: bool) -> bool {
        let news = self.barred.swap(barred, Ordering::Relaxed) != barred;
        if news {
            self.show_ambition();
        }
        news
    }

    /// Does it let others lead for now, since they do not reach it?
    pub(crate) fn is_barred(&self) -> bool {
        self.barred.load(Ordering::Relaxed)
    }

    fn may_lead(&self) -> bool {
        !self.abdicated.load(Ordering::Relaxed) && !self.is_barred()
    }

    fn show_ambition(&self) {
        let may = self.may_lead();
        self.raft.runtime_config().elect(may);
        self.raft.runtime_config().heartbeat(may);
    }

    /// Ends all that goes on here. What is on disk stays.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the membership's log was not closed in order");
        }
    }

    /// The answer to a request of another member's Raft: status and body.
    pub(crate) async fn answer(&self, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let raft = &self.raft;
        match target {
            network::APPEND => {
                let answer = self.serve(body, |request| raft.append_entries(request)).await;
                if answer.0 == 200 {
                    let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
                    *led = Some(Instant::now());
                }
                answer
            }
            // openraft's leader would step down for whoever asks, such as one whom no heartbeat reaches.
            network::VOTE if self.figures().leads => (409, Vec::new()),
            network::VOTE => self.serve(body, |request| raft.vote(request)).await,
            network::SNAPSHOT => self.serve(body, |request| raft.install_snapshot(request)).await,
            _ => (404, Vec::new()),
        }
    }

    /// Lets `raft` answer, if the request is one of this fleet.
    async fn serve<Q, A, F>(&self, body: &[u8], raft: impl FnOnce(Q) -> F) -> (u16, Vec<u8>)
    where
        Q: DeserializeOwned,
        A: Serialize,
        F: Future<Output = A>,
    {
        let Ok((fleet, request)) = codec::decode::<(FleetId, Q)>(body) else {
            return (400, Vec::new());
        };
        if !self.bonds.admits(fleet) {
            return (421, Vec::new());
        }
        match codec::encode(&raft(request).await) {
            Ok(answer) => (200, answer),
            Err(_) => (500, Vec::new()),
        }
    }
}

impl fmt::Debug for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consensus").field("me", &self.me).finish_non_exhaustive()
    }
}

async fn within<T, E: fmt::Display>(
    agreement: impl Future<Output = Result<T, E>>,
) -> Result<(), NotAgreed> {
    match timeout(WRITE_MAX, agreement).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(NotAgreed(error.to_string())),
        Err(_) => Err(NotAgreed("no answer in time".to_owned())),
    }
}
