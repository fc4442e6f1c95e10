//! A name where older parties may be on their way: whoever comes is taken down, and all are admitted
//! together, the oldest first. Whoever wants to end what is here is heard once more then. Part of the [`Rendezvous`]; why older ones may come is known above.

use super::rendezvous::{Millis, Output, Rendezvous, Room};
use super::{Answer, Attach, Failure, PartyId, ReplyTo, Role, Seat};

/// How long a name collects: edges learn of a new view, or see that a link is lost, within this time
/// of each other.
const COLLECTING: Millis = 500;

/// How long at most, while the node still waits for other nodes to learn of its view: the owner of a
/// name that has moved is found within 2 s of that (spec §28, row 18).
const COLLECTING_MAX: Millis = 2000;

/// How soon it is looked again whether the node still waits for them.
const AGAIN: Millis = 50;

/// Most parties that are taken down at once: four times the largest pipe, as in the mailbox.
pub(super) const HELD_MAX: usize = 1024;

/// Who has come since a name began to collect.
#[derive(Debug)]
pub(super) struct Collecting {
    until: Millis,
    /// It ends then, whoever is still missing.
    latest: Millis,
    /// In the order in which they came.
    held: Vec<Held>,
    /// Wishes to end what is here: those who come back are meant too.
    cancels: Vec<Cancel>,
}

/// A party that was taken down.
#[derive(Debug)]
struct Held {
    from: ReplyTo,
    /// Since when its client waits.
    since: Millis,
    attach: Attach,
}

/// A wish to end what is at the name.
#[derive(Debug)]
pub(super) struct Cancel {
    /// Where the answer goes.
    pub(super) from: ReplyTo,
    pub(super) asker: PartyId,
    pub(super) reason: Option<String>,
    /// Somebody was there.
    pub(super) found: bool,
}

impl Collecting {
    /// Takes a party down; false if too many are. Of two attempts of one party the newer counts.
    fn hold(&mut self, new: Held) -> bool {
        let Seat { party, attempt } = new.attach.seat;
        match self.held.iter().position(|held| held.attach.seat.party == party) {
            Some(i) if self.held[i].attach.seat.attempt < attempt => self.held[i] = new,
            Some(_) => {}
            None if self.held.len() < HELD_MAX => self.held.push(new),
            None => return false,
        }
        true
    }

    /// Takes a wish down; false if there are too many. One that is said again counts once.
    pub(super) fn hold_cancel(&mut self, mut new: Cancel) -> bool {
        if let Some(i) = self.cancels.iter().position(|held| held.asker == new.asker) {
            new.found |= self.cancels.swap_remove(i).found;
        }
        let fits = self.cancels.len() < HELD_MAX;
        if fits {
            self.cancels.push(new);
        }
        fits
    }

    /// Strikes these off.
    pub(super) fn release(&mut self, is_gone: impl Fn(&Seat) -> bool) {
        self.held.retain(|held| !is_gone(&held.attach.seat));
    }

    /// Strikes off who came over this link. A wish to cancel stays.
    pub(super) fn lose(&mut self, link: ReplyTo) {
        self.held.retain(|held| held.from != link);
    }

    /// Strikes all off who ask for a place.
    pub(super) fn clear(&mut self) -> Vec<(ReplyTo, Seat)> {
        self.held.drain(..).map(|held| (held.from, held.attach.seat)).collect()
    }

    /// Everyone who was taken down.
    pub(super) fn seats(&self) -> impl Iterator<Item = (ReplyTo, Seat)> {
        self.held.iter().map(|held| (held.from, held.attach.seat))
    }

    /// Everyone who has asked for something and has no answer yet.
    pub(super) fn askers(&self) -> impl Iterator<Item = (ReplyTo, Seat)> {
        self.cancels.iter().map(|held| (held.from, Seat { party: held.asker, attempt: 0 }))
    }

    pub(super) fn has_sender(&self) -> bool {
        self.held.iter().any(|held| held.attach.role == Role::Sender)
    }

    pub(super) fn until(&self) -> Millis {
        self.until
    }
}

impl Rendezvous {
    /// Begins to collect. At a name that collects already nothing changes.
    pub(super) fn collect(&mut self, now: Millis) {
        let (until, latest) = (now.saturating_add(COLLECTING), now.saturating_add(COLLECTING_MAX));
        let (held, cancels) = (Vec::new(), Vec::new());
        let new = || Box::new(Collecting { until, latest, held, cancels });
        self.collecting.get_or_insert_with(new);
    }

    /// A party asks for a place.
    pub(super) fn arrive(
        &mut self,
        now: Millis,
        from: ReplyTo,
        attach: Attach,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        let since = now.saturating_sub(attach.age_ms);
        let Some(collecting) = &mut self.collecting else {
            return self.attach(since, from, attach, room, out);
        };
        let seat = attach.seat;
        if !collecting.hold(Held { from, since, attach }) {
            let why = Failure::Unavailable;
            out.push(Output { to: from, answer: Answer::Fail { seat, why } });
        }
    }

    /// It has collected for long enough: all are admitted, the oldest first, and only then a sender
    /// hears how many receivers are there. Who wanted to cancel meant them all. While older ones are still
    /// expected it goes on for a moment.
    pub(super) fn admit_all(&mut self, now: Millis, room: &mut dyn Room, out: &mut Vec<Output>) {
        if let Some(collecting) = self.collecting.as_mut().filter(|c| c.until <= now)
            && now < collecting.latest
            && room.expects()
        {
            collecting.until = now.saturating_add(AGAIN).min(collecting.latest);
            return;
        }
        let Some(collected) = self.collecting.take_if(|c| c.until <= now) else { return };
        let Collecting { mut held, cancels, .. } = *collected;
        self.step_up(room, out);
        held.sort_by_key(|held| (held.since, held.attach.seat.attempt == 1));
        for Held { from, since, attach } in held {
            self.attach(since, from, attach, room, out);
        }
        for cancel in cancels {
            self.cancel(cancel, out);
        }
    }
}
