//! Carries out what was agreed upon and shows the result. In memory; a snapshot of it is on disk,
//! and what was agreed since is in the log.
//!
//! Knows no network and not what a command means.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::store::{Disk, Failed, reading, writing};
use super::types::{Entry, LogId, SnapshotMeta, StorageError, StoredMembership, Types};
use crate::codec;
use crate::roll::Roll;

/// The state machine. A clone is a copy of this moment.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    disk: Disk,
    state: State,
    shown: Arc<watch::Sender<Arc<Roll>>>,
}

/// All that a snapshot holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    applied: Option<LogId>,
    voters: StoredMembership,
    roll: Roll,
}

impl Machine {
    /// The machine as its last snapshot on this disk has it.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn open(disk: Disk) -> Result<Self, Failed> {
        let fresh = State { applied: None, voters: StoredMembership::default(), roll: Roll::new() };
        let state: State = match disk.snapshot()? {
            Some((_, bytes)) => codec::decode(&bytes).map_err(reading)?,
            None => fresh,
        };
        let shown = Arc::new(watch::Sender::new(Arc::new(state.roll.clone())));
        Ok(Self { disk, state, shown })
    }

    /// Tells of each change.
    pub(crate) fn rolls(&self) -> watch::Receiver<Arc<Roll>> {
        self.shown.subscribe()
    }

    /// Shows the state if it differs from what was shown last: most entries change nothing.
    fn show(&self) {
        self.shown.send_if_modified(|shown| {
            let news = **shown != self.state.roll;
            if news {
                *shown = Arc::new(self.state.roll.clone());
            }
            news
        });
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let State { applied, voters, .. } = &self.state;
        let meta = SnapshotMeta {
            last_log_id: *applied,
            last_membership: voters.clone(),
            snapshot_id: applied.map_or_else(String::new, |id| id.to_string()),
        };
        let bytes = codec::encode(&self.state).map_err(writing)?;
        self.disk.put_snapshot(&meta, &bytes)?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.state.applied, self.state.voters.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.state.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Membership(voters) => {
                    self.state.voters = StoredMembership::new(Some(entry.log_id), voters);
                }
                EntryPayload::Normal(command) => {
                    self.state.roll.apply(entry.log_id.index, command);
                }
            }
            answers.push(());
        }
        self.show();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = snapshot.into_inner();
        self.state = codec::decode(&bytes).map_err(reading)?;
        self.disk.put_snapshot(meta, &bytes)?;
        self.show();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let snapshot = self.disk.snapshot()?;
        Ok(snapshot.map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }))
    }
}

#[cfg(test)]
mod tests {
    use openraft::testing::{StoreBuilder, Suite};
    use tempfile::TempDir;

    use super::*;

    struct Fresh;

    impl StoreBuilder<Types, Disk, Machine, TempDir> for Fresh {
        async fn build(&self) -> Result<(TempDir, Disk, Machine), StorageError> {
            let dir = tempfile::tempdir().unwrap();
            let (disk, _) = Disk::open(dir.path()).unwrap();
            let machine = Machine::open(disk.clone())?;
            Ok((dir, disk, machine))
        }
    }

    #[test]
    fn log_and_machine_are_what_openraft_asks_for() {
        Suite::test_all(Fresh).unwrap();
    }
}
