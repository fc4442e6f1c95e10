//! One trunk before its start, at the side of its receivers: whose lanes are here, when to dial the
//! sender's side, and when all let go of it together. Pure; knows nothing of connections.
//!
//! `Collecting -> Dialled -> Over`. The receivers of one match on this node share one trunk, so they
//! start together or not at all: until the start they have seen no byte, and may attach again.

use std::time::{Duration, Instant};

use crate::pipe::Seat;

/// How long the lanes of this node may take to be offered: as long as the sender's side gathers.
const COLLECT_MAX: Duration = super::gather::GATHER_MAX;

/// How long the sender's side may be silent. It holds a dial for 2 s and gathers for 2 s.
pub const DIAL_MAX: Duration = Duration::from_secs(5);

/// Most dials of one trunk: a connection that breaks three times within [`DIAL_MAX`] will not hold.
pub const TRIES_MAX: u32 = 3;

/// One trunk before its start.
#[derive(Debug)]
pub struct Dialing {
    /// Receivers whose lanes are still to come.
    missing: Vec<Seat>,
    state: State,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Collecting,
    Dialled { attempt: u32 },
    Over,
}

/// What happens to a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A receiver's lane is here.
    Offered(Seat),
    /// A receiver whose lane was here has left.
    Left,
    /// The sender's side has answered the newest dial.
    Answered(Answered),
    /// The connection of the newest dial broke before an answer.
    Broken,
    /// The sender's side cannot be reached.
    Unreachable,
    /// The moment that [`Dialing::until`] names has come.
    Clock,
}

/// The sender's side's answer to a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The transfer is on.
    Started,
    /// The match will not happen: attach again.
    Undone,
    /// The transfer has started without this trunk.
    Late,
}

/// What its shell is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Connect to the sender's side, for all its receivers.
    Dial {
        /// Grows with each dial; the sender's side lets the highest one in.
        attempt: u32,
    },
    /// This lane is a stranger's, or came twice or too late: undo it alone.
    Refuse,
    /// Close the connection and undo all lanes: everybody attaches again.
    GiveUp,
    /// Nobody gets anything any more: tell every receiver so.
    TurnAway,
    /// Start all lanes: what comes over the trunk is theirs.
    Start,
}

impl Dialing {
    /// The trunk of these receivers, none of whose lanes is here yet.
    pub fn new(now: Instant, seats: Vec<Seat>) -> Self {
        Self { missing: seats, state: State::Collecting, until: now + COLLECT_MAX }
    }

    /// When to feed [`Input::Clock`].
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Nothing more will be done: it has started, or everybody has let go.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes one input; says what is to be done, if anything.
    pub fn step(&mut self, now: Instant, input: Input) -> Option<Act> {
        match (self.state, input) {
            (State::Collecting, Input::Offered(seat)) => self.offered(now, seat),
            (_, Input::Offered(_)) => Some(Act::Refuse),
            (State::Over, _) | (State::Collecting, Input::Answered(_) | Input::Broken) => None,
            (_, Input::Clock) if now < self.until => None,
            (State::Dialled { attempt }, Input::Broken) if attempt < TRIES_MAX => {
                self.state = State::Dialled { attempt: attempt + 1 };
                Some(Act::Dial { attempt: attempt + 1 })
            }
            (_, Input::Answered(Answered::Started)) => self.over(Act::Start),
            (_, Input::Answered(Answered::Late)) => self.over(Act::TurnAway),
            (
                _,
                Input::Answered(Answered::Undone)
                | Input::Left
                | Input::Broken
                | Input::Unreachable
                | Input::Clock,
            ) => self.over(Act::GiveUp),
        }
    }

    fn offered(&mut self, now: Instant, seat: Seat) -> Option<Act> {
        let Some(at) = self.missing.iter().position(|missing| *missing == seat) else {
            return Some(Act::Refuse);
        };
        self.missing.swap_remove(at);
        if !self.missing.is_empty() {
            return None;
        }
        self.state = State::Dialled { attempt: 1 };
        self.until = now + DIAL_MAX;
        Some(Act::Dial { attempt: 1 })
    }

    fn over(&mut self, act: Act) -> Option<Act> {
        self.state = State::Over;
        Some(act)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipe::PartyId;

    fn seat(seq: u64) -> Seat {
        Seat { party: PartyId { origin: 7, boot: 0, seq }, attempt: 1 }
    }

    /// A trunk of two receivers, and the moment it was made.
    fn two() -> (Dialing, Instant) {
        let now = Instant::now();
        (Dialing::new(now, vec![seat(1), seat(2)]), now)
    }

    fn dialled() -> (Dialing, Instant) {
        let (mut dialing, now) = two();
        assert_eq!(dialing.step(now, Input::Offered(seat(2))), None);
        let dial = dialing.step(now, Input::Offered(seat(1)));
        assert_eq!(dial, Some(Act::Dial { attempt: 1 }));
        (dialing, now)
    }

    #[test]
    fn it_dials_when_the_lanes_of_all_its_receivers_are_here() {
        let (mut dialing, now) = two();
        assert_eq!(dialing.step(now, Input::Offered(seat(2))), None);
        assert_eq!(dialing.step(now, Input::Offered(seat(2))), Some(Act::Refuse), "twice");
        assert_eq!(dialing.step(now, Input::Offered(seat(3))), Some(Act::Refuse), "a stranger");
        let late = now + Duration::from_secs(1);
        let dial = dialing.step(late, Input::Offered(seat(1)));
        assert_eq!((dial, dialing.until()), (Some(Act::Dial { attempt: 1 }), late + DIAL_MAX));
        assert_eq!(dialing.step(late, Input::Offered(seat(1))), Some(Act::Refuse));
    }

    #[test]
    fn whoever_does_not_offer_its_lane_undoes_the_others_after_two_seconds() {
        let (mut dialing, now) = two();
        dialing.step(now, Input::Offered(seat(2)));
        assert_eq!(dialing.step(now, Input::Clock), None);
        let until = dialing.until();
        assert_eq!(until, now + Duration::from_secs(2));
        assert_eq!(dialing.step(until, Input::Clock), Some(Act::GiveUp));
        assert_eq!(dialing.step(until, Input::Offered(seat(1))), Some(Act::Refuse), "too late");
    }

    #[test]
    fn a_broken_connection_is_dialled_again_a_bounded_number_of_times() {
        let (mut dialing, now) = dialled();
        for attempt in 2..=TRIES_MAX {
            assert_eq!(dialing.step(now, Input::Broken), Some(Act::Dial { attempt }));
        }
        assert_eq!(dialing.step(now, Input::Broken), Some(Act::GiveUp));
        assert_eq!(dialing.step(now, Input::Broken), None);
    }

    #[test]
    fn every_other_way_to_fail_lets_go_of_all_together() {
        let silence = dialled().0.until();
        for (at, input) in [
            (Instant::now(), Input::Left),
            (Instant::now(), Input::Unreachable),
            (Instant::now(), Input::Answered(Answered::Undone)),
            (silence + DIAL_MAX, Input::Clock),
        ] {
            let (mut dialing, _) = dialled();
            assert_eq!(dialing.step(at, input), Some(Act::GiveUp), "{input:?}");
            assert!(dialing.is_over());
            let late = dialing.step(at, Input::Answered(Answered::Started));
            assert_eq!(late, None, "what has let go cannot start");
        }
    }

    #[test]
    fn it_starts_once_or_hears_that_it_is_too_late() {
        for (answer, act) in [(Answered::Started, Act::Start), (Answered::Late, Act::TurnAway)] {
            let (mut dialing, now) = dialled();
            assert_eq!(dialing.step(now, Input::Answered(answer)), Some(act));
            for input in [Input::Answered(answer), Input::Left, Input::Broken] {
                assert_eq!(dialing.step(now, input), None, "{input:?}");
            }
        }
    }

    proptest! {
        /// Whatever happens, in whatever order: one end at most, never a start without all lanes, and
        /// no more dials than allowed.
        #[test]
        fn it_ends_once(inputs in prop::collection::vec((0u64..12, 0u64..900), 0..40)) {
            let (mut dialing, mut now) = two();
            let (mut here, mut dials, mut ends) = (std::collections::HashSet::new(), 0, 0);
            for (what, ms) in inputs {
                now += Duration::from_millis(ms);
                let input = match what {
                    0..3 => Input::Offered(seat(what)),
                    3 => Input::Left,
                    4 => Input::Answered(Answered::Started),
                    5 => Input::Answered(Answered::Undone),
                    6 => Input::Answered(Answered::Late),
                    7 | 8 => Input::Broken,
                    9 => Input::Unreachable,
                    _ => Input::Clock,
                };
                let act = dialing.step(now, input);
                match (input, act) {
                    (_, None) => {}
                    (Input::Offered(_), Some(Act::Refuse)) => {}
                    (_, Some(Act::Dial { attempt })) => {
                        dials += 1;
                        prop_assert!(attempt == dials && dials <= TRIES_MAX && ends == 0);
                    }
                    (_, Some(_)) => ends += 1,
                }
                if let (Input::Offered(seat), None | Some(Act::Dial { .. })) = (input, act) {
                    prop_assert!(here.insert(seat.party));
                }
                prop_assert!(act != Some(Act::Start) || here.len() == 2);
                prop_assert!(ends <= 1 && (ends == 1) == dialing.is_over());
            }
        }
    }
}
