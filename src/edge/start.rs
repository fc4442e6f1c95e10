//! The moment of the start: every receiver gets its first bytes, or the reason why none will come.

use std::time::Duration;

use super::offer::{Offer, Opening};
use crate::flow::{Framing, Lane};
use crate::pipe::{Failure, Head};

/// How long a receiver may take to accept an error reply that its lane carries. Best effort: the
/// connection ends either way.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// Opens all lanes at once. A receiver is cut after the sender's `stall`, else its own, else the
/// node's. A lane of several has no limit: their own side
/// enforces it. Returns the lanes, and how many receivers are behind those that could not be opened.
pub(super) fn open(
    offers: Vec<Offer>,
    head: &Head,
    id: &str,
    (sender, node): (Option<Duration>, Option<Duration>),
) -> (Vec<Lane>, u16) {
    let (mut lanes, mut lost) = (Vec::with_capacity(offers.len()), 0);
    for Offer { mut lane, wants, open, .. } in offers {
        let (preface, framing) = open(Opening::Stream { head, id, stall: sender });
        let stall = sender.or(wants.stall).or(node).filter(|_| !lane.is_crowd());
        match lane.start(preface, framing, stall) {
            Ok(()) => lanes.push(lane),
            Err(_) => lost += lane.receivers(),
        }
    }
    (lanes, lost)
}

/// Drops the lanes that nobody is behind any more. Returns how many receivers were lost.
pub(super) fn drop_gone(offers: &mut Vec<Offer>) -> u16 {
    let mut lost = 0;
    offers.retain_mut(|Offer { lane, .. }| {
        while lane.next_loss().is_some() {
            lost += 1;
        }
        lane.receivers() > 0
    });
    lost
}

/// Tells receivers that have seen nothing yet why nothing will come.
pub(super) fn turn_away(offers: Vec<Offer>, why: &Failure) {
    for Offer { mut lane, open, .. } in offers {
        let (reply, _) = open(Opening::Failed(why));
        if lane.start(reply, Framing::Plain, None).is_ok() {
            tokio::task::spawn_local(tokio::time::timeout(REPLY_MAX, lane.carry_reply()));
        }
    }
}
