//! The pure state machine of one name: who waits, who is matched, what runs.
//!
//! `step(now, from, call, room) -> outputs`; no clock, no I/O, no async, and no bytes. The rules are
//! those of spec §7 step 10 and §8, and of the attach protocol told in `edge::wire`:
//!
//! * A match (`Begin`) keeps its places until the sender's side says `Ready` or `Unready`; only the
//!   sender's side commits, so a match can be undone unseen.
//! * Attempts tell what is stale. A party that comes back is never told "in use" and never refused
//!   for a younger one.

use super::place::{Match, Phase, Place};
use super::progress::{Past, Running, Snapshot};
use super::watchers::Watchers;
use super::{
    Answer, Call, Failure, Notice, Outcome, PartyId, PublicId, ReplyTo, Role, Seat, TransferId,
};

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
    /// and parties that came back and wait behind a younger match.
    pub(super) places: Vec<Place>,
    /// The match that has begun or the transfer that streams.
    pub(super) current: Option<Match>,
    /// Transfers whose sender is done while receivers still read. The name is free again.
    pub(super) draining: Vec<Match>,
    /// Cancelled while their match was being undone: each is told when it comes, or it leaves.
    pub(super) doomed: Vec<(Seat, Failure)>,
    pub(super) watchers: Watchers,
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
        let mut out = Vec::new();
        match call {
            Call::Attach(attach) => self.attach(now, from, attach, room, &mut out),
            Call::Leave { seat, ask, why } => self.leave(from, seat, ask, why, &mut out),
            Call::Ready { transfer, roll, total, label } => {
                let n = u16::try_from(roll.len().saturating_sub(1)).unwrap_or(u16::MAX);
                let running = Running { began: now, n, total, bytes: 0, receivers: n };
                self.ready(from, transfer, &roll, running, label, &mut out);
                self.hold(transfer, room);
            }
            Call::Progress { transfer, bytes, receivers } => {
                self.progress(transfer, bytes, receivers);
            }
            Call::Unready { transfer } => self.unready(transfer),
            Call::Released { transfer } => self.released(transfer),
            Call::Ended { transfer, outcome } => self.ended(transfer, outcome, room),
            Call::Cancel { asker, reason } => self.cancel(from, asker, reason, &mut out),
            Call::Status { asker, transfer } => {
                out.push(self.status(now, from, asker, transfer.as_ref(), room));
            }
            Call::Watch { watcher } => self.watch(now, from, watcher, room, &mut out),
            Call::Unwatch { watcher } => self.watchers.remove(watcher),
        }
        self.begin(room, &mut out);
        self.wind_up(room);
        self.show(now, &mut out);
        out
    }

    /// Nobody waits or watches and nothing runs or drains: the machine can be forgotten.
    pub fn is_idle(&self) -> bool {
        let draining = self.draining.is_empty() && self.doomed.is_empty();
        self.is_free() && draining && self.watchers.is_empty()
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

    /// How many spectators are here.
    pub fn spectators(&self) -> usize {
        self.watchers.len()
    }

    /// What everyone here is told when this machine is lost (a defect): waiting parties attach
    /// again, a match is undone, a running transfer fails, spectators watch again.
    pub fn wreck(&self) -> Vec<Output> {
        let lost = self.places.iter().map(|p| p.say(Answer::Lost { seat: p.seat }));
        let hit = self.transfers().map(|m| match m.is_streaming() {
            true => m.hit(Failure::Internal),
            false => m.undo(),
        });
        hit.chain(lost).chain(self.watchers.lost()).collect()
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = &Match> {
        self.current.iter().chain(&self.draining)
    }

    fn leave(
        &mut self,
        from: ReplyTo,
        seat: Seat,
        ask: bool,
        why: Option<Failure>,
        out: &mut Vec<Output>,
    ) {
        let is_left = |s: &Seat| s.party == seat.party && s.attempt <= seat.attempt;
        self.doomed.retain(|(s, _)| !is_left(s));
        if let Some(i) = self.places.iter().position(|p| is_left(&p.seat)) {
            let place = self.places.remove(i);
            let doom = self.current.as_ref().filter(|_| place.phase == Phase::Matched);
            let why = doom.and_then(|m| m.doom.clone()).or(why);
            self.lose(&place, why);
            self.left(&place, out);
        }
        if ask {
            let sender_there = self.places.iter().any(|p| p.role == Role::Sender);
            out.push(Output { to: from, answer: Answer::Left { seat, sender_there } });
        }
    }

    /// Notes that a wait is over. Without a reason its client has left, which ends the pipe of a
    /// sender only (spec §8, rows 6 and 7).
    pub(super) fn lose(&mut self, place: &Place, why: Option<Failure>) {
        let left = (place.role == Role::Sender).then_some(Failure::SenderLost);
        self.lost.push(Lost { why: why.or(left), label: place.label.clone() });
    }

    /// `place` was given up: the sender is told, and a match that counted on it is undone.
    fn left(&mut self, place: &Place, out: &mut Vec<Output>) {
        if place.role == Role::Receiver {
            self.tell(Notice::Disconnected, out);
        }
        let begun = |m: &&Match| place.phase == Phase::Matched && !m.is_streaming();
        let Some(m) = self.current.as_ref().filter(begun) else { return };
        match place.role {
            Role::Receiver => out.push(m.undo()),
            Role::Sender => self.unready(m.id),
        }
    }

    fn ready(
        &mut self,
        from: ReplyTo,
        transfer: TransferId,
        roll: &[Seat],
        running: Running,
        label: Option<PublicId>,
        out: &mut Vec<Output>,
    ) {
        let Some(sender) = roll.first().map(|s| s.party) else { return };
        self.step_aside(transfer, out);
        self.places.retain(|p| {
            !roll.iter().any(|s| s.party == p.seat.party && p.seat.attempt <= s.attempt)
        });
        let (id, to, running) = (transfer, from, Some(running));
        self.current = Some(Match { id, to, sender, running, past: false, doom: None, label });
        self.draining.iter_mut().for_each(|m| m.past = true);
    }

    /// The id of a transfer that has just started is taken, if it is not yet.
    fn hold(&self, transfer: TransferId, room: &mut dyn Room) {
        if let Some(m) = self.current.as_ref().filter(|m| m.id == transfer) {
            room.take(&m.public(), true);
        }
    }

    fn progress(&mut self, transfer: TransferId, bytes: u64, receivers: u16) {
        let mut all = self.current.iter_mut().chain(&mut self.draining);
        if let Some(running) = all.find(|m| m.id == transfer).and_then(|m| m.running.as_mut()) {
            (running.bytes, running.receivers) = (bytes, receivers);
        }
    }

    /// A transfer that is not the current one has started, under a machine that was lost since: what
    /// is here makes way. A match is undone; a transfer runs on and is over when it says so.
    fn step_aside(&mut self, transfer: TransferId, out: &mut Vec<Output>) {
        let Some(other) = self.current.as_ref().filter(|m| m.id != transfer) else { return };
        if !other.is_streaming() {
            out.push(other.undo());
            self.unready(other.id);
        }
        self.draining.extend(self.current.take());
    }

    fn unready(&mut self, transfer: TransferId) {
        let undone = self.current.take_if(|m| m.id == transfer && !m.is_streaming());
        let Some(Match { doom, .. }) = undone else { return };
        for place in self.places.iter_mut().filter(|p| p.phase == Phase::Matched) {
            place.phase = Phase::Expected;
        }
        if let Some(why) = doom {
            self.doom(&why);
        }
    }

    /// Who was in a match that is undone has no place any more, and is told when it comes back.
    fn doom(&mut self, why: &Failure) {
        let expected = self.places.extract_if(.., |p| p.phase == Phase::Expected);
        for place in expected.collect::<Vec<_>>() {
            self.lose(&place, Some(why.clone()));
            self.doomed.push((place.seat, why.clone()));
        }
    }

    fn released(&mut self, transfer: TransferId) {
        let past = !self.places.is_empty();
        let released = self.current.take_if(|m| m.id == transfer && m.is_streaming());
        self.draining.extend(released.map(|m| Match { past, ..m }));
    }

    fn ended(&mut self, transfer: TransferId, outcome: Outcome, room: &mut dyn Room) {
        // A match that has never started can only be undone.
        self.unready(transfer);
        let drained = self.draining.iter().position(|m| m.id == transfer);
        let ended = match drained {
            Some(i) => Some(self.draining.remove(i)),
            None => self.current.take_if(|m| m.id == transfer),
        };
        let Some(ended) = ended else { return };
        let kept = outcome.hashed || ended.label.is_some();
        let Some(last) = ended.ended(outcome) else { return };
        self.over.push((Some(transfer), last.clone()));
        let named = !ended.past && self.is_free();
        room.shelve(Past { last, named, kept });
    }

    fn cancel(
        &mut self,
        from: ReplyTo,
        asker: PartyId,
        reason: Option<String>,
        out: &mut Vec<Output>,
    ) {
        let why = Failure::Cancelled(reason);
        let here = self.current.is_some() || self.is_waiting();
        let hit = if here { self.current.as_ref() } else { self.draining.last() };
        out.extend(hit.map(|m| m.hit(why.clone())));
        let found = here || hit.is_some();
        // The sender's side may have undone the match before it hears of this.
        self.current.iter_mut().for_each(|m| m.doom = Some(why.clone()));
        self.doom(&why);
        let parked = self.places.extract_if(.., |p| p.phase == Phase::Parked);
        for place in parked.collect::<Vec<_>>() {
            self.lose(&place, Some(why.clone()));
            out.push(place.fail(why.clone()));
        }
        out.push(Output { to: from, answer: Answer::Cancelled { asker, found } });
    }

    /// Matches a parked sender with `n` parked receivers, oldest first.
    fn begin(&mut self, room: &mut dyn Room, out: &mut Vec<Output>) {
        let Some((sender, receivers)) = self.pairing() else { return };
        if !room.start() {
            return self.refuse_start(sender, &receivers, out);
        }
        let transfer = room.mint();
        let place = &self.places[sender];
        let (head, to) = (place.seat, place.to);
        let begin = |to, receivers, role| Output {
            to,
            answer: Answer::Begin { transfer, sender: head, receivers, role },
        };
        let seats = receivers.iter().map(|&i| self.places[i].seat).collect();
        out.push(begin(to, seats, Role::Sender));
        let mut sides: Vec<_> = receivers.iter().map(|&i| self.places[i].to).collect();
        sides.sort_unstable();
        sides.dedup();
        for side in sides {
            let theirs = receivers.iter().map(|&i| &self.places[i]).filter(|p| p.to == side);
            out.push(begin(side, theirs.map(|p| p.seat).collect(), Role::Receiver));
        }
        self.current = Some(Match::begun(transfer, place));
        for i in receivers.into_iter().chain([sender]) {
            self.places[i].phase = Phase::Matched;
        }
    }

    /// The oldest parked sender and the `n` oldest parked receivers, if all are there.
    fn pairing(&self) -> Option<(usize, Vec<usize>)> {
        let n = self.n.filter(|_| self.current.is_none())?;
        let parked = |role| {
            let all = self.places.iter().enumerate();
            let mut found: Vec<usize> = all
                .filter(|(_, p)| p.role == role && p.phase == Phase::Parked)
                .map(|(i, _)| i)
                .collect();
            found.sort_by_key(|&i| self.places[i].since);
            found
        };
        // The cheap test first: most steps of a large pipe are arrivals of one more receiver.
        if self.places.len() <= usize::from(n) {
            return None;
        }
        let sender = *parked(Role::Sender).first()?;
        let mut receivers = parked(Role::Receiver);
        (receivers.len() >= usize::from(n)).then(|| {
            receivers.truncate(usize::from(n));
            (sender, receivers)
        })
    }

    /// The active cap is reached at the moment of the match: all of it fails (spec §8 row 11).
    fn refuse_start(&mut self, sender: usize, receivers: &[usize], out: &mut Vec<Output>) {
        let mut hit = receivers.to_vec();
        hit.push(sender);
        hit.sort_unstable_by(|a, b| b.cmp(a));
        for i in hit {
            let place = self.places.remove(i);
            self.lose(&place, Some(Failure::Capacity));
            out.push(place.fail(Failure::Capacity));
        }
    }

    pub(super) fn receivers(&self) -> u16 {
        let count = self.places.iter().filter(|p| p.role == Role::Receiver).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Tells the sender that waits here, if there is one.
    pub(super) fn tell(&self, notice: Notice, out: &mut Vec<Output>) {
        if let Some(place) = self.places.iter().find(|p| p.role == Role::Sender) {
            out.push(place.say(Answer::Tell { party: place.seat.party, notice }));
        }
    }
}

#[cfg(test)]
mod tests;
