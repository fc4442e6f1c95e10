//! The pure state machine of one party at its edge: which place it asks for, and whether it may still
//! be moved. No clock, no I/O; knows nothing of HTTP.
//!
//! `New -> Attaching -> Parked -> Pinned -> Streaming -> Over`. Until it streams, a party can lose its
//! place and take another one unseen: each attach has a new attempt, and what is said about an older
//! one is ignored. A pinned party is let go by its sender's side alone.

use crate::pipe::{Answer, Failure, Reject, Role, Seat, TransferId};

/// What a party's shell is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Ask the owner of the name for a place.
    Attach {
        /// Under which attempt.
        seat: Seat,
        /// Matches that were undone and owners that were lost; the shell backs off accordingly.
        undone: u32,
    },
    /// Give the place up.
    Leave {
        /// Which one.
        seat: Seat,
        /// Wait for `Left`.
        ask: bool,
        /// Why; `None` if its client has left.
        why: Option<Failure>,
    },
    /// The first place is taken: the party is admitted, and `k` receivers are there.
    Admitted {
        /// Receivers at the name.
        k: u16,
    },
    /// A receiver offers its lane to the sender's side; a sender gathers its lanes.
    Meet {
        /// Which match.
        transfer: TransferId,
        /// Its sender.
        sender: Seat,
        /// All receivers (at the sender's side).
        receivers: Vec<Seat>,
    },
    /// A sender's side declines a match that it cannot serve.
    Unready {
        /// Which one.
        transfer: TransferId,
    },
    /// The match is off; a sender lets go of all lanes.
    LetGo,
    /// Refused before it was admitted.
    Refused(Reject),
    /// The wait is over.
    Failed(Failure),
}

/// What happens to a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin to ask for a place.
    Arrive,
    /// The owner says something about this party.
    Owner(Answer),
    /// The sender's side (for a receiver) or the party itself (a sender) gave the match up.
    Undone(TransferId),
    /// The lane has started, the transfer is on: nothing can be moved any more.
    Started(TransferId),
    /// Its own wait has passed.
    Deadline,
    /// It is over: the transfer is, or something ended the wait; `None` if its client has left.
    Gone(Option<Failure>),
}

/// One party.
#[derive(Debug)]
pub struct Party {
    seat: Seat,
    role: Role,
    state: State,
    /// It has been told that it is admitted.
    admitted: bool,
    /// Its deadline passed while it was pinned: should the match be undone, its wait is over.
    late: bool,
    undone: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Attaching,
    Parked,
    Pinned(TransferId),
    Streaming,
    /// Its wait has passed; asked the owner whether a sender is there.
    Leaving,
    Over,
}

impl Party {
    /// A party that has not asked yet. `seat.attempt` is 0.
    pub fn new(seat: Seat, role: Role) -> Self {
        Self { seat, role, state: State::New, admitted: false, late: false, undone: 0 }
    }

    /// Under which attempt it holds or asks for a place.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// Its wait has passed, and the owner was asked whether a sender is there.
    pub fn is_leaving(&self) -> bool {
        self.state == State::Leaving
    }

    /// Takes one input; says what is to be done, in order.
    pub fn step(&mut self, input: Input) -> Vec<Act> {
        match input {
            Input::Arrive if self.state == State::New => self.attach(),
            Input::Owner(answer) => self.owner_says(answer),
            Input::Undone(x) if self.state == State::Pinned(x) => self.unpinned(),
            Input::Started(x) if self.state == State::Pinned(x) => {
                self.state = State::Streaming;
                Vec::new()
            }
            Input::Deadline => self.deadline(),
            Input::Gone(why) => self.gone(why),
            Input::Arrive | Input::Undone(_) | Input::Started(_) => Vec::new(),
        }
    }

    fn owner_says(&mut self, answer: Answer) -> Vec<Act> {
        match answer {
            Answer::Parked { seat, k } if self.is_placed(seat) => self.parked(k),
            // A sender that was admitted has its 200: it can fail, but not be refused any more.
            Answer::Reject { seat, .. }
                if self.is_placed(seat) && self.admitted && self.role == Role::Sender =>
            {
                self.over(Failure::Unavailable)
            }
            Answer::Reject { seat, why } if self.is_placed(seat) => {
                self.state = State::Over;
                vec![Act::Refused(why)]
            }
            Answer::Fail { seat, why } if self.is_placed(seat) => self.over(why),
            Answer::Lost { seat } if self.is_placed(seat) => {
                self.undone += 1;
                self.attach()
            }
            Answer::Begin { transfer, sender, receivers, .. } => {
                self.begin(transfer, sender, receivers)
            }
            Answer::Undo { transfer, .. } if self.state == State::Pinned(transfer) => {
                self.unpinned()
            }
            Answer::Left { seat, sender_there } if self.state == State::Leaving => {
                debug_assert_eq!(seat.party, self.seat.party, "answers are routed by party");
                self.over(Failure::ReceiverTimedOut { sender_there })
            }
            _ => Vec::new(),
        }
    }

    /// Is this about the place it has or asks for now, and is it free to obey?
    fn is_placed(&self, seat: Seat) -> bool {
        seat == self.seat && matches!(self.state, State::Attaching | State::Parked)
    }

    fn attach(&mut self) -> Vec<Act> {
        self.seat.attempt += 1;
        self.state = State::Attaching;
        vec![Act::Attach { seat: self.seat, undone: self.undone }]
    }

    fn parked(&mut self, k: u16) -> Vec<Act> {
        self.state = State::Parked;
        if std::mem::replace(&mut self.admitted, true) {
            return Vec::new();
        }
        vec![Act::Admitted { k }]
    }

    /// Obeyed for the current attempt only; a sender's side says `Unready` to a stale one, since the
    /// owner keeps everybody's places until it hears from it.
    fn begin(&mut self, transfer: TransferId, sender: Seat, receivers: Vec<Seat>) -> Vec<Act> {
        let mine = match self.role {
            Role::Sender => sender == self.seat,
            Role::Receiver => receivers.contains(&self.seat),
        };
        if mine && matches!(self.state, State::Attaching | State::Parked) {
            self.state = State::Pinned(transfer);
            return vec![Act::Meet { transfer, sender, receivers }];
        }
        match self.role {
            Role::Sender => vec![Act::Unready { transfer }],
            Role::Receiver => Vec::new(),
        }
    }

    fn unpinned(&mut self) -> Vec<Act> {
        let State::Pinned(transfer) = self.state else { return Vec::new() };
        self.undone += 1;
        let mut acts = vec![Act::LetGo];
        if self.role == Role::Sender {
            acts.push(Act::Unready { transfer });
        }
        self.state = State::Parked;
        acts.extend(if self.late { self.deadline() } else { self.attach() });
        acts
    }

    /// A deadline and a commit at the same moment: commit wins (spec §8).
    fn deadline(&mut self) -> Vec<Act> {
        match (self.state, self.role) {
            (State::Pinned(_), _) => {
                self.late = true;
                Vec::new()
            }
            (State::Attaching | State::Parked, Role::Sender) => {
                let mut acts = self.gone(Some(Failure::SenderTimedOut));
                acts.push(Act::Failed(Failure::SenderTimedOut));
                acts
            }
            (State::Attaching | State::Parked, Role::Receiver) => {
                self.state = State::Leaving;
                let why = Some(Failure::ReceiverTimedOut { sender_there: false });
                vec![Act::Leave { seat: self.seat, ask: true, why }]
            }
            // The owner did not answer in time.
            (State::Leaving, _) => self.over(Failure::ReceiverTimedOut { sender_there: false }),
            (State::New | State::Streaming | State::Over, _) => Vec::new(),
        }
    }

    fn gone(&mut self, why: Option<Failure>) -> Vec<Act> {
        let held = matches!(self.state, State::Attaching | State::Parked | State::Pinned(_));
        self.state = State::Over;
        let leave = Act::Leave { seat: self.seat, ask: false, why };
        if held { vec![leave] } else { Vec::new() }
    }

    fn over(&mut self, why: Failure) -> Vec<Act> {
        self.state = State::Over;
        vec![Act::Failed(why)]
    }
}

#[cfg(test)]
mod tests;
