//! What is still to happen, and when: one queue of events on a virtual clock. Of those of one
//! moment the seed decides which comes first. Knows nothing of what they mean but where they happen.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use hoody_pipe::pipe::TransferId;

use crate::faults::Fault;
use crate::world::{ClientNo, LinkNo, NodeNo, TrunkNo};

/// A moment of the virtual clock, in milliseconds.
pub type Ms = u64;

/// Which end of a link or trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who has made the connection: the edge of a link, the receivers' side of a trunk.
    Caller,
    /// Who was called: the owner, the sender's side.
    Called,
}

/// Where something happens: at one life of a node, or to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    World,
    Node(NodeNo, u64),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A client comes, or leaves.
    Comes(ClientNo),
    Leaves(ClientNo),
    Fault(Fault),
    /// Faults are over; everybody goes; the end.
    Calm,
    Farewell,
    /// Looks for pairs that are parked apart.
    Look,
    /// A node learns of a view.
    Learn(usize),
    /// An edge tries to make a link.
    Redial(NodeNo),
    /// A frame reaches this end of a link. Frames that were under way when it broke are of an older
    /// generation.
    Frame(LinkNo, Side, u32),
    /// This end of a link or trunk sees that it is broken.
    LinkLost(LinkNo, Side),
    TrunkLost(TrunkNo, Side),
    /// A link has been held for long enough.
    Held(LinkNo, u64),
    /// A party takes the next thing out of its inbox; its timer rings.
    Inbox(ClientNo),
    Timer(ClientNo, Ms),
    /// A name wants to be woken.
    Alarm(usize, Ms),
    /// A frame reaches this end of a trunk.
    TrunkFrame(TrunkNo, Side, u32),
    /// A trunk that is being dialled looks at its clock.
    Dialing(TransferId, Ms),
    /// The receivers of a trunk have taken everything.
    Drained(TrunkNo),
    /// A dial could not connect.
    Unreachable(TransferId, TrunkNo),
    /// The desk lets go of dials.
    Expire,
    /// A sender hears that one of its lanes is gone.
    LaneGone(ClientNo, TransferId, Way),
    /// A receiver hears how its lane has ended.
    LaneEnded(ClientNo, TransferId, LaneEnd),
    /// The host of a sender's client has acknowledged everything.
    Confirm(ClientNo, TransferId),
    /// A sender's client gives its head, the next bytes, its end, or breaks off.
    Source(ClientNo),
}

/// A lane, as its sender's side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A receiver of the same node.
    Local(ClientNo),
    Trunk(TrunkNo),
}

/// How a lane has ended for its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneEnd {
    Undone,
    Whole,
    Cut,
    /// It has carried an error reply.
    Failed,
    /// The transfer has started without it.
    TurnedAway,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: At,
    pub what: What,
}

/// All events to come.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

struct Entry {
    when: Ms,
    tie: u32,
    count: u64,
    event: Event,
}

impl Queue {
    /// One more. `tie` decides among those of the same moment.
    pub fn push(&mut self, when: Ms, tie: u32, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Entry { when, tie, count: self.count, event }));
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<(Ms, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.when, entry.event))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.when, self.tie, self.count).cmp(&(other.when, other.tie, other.count))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
