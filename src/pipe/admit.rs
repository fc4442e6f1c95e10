//! Who gets a place at a name: arrivals, returns, refusals. The rules are those of spec §7 step 10;
//! a party that comes back is never told "in use" and never refused for a younger one. And what a sender
//! hears of its place and of the receivers.

use super::place::{Doomed, Match, Phase, Place};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Attach, Failure, Notice, PartyId, Reject, ReplyTo, Role, Seat};

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
        if let Err(why) = self.admit(since, &attach, room) {
            let answer = match why {
                // It comes again and again until they are done.
                Reject::Mismatch { .. } if seat.attempt > 1 && self.are_younger(since) => {
                    Answer::Lost { seat }
                }
                why => Answer::Reject { seat, why },
            };
            return out.push(Output { to: from, answer });
        }
        let Attach { role, n, label, .. } = attach;
        if self.is_free() {
            room.forget();
        }
        self.draining.iter_mut().for_each(|m| m.past = true);
        if let Some(got) = self.n.filter(|there| *there != n) {
            self.make_way_for(n, got, out);
        }
        self.make_way(since, role, out);
        self.n.get_or_insert(n);
        // Most names have one waiter for most of their life.
        self.places.reserve_exact(usize::from(self.places.is_empty()));
        self.places.push(Place {
            seat,
            role,
            to: from,
            since,
            phase: Phase::Parked,
            label,
            told: None,
        });
        self.confirm(role, from, seat, out);
    }

    /// A receiver hears of its place; a sender does so at the end of the step: see
    /// [`Rendezvous::inform`].
    fn confirm(&self, role: Role, to: ReplyTo, seat: Seat, out: &mut Vec<Output>) {
        if role == Role::Receiver {
            out.push(Output { to, answer: Answer::Parked { seat, k: self.receivers() } });
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
            let k = self.receivers_for(self.places[i].seat.party);
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
    fn receivers_for(&self, sender: PartyId) -> u16 {
        let other = self.current.as_ref().is_some_and(|m| !m.is_streaming() && m.sender != sender);
        let taken = |p: &&Place| other && p.phase == Phase::Matched;
        let there = self.places.iter().filter(|p| p.role == Role::Receiver && !taken(p)).count();
        let count = u16::try_from(there + self.away.len()).unwrap_or(u16::MAX);
        self.n.unwrap_or(u16::MAX).min(count)
    }

    /// A party that holds a place attaches again, after an undone match.
    fn come_back(&mut self, i: usize, from: ReplyTo, seat: Seat, out: &mut Vec<Output>) {
        let place = &mut self.places[i];
        if place.seat.attempt >= seat.attempt {
            return;
        }
        let matched = place.phase == Phase::Matched;
        (place.seat, place.to, place.phase, place.told) = (seat, from, Phase::Parked, None);
        let role = place.role;
        // It may be back before the word that its match was undone.
        let doom = self.current.as_ref().filter(|_| matched).and_then(|m| m.doom.clone());
        if let Some(why) = doom {
            let place = self.places.remove(i);
            self.lose(&place, Some(why.clone()));
            return out.push(place.fail(why));
        }
        self.confirm(role, from, seat, out);
    }

    /// The checks of spec §7 step 10, in its order.
    fn admit(&self, since: Millis, attach: &Attach, room: &mut dyn Room) -> Result<(), Reject> {
        let Attach { seat, role, n, label, .. } = attach;
        let (role, n, back) = (*role, *n, seat.attempt > 1);
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

    /// Does everyone only wait, and came after a party that came at `since`?
    fn all_yield(&self, since: Millis) -> bool {
        let yields = |p: &Place| p.phase == Phase::Parked && p.since > since;
        self.current.is_none() && self.places.iter().all(yields)
    }

    /// Is nobody here who came before a party that came at `since`?
    fn are_younger(&self, since: Millis) -> bool {
        self.places.iter().all(|p| p.since > since)
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
        self.refuse(&gone, why, out);
    }

    /// An older party is back with another `n` than those who came meanwhile: they are refused.
    fn make_way_for(&mut self, expected: u16, got: u16, out: &mut Vec<Output>) {
        for gone in std::mem::take(&mut self.places) {
            self.refuse(&gone, Reject::Mismatch { expected, got }, out);
        }
        self.n = None;
    }

    /// Its edge cannot refuse a sender any more, and ends its wait as if the owner were gone.
    fn refuse(&mut self, gone: &Place, why: Reject, out: &mut Vec<Output>) {
        self.lose(gone, Some(Failure::Unavailable));
        out.push(gone.say(Answer::Reject { seat: gone.seat, why }));
    }
}
