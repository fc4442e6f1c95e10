//! Who is matched with whom, and what becomes of a match that does not start. Part of the
//! [`Rendezvous`]; bytes and their transfers are told of in `course`.

use super::place::{Doomed, Match, Phase, Place};
use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Failure, Role, TransferId};

/// How long the place of a party whose match was undone is kept for it, and what is to be told to a
/// transfer whose link is lost. Longer than any pause before it attaches again (2 s), and than the wait
/// for an owner that is catching up (2 s).
pub(super) const EXPECTED: Millis = 10_000;

impl Rendezvous {
    /// Matches a parked sender with `n` parked receivers, oldest first.
    pub(super) fn begin(&mut self, room: &mut dyn Room, out: &mut Vec<Output>) {
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

    /// The oldest parked sender and the `n` oldest parked receivers, if all are there and nobody
    /// older may be on the way.
    pub(super) fn pairing(&self) -> Option<(usize, Vec<usize>)> {
        let n = self.n.filter(|_| self.current.is_none() && self.collecting.is_none())?;
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
        self.inform(out);
    }

    /// A match that has not started is off: everyone in it is expected back.
    pub(super) fn unready(&mut self, now: Millis, transfer: TransferId) {
        let undone = self.current.take_if(|m| m.id == transfer && !m.is_streaming());
        let Some(Match { doom, .. }) = undone else { return };
        let until = now.saturating_add(EXPECTED);
        for place in self.places.iter_mut().filter(|p| p.phase == Phase::Matched) {
            place.phase = Phase::Expected { until };
        }
        if let Some(why) = doom {
            self.doom(&why);
        }
    }

    /// Who was in a match that is undone has no place any more, and is told when it comes back.
    pub(super) fn doom(&mut self, why: &Failure) {
        let expected = self.places.extract_if(.., |p| p.phase.until().is_some());
        let expected = expected.filter_map(|p| Some((p.phase.until()?, p)));
        for (until, place) in expected.collect::<Vec<_>>() {
            self.lose(&place, Some(why.clone()));
            self.doomed.push(Doomed { seat: place.seat, to: place.to, why: why.clone(), until });
        }
    }

    /// Forgets whom it has expected back for too long: its edge has forgotten this name.
    pub(super) fn expect_no_more(&mut self, now: Millis) {
        self.doomed.retain(|d| d.until > now);
        self.aborted.retain(|a| a.until > now);
        let is_late = |p: &mut Place| p.phase.until().is_some_and(|until| until <= now);
        let late = self.places.extract_if(.., is_late);
        for place in late.collect::<Vec<_>>() {
            self.lose(&place, None);
        }
    }

    /// When the next of those who are expected back is forgotten.
    pub(super) fn patience(&self) -> Option<Millis> {
        let expected = self.places.iter().filter_map(|p| p.phase.until());
        let told = self.doomed.iter().map(|d| d.until).chain(self.aborted.iter().map(|a| a.until));
        expected.chain(told).min()
    }
}
