//! What becomes of a name when a link is lost, when it lives elsewhere from now on, and when its machine
//! is lost to a defect. Part of the [`Rendezvous`]; which machine a link leads to, and why a name moves,
//! is known above.

use super::matching::EXPECTED;
use super::place::{Aborted, Phase, Place};
use super::progress::{Past, Snapshot};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Failure, RECEIVERS_MAX, ReplyTo, Role, Seat};

impl Rendezvous {
    /// A link is lost, and with it who came over it: they come back over another one, or are gone for
    /// good. Of a match whose sender's side is lost nobody can tell whether it has started, so its
    /// places are forgotten too; a transfer is told of again if it lives.
    pub(super) fn gone(
        &mut self,
        now: Millis,
        link: ReplyTo,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        self.watchers.lose(link);
        self.looks.retain(|look| look.to != link);
        self.doomed.retain(|d| d.to != link);
        self.collecting.iter_mut().for_each(|c| c.lose(link));
        let current = self.current.take_if(|m| m.to == link);
        let drained: Vec<_> = self.draining.extract_if(.., |m| m.to == link).collect();
        for m in current.iter().chain(&drained) {
            if m.is_streaming() {
                room.give_back(&m.public());
            }
            let aborted = |why| Aborted { id: m.id, why, until: now.saturating_add(EXPECTED) };
            self.aborted.extend(m.doom.clone().map(aborted));
        }
        let unsure = current.as_ref().is_some_and(|m| !m.is_streaming());
        let is_lost = |p: &mut Place| p.to == link || (unsure && p.phase == Phase::Matched);
        let lost: Vec<Place> = self.places.extract_if(.., is_lost).collect();
        if lost.is_empty() && current.is_none() {
            return;
        }
        out.extend(self.current.as_ref().and_then(|m| m.undo_without(&lost)));
        // Until the sender comes back its id is nobody else's.
        let n = self.n.unwrap_or(1);
        for id in lost.iter().filter_map(|p| p.label.clone()) {
            let last = Snapshot::failed(Failure::SenderLost, n, Some(id));
            room.shelve(Past { last, named: false, kept: true });
        }
        self.collect(now);
    }

    /// A party takes its place elsewhere: it is forgotten, and nobody here is told.
    pub(super) fn withdraw(
        &mut self,
        now: Millis,
        seat: &Seat,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        let Some(place) = self.vacate(seat) else { return };
        place.label.iter().for_each(|id| room.give_back(id));
        if place.role == Role::Receiver && self.away.len() < usize::from(RECEIVERS_MAX) {
            self.away.push(seat.party);
        }
        self.unmatch(now, &place, out);
    }

    /// The name lives elsewhere: who waits is told to come anew, all else is forgotten. Those who are
    /// matched ask the new owner when they are let go, and what runs is told of there.
    pub(super) fn evict(&mut self, room: &mut dyn Room, out: &mut Vec<Output>) {
        // Something may have ended since the node gave the name up.
        room.forget();
        let old = std::mem::take(self);
        for id in old.ids() {
            room.give_back(&id);
        }
        out.extend(old.homeless(|p| p.phase.waits()));
    }

    /// What everyone here is told when this machine is lost (a defect): waiting parties attach
    /// again, a match is undone, a running transfer fails, spectators watch again.
    pub fn wreck(&self) -> Vec<Output> {
        let hit = self.transfers().map(|m| match m.is_streaming() {
            true => m.hit(Failure::Internal),
            false => m.undo(),
        });
        hit.chain(self.homeless(|_| true)).collect()
    }

    /// What these places, and all who have none yet, have asked or only watch, are told when there is
    /// nothing here any more: attach again, ask again, watch again.
    fn homeless(&self, whom: impl Fn(&Place) -> bool) -> impl Iterator<Item = Output> {
        let places = self.places.iter().filter(move |p| whom(p)).map(|p| (p.to, p.seat));
        let held = self.collecting.iter().flat_map(|c| c.seats().chain(c.askers()));
        let looks = self.looks.iter().map(|look| (look.to, look.seat()));
        let lost = places.chain(held).chain(looks);
        let lost = lost.map(|(to, seat)| Output { to, answer: Answer::Lost { seat } });
        lost.chain(self.watchers.lost())
    }
}
