//! The pure state machine of one name: who waits, who is matched, what runs.
//!
//! `step(now, from, call, room) -> outputs`; no clock, no I/O, no async, and no bytes. What waits for
//! a moment is done by `wake`. The rules are those of spec §7 step 10 and §8, and of the attach
//! protocol told in `edge::wire`:
//!
//! * A match (`Begin`) keeps its places until the sender's side says `Ready` or `Unready`; only the
//!   sender's side commits, so a match can be undone unseen.
//! * Attempts tell what is stale. A party that comes back is never told "in use" and never refused
//!   for a younger one.
//! * Who came over a link that is lost comes back over another one: for a moment nobody is admitted,
//!   and then the oldest first.

use super::collecting::{Cancel, Collecting};
use super::course::News;
use super::place::{Aborted, Doomed, Match, Phase, Place};
use super::progress::{Past, Running, Snapshot};
use super::view::{Look, What};
use super::watchers::Watchers;
use super::{Answer, Call, Failure, PartyId, PublicId, ReplyTo, Role, Seat, TransferId};

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// What the node has room for, and what it remembers. Room is asked for only when the answer decides,
/// since a yes takes it.
pub trait Room {
    /// Takes room for one more waiting name; false if there is none.
    fn wait(&mut self) -> bool;
    /// Takes room for one more transfer; false if there is none.
    fn start(&mut self) -> bool;
    /// Takes room for one more spectator of a name that has so many; false if there is none.
    fn watch(&mut self, there: usize) -> bool;
    /// May parties that were here before, or at another owner, still be on their way?
    fn expects(&mut self) -> bool;
    /// Makes the id of a match.
    fn mint(&mut self) -> TransferId;
    /// Takes a public id; false if a transfer or receipt holds it. Whoever takes it `again` gets it.
    fn take(&mut self, id: &PublicId, again: bool) -> bool;
    /// Gives back an id that was taken for nothing.
    fn give_back(&mut self, id: &PublicId);
    /// Remembers what is over. Its id is not held any more.
    fn shelve(&mut self, past: Past);
    /// A new party comes to the name: it shows nothing that is over.
    fn forget(&mut self);
    /// What the name shows, or what is left of that transfer of it.
    fn recall(&mut self, id: Option<&PublicId>) -> Option<Snapshot>;
}

/// An answer and the link it goes out on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which link.
    pub to: ReplyTo,
    /// What is said.
    pub answer: Answer,
}

/// The state of one name. An idle name needs none: see [`Rendezvous::is_idle`].
#[derive(Debug, Default)]
pub struct Rendezvous {
    /// Fixed by the first party until nobody waits and nothing runs (spec §5, `n`).
    pub(super) n: Option<u16>,
    /// Everyone who waits here or is matched but not started. At most one sender and `n` receivers,
    /// and parties that came back and wait behind a younger match, with the same `n` or another.
    pub(super) places: Vec<Place>,
    /// The match that has begun or the transfer that streams.
    pub(super) current: Option<Match>,
    /// Transfers whose sender is done while receivers still read. The name is free again.
    pub(super) draining: Vec<Match>,
    /// Cancelled while their match was being undone: each is told when it comes, or it leaves.
    pub(super) doomed: Vec<Doomed>,
    /// Cancelled, and perhaps still not told: each is when it is heard of again.
    pub(super) aborted: Vec<Aborted>,
    /// Receivers that take their places elsewhere. A sender that will do so too still counts them.
    pub(super) away: Vec<PartyId>,
    /// Older parties may be on their way here.
    pub(super) collecting: Option<Box<Collecting>>,
    pub(super) watchers: Watchers,
    /// Who waits to see what is here, until that is certain.
    pub(super) looks: Vec<Look>,
    /// Who lost a place in this step, and with whom its chosen id.
    pub(super) lost: Vec<Lost>,
    /// What was over in this step; without a transfer it is what the name shows.
    pub(super) over: Vec<(Option<TransferId>, Snapshot)>,
}

/// A place that was given up before a start.
#[derive(Debug)]
pub(super) struct Lost {
    /// What ended the wait; nothing if a receiver just left.
    pub(super) why: Option<Failure>,
    pub(super) label: Option<PublicId>,
}

impl Rendezvous {
    /// Takes one call; says what is to be answered, in order.
    pub fn step(
        &mut self,
        now: Millis,
        from: ReplyTo,
        call: Call,
        room: &mut dyn Room,
    ) -> Vec<Output> {
        // What was to happen before this call has happened.
        let due = self.wakes().is_some_and(|at| at <= now);
        let mut out = if due { self.wake(now, room) } else { Vec::new() };
        self.take(now, from, call, room, &mut out);
        self.finish(now, room, &mut out);
        out
    }

    /// Does what waits for a moment that has come: see [`Rendezvous::wakes`].
    pub fn wake(&mut self, now: Millis, room: &mut dyn Room) -> Vec<Output> {
        let mut out = Vec::new();
        self.admit_all(now, room, &mut out);
        self.expect_no_more(now);
        self.finish(now, room, &mut out);
        out
    }

    /// When this machine wants to be woken, if nothing is said to it before.
    pub fn wakes(&self) -> Option<Millis> {
        self.collecting.iter().map(|c| c.until()).chain(self.patience()).min()
    }

    fn take(
        &mut self,
        now: Millis,
        from: ReplyTo,
        call: Call,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        match call {
            Call::Attach(attach) => self.arrive(now, from, attach, room, out),
            Call::Leave { seat, ask, why } => {
                self.leave(now, &seat, why, out);
                out.extend(ask.then(|| self.farewell(from, seat)));
            }
            Call::Withdraw { seat } => self.withdraw(now, &seat, room, out),
            Call::Ready { transfer, roll, total, label } => {
                let n = receivers_of(&roll);
                let running = Running { began: now, n, total, bytes: 0, receivers: n };
                let news = News { transfer, roll, label, running, released: false };
                self.runs(now, from, news, room, out);
            }
            Call::Resume {
                transfer,
                roll,
                total,
                label,
                elapsed_ms,
                bytes,
                receivers,
                released,
            } => {
                let (n, began) = (receivers_of(&roll), now.saturating_sub(elapsed_ms));
                let running = Running { began, n, total, bytes, receivers };
                let news = News { transfer, roll, label, running, released };
                self.runs(now, from, news, room, out);
            }
            Call::Progress { transfer, bytes, receivers } => {
                self.progress(transfer, bytes, receivers);
            }
            Call::Unready { transfer } => self.unready(now, transfer),
            Call::Released { transfer, sender } => {
                self.released(now, transfer);
                out.push(Output { to: from, answer: Answer::Freed { transfer, sender } });
            }
            Call::Ended { transfer, sender, outcome } => {
                self.ended(now, transfer, outcome, room);
                out.push(Output { to: from, answer: Answer::Freed { transfer, sender } });
            }
            Call::Cancel { asker, reason } => {
                self.cancel(Cancel { from, asker, reason, found: false }, out);
            }
            Call::Status { asker, transfer } => {
                self.look(Look { to: from, who: asker, what: What::Status(transfer) }, out);
            }
            Call::Watch { watcher } => {
                self.look(Look { to: from, who: watcher, what: What::Watch }, out);
            }
            Call::Unwatch { watcher } => self.look_away(watcher),
            Call::Gone { link } => self.gone(now, link, room, out),
            Call::Evict => self.evict(room, out),
            Call::Collect => self.collect(now),
        }
    }

    fn finish(&mut self, now: Millis, room: &mut dyn Room, out: &mut Vec<Output>) {
        self.take_back();
        self.step_up(room, out);
        self.inform(out);
        self.begin(room, out);
        self.wind_up(room);
        self.enlighten(now, room, out);
        self.show(now, out);
    }

    /// Nobody waits, watches or is expected, and nothing runs or drains: the machine can be forgotten.
    pub fn is_idle(&self) -> bool {
        let hit = !self.doomed.is_empty() || !self.aborted.is_empty();
        let expecting = hit || self.collecting.is_some();
        self.is_free() && self.draining.is_empty() && self.watchers.is_empty() && !expecting
    }

    /// Nobody waits and nothing runs: the next party is the first.
    pub(super) fn is_free(&self) -> bool {
        self.places.is_empty() && self.current.is_none()
    }

    /// Does this name count as waiting (pending cap of spec §7)?
    pub fn is_waiting(&self) -> bool {
        !self.places.is_empty()
    }

    /// How many transfers count as active: from the match until the last receiver is done.
    pub fn active(&self) -> usize {
        usize::from(self.current.is_some()) + self.draining.len()
    }

    /// The transfer that has the name: no newcomer is let in while it runs.
    pub fn taken_by(&self) -> Option<TransferId> {
        self.current.as_ref().filter(|m| m.is_streaming()).map(|m| m.id)
    }

    /// How many parties wait behind a younger match or transfer of another `n`.
    pub fn held_back(&self) -> usize {
        self.places.iter().filter(|p| p.phase.behind().is_some()).count()
    }

    /// How many spectators are here.
    pub fn spectators(&self) -> usize {
        self.watchers.len()
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = &Match> {
        self.current.iter().chain(&self.draining)
    }

    /// The public ids held by this name: those that waiting senders chose, and those of transfers.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PublicId> {
        let waiting = self.places.iter().filter_map(|p| p.label.clone());
        waiting.chain(self.transfers().filter(|m| m.is_streaming()).map(Match::public))
    }

    fn leave(&mut self, now: Millis, seat: &Seat, why: Option<Failure>, out: &mut Vec<Output>) {
        let Some(place) = self.vacate(seat) else { return };
        let doom = self.current.as_ref().filter(|_| place.phase == Phase::Matched);
        let why = doom.and_then(|m| m.doom.clone()).or(why);
        self.lose(&place, why);
        self.unmatch(now, &place, out);
    }

    /// A party of this or an older attempt is nowhere here any more. Its place, if it had one.
    pub(super) fn vacate(&mut self, seat: &Seat) -> Option<Place> {
        let is_left = |s: &Seat| s.party == seat.party && s.attempt <= seat.attempt;
        self.doomed.retain(|d| !is_left(&d.seat));
        self.collecting.iter_mut().for_each(|c| c.release(is_left));
        self.away.retain(|party| *party != seat.party);
        let i = self.places.iter().position(|p| is_left(&p.seat))?;
        Some(self.places.remove(i))
    }

    /// The place is free again; is a sender there?
    fn farewell(&self, to: ReplyTo, seat: Seat) -> Output {
        let parked = self.places.iter().any(|p| p.role == Role::Sender);
        let sender_there = parked || self.collecting.as_ref().is_some_and(|c| c.has_sender());
        Output { to, answer: Answer::Left { seat, sender_there } }
    }

    /// Notes that a wait is over. Without a reason its client has left, which ends the pipe of a
    /// sender only (spec §8, rows 6 and 7).
    pub(super) fn lose(&mut self, place: &Place, why: Option<Failure>) {
        let left = (place.role == Role::Sender).then_some(Failure::SenderLost);
        self.lost.push(Lost { why: why.or(left), label: place.label.clone() });
    }

    /// `place` is given up: a match that counted on it is undone.
    pub(super) fn unmatch(&mut self, now: Millis, place: &Place, out: &mut Vec<Output>) {
        let begun = |m: &&Match| place.phase == Phase::Matched && !m.is_streaming();
        let Some(m) = self.current.as_ref().filter(begun) else { return };
        match place.role {
            Role::Receiver => out.push(m.undo()),
            Role::Sender => self.unready(now, m.id),
        }
    }

    /// Ends what is here. While the name collects it is answered later: when those who come back have
    /// been ended too.
    pub(super) fn cancel(&mut self, mut cancel: Cancel, out: &mut Vec<Output>) {
        let (to, asker) = (cancel.from, cancel.asker);
        cancel.found |= self.strike(Failure::Cancelled(cancel.reason.clone()), cancel.found, out);
        let answer = match &mut self.collecting {
            None => Answer::Cancelled { asker, found: cancel.found },
            Some(collecting) => {
                if collecting.hold_cancel(cancel) {
                    return;
                }
                let seat = Seat { party: asker, attempt: 0 };
                Answer::Fail { seat, why: Failure::Unavailable }
            }
        };
        out.push(Output { to, answer });
    }

    /// Ends the pipe that is here, or else, unless one was `found` before, the youngest transfer that
    /// drains. Was there one?
    fn strike(&mut self, why: Failure, found: bool, out: &mut Vec<Output>) -> bool {
        let held = self.collecting.as_mut().map(|c| c.clear()).unwrap_or_default();
        let here = !self.is_free() || !held.is_empty();
        let drains = (!here && !found).then(|| self.draining.last_mut()).flatten();
        let hit = self.current.as_mut().or(drains);
        let found = here || hit.is_some();
        out.extend(hit.map(|m| m.cancel(why.clone())));
        for (to, seat) in held {
            self.doomed.retain(|d| d.seat.party != seat.party);
            // It may be back before its match is undone.
            let place = self.places.iter().position(|p| p.seat.party == seat.party);
            match place.map(|i| self.places.remove(i)) {
                Some(place) => self.lose(&place, Some(why.clone())),
                None => self.lost.push(Lost { why: Some(why.clone()), label: None }),
            }
            out.push(Output { to, answer: Answer::Fail { seat, why: why.clone() } });
        }
        self.doom(&why);
        let parked = self.places.extract_if(.., |p| p.phase.waits());
        for place in parked.collect::<Vec<_>>() {
            self.lose(&place, Some(why.clone()));
            out.push(place.fail(why.clone()));
        }
        found
    }

    /// How many receivers are here for the pipe of this `n`: the one that has the name, or one that
    /// waits behind it.
    pub(super) fn receivers(&self, n: Option<u16>) -> u16 {
        let here = |p: &&Place| p.role == Role::Receiver && self.n_of(p) == n;
        let count = self.places.iter().filter(here).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// The `n` of the pipe that a place belongs to.
    pub(super) fn n_of(&self, place: &Place) -> Option<u16> {
        place.phase.behind().or(self.n)
    }
}

/// How many receivers are on a roll, which has the sender first.
fn receivers_of(roll: &[Seat]) -> u16 {
    u16::try_from(roll.len().saturating_sub(1)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
