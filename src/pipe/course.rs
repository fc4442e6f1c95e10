//! The course of a transfer, as its sender's side tells of it: it runs, comes further, frees the name,
//! is over. Part of the [`Rendezvous`], which sees no byte and believes what it is told.

use super::place::Match;
use super::progress::{Outcome, Past, Running};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Failure, PublicId, ReplyTo, Seat, TransferId};

/// A transfer runs: it has just started, or is told of again.
pub(super) struct News {
    pub(super) transfer: TransferId,
    /// Everyone in it, the sender first.
    pub(super) roll: Vec<Seat>,
    pub(super) label: Option<PublicId>,
    pub(super) running: Running,
    /// Its name is free already.
    pub(super) released: bool,
}

impl Rendezvous {
    /// Authoritative: what is here makes way. Of a transfer that is known only the link and the
    /// figures are new.
    pub(super) fn runs(
        &mut self,
        now: Millis,
        from: ReplyTo,
        news: News,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        let News { transfer, roll, label, running, released } = news;
        let Some(sender) = roll.first().map(|s| s.party) else { return };
        if !released {
            self.step_aside(now, transfer, out);
        }
        self.dismiss(transfer, &roll, out);
        if let Some(known) = self.transfer(transfer) {
            known.to = from;
            known.heard(running.bytes, running.receivers);
        } else {
            // It may be known as a match, if nobody has told of its start.
            self.current.take_if(|m| m.id == transfer);
            let (id, to, past) = (transfer, from, released && !self.is_free());
            let (running, aside, doom) = (Some(running), false, None);
            let mut m = Match { id, to, sender, running, aside, past, doom, label };
            room.take(&m.public(), true);
            out.extend(self.recall_abort(id).map(|why| m.cancel(why)));
            if released {
                self.draining.push(m);
            } else {
                self.current = Some(m);
                self.draining.iter_mut().for_each(|m| m.past = true);
            }
        }
        if released {
            self.released(now, transfer);
        }
    }

    /// Why a transfer that is heard of again was cancelled, if it was.
    fn recall_abort(&mut self, id: TransferId) -> Option<Failure> {
        let i = self.aborted.iter().position(|a| a.id == id)?;
        Some(self.aborted.swap_remove(i).why)
    }

    /// Takes those who run in a transfer out of wherever they are. Another match that has counted on
    /// one of them is undone.
    fn dismiss(&mut self, transfer: TransferId, roll: &[Seat], out: &mut Vec<Output>) {
        let is_in =
            |seat: &Seat| roll.iter().any(|s| s.party == seat.party && seat.attempt <= s.attempt);
        self.doomed.retain(|d| !is_in(&d.seat));
        self.collecting.iter_mut().for_each(|c| c.release(is_in));
        let gone: Vec<_> = self.places.extract_if(.., |p| is_in(&p.seat)).collect();
        let other = self.current.as_ref().filter(|m| m.id != transfer);
        out.extend(other.and_then(|m| m.undo_without(&gone)));
    }

    /// A transfer that is not the current one has started, under a machine that was lost since: what
    /// is here makes way. A match is undone; a transfer runs on, and has the name again when the other
    /// is done with it first.
    fn step_aside(&mut self, now: Millis, transfer: TransferId, out: &mut Vec<Output>) {
        let is_known = self.draining.iter().any(|m| m.id == transfer);
        let other = self.current.as_ref().filter(|m| m.id != transfer && !is_known);
        let Some(other) = other else { return };
        if !other.is_streaming() {
            out.push(other.undo());
            let id = other.id;
            self.unready(now, id);
        }
        let aside = self.current.take();
        self.draining.extend(aside.map(|m| Match { aside: true, ..m }));
    }

    /// Gives a name that nothing has any more back to the transfer that has made way last.
    pub(super) fn take_back(&mut self) {
        let aside = self.draining.iter().rposition(|m| m.aside && self.current.is_none());
        let back = aside.map(|i| self.draining.remove(i));
        self.current = self.current.take().or(back.map(|m| Match { aside: false, ..m }));
    }

    pub(super) fn progress(&mut self, transfer: TransferId, bytes: u64, receivers: u16) {
        if let Some(known) = self.transfer(transfer) {
            known.heard(bytes, receivers);
        }
    }

    /// The transfer with this id, if it has started.
    fn transfer(&mut self, id: TransferId) -> Option<&mut Match> {
        let mut all = self.current.iter_mut().chain(&mut self.draining);
        all.find(|m| m.id == id && m.is_streaming())
    }

    /// The name is free of this transfer.
    pub(super) fn released(&mut self, now: Millis, transfer: TransferId) {
        // A match that has never started can only be undone.
        self.unready(now, transfer);
        let past = !self.places.is_empty();
        let released = self.current.take_if(|m| m.id == transfer);
        self.draining.extend(released.map(|m| Match { past, ..m }));
        let aside = self.draining.iter_mut().filter(|m| m.id == transfer);
        aside.for_each(|m| m.aside = false);
    }

    pub(super) fn ended(
        &mut self,
        now: Millis,
        transfer: TransferId,
        outcome: Outcome,
        room: &mut dyn Room,
    ) {
        self.unready(now, transfer);
        let drained = self.draining.iter().position(|m| m.id == transfer);
        let ended = match drained {
            Some(i) => Some(self.draining.remove(i)),
            None => self.current.take_if(|m| m.id == transfer),
        };
        let Some(ended) = ended else { return };
        self.take_back();
        let kept = outcome.hashed || ended.label.is_some();
        let Some(last) = ended.ended(outcome) else { return };
        self.over.push((Some(transfer), last.clone()));
        let named = !ended.past && self.is_free();
        room.shelve(Past { last, named, kept });
    }
}
