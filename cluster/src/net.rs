//! Everything between this node and the others: the way out, the way in, and the links.
//!
//! Put together here once, on the runtime of the cluster. What is said is not known here.

use std::sync::Arc;

use tokio::sync::watch;

use crate::contact::Contacts;
use crate::door::Door;
use crate::link::Mesh;
use crate::peers::Peers;
use crate::settings::Secret;
use crate::view::{NodeId, View};

/// This node among others. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    /// Requests to others.
    pub(crate) peers: Peers,
    /// Who was heard, and who refused.
    pub(crate) contacts: Contacts,
    /// Requests of others.
    pub(crate) door: Door,
    /// Links, both ways.
    pub(crate) mesh: Mesh,
}

impl Net {
    /// Starts for the node `me` in the life `boot`, with links to whoever is in the newest of `views`.
    /// Call it within the runtime that all of it shall live on.
    ///
    /// # Errors
    /// The HTTP client cannot be made, or the kernel gives no random bytes.
    pub(crate) fn start(
        me: NodeId,
        boot: u64,
        secret: &Secret,
        views: watch::Receiver<Arc<View>>,
    ) -> anyhow::Result<Self> {
        let contacts = Contacts::default();
        let peers = Peers::new(me, secret.clone())?;
        let door = Door::open(me, secret.clone(), contacts.clone())?;
        let mesh = Mesh::start(me, boot, peers.clone(), contacts.clone(), views);
        Ok(Self { peers, contacts, door, mesh })
    }
}

#[cfg(test)]
mod tests;
