//! Trunks: one connection for each transfer and receiving node. The bytes are numbered pieces, then an
//! explicit end; a connection that breaks may lose the last of what was under way.

use std::collections::VecDeque;

use hoody_pipe::pipe::{PartyId, Seat, TransferId};

use crate::queue::{At, Ms, Side, What};
use crate::world::{ClientNo, NodeNo, TrunkNo, World};

/// One connection.
pub struct Trunk {
    pub transfer: TransferId,
    pub sender: PartyId,
    pub seats: Vec<Seat>,
    pub attempt: u32,
    /// The receivers' node, and the sender's.
    pub from: (NodeNo, u64),
    pub to: (NodeNo, u64),
    pub up: VecDeque<Rising>,
    pub down: VecDeque<Falling>,
    pub generation: u32,
    pub broken: bool,
    pub from_open: bool,
    pub to_open: bool,
    /// The sender that has it among its lanes.
    pub handed: Option<ClientNo>,
    /// It was said that the transfer is on.
    pub answered: bool,
    pub opened: bool,
    /// Its explicit end is here; a slow receiver may still lack some.
    pub complete: bool,
    pub landing: Vec<ClientNo>,
    pub whole: u16,
    pub floor: (Ms, Ms),
}

pub enum Rising {
    Dial,
    Lost,
    Whole(u16),
    Close,
}

pub enum Falling {
    Started,
    Undone,
    Late,
    Opened,
    Failed,
    Piece(ClientNo, u32),
    End,
    Close,
}

impl World {
    pub fn rise_on(&mut self, no: TrunkNo, frame: Rising) {
        let Some(delay) = self.arrival_on(no, Side::Called) else { return };
        let trunk = self.trunks.get_mut(&no).expect("trunks are kept");
        trunk.up.push_back(frame);
        let ((node, life), generation) = (trunk.to, trunk.generation);
        self.after(delay, At::Node(node, life), What::TrunkFrame(no, Side::Called, generation));
    }

    pub fn fall_on(&mut self, no: TrunkNo, frame: Falling) {
        let Some(delay) = self.arrival_on(no, Side::Caller) else { return };
        let trunk = self.trunks.get_mut(&no).expect("trunks are kept");
        trunk.down.push_back(frame);
        let ((node, life), generation) = (trunk.from, trunk.generation);
        self.after(delay, At::Node(node, life), What::TrunkFrame(no, Side::Caller, generation));
    }

    pub fn arrival_on(&mut self, no: TrunkNo, side: Side) -> Option<Ms> {
        let trunk = self.trunks.get(&no).filter(|trunk| !trunk.broken)?;
        let delay = self.delay(trunk.from.0, trunk.to.0);
        let at = self.now + delay;
        let floor = &mut self.trunks.get_mut(&no)?.floor;
        let floor = if side == Side::Called { &mut floor.0 } else { &mut floor.1 };
        *floor = at.max(*floor);
        Some(*floor - self.now)
    }

    pub fn trunk_frame(&mut self, no: TrunkNo, side: Side, generation: u32) {
        let Some(trunk) = self.trunks.get_mut(&no).filter(|t| t.generation == generation) else {
            return;
        };
        match side {
            Side::Called => {
                if let Some(frame) = trunk.up.pop_front()
                    && (trunk.to_open || matches!(frame, Rising::Dial))
                {
                    self.at_sender(no, frame);
                }
            }
            Side::Caller => {
                if let Some(frame) = trunk.down.pop_front() {
                    self.at_receivers(no, frame);
                }
            }
        }
        self.forget_trunk(no);
    }

    /// One side closes a trunk.
    pub fn hang_up(&mut self, no: TrunkNo, side: Side) {
        let Some(trunk) = self.trunks.get_mut(&no) else { return };
        match side {
            Side::Caller if std::mem::replace(&mut trunk.from_open, false) => {
                self.rise_on(no, Rising::Close);
            }
            Side::Called if std::mem::replace(&mut trunk.to_open, false) => {
                self.fall_on(no, Falling::Close);
            }
            _ => {}
        }
        self.forget_trunk(no);
    }

    /// One side sees that a trunk is gone.
    pub fn trunk_lost(&mut self, no: TrunkNo, side: Side) {
        let Some(trunk) = self.trunks.get_mut(&no) else { return };
        match side {
            Side::Caller if std::mem::replace(&mut trunk.from_open, false) => {
                self.rise_on(no, Rising::Close);
                self.lost_at_receivers(no);
            }
            Side::Called if std::mem::replace(&mut trunk.to_open, false) => {
                self.fall_on(no, Falling::Close);
                self.lost_at_sender(no);
            }
            // What has not rung yet never will.
            Side::Called => trunk.up.clear(),
            Side::Caller => {}
        }
        self.forget_trunk(no);
    }

    /// A trunk breaks: some of what is under way still arrives, and each end that lives sees it at its
    /// own time, between these two.
    pub fn break_trunk(&mut self, no: TrunkNo, notice: (Ms, Ms)) {
        let Some(trunk) = self.trunks.get_mut(&no).filter(|trunk| !trunk.broken) else { return };
        trunk.broken = true;
        let kept = (self.rng.usize(0..=trunk.up.len()), self.rng.usize(0..=trunk.down.len()));
        trunk.up.truncate(kept.0);
        trunk.down.truncate(kept.1);
        let (from, to, transfer) = (trunk.from, trunk.to, trunk.transfer);
        self.ledger.of(transfer).broken = true;
        self.seen.trunk_breaks += 1;
        for ((node, life), side) in [(from, Side::Caller), (to, Side::Called)] {
            let delay = self.rng.u64(notice.0..=notice.1);
            self.after(delay, At::Node(node, life), What::TrunkLost(no, side));
        }
    }

    /// A node is gone, and with it its ends of trunks.
    pub fn forget_trunks(&mut self, node: NodeNo) {
        for trunk in self.trunks.values_mut() {
            trunk.from_open &= trunk.from.0 != node;
            trunk.to_open &= trunk.to.0 != node;
        }
        self.trunks.retain(|_, t| t.from_open || t.to_open);
    }

    pub fn forget_trunk(&mut self, no: TrunkNo) {
        let over = |t: &Trunk| !t.from_open && !t.to_open;
        if self.trunks.get(&no).is_some_and(over) {
            self.trunks.remove(&no);
        }
    }
}
