//! What lies between one party and one owner: a link, or none, and what is under way. Each party has a
//! node of its own.

use std::collections::VecDeque;

use crate::pipe::{Answer, Call, Seat};

/// The way to one owner, and back.
#[derive(Debug, Default)]
pub(super) struct Road {
    /// The newest link, while the party's side believes in it.
    link: Option<u64>,
    /// It is broken, which the party's side has not noticed.
    broken: bool,
    /// Each with its link. Nothing of a link arrives behind its end.
    up: VecDeque<(u64, Item)>,
    down: VecDeque<(u64, Post)>,
}

/// What comes to an owner.
#[derive(Debug)]
pub(super) enum Item {
    /// A call, and the view of who says it.
    Call(u64, Call),
    /// The link is lost.
    Gone,
}

/// What comes to a party.
#[derive(Debug)]
pub(super) enum Post {
    Answer(Answer),
    Moved(Seat, u64),
    /// The link stands, or is lost.
    Up,
    Down,
}

impl Road {
    /// A call leaves, over which link.
    pub(super) fn ask(&mut self, epoch: u64, call: Call) -> Option<u64> {
        let link = self.link?;
        if !self.broken {
            self.up.push_back((link, Item::Call(epoch, call)));
        }
        Some(link)
    }

    /// Something is said over this link, if it is here and stands.
    pub(super) fn say(&mut self, link: u64, post: Post) {
        if self.link == Some(link) && !self.broken {
            self.down.push_back((link, post));
        }
    }

    /// The next thing reaches the owner, who knows views up to that one. What is ahead of it is held
    /// unless it is late.
    pub(super) fn take_up(&mut self, known: u64, late: bool) -> Option<(u64, Item)> {
        let ahead = matches!(self.up.front()?, (_, Item::Call(epoch, _)) if *epoch > known);
        if ahead && !late { None } else { self.up.pop_front() }
    }

    /// The next thing reaches the party.
    pub(super) fn take_down(&mut self) -> Option<(u64, Post)> {
        self.down.pop_front()
    }

    /// The link breaks; what is under way still arrives, or is lost.
    pub(super) fn break_off(&mut self, late: bool) {
        let Some(lost) = self.link.filter(|_| !self.broken) else { return };
        self.broken = true;
        if !late {
            self.up.retain(|(link, _)| *link != lost);
            self.down.retain(|(link, post)| *link != lost || matches!(post, Post::Up));
        }
        self.up.push_back((lost, Item::Gone));
    }

    /// The party's side notices it. True if there was something to notice.
    pub(super) fn notice(&mut self) -> bool {
        if std::mem::take(&mut self.broken) {
            let lost = self.link.take();
            self.down.extend(lost.map(|link| (link, Post::Down)));
            return true;
        }
        false
    }

    /// A new link stands, if none did.
    pub(super) fn make(&mut self, link: u64) -> bool {
        let new = self.link.is_none();
        if new {
            self.link = Some(link);
            self.down.push_back((link, Post::Up));
        }
        new
    }
}
