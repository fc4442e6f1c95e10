//! Which owner somebody of this node turns to: what the newest view says, what a `Moved` said, and
//! whom it has turned to over which link. Pure; knows nothing of places and matches.

/// What one party or spectator knows of the owners of its name. Owners and links are plain numbers.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The newest view it has heard of; 0: none.
    epoch: u64,
    /// Who owns the name in that view.
    owner: Option<u64>,
    /// It was told to come again with this view or a newer one.
    wanted: u64,
    at: Option<At>,
}

/// Whom it has turned to.
#[derive(Debug, Clone, Copy)]
struct At {
    owner: u64,
    /// Over which link; `None` until it is known to have gone out.
    link: Option<u64>,
}

impl Course {
    /// A view. False if it is not newer than what is known.
    pub(super) fn learn(&mut self, epoch: u64, owner: Option<u64>) -> bool {
        let newer = epoch > self.epoch;
        if newer {
            (self.epoch, self.owner) = (epoch, owner);
        }
        newer
    }

    /// An owner said that the name lives elsewhere as of this view.
    pub(super) fn wait_for(&mut self, epoch: u64) {
        self.wanted = epoch;
    }

    /// The view by which it goes.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The owner in the newest view.
    pub(super) fn owner(&self) -> Option<u64> {
        self.owner
    }

    /// The owner to turn to now; `None` while none is known, or the view waited for has not come.
    pub(super) fn goal(&self) -> Option<u64> {
        self.owner.filter(|_| self.epoch >= self.wanted)
    }

    /// It turns to this owner. Says whom it turned to before, if that was another.
    pub(super) fn turn(&mut self, owner: u64) -> Option<u64> {
        let before = self.at.replace(At { owner, link: None }).map(|at| at.owner);
        before.filter(|&before| before != owner)
    }

    /// What it said has gone out over this link, or could not.
    pub(super) fn sent(&mut self, link: Option<u64>) {
        self.at.iter_mut().for_each(|at| at.link = link);
    }

    /// Whom it has turned to last.
    pub(super) fn at(&self) -> Option<u64> {
        self.at.map(|at| at.owner)
    }

    /// Is the link over which it has turned to its owner lost, if this one is? Older ones are lost too.
    pub(super) fn is_lost(&self, owner: u64, link: u64) -> bool {
        self.at.is_some_and(|at| at.owner == owner && at.link.is_some_and(|mine| mine <= link))
    }

    /// Has a newer link taken the place of the one over which it has turned to its owner?
    pub(super) fn is_replaced(&self, owner: u64, link: u64) -> bool {
        self.at.is_some_and(|at| at.owner == owner && at.link.is_some_and(|mine| mine < link))
    }
}
