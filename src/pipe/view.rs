//! What a name shows: snapshots for those who ask and those who watch, and what becomes of a pipe that
//! nobody is left at. Part of the [`Rendezvous`]; arranges nothing.
//!
//! While the name collects it is not certain who is here: who asks is answered when it is, and who
//! watches keeps the last picture. A transfer that runs is certain at once.

use std::sync::Arc;

use super::collecting::HELD_MAX;
use super::place::Match;
use super::progress::{Past, Snapshot, State};
use super::rendezvous::{Lost, Millis, Output, Rendezvous, Room};
use super::{Answer, Failure, PartyId, PublicId, Reject, ReplyTo, Role, Seat, TransferId};

/// Most who wait to see what is here: as many as wait for a place.
const LOOKS_MAX: usize = HELD_MAX;

/// Somebody who wants to see what is here.
#[derive(Debug)]
pub(super) struct Look {
    /// Where the answer goes.
    pub(super) to: ReplyTo,
    pub(super) who: PartyId,
    pub(super) what: What,
}

/// What somebody wants to see.
#[derive(Debug)]
pub(super) enum What {
    /// The name, or one transfer of it, once.
    Status(Option<PublicId>),
    /// The name, from now on.
    Watch,
}

impl Look {
    /// Under which seat it hears that there is no answer.
    pub(super) fn seat(&self) -> Seat {
        Seat { party: self.who, attempt: 0 }
    }
}

impl Rendezvous {
    /// Somebody looks, and waits if it is not certain what there is to see.
    pub(super) fn look(&mut self, look: Look, out: &mut Vec<Output>) {
        self.looks.retain(|other| other.who != look.who);
        if self.looks.len() < LOOKS_MAX {
            return self.looks.push(look);
        }
        let answer = Answer::Fail { seat: look.seat(), why: Failure::Unavailable };
        out.push(Output { to: look.to, answer });
    }

    /// Whoever that is looks no more.
    pub(super) fn look_away(&mut self, who: PartyId) {
        self.looks.retain(|look| look.who != who);
        self.watchers.remove(who);
    }

    /// Shows what there is to all who wait for it, as far as that is certain.
    pub(super) fn enlighten(&mut self, now: Millis, room: &mut dyn Room, out: &mut Vec<Output>) {
        let looks = std::mem::take(&mut self.looks).into_iter();
        let (known, open): (Vec<_>, _) = looks.partition(|look| self.is_certain(look));
        self.looks = open;
        for Look { to, who, what } in known {
            match what {
                What::Status(id) => out.push(self.status(now, to, who, id.as_ref(), room)),
                What::Watch => self.watch(now, to, who, room, out),
            }
        }
    }

    /// Is it certain what this one is to see?
    fn is_certain(&self, look: &Look) -> bool {
        let runs = |m: &Match| m.is_streaming();
        self.collecting.is_none()
            || match &look.what {
                What::Status(Some(id)) => self.transfers().any(|m| runs(m) && m.public() == *id),
                What::Status(None) | What::Watch => self.current.as_ref().is_some_and(runs),
            }
    }

    /// The one answer to a `Status`.
    fn status(
        &self,
        now: Millis,
        to: ReplyTo,
        asker: PartyId,
        id: Option<&PublicId>,
        room: &mut dyn Room,
    ) -> Output {
        let here = match id {
            None => self.name(now).map(|(_, snapshot)| snapshot),
            Some(id) => self.known(now, id),
        };
        let snapshot = here.or_else(|| room.recall(id));
        let snapshot = snapshot.or_else(|| id.is_none().then(Snapshot::idle)).map(Arc::new);
        Output { to, answer: Answer::Snapshot { watchers: vec![asker], snapshot } }
    }

    /// A spectator comes. One that finds an end hears of it, and is done.
    fn watch(
        &mut self,
        now: Millis,
        to: ReplyTo,
        watcher: PartyId,
        room: &mut dyn Room,
        out: &mut Vec<Output>,
    ) {
        let past = if self.name(now).is_none() { room.recall(None) } else { None };
        if past.is_some() {
            let (watchers, snapshot) = (vec![watcher], past.map(Arc::new));
            out.push(Output { to, answer: Answer::Snapshot { watchers, snapshot } });
        } else if self.watchers.is_there(watcher) || room.watch(self.watchers.len()) {
            self.watchers.add(watcher, to);
        } else {
            let (seat, why) = (Seat { party: watcher, attempt: 0 }, Reject::SpectatorCap);
            out.push(Output { to, answer: Answer::Reject { seat, why } });
        }
    }

    /// The end of a step: chosen ids of those who lost their place leave receipts, and a pipe that
    /// nobody is left at shows how it ended.
    pub(super) fn wind_up(&mut self, room: &mut dyn Room) {
        let (free, n) = (self.is_free(), self.n.unwrap_or(1));
        if free {
            self.n = None;
        }
        if self.lost.is_empty() {
            return;
        }
        let ends = std::mem::take(&mut self.lost).into_iter();
        let ends = ends.filter_map(|Lost { why, label }| Some((why?, label)));
        let mut ends: Vec<Past> = ends
            .map(|(why, label)| {
                let kept = label.is_some();
                Past { last: Snapshot::failed(why, n, label), named: false, kept }
            })
            .collect();
        // Of several that end together the one with an id speaks for all. A transfer that is not
        // past shows itself.
        let speaker = ends.iter().position(|past| past.kept).unwrap_or(0);
        if free
            && self.draining.iter().all(|m| m.past)
            && let Some(past) = ends.get_mut(speaker)
        {
            past.named = true;
            self.over.push((None, past.last.clone()));
        }
        ends.into_iter().filter(|past| past.named || past.kept).for_each(|past| room.shelve(past));
    }

    /// What is left when this machine is lost (a defect): its transfers have failed. A waiting sender
    /// comes back and takes its chosen id up again.
    pub fn ruins(&self, now: Millis) -> Vec<Past> {
        let free = self.is_free();
        let fail = |m: &Match| {
            let seen = m.snapshot(now)?;
            let state = State::Failed(Failure::Internal);
            let last = Snapshot { has_sender: false, receivers: 0, state, ..seen };
            let current = self.current.as_ref().is_some_and(|c| c.id == m.id);
            Some(Past { last, named: current || (free && !m.past), kept: m.label.is_some() })
        };
        let n = self.n.unwrap_or(1);
        let wait = |id: PublicId| Past {
            last: Snapshot::failed(Failure::Internal, n, Some(id)),
            named: false,
            kept: true,
        };
        let waiting = self.places.iter().filter_map(|p| p.label.clone()).map(wait);
        self.transfers().filter_map(fail).chain(waiting).collect()
    }

    /// Shows the spectators what is new.
    pub(super) fn show(&mut self, now: Millis, out: &mut Vec<Output>) {
        let over = std::mem::take(&mut self.over);
        if self.watchers.is_empty() {
            return;
        }
        let mut watchers = std::mem::take(&mut self.watchers);
        let view = |follows: Option<TransferId>| {
            if let Some((_, last)) = over.iter().find(|(x, _)| *x == follows) {
                return Some((None, last.clone()));
            }
            let followed = self.transfers().find(|m| Some(m.id) == follows);
            let followed = followed.and_then(|m| Some((follows, m.snapshot(now)?)));
            let certain = followed.or_else(|| self.running(now));
            let name = || self.name(now).unwrap_or_else(|| (None, Snapshot::idle()));
            certain.or_else(|| self.collecting.is_none().then(name))
        };
        watchers.show(&view, out);
        self.watchers = watchers;
    }

    /// What is at the name now, and of which transfer that is; nothing if nobody is there.
    fn name(&self, now: Millis) -> Option<(Option<TransferId>, Snapshot)> {
        let waiting = || (!self.is_free()).then(|| (None, self.waiting()));
        let drains = || self.draining.iter().rfind(|m| !m.past).and_then(|m| streams(m, now));
        self.running(now).or_else(waiting).or_else(drains)
    }

    /// The transfer that has the name.
    fn running(&self, now: Millis) -> Option<(Option<TransferId>, Snapshot)> {
        self.current.as_ref().and_then(|m| streams(m, now))
    }

    fn waiting(&self) -> Snapshot {
        let sender =
            self.places.iter().find(|p| p.role == Role::Sender && p.phase.behind().is_none());
        Snapshot {
            state: State::Waiting,
            has_sender: sender.is_some(),
            receivers: self.receivers(self.n),
            n: self.n,
            id: sender.and_then(|p| p.label.clone()),
            ..Snapshot::idle()
        }
    }

    /// The transfer of this public id, if it waits or runs here.
    fn known(&self, now: Millis, id: &PublicId) -> Option<Snapshot> {
        if self.places.iter().any(|p| p.label.as_ref() == Some(id)) {
            return Some(self.waiting());
        }
        let runs = self.transfers().find(|m| m.is_streaming() && m.public() == *id);
        runs.and_then(|m| m.snapshot(now))
    }
}

/// What there is to see of a transfer, if it has started.
fn streams(m: &Match, now: Millis) -> Option<(Option<TransferId>, Snapshot)> {
    Some((Some(m.id), m.snapshot(now)?))
}
