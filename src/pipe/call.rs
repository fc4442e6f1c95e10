//! What is said at a name: calls to its actor and the actor's answers. Plain data, in the order of
//! a transfer's life:
//!
//! * `Attach` -> `Parked` or `Reject`; `Tell` keeps a waiting sender informed.
//! * `Begin` goes to everyone matched; the sender's side answers `Ready` (it has started) or
//!   `Unready` (it has not, all attach again); `Undo` tells it that somebody will not come.
//! * `Resume` tells of a running transfer again. `Progress` while bytes move. `Released` frees the name before
//!   anyone sees the end; `Ended` when nobody is left. Both are answered with `Freed`.
//! * `Leave` at any time; `Cancel` -> `Cancelled`, with `Fail` and `Abort` to those who are hit.
//! * `Gone`, `Evict` and `Collect` are said by the node itself.
//! * `Status` -> `Snapshot`, once. `Watch` -> `Reject`, or `Snapshot` on every change until one that
//!   is over; `Unwatch` at any time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Failure, Notice, Outcome, PartyId, PublicId, Reject, ReplyTo, Role, Seat, Snapshot, TransferId,
};

/// A party asks for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Who asks, under which attempt.
    pub seat: Seat,
    /// Sender or receiver.
    pub role: Role,
    /// The number of receivers it states, 1 to [`super::RECEIVERS_MAX`].
    pub n: u16,
    /// How long ago its client arrived, in milliseconds: the oldest is served first.
    pub age_ms: u64,
    /// The transfer id that a sender chose itself.
    pub label: Option<PublicId>,
}

/// From the side of a party to the actor of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Take a place.
    Attach(Attach),
    /// Give up a place; `ask` wants to hear in `Left` whether a sender was there.
    Leave {
        /// Whose place.
        seat: Seat,
        /// Answer with `Left`.
        ask: bool,
        /// Why it gives up; `None` if its client has left.
        why: Option<Failure>,
    },
    /// Give up a place without a word to anyone: the party takes one elsewhere.
    Withdraw {
        /// Whose place.
        seat: Seat,
    },
    /// The sender's side has started; the parties of `roll` are no longer waiting.
    Ready {
        /// Which match.
        transfer: TransferId,
        /// Everyone in it, the sender first.
        roll: Vec<Seat>,
        /// The length of the body, if it was declared.
        total: Option<u64>,
        /// The id that its sender chose.
        label: Option<PublicId>,
    },
    /// The sender's side tells of its running transfer again: to a new owner, and over a new link. What
    /// is known of it stays known; its parties are not waiting anywhere.
    Resume {
        /// Which transfer.
        transfer: TransferId,
        /// Everyone in it, the sender first.
        roll: Vec<Seat>,
        /// The length of the body, if it was declared.
        total: Option<u64>,
        /// The id that its sender chose.
        label: Option<PublicId>,
        /// Milliseconds since its commit.
        elapsed_ms: u64,
        /// Body bytes read so far.
        bytes: u64,
        /// Receivers still to get bytes.
        receivers: u16,
        /// The name is free already.
        released: bool,
    },
    /// How far a transfer has come: at most four times a second, only when it has come further.
    Progress {
        /// Which transfer.
        transfer: TransferId,
        /// Body bytes read so far.
        bytes: u64,
        /// Receivers still to get bytes.
        receivers: u16,
    },
    /// The sender's side gave the match up; everyone in it attaches again.
    Unready {
        /// Which match.
        transfer: TransferId,
    },
    /// The sender's body is complete or the transfer has failed: the name is free.
    Released {
        /// Which transfer.
        transfer: TransferId,
        /// Its sender, who hears `Freed`.
        sender: PartyId,
    },
    /// Nobody of this transfer is left.
    Ended {
        /// Which transfer.
        transfer: TransferId,
        /// Its sender, who hears `Freed`.
        sender: PartyId,
        /// How it went.
        outcome: Outcome,
    },
    /// End whatever is at this name.
    Cancel {
        /// Who wants to hear of it.
        asker: PartyId,
        /// The reason given, already checked.
        reason: Option<String>,
    },
    /// What is at this name, or became of one transfer of it.
    Status {
        /// Who wants to know.
        asker: PartyId,
        /// Of this transfer only.
        transfer: Option<PublicId>,
    },
    /// Tell this spectator what happens at the name. Said again, it begins anew.
    Watch {
        /// Who.
        watcher: PartyId,
    },
    /// The spectator has left.
    Unwatch {
        /// Who.
        watcher: PartyId,
    },
    /// Said by the node itself, never by a party: this link is lost, and with it who came over it.
    #[serde(skip)]
    Gone {
        /// Which link.
        link: ReplyTo,
    },
    /// Said by the node itself: this name lives elsewhere now. Who waits here is told to come anew, what
    /// runs is forgotten, since its sender's side tells of it there.
    #[serde(skip)]
    Evict,
    /// Said by the node itself: older parties may be on their way here. Whoever comes is taken down,
    /// and half a second later all are admitted, the oldest first.
    #[serde(skip)]
    Collect,
}

/// From the actor of a name to the side of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The party has its place; `k` receivers are there. A sender is told of each that comes or goes
    /// afterwards, until it is told this again.
    Parked {
        /// Who.
        seat: Seat,
        /// Receivers at the name, itself included.
        k: u16,
    },
    /// The party gets no place.
    Reject {
        /// Who.
        seat: Seat,
        /// Why.
        why: Reject,
    },
    /// A waiting party's wait is over.
    Fail {
        /// Who.
        seat: Seat,
        /// Why.
        why: Failure,
    },
    /// The actor that held this place is gone; attach again.
    Lost {
        /// Whose place.
        seat: Seat,
    },
    /// Start matching.
    Begin {
        /// Which match.
        transfer: TransferId,
        /// The one sender.
        sender: Seat,
        /// For the sender's side: all receivers. For a receiver's side: its own.
        receivers: Vec<Seat>,
        /// To whose side this is said.
        role: Role,
    },
    /// To the sender's side: a lane of this match will not come.
    Undo {
        /// Which match.
        transfer: TransferId,
        /// Its sender.
        sender: PartyId,
    },
    /// To the sender's side: end this match or transfer.
    Abort {
        /// Which one.
        transfer: TransferId,
        /// Its sender.
        sender: PartyId,
        /// Why.
        why: Failure,
    },
    /// Something the waiting sender is told.
    Tell {
        /// The sender.
        party: PartyId,
        /// What.
        notice: Notice,
    },
    /// The place is free again.
    Left {
        /// Whose place it was.
        seat: Seat,
        /// A sender is there.
        sender_there: bool,
    },
    /// The name is free of this transfer: the answer to `Released` and to `Ended`.
    Freed {
        /// Which transfer.
        transfer: TransferId,
        /// Its sender.
        sender: PartyId,
    },
    /// The outcome of a `Cancel`.
    Cancelled {
        /// Who asked.
        asker: PartyId,
        /// Somebody was there.
        found: bool,
    },
    /// What is at the name now. After one that is over a spectator hears nothing more. Said once over a
    /// link to all who see the same.
    Snapshot {
        /// Who asked or watches.
        watchers: Vec<PartyId>,
        /// What there is, shared by all who see it; `None` if there is no such transfer at this name.
        snapshot: Option<Arc<Snapshot>>,
    },
}
