//! A sender at its edge. Mirrors `edge/sending.rs`: it gathers lanes, commits, lets the bytes flow, and
//! shows no end before the name is free.

use hoody_pipe::edge::Claim;
use hoody_pipe::edge::gather::Gather;
use hoody_pipe::edge::inbox;
use hoody_pipe::edge::parting::Parting;
use hoody_pipe::edge::party::{Act, Input};
use hoody_pipe::pipe::{Answer, Call, Failure, Seat, TransferId};

use crate::clients::Post;
use crate::ledger::Over;
use crate::mutants::Mutant;
use crate::queue::{LaneEnd, Ms, Way, What};
use crate::world::{ClientNo, World};

/// A sender's stage.
pub enum Stage {
    Waiting,
    Gathering(Gather<Way>),
    Running(Running),
}

/// A transfer, from its commit on.
pub struct Running {
    pub transfer: TransferId,
    pub roll: Vec<Seat>,
    pub lanes: Vec<Lane>,
    pub began: Ms,
    /// Its head is known.
    pub opened: bool,
    /// The next piece of the body.
    pub next: u32,
    /// The body was read to its end.
    pub uploaded: bool,
    pub parting: Option<Parting>,
    pub whole: u16,
}

impl Running {
    /// Its body flows, and nobody was told of an end.
    pub fn flows(&self) -> bool {
        !self.uploaded && self.parting.is_none()
    }
}

/// One lane of a transfer.
pub struct Lane {
    pub way: Way,
    /// Receivers behind it that are still there.
    pub left: u16,
    pub done: bool,
}

impl World {
    pub fn sender_hears(&mut self, c: ClientNo, post: Post) {
        match &post {
            Post::Answer(from, freed @ Answer::Freed { .. }) => {
                self.look_for_end(c, &inbox::Post::Answer(*from, freed.clone()));
            }
            Post::LinkDown { owner, link, silent } => {
                let (owner, link, silent) = (*owner, *link, *silent);
                self.look_for_end(c, &inbox::Post::LinkDown { owner, link, silent });
            }
            _ => {}
        }
        match post {
            Post::Answer(_, Answer::Tell { .. }) => {}
            Post::Answer(_, Answer::Abort { transfer, why, .. }) => {
                if self.transfer_of(c) == Some(transfer) {
                    self.fail(c, why);
                }
            }
            Post::Lane(claim, way) => self.lane_comes(c, claim, way),
            Post::Shutdown => self.fail(c, Failure::ShuttingDown),
            post => {
                if let Some(input) = self.input(c, post) {
                    self.feed(c, input);
                }
            }
        }
    }

    pub fn sender_acts(&mut self, c: ClientNo, act: Act) {
        match act {
            Act::Admitted { .. } => self.clients[c].sight.admitted = true,
            Act::Meet { transfer, sender, receivers } => {
                self.gather(c, transfer, sender, receivers)
            }
            Act::LetGo => self.let_go(c),
            Act::Refused(why) => self.over(c, Over::Refused(why)),
            Act::Failed(why) => self.fail(c, why),
            Act::Ready { owner, .. } => self.announce(c, owner, false),
            Act::Resume { owner, .. } => self.announce(c, owner, true),
            _ => {}
        }
    }

    fn gather(&mut self, c: ClientNo, transfer: TransferId, sender: Seat, receivers: Vec<Seat>) {
        let (now, node) = (self.instant(), self.clients[c].node);
        self.seen.met += 1;
        let Some(shell) = self.shell(c) else { return };
        shell.stage = Stage::Gathering(Gather::new(now, transfer, sender, receivers));
        let held = self.nodes[node].mind.desk.gathering(now, transfer);
        held.into_iter().for_each(|trunk| self.hand_over(trunk));
    }

    /// A lane is offered.
    fn lane_comes(&mut self, c: ClientNo, claim: Claim, way: Way) {
        let late = self.lacks(Mutant::LateTrunk);
        let first = self.lacks(Mutant::FirstLane);
        let node = self.clients[c].node;
        let transfer = claim.transfer;
        let Some(shell) = self.shell(c) else { return self.undo_lane(way, transfer) };
        match &mut shell.stage {
            Stage::Gathering(gather) => {
                let unwanted = match gather.add(claim, way) {
                    Ok(older) => older,
                    Err(way) => Some(way),
                };
                let full = gather.is_full() || first;
                let transfer = gather.transfer();
                if let Some(way) = unwanted {
                    self.seen.unwanted += 1;
                    self.undo_lane(way, transfer);
                }
                if full {
                    let delay = self.rng.u64(0..20);
                    self.after_at(delay, node, What::Confirm(c, transfer));
                }
            }
            Stage::Running(running) if late && running.transfer == transfer => {
                let left = claim.seats.len() as u16;
                let opened = running.opened;
                running.lanes.push(Lane { way, left, done: false });
                self.start_lane(way, transfer);
                if opened {
                    self.open_lane(c, way, transfer);
                }
            }
            _ => self.undo_lane(way, transfer),
        }
    }

    /// A lane has gone before its time.
    pub fn lane_gone(&mut self, c: ClientNo, transfer: TransferId, way: Way) {
        let Some(shell) = self.shell(c) else { return };
        match &mut shell.stage {
            Stage::Gathering(gather)
                if gather.transfer() == transfer && gather.lanes().any(|lane| *lane == way) =>
            {
                self.feed(c, Input::Undone(transfer));
            }
            Stage::Running(running) if running.transfer == transfer => {
                running.lanes.retain(|lane| lane.way != way || lane.done);
                self.look_at_lanes(c);
            }
            _ => {}
        }
        self.rearm(c);
    }

    /// Some lane has ended: is anybody left, is all done?
    pub fn look_at_lanes(&mut self, c: ClientNo) {
        let Some(running) = self.running(c) else { return };
        let last_word = running.parting.as_ref().is_some_and(Parting::is_final);
        if last_word {
            return;
        }
        if running.lanes.is_empty() {
            return self.fail(c, Failure::ReceiversGone);
        }
        if running.lanes.iter().all(|lane| lane.done) {
            self.finish_transfer(c);
        }
    }

    /// The receivers behind a trunk have everything.
    pub fn lane_whole(&mut self, c: ClientNo, way: Way, receivers: u16) {
        let Some(running) = self.running(c) else { return };
        let Some(lane) = running.lanes.iter_mut().find(|lane| lane.way == way) else { return };
        lane.done = true;
        running.whole += receivers;
        self.look_at_lanes(c);
        self.rearm(c);
    }

    /// The client's host is alive.
    pub fn confirm(&mut self, c: ClientNo, transfer: TransferId) {
        let first = self.lacks(Mutant::FirstLane);
        let Some(shell) = self.shell(c) else { return };
        if let Stage::Gathering(gather) = &shell.stage
            && (gather.is_full() || first)
            && gather.transfer() == transfer
        {
            let ways: Vec<Way> = gather.lanes().copied().collect();
            if ways.iter().all(|way| self.is_there(*way, transfer)) {
                self.commit(c);
            } else {
                self.feed(c, Input::Undone(transfer));
            }
            self.rearm(c);
        }
    }

    /// Starts, all at once.
    fn commit(&mut self, c: ClientNo) {
        let (now, node) = (self.now, self.clients[c].node);
        let Some(shell) = self.shell(c) else { return };
        let stage = std::mem::replace(&mut shell.stage, Stage::Waiting);
        let Stage::Gathering(gather) = stage else { return };
        let transfer = gather.transfer();
        let (roll, ways) = gather.into_parts();
        let lanes = ways.iter().map(|&way| Lane { way, left: self.receivers_of(way), done: false });
        let lanes: Vec<Lane> = lanes.collect();
        let seats = lanes.iter().map(|lane| lane.left).sum();
        self.committed(c, transfer, &roll, seats);
        self.nodes[node].mind.desk.started(transfer);
        ways.iter().for_each(|&way| self.start_lane(way, transfer));
        let running = Running {
            transfer,
            roll,
            lanes,
            began: now,
            opened: false,
            next: 0,
            uploaded: false,
            parting: None,
            whole: 0,
        };
        if let Some(shell) = self.shell(c) {
            shell.stage = Stage::Running(running);
        }
        self.feed(c, Input::Started(transfer));
        let delay = if self.chance(200) { self.rng.u64(0..1500) } else { self.rng.u64(0..5) };
        self.after_at(delay, node, What::Source(c));
    }

    /// The sender's client gives its head, its next piece, or its end.
    pub fn source(&mut self, c: ClientNo) {
        let (pieces, breaks_off) = (self.clients[c].pieces, self.clients[c].breaks_off);
        let Some(running) = self.running(c) else { return };
        if running.uploaded || running.parting.is_some() {
            return;
        }
        let (transfer, piece) = (running.transfer, running.next);
        let ways: Vec<Way> = running.lanes.iter().map(|lane| lane.way).collect();
        if !std::mem::replace(&mut running.opened, true) {
            ways.iter().for_each(|&way| self.open_lane(c, way, transfer));
        } else if breaks_off == Some(piece) {
            self.seen.broke_off += 1;
            self.ledger.of(transfer).failed = true;
            return self.fail(c, Failure::SenderLost);
        } else if piece + 1 >= pieces {
            return self.body_complete(c);
        } else {
            running.next += 1;
            ways.iter().for_each(|&way| self.carry(c, way, transfer, piece));
        }
        let (pause, node) = (self.clients[c].pause, self.clients[c].node);
        let delay = self.rng.u64(0..=pause);
        self.after_at(delay, node, What::Source(c));
    }

    /// The client is gone: a wait is given up, a transfer fails unless its body is complete.
    pub fn sender_leaves(&mut self, c: ClientNo) {
        self.clients[c].sight.left = true;
        match self.running(c) {
            Some(running) if running.uploaded => {}
            Some(running) => {
                let transfer = running.transfer;
                self.ledger.of(transfer).failed = true;
                self.fail(c, Failure::SenderLost);
                self.rearm(c);
            }
            None => {
                self.feed(c, Input::Gone(None));
                self.drop_gather(c);
                self.over(c, Over::Left);
            }
        }
    }

    /// The match is off.
    fn let_go(&mut self, c: ClientNo) {
        self.seen.undone += 1;
        self.drop_gather(c);
    }

    pub fn drop_gather(&mut self, c: ClientNo) {
        let (now, node) = (self.instant(), self.clients[c].node);
        let Some(shell) = self.shell(c) else { return };
        let stage = std::mem::replace(&mut shell.stage, Stage::Waiting);
        if let Stage::Gathering(gather) = stage {
            let transfer = gather.transfer();
            let ways: Vec<Way> = gather.lanes().copied().collect();
            let held = self.nodes[node].mind.desk.undone(now, transfer);
            ways.into_iter().for_each(|way| self.undo_lane(way, transfer));
            held.into_iter().for_each(|trunk| self.refuse(trunk));
        }
    }

    /// A match that is declined from the first.
    pub fn decline(&mut self, c: ClientNo, transfer: TransferId) {
        let (now, node) = (self.instant(), self.clients[c].node);
        if self.transfer_of(c) != Some(transfer) {
            let held = self.nodes[node].mind.desk.undone(now, transfer);
            held.into_iter().for_each(|trunk| self.refuse(trunk));
        }
    }

    /// Tells an owner of the transfer: that it has started, or again how it stands.
    fn announce(&mut self, c: ClientNo, owner: u64, again: bool) {
        let now = self.now;
        let Some(running) = self.running(c) else { return };
        let (transfer, roll) = (running.transfer, running.roll.clone());
        let call = if again {
            let (elapsed_ms, bytes) = (now - running.began, u64::from(running.next));
            let receivers = running.lanes.iter().map(|lane| lane.left).sum();
            let released = running.uploaded;
            let (total, label) = (None, None);
            Call::Resume { transfer, roll, total, label, elapsed_ms, bytes, receivers, released }
        } else {
            Call::Ready { transfer, roll, total: None, label: None }
        };
        if again {
            self.seen.resumed += 1;
            if self.lacks(Mutant::NoResume) {
                return;
            }
        }
        self.tell(c, owner, call);
    }

    pub fn running(&mut self, c: ClientNo) -> Option<&mut Running> {
        match &mut self.shell(c)?.stage {
            Stage::Running(running) => Some(running),
            _ => None,
        }
    }

    /// The match or transfer that a sender is in.
    pub fn transfer_of(&self, c: ClientNo) -> Option<TransferId> {
        match &self.clients[c].shell.as_ref()?.stage {
            Stage::Waiting => None,
            Stage::Gathering(gather) => Some(gather.transfer()),
            Stage::Running(running) => Some(running.transfer),
        }
    }

    pub fn sender_due(&self, c: ClientNo) -> Option<Ms> {
        let (deadline, hopeless) = self.patience(c);
        match &self.clients[c].shell.as_ref()?.stage {
            Stage::Waiting => Some(hopeless.map_or(deadline, |at| at.min(deadline))),
            Stage::Gathering(gather) => Some(self.ms(gather.until())),
            Stage::Running(running) => running.parting.as_ref().map(|p| self.ms(p.until())),
        }
    }

    pub fn sender_clock(&mut self, c: ClientNo) {
        let (deadline, _) = self.patience(c);
        let (now, instant) = (self.now, self.instant());
        let Some(shell) = self.shell(c) else { return };
        match &mut shell.stage {
            Stage::Waiting if deadline <= now => self.feed(c, Input::Deadline),
            Stage::Waiting => self.feed(c, Input::Hopeless),
            Stage::Gathering(gather) => {
                let transfer = gather.transfer();
                self.feed(c, Input::Undone(transfer));
            }
            Stage::Running(running) => {
                if let Some(Parting { end, .. }) = running.parting.take_if(|p| p.until() <= instant)
                {
                    self.seen.freed_in_vain += 1;
                    self.show(c, end);
                }
            }
        }
    }

    /// What a lane gets at its end.
    pub fn end_lane(&mut self, c: ClientNo, way: Way, transfer: TransferId) {
        match way {
            Way::Local(receiver) => {
                if self.lane_of(receiver) == Some(transfer) {
                    self.after_lane(receiver, transfer, LaneEnd::Whole);
                    if let Some(running) = self.running(c) {
                        running.whole += 1;
                        let lane = running.lanes.iter_mut().find(|lane| lane.way == way);
                        lane.into_iter().for_each(|lane| lane.done = true);
                    }
                }
            }
            Way::Trunk(trunk) => self.trunk_end(trunk),
        }
    }
}
