//! A receiver at its edge. Mirrors `edge/receiving.rs`: for each match it offers a lane, to a sender of
//! the same node or to the trunk of the match, and hears how that has ended.

use hoody_pipe::edge::Claim;
use hoody_pipe::edge::party::{Act, Input};
use hoody_pipe::pipe::{Failure, Seat, TransferId};

use crate::clients::Post;
use crate::ledger::Over;
use crate::mutants::Mutant;
use crate::node::id_of;
use crate::queue::{LaneEnd, Ms, Way, What};
use crate::world::{ClientNo, TrunkNo, World};

/// How long the owner may take to say whether a sender is there.
const LEFT_MAX: Ms = 1000;

/// A receiver's way to its sender.
#[derive(Debug, Clone, Copy)]
pub struct Lane {
    pub transfer: TransferId,
    pub via: Via,
}

/// Through what it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A sender of the same node.
    Sender(ClientNo),
    /// A trunk that is being collected for and dialled.
    Inward,
    /// A trunk that has started.
    Trunk(TrunkNo),
}

impl World {
    pub fn receiver_hears(&mut self, c: ClientNo, post: Post) {
        if let Post::Shutdown = post {
            let Some(shell) = self.shell(c) else { return };
            match shell.lane.map(|lane| lane.via) {
                None => self.receiver_stops(c),
                // Whoever has its lane ends the transfer, and answers for it.
                Some(Via::Sender(_) | Via::Trunk(_)) => shell.stopping = true,
                Some(Via::Inward) => {
                    self.lose_receiver(c);
                    self.receiver_stops(c);
                }
            }
        } else if let Some(input) = self.input(c, post) {
            self.feed(c, input);
        }
    }

    fn receiver_stops(&mut self, c: ClientNo) {
        self.feed(c, Input::Gone(None));
        self.over(c, Over::Failed(Failure::ShuttingDown));
    }

    pub fn receiver_acts(&mut self, c: ClientNo, act: Act) {
        match act {
            Act::Admitted { .. } => self.clients[c].sight.admitted = true,
            Act::Meet { transfer, sender, .. } => self.meet(c, transfer, sender),
            Act::LetGo => self.drop_lane(c),
            Act::Refused(why) => self.over(c, Over::Refused(why)),
            Act::Failed(why) => self.over(c, Over::Failed(why)),
            _ => {}
        }
    }

    /// Offers a lane to the sender's side.
    fn meet(&mut self, c: ClientNo, transfer: TransferId, sender: Seat) {
        self.ledger.offers.insert((transfer, c));
        if self.lacks(Mutant::OwnerCommits) {
            self.opened(c, transfer);
        }
        let node = self.clients[c].node;
        let local = sender.party.origin == id_of(node).0;
        let there = self.ids.get(&sender.party).copied();
        let there = there.filter(|&s| self.clients[s].shell.is_some());
        let Some(shell) = self.shell(c) else { return };
        let seat = shell.named;
        match (local, there) {
            (true, Some(sender)) => {
                shell.lane = Some(Lane { transfer, via: Via::Sender(sender) });
                let claim = Claim { transfer, seats: [seat].into(), attempt: 1 };
                self.post(sender, Post::Lane(claim, Way::Local(c)));
            }
            (true, None) => {
                shell.lane = Some(Lane { transfer, via: Via::Inward });
                self.after_lane(c, transfer, LaneEnd::Undone);
            }
            (false, _) => {
                shell.lane = Some(Lane { transfer, via: Via::Inward });
                self.offer_inward(c, transfer, sender.party, seat);
            }
        }
    }

    /// It lets go of its lane: who is at the other end sees that.
    pub fn drop_lane(&mut self, c: ClientNo) {
        let node = self.clients[c].node;
        let Some(lane) = self.shell(c).and_then(|shell| shell.lane.take()) else { return };
        match lane.via {
            Via::Sender(sender) => {
                let delay = self.rng.u64(0..10);
                self.after_at(delay, node, What::LaneGone(sender, lane.transfer, Way::Local(c)));
            }
            Via::Inward => self.inward_left(c, lane.transfer),
            Via::Trunk(trunk) => self.landing_left(c, trunk),
        }
    }

    /// Its lane is to end in that way, as soon as it looks.
    pub fn after_lane(&mut self, c: ClientNo, transfer: TransferId, end: LaneEnd) {
        let delay = self.rng.u64(0..3);
        let node = self.clients[c].node;
        self.after_at(delay, node, What::LaneEnded(c, transfer, end));
    }

    pub fn lane_ended(&mut self, c: ClientNo, transfer: TransferId, end: LaneEnd) {
        let Some(shell) = self.shell(c) else { return };
        if shell.lane.is_none_or(|lane| lane.transfer != transfer) {
            return;
        }
        shell.lane = None;
        if end == LaneEnd::Undone {
            if shell.stopping {
                return self.receiver_stops(c);
            }
            self.feed(c, Input::Undone(transfer));
            return self.rearm(c);
        }
        self.feed(c, Input::Started(transfer));
        match end {
            LaneEnd::Whole => {
                self.end_seen(c, transfer);
                self.over(c, Over::Whole(transfer));
            }
            LaneEnd::Cut => {
                self.end_seen(c, transfer);
                self.over(c, Over::Cut(transfer));
            }
            LaneEnd::Failed => self.over(c, Over::PeerFailed(transfer)),
            LaneEnd::TurnedAway | LaneEnd::Undone => self.over(c, Over::StartedWithout(transfer)),
        }
    }

    /// The client is gone.
    pub fn receiver_leaves(&mut self, c: ClientNo) {
        self.clients[c].sight.left = true;
        self.lose_receiver(c);
        self.feed(c, Input::Gone(None));
        self.over(c, Over::Left);
    }

    fn lose_receiver(&mut self, c: ClientNo) {
        if let Some(transfer) = self.lane_of(c) {
            self.ledger.of(transfer).lost += 1;
        }
        self.drop_lane(c);
    }

    /// The transfer that its lane is of.
    pub fn lane_of(&self, c: ClientNo) -> Option<TransferId> {
        Some(self.clients[c].shell.as_ref()?.lane?.transfer)
    }

    pub fn receiver_due(&self, c: ClientNo) -> Option<Ms> {
        let (deadline, hopeless) = self.patience(c);
        let shell = self.clients[c].shell.as_ref()?;
        if shell.party.is_leaving() {
            return Some(shell.leaving.unwrap_or(self.now + LEFT_MAX));
        }
        if shell.lane.is_some() && deadline <= self.now {
            // Its deadline has passed while it was pinned: it is told if the match is undone.
            return None;
        }
        Some(hopeless.map_or(deadline, |at| at.min(deadline)))
    }

    pub fn receiver_clock(&mut self, c: ClientNo) {
        let (deadline, hopeless) = self.patience(c);
        let now = self.now;
        let leaving = self.shell(c).is_some_and(|shell| shell.party.is_leaving());
        let is_hopeless = !leaving && deadline > now && hopeless.is_some_and(|at| at <= now);
        self.feed(c, if is_hopeless { Input::Hopeless } else { Input::Deadline });
        if let Some(shell) = self.shell(c)
            && shell.party.is_leaving()
        {
            shell.leaving.get_or_insert(now + LEFT_MAX);
        }
    }
}
