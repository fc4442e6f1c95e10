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
use super::{
    Answer, Attach, Call, Failure, Notice, PartyId, Reject, ReplyTo, Role, Seat, TransferId,
};

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// What the node has room for. Asked only when the answer decides, since a yes takes the room.
pub struct Room<'a> {
    /// Takes room for one more waiting name; false if there is none.
    pub wait: &'a mut dyn FnMut() -> bool,
    /// Takes room for one more transfer; false if there is none.
    pub start: &'a mut dyn FnMut() -> bool,
    /// Takes the id that the attaching sender chose; false if another transfer holds it.
    pub label: &'a mut dyn FnMut() -> bool,
    /// Makes the id of a match.
    pub mint: &'a mut dyn FnMut() -> TransferId,
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
    n: Option<u16>,
    /// Everyone who waits here or is matched but not started. At most one sender and `n` receivers,
    /// and parties that came back and wait behind a younger match.
    places: Vec<Place>,
    /// The match that has begun or the transfer that streams.
    current: Option<Match>,
    /// Transfers whose sender is done while receivers still read. The name is free again.
    draining: Vec<Match>,
    /// Cancelled while their match was being undone: each is told when it comes, or it leaves.
    doomed: Vec<(Seat, Failure)>,
}

impl Rendezvous {
    /// Takes one call; says what is to be answered, in order.
    pub fn step(
        &mut self,
        now: Millis,
        from: ReplyTo,
        call: Call,
        room: &mut Room<'_>,
    ) -> Vec<Output> {
        let mut out = Vec::new();
        match call {
            Call::Attach(attach) => self.attach(now, from, attach, room, &mut out),
            Call::Leave { seat, ask } => self.leave(from, seat, ask, &mut out),
            Call::Ready { transfer, roll } => self.ready(from, transfer, &roll, &mut out),
            Call::Unready { transfer } => self.unready(transfer),
            Call::Released { transfer } => self.released(transfer),
            Call::Ended { transfer } => self.ended(transfer),
            Call::Cancel { asker, reason } => self.cancel(from, asker, reason, &mut out),
        }
        self.begin(room, &mut out);
        if self.places.is_empty() && self.current.is_none() {
            self.n = None;
        }
        out
    }

    /// Nobody waits and nothing runs or drains: the machine can be forgotten.
    pub fn is_idle(&self) -> bool {
        let running = self.current.is_some() || !self.draining.is_empty();
        self.places.is_empty() && self.doomed.is_empty() && !running
    }

    /// Does this name count as waiting (pending cap of spec §7)?
    pub fn is_waiting(&self) -> bool {
        !self.places.is_empty()
    }

    /// How many transfers count as active: from the match until the last receiver is done.
    pub fn active(&self) -> usize {
        usize::from(self.current.is_some()) + self.draining.len()
    }

    /// The sender-chosen transfer ids held by this name.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let waiting = self.places.iter().filter(|p| p.phase != Phase::Matched);
        let running = self.current.iter().chain(&self.draining);
        waiting.filter_map(|p| p.label.as_deref()).chain(running.filter_map(|m| m.label.as_deref()))
    }

    /// What everyone here is told when this machine is lost (a defect): waiting parties attach
    /// again, a match is undone, a running transfer fails.
    pub fn wreck(&self) -> Vec<Output> {
        let lost = self.places.iter().map(|p| p.say(Answer::Lost { seat: p.seat }));
        let hit = self.current.iter().chain(&self.draining).map(|m| match m.streaming {
            true => m.hit(Failure::Internal),
            false => m.undo(),
        });
        hit.chain(lost).collect()
    }

    fn attach(
        &mut self,
        now: Millis,
        from: ReplyTo,
        attach: Attach,
        room: &mut Room<'_>,
        out: &mut Vec<Output>,
    ) {
        let seat = attach.seat;
        if let Some(i) = self.doomed.iter().position(|(s, _)| s.party == seat.party) {
            let (_, why) = self.doomed.swap_remove(i);
            return out.push(Output { to: from, answer: Answer::Fail { seat, why } });
        }
        if let Some(i) = self.places.iter().position(|p| p.seat.party == seat.party) {
            return self.come_back(i, from, seat, out);
        }
        let since = now.saturating_sub(attach.age_ms);
        if let Err(why) = self.admit(since, &attach, room) {
            return out.push(Output { to: from, answer: Answer::Reject { seat, why } });
        }
        let Attach { role, n, label, .. } = attach;
        self.make_way(since, role, out);
        self.n.get_or_insert(n);
        // Most names have one waiter for most of their life.
        self.places.reserve_exact(usize::from(self.places.is_empty()));
        self.places.push(Place { seat, role, to: from, since, phase: Phase::Parked, label });
        out.push(Output { to: from, answer: Answer::Parked { seat, k: self.receivers() } });
        if role == Role::Receiver && seat.attempt == 1 {
            self.tell(Notice::Connected, out);
        }
    }

    /// A party that holds a place attaches again, after an undone match.
    fn come_back(&mut self, i: usize, from: ReplyTo, seat: Seat, out: &mut Vec<Output>) {
        let place = &mut self.places[i];
        if place.seat.attempt >= seat.attempt {
            return;
        }
        let matched = place.phase == Phase::Matched;
        (place.seat, place.to, place.phase) = (seat, from, Phase::Parked);
        // It may be back before the word that its match was undone.
        let doom = self.current.as_ref().filter(|_| matched).and_then(|m| m.doom.clone());
        if let Some(why) = doom {
            return out.push(self.places.remove(i).fail(why));
        }
        out.push(Output { to: from, answer: Answer::Parked { seat, k: self.receivers() } });
    }

    /// The checks of spec §7 step 10, in its order.
    fn admit(&self, since: Millis, attach: &Attach, room: &mut Room<'_>) -> Result<(), Reject> {
        let Attach { seat, role, n, label, .. } = attach;
        let (role, n, back) = (*role, *n, seat.attempt > 1);
        let streaming = self.current.as_ref().is_some_and(|m| m.streaming);
        if streaming && !back {
            return Err(Reject::Active);
        }
        let full = self.is_full(role) && !(back && self.yields(since, role));
        if role == Role::Sender && full {
            return Err(Reject::SenderTaken);
        }
        match self.n {
            Some(expected) if expected != n => return Err(Reject::Mismatch { expected, got: n }),
            _ if full => return Err(Reject::SlotsFull { n }),
            _ => {}
        }
        if label.is_some() && !back && !(room.label)() {
            return Err(Reject::TransferTaken);
        }
        if !back && self.places.is_empty() && !(room.wait)() {
            return Err(Reject::PendingCap);
        }
        Ok(())
    }

    fn is_full(&self, role: Role) -> bool {
        let there = self.places.iter().filter(|p| p.role == role).count();
        let slots = match role {
            Role::Sender => 1,
            Role::Receiver => self.n.map_or(usize::MAX, usize::from),
        };
        there >= slots
    }

    /// Is the youngest rival younger than a party that came at `since`?
    fn yields(&self, since: Millis, role: Role) -> bool {
        self.youngest(role).is_some_and(|i| self.places[i].since > since)
    }

    fn youngest(&self, role: Role) -> Option<usize> {
        let rivals = self.places.iter().enumerate().filter(|(_, p)| p.role == role);
        rivals.max_by_key(|(_, p)| p.since).map(|(i, _)| i)
    }

    /// An older party is back and its place is taken: the youngest that only waits is refused. One
    /// that is already matched stays, and the older one waits behind it.
    fn make_way(&mut self, since: Millis, role: Role, out: &mut Vec<Output>) {
        let Some(i) = self.youngest(role).filter(|_| self.is_full(role)) else { return };
        if self.places[i].phase == Phase::Matched || self.places[i].since <= since {
            return;
        }
        let why = match role {
            Role::Sender => Reject::SenderTaken,
            Role::Receiver => Reject::SlotsFull { n: self.n.unwrap_or(1) },
        };
        let gone = self.places.remove(i);
        out.push(gone.say(Answer::Reject { seat: gone.seat, why }));
    }

    fn leave(&mut self, from: ReplyTo, seat: Seat, ask: bool, out: &mut Vec<Output>) {
        let is_left = |s: &Seat| s.party == seat.party && s.attempt <= seat.attempt;
        self.doomed.retain(|(s, _)| !is_left(s));
        if let Some(i) = self.places.iter().position(|p| is_left(&p.seat)) {
            let place = self.places.remove(i);
            self.left(&place, out);
        }
        if ask {
            let sender_there = self.places.iter().any(|p| p.role == Role::Sender);
            out.push(Output { to: from, answer: Answer::Left { seat, sender_there } });
        }
    }

    /// `place` was given up: the sender is told, and a match that counted on it is undone.
    fn left(&mut self, place: &Place, out: &mut Vec<Output>) {
        if place.role == Role::Receiver {
            self.tell(Notice::Disconnected, out);
        }
        let begun = |m: &&Match| place.phase == Phase::Matched && !m.streaming;
        let Some(m) = self.current.as_ref().filter(begun) else { return };
        match place.role {
            Role::Receiver => out.push(m.undo()),
            Role::Sender => self.unready(m.id),
        }
    }

    fn ready(&mut self, from: ReplyTo, transfer: TransferId, roll: &[Seat], out: &mut Vec<Output>) {
        let Some(sender) = roll.first().map(|s| s.party) else { return };
        self.step_aside(transfer, out);
        let mut label = None;
        self.places.retain(|p| {
            let started =
                roll.iter().any(|s| s.party == p.seat.party && p.seat.attempt <= s.attempt);
            if started && p.role == Role::Sender {
                label.clone_from(&p.label);
            }
            !started
        });
        let (id, streaming, doom) = (transfer, true, None);
        self.current = Some(Match { id, to: from, sender, streaming, doom, label });
    }

    /// A transfer that is not the current one has started, under a machine that was lost since: what
    /// is here makes way. A match is undone; a transfer runs on and is over when it says so.
    fn step_aside(&mut self, transfer: TransferId, out: &mut Vec<Output>) {
        let Some(other) = self.current.as_ref().filter(|m| m.id != transfer) else { return };
        if !other.streaming {
            out.push(other.undo());
            self.unready(other.id);
        }
        self.draining.extend(self.current.take());
    }

    fn unready(&mut self, transfer: TransferId) {
        let undone = self.current.take_if(|m| m.id == transfer && !m.streaming);
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
        self.doomed.extend(expected.map(|p| (p.seat, why.clone())));
    }

    fn released(&mut self, transfer: TransferId) {
        self.draining.extend(self.current.take_if(|m| m.id == transfer && m.streaming));
    }

    fn ended(&mut self, transfer: TransferId) {
        // A match that has never started can only be undone.
        self.unready(transfer);
        self.current.take_if(|m| m.id == transfer);
        self.draining.retain(|m| m.id != transfer);
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
        out.extend(parked.map(|p| p.fail(why.clone())));
        out.push(Output { to: from, answer: Answer::Cancelled { asker, found } });
    }

    /// Matches a parked sender with `n` parked receivers, oldest first.
    fn begin(&mut self, room: &mut Room<'_>, out: &mut Vec<Output>) {
        let Some((sender, receivers)) = self.pairing() else { return };
        if !(room.start)() {
            return self.refuse_start(sender, &receivers, out);
        }
        let transfer = (room.mint)();
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
            out.push(self.places.remove(i).fail(Failure::Capacity));
        }
    }

    fn receivers(&self) -> u16 {
        let count = self.places.iter().filter(|p| p.role == Role::Receiver).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Tells the sender that waits here, if there is one.
    fn tell(&self, notice: Notice, out: &mut Vec<Output>) {
        if let Some(place) = self.places.iter().find(|p| p.role == Role::Sender) {
            out.push(place.say(Answer::Tell { party: place.seat.party, notice }));
        }
    }
}

#[cfg(test)]
mod tests;
