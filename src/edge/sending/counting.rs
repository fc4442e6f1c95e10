//! How many receivers a waiting sender's client has been told of, which is as many as are there.

use super::Sending;
use crate::edge::wish::{Body, SendEvent};
use crate::pipe::Notice;

impl<B: Body> Sending<B> {
    /// It has its first place, among so many receivers.
    pub(super) fn admitted(&mut self, k: u16) {
        self.there = k;
        self.fresh = k == self.wish.n;
        self.events.push_back(SendEvent::Admitted);
        self.say(Notice::Waiting { n: self.wish.n });
        if k > 0 {
            self.say(Notice::AlreadyConnected { k });
        }
    }

    /// It has a place again, or others have theirs again: its client hears of the difference.
    pub(super) fn counted(&mut self, k: u16) {
        (k..self.there).for_each(|_| self.say(Notice::Disconnected));
        (self.there..k).for_each(|_| self.say(Notice::Connected));
        self.there = k;
    }

    /// A notice of the owner, while waiting.
    pub(super) fn told(&mut self, notice: Notice) {
        match notice {
            Notice::Connected => self.there += 1,
            Notice::Disconnected => self.there = self.there.saturating_sub(1),
            _ => {}
        }
        self.say(notice);
    }
}
