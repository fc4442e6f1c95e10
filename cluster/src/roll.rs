//! What the fleet has agreed upon, and how each agreed command changes it: the view, the fleet's
//! identity, and who has said good-bye.
//!
//! Pure: the same commands in the same order give the same roll on every node. Knows no clock, no
//! disk and no way to agree.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::placement::Seed;
use crate::view::{Epoch, Health, Member, NodeId, View};

/// Most members of a fleet: every one of them keeps a link to every other.
pub(crate) const MEMBERS_MAX: usize = 100;

/// Tells one fleet from another: random, made once when a fleet is formed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FleetId(pub u64);

impl fmt::Debug for FleetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fleet-{:016x}", self.0)
    }
}

/// One change that the fleet agrees upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The first of all: which fleet this is, and what its placement is keyed with.
    Found { fleet: FleetId, seed: Seed },
    /// A member comes, or comes back in a newer life.
    Upsert(Member),
    /// What the fleet thinks of this life of a member.
    SetHealth {
        /// Whose.
        id: NodeId,
        /// Of which life; another one is not meant.
        boot: u64,
        /// What from now on.
        health: Health,
        /// It says so itself, as its last word.
        farewell: bool,
    },
    /// A member is no longer one.
    Forget(NodeId),
}

/// All that the fleet has agreed upon so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roll {
    fleet: Option<FleetId>,
    view: View,
    /// Members whose last life ended with a good-bye.
    gone: BTreeSet<NodeId>,
}

impl Roll {
    /// Before the first command.
    pub(crate) fn new() -> Self {
        Self { fleet: None, view: View::unknown(), gone: BTreeSet::new() }
    }

    /// Which fleet this is, once it has been founded.
    pub(crate) fn fleet(&self) -> Option<FleetId> {
        self.fleet
    }

    /// The membership.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Has this member said good-bye, and not come back since?
    pub(crate) fn has_left(&self, id: NodeId) -> bool {
        self.gone.contains(&id)
    }

    /// Why this member cannot be let in now, if so: in words for its operator.
    pub(crate) fn objection(&self, member: &Member) -> Option<String> {
        let known = self.view.member(member.id);
        let twin = |other: &&Member| {
            other.id != member.id && other.name == member.name && other.health != Health::Down
        };
        if let Some(twin) = self.view.members().iter().find(twin) {
            let addr = twin.addr.as_deref().unwrap_or("an unknown address");
            return Some(format!("the name {} is in use by the node at {addr}", member.name));
        }
        if known.is_some_and(|known| known.boot > member.boot) {
            return Some("a newer start of this node is a member already".to_owned());
        }
        let full = known.is_none() && self.view.members().len() >= MEMBERS_MAX;
        full.then(|| format!("the fleet has {MEMBERS_MAX} members, the most there can be"))
    }

    /// Carries out the command that is entry `index` of the log. Says whether it changed the view;
    /// `index` is its epoch then.
    pub(crate) fn apply(&mut self, index: u64, command: Command) -> bool {
        let changed = match command {
            Command::Found { fleet, seed } => return self.found(fleet, seed),
            Command::Upsert(member) => self.upsert(member),
            Command::SetHealth { id, boot, health, farewell } => {
                self.set_health(id, boot, health, farewell)
            }
            Command::Forget(id) => self.forget(id),
        };
        if let Some(members) = changed {
            self.view = View::of(Epoch(index), self.view.seed().clone(), members);
            return true;
        }
        false
    }

    /// Not a change of the view: nobody is a member yet who could own anything.
    fn found(&mut self, fleet: FleetId, seed: Seed) -> bool {
        if self.fleet.is_none() {
            self.fleet = Some(fleet);
            self.view = View::of(self.view.epoch(), seed, self.view.members().to_vec());
        }
        false
    }

    /// A newcomer takes the place of a dead member of its name or address. A member that was up
    /// and has only been restarted stays up: a quick restart moves no keys.
    fn upsert(&mut self, mut member: Member) -> Option<Vec<Member>> {
        let known = self.view.member(member.id);
        if self.objection(&member).is_some() || known.is_some_and(|it| it.boot == member.boot) {
            return None;
        }
        let still_up = known.is_some_and(|known| known.health == Health::Up);
        member.health = if still_up { Health::Up } else { Health::Joining };
        let replaced = |other: &Member| {
            other.id == member.id
                || other.health == Health::Down
                    && (other.name == member.name || other.addr == member.addr)
        };
        let (replaced, mut members): (Vec<Member>, Vec<Member>) =
            self.view.members().iter().cloned().partition(replaced);
        for other in replaced {
            self.gone.remove(&other.id);
        }
        members.push(member);
        members.sort_by_key(|member| member.id);
        Some(members)
    }

    fn set_health(
        &mut self,
        id: NodeId,
        boot: u64,
        health: Health,
        farewell: bool,
    ) -> Option<Vec<Member>> {
        let mut members = self.view.members().to_vec();
        let member = members.iter_mut().find(|it| it.id == id && it.boot == boot)?;
        // Nothing revives a life that has ended itself.
        if self.gone.contains(&id) {
            return None;
        }
        if farewell {
            self.gone.insert(id);
        }
        if member.health == health {
            return None;
        }
        member.health = health;
        Some(members)
    }

    fn forget(&mut self, id: NodeId) -> Option<Vec<Member>> {
        self.gone.remove(&id);
        self.view.member(id)?;
        Some(self.view.members().iter().filter(|it| it.id != id).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, boot: u64) -> Member {
        Member {
            id: NodeId(id),
            name: format!("node-{id}"),
            addr: Some(format!("host-{id}:7946")),
            region: String::new(),
            boot,
            health: Health::Joining,
        }
    }

    fn set(id: u64, boot: u64, health: Health) -> Command {
        Command::SetHealth { id: NodeId(id), boot, health, farewell: false }
    }

    fn farewell(id: u64, boot: u64) -> Command {
        Command::SetHealth { id: NodeId(id), boot, health: Health::Down, farewell: true }
    }

    fn healths(roll: &Roll) -> Vec<(u64, u64, Health)> {
        roll.view().members().iter().map(|it| (it.id.0, it.boot, it.health)).collect()
    }

    /// A fleet of two that are up; the last change was entry 5.
    fn two() -> Roll {
        let mut roll = Roll::new();
        assert!(!roll.apply(1, Command::Found { fleet: FleetId(9), seed: Seed([7; 16]) }));
        assert!(roll.apply(2, Command::Upsert(member(1, 1))));
        assert!(roll.apply(3, Command::Upsert(member(2, 1))));
        assert!(roll.apply(4, set(1, 1, Health::Up)));
        assert!(roll.apply(5, set(2, 1, Health::Up)));
        roll
    }

    #[test]
    fn members_come_as_joining_and_each_change_is_an_epoch() {
        let mut roll = two();
        assert_eq!((roll.fleet(), roll.view().epoch()), (Some(FleetId(9)), Epoch(5)));
        assert!(roll.apply(8, Command::Upsert(member(3, 1))));
        assert_eq!(
            healths(&roll),
            [(1, 1, Health::Up), (2, 1, Health::Up), (3, 1, Health::Joining)]
        );
        assert_eq!(roll.view().epoch(), Epoch(8));
    }

    #[test]
    fn a_command_that_says_nothing_new_changes_nothing() {
        let mut roll = two();
        let before = roll.clone();
        for command in [
            Command::Found { fleet: FleetId(1), seed: Seed([1; 16]) },
            Command::Upsert(member(1, 1)),
            set(1, 1, Health::Up),
            set(1, 2, Health::Down),
            set(3, 1, Health::Up),
            Command::Forget(NodeId(3)),
        ] {
            assert!(!roll.apply(9, command.clone()), "{command:?}");
            assert_eq!(roll, before, "{command:?}");
        }
    }

    #[test]
    fn a_quick_restart_moves_no_keys_and_one_after_an_outage_joins_again() {
        let mut roll = two();
        assert!(roll.apply(6, Command::Upsert(member(1, 2))));
        assert_eq!(healths(&roll)[0], (1, 2, Health::Up));
        roll.apply(7, set(1, 2, Health::Down));
        assert!(roll.apply(8, Command::Upsert(member(1, 3))));
        assert_eq!(healths(&roll)[0], (1, 3, Health::Joining));
        assert!(!roll.apply(9, Command::Upsert(member(1, 2))), "a late word of an earlier life");
    }

    #[test]
    fn a_name_is_taken_over_from_the_dead_and_from_nobody_else() {
        let mut roll = two();
        let heir = Member { id: NodeId(3), name: "node-1".into(), ..member(3, 1) };
        assert!(roll.objection(&heir).is_some_and(|why| why.contains("host-1:7946")));
        assert!(!roll.apply(6, Command::Upsert(heir.clone())));
        roll.apply(7, set(1, 1, Health::Down));
        assert_eq!(roll.objection(&heir), None);
        assert!(roll.apply(8, Command::Upsert(heir)));
        assert_eq!(healths(&roll), [(2, 1, Health::Up), (3, 1, Health::Joining)]);
    }

    #[test]
    fn an_address_is_taken_over_from_the_dead() {
        let mut roll = two();
        roll.apply(6, set(1, 1, Health::Down));
        let heir = Member { addr: member(1, 1).addr, ..member(3, 1) };
        assert!(roll.apply(7, Command::Upsert(heir)));
        assert_eq!(healths(&roll), [(2, 1, Health::Up), (3, 1, Health::Joining)]);
    }

    #[test]
    fn after_a_good_bye_only_a_new_start_brings_a_member_back() {
        let mut roll = two();
        assert!(roll.apply(6, farewell(1, 1)));
        assert!(roll.has_left(NodeId(1)));
        assert!(!roll.apply(7, set(1, 1, Health::Up)));
        assert_eq!(healths(&roll)[0], (1, 1, Health::Down));
        assert!(roll.apply(8, Command::Upsert(member(1, 2))));
        assert!(!roll.has_left(NodeId(1)));
        assert!(roll.apply(9, set(1, 2, Health::Up)));
    }

    #[test]
    fn the_forgotten_leave_no_trace() {
        let mut roll = two();
        roll.apply(6, farewell(1, 1));
        assert!(roll.apply(7, Command::Forget(NodeId(1))));
        assert_eq!(healths(&roll), [(2, 1, Health::Up)]);
        assert!(!roll.has_left(NodeId(1)));
    }

    #[test]
    fn a_fleet_has_a_most_of_members() {
        let mut roll = two();
        for id in 3..=MEMBERS_MAX as u64 {
            assert!(roll.apply(id + 10, Command::Upsert(member(id, 1))));
        }
        assert!(!roll.apply(999, Command::Upsert(member(999, 1))));
        assert!(roll.apply(1000, Command::Upsert(member(2, 2))), "a known one may restart");
    }
}
