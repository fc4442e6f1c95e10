//! How a sender's request ends, well or badly: the owner hears of it first, and both clients see it when
//! the name is free.

use std::time::Instant;

use super::Sending;
use crate::edge::parting::{End, Parting};
use crate::edge::party::Input;
use crate::edge::stage::Stage;
use crate::edge::wish::Body;
use crate::edge::{ledger, rejections, start};
use crate::pipe::{Call, Failure, Notice, Outcome, Sum};

impl<B: Body> Sending<B> {
    /// The name is freed before the last byte, the end marker or the last line reaches anyone.
    pub(super) fn body_complete(&mut self) {
        if let Some(transfer) = self.stage.transfer() {
            self.uploaded = true;
            let sender = self.attached.id();
            let owners = self.attached.tell_all(&Call::Released { transfer, sender });
            self.part(owners, End::Body);
        }
    }

    pub(super) fn finish(&mut self) {
        let Some((outcome, owners)) = self.end(Ok(())) else { return };
        self.attached.step(Input::Gone(None));
        self.part(owners, End::Complete(outcome));
    }

    /// Tells the owner and the operators how the transfer has ended, if there is one; which owners have to
    /// say that the name is free.
    fn end(&mut self, result: Result<(), Failure>) -> Option<(Outcome, Vec<u64>)> {
        let (transfer, outcome) = self.stage.outcome(result)?;
        ledger::close(&self.wish, transfer, &outcome);
        let sender = self.attached.id();
        let ended = Call::Ended { transfer, sender, outcome: outcome.clone() };
        let owners = self.attached.tell_all(&ended);
        Some((outcome, owners))
    }

    /// Ends the wait or the transfer. The name is free before the client hears of it. A match that
    /// has not started is undone: its receivers attach again, and their owner knows whether they may
    /// wait on.
    pub(super) fn fail(&mut self, why: Failure) {
        if self.is_ending() {
            return;
        }
        self.parting = None;
        let owners = self.end(Err(why.clone())).map(|(_, owners)| owners).unwrap_or_default();
        self.attached.step(Input::Gone(Some(why.clone())));
        if !matches!(self.stage, Stage::Over) {
            self.part(owners, End::Failed(why));
        }
    }

    /// Its end has been told to the owner, and is not shown yet.
    pub(super) fn is_ending(&self) -> bool {
        self.parting.as_ref().is_some_and(Parting::is_final)
    }

    /// Shows an end: now, or when these owners have said that the name is free.
    fn part(&mut self, owners: Vec<u64>, end: End) {
        match self.stage.transfer().filter(|_| !owners.is_empty()) {
            Some(transfer) => {
                self.parting = Some(Parting::new(Instant::now(), owners, transfer, end));
            }
            None => self.show(end),
        }
    }

    pub(super) fn show(&mut self, end: End) {
        match end {
            End::Body => {
                if let Stage::Streaming(_, fanout) = &mut self.stage {
                    fanout.release();
                    self.say(Notice::UploadComplete);
                }
            }
            End::Complete(outcome) => self.complete(outcome),
            End::Failed(why) => self.cut(why),
        }
    }

    /// The transfer is complete; its body is kept for whoever reuses the connection.
    fn complete(&mut self, outcome: Outcome) {
        let Outcome { bytes, whole, n, elapsed_ms, digest, .. } = outcome;
        if let Some(digest) = digest {
            self.say(Notice::Digest(digest));
        }
        self.say(Notice::Sent(Sum { bytes, whole, n, elapsed_ms }));
        self.say(Notice::Complete);
        if let Stage::Streaming(_, fanout) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.body = Some(fanout.into_source());
        }
    }

    /// After the commit lanes that have started are cut, the others carry an error reply.
    fn cut(&mut self, why: Failure) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Opening(_, lanes) => start::turn_away(lanes, &why),
            Stage::Streaming(_, fanout) => self.body = Some(fanout.into_source()),
            Stage::Waiting | Stage::Gathering(_) | Stage::Over => {}
        }
        rejections::failed(&why);
        self.say(match why {
            Failure::ReceiversGone => Notice::AllGone,
            why => Notice::Failed(why),
        });
    }
}

impl<B: Body> Drop for Sending<B> {
    fn drop(&mut self) {
        // Waiting and pinned parties leave when `attached` is dropped.
        if !self.is_ending() {
            self.end(Err(Failure::SenderLost));
        }
    }
}
