//! Who is here and who owns a key.
//!
//! A [`View`] is the membership that everybody agreed on; placement turns it and a key into the one
//! member that owns the key; a [`link`] carries ordered frames from the node a client is at to the
//! node that owns its key. A node without peers is a fleet of one: the same view, the same
//! placement, the same link, only that it leads back to itself.
//!
//! This crate has never heard of pipes or of HTTP clients: a key is bytes, a frame is the user's
//! type.

pub mod link;
mod placement;
mod view;

use std::io;
use std::sync::Arc;

pub use placement::{Placement, Seed};
pub use view::{Epoch, Health, Member, NodeId, View};

/// The handle of this node on its fleet. Cheap to clone; all clones see the same view.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The id of this node, a member of the view.
    me: NodeId,
    /// The newest view. Nothing changes it in a fleet of one.
    view: Arc<View>,
}

impl Cluster {
    /// A fleet of one node with that name.
    ///
    /// The name decides the node's id; the seed of placement is fresh, so that keys hash
    /// differently after every start.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn alone(name: &str) -> io::Result<Self> {
        let me = NodeId::of_name(name);
        Ok(Self { me, view: Arc::new(View::alone(me, Seed::random()?)) })
    }

    /// The id of this node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The newest view this node knows.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// The member that owns a key in the newest view. Asks nobody and never waits.
    pub fn owner(&self, key: &[u8]) -> NodeId {
        self.view.owner(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_alone_owns_every_key() {
        let cluster = Cluster::alone("node-a").unwrap();
        for key in ["", "a", "run-42/tokens", "caf%C3%A9"] {
            assert_eq!(cluster.owner(key.as_bytes()), cluster.me());
        }
        assert_eq!(cluster.view().members(), [Member { id: cluster.me(), health: Health::Up }]);
    }

    #[test]
    fn the_name_decides_the_id_and_nothing_else() {
        let (a, again) = (Cluster::alone("node-a").unwrap(), Cluster::alone("node-a").unwrap());
        assert_eq!(a.me(), again.me());
        assert_ne!(a.view(), again.view(), "two starts must not share a seed");
        assert_ne!(a.me(), Cluster::alone("node-b").unwrap().me());
    }

    #[test]
    fn clones_see_the_same_view() {
        let cluster = Cluster::alone("node-a").unwrap();
        assert!(Arc::ptr_eq(&cluster.view(), &cluster.clone().view()));
    }
}
