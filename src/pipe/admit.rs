//! Who gets a place at a name: arrivals, returns, refusals. The rules are those of spec §7 step 10;
//! a party that comes back is never told "in use" and never refused for a younger one.

use super::place::{Match, Phase, Place};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Attach, Failure, Notice, Reject, ReplyTo, Role, Seat};

impl Rendezvous {
    pub(super) fn attach(
        &mut self,
        now: Millis,
        from: ReplyTo,
        attach: Attach,
        room: &mut dyn Room,
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
        if self.is_free() {
            room.forget();
        }
        self.draining.iter_mut().for_each(|m| m.past = true);
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
            let place = self.places.remove(i);
            self.lose(&place, Some(why.clone()));
            return out.push(place.fail(why));
        }
        out.push(Output { to: from, answer: Answer::Parked { seat, k: self.receivers() } });
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
        if role == Role::Sender && full {
            return Err(Reject::SenderTaken);
        }
        match self.n {
            Some(expected) if expected != n => return Err(Reject::Mismatch { expected, got: n }),
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
        // Its edge cannot refuse it any more, and ends its wait as if the owner were gone.
        self.lose(&gone, Some(Failure::Unavailable));
        out.push(gone.say(Answer::Reject { seat: gone.seat, why }));
    }
}
