//! How long a sender's side keeps an end to itself: until all other nodes that know of the transfer as
//! owners of its name have said that the name is free (spec §8). Each of them may be the owner in the
//! view that comes next. Decides nothing but when that wait is over.

use std::time::{Duration, Instant};

use super::inbox::Post;
use crate::pipe::{Answer, Failure, Outcome, TransferId};

/// An owner that does not answer holds nobody up for longer than this.
const FREED_MAX: Duration = Duration::from_secs(1);

/// An end that waits to be shown.
#[derive(Debug)]
pub struct Parting {
    /// Who still has to say it.
    owners: Vec<u64>,
    transfer: TransferId,
    until: Instant,
    /// What is shown then.
    pub end: End,
}

/// What neither side may see before the name is free.
#[derive(Debug)]
pub enum End {
    /// The last bytes, and the end marker.
    Body,
    /// The last line.
    Complete(Outcome),
    /// The cut, and the line that says why.
    Failed(Failure),
}

impl Parting {
    /// Waits from now on for these owners.
    pub fn new(now: Instant, owners: Vec<u64>, transfer: TransferId, end: End) -> Self {
        Self { owners, transfer, until: now + FREED_MAX, end }
    }

    /// When it is over at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Nothing but what has flowed already may flow until it is over.
    pub fn is_final(&self) -> bool {
        !matches!(self.end, End::Body)
    }

    /// Does this end the wait? The last word that is missing does, or that it cannot come any more.
    pub fn is_ended_by(&mut self, post: &Post) -> bool {
        let said = match post {
            Post::Answer(from, Answer::Freed { transfer, .. }) if *transfer == self.transfer => {
                from
            }
            Post::LinkDown { owner, .. } => owner,
            _ => return false,
        };
        self.owners.retain(|owner| owner != said);
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PartyId;

    const X: TransferId = TransferId::from_u128(1);
    const SENDER: PartyId = PartyId { origin: 1, boot: 1, seq: 1 };

    fn freed(owner: u64, transfer: TransferId) -> Post {
        Post::Answer(owner, Answer::Freed { transfer, sender: SENDER })
    }

    #[test]
    fn only_its_owners_words_on_its_transfer_or_lost_links_end_the_wait() {
        let now = Instant::now();
        let mut parting = Parting::new(now, vec![5, 6, 7], X, End::Body);
        let down = |owner| Post::LinkDown { owner, link: 1, silent: now };
        for (post, ends) in [
            (freed(5, X), false),
            (freed(5, X), false),
            (freed(8, X), false),
            (freed(7, TransferId::from_u128(2)), false),
            (down(6), false),
            (down(8), false),
            (Post::View, false),
            (freed(7, X), true),
        ] {
            assert_eq!(parting.is_ended_by(&post), ends, "{post:?}");
        }
        assert_eq!(parting.until(), now + Duration::from_secs(1));
    }

    #[test]
    fn bytes_flow_on_while_only_the_end_of_the_body_waits() {
        let is_final = |end| Parting::new(Instant::now(), vec![7], X, end).is_final();
        assert!(!is_final(End::Body) && is_final(End::Failed(Failure::Idle)));
    }
}
