//! How many descriptors this process has open, and for whom there is still room. A node that runs out
//! of them can accept nobody, not even to say so; hence everything that opens one counts it here.
//! Knows no sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hoody_pipe_cluster::Cluster;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::flow::Pipes;

/// Descriptors that nobody counts: listeners, reactors, standard streams, the membership's file.
const OWN: usize = 32;

/// Those that the membership opens to each other member: one link, and a few connections of Raft.
const PER_MEMBER: usize = 4;

/// Above so many percent of all descriptors the node says that it is not ready (spec §20).
const CROWDED_PERCENT: usize = 90;

/// Above so many percent new connections are turned away (spec §20).
const FULL_PERCENT: usize = 95;

/// Above so many percent no trunk begins. A match of those who wait already may use more than a
/// newcomer; what is left beyond is for accepting those who are turned away.
const TRUNK_PERCENT: usize = 98;

/// One in so many descriptors may be an end of a pipe through which bytes flow; more transfers are
/// copied. Four serve a transfer of any size, so this leaves clients their room.
const PIPES_SHARE: usize = 16;

/// The descriptors of this process. A cheap handle.
#[derive(Debug, Clone)]
pub struct Descriptors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Sockets and duplicates of sockets.
    open: AtomicUsize,
    limit: usize,
    pipes: Option<Pipes>,
    /// The more members it has, the more is open for them.
    cluster: Cluster,
}

impl Descriptors {
    /// Raises the soft limit of descriptors to the hard one (spec §20).
    pub fn new(cluster: Cluster) -> Self {
        let limit = raise_limit().unwrap_or(1024);
        let pipes = Pipes::new(limit / PIPES_SHARE);
        Self(Arc::new(Inner { open: AtomicUsize::new(0), limit, pipes, cluster }))
    }

    /// Counts so many descriptors, whether or not there is room for them; the second part is false
    /// above 95 % of all there are: a newcomer is to be turned away.
    pub fn open(&self, count: usize) -> (Descriptor, bool) {
        let before = self.0.open.fetch_add(count, Ordering::AcqRel) + self.in_pipes();
        (Descriptor { all: self.clone(), count }, before < self.usable(FULL_PERCENT))
    }

    /// Counts so many descriptors of a trunk; `None`: there is no room for it.
    pub fn open_trunk(&self, count: usize) -> Option<Descriptor> {
        let descriptor = self.open(count).0;
        (self.count() <= self.usable(TRUNK_PERCENT)).then_some(descriptor)
    }

    /// Are more than 90 % of all descriptors in use? Load balancers should look elsewhere.
    pub fn is_crowded(&self) -> bool {
        self.count() > self.usable(CROWDED_PERCENT)
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.open.load(Ordering::Acquire) + self.in_pipes()
    }

    fn in_pipes(&self) -> usize {
        self.0.pipes.as_ref().map_or(0, Pipes::descriptors)
    }

    /// All that this process may open.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The pipes of this node, which count as well.
    pub fn pipes(&self) -> Option<&Pipes> {
        self.0.pipes.as_ref()
    }

    /// That many percent of all, without those that nobody counts.
    fn usable(&self, percent: usize) -> usize {
        let others = self.0.cluster.view().members().len().saturating_sub(1);
        let own = OWN + PER_MEMBER * others;
        (self.0.limit.saturating_mul(percent) / 100).saturating_sub(own).max(1)
    }
}

/// So many descriptors, for as long as they are open.
#[derive(Debug)]
pub struct Descriptor {
    all: Descriptors,
    count: usize,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.all.0.open.fetch_sub(self.count, Ordering::AcqRel);
    }
}

/// Sets the soft limit to the hard one and returns it.
fn raise_limit() -> Option<usize> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    let got = setrlimit(Resource::Nofile, raised).map_or(now.current, |()| raised.current);
    // Without any limit, the kernel's own (fs.nr_open) is far away.
    got.map_or(Some(1 << 20), |limit| usize::try_from(limit).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_crowd_shows_before_newcomers_are_turned_away_and_trunks_after_them() {
        let all = Descriptors::new(Cluster::alone("a", 1).unwrap());
        let [crowded, full, most] =
            [CROWDED_PERCENT, FULL_PERCENT, TRUNK_PERCENT].map(|percent| all.usable(percent));
        assert!(crowded < full && full < most);
        let (first, room) = all.open(crowded);
        assert!(room && !all.is_crowded());
        let (second, room) = all.open(full - crowded);
        assert!(room && all.is_crowded());
        assert!(!all.open(1).1);
        let third = all.open_trunk(most - full).unwrap();
        assert!(all.open_trunk(1).is_none());
        drop(third);
        assert!(all.open_trunk(1).is_some(), "what is closed is free again");
        drop((first, second));
        assert!(!all.is_crowded() && all.count() == 0);
    }
}
