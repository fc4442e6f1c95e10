//! The membership as one value: who is here, since which change, and how keys are placed.
//!
//! Pure. Knows no clock, no network and no way to agree; two nodes with equal views give equal
//! answers.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::placement::{Placement, Seed};

/// Keys the hash that turns a node's name into its id. Fixed: an id must survive a restart.
const NAME_KEY: &[u8; 16] = b"hoody-pipe node.";

/// The membership at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    epoch: Epoch,
    seed: Seed,
    placement: Placement,
    members: Vec<Member>,
}

/// Counts the changes of the membership; a greater one is newer. 0: none is known yet.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// One node of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// What people call it (`--node-id`).
    pub name: String,
    /// Where other nodes reach it: host and port; none in a fleet of one.
    pub addr: Option<String>,
    /// Its label (`--region`).
    pub region: String,
    /// Which of its lives this is.
    pub boot: u64,
    /// Whether it can own keys.
    pub health: Health,
}

/// What the fleet thinks of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// It has been let in, and is not known to serve yet.
    Joining,
    /// It serves, and it owns its share of the keys.
    Up,
    /// It still serves its clients, and owns nothing any more while another member is up.
    Draining,
    /// It has been silent for too long, or has gone.
    Down,
}

/// Identifies a node. The order has no meaning but to break ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The id of the node with that name; the same on every machine and in every release.
    pub fn of_name(name: &str) -> Self {
        Self(SipHasher24::new_with_key(NAME_KEY).hash(name.as_bytes()))
    }
}

impl View {
    /// The first view of a fleet of one, in that life of it.
    pub fn alone(id: NodeId, name: &str, boot: u64, seed: Seed) -> Self {
        let (name, region) = (name.to_owned(), String::new());
        let members = vec![Member { id, name, addr: None, region, boot, health: Health::Up }];
        Self { epoch: Epoch(1), seed, placement: Placement::V1, members }
    }

    /// What a node of a fleet knows before it has joined: nobody, and so no owner of anything.
    pub fn unknown() -> Self {
        let (epoch, seed, members) = (Epoch(0), Seed([0; 16]), Vec::new());
        Self { epoch, seed, placement: Placement::V1, members }
    }

    /// A view made of its parts.
    pub fn of(epoch: Epoch, seed: Seed, members: Vec<Member>) -> Self {
        Self { epoch, seed, placement: Placement::V1, members }
    }

    /// Which change of the membership this view is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What placement is keyed with.
    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with that id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The members that share all keys: those that are up. If none is, those that drain: a fleet
    /// that stops as a whole serves whom it has until each node's time is over.
    pub fn owners(&self) -> impl Iterator<Item = NodeId> {
        let of = |health| move |member: &&Member| member.health == health;
        let any_up = self.members.iter().any(|member| member.health == Health::Up);
        let owning = if any_up { Health::Up } else { Health::Draining };
        self.members.iter().filter(of(owning)).map(|member| member.id)
    }

    /// The member that owns a key: the same on every node that has this view. `None` if nobody is up
    /// or draining.
    pub fn owner(&self, key: &[u8]) -> Option<NodeId> {
        self.placement.owner(&self.seed, key, self.owners())
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
        let view = View::alone(NodeId(7), "a", 3, Seed([1; 16]));
        assert_eq!(view.epoch(), Epoch(1));
        assert_eq!(view.members().iter().map(|m| m.id).collect::<Vec<_>>(), [NodeId(7)]);
        assert_eq!(view.owner(b"any"), Some(NodeId(7)));
        assert_eq!(View::unknown().owner(b"any"), None);
    }

    #[test]
    fn the_owner_is_found_by_placement_over_the_members() {
        let view = view(|id| if id > 10 { Health::Down } else { Health::Up });
        assert_eq!(view.owner(b"a"), Some(NodeId(5)));
        assert_eq!(view.owner(b"run-42/tokens"), Some(NodeId(4)));
    }

    #[test]
    fn the_draining_own_all_keys_when_nobody_is_up_and_none_otherwise() {
        let rest = |id| if id > 15 { Health::Joining } else { Health::Down };
        let stopping = view(|id| if id > 10 { rest(id) } else { Health::Draining });
        assert_eq!(stopping.owners().map(|id| id.0).collect::<Vec<_>>(), Vec::from_iter(1..=10));
        assert_eq!(stopping.owner(b"a"), Some(NodeId(5)));
        assert_eq!(stopping.owner(b"run-42/tokens"), Some(NodeId(4)));
        let one_up = view(|id| if id == 7 { Health::Up } else { Health::Draining });
        assert_eq!(one_up.owner(b"a"), Some(NodeId(7)));
        assert_eq!(view(rest).owner(b"a"), None);
    }

    /// Twenty members in the health that `health` says.
    fn view(health: impl Fn(u64) -> Health) -> View {
        let member = |id| Member {
            id: NodeId(id),
            name: format!("node-{id}"),
            addr: None,
            region: String::new(),
            boot: 0,
            health: health(id),
        };
        let seed = Seed(std::array::from_fn(|i| i as u8));
        View::of(Epoch(3), seed, (1..=20).map(member).collect())
    }
}
