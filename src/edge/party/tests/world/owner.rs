//! One owner: its machine, the view that it knows, and a node with room for everything, which holds ids
//! and remembers that something is over.

use std::collections::HashSet;

use crate::pipe::progress::Past;
use crate::pipe::rendezvous::{Output, Rendezvous, Room};
use crate::pipe::{Call, PublicId, ReplyTo, Snapshot, TransferId};

use super::SPECTATORS;

/// One owner.
pub(in super::super) struct Owner {
    pub(in super::super) machine: Rendezvous,
    /// What the node remembers.
    pub(in super::super) node: Node,
    /// The newest view that it knows.
    pub(super) epoch: usize,
    /// The name has come to it a moment ago.
    pub(super) fresh: bool,
}

/// See the top of this file.
pub(in super::super) struct Node {
    /// The matches of each owner have ids of their own.
    minted: u128,
    /// Ids of what waits or runs.
    pub(in super::super) living: HashSet<PublicId>,
    /// What the name shows.
    shown: Option<Snapshot>,
}

impl Owner {
    pub(super) fn new(number: u128) -> Self {
        let node = Node { minted: number << 64, living: HashSet::new(), shown: None };
        Self { machine: Rendezvous::default(), node, epoch: 1, fresh: false }
    }

    pub(super) fn step(&mut self, now: u64, from: ReplyTo, call: Call) -> Vec<Output> {
        let outputs = self.machine.step(now, from, call, &mut self.node);
        self.machine.check();
        outputs
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: u64) -> Vec<Output> {
        if self.machine.wakes().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let outputs = self.machine.wake(now, &mut self.node);
        self.machine.check();
        outputs
    }

    /// The machine is lost, and there is a fresh one.
    pub(super) fn defect(&mut self, now: u64) -> Vec<Output> {
        let machine = std::mem::take(&mut self.machine);
        machine.ruins(now).into_iter().for_each(|past| self.node.shelve(past));
        machine.wreck()
    }

    /// Nothing is here.
    pub(in super::super) fn check_empty(&self) {
        assert!(self.machine.is_idle(), "{:?}", self.machine);
        assert!(self.node.living.is_empty(), "ids are left");
    }
}

impl Room for Node {
    fn wait(&mut self) -> bool {
        true
    }

    fn start(&mut self) -> bool {
        true
    }

    fn watch(&mut self, there: usize) -> bool {
        assert!(there < SPECTATORS);
        true
    }

    fn expects(&mut self) -> bool {
        false
    }

    fn mint(&mut self) -> TransferId {
        self.minted += 1;
        TransferId::from_u128(self.minted)
    }

    fn take(&mut self, id: &PublicId, again: bool) -> bool {
        self.living.insert(id.clone()) || again
    }

    fn give_back(&mut self, id: &PublicId) {
        self.living.remove(id);
    }

    fn shelve(&mut self, past: Past) {
        assert!(past.last.is_over() && (past.named || past.kept || past.last.id.is_some()));
        if let Some(id) = &past.last.id {
            assert!(self.living.remove(id), "{id:?} is over twice");
        }
        if past.named {
            self.shown = Some(past.last);
        }
    }

    fn forget(&mut self) {
        self.shown = None;
    }

    fn recall(&mut self, _: Option<&PublicId>) -> Option<Snapshot> {
        self.shown.clone()
    }
}
