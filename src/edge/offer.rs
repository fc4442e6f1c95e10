//! A lane on its way to the sender's side, with everything needed to open it there: of one receiver,
//! or of all those of another node.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::gather::Claim;
use crate::flow::{Framing, Lane, Way};
use crate::pipe::{Failure, Head};

/// One lane. Dropping it before the start says "undone" to who is behind it.
pub struct Offer {
    /// For which match, and for whom.
    pub claim: Claim,
    /// The way out.
    pub lane: Lane,
    /// What is asked for behind it.
    pub wants: Wants,
    /// Called at the commit; taken then.
    pub start: Option<Starter>,
    /// Makes the first bytes its client sees.
    pub open: Opener,
}

/// What a receiver's front makes for one match.
pub struct Outfit {
    /// The way to the client.
    pub way: Way,
    /// Hears of the commit.
    pub start: Starter,
    /// Makes the first bytes.
    pub open: Opener,
}

/// What a receiver asked for that the sender's side has to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    /// Its own stall limit, if it gave one.
    pub stall: Option<Duration>,
    /// Hash the bytes.
    pub sha256: bool,
}

/// What a lane opens with.
#[derive(Debug, Clone, Copy)]
pub enum Opening<'a> {
    /// The stream, with what the sender declared and the id it is known by.
    Stream {
        /// The sender's declaration.
        head: &'a Head,
        /// The public transfer id.
        id: &'a str,
        /// How long its sender lets a receiver take nothing, if it said so.
        stall: Option<Duration>,
    },
    /// A failure before any byte: the lane carries a whole error reply instead.
    Failed(&'a Failure),
}

/// Turns an opening into the first bytes on the wire and the framing of what follows. Called once, on
/// the sender's thread, when the lane starts.
pub type Opener = Box<dyn FnOnce(Opening<'_>) -> (Bytes, Framing) + Send>;

/// Hears that the match has become a transfer. Called at most once, on the sender's thread; the first
/// bytes may follow much later.
pub type Starter = Box<dyn FnOnce() + Send>;

impl Offer {
    /// The match has become a transfer.
    pub(super) fn start(&mut self) {
        if let Some(start) = self.start.take() {
            start();
        }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("transfer", &self.claim.transfer).finish_non_exhaustive()
    }
}
