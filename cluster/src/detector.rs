//! Who is up and who is down: from what this node hears of the others to verdicts.
//!
//! Every node runs it, so that a new leader knows at once what an old one knew; only the leader's
//! verdicts are agreed upon. A wrong one moves waiting parties and breaks nothing, so it errs on the
//! quick side, but of those who are merely silent it never marks more than a third of the fleet at
//! once: it may be this node that hears nobody. Who refuses connections is certainly gone.
//!
//! Who can speak but cannot be reached is as good as silent: what counts is what it says on the link to
//! it. A leader judges itself too, by the others whom it reaches and who do not reach it.
//!
//! Pure. Knows no clock, no link and no way to agree.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::roll::Roll;
use crate::view::{Health, Member, NodeId};

/// Silent for so long: down. Five pings.
pub(crate) const SILENT: Duration = Duration::from_secs(5);

/// So many refused connections in a row: the process is gone, and its kernel says so.
pub(crate) const REFUSALS: u32 = 2;

/// Heard for so long without a break: up again. What flaps stays down.
const HEARD: Duration = Duration::from_secs(10);

/// A third of the members may be marked down for silence within this time. One that has come back with
/// a new start counts no more: it was down indeed.
const WINDOW: Duration = Duration::from_secs(10);

/// The time between two steps, or any wait between them ([`crate::raft::WRITE_MAX`]), is far shorter;
/// after longer it was this node that was frozen, and it has heard nobody.
const FROZEN: Duration = Duration::from_secs(3);

/// What this node knows of another at first hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// How long ago it was heard on the link to it; `None`: never.
    pub silence: Option<Duration>,
    /// How often in a row its address has refused a connection.
    pub refused: u32,
    /// A link to it stands.
    pub linked: bool,
    /// It has all of the log that matters. Known to the leader only.
    pub caught_up: bool,
}

/// What the fleet should think of this life of a member from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub id: NodeId,
    pub boot: u64,
    pub health: Health,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    /// When the last step was.
    last: Duration,
    members: BTreeMap<NodeId, Memory>,
    /// When members were marked down that still are and do not refuse, within the window.
    marks: BTreeMap<NodeId, Duration>,
}

#[derive(Debug)]
struct Memory {
    health: Health,
    boot: u64,
    /// So many refusals in a row were those of an earlier life.
    excused: u32,
    /// Nothing that was missed before this moment counts.
    since: Duration,
    /// Since when it has been heard without a break.
    heard: Option<Duration>,
}

impl Detector {
    /// Looks at everybody. `now` is on any clock that never goes back; at most a second lies between
    /// two steps, or between them and [`Self::was_awake`].
    pub(crate) fn step(
        &mut self,
        now: Duration,
        roll: &Roll,
        sight: impl Fn(NodeId) -> Sight,
    ) -> Vec<Verdict> {
        let members = roll.view().members();
        let frozen = now.saturating_sub(self.last) > FROZEN;
        self.last = now;
        self.observe(now, roll, frozen);
        let (mut verdicts, mut silent) = (Vec::new(), Vec::new());
        for member in members.iter().filter(|member| !roll.has_left(member.id)) {
            let sight = sight(member.id);
            let memory = self.members.get_mut(&member.id).expect("all members are observed");
            let silence = sight.silence.unwrap_or(now).min(now - memory.since);
            let refused = memory.refused(member.boot, sight.refused) >= REFUSALS;
            let is_lost = silence >= SILENT || refused;
            if refused {
                self.marks.remove(&member.id);
            }
            memory.heard = match is_lost || !sight.linked {
                true => None,
                false => memory.heard.or(Some(now)),
            };
            let heard = memory.heard.map_or(Duration::ZERO, |since| now - since);
            match member.health {
                Health::Joining if sight.linked && sight.caught_up && !is_lost => {
                    verdicts.push(member.verdict(Health::Up));
                }
                Health::Down if heard >= HEARD && sight.caught_up => {
                    verdicts.push(member.verdict(Health::Up));
                }
                Health::Down => {}
                _ if refused => verdicts.push(member.verdict(Health::Down)),
                _ if is_lost => silent.push(member),
                _ => {}
            }
        }
        let left = most_down(members.len()).saturating_sub(self.marks.len());
        silent.sort_by_key(|member| member.id);
        verdicts.extend(silent.into_iter().take(left).map(|it| it.verdict(Health::Down)));
        verdicts
    }

    /// This node was at work since the last step or since it last said so, and was not frozen, unless
    /// that took longer than any work of it may.
    pub(crate) fn was_awake(&mut self, now: Duration) {
        if now.saturating_sub(self.last) <= FROZEN {
            self.last = now;
        }
    }

    /// Follows the membership: who came, who was marked down, by whichever leader.
    fn observe(&mut self, now: Duration, roll: &Roll, frozen: bool) {
        let members = roll.view().members();
        self.members.retain(|id, _| roll.view().member(*id).is_some());
        for member in members {
            let Member { health, boot, .. } = *member;
            let fresh = Memory { health, boot, excused: 0, since: now, heard: None };
            let memory = self.members.entry(member.id).or_insert(fresh);
            let fell = memory.health != Health::Down && member.health == Health::Down;
            if fell && !roll.has_left(member.id) {
                self.marks.insert(member.id, now);
            }
            if member.health != Health::Down {
                self.marks.remove(&member.id);
            }
            memory.health = member.health;
            if frozen {
                (memory.since, memory.heard) = (now, None);
            }
        }
        self.marks.retain(|_, at| now - *at < WINDOW);
    }
}

impl Memory {
    /// How often in a row this life of it has refused. The count starts again with each link, not with
    /// each life, and a new life may speak before there is a link to it.
    fn refused(&mut self, boot: u64, refused: u32) -> u32 {
        if self.boot != boot {
            (self.boot, self.excused) = (boot, refused);
        }
        self.excused = self.excused.min(refused);
        refused - self.excused
    }
}

impl Member {
    fn verdict(&self, health: Health) -> Verdict {
        Verdict { id: self.id, boot: self.boot, health }
    }
}

/// How silent a node is for most of the others: as long as each of them has not reached it, although it
/// reaches them.
pub(crate) fn own_silence(unreached: impl IntoIterator<Item = Duration>) -> Duration {
    let mut all: Vec<Duration> = unreached.into_iter().collect();
    all.sort_by(|a, b| b.cmp(a));
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// How many of so many members may be marked down for silence within [`WINDOW`].
fn most_down(members: usize) -> usize {
    (members / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll::Command;
    use crate::view::Epoch;

    /// What the links say of each node; the step between two looks is a tenth of a second.
    struct World {
        detector: Detector,
        roll: Roll,
        index: u64,
        now: Duration,
        sights: BTreeMap<NodeId, Sight>,
    }

    const STEP: Duration = Duration::from_millis(100);
    const WELL: Sight =
        Sight { silence: Some(Duration::ZERO), refused: 0, linked: true, caught_up: true };
    const MUTE: Sight = Sight { silence: None, refused: 0, linked: false, caught_up: false };
    const DEAD: Sight = Sight { refused: REFUSALS, ..MUTE };

    impl World {
        /// So many members, all of them up for a long time.
        fn of(count: u64) -> Self {
            let (sights, now) = (BTreeMap::new(), Duration::from_secs(100));
            let detector = Detector { last: now, ..Detector::default() };
            let mut world = Self { detector, roll: Roll::new(), index: 0, now, sights };
            for id in 1..=count {
                world.join(id, 1);
                world.sights.insert(NodeId(id), WELL);
            }
            world.run(60);
            assert!(world.in_health(Health::Up).len() == count as usize);
            world
        }

        fn apply(&mut self, command: Command) {
            self.index += 1;
            self.roll.apply(self.index, command);
        }

        fn join(&mut self, id: u64, boot: u64) {
            let (name, addr) = (format!("node-{id}"), Some(format!("host-{id}")));
            let (region, health) = (String::new(), Health::Joining);
            let member = Member { id: NodeId(id), name, addr, region, boot, health };
            self.apply(Command::Upsert(member));
        }

        fn sees(&mut self, ids: impl IntoIterator<Item = u64>, sight: Sight) {
            self.sights.extend(ids.into_iter().map(|id| (NodeId(id), sight)));
        }

        /// Lets so many steps pass; every verdict is agreed upon at once.
        fn run(&mut self, steps: u32) {
            for _ in 0..steps {
                self.now += STEP;
                let sights = &self.sights;
                let mut detector = std::mem::take(&mut self.detector);
                for verdict in detector.step(self.now, &self.roll, |id| sights[&id]) {
                    let Verdict { id, boot, health } = verdict;
                    self.apply(Command::SetHealth { id, boot, health, farewell: false });
                }
                self.detector = detector;
            }
        }

        fn in_health(&self, health: Health) -> Vec<u64> {
            let of = self.roll.view().members().iter().filter(|it| it.health == health);
            of.map(|it| it.id.0).collect()
        }

        fn down(&self) -> Vec<u64> {
            self.in_health(Health::Down)
        }
    }

    #[test]
    fn the_silent_are_down_after_five_seconds_and_not_before() {
        let mut world = World::of(3);
        for tenth in 0..60u32 {
            let silence = Some(STEP * tenth);
            world.sees([3], Sight { silence, ..WELL });
            world.run(1);
            assert_eq!(world.down().len(), usize::from(tenth >= 50), "{tenth}");
        }
    }

    #[test]
    fn who_was_never_heard_is_silent_since_it_came() {
        let mut world = World::of(3);
        world.join(4, 1);
        world.sees([4], MUTE);
        world.run(50);
        assert_eq!((world.down(), world.in_health(Health::Joining)), (vec![], vec![4]));
        world.run(1);
        assert_eq!(world.down(), [4]);
    }

    #[test]
    fn who_refuses_twice_is_down_at_once() {
        let mut world = World::of(3);
        world.sees([2], Sight { refused: 1, ..WELL });
        world.run(5);
        assert_eq!(world.down(), [0u64; 0]);
        world.sees([2], Sight { refused: 2, ..WELL });
        world.run(1);
        assert_eq!(world.down(), [2]);
    }

    const SILENCE: Sight = Sight { silence: Some(SILENT), ..WELL };

    #[test]
    fn a_third_of_the_silent_may_fall_within_ten_seconds() {
        for (members, most) in [(2, 1), (3, 1), (5, 1), (6, 2), (7, 2), (9, 3)] {
            let mut world = World::of(members);
            world.sees(2..=members, SILENCE);
            world.run(99);
            assert_eq!(world.down().len(), most, "of {members}");
            world.run(5);
            assert_eq!(world.down().len(), (2 * most).min(members as usize - 1), "of {members}");
        }
    }

    #[test]
    fn who_refuses_is_certainly_gone_and_leaves_room_for_the_silent() {
        let mut world = World::of(5);
        world.sees([2, 3], DEAD);
        world.run(1);
        assert_eq!(world.down(), [2, 3], "both at once");
        world.sees([4, 5], SILENCE);
        world.run(1);
        assert_eq!(world.down(), [2, 3, 4]);
        world.sees([5], DEAD);
        world.run(1);
        assert_eq!(world.down(), [2, 3, 4, 5]);
    }

    #[test]
    fn who_was_silent_and_refuses_later_leaves_room_for_another() {
        let mut world = World::of(5);
        world.sees([2, 3], SILENCE);
        world.run(20);
        assert_eq!(world.down(), [2]);
        world.sees([2], DEAD);
        world.run(1);
        assert_eq!(world.down(), [2, 3]);
    }

    #[test]
    fn who_came_back_with_a_new_start_leaves_room_for_the_next_to_fall() {
        let mut world = World::of(3);
        for boot in 2..6 {
            let id = 2 + boot % 2;
            world.sees([id], DEAD);
            world.run(1);
            assert_eq!(world.down(), [id], "start {boot}");
            world.join(id, boot);
            world.sees([id], WELL);
            world.run(2);
            assert_eq!(world.in_health(Health::Up), [1, 2, 3]);
        }
    }

    #[test]
    fn what_another_leader_marked_counts_too_and_a_good_bye_does_not() {
        let mut world = World::of(6);
        world.apply(Command::SetHealth {
            id: NodeId(2),
            boot: 1,
            health: Health::Down,
            farewell: false,
        });
        world.apply(Command::SetHealth {
            id: NodeId(3),
            boot: 1,
            health: Health::Down,
            farewell: true,
        });
        world.sees([2, 4, 5, 6], SILENCE);
        world.run(50);
        assert_eq!(world.down(), [2, 3, 4]);
    }

    #[test]
    fn the_fallen_are_up_again_after_ten_seconds_of_being_heard() {
        let mut world = World::of(3);
        world.sees([3], DEAD);
        world.run(1);
        world.sees([3], WELL);
        world.run(60);
        world.sees([3], Sight { linked: false, ..WELL });
        world.run(1);
        world.sees([3], WELL);
        world.run(100);
        assert_eq!(world.down(), [3], "a break starts the time again");
        world.run(1);
        assert_eq!(world.in_health(Health::Up), [1, 2, 3]);
    }

    #[test]
    fn a_new_start_is_up_as_soon_as_its_link_stands_and_its_log_is_there() {
        let mut world = World::of(3);
        world.sees([3], DEAD);
        world.run(1);
        world.join(3, 2);
        world.sees([3], Sight { linked: false, ..WELL });
        world.run(3);
        world.sees([3], Sight { caught_up: false, ..WELL });
        world.run(3);
        assert_eq!(world.in_health(Health::Joining), [3]);
        world.sees([3], WELL);
        world.run(1);
        assert_eq!(world.in_health(Health::Up), [1, 2, 3]);
    }

    #[test]
    fn what_an_earlier_start_refused_is_not_held_against_a_new_one() {
        let mut world = World::of(3);
        world.sees([3], DEAD);
        world.run(1);
        world.join(3, 2);
        world.sees([3], Sight { refused: DEAD.refused, linked: false, ..WELL });
        world.run(100);
        assert_eq!(world.in_health(Health::Joining), [3]);
        world.sees([3], Sight { refused: DEAD.refused + REFUSALS, ..MUTE });
        world.run(1);
        assert_eq!(world.down(), [3], "but its own refusals are");
        world.sees([3], WELL);
        world.run(101);
        world.sees([3], DEAD);
        world.run(1);
        assert_eq!(world.down(), [3], "and are counted from each link");
    }

    #[test]
    fn the_draining_can_fall_but_are_never_up() {
        let mut world = World::of(3);
        let (id, boot, farewell) = (NodeId(3), 1, false);
        world.apply(Command::SetHealth { id, boot, health: Health::Draining, farewell });
        world.run(200);
        assert_eq!(world.in_health(Health::Draining), [3]);
        world.sees([3], DEAD);
        world.run(1);
        assert_eq!(world.down(), [3]);
    }

    #[test]
    fn who_said_good_bye_stays_down_however_long_it_is_heard() {
        let mut world = World::of(3);
        let (id, boot, farewell) = (NodeId(3), 1, true);
        world.apply(Command::SetHealth { id, boot, health: Health::Down, farewell });
        let epoch = world.roll.view().epoch();
        world.run(200);
        assert_eq!((world.down(), world.roll.view().epoch()), (vec![3], epoch));
    }

    #[test]
    fn a_node_that_was_frozen_itself_blames_nobody() {
        let mut world = World::of(3);
        world.now += Duration::from_secs(30);
        world.sees([2, 3], Sight { silence: Some(Duration::from_secs(30)), ..WELL });
        world.run(50);
        assert_eq!(world.down(), [0u64; 0]);
        world.run(1);
        assert_eq!(world.down().len(), 1, "but silence after that counts");
    }

    #[test]
    fn a_node_that_was_at_work_for_long_was_not_frozen() {
        let mut world = World::of(3);
        world.sees([3], Sight { silence: Some(SILENT), ..WELL });
        for _ in 0..4 {
            world.now += Duration::from_secs(2);
            world.detector.was_awake(world.now);
        }
        world.run(1);
        assert_eq!(world.down(), [3]);
        world.sees([2], Sight { silence: Some(Duration::from_secs(30)), ..WELL });
        world.now += Duration::from_secs(30);
        world.detector.was_awake(world.now);
        world.run(1);
        assert_eq!(world.down(), [3], "no work takes so long");
    }

    #[test]
    fn a_node_is_silent_when_most_of_the_others_do_not_reach_it() {
        let secs = |all: &[u64]| own_silence(all.iter().map(|it| Duration::from_secs(*it)));
        for (all, silence) in [
            (&[][..], 0),
            (&[7], 7),
            (&[7, 0], 0),
            (&[7, 6], 6),
            (&[7, 0, 6], 6),
            (&[0, 7, 0, 7], 0),
            (&[5, 0, 7, 6], 5),
        ] {
            assert_eq!(secs(all), Duration::from_secs(silence), "{all:?}");
        }
    }

    #[test]
    fn a_fleet_that_is_well_gets_no_new_views() {
        let mut world = World::of(5);
        let epoch = world.roll.view().epoch();
        world.run(1000);
        assert_eq!(world.roll.view().epoch(), epoch);
        assert!(epoch > Epoch(0));
    }
}
