//! What happens to a party, and what its shell is to do. Plain data; owners and links are numbers.

use std::time::Instant;

use crate::pipe::{Answer, Failure, Reject, Seat, TransferId};

/// What a party's shell is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Ask this owner for a place, and feed [`Input::Sent`] when that has been tried.
    Attach {
        /// Whom.
        owner: u64,
        /// Under which attempt.
        seat: Seat,
        /// Matches that were undone and owners that were lost; the shell backs off accordingly. 0: it
        /// only moves, at once.
        undone: u32,
    },
    /// Give the place up.
    Leave {
        /// Where.
        owner: u64,
        /// Which one.
        seat: Seat,
        /// Wait for `Left`.
        ask: bool,
        /// Why; `None` if its client has left.
        why: Option<Failure>,
    },
    /// Give the place up unseen: the party takes one at another owner.
    Withdraw {
        /// Where.
        owner: u64,
        /// Which one.
        seat: Seat,
    },
    /// The first place is taken: the party is admitted, and `k` receivers are there.
    Admitted {
        /// Receivers at the name.
        k: u16,
    },
    /// A sender that was admitted has its place again, or hears who has come back: so many receivers are
    /// there now.
    Counted {
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
    /// A sender's side declines a match that it cannot serve, or gives one up.
    Unready {
        /// To whom: the one who began it.
        owner: u64,
        /// Which one.
        transfer: TransferId,
    },
    /// A sender's side tells that its transfer has started.
    Ready {
        /// To whom.
        owner: u64,
        /// Which one.
        transfer: TransferId,
    },
    /// A sender's side tells of its running transfer again.
    Resume {
        /// To whom.
        owner: u64,
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
    /// A view, and who owns the name in it.
    View {
        /// Which one; those that are not newer are ignored.
        epoch: u64,
        /// Nobody, while no member that could own it is known.
        owner: Option<u64>,
    },
    /// The last [`Act::Attach`] has gone out.
    Sent {
        /// Over which link; `None` if none stands.
        link: Option<u64>,
    },
    /// A link to this owner stands.
    LinkUp {
        /// To whom.
        owner: u64,
        /// Which one.
        link: u64,
    },
    /// A link is lost.
    LinkDown {
        /// To whom.
        owner: u64,
        /// Which one.
        link: u64,
        /// Since when nothing was heard of this owner.
        silent: Instant,
    },
    /// An owner says that the name lives elsewhere.
    Moved {
        /// Who says it.
        from: u64,
        /// To whom.
        seat: Seat,
        /// As of which view.
        epoch: u64,
    },
    /// An owner says something about this party.
    Owner {
        /// Who says it.
        from: u64,
        /// What.
        answer: Answer,
    },
    /// The sender's side (for a receiver) or the party itself (a sender) gave the match up.
    Undone(TransferId),
    /// The lane has started, the transfer is on: nothing can be moved any more.
    Started(TransferId),
    /// Its own wait has passed.
    Deadline,
    /// The moment of [`super::Party::hopeless_at`] has come.
    Hopeless,
    /// It is over: the transfer is, or something ended the wait; `None` if its client has left.
    Gone(Option<Failure>),
}
