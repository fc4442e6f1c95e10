//! The pure state machine of one party at its edge: which place it asks for and at which owner, and
//! whether it may still be moved. The clock is given in; no I/O; knows nothing of HTTP, and of owners
//! and links only numbers.
//!
//! `New -> Attaching -> Parked -> Pinned -> Streaming -> Over`, and `Adrift` while there is no owner
//! to turn to, or no link to it. Until it streams, a party can lose its place and take another one
//! unseen: each attach has a new attempt, and what is said about an older one, or by another owner
//! than the one it has turned to, is ignored. A pinned party is let go by its sender's side alone.

use std::time::{Duration, Instant};

mod words;

use super::course::Course;
use crate::pipe::{Answer, Failure, Role, Seat, TransferId};
pub use words::{Act, Input};

/// How long a party may be without a place before its owner counts as out of reach (spec §9).
pub(super) const UNREACHABLE_MAX: Duration = Duration::from_secs(15);

/// One party.
#[derive(Debug)]
pub struct Party {
    seat: Seat,
    role: Role,
    state: State,
    course: Course,
    /// Who began the match or transfer, and who else was told of the transfer since.
    told: (Option<u64>, Vec<u64>),
    /// It has been told that it is admitted.
    admitted: bool,
    /// Its deadline passed while it was pinned: should the match be undone, its wait is over.
    late: bool,
    undone: u32,
    /// Since when it has been without a place.
    homeless: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// There is no owner to turn to, or no link to it.
    Adrift,
    Attaching,
    Parked,
    Pinned(TransferId),
    Streaming(TransferId),
    /// Its wait has passed; asked the owner to free its place, and whether a sender is there.
    Leaving,
    Over,
}

impl Party {
    /// A party that has not asked yet. `seat.attempt` is 0. It should hear of a view before it arrives.
    pub fn new(seat: Seat, role: Role) -> Self {
        let (state, course) = (State::New, Course::default());
        let (admitted, late, undone) = (false, false, 0);
        let (told, homeless) = ((None, Vec::new()), None);
        Self { seat, role, state, course, told, admitted, late, undone, homeless }
    }

    /// Under which attempt it holds or asks for a place.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// The view by which it goes; every call of it carries this epoch.
    pub fn epoch(&self) -> u64 {
        self.course.epoch()
    }

    /// The owner in its newest view: it is told how a transfer goes on.
    pub fn owner(&self) -> Option<u64> {
        self.course.owner()
    }

    /// The owner it has turned to last.
    pub fn turned_to(&self) -> Option<u64> {
        self.course.at()
    }

    /// Every owner that was ever told of the transfer: each hears of its end.
    pub fn told(&self) -> impl Iterator<Item = u64> + '_ {
        self.told.0.into_iter().chain(self.told.1.iter().copied())
    }

    /// Its wait has passed, and the owner was asked to free its place, and whether a sender is there.
    pub fn is_leaving(&self) -> bool {
        self.state == State::Leaving
    }

    /// The owner that it asks for a place and that has not answered yet.
    pub fn asks(&self) -> Option<u64> {
        self.course.at().filter(|_| self.state == State::Attaching)
    }

    /// When it has been without a place for too long, if it is without one.
    pub fn hopeless_at(&self) -> Option<Instant> {
        self.homeless.filter(|_| self.waits()).map(|since| since + UNREACHABLE_MAX)
    }

    /// Takes one input; says what is to be done, in order.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Act> {
        match input {
            Input::Arrive if self.state == State::New => self.attach(now, 0),
            Input::View { epoch, owner } => self.view(now, epoch, owner),
            Input::Sent { link } => self.sent(link),
            Input::LinkUp { owner, link } => self.link_up(now, owner, link),
            Input::LinkDown { owner, link, silent } if self.is_seated() => {
                match self.course.is_lost(owner, link) {
                    true => self.attach(silent.min(now), 0),
                    false => Vec::new(),
                }
            }
            Input::Moved { from, seat, epoch } if self.obeys(from, seat) => {
                self.course.wait_for(epoch);
                // Whoever is sent back to the same owner does not run in circles.
                let circle = self.course.goal() == Some(from);
                self.undone += u32::from(circle);
                self.attach(now, if circle { self.undone } else { 0 })
            }
            Input::Owner { from, answer } => self.owner_says(now, from, answer),
            Input::Undone(x) if self.state == State::Pinned(x) => self.unpinned(now),
            Input::Started(x) if self.state == State::Pinned(x) => self.started(x),
            Input::Deadline => self.deadline(),
            Input::Hopeless if self.hopeless_at().is_some_and(|at| at <= now) => {
                let mut acts = self.gone(Some(Failure::Unavailable));
                acts.push(Act::Failed(Failure::Unavailable));
                acts
            }
            Input::Gone(why) => self.gone(why),
            Input::Arrive
            | Input::LinkDown { .. }
            | Input::Moved { .. }
            | Input::Undone(_)
            | Input::Started(_)
            | Input::Hopeless => Vec::new(),
        }
    }

    /// It has turned to an owner and is free to obey it.
    fn is_seated(&self) -> bool {
        matches!(self.state, State::Attaching | State::Parked)
    }

    /// It wants a place or has one, and is in no match.
    fn waits(&self) -> bool {
        self.is_seated() || self.state == State::Adrift
    }

    /// Is this said by the owner it has turned to, about its newest attempt, and is it free to obey?
    fn obeys(&self, from: u64, seat: Seat) -> bool {
        self.is_seated() && seat == self.seat && self.course.at() == Some(from)
    }

    fn view(&mut self, now: Instant, epoch: u64, owner: Option<u64>) -> Vec<Act> {
        if !self.course.learn(epoch, owner) {
            return Vec::new();
        }
        match self.state {
            State::Adrift => self.attach(now, 0),
            State::Attaching | State::Parked if owner != self.course.at() => self.attach(now, 0),
            State::Streaming(x) => self.resume(x),
            _ => Vec::new(),
        }
    }

    fn sent(&mut self, link: Option<u64>) -> Vec<Act> {
        if self.is_seated() {
            self.course.sent(link);
            if link.is_none() {
                // Nobody has heard of this attempt: it stays a newcomer, if it is one.
                self.seat.attempt -= 1;
                self.state = State::Adrift;
            }
        }
        Vec::new()
    }

    fn link_up(&mut self, now: Instant, owner: u64, link: u64) -> Vec<Act> {
        let wanted = self.course.owner() == Some(owner);
        match self.state {
            State::Adrift if wanted => self.attach(now, 0),
            State::Streaming(x) if wanted => self.resume(x),
            // The end of the old link is told before; should it not be, the place is lost with it.
            State::Attaching | State::Parked if self.course.is_replaced(owner, link) => {
                self.attach(now, 0)
            }
            _ => Vec::new(),
        }
    }

    fn owner_says(&mut self, now: Instant, from: u64, answer: Answer) -> Vec<Act> {
        match answer {
            Answer::Parked { seat, k } if self.obeys(from, seat) => self.parked(k),
            // A sender that was admitted has its 200: it can fail, but not be refused any more.
            Answer::Reject { seat, .. }
                if self.obeys(from, seat) && self.admitted && self.role == Role::Sender =>
            {
                self.over(Failure::Unavailable)
            }
            Answer::Reject { seat, why } if self.obeys(from, seat) => {
                self.state = State::Over;
                vec![Act::Refused(why)]
            }
            Answer::Fail { seat, why } if self.obeys(from, seat) => self.over(why),
            Answer::Lost { seat } if self.obeys(from, seat) => {
                // Whoever says so is within reach.
                (self.homeless, self.undone) = (None, self.undone + 1);
                self.attach(now, self.undone)
            }
            Answer::Begin { transfer, sender, receivers, .. } => {
                self.begin(from, transfer, sender, receivers)
            }
            Answer::Undo { transfer, .. } if self.state == State::Pinned(transfer) => {
                self.unpinned(now)
            }
            Answer::Left { seat, sender_there } if self.state == State::Leaving => {
                debug_assert_eq!(seat.party, self.seat.party, "answers are routed by party");
                self.over(self.timed_out(sender_there))
            }
            _ => Vec::new(),
        }
    }

    /// Turns to the owner in the newest view, under a new attempt; drifts if none is known. It is
    /// without a place since then, a moment that may have passed.
    fn attach(&mut self, since: Instant, undone: u32) -> Vec<Act> {
        self.homeless.get_or_insert(since);
        let Some(owner) = self.course.goal() else {
            self.state = State::Adrift;
            return Vec::new();
        };
        let mut acts = Vec::with_capacity(2);
        if let Some(owner) = self.course.turn(owner) {
            acts.push(Act::Withdraw { owner, seat: self.seat });
        }
        self.seat.attempt += 1;
        self.state = State::Attaching;
        acts.push(Act::Attach { owner, seat: self.seat, undone });
        acts
    }

    fn parked(&mut self, k: u16) -> Vec<Act> {
        self.state = State::Parked;
        self.homeless = None;
        match (std::mem::replace(&mut self.admitted, true), self.role) {
            (false, _) => vec![Act::Admitted { k }],
            (true, Role::Sender) => vec![Act::Counted { k }],
            (true, Role::Receiver) => Vec::new(),
        }
    }

    /// Obeyed for the current attempt only; a sender's side says `Unready` to a stale one, since the
    /// owner keeps everybody's places until it hears from it.
    fn begin(
        &mut self,
        from: u64,
        transfer: TransferId,
        sender: Seat,
        receivers: Vec<Seat>,
    ) -> Vec<Act> {
        let mine = match self.role {
            Role::Sender => sender == self.seat,
            Role::Receiver => receivers.contains(&self.seat),
        };
        if mine && self.obeys(from, self.seat) {
            self.state = State::Pinned(transfer);
            (self.homeless, self.told.0) = (None, Some(from));
            return vec![Act::Meet { transfer, sender, receivers }];
        }
        match self.role {
            Role::Sender => vec![Act::Unready { owner: from, transfer }],
            Role::Receiver => Vec::new(),
        }
    }

    fn unpinned(&mut self, now: Instant) -> Vec<Act> {
        let State::Pinned(transfer) = self.state else { return Vec::new() };
        self.undone += 1;
        let mut acts = vec![Act::LetGo];
        let began = self.told.0.take().filter(|_| self.role == Role::Sender);
        acts.extend(began.map(|owner| Act::Unready { owner, transfer }));
        self.state = State::Parked;
        acts.extend(if self.late { self.deadline() } else { self.attach(now, self.undone) });
        acts
    }

    /// The owner that began it hears of the start, and the newest one, should that be another.
    fn started(&mut self, transfer: TransferId) -> Vec<Act> {
        self.state = State::Streaming(transfer);
        if self.role == Role::Receiver {
            return Vec::new();
        }
        self.tell_newest();
        self.told().map(|owner| Act::Ready { owner, transfer }).collect()
    }

    fn resume(&mut self, transfer: TransferId) -> Vec<Act> {
        if self.role == Role::Receiver {
            return Vec::new();
        }
        self.tell_newest().into_iter().map(|owner| Act::Resume { owner, transfer }).collect()
    }

    /// The owner in the newest view is one of those who are told.
    fn tell_newest(&mut self) -> Option<u64> {
        let owner = self.course.owner()?;
        if !self.told().any(|told| told == owner) {
            self.told.1.push(owner);
        }
        Some(owner)
    }

    /// A deadline and a commit at the same moment: commit wins (spec §8).
    fn deadline(&mut self) -> Vec<Act> {
        let why = self.timed_out(false);
        match self.state {
            State::Pinned(_) => {
                self.late = true;
                Vec::new()
            }
            // Its client hears of it when its place is free.
            State::Attaching | State::Parked => {
                self.state = State::Leaving;
                self.leave(true, Some(why))
            }
            State::Adrift => {
                let mut acts = self.gone(Some(why.clone()));
                acts.push(Act::Failed(why));
                acts
            }
            // The owner did not answer in time.
            State::Leaving => self.over(why),
            State::New | State::Streaming(_) | State::Over => Vec::new(),
        }
    }

    fn timed_out(&self, sender_there: bool) -> Failure {
        match self.role {
            Role::Sender => Failure::SenderTimedOut,
            Role::Receiver => Failure::ReceiverTimedOut { sender_there },
        }
    }

    fn gone(&mut self, why: Option<Failure>) -> Vec<Act> {
        let held = self.waits() || matches!(self.state, State::Pinned(_));
        self.state = State::Over;
        if held { self.leave(false, why) } else { Vec::new() }
    }

    /// Gives up the place it has, or may have, at the owner it turned to last.
    fn leave(&self, ask: bool, why: Option<Failure>) -> Vec<Act> {
        let leave = |owner| Act::Leave { owner, seat: self.seat, ask, why };
        self.course.at().map(leave).into_iter().collect()
    }

    fn over(&mut self, why: Failure) -> Vec<Act> {
        self.state = State::Over;
        vec![Act::Failed(why)]
    }
}

#[cfg(test)]
mod tests;
