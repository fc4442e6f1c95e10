//! How a sender's request ends, well or badly. Mirrors `edge/sending/ending.rs`: the owner hears of it
//! first, and nobody sees an end before the name is free.

use hoody_pipe::edge::inbox::Post;
use hoody_pipe::edge::parting::{End, Parting};
use hoody_pipe::edge::party::Input;
use hoody_pipe::pipe::{Call, Failure, Outcome, TransferId};

use crate::ledger::Over;
use crate::mutants::Mutant;
use crate::queue::Way;
use crate::sending::Stage;
use crate::world::{ClientNo, World};

impl World {
    /// The name is freed before the last bytes and the end marker reach anyone.
    pub fn body_complete(&mut self, c: ClientNo) {
        let Some(running) = self.running(c) else { return };
        running.uploaded = true;
        let transfer = running.transfer;
        let Some(sender) = self.shell(c).map(|s| s.party.seat().party) else { return };
        let owners = self.tell_all(c, &Call::Released { transfer, sender });
        self.part(c, owners, End::Body);
    }

    pub fn finish_transfer(&mut self, c: ClientNo) {
        let Some((outcome, owners)) = self.end(c, Ok(())) else { return };
        self.feed(c, Input::Gone(None));
        self.part(c, owners, End::Complete(outcome));
    }

    /// Tells all owners how the transfer has ended, if there is one; which of them have to say that the
    /// name is free.
    fn end(&mut self, c: ClientNo, how: Result<(), Failure>) -> Option<(Outcome, Vec<u64>)> {
        let now = self.now;
        let shell = self.shell(c)?;
        let (sender, Stage::Running(running)) = (shell.party.seat().party, &shell.stage) else {
            return None;
        };
        let outcome = Outcome {
            result: how,
            bytes: u64::from(running.next),
            whole: running.whole,
            n: running.roll.len() as u16 - 1,
            receivers: 0,
            elapsed_ms: now - running.began,
            hashed: false,
            digest: None,
        };
        let transfer = running.transfer;
        let ended = Call::Ended { transfer, sender, outcome: outcome.clone() };
        let owners = self.tell_all(c, &ended);
        Some((outcome, owners))
    }

    /// Shows an end: now, or when these owners have said that the name is free.
    fn part(&mut self, c: ClientNo, owners: Vec<u64>, end: End) {
        let now = self.instant();
        if owners.is_empty() || self.lacks(Mutant::NoFreed) {
            return self.show(c, end);
        }
        self.seen.parted += 1;
        if let Some(running) = self.running(c) {
            let transfer = running.transfer;
            running.parting = Some(Parting::new(now, owners, transfer, end));
        }
    }

    /// Does this end the wait for the owners' words?
    pub fn look_for_end(&mut self, c: ClientNo, post: &Post) {
        let Some(running) = self.running(c) else { return };
        if let Some(Parting { end, .. }) = running.parting.take_if(|p| p.is_ended_by(post)) {
            self.seen.freed += 1;
            self.show(c, end);
        }
    }

    /// The end is for everybody to see.
    pub fn show(&mut self, c: ClientNo, end: End) {
        let pieces = self.clients[c].pieces;
        let Some(running) = self.running(c) else { return };
        let transfer = running.transfer;
        let ways: Vec<(Way, bool)> = running.lanes.iter().map(|l| (l.way, l.done)).collect();
        match end {
            End::Body => {
                self.ledger.of(transfer).ended = true;
                for (way, _) in ways {
                    self.carry(c, way, transfer, pieces - 1);
                    self.end_lane(c, way, transfer);
                }
                self.look_at_lanes(c);
            }
            End::Complete(_) => {
                self.end_seen(c, transfer);
                self.desk_over(c, transfer);
                self.over(c, Over::Complete);
            }
            End::Failed(why) => {
                let opened = running.opened;
                let now = self.now;
                let entry = self.ledger.of(transfer);
                (entry.failed, entry.failed_at) = (true, Some(now));
                for (way, _) in ways.into_iter().filter(|(_, done)| !done) {
                    self.cut_lane(way, transfer, opened);
                }
                self.desk_over(c, transfer);
                self.end_seen(c, transfer);
                self.over(c, Over::Failed(why));
            }
        }
    }

    pub fn desk_over(&mut self, c: ClientNo, transfer: TransferId) {
        let (now, node) = (self.instant(), self.clients[c].node);
        self.nodes[node].mind.desk.over(now, transfer);
    }

    /// The wait or the transfer ends badly.
    pub fn fail(&mut self, c: ClientNo, why: Failure) {
        if let Some(running) = self.running(c) {
            if running.parting.as_ref().is_some_and(Parting::is_final) {
                return;
            }
            running.parting = None;
            let owners = self.end(c, Err(why.clone())).map(|(_, owners)| owners);
            self.feed(c, Input::Gone(Some(why.clone())));
            return self.part(c, owners.unwrap_or_default(), End::Failed(why));
        }
        self.feed(c, Input::Gone(Some(why.clone())));
        self.drop_gather(c);
        self.over(c, Over::Failed(why));
    }
}
