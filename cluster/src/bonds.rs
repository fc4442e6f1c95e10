//! To which fleet this node is bound, on disk before anybody hears of it.
//!
//! A thin shell: [`crate::bootstrap`] decides. Knows no network.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bootstrap::Standing;
use crate::raft::Disk;
use crate::roll::FleetId;
use crate::view::NodeId;

/// The standing of this node. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Bonds(Arc<(Mutex<Standing>, Disk)>);

impl Bonds {
    /// As the disk has it, for this life.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(crate) fn open(me: NodeId, boot: u64, disk: Disk) -> anyhow::Result<Self> {
        let standing = Standing::new(me, boot, disk.bond()?.unwrap_or_default());
        Ok(Self(Arc::new((Mutex::new(standing), disk))))
    }

    /// What it is now.
    pub(crate) fn get(&self) -> Standing {
        let (standing, _) = &*self.0;
        standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The fleet this node belongs to.
    pub(crate) fn fleet(&self) -> Option<FleetId> {
        let (standing, _) = &*self.0;
        standing.lock().unwrap_or_else(PoisonError::into_inner).fleet()
    }

    /// Changes it and gives what the change says, once that is on disk.
    ///
    /// # Errors
    /// The disk cannot be written; nothing has changed then.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> anyhow::Result<T> {
        let (standing, disk) = &*self.0;
        let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = standing.clone();
        let answer = change(&mut changed);
        if changed.bond() != standing.bond() {
            disk.bind(changed.bond())?;
        }
        *standing = changed;
        Ok(answer)
    }

    /// Does this node belong to that fleet? It does from now on if it was promised to it.
    pub(crate) fn admits(&self, fleet: FleetId) -> bool {
        self.fleet() == Some(fleet)
            || self.change(|standing| standing.admits(fleet)).unwrap_or(false)
    }
}
