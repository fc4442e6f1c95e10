//! What can be seen of a name and its transfers: how far one has come, how it ended, and the snapshot
//! that spectators get. Plain data; the words are put on it in `http`.

use serde::{Deserialize, Serialize};

use super::rendezvous::Millis;
use super::{Failure, PublicId};

/// What is at a name, or became of a transfer, at one moment (spec §16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// A sender is there.
    pub has_sender: bool,
    /// Receivers that are there: waiting, or still to get bytes.
    pub receivers: u16,
    /// The number of receivers of the pipe; unknown while nobody is there.
    pub n: Option<u16>,
    /// Body bytes read from the sender.
    pub bytes: u64,
    /// The length of the body, if it was declared.
    pub total: Option<u64>,
    /// Since the commit, when this was said; frozen at the end. 0 before a commit.
    pub elapsed_ms: u64,
    /// SHA-256 of the body in lower-case hex, once it is complete and if it was hashed.
    pub digest: Option<String>,
    /// The public id: from the commit, or earlier if the sender chose it.
    pub id: Option<PublicId>,
}

/// Where a name or a transfer stands (spec §8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nobody is there.
    Idle,
    /// Parties wait for each other.
    Waiting,
    /// Between commit and end.
    Streaming,
    /// Ended well.
    Complete,
    /// Ended badly, also while waiting.
    Failed(Failure),
}

impl Snapshot {
    /// A name where nobody is.
    pub fn idle() -> Self {
        Self {
            state: State::Idle,
            has_sender: false,
            receivers: 0,
            n: None,
            bytes: 0,
            total: None,
            elapsed_ms: 0,
            digest: None,
            id: None,
        }
    }

    /// A pipe that failed before its start.
    pub(super) fn failed(why: Failure, n: u16, id: Option<PublicId>) -> Self {
        Self { state: State::Failed(why), n: Some(n), id, ..Self::idle() }
    }

    /// Nothing more will happen to what it shows.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Complete | State::Failed(_))
    }

    /// Does `other` show the same state and the same parties? They may differ in how far it has come.
    pub fn has_scene_of(&self, other: &Self) -> bool {
        let scene = |s: &Self| (s.has_sender, s.receivers, s.n);
        self.state == other.state && scene(self) == scene(other)
    }

    /// Is this what `other` says, but for the time that has passed?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let Self { state, has_sender, receivers, n, bytes, total, elapsed_ms: _, digest, id } =
            self;
        (state, id, digest) == (&other.state, &other.id, &other.digest)
            && (has_sender, receivers, n) == (&other.has_sender, &other.receivers, &other.n)
            && (bytes, total) == (&other.bytes, &other.total)
    }
}

/// How a transfer ended, from its commit to the last receiver, as its sender's side knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Complete, or why not.
    pub result: Result<(), Failure>,
    /// Body bytes read from the sender (counted once).
    pub bytes: u64,
    /// Receivers that got everything.
    pub whole: u16,
    /// Receivers it began with.
    pub n: u16,
    /// Receivers that were still to get bytes when it ended; 0 when it is complete.
    pub receivers: u16,
    /// Milliseconds since the commit.
    pub elapsed_ms: u64,
    /// Somebody asked for the hash.
    pub hashed: bool,
    /// SHA-256 of the body in lower-case hex; only of a complete and hashed transfer.
    pub digest: Option<String>,
}

/// What the owner knows of a running transfer: what its sender's side has told it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) began: Millis,
    pub(super) n: u16,
    pub(super) total: Option<u64>,
    pub(super) bytes: u64,
    pub(super) receivers: u16,
}

impl Running {
    /// What it looks like at `now`.
    pub(super) fn snapshot(&self, now: Millis, id: PublicId) -> Snapshot {
        Snapshot {
            state: State::Streaming,
            has_sender: true,
            receivers: self.receivers,
            n: Some(self.n),
            bytes: self.bytes,
            total: self.total,
            elapsed_ms: now.saturating_sub(self.began),
            digest: None,
            id: Some(id),
        }
    }

    /// What it looks like for good.
    pub(super) fn ended(&self, outcome: Outcome, id: PublicId) -> Snapshot {
        let Outcome { result, bytes, elapsed_ms, digest, .. } = outcome;
        let state = match result {
            Ok(()) => State::Complete,
            Err(why) => State::Failed(why),
        };
        let (n, total, id) = (Some(self.n), self.total, Some(id));
        Snapshot { state, n, bytes, total, elapsed_ms, digest, id, ..Snapshot::idle() }
    }
}

/// What is over, on its way to the node's memory of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What is left to see; it is over.
    pub last: Snapshot,
    /// It is what its name shows until a new party comes.
    pub named: bool,
    /// It leaves a receipt for ten minutes: it was hashed, or its sender chose its id.
    pub kept: bool,
}
