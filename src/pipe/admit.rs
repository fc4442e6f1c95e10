//! Who gets a place at a name: arrivals, returns, refusals. The rules are those of spec §7 step 10;
//! a party that comes back is never told "in use" and never refused for a younger one. And what a sender
//! hears of its place and of the receivers.

use super::place::{Doomed, Match, Phase, Place};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Attach, Failure, Notice, Reject, ReplyTo, Role, Seat};

impl Rendezvous {
    /// A party whose client waits since then asks for a place.
    pub(super) fn attach(
        &mut self,
        since: Millis,
        from: ReplyTo,
        attach: Attach,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        let seat = attach.seat;
        self.away.retain(|party| *party != seat.party);
        if let Some(i) = self.doomed.iter().position(|d| d.seat.party == seat.party) {
            let Doomed { why, .. } = self.doomed.swap_remove(i);
            return out.push(Output { to: from, answer: Answer::Fail { seat, why } });
        }
        if let Some(i) = self.places.iter().position(|p| p.seat.party == seat.party) {
            return self.come_back(i, from, seat, out);
        }
        let Attach { role, n, label, .. } = attach;
        let (to, phase, told) = (from, Phase::Parked, None);
        let place = Place { seat, role, to, since, phase, label, told };
        match self.admit(&place, n, room) {
            Ok(()) => self.settle(place, n, room, out),
            Err(Reject::Mismatch { .. }) if seat.attempt > 1 && self.are_younger(since) => {
                self.hold_back(place, n, room);
            }
            Err(why) => return out.push(place.say(Answer::Reject { seat, why })),
        }
        self.confirm(seat, out);
    }

    /// A party that is admitted takes its place.
    fn settle(&mut self, place: Place, n: u16, room: &mut dyn Room, out: &mut Vec<Output>) {
        if self.is_free() {
            room.forget();
        }
        self.draining.iter_mut().for_each(|m| m.past = true);
        if let Some(got) = self.n.filter(|there| *there != n) {
            self.make_way_for(n, got, out);
        }
        self.make_way(place.since, place.role, out);
        self.n.get_or_insert(n);
        // Most names have one waiter for most of their life.
        self.places.reserve_exact(usize::from(self.places.is_empty()));
        self.places.push(place);
    }

    /// One that is back finds younger ones with another `n` in a match or a transfer: its place is
    /// behind them.
    fn hold_back(&mut self, place: Place, n: u16, room: &mut dyn Room) {
        if let Some(id) = &place.label {
            // Whoever comes back gets it.
            room.take(id, true);
        }
        self.places.push(Place { phase: Phase::Behind { n }, ..place });
    }

    /// Nothing has the name any more: those who were held back ask for it, the oldest first. They have
    /// been told of their places, and senders of their receivers.
    pub(super) fn step_up(&mut self, room: &mut dyn Room, out: &mut Vec<Output>) {
        if self.current.is_some() || self.collecting.is_some() {
            return;
        }
        let behind = self.places.extract_if(.., |p| p.phase.behind().is_some());
        let mut behind: Vec<Place> = behind.collect();
        if behind.is_empty() {
            return;
        }
        if self.is_free() {
            self.n = None;
        }
        behind.sort_by_key(|p| p.since);
        for place in behind {
            let Some(n) = place.phase.behind() else { continue };
            let place = Place { phase: Phase::Parked, ..place };
            match self.admit(&place, n, room) {
                Ok(()) => self.settle(place, n, room, out),
                Err(why) => self.refuse(&place, why, out),
            }
        }
    }

    /// A receiver hears of its place; a sender does so at the end of the step: see
    /// [`Rendezvous::inform`].
    fn confirm(&self, seat: Seat, out: &mut Vec<Output>) {
        let place = self.places.iter().find(|p| p.seat == seat && p.role == Role::Receiver);
        if let Some(place) = place {
            let k = self.receivers(self.n_of(place));
            out.push(place.say(Answer::Parked { seat, k }));
        }
    }

    /// Each sender hears of its place, and then of receivers that come and go. It is told how the
    /// number of those who are there differs from the one that it knows: so it counts nobody twice who
    /// takes a place again. While the name collects the number is not certain.
    pub(super) fn inform(&mut self, out: &mut Vec<Output>) {
        if self.collecting.is_some() {
            return;
        }
        // Whoever takes a place hears of those who are here; others may still count those who are away.
        if self.places.iter().all(|p| p.role == Role::Receiver || p.told.is_none()) {
            self.away = Vec::new();
        }
        for i in 0..self.places.len() {
            if self.places[i].role == Role::Receiver {
                continue;
            }
            let k = self.receivers_for(&self.places[i]);
            let Some(told) = self.places[i].told.replace(k) else {
                let place = &self.places[i];
                out.push(place.say(Answer::Parked { seat: place.seat, k }));
                continue;
            };
            let notice = if told < k { Notice::Connected } else { Notice::Disconnected };
            for _ in 0..told.abs_diff(k) {
                self.places[i].tell(notice.clone(), out);
            }
        }
    }

    /// How many receivers are there for this sender: not those in the match of another one, and not
    /// those who wait for the next.
    fn receivers_for(&self, sender: &Place) -> u16 {
        let (party, n) = (sender.seat.party, self.n_of(sender));
        let other = self.current.as_ref().is_some_and(|m| !m.is_streaming() && m.sender != party);
        let taken = self.places.iter().filter(|p| p.role == Role::Receiver && other);
        let taken = taken.filter(|p| p.phase == Phase::Matched && self.n_of(p) == n).count();
        let there = usize::from(self.receivers(n)).saturating_sub(taken);
        let count = u16::try_from(there + self.away.len()).unwrap_or(u16::MAX);
        n.unwrap_or(u16::MAX).min(count)
    }

    /// A party that holds a place attaches again, after an undone match.
    fn come_back(&mut self, i: usize, from: ReplyTo, seat: Seat, out: &mut Vec<Output>) {
        let place = &mut self.places[i];
        if place.seat.attempt >= seat.attempt {
            return;
        }
        let matched = place.phase == Phase::Matched;
        let phase = if place.phase.waits() { place.phase } else { Phase::Parked };
        (place.seat, place.to, place.phase, place.told) = (seat, from, phase, None);
        // It may be back before the word that its match was undone.
        let doom = self.current.as_ref().filter(|_| matched).and_then(|m| m.doom.clone());
        if let Some(why) = doom {
            let place = self.places.remove(i);
            self.lose(&place, Some(why.clone()));
            return out.push(place.fail(why));
        }
        self.confirm(seat, out);
    }

    /// The checks of spec §7 step 10, in its order.
    fn admit(&self, place: &Place, n: u16, room: &mut dyn Room) -> Result<(), Reject> {
        let Place { seat, role, since, ref label, .. } = *place;
        let back = seat.attempt > 1;
        let streaming = self.current.as_ref().is_some_and(Match::is_streaming);
        if streaming && !back {
            return Err(Reject::Active);
        }
        let full = self.is_full(role) && !(back && self.yields(since, role));
        let fits = self.n.is_none_or(|there| there == n) || (back && self.all_yield(since));
        if role == Role::Sender && full {
            return Err(Reject::SenderTaken);
        }
        match self.n {
            Some(expected) if !fits => return Err(Reject::Mismatch { expected, got: n }),
            _ if full => return Err(Reject::SlotsFull { n }),
            _ => {}
        }
        // Its name may have been lost meanwhile, and with it the hold on its id.
        if label.as_ref().is_some_and(|id| !room.take(id, back)) {
            return Err(Reject::TransferTaken);
        }
        if !back && self.places.is_empty() && !room.wait() {
            label.iter().for_each(|id| room.give_back(id));
            return Err(Reject::PendingCap);
        }
        Ok(())
    }

    fn is_full(&self, role: Role) -> bool {
        let there = self.rivals(role).count();
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

    /// Is nobody in a match, and came everyone after a party that came at `since`?
    fn all_yield(&self, since: Millis) -> bool {
        self.current.is_none() && self.are_younger(since)
    }

    /// Is nobody at the pipe that has the name who came before a party that came at `since`?
    fn are_younger(&self, since: Millis) -> bool {
        self.places.iter().all(|p| p.since > since || p.phase.behind().is_some())
    }

    fn youngest(&self, role: Role) -> Option<usize> {
        self.rivals(role).max_by_key(|(_, p)| p.since).map(|(i, _)| i)
    }

    /// Who has a slot of this kind, and where.
    fn rivals(&self, role: Role) -> impl Iterator<Item = (usize, &Place)> {
        let all = self.places.iter().enumerate();
        all.filter(move |(_, p)| p.role == role && p.phase.behind().is_none())
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
        self.refuse(&gone, why, out);
    }

    /// An older party is back with another `n` than those who came meanwhile: they are refused, and who
    /// is expected back is so when it comes.
    fn make_way_for(&mut self, expected: u16, got: u16, out: &mut Vec<Output>) {
        for gone in std::mem::take(&mut self.places) {
            self.refuse(&gone, Reject::Mismatch { expected, got }, out);
        }
        self.n = None;
    }

    /// Its edge cannot refuse a sender any more, and ends its wait as if the owner were gone. One that
    /// is expected back would not obey: its attempt is over.
    fn refuse(&mut self, gone: &Place, why: Reject, out: &mut Vec<Output>) {
        self.lose(gone, Some(Failure::Unavailable));
        if gone.phase.waits() {
            out.push(gone.say(Answer::Reject { seat: gone.seat, why }));
        }
    }
}
