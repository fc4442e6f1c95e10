//! Control links: ordered frames between the node a client is at (its edge) and the node that owns
//! the client's key (the owner). An edge keeps one link to every other member; what the frames mean
//! is not known here.
//!
//! Between nodes a link is an HTTP/1.1 connection that the edge asks the owner to upgrade, and then
//! frames both ways, each with its length before it. Both sides say something each second; a side
//! that is silent for [`SILENCE_MAX`] is gone, and so is one that does not keep up ([`QUEUE_MAX`]).

mod framing;
mod incoming;
mod local;
mod mesh;
mod outbox;

use std::time::Duration;

use bytes::Bytes;

pub(crate) use incoming::Incomings;
pub use incoming::{FrameSender, Incoming};
pub use local::{EdgeEnd, End, Handler, OwnerEnd, local};
pub(crate) use mesh::Mesh;

use crate::view::NodeId;

/// Most bytes of a frame: the start of a pipe with 256 receivers takes a tenth of it.
pub const FRAME_MAX: usize = 64 << 10;

/// Most bytes that wait to be written on one link: a new view makes an edge attach all its waiting
/// parties at once, 100,000 of them with names of some 200 characters. More, and the link is closed.
pub const QUEUE_MAX: usize = 32 << 20;

/// Each side of a link says something this often.
const PING_EVERY: Duration = Duration::from_secs(1);

/// A side that has said nothing for so long is gone (spec §28, rows 14 and 15).
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What a connection is upgraded to.
pub const UPGRADE: &str = "hoody-pipe-link/1";

/// Identifies a link within this process, whichever end of it is here. A newer one has a greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Counts the links that an edge has made, over its restarts: a greater one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkNumber {
    /// Which life of the edge.
    pub boot: u64,
    /// Which link of that life.
    pub seq: u64,
}

impl LinkNumber {
    /// The target that asks for this link.
    pub fn target(self) -> String {
        format!("/link/{}/{}", self.boot, self.seq)
    }

    /// The link that a target asks for; `None` if it is another one.
    pub fn of_target(target: &str) -> Option<Self> {
        let (boot, seq) = target.strip_prefix("/link/")?.split_once('/')?;
        Some(Self { boot: boot.parse().ok()?, seq: seq.parse().ok()? })
    }
}

/// What an edge hears from its links, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The link to this owner stands.
    Up {
        /// The owner.
        node: NodeId,
        /// The new link.
        link: LinkId,
    },
    /// The owner says something.
    Frame {
        /// The owner.
        node: NodeId,
        /// Over which link.
        link: LinkId,
        /// What.
        frame: Bytes,
    },
    /// The link is lost, and with it what was under way on it.
    Down {
        /// The owner.
        node: NodeId,
        /// Which link.
        link: LinkId,
    },
}
