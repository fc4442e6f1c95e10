//! The names that openraft's types have here. No behaviour.

use std::io::Cursor;

use openraft::{BasicNode, TokioRuntime};

use crate::roll::Command;

openraft::declare_raft_types!(
    /// What is agreed upon here, and by whom.
    pub(crate) Types:
        D = Command,
        R = (),
        NodeId = u64,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = TokioRuntime,
);

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StoredMembership = openraft::StoredMembership<u64, BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
pub(super) type Raft = openraft::Raft<Types>;
pub(super) type Metrics = openraft::RaftMetrics<u64, BasicNode>;
