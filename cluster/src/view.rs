//! The membership as one value: who is here, since which change, and how keys are placed.
//!
//! Pure. Knows no clock, no network and no way to agree; two nodes with equal views give equal
//! answers.

use siphasher::sip::SipHasher24;

use crate::placement::{Placement, Seed};

/// Keys the hash that turns a node's name into its id. Fixed: an id must survive a restart.
const NAME_KEY: &[u8; 16] = b"hoody-pipe node.";

/// The membership at one moment. Never empty: it takes a member to have a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    epoch: Epoch,
    seed: Seed,
    placement: Placement,
    members: Vec<Member>,
}

/// Counts the changes of the membership; a greater one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// One node of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// Whether it can own keys.
    pub health: Health,
}

/// What the fleet thinks of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It serves, and it owns its share of the keys.
    Up,
}

/// Identifies a node. The order has no meaning but to break ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The id of the node with that name; the same on every machine and in every release.
    pub fn of_name(name: &str) -> Self {
        Self(SipHasher24::new_with_key(NAME_KEY).hash(name.as_bytes()))
    }
}

impl View {
    /// The first view of a fleet of one.
    pub fn alone(id: NodeId, seed: Seed) -> Self {
        let members = vec![Member { id, health: Health::Up }];
        Self { epoch: Epoch(1), seed, placement: Placement::V1, members }
    }

    /// Which change of the membership this view is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member that owns a key: the same on every node that has this view.
    pub fn owner(&self, key: &[u8]) -> NodeId {
        let up = self.members.iter().filter(|member| member.health == Health::Up);
        self.placement
            .owner(&self.seed, key, up.map(|member| member.id))
            .expect("a view has a member that is up")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_names_are_pinned() {
        // Computed by another implementation; a change would give every node another identity.
        assert_eq!(NodeId::of_name("node-a"), NodeId(0x4e42_f579_0fb1_49ef));
    }

    #[test]
    fn a_first_view_has_one_member_that_owns_all() {
        let view = View::alone(NodeId(7), Seed([1; 16]));
        assert_eq!(view.epoch(), Epoch(1));
        assert_eq!(view.members(), [Member { id: NodeId(7), health: Health::Up }]);
        assert_eq!(view.owner(b"any"), NodeId(7));
    }

    #[test]
    fn the_owner_is_found_by_placement_over_the_members() {
        let member = |id| Member { id: NodeId(id), health: Health::Up };
        let members = (1..=10).map(member).collect();
        let seed = Seed(std::array::from_fn(|i| i as u8));
        let view = View { members, ..View::alone(NodeId(1), seed) };
        assert_eq!(view.owner(b"a"), NodeId(5));
        assert_eq!(view.owner(b"run-42/tokens"), NodeId(4));
    }
}
