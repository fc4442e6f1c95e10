//! The receivers' side of trunks. Mirrors `edge/trunk/inward.rs` and `landing.rs`: the real [`Dialing`]
//! decides when to dial and when all let go of it together.

use std::collections::VecDeque;

use hoody_pipe::edge::dialing::{Act, Answered, Dialing, Input};
use hoody_pipe::pipe::{Answer, PartyId, Role, Seat, TransferId};

use crate::mutants::Mutant;
use crate::node::{id_of, node_of};
use crate::queue::{LaneEnd, Ms, Side, What};
use crate::receiving::{Lane, Via};
use crate::trunks::{Falling, Rising, Trunk};
use crate::world::{ClientNo, NodeNo, TrunkNo, World};

/// Nobody has offered a lane for so long: nobody will.
const EXPECTED_FOR: Ms = 10_000;

/// A slow receiver has everything at most so long after its node.
const DRAINS_FOR: Ms = 10_000;

/// A trunk before its start, at the side of its receivers.
pub struct Inward {
    begun: Ms,
    sender: Option<PartyId>,
    seats: Vec<Seat>,
    /// Once the first lane is here.
    dialing: Option<Dialing>,
    receivers: Vec<ClientNo>,
    trunk: Option<TrunkNo>,
}

impl World {
    /// A match with a sender elsewhere needs a trunk.
    pub fn heed(&mut self, node: NodeNo, answer: &Answer) {
        let Answer::Begin { transfer, sender, receivers, role: Role::Receiver } = answer else {
            return;
        };
        if sender.party.origin == id_of(node).0 {
            return;
        }
        let (begun, seats) = (self.now, receivers.clone());
        let (sender, dialing, receivers, trunk) = (None, None, Vec::new(), None);
        let inward = Inward { begun, sender, seats, dialing, receivers, trunk };
        self.nodes[node].mind.inwards.entry(*transfer).or_insert(inward);
    }

    /// A receiver offers its lane to a sender elsewhere.
    pub fn offer_inward(&mut self, c: ClientNo, transfer: TransferId, sender: PartyId, seat: Seat) {
        let (now, node) = (self.instant(), self.clients[c].node);
        let Some(inward) = self.nodes[node].mind.inwards.get_mut(&transfer) else {
            return self.after_lane(c, transfer, LaneEnd::Undone);
        };
        inward.sender = Some(sender);
        if inward.dialing.is_none() {
            inward.dialing = Some(Dialing::new(now, inward.seats.clone()));
        }
        inward.receivers.push(c);
        self.dialing(node, transfer, Input::Offered(seat));
    }

    pub fn dialing(&mut self, node: NodeNo, transfer: TransferId, input: Input) {
        let now = self.instant();
        let Some(inward) = self.nodes[node].mind.inwards.get_mut(&transfer) else { return };
        let Some(dialing) = &mut inward.dialing else { return };
        let act = dialing.step(now, input);
        let until = dialing.until();
        let at = self.ms(until);
        if at > self.now {
            self.after_at(at - self.now, node, What::Dialing(transfer, at));
        }
        match act {
            None => {}
            Some(Act::Dial { attempt }) => self.dial(node, transfer, attempt),
            Some(Act::Refuse) => {
                let inward = self.nodes[node].mind.inwards.get_mut(&transfer);
                if let Some(c) = inward.and_then(|inward| inward.receivers.pop()) {
                    self.after_lane(c, transfer, LaneEnd::Undone);
                }
            }
            Some(Act::GiveUp) => self.end_inward(node, transfer, LaneEnd::Undone),
            Some(Act::TurnAway) => {
                self.seen.turned_away += 1;
                self.end_inward(node, transfer, LaneEnd::TurnedAway);
            }
            Some(Act::Start) => self.land(node, transfer),
        }
    }

    pub fn dialing_clock(&mut self, node: NodeNo, transfer: TransferId, at: Ms) {
        let inward = self.nodes[node].mind.inwards.get(&transfer);
        let until = inward.and_then(|inward| Some(inward.dialing.as_ref()?.until()));
        if until.is_some_and(|until| self.ms(until) == at) {
            // Without an answer for so long it counts as broken, whatever the sender's side knows.
            self.ledger.of(transfer).broken |= !self.weather.views_only;
            self.dialing(node, transfer, Input::Clock);
        }
    }

    pub fn end_inward(&mut self, node: NodeNo, transfer: TransferId, end: LaneEnd) {
        let Some(inward) = self.nodes[node].mind.inwards.remove(&transfer) else { return };
        for c in inward.receivers {
            self.after_lane(c, transfer, end.clone());
        }
        if let Some(trunk) = inward.trunk {
            self.hang_up(trunk, Side::Caller);
        }
    }

    /// A receiver whose lane is collected has left.
    pub fn inward_left(&mut self, c: ClientNo, transfer: TransferId) {
        let node = self.clients[c].node;
        if let Some(inward) = self.nodes[node].mind.inwards.get_mut(&transfer) {
            inward.receivers.retain(|r| *r != c);
            self.dialing(node, transfer, Input::Left);
        }
    }

    pub fn dial(&mut self, node: NodeNo, transfer: TransferId, attempt: u32) {
        let no = self.number();
        let (from, life) = (node, self.nodes[node].boot);
        let Some(inward) = self.nodes[node].mind.inwards.get_mut(&transfer) else { return };
        let Some(sender) = inward.sender else { return };
        inward.trunk = Some(no);
        let to = node_of(sender.origin);
        let trunk = Trunk {
            transfer,
            sender,
            seats: inward.seats.clone(),
            attempt,
            from: (from, life),
            to: (to, self.nodes[to].boot),
            up: VecDeque::new(),
            down: VecDeque::new(),
            generation: 0,
            broken: false,
            from_open: true,
            to_open: false,
            handed: None,
            answered: false,
            opened: false,
            complete: false,
            landing: Vec::new(),
            whole: 0,
            floor: (0, 0),
        };
        self.seen.dials += 1;
        self.seen.redials += u64::from(attempt > 1);
        self.trunks.insert(no, trunk);
        if self.is_cut_off(from, to) {
            return;
        }
        if !self.nodes[to].alive || self.nodes[to].boot != sender.boot {
            let delay = self.rng.u64(0..30);
            return self.after_at(delay, from, What::Unreachable(transfer, no));
        }
        self.rise_on(no, Rising::Dial);
    }

    pub fn unreachable(&mut self, node: NodeNo, transfer: TransferId, trunk: TrunkNo) {
        let inward = self.nodes[node].mind.inwards.get(&transfer);
        if inward.is_some_and(|inward| inward.trunk == Some(trunk)) {
            self.dialing(node, transfer, Input::Unreachable);
        }
    }

    /// It has started: all its lanes do.
    pub fn land(&mut self, node: NodeNo, transfer: TransferId) {
        let Some(inward) = self.nodes[node].mind.inwards.remove(&transfer) else { return };
        let Some(no) = inward.trunk else { return };
        for &c in &inward.receivers {
            if let Some(shell) = self.shell(c) {
                shell.lane = Some(Lane { transfer, via: Via::Trunk(no) });
            }
        }
        if let Some(trunk) = self.trunks.get_mut(&no) {
            trunk.landing = inward.receivers;
        }
    }

    /// A receiver of a trunk that has started has left.
    pub fn landing_left(&mut self, c: ClientNo, no: TrunkNo) {
        let Some(trunk) = self.trunks.get_mut(&no) else { return };
        trunk.landing.retain(|r| *r != c);
        let none = trunk.landing.is_empty();
        self.rise_on(no, Rising::Lost);
        if none {
            self.hang_up(no, Side::Caller);
        }
    }

    pub fn at_receivers(&mut self, no: TrunkNo, frame: Falling) {
        let Some(trunk) = self.trunks.get(&no).filter(|trunk| trunk.from_open) else { return };
        let (node, transfer) = (trunk.from.0, trunk.transfer);
        let inward = self.nodes[node].mind.inwards.get(&transfer);
        let newest = inward.is_some_and(|inward| inward.trunk == Some(no));
        let landing = trunk.landing.clone();
        match frame {
            Falling::Started if newest => {
                self.dialing(node, transfer, Input::Answered(Answered::Started));
            }
            Falling::Undone if newest => {
                self.dialing(node, transfer, Input::Answered(Answered::Undone));
            }
            Falling::Late if newest => {
                self.dialing(node, transfer, Input::Answered(Answered::Late));
            }
            Falling::Opened => {
                if let Some(trunk) = self.trunks.get_mut(&no) {
                    trunk.opened = true;
                }
                landing.into_iter().for_each(|c| self.opened(c, transfer));
            }
            Falling::Failed => {
                for c in self.take_landing(no) {
                    self.after_lane(c, transfer, LaneEnd::Failed);
                }
                self.hang_up(no, Side::Caller);
            }
            Falling::Piece(sender, piece) => {
                landing.into_iter().for_each(|c| self.got(c, transfer, sender, piece));
            }
            Falling::End => {
                if let Some(trunk) = self.trunks.get_mut(&no) {
                    trunk.complete = true;
                }
                let delay = if self.chance(200) { self.rng.u64(0..DRAINS_FOR) } else { 0 };
                self.after_at(delay, node, What::Drained(no));
            }
            Falling::Close => self.trunk_lost(no, Side::Caller),
            Falling::Started | Falling::Undone | Falling::Late => {}
        }
    }

    /// The slowest receiver of a trunk has everything.
    pub fn drained(&mut self, no: TrunkNo) {
        let Some(trunk) = self.trunks.get(&no).filter(|trunk| trunk.from_open) else { return };
        let transfer = trunk.transfer;
        let all = self.take_landing(no);
        if !all.is_empty() {
            self.rise_on(no, Rising::Whole(all.len() as u16));
        }
        for c in all {
            self.after_lane(c, transfer, LaneEnd::Whole);
        }
    }

    pub fn take_landing(&mut self, no: TrunkNo) -> Vec<ClientNo> {
        self.trunks.get_mut(&no).map(|trunk| std::mem::take(&mut trunk.landing)).unwrap_or_default()
    }

    /// The receivers' side sees that the connection is gone.
    pub fn lost_at_receivers(&mut self, no: TrunkNo) {
        let trunk = &self.trunks[&no];
        let (node, transfer, opened) = (trunk.from.0, trunk.transfer, trunk.opened);
        if trunk.complete && self.lacks(Mutant::DeafDrain) {
            // Nobody looks at it any more until all have everything.
            self.trunks.get_mut(&no).expect("trunks are kept").from_open = true;
            return;
        }
        let end = match opened {
            true if self.lacks(Mutant::EndOfTrunk) => LaneEnd::Whole,
            true => LaneEnd::Cut,
            // Whoever has seen nothing attaches again.
            false => LaneEnd::Undone,
        };
        for c in self.take_landing(no) {
            self.after_lane(c, transfer, end.clone());
        }
        let inward = self.nodes[node].mind.inwards.get(&transfer);
        if inward.is_some_and(|inward| inward.trunk == Some(no)) {
            self.dialing(node, transfer, Input::Broken);
        }
    }

    /// Forgets matches for which nobody has offered a lane.
    pub fn purge_inwards(&mut self, node: NodeNo) {
        let now = self.now;
        let mind = &mut self.nodes[node].mind;
        mind.inwards.retain(|_, i| i.dialing.is_some() || i.begun + EXPECTED_FOR > now);
    }
}
