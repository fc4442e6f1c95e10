//! How much is in use of what the caps of the node limit, counted over all names. Knows no name and
//! decides nothing: who asks for more than there is, is told so elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The caps of spec §20 that hold at the owner of a name.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Names in `waiting`.
    pub pending: usize,
    /// Transfers from commit until the last receiver is done.
    pub active: usize,
    /// Receipts that are kept for ten minutes.
    pub receipts: usize,
    /// Spectators of one name.
    pub spectators_per_pipe: usize,
    /// Spectators of all names.
    pub spectators: usize,
}

/// How much of what [`Caps`] limit is in use now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Names in `waiting`.
    pub waiting: usize,
    /// Transfers from commit until the last receiver is done.
    pub active: usize,
    /// Spectators.
    pub spectators: usize,
}

/// What one name has of the node's load.
pub(super) type Share = Load;

/// The load of all names together.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) waiting: Gauge,
    pub(super) active: Gauge,
    pub(super) spectators: Gauge,
}

impl Gauges {
    /// What is in use now.
    pub(super) fn load(&self) -> Load {
        let Self { waiting, active, spectators } = self;
        Load { waiting: waiting.get(), active: active.get(), spectators: spectators.get() }
    }

    /// Moves a name's share from what it `had` to what it `has`.
    pub(super) fn settle(&self, had: &Share, has: &Share) {
        self.waiting.settle(had.waiting, has.waiting);
        self.active.settle(had.active, has.active);
        self.spectators.settle(had.spectators, has.spectators);
    }
}

/// A number that several actors raise and lower.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Gauge {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one if that keeps the number at or below `cap`.
    pub(super) fn add_below(&self, cap: usize) -> bool {
        let add = |now: usize| (now < cap).then_some(now + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add).is_ok()
    }

    /// Moves an actor's share from `had` to `has`.
    fn settle(&self, had: usize, has: usize) {
        if has > had {
            self.0.fetch_add(has - had, Ordering::AcqRel);
        } else if had > has {
            self.0.fetch_sub(had - has, Ordering::AcqRel);
        }
    }
}
