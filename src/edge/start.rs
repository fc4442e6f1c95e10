//! The moment of the start: every receiver gets its first bytes, or the reason why none will come.

use std::time::Duration;

use super::offer::{Offer, Opening};
use crate::flow::{Framing, Lane};
use crate::pipe::{Failure, Head};

/// How long a receiver may take to accept an error reply that its lane carries. Best effort: the
/// connection ends either way.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// Opens all lanes at once. A receiver is cut after the sender's `stall`, else its own, else the
/// node's. Returns the lanes, and how many could not be opened.
pub(super) fn open(
    offers: Vec<Offer>,
    head: &Head,
    id: &str,
    (sender, node): (Option<Duration>, Option<Duration>),
) -> (Vec<Lane>, usize) {
    let all = offers.len();
    let mut lanes = Vec::with_capacity(all);
    for Offer { mut lane, wants, open, .. } in offers {
        let (preface, framing) = open(Opening::Stream { head, id });
        if lane.start(preface, framing, sender.or(wants.stall).or(node)).is_ok() {
            lanes.push(lane);
        }
    }
    let lost = all - lanes.len();
    (lanes, lost)
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
