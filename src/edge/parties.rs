//! The inboxes of all parties and spectators of this node: who is here, and whom something concerns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inbox::{Inbox, Post};
use super::wire::{Down, address};
use crate::pipe::{Answer, PartyId};

/// Locks of the map, well above the number of threads that share it.
const SHARDS: usize = 64;

/// The inboxes, by the last part of the party's id.
pub(super) struct Parties([Mutex<HashMap<u64, Arc<Inbox>>>; SHARDS]);

impl Parties {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| lock(shard).len()).sum()
    }

    /// One more.
    pub(super) fn add(&self, seq: u64, inbox: Arc<Inbox>) {
        lock(self.shard(seq)).insert(seq, inbox);
    }

    /// One less.
    pub(super) fn remove(&self, seq: u64) {
        lock(self.shard(seq)).remove(&seq);
    }

    /// Hands `post` to `party`, if it is still there.
    pub(super) fn put(&self, party: PartyId, post: Post) {
        let inbox = lock(self.shard(party.seq)).get(&party.seq).cloned();
        if let Some(inbox) = inbox {
            inbox.put(post);
        }
    }

    /// Hands a post to each of these.
    pub(super) fn tell(&self, whom: impl Fn(&Inbox) -> bool, post: impl Fn() -> Post) {
        for shard in &self.0 {
            let inboxes: Vec<_> = lock(shard).values().filter(|i| whom(i)).cloned().collect();
            inboxes.iter().for_each(|inbox| inbox.put(post()));
        }
    }

    /// Hands on what an owner says: to the party or parties that it is about.
    pub(super) fn hear(&self, from: u64, down: Down) {
        match down {
            Down::Answer(answer) => self.answer(from, answer),
            Down::Moved { seat, epoch } => self.put(seat.party, Post::Moved { from, seat, epoch }),
        }
    }

    /// The same for an answer.
    pub(super) fn answer(&self, from: u64, answer: Answer) {
        address(answer, |party, answer| self.put(party, Post::Answer(from, answer)));
    }

    fn shard(&self, seq: u64) -> &Mutex<HashMap<u64, Arc<Inbox>>> {
        &self.0[seq as usize % SHARDS]
    }
}

/// The maps hold plain data that is consistent between statements, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
