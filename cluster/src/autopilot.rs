//! Which members vote: three, or five in a fleet of seven and more. From what the leader knows to
//! one change at a time.
//!
//! A vote is added before one is taken, so the fleet never hangs on fewer nodes than it must. A voter
//! that drains keeps its vote, for most come back; but when those who stay could not agree without the
//! leavers, it is taken in time, down to the last node. Pure. Knows no clock, no network and not how a
//! vote is cast.
//!
//! A member in whose place another one has come (its disk was lost) never votes again: its vote goes to a
//! spare at once, in one step that needs no more votes than the loss of it left. Until then fewer losses
//! can be borne than should be, and nobody new is relied upon ([`awaits_votes`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::roll::Roll;
use crate::view::{Health, Member, NodeId};

/// A member may vote when it has been up for so long.
const STEADY: Duration = Duration::from_secs(10);

/// Who said good-bye keeps its vote for so long: a restart for a new release changes no voters.
const FAREWELL: Duration = Duration::from_secs(60);

/// Who drains for so long does so alone: a fleet that is stopped as a whole needs no voters.
const LEAVING: Duration = Duration::from_secs(1);

/// Who has been down for so long is forgotten.
const LOST: Duration = Duration::from_secs(24 * 3600);

/// So many members are worth five voters.
const FIVE_FROM: usize = 7;

/// The leader's knowledge at one moment.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// The leader, which is this node.
    pub me: NodeId,
    pub roll: &'a Roll,
    /// Who votes.
    pub voters: &'a BTreeSet<NodeId>,
    /// Who only listens.
    pub learners: &'a BTreeSet<NodeId>,
    /// Who has all of the log that matters.
    pub caught_up: &'a BTreeSet<NodeId>,
    /// A change of the voters was left half done, by a leader that died over it.
    pub unsettled: bool,
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ends a change of the voters that was left half done.
    Settle,
    /// Lets a member listen.
    Listen(NodeId),
    /// Gives a listener a vote.
    Promote(NodeId),
    /// Takes the vote of one who is gone for ever and gives it to a listener, in one step.
    Replace { old: NodeId, new: NodeId },
    /// Takes a vote; the member goes on listening.
    Demote(NodeId),
    /// Takes its vote, if it has one, and lets it listen no more.
    Remove(NodeId),
    /// Strikes a member off the roll.
    Forget(NodeId),
    /// The leader itself drains and its vote is in the way: it lets another one lead.
    StepDown,
}

/// How long everybody has been what it is.
#[derive(Debug, Default)]
pub(crate) struct Autopilot {
    since: BTreeMap<NodeId, (State, Duration)>,
    /// Who votes or listens and was a member once: another one has come in its place.
    replaced: BTreeSet<NodeId>,
}

/// Health and life of a member; of somebody who votes or listens and is no member, nothing.
type State = Option<(Health, u64)>;

impl Autopilot {
    /// The next change, if there is anything to change. `now` is on any clock that never goes back.
    /// Ask again when it has been made, or has failed.
    pub(crate) fn step(&mut self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        self.observe(now, bench);
        if bench.unsettled {
            return Some(Action::Settle);
        }
        let members = bench.roll.view().members();
        let absent = members.iter().find(|it| !bench.listens(it.id) && it.health != Health::Down);
        if let Some(member) = absent {
            return Some(Action::Listen(member.id));
        }
        self.relief(now, bench)
            .or_else(|| self.succession(now, bench))
            .or_else(|| self.promotion(now, bench))
            .or_else(|| self.dismissal(now, bench))
            .or_else(|| self.removal(now, bench))
    }

    fn observe(&mut self, now: Duration, bench: &Bench<'_>) {
        let members = bench.roll.view().members().iter().map(|member| member.id);
        let all = members.chain(bench.voters.iter().chain(bench.learners).copied());
        let states: BTreeMap<NodeId, State> = all.map(|id| (id, bench.state(id))).collect();
        let known = |id: &NodeId| self.since.get(id).is_some_and(|(state, _)| state.is_some());
        let replaced = |id: &NodeId| known(id) || self.replaced.contains(id);
        let strangers = states.iter().filter(|(_, state)| state.is_none()).map(|(id, _)| *id);
        self.replaced = strangers.filter(replaced).collect();
        self.since.retain(|id, (known, _)| states.get(id) == Some(known));
        for (id, state) in states {
            self.since.entry(id).or_insert((state, now));
        }
    }

    /// How long it has been what it is.
    fn lasted(&self, now: Duration, id: NodeId) -> Duration {
        self.since.get(&id).map_or(Duration::ZERO, |(_, since)| now.saturating_sub(*since))
    }

    /// While voters drain without whom the others could not agree: a vote for anybody who can take it,
    /// and then one less, first of those who are gone.
    fn relief(&self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        let drains = |id: NodeId| bench.is(id, Health::Draining) && self.lasted(now, id) >= LEAVING;
        if !bench.voters.iter().any(|id| drains(*id)) || outlasts(bench.roll, bench.voters) {
            return None;
        }
        if let Some(spare) = bench.learners.iter().find(|id| bench.can_take_a_vote(**id)) {
            return Some(Action::Promote(*spare));
        }
        if !bench.voters.iter().any(|id| stays(bench.roll, *id)) {
            return None;
        }
        let gone = bench.voters.iter().filter(|id| **id != bench.me && !stays(bench.roll, **id));
        let first = gone.min_by_key(|id| (drains(**id), id.0));
        Some(first.map_or(Action::StepDown, |id| Action::Demote(*id)))
    }

    /// A vote that can never be cast again, for the steadiest of those who can take it.
    fn succession(&self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        let old = *self.replaced.iter().find(|id| bench.voters.contains(id) && **id != bench.me)?;
        let spares = bench.learners.iter().filter(|id| bench.can_take_a_vote(**id));
        let new = *spares.max_by_key(|id| (self.lasted(now, **id), id.0))?;
        Some(Action::Replace { old, new })
    }

    /// A vote for a steady member, when fewer than there should be can be cast.
    fn promotion(&self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        let casting = bench.voters.iter().filter(|id| self.can_vote(now, bench, **id)).count();
        let steady = |member: &&Member| {
            bench.learners.contains(&member.id)
                && bench.can_take_a_vote(member.id)
                && self.lasted(now, member.id) >= STEADY
        };
        let spare = bench.roll.view().members().iter().find(steady)?;
        (casting < wanted(bench.roll)).then_some(Action::Promote(spare.id))
    }

    /// One vote less, when there are too many: first of those that cannot cast it.
    fn dismissal(&self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        // A leader that is down would take the others' votes, one after the other, to keep its own.
        let down = bench.is(bench.me, Health::Down);
        if bench.voters.len() <= wanted(bench.roll) || down {
            return None;
        }
        let others = bench.voters.iter().filter(|id| **id != bench.me);
        let rank = |id: &&NodeId| {
            let health = bench.roll.view().member(**id).map(|member| member.health);
            (!self.can_vote(now, bench, **id), health != Some(Health::Up), id.0)
        };
        others.max_by_key(rank).map(|id| Action::Demote(*id))
    }

    /// Who is no longer a member, or should no longer be one. A vote is taken from it even if that
    /// leaves fewer than there should be: nobody is there to cast it.
    fn removal(&self, now: Duration, bench: &Bench<'_>) -> Option<Action> {
        let expired = |id: &NodeId| {
            let most = match bench.state(*id) {
                // A first member that has not come yet, or one whose name another has taken.
                None => STEADY,
                Some((Health::Down, _)) if bench.roll.has_left(*id) => FAREWELL,
                Some((Health::Down, _)) => LOST,
                Some(_) => return false,
            };
            *id != bench.me && self.lasted(now, *id) >= most
        };
        let gone = *self.since.keys().find(|id| expired(id))?;
        Some(if bench.listens(gone) { Action::Remove(gone) } else { Action::Forget(gone) })
    }

    /// Does this voter's vote count on? Not if it is down, but for a while after a good-bye.
    fn can_vote(&self, now: Duration, bench: &Bench<'_>, id: NodeId) -> bool {
        let Some(member) = bench.roll.view().member(id) else { return false };
        member.health != Health::Down || bench.roll.has_left(id) && self.lasted(now, id) < FAREWELL
    }
}

impl Bench<'_> {
    fn listens(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }

    fn can_take_a_vote(&self, id: NodeId) -> bool {
        self.is(id, Health::Up) && self.caught_up.contains(&id)
    }

    fn is(&self, id: NodeId, health: Health) -> bool {
        self.roll.view().member(id).is_some_and(|member| member.health == health)
    }

    fn state(&self, id: NodeId) -> State {
        self.roll.view().member(id).map(|member| (member.health, member.boot))
    }
}

/// Can these voters agree when all of them are gone that drain or are down?
pub(crate) fn outlasts(roll: &Roll, voters: &BTreeSet<NodeId>) -> bool {
    voters.iter().filter(|id| stays(roll, **id)).count() * 2 > voters.len()
}

/// Should clients and operators wait for a change of the voters before they rely on this member? Yes while
/// somebody votes who is no member (a first one that has not come, or one in whose place another has),
/// and while fewer votes than there should be can be cast and it is among those who will be given one.
/// A vote that was left with a good-bye is not missing: most come back.
pub(crate) fn awaits_votes(roll: &Roll, voters: &BTreeSet<NodeId>, me: NodeId) -> bool {
    let members = roll.view().members();
    let casts = |id: &&NodeId| {
        let member = roll.view().member(**id);
        member.is_some_and(|it| it.health != Health::Down || roll.has_left(it.id))
    };
    let missing = wanted(roll).saturating_sub(voters.iter().filter(casts).count());
    let spares = members.iter().filter(|it| it.health == Health::Up && !voters.contains(&it.id));
    voters.iter().any(|id| roll.view().member(*id).is_none())
        || spares.take(missing).any(|spare| spare.id == me)
}

fn stays(roll: &Roll, id: NodeId) -> bool {
    let health = roll.view().member(id).map(|member| member.health);
    matches!(health, Some(Health::Up | Health::Joining))
}

/// How many should vote.
fn wanted(roll: &Roll) -> usize {
    let members = roll.view().members();
    let here = members.iter().filter(|it| it.health != Health::Down).count();
    if here >= FIVE_FROM { 5 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll::Command;

    /// A fleet in which every change is made at once; a step is a second.
    #[derive(Default)]
    struct World {
        autopilot: Autopilot,
        roll: Option<Roll>,
        index: u64,
        now: Duration,
        voters: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
        lagging: BTreeSet<NodeId>,
        unsettled: bool,
        fewest: usize,
        /// 0: node 1.
        leader: u64,
    }

    impl World {
        /// So many members, all up; the first of them vote. Node 1 leads.
        fn of(members: u64, voters: u64) -> Self {
            let mut world = Self { fewest: usize::MAX, ..Self::default() };
            (1..=members).for_each(|id| world.up(id));
            world.voters = (1..=voters).map(NodeId).collect();
            world.learners = (voters + 1..=members).map(NodeId).collect();
            world
        }

        fn apply(&mut self, command: Command) {
            self.index += 1;
            self.roll.get_or_insert_with(Roll::new).apply(self.index, command);
        }

        fn up(&mut self, id: u64) {
            let (name, addr) = (format!("node-{id}"), Some(format!("host-{id}")));
            let (region, health) = (String::new(), Health::Joining);
            let boot = self.index + 1;
            let member = Member { id: NodeId(id), name, addr, region, boot, health };
            self.apply(Command::Upsert(member));
            self.health(id, Health::Up, false);
        }

        fn health(&mut self, id: u64, health: Health, farewell: bool) {
            let id = NodeId(id);
            let roll = self.roll.as_ref().unwrap();
            let boot = roll.view().member(id).unwrap().boot;
            self.apply(Command::SetHealth { id, boot, health, farewell });
        }

        /// Lets so many seconds pass and gives what was changed, each with its second.
        fn run(&mut self, seconds: u64) -> Vec<(u64, Action)> {
            let mut actions = Vec::new();
            for second in 0..seconds {
                let listening: BTreeSet<_> = self.voters.union(&self.learners).copied().collect();
                let bench = Bench {
                    me: self.leader(),
                    roll: self.roll.as_ref().unwrap(),
                    voters: &self.voters,
                    learners: &self.learners,
                    caught_up: &(&listening - &self.lagging),
                    unsettled: self.unsettled,
                };
                let action = self.autopilot.step(self.now, &bench);
                self.now += Duration::from_secs(1);
                if let Some(action) = action {
                    self.make(action);
                    actions.push((second, action));
                }
                self.fewest = self.fewest.min(self.voters.len());
            }
            actions
        }

        fn make(&mut self, action: Action) {
            match action {
                Action::Settle => self.unsettled = false,
                Action::Listen(id) => assert!(self.learners.insert(id)),
                Action::Promote(id) => {
                    assert!(self.learners.remove(&id) && self.voters.insert(id));
                }
                Action::Replace { old, new } => {
                    assert!(self.voters.remove(&old) && self.learners.remove(&new));
                    self.voters.insert(new);
                }
                Action::Demote(id) => assert!(self.voters.remove(&id) && self.learners.insert(id)),
                Action::Remove(id) => {
                    assert!(self.voters.remove(&id) || self.learners.remove(&id));
                }
                Action::Forget(id) => self.apply(Command::Forget(id)),
                Action::StepDown => {
                    let up = |id: &&NodeId| stays(self.roll.as_ref().unwrap(), **id);
                    self.leader = self.voters.iter().find(up).unwrap().0;
                }
            }
            assert!(self.voters.contains(&self.leader()), "the leader never removes itself");
        }

        fn leader(&self) -> NodeId {
            NodeId(self.leader.max(1))
        }

        fn voters(&self) -> Vec<u64> {
            self.voters.iter().map(|id| id.0).collect()
        }
    }

    const fn n(id: u64) -> NodeId {
        NodeId(id)
    }

    #[test]
    fn three_vote_and_five_from_seven_members() {
        for (members, voters) in
            [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3), (7, 5), (8, 5), (20, 5)]
        {
            let mut world = World::of(members, 1);
            world.run(60);
            assert_eq!(world.voters.len(), voters, "of {members}");
            assert_eq!(world.run(600), [], "of {members}");
        }
    }

    #[test]
    fn too_many_first_voters_are_trimmed_one_by_one() {
        let mut world = World::of(5, 5);
        assert_eq!(world.run(9), [(0, Action::Demote(n(5))), (1, Action::Demote(n(4)))]);
        let mut world = World::of(7, 7);
        world.run(9);
        assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_newcomer_listens_at_once_and_votes_when_it_is_steady() {
        let mut world = World::of(2, 2);
        world.run(100);
        world.up(3);
        world.lagging.insert(n(3));
        assert_eq!(world.run(20), [(0, Action::Listen(n(3)))]);
        world.lagging.clear();
        assert_eq!(world.run(5), [(0, Action::Promote(n(3)))]);
        world.up(4);
        assert_eq!(world.run(50), [(0, Action::Listen(n(4)))]);
    }

    #[test]
    fn a_dead_voter_is_replaced_by_a_spare_and_the_spare_comes_first() {
        let mut world = World::of(4, 3);
        world.run(30);
        world.health(2, Health::Down, false);
        assert_eq!(world.run(9), [(0, Action::Promote(n(4))), (1, Action::Demote(n(2)))]);
        assert_eq!(world.fewest, 3);
    }

    #[test]
    fn a_dead_voter_without_a_spare_keeps_its_vote() {
        let mut world = World::of(3, 3);
        world.run(30);
        world.health(2, Health::Down, false);
        assert_eq!(world.run(3600), []);
        world.up(2);
        assert_eq!(world.run(60), []);
    }

    #[test]
    fn a_good_bye_keeps_the_vote_for_a_minute_and_then_all_is_forgotten() {
        let mut world = World::of(4, 3);
        world.run(30);
        world.health(2, Health::Down, true);
        assert_eq!(
            world.run(100),
            [
                (60, Action::Promote(n(4))),
                (61, Action::Demote(n(2))),
                (62, Action::Remove(n(2))),
                (63, Action::Forget(n(2)))
            ]
        );
    }

    #[test]
    fn a_restart_within_a_minute_changes_no_voters() {
        let mut world = World::of(4, 3);
        world.run(30);
        world.health(2, Health::Down, true);
        assert_eq!(world.run(50), []);
        world.up(2);
        assert_eq!(world.run(200), []);
    }

    #[test]
    fn one_leaves_after_the_other_down_to_the_last() {
        let mut world = World::of(5, 3);
        world.run(30);
        let mut all = Vec::new();
        for id in 1..=4 {
            world.health(id, Health::Draining, false);
            all.push(world.run(5).into_iter().map(|(_, action)| action).collect::<Vec<_>>());
            assert!(outlasts(world.roll.as_ref().unwrap(), &world.voters), "without {id}");
            world.leader = world.leader.max(id + 1);
            world.health(id, Health::Down, true);
        }
        let (add, take) = (Action::Promote, Action::Demote);
        assert_eq!(
            all,
            [
                vec![],
                vec![add(n(4)), add(n(5)), take(n(1)), take(n(5))],
                vec![add(n(5)), take(n(2))],
                vec![take(n(3)), Action::StepDown, take(n(4))]
            ]
        );
        assert_eq!(world.voters(), [5]);
    }

    #[test]
    fn a_leader_that_drains_lets_another_one_take_its_vote() {
        let mut world = World::of(2, 2);
        world.run(30);
        world.health(1, Health::Draining, false);
        assert_eq!(world.run(9), [(1, Action::StepDown), (2, Action::Demote(n(1)))]);
        world.up(3);
        world.health(2, Health::Draining, false);
        let all = world.run(9);
        assert_eq!(
            all,
            [
                (0, Action::Listen(n(3))),
                (1, Action::Promote(n(3))),
                (2, Action::StepDown),
                (3, Action::Demote(n(2)))
            ]
        );
    }

    #[test]
    fn a_drain_takes_no_vote_while_the_others_can_agree() {
        for (members, voters) in [(3, 3), (4, 3), (5, 3)] {
            let mut world = World::of(members, voters);
            world.run(30);
            for id in 1..=members {
                world.health(id, Health::Draining, false);
                assert_eq!(world.run(30), [], "{id} of {members}");
                world.health(id, Health::Down, true);
                assert_eq!(world.run(20), [], "{id} of {members}");
                world.up(id);
            }
        }
    }

    #[test]
    fn a_fleet_that_stops_as_a_whole_keeps_all_its_voters() {
        let mut world = World::of(5, 3);
        world.run(30);
        (1..=5).for_each(|id| world.health(id, Health::Draining, false));
        assert_eq!(world.run(50), []);
    }

    #[test]
    fn who_left_for_good_is_removed_also_without_a_spare() {
        let mut world = World::of(3, 3);
        world.run(30);
        world.health(3, Health::Down, true);
        assert_eq!(world.run(100), [(60, Action::Remove(n(3))), (61, Action::Forget(n(3)))]);
        assert_eq!(world.voters(), [1, 2]);
    }

    #[test]
    fn who_is_down_for_a_day_is_forgotten() {
        let mut world = World::of(4, 3);
        world.run(30);
        world.health(4, Health::Down, false);
        let day = 24 * 3600;
        assert_eq!(
            world.run(day + 9),
            [(day, Action::Remove(n(4))), (day + 1, Action::Forget(n(4)))]
        );
    }

    #[test]
    fn a_voter_whose_name_was_taken_over_is_replaced_and_removed() {
        let mut world = World::of(4, 3);
        world.run(30);
        world.apply(Command::Forget(n(3)));
        assert_eq!(
            world.run(30),
            [(0, Action::Replace { old: n(3), new: n(4) })],
            "the spare takes it at once"
        );
    }

    /// Node `id` says good-bye and `heir` comes in its place, with its name and an empty disk.
    fn wipe(world: &mut World, id: u64, heir: u64) {
        world.health(id, Health::Down, true);
        world.run(5);
        let old = world.roll.as_ref().unwrap().view().member(n(id)).unwrap().clone();
        let boot = 1;
        world.apply(Command::Upsert(Member { id: n(heir), boot, health: Health::Joining, ..old }));
    }

    fn awaits(world: &World, id: u64) -> bool {
        awaits_votes(world.roll.as_ref().unwrap(), &world.voters, n(id))
    }

    #[test]
    fn wiped_nodes_in_turn_get_the_votes_of_those_they_were() {
        let mut world = World::of(3, 3);
        world.run(30);
        for (old, heir) in [(3, 13), (2, 12)] {
            wipe(&mut world, old, heir);
            world.lagging.insert(n(heir));
            assert_eq!(world.run(3), [(0, Action::Listen(n(heir)))]);
            world.health(heir, Health::Up, false);
            assert_eq!(world.run(3), [], "it has not all of the log");
            assert!(awaits(&world, heir), "{heir} cannot be relied upon");
            world.lagging.clear();
            assert_eq!(world.run(3), [(0, Action::Replace { old: n(old), new: n(heir) })]);
            assert!(!awaits(&world, heir), "{heir} votes");
        }
        assert_eq!((world.voters(), world.fewest), (vec![1, 12, 13], 3));
        assert_eq!(world.run(600), []);
    }

    #[test]
    fn a_leader_that_has_not_seen_who_was_replaced_takes_its_time() {
        let mut world = World::of(3, 3);
        wipe(&mut world, 3, 13);
        world.autopilot = Autopilot::default();
        world.health(13, Health::Up, false);
        assert_eq!(
            world.run(20),
            [
                (0, Action::Listen(n(13))),
                (10, Action::Promote(n(13))),
                (11, Action::Demote(n(3))),
                (12, Action::Remove(n(3)))
            ]
        );
    }

    #[test]
    fn nobody_is_relied_upon_before_the_votes_are_where_they_should_be() {
        let mut world = World::of(1, 1);
        assert!(!awaits(&world, 1));
        world.up(2);
        world.up(3);
        assert!(awaits(&world, 2) && awaits(&world, 3) && !awaits(&world, 1));
        world.run(30);
        world.up(4);
        assert!((1..=4).all(|id| !awaits(&world, id)), "three vote, the fourth never will");
        world.health(2, Health::Down, true);
        assert!(!awaits(&world, 4), "a vote that comes back");
        world.up(2);
        world.health(2, Health::Down, false);
        assert!(awaits(&world, 4), "it will be given the vote of the dead");
        world.run(20);
        assert!(!awaits(&world, 4));
        world.voters.insert(n(9));
        assert!((1..=4).all(|id| awaits(&world, id)), "somebody votes who is no member");
    }

    #[test]
    fn a_first_member_has_time_to_come() {
        let mut world = World::of(2, 3);
        assert_eq!(world.run(9), []);
        world.up(3);
        assert_eq!(world.run(100), []);
    }

    #[test]
    fn a_change_that_was_left_half_done_comes_first() {
        let mut world = World::of(4, 4);
        world.unsettled = true;
        assert_eq!(world.run(9), [(0, Action::Settle), (1, Action::Demote(n(4)))]);
    }

    #[test]
    fn the_leader_stays_even_when_it_is_said_to_be_gone() {
        let mut world = World::of(4, 4);
        world.run(30);
        world.health(1, Health::Down, true);
        assert_eq!(world.run(200), [(60, Action::Promote(n(4)))], "and takes no other's vote");
        assert!(world.voters().contains(&1));
    }
}
