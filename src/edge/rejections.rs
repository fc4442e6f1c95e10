//! Which endings count as rejections, for operators. Knows no texts and no statuses.

use super::Received;
use crate::meter::{self, Rejection};
use crate::pipe::{Failure, Reject};

/// The end of a receiver's request, said once.
pub(super) fn received(end: &Received) {
    match end {
        Received::Refused(why) => refused(why),
        Received::Failed(why) => failed(why),
        Received::NoLane => meter::rejected(Rejection::NoFds),
        Received::Whole | Received::Cut => {}
    }
}

/// A party was refused by the owner of its name.
pub(super) fn refused(why: &Reject) {
    match why {
        Reject::PendingCap => meter::rejected(Rejection::PendingCap),
        Reject::SpectatorCap => meter::rejected(Rejection::SpectatorCap),
        // The client's own doing, not a limit.
        Reject::Active
        | Reject::SenderTaken
        | Reject::SlotsFull { .. }
        | Reject::Mismatch { .. }
        | Reject::TransferTaken => {}
    }
}

/// The wait or the transfer of a party has failed.
pub(super) fn failed(why: &Failure) {
    let why = match why {
        Failure::SenderTimedOut | Failure::ReceiverTimedOut { .. } => Rejection::WaitTimeout,
        Failure::Idle => Rejection::IdleTimeout,
        Failure::Capacity => Rejection::ActiveCap,
        Failure::ShuttingDown => Rejection::Draining,
        Failure::Unavailable => Rejection::Unavailable,
        Failure::SenderLost
        | Failure::ReceiversGone
        | Failure::TooShort { .. }
        | Failure::TooLong { .. }
        | Failure::Multipart(_)
        | Failure::Cancelled(_)
        | Failure::Internal => return,
    };
    meter::rejected(why);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(of: impl FnOnce()) -> Option<String> {
        let text = meter::counted(of);
        let line = text.lines().find(|line| !line.starts_with('#'))?;
        assert!(line.ends_with("} 1"), "{text}");
        line.split('"').nth(1).map(str::to_owned)
    }

    #[test]
    fn limits_of_the_node_are_rejections() {
        for (why, want) in [
            (Failure::SenderTimedOut, "wait_timeout"),
            (Failure::ReceiverTimedOut { sender_there: true }, "wait_timeout"),
            (Failure::Idle, "idle_timeout"),
            (Failure::Capacity, "active_cap"),
            (Failure::ShuttingDown, "draining"),
            (Failure::Unavailable, "unavailable"),
        ] {
            assert_eq!(reason(|| failed(&why)).as_deref(), Some(want), "{why:?}");
            let end = Received::Failed(why);
            assert_eq!(reason(|| received(&end)).as_deref(), Some(want), "{end:?}");
        }
        assert_eq!(reason(|| received(&Received::NoLane)).as_deref(), Some("no_fds"));
        assert_eq!(reason(|| refused(&Reject::PendingCap)).as_deref(), Some("pending_cap"));
        assert_eq!(reason(|| refused(&Reject::SpectatorCap)).as_deref(), Some("spectator_cap"));
    }

    #[test]
    fn what_clients_do_to_each_other_is_none() {
        assert_eq!(reason(|| refused(&Reject::Active)), None);
        for why in [Failure::SenderLost, Failure::Cancelled(None), Failure::Internal] {
            assert_eq!(reason(|| failed(&why)), None, "{why:?}");
        }
        for end in [Received::Whole, Received::Cut] {
            assert_eq!(reason(|| received(&end)), None, "{end:?}");
        }
    }
}
