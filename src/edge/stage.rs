//! Where a sender stands: what it holds in each stage, and what can be told of it. What moves it from
//! one to the next is in [`super::sending`].

use std::time::Instant;

use super::gather::Gather;
use super::offer::Offer;
use super::reporting::{Position, Transfer};
use super::wish::Body;
use crate::flow::Fanout;
use crate::pipe::{Call, Failure, Outcome, PublicId, TransferId};

/// A sender's stage.
pub(super) enum Stage<B: Body> {
    Waiting,
    Gathering(Box<Gather<Offer>>),
    /// Committed; the declaration is not known yet.
    Opening(Box<Transfer>, Vec<Offer>),
    Streaming(Box<Transfer>, Box<Fanout<B>>),
    Over,
}

impl<B: Body> Stage<B> {
    /// The match or transfer that it is in.
    pub(super) fn transfer(&self) -> Option<TransferId> {
        match self {
            Self::Gathering(gather) => Some(gather.transfer()),
            Self::Opening(transfer, _) | Self::Streaming(transfer, _) => Some(transfer.id),
            Self::Waiting | Self::Over => None,
        }
    }

    /// When it is to be told how far the transfer has come; `None` while that is known.
    pub(super) fn report_at(&self) -> Option<Instant> {
        match self {
            Self::Opening(transfer, lanes) => transfer.report_at(Position::before_bytes(lanes)),
            Self::Streaming(transfer, fanout) => transfer.report_of_at(fanout),
            Self::Waiting | Self::Gathering(_) | Self::Over => None,
        }
    }

    /// Counts for the operators what is new, and says what the owner is told of it, if anything.
    pub(super) fn report(&mut self) -> Option<Call> {
        let here = self.position()?;
        match self {
            Self::Opening(transfer, _) | Self::Streaming(transfer, _) => transfer.report(here),
            Self::Waiting | Self::Gathering(_) | Self::Over => None,
        }
    }

    /// What an owner is told of a transfer that has started.
    pub(super) fn ready(&self, total: Option<u64>, label: Option<PublicId>) -> Option<Call> {
        Some(self.begun()?.ready(total, label))
    }

    /// What an owner is told of a running transfer that it may not know.
    pub(super) fn resume(
        &self,
        total: Option<u64>,
        label: Option<PublicId>,
        released: bool,
    ) -> Option<Call> {
        Some(self.begun()?.resume(total, label, self.position()?, released))
    }

    fn begun(&self) -> Option<&Transfer> {
        match self {
            Self::Opening(transfer, _) | Self::Streaming(transfer, _) => Some(transfer),
            Self::Waiting | Self::Gathering(_) | Self::Over => None,
        }
    }

    /// How far its transfer has come, if there is one.
    fn position(&self) -> Option<Position> {
        match self {
            Self::Opening(_, lanes) => Some(Position::before_bytes(lanes)),
            Self::Streaming(_, fanout) => Some(Position::of(fanout)),
            Self::Waiting | Self::Gathering(_) | Self::Over => None,
        }
    }

    /// How the transfer ends now, if there is one. To be asked once: the digest is given away.
    pub(super) fn outcome(&mut self, result: Result<(), Failure>) -> Option<(TransferId, Outcome)> {
        let (transfer, fanout) = match self {
            Self::Opening(transfer, _) => (transfer, None),
            Self::Streaming(transfer, fanout) => (transfer, Some(&mut **fanout)),
            Self::Waiting | Self::Gathering(_) | Self::Over => return None,
        };
        Some((transfer.id, transfer.outcome(fanout, result)))
    }
}
