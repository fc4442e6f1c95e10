//! The one file on disk: who this node is, to which fleet it is bound, and Raft's vote, log and
//! snapshot. Every write is on the disk before it is acknowledged.
//!
//! Holds only the membership. Knows no network, and not what a command means.

use std::error::Error;
use std::fmt::Debug;
use std::fs::{DirBuilder, OpenOptions};
use std::ops::RangeBounds;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader, StorageIOError};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::types::{Entry, LogId, SnapshotMeta, StorageError, Types, Vote};
use crate::codec;
use crate::view::NodeId;

/// The file in the data directory.
const FILE: &str = "membership.redb";

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

const IDENTITY: &str = "identity";
const BOND: &str = "bond";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT: &str = "snapshot";

/// The data directory of this process alone. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Database>);

/// Who this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Random, for as long as the data directory lives.
    pub id: NodeId,
    /// Counts the starts, from 1.
    pub boot: u64,
}

impl Disk {
    /// Opens the data directory, makes it on first use, and counts this start.
    ///
    /// # Errors
    /// It cannot be written, or another process has it open.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<(Self, Identity)> {
        // The seed of the placement is in there: not for others' eyes.
        let mut folder = DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let file = dir.join(FILE);
        let disk = Self::open_file(&file)
            .with_context(|| format!("cannot use {} (is it in use?)", file.display()))?;
        let identity = disk.identity().context("cannot keep this node's identity")?;
        Ok((disk, identity))
    }

    fn open_file(file: &Path) -> Result<Self, redb::Error> {
        let mut private = OpenOptions::new();
        private.read(true).write(true).create(true).truncate(false).mode(0o600);
        let database = Database::builder().create_file(private.open(file)?)?;
        let write = database.begin_write()?;
        write.open_table(LOG)?;
        write.open_table(META)?;
        write.commit()?;
        Ok(Self(Arc::new(database)))
    }

    fn identity(&self) -> anyhow::Result<Identity> {
        let (id, boots) = match self.get::<(NodeId, u64)>(IDENTITY)? {
            Some(known) => known,
            None => (NodeId(getrandom::u64()?), 0),
        };
        let identity = Identity { id, boot: boots + 1 };
        self.put(IDENTITY, &(identity.id, identity.boot))?;
        Ok(identity)
    }

    /// To which fleet this node is bound, as it was last told to [`Self::bind`].
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn bond<T: DeserializeOwned>(&self) -> anyhow::Result<Option<T>> {
        Ok(self.get(BOND)?)
    }

    /// Keeps to which fleet this node is bound.
    ///
    /// # Errors
    /// The disk fails; nothing has changed then.
    pub(crate) fn bind<T: Serialize>(&self, bond: &T) -> anyhow::Result<()> {
        Ok(self.put(BOND, bond)?)
    }

    pub(super) fn snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, Failed> {
        self.get(SNAPSHOT)
    }

    /// Keeps a snapshot, unless there is one of more entries: one may be built while another, newer
    /// one is installed, and the log behind that is gone.
    pub(super) fn put_snapshot(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), Failed> {
        let snapshot = codec::encode(&(meta, bytes)).map_err(writing)?;
        let write = self.0.begin_write().map_err(writing)?;
        {
            let mut table = write.open_table(META).map_err(writing)?;
            let known = table.get(SNAPSHOT).map_err(reading)?;
            let known = known.map(|known| codec::decode::<(SnapshotMeta, Vec<u8>)>(known.value()));
            let known = known.transpose().map_err(reading)?;
            if known.is_some_and(|(known, _)| known.last_log_id > meta.last_log_id) {
                return Ok(());
            }
            table.insert(SNAPSHOT, &*snapshot).map_err(writing)?;
        }
        write.commit().map_err(writing)
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failed> {
        let read = self.0.begin_read().map_err(reading)?;
        let table = read.open_table(META).map_err(reading)?;
        let value = table.get(key).map_err(reading)?;
        value.map(|value| codec::decode(value.value()).map_err(reading)).transpose()
    }

    fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), Failed> {
        let bytes = codec::encode(value).map_err(writing)?;
        let write = self.0.begin_write().map_err(writing)?;
        write.open_table(META).map_err(writing)?.insert(key, &*bytes).map_err(writing)?;
        commit(write)
    }
}

/// Waits for the disk, which may take seconds. A thread of the fleet's runtime hands everything else that
/// it has to do to another one before: who cannot ping counts as down.
fn commit(write: WriteTransaction) -> Result<(), Failed> {
    let commit = || write.commit().map_err(writing);
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(commit),
        _ => commit(),
    }
}

/// The disk has failed, as openraft needs to hear it; in a box, for it is large and rare.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Failed(Box<StorageError>);

impl From<Failed> for StorageError {
    fn from(failed: Failed) -> Self {
        *failed.0
    }
}

pub(super) fn reading(error: impl Error + 'static) -> Failed {
    Failed(Box::new(StorageIOError::read(&error).into()))
}

pub(super) fn writing(error: impl Error + 'static) -> Failed {
    Failed(Box::new(StorageIOError::write(&error).into()))
}

impl RaftLogReader<Types> for Disk {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let read = self.0.begin_read().map_err(reading)?;
        let table = read.open_table(LOG).map_err(reading)?;
        let mut entries = Vec::new();
        for entry in table.range(range).map_err(reading)? {
            let (_, bytes) = entry.map_err(reading)?;
            entries.push(codec::decode(bytes.value()).map_err(reading)?);
        }
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for Disk {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let last_purged_log_id: Option<LogId> = self.get(PURGED)?;
        let read = self.0.begin_read().map_err(reading)?;
        let table = read.open_table(LOG).map_err(reading)?;
        let last = match table.last().map_err(reading)? {
            Some((_, bytes)) => {
                Some(codec::decode::<Entry>(bytes.value()).map_err(reading)?.log_id)
            }
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        Ok(self.put(VOTE, vote)?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.get(VOTE)?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        Ok(self.put(COMMITTED, &committed)?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.get(COMMITTED)?.flatten())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        flushed: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let write = self.0.begin_write().map_err(writing)?;
        {
            let mut table = write.open_table(LOG).map_err(writing)?;
            for entry in entries {
                let bytes = codec::encode(&entry).map_err(writing)?;
                table.insert(entry.log_id.index, &*bytes).map_err(writing)?;
            }
        }
        commit(write)?;
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        let write = self.0.begin_write().map_err(writing)?;
        let mut table = write.open_table(LOG).map_err(writing)?;
        table.retain_in(since.index.., |_, _| false).map_err(writing)?;
        drop(table);
        Ok(commit(write)?)
    }

    async fn purge(&mut self, until: LogId) -> Result<(), StorageError> {
        let bytes = codec::encode(&until).map_err(writing)?;
        let write = self.0.begin_write().map_err(writing)?;
        let mut table = write.open_table(LOG).map_err(writing)?;
        table.retain_in(..=until.index, |_, _| false).map_err(writing)?;
        drop(table);
        write.open_table(META).map_err(writing)?.insert(PURGED, &*bytes).map_err(writing)?;
        Ok(commit(write)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use openraft::CommittedLeaderId;

    use super::*;

    #[test]
    fn an_identity_lives_as_long_as_its_directory_and_counts_its_starts() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, first) = Disk::open(&dir.path().join("deep/down")).unwrap();
        assert_eq!(first.boot, 1);
        drop(disk);
        let (_disk, second) = Disk::open(&dir.path().join("deep/down")).unwrap();
        assert_eq!(second, Identity { id: first.id, boot: 2 });
        let (_other, another) = Disk::open(&dir.path().join("other")).unwrap();
        assert!(another.id != first.id && another.boot == 1);
    }

    #[test]
    fn nobody_else_may_read_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("data");
        let _disk = Disk::open(&made).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&made), mode(&made.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn a_directory_serves_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Disk::open(dir.path()).unwrap();
        let error = Disk::open(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("membership.redb"), "{error:#}");
        drop(first);
        assert!(Disk::open(dir.path()).is_ok());
    }

    #[test]
    fn an_older_snapshot_never_replaces_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(dir.path()).unwrap();
        let at = |index| SnapshotMeta {
            last_log_id: Some(LogId::new(CommittedLeaderId::new(1, 1), index)),
            ..SnapshotMeta::default()
        };
        for (index, want) in [(5, 5), (9, 9), (7, 9), (10, 10)] {
            disk.put_snapshot(&at(index), &[index as u8]).unwrap();
            let known = disk.snapshot().unwrap().unwrap();
            assert_eq!((known.0, known.1), (at(want), vec![want as u8]));
        }
    }

    #[test]
    fn a_bond_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(dir.path()).unwrap();
        assert_eq!(disk.bond::<u32>().unwrap(), None);
        disk.bind(&7u32).unwrap();
        assert_eq!(disk.bond::<u32>().unwrap(), Some(7));
    }
}
