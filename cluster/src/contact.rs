//! Who was heard when and on which way, and who refused: what this node knows of the others at first
//! hand.
//!
//! Written by whoever talks to them, read by the failure detector. Decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::view::NodeId;

/// What is known of all others. A cheap handle; all clones see the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contacts(Arc<Mutex<HashMap<NodeId, Contact>>>);

#[derive(Debug, Default)]
struct Contact {
    heard: Option<Instant>,
    /// When it was last heard on the link from here to it.
    answered: Option<Instant>,
    /// When it was last heard on the link from it to here.
    reached: Option<Instant>,
    /// How often in a row nobody listened at its address.
    refused: u32,
    /// Since when the link to it stands.
    linked: Option<Instant>,
}

impl Contacts {
    /// Something authenticated came from this node, just now.
    pub(crate) fn heard(&self, node: NodeId) {
        self.lock().entry(node).or_default().heard = Some(Instant::now());
    }

    /// Something came from this node on the link from here to it: it can be reached.
    pub(crate) fn answers(&self, node: NodeId) {
        let now = Some(Instant::now());
        let mut contacts = self.lock();
        let contact = contacts.entry(node).or_default();
        (contact.heard, contact.answered) = (now, now);
    }

    /// Something came from this node on the link from it to here: it can reach this one.
    pub(crate) fn reaches(&self, node: NodeId) {
        let now = Some(Instant::now());
        let mut contacts = self.lock();
        let contact = contacts.entry(node).or_default();
        (contact.heard, contact.reached) = (now, now);
    }

    /// How long ago this node was last heard, on whichever way; `None`: never.
    pub(crate) fn silence(&self, node: NodeId) -> Option<Duration> {
        self.lock().get(&node)?.heard.map(|heard| heard.elapsed())
    }

    /// How long ago this node was last heard on the link from here to it; `None`: never.
    pub(crate) fn unanswered(&self, node: NodeId) -> Option<Duration> {
        self.lock().get(&node)?.answered.map(|answered| answered.elapsed())
    }

    /// For how long this node has not reached this one, although the link from here to it stands. Zero
    /// if that does not: nobody knows then which of them is cut off.
    pub(crate) fn unreached_by(&self, node: NodeId) -> Duration {
        let contacts = self.lock();
        let Some(contact) = contacts.get(&node) else { return Duration::ZERO };
        let (linked, reached) = (contact.linked, contact.reached);
        linked
            .map_or(Duration::ZERO, |linked| reached.map_or(linked, |it| it.max(linked)).elapsed())
    }

    /// Nobody listens at this node's address: its kernel said so.
    pub(crate) fn refuses(&self, node: NodeId) {
        let mut contacts = self.lock();
        let contact = contacts.entry(node).or_default();
        contact.refused = contact.refused.saturating_add(1);
    }

    /// How often in a row this node's address has refused a link, since the last link to it.
    pub(crate) fn refused(&self, node: NodeId) -> u32 {
        self.lock().get(&node).map_or(0, |contact| contact.refused)
    }

    /// The link from here to this node was made, or lost.
    pub(crate) fn set_linked(&self, node: NodeId, linked: bool) {
        let mut contacts = self.lock();
        let contact = contacts.entry(node).or_default();
        contact.linked = linked.then(Instant::now);
        if linked {
            contact.refused = 0;
        }
    }

    /// Does the link from here to this node stand?
    pub(crate) fn linked(&self, node: NodeId) -> bool {
        self.lock().get(&node).is_some_and(|contact| contact.linked.is_some())
    }

    /// Forgets everybody else: nodes that are no members are not worth remembering for ever.
    pub(crate) fn keep(&self, wanted: impl Fn(NodeId) -> bool) {
        self.lock().retain(|node, contact| contact.linked.is_some() || wanted(*node));
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Contact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[tokio::test(start_paused = true)]
    async fn silence_grows_until_something_is_heard() {
        let contacts = Contacts::default();
        assert_eq!(contacts.silence(A), None);
        contacts.heard(A);
        advance(Duration::from_secs(3)).await;
        assert_eq!(contacts.silence(A), Some(Duration::from_secs(3)));
        contacts.heard(A);
        assert_eq!((contacts.silence(A), contacts.silence(B)), (Some(Duration::ZERO), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_two_ways_between_nodes_are_told_apart() {
        let contacts = Contacts::default();
        assert_eq!((contacts.unanswered(A), contacts.unreached_by(A)), (None, Duration::ZERO));
        let second = Duration::from_secs(1);
        contacts.answers(A);
        advance(second).await;
        contacts.reaches(A);
        contacts.heard(A);
        advance(second).await;
        assert_eq!(contacts.unanswered(A), Some(2 * second));
        assert_eq!(contacts.unreached_by(A), Duration::ZERO, "there is no link to it");
        contacts.set_linked(A, true);
        advance(second).await;
        assert_eq!(contacts.unreached_by(A), second, "since the link stands");
        contacts.reaches(A);
        advance(3 * second).await;
        contacts.answers(A);
        assert_eq!(
            (contacts.unreached_by(A), contacts.silence(A)),
            (3 * second, Some(Duration::ZERO))
        );
    }

    #[test]
    fn refusals_count_in_a_row() {
        let contacts = Contacts::default();
        contacts.refuses(A);
        contacts.refuses(A);
        contacts.set_linked(A, false);
        assert_eq!((contacts.refused(A), contacts.refused(B)), (2, 0));
        contacts.set_linked(A, true);
        assert_eq!(contacts.refused(A), 0);
    }

    #[test]
    fn who_is_no_member_is_forgotten_but_not_while_its_link_stands() {
        let contacts = Contacts::default();
        for node in [A, B] {
            contacts.heard(node);
        }
        contacts.set_linked(B, true);
        contacts.keep(|_| false);
        assert_eq!((contacts.silence(A), contacts.linked(B)), (None, true));
        contacts.set_linked(B, false);
        contacts.keep(|node| node == A);
        assert_eq!(contacts.silence(B), None);
    }
}
