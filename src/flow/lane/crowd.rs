//! The receivers behind one lane, as their own side tells of them. Knows neither who they are nor how
//! the news came.

use std::collections::VecDeque;
use std::time::Duration;

/// What the far side of a lane says of the receivers behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// One of them is gone.
    Lost(Loss),
    /// Everybody who is left, so many of them, has everything with its end.
    Whole(u16),
}

/// How a lane lost a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Its client has left, or its connection failed.
    Left,
    /// It took nothing for this long while bytes waited for it, and was cut.
    Stalled(Duration),
}

/// What was reported and is not yet known to the fan-out.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Receivers of which nothing has been reported.
    left: u16,
    losses: VecDeque<Loss>,
    whole: Option<u16>,
}

impl Crowd {
    pub(super) fn new(receivers: u16) -> Self {
        Self { left: receivers, losses: VecDeque::new(), whole: None }
    }

    /// Takes a report down; false if it cannot be true.
    pub(super) fn report(&mut self, report: Report) -> bool {
        match report {
            _ if self.whole.is_some() => return false,
            Report::Lost(_) if self.left == 0 => return false,
            Report::Lost(loss) => {
                self.left -= 1;
                self.losses.push_back(loss);
            }
            Report::Whole(count) if count == 0 || count != self.left => return false,
            Report::Whole(count) => self.whole = Some(count),
        }
        true
    }

    /// The next loss that is not known yet.
    pub(super) fn next_loss(&mut self) -> Option<Loss> {
        self.losses.pop_front()
    }

    /// All are accounted for, and somebody has everything.
    pub(super) fn is_settled(&self) -> bool {
        self.whole.is_some() && self.losses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_is_lost_once_or_whole() {
        let mut crowd = Crowd::new(3);
        assert!(!crowd.report(Report::Whole(2)), "one is missing");
        let stalled = Loss::Stalled(Duration::from_secs(1));
        assert!(crowd.report(Report::Lost(stalled)) && crowd.report(Report::Lost(Loss::Left)));
        assert!(crowd.report(Report::Whole(1)) && !crowd.is_settled(), "two are not known yet");
        assert_eq!([crowd.next_loss(), crowd.next_loss()], [Some(stalled), Some(Loss::Left)]);
        assert!(crowd.next_loss().is_none() && crowd.is_settled());
        assert!(!crowd.report(Report::Lost(Loss::Left)) && !crowd.report(Report::Whole(1)));
    }

    #[test]
    fn nobody_is_not_whole() {
        let mut crowd = Crowd::new(1);
        assert!(crowd.report(Report::Lost(Loss::Left)));
        assert!(!crowd.report(Report::Lost(Loss::Left)) && !crowd.report(Report::Whole(0)));
    }
}
