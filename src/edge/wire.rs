//! What edges and owners say to each other. The whole protocol, in the order of a transfer's life:
//!
//! * An edge attaches its party to the owner of the name ([`Call::Attach`]); the owner parks or
//!   refuses it. Attempts grow with each attach; what is said about an older one is ignored.
//! * One sender and `n` receivers parked: the owner says [`Answer::Begin`] to all their edges. Each
//!   party is pinned now: only the sender's side lets it go.
//! * Each receiver's edge offers a lane to the sender's edge, which is the only place that commits:
//!   it starts when all `n` lanes are there, all at once, and says [`Call::Ready`]. It gives up
//!   ([`Call::Unready`], all lanes closed) after 2 s, on [`Answer::Undo`], or as soon as a lane
//!   closes. Nothing before the start is visible to any client.
//! * A party whose match was undone attaches again. One whose owner is lost ([`Answer::Lost`]), or
//!   whose name lives elsewhere ([`Down::Moved`], or a newer view), too: there it gives up its place
//!   without a word ([`Call::Withdraw`]).
//! * A running transfer is told of again ([`Call::Resume`]) after each new view and on each new link.
//! * [`Call::Progress`] while bytes move: the owner knows of a transfer only what it is told.
//! * [`Call::Released`] frees the name before anyone sees the end; [`Call::Ended`] closes the book. Both
//!   go to every owner that was ever told of the transfer, and are answered with [`Answer::Freed`].
//! * [`Call::Status`] and [`Call::Watch`] are answered with an [`Answer::Snapshot`], once, or after each
//!   change until one that is over.
//!
//! Why nobody is parked apart for ever, and nothing starts twice: safety rests on the single commit
//! at the sender's edge and on attempts, not on clocks.

use serde::{Deserialize, Serialize};

use crate::pipe::{Answer, Call, PartyId, PipePath, Role, Seat};

/// What an edge sends to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rising {
    /// What is said to the owner of a name.
    Call(Up),
    /// The edge knows this view, and tells its parties: said of each new one, and at first on each link.
    /// So the other node knows from when on nobody can be on the way to it by an older one.
    Knows {
        /// The view, by its epoch.
        epoch: u64,
    },
}

/// From an edge to the owner of a name. In order per caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// The newest view that the edge knows, by its epoch.
    pub epoch: u64,
    /// Which name.
    pub path: PipePath,
    /// What is asked.
    pub call: Call,
}

/// From an owner to the edge of a party. In order per name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// What is said at the name.
    Answer(Answer),
    /// The name lives elsewhere, as of the view with this epoch. `attempt` 0: who asks or watches.
    Moved {
        /// Who asked.
        seat: Seat,
        /// The view that says so.
        epoch: u64,
    },
}

/// Hands an answer to the party it is for. What is for several is handed to each, as if it were for that
/// one alone.
pub fn address(answer: Answer, mut put: impl FnMut(PartyId, Answer)) {
    let party = match answer {
        Answer::Begin { transfer, sender, receivers, role: role @ Role::Receiver } => {
            for seat in receivers {
                let receivers = vec![seat];
                put(seat.party, Answer::Begin { transfer, sender, receivers, role });
            }
            return;
        }
        Answer::Snapshot { watchers, snapshot } => {
            for watcher in watchers {
                let (watchers, snapshot) = (vec![watcher], snapshot.clone());
                put(watcher, Answer::Snapshot { watchers, snapshot });
            }
            return;
        }
        Answer::Begin { sender, .. } => sender.party,
        Answer::Parked { seat, .. }
        | Answer::Reject { seat, .. }
        | Answer::Fail { seat, .. }
        | Answer::Lost { seat }
        | Answer::Left { seat, .. } => seat.party,
        Answer::Freed { sender, .. }
        | Answer::Undo { sender, .. }
        | Answer::Abort { sender, .. } => sender,
        Answer::Tell { party, .. } => party,
        Answer::Cancelled { asker, .. } => asker,
    };
    put(party, answer);
}

#[cfg(test)]
mod tests;
