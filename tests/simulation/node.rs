//! A node: what it is to the world, and what it forgets in a crash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use hoody_pipe::edge::desk::Desk;
use hoody_pipe::edge::judge::Takeover;
use hoody_pipe::pipe::TransferId;
use hoody_pipe_cluster::link::LinkNumber;
use hoody_pipe_cluster::{Health, NodeId, View};

use crate::inward::Inward;
use crate::owner::Name;
use crate::queue::{Ms, What};
use crate::world::{ClientNo, LinkNo, NodeNo, TrunkNo};

/// A node.
pub struct Node {
    pub alive: bool,
    /// Which life this is.
    pub boot: u64,
    /// It handles nothing; what happens meanwhile waits.
    pub paused: bool,
    pub backlog: Vec<What>,
    /// It takes no clients any more.
    pub closed: bool,
    /// What the fleet thinks of it; nothing: it is no member.
    pub health: Option<Health>,
    /// Since when it has handled everything as it came.
    pub steady: Ms,
    pub mind: Mind,
}

/// What a crash wipes out.
pub struct Mind {
    pub view: Arc<View>,
    pub view_since: Ms,
    /// Counts parties.
    pub seq: u64,
    pub parties: BTreeSet<ClientNo>,
    pub names: BTreeMap<usize, Name>,
    pub takeover: Takeover,
    pub desk: Desk<TrunkNo>,
    pub inwards: HashMap<TransferId, Inward>,
    /// Links to owners, by node: those that stand, and those that are kept up.
    pub standing: BTreeMap<NodeNo, LinkNo>,
    pub kept: BTreeSet<NodeNo>,
    /// The newest link of each edge, and all that still count, by the id they have here.
    pub newest: BTreeMap<NodeNo, (LinkNumber, LinkNo)>,
    pub ways_back: BTreeMap<u64, LinkNo>,
}

impl Mind {
    /// A node that has just started.
    pub fn new(now: Instant, me: NodeNo, view: Arc<View>, view_since: Ms) -> Self {
        Self {
            view,
            view_since,
            seq: 0,
            parties: BTreeSet::new(),
            names: BTreeMap::new(),
            takeover: Takeover::new(now, id_of(me)),
            desk: Desk::default(),
            inwards: HashMap::new(),
            standing: BTreeMap::new(),
            kept: BTreeSet::new(),
            newest: BTreeMap::new(),
            ways_back: BTreeMap::new(),
        }
    }
}

/// The id of a node, as views and machines know it.
pub fn id_of(node: NodeNo) -> NodeId {
    NodeId(node as u64 + 1)
}

/// The node with that id.
pub fn node_of(id: u64) -> NodeNo {
    id as usize - 1
}
