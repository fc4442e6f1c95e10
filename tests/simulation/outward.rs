//! The sender's side of trunks, and what a sender does with its lanes. Mirrors `edge/trunk/outward.rs`:
//! the real desk decides who is let in.

use hoody_pipe::edge::Claim;
use hoody_pipe::edge::desk::{HOLD_MAX, Verdict};
use hoody_pipe::pipe::TransferId;

use crate::clients::Post;
use crate::mutants::Mutant;
use crate::queue::{LaneEnd, Ms, Side, Way, What};
use crate::trunks::{Falling, Rising, Trunk};
use crate::world::{ClientNo, NodeNo, TrunkNo, World};

impl World {
    pub fn at_sender(&mut self, no: TrunkNo, frame: Rising) {
        let trunk = &self.trunks[&no];
        let (transfer, handed, whole) = (trunk.transfer, trunk.handed, trunk.whole);
        match frame {
            Rising::Dial => self.rings(no),
            Rising::Lost => {
                if let Some(sender) = handed {
                    self.lose_one(sender, transfer, Way::Trunk(no));
                }
            }
            Rising::Whole(receivers) => {
                debug_assert_eq!(whole, 0, "it is said once");
                if let Some(trunk) = self.trunks.get_mut(&no) {
                    trunk.whole = receivers;
                }
                if let Some(sender) = handed {
                    self.lane_whole(sender, Way::Trunk(no), receivers);
                }
                self.hang_up(no, Side::Called);
            }
            Rising::Close => self.trunk_lost(no, Side::Called),
        }
    }

    pub fn lose_one(&mut self, sender: ClientNo, transfer: TransferId, way: Way) {
        let Some(running) = self.running(sender).filter(|r| r.transfer == transfer) else { return };
        let lane = running.lanes.iter_mut().find(|lane| lane.way == way);
        lane.into_iter().for_each(|lane| lane.left = lane.left.saturating_sub(1));
        running.lanes.retain(|lane| lane.left > 0);
        self.look_at_lanes(sender);
        self.rearm(sender);
    }

    /// A trunk rings at the desk.
    pub fn rings(&mut self, no: TrunkNo) {
        let now = self.instant();
        let Some(trunk) = self.trunks.get_mut(&no) else { return };
        trunk.to_open = true;
        let (node, transfer) = (trunk.to.0, trunk.transfer);
        match self.nodes[node].mind.desk.dial(now, transfer, no) {
            None => {
                self.seen.dials_held += 1;
                self.after_at(HOLD_MAX.as_millis() as Ms, node, What::Expire);
            }
            Some((no, Verdict::HandOver)) => self.hand_over(no),
            Some((no, Verdict::Late)) if self.lacks(Mutant::LateTrunk) => self.hand_over(no),
            Some((no, _)) => self.refuse(no),
        }
    }

    pub fn expire_dials(&mut self, node: NodeNo) {
        let now = self.instant();
        let expired = self.nodes[node].mind.desk.expire(now);
        expired.into_iter().for_each(|no| self.refuse(no));
    }

    /// Brings a trunk to its sender.
    pub fn hand_over(&mut self, no: TrunkNo) {
        let Some(trunk) = self.trunks.get_mut(&no).filter(|trunk| trunk.to_open) else { return };
        let sender = self.ids.get(&trunk.sender).copied();
        let sender = sender.filter(|&s| self.clients[s].shell.is_some());
        let Some(sender) = sender else { return self.refuse(no) };
        trunk.handed = Some(sender);
        let Trunk { transfer, attempt, .. } = *trunk;
        let claim = Claim { transfer, seats: trunk.seats.clone().into(), attempt };
        self.post(sender, Post::Lane(claim, Way::Trunk(no)));
    }

    /// A trunk is told that it is not let in, or that the match is off.
    pub fn refuse(&mut self, no: TrunkNo) {
        let Some(trunk) = self.trunks.get(&no).filter(|trunk| trunk.to_open) else { return };
        let verdict = self.nodes[trunk.to.0].mind.desk.verdict(trunk.transfer);
        let late = verdict == Verdict::Late;
        self.fall_on(no, if late { Falling::Late } else { Falling::Undone });
        self.hang_up(no, Side::Called);
    }

    /// A lane is not let in, or let go of before the start.
    pub fn undo_lane(&mut self, way: Way, transfer: TransferId) {
        match way {
            Way::Local(c) => self.after_lane(c, transfer, LaneEnd::Undone),
            Way::Trunk(no) => self.refuse(no),
        }
    }

    /// Is somebody at the other end of a lane, as far as can be known here?
    pub fn is_there(&self, way: Way, transfer: TransferId) -> bool {
        match way {
            Way::Local(c) => self.lane_of(c) == Some(transfer),
            Way::Trunk(no) => self.trunks.get(&no).is_some_and(|trunk| trunk.to_open),
        }
    }

    /// For how many receivers a lane stands.
    pub fn receivers_of(&self, way: Way) -> u16 {
        match way {
            Way::Local(_) => 1,
            Way::Trunk(no) => self.trunks.get(&no).map_or(0, |trunk| trunk.seats.len() as u16),
        }
    }

    /// The transfer is on.
    pub fn start_lane(&mut self, way: Way, _: TransferId) {
        if let Way::Trunk(no) = way {
            if let Some(trunk) = self.trunks.get_mut(&no) {
                trunk.answered = true;
            }
            self.fall_on(no, Falling::Started);
        }
    }

    /// The head is known.
    pub fn open_lane(&mut self, sender: ClientNo, way: Way, transfer: TransferId) {
        match way {
            Way::Local(c) if self.lane_of(c) == Some(transfer) => self.opened(c, transfer),
            Way::Local(_) => {}
            Way::Trunk(no) => self.fall_on(no, Falling::Opened),
        }
        let _ = sender;
    }

    /// A piece of the body goes out.
    pub fn carry(&mut self, sender: ClientNo, way: Way, transfer: TransferId, piece: u32) {
        match way {
            Way::Local(c) if self.lane_of(c) == Some(transfer) => {
                self.got(c, transfer, sender, piece);
            }
            Way::Local(_) => {}
            Way::Trunk(no) => self.fall_on(no, Falling::Piece(sender, piece)),
        }
    }

    /// The explicit end.
    pub fn trunk_end(&mut self, no: TrunkNo) {
        self.fall_on(no, Falling::End);
    }

    /// A lane of a transfer that has failed.
    pub fn cut_lane(&mut self, way: Way, transfer: TransferId, opened: bool) {
        match way {
            Way::Local(c) if opened => self.after_lane(c, transfer, LaneEnd::Cut),
            Way::Local(c) => self.after_lane(c, transfer, LaneEnd::Failed),
            Way::Trunk(no) => {
                if !opened {
                    self.fall_on(no, Falling::Failed);
                }
                self.hang_up(no, Side::Called);
            }
        }
    }

    pub fn lost_at_sender(&mut self, no: TrunkNo) {
        let trunk = &self.trunks[&no];
        let (node, transfer) = (trunk.to.0, trunk.transfer);
        if let Some(sender) = trunk.handed {
            let delay = self.rng.u64(0..3);
            self.after_at(delay, node, What::LaneGone(sender, transfer, Way::Trunk(no)));
        }
    }
}
