//! Which fleet this node belongs to, and how a first one is formed.
//!
//! Every node looks at all addresses of the list. Whoever sees a fleet belongs to it. Where there is
//! none, the first node of those that are seen collects pledges from all of them, and founds the
//! fleet when it has them all. A node pledges itself to one founder at a time and takes that back
//! only when the founder itself says, or its empty disk shows, that nothing came of it. A fleet takes
//! pledges from more than half of the list, so two of them cannot be formed.
//!
//! Pure. Whoever uses it writes each change of a [`Bond`] to disk before anybody hears of it. Knows
//! no network and no clock.

use serde::{Deserialize, Serialize};

use crate::roll::FleetId;
use crate::view::NodeId;

/// What ties a node to a fleet; survives restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bond {
    /// The fleet it belongs to, for ever.
    pub fleet: Option<FleetId>,
    /// The fleet it is promised to, or was founded with.
    pub pledge: Option<Pledge>,
}

/// A promise to one founder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pledge {
    /// The fleet that is to be.
    pub fleet: FleetId,
    /// Who founds it.
    pub founder: NodeId,
    /// The founder's life and its count of attempts: later ones are greater.
    pub round: (u64, u32),
    /// All first members with their addresses.
    pub members: Vec<(NodeId, String)>,
}

/// What a node says of itself when asked who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub id: NodeId,
    /// The fleet it belongs to.
    pub fleet: Option<FleetId>,
    /// The fleet it collects pledges for at this moment.
    pub attempt: Option<FleetId>,
    /// The list of first members it was started with.
    pub list: Vec<String>,
    /// The leader of its fleet, if it knows one, and where.
    pub leader: Option<(NodeId, String)>,
    /// The newest election it has heard of.
    pub term: u64,
}

/// A card and the address it was found at.
pub(crate) type Seen = (String, Card);

/// This node's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    me: NodeId,
    bond: Bond,
    /// The round that collects pledges at this moment; never survives a restart.
    attempt: Option<FleetId>,
    /// This life, and how often it has tried.
    round: (u64, u32),
}

/// What to do after a look around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: others found the fleet, or too few are seen.
    Wait,
    /// Collect pledges: [`Standing::begin`].
    Found,
    /// This node belongs to a fleet now.
    Belong,
}

impl Standing {
    /// The standing of a node in its life `boot`, from what its disk says.
    ///
    /// An attempt that an earlier life did not finish is over: it never founded anything.
    pub(crate) fn new(me: NodeId, boot: u64, mut bond: Bond) -> Self {
        let own = bond.pledge.as_ref().is_some_and(|pledge| pledge.founder == me);
        if own && bond.fleet.is_none() {
            bond.pledge = None;
        }
        Self { me, bond, attempt: None, round: (boot, 0) }
    }

    /// What has to be on disk.
    pub(crate) fn bond(&self) -> &Bond {
        &self.bond
    }

    /// The fleet this node belongs to.
    pub(crate) fn fleet(&self) -> Option<FleetId> {
        self.bond.fleet
    }

    /// The fleet this node collects pledges for.
    pub(crate) fn attempt(&self) -> Option<FleetId> {
        self.attempt
    }

    /// The first members, if this node founded its fleet: Raft must start with exactly these.
    pub(crate) fn founded(&self) -> Option<&Pledge> {
        let pledge = self.bond.pledge.as_ref()?;
        (pledge.founder == self.me && self.bond.fleet == Some(pledge.fleet)).then_some(pledge)
    }

    /// Decides by what is seen at the addresses of the list, in its order, this node included.
    /// `held` is the promise that bound it before it began to look: what it has promised since, a
    /// card of before says nothing about.
    pub(crate) fn look(
        &mut self,
        list: &[String],
        held: Option<&Pledge>,
        seen: &[Seen],
        expect: usize,
    ) -> Step {
        if self.bond.fleet.is_some() {
            return Step::Belong;
        }
        let known = self.bond.pledge.as_ref().filter(|pledge| held == Some(pledge));
        if known.is_some_and(|pledge| came_to_nothing(pledge, seen)) {
            self.bond.pledge = None;
        }
        let fleets = seen.iter().filter_map(|(_, card)| card.fleet);
        let promised = self.bond.pledge.as_ref().map(|pledge| pledge.fleet);
        let wanted = |fleet: &FleetId| promised.is_none_or(|promised| promised == *fleet);
        if let Some(fleet) = fleets.clone().find(wanted) {
            self.bond.fleet = Some(fleet);
            return Step::Belong;
        }
        let founders = founders(list, seen);
        let first = founders.first().is_some_and(|(_, card)| card.id == self.me);
        let free = promised.is_none() && fleets.count() == 0;
        if free && first && founders.len() >= expect { Step::Found } else { Step::Wait }
    }

    /// Begins to collect pledges for a new fleet from all that are seen: what to ask them for.
    /// `None` if this node is bound by now.
    pub(crate) fn begin(
        &mut self,
        fleet: FleetId,
        list: &[String],
        seen: &[Seen],
    ) -> Option<Pledge> {
        if self.bond != Bond::default() {
            return None;
        }
        self.round.1 += 1;
        let member = |(addr, card): &Seen| (card.id, addr.clone());
        let members = founders(list, seen).into_iter().map(member).collect();
        let pledge = Pledge { fleet, founder: self.me, round: self.round, members };
        (self.attempt, self.bond.pledge) = (Some(fleet), Some(pledge.clone()));
        Some(pledge)
    }

    /// Ends the attempt: did all promise? If so this node belongs to its own fleet now.
    pub(crate) fn collected(&mut self, all: bool) {
        match self.attempt.take() {
            Some(fleet) if all => self.bond.fleet = Some(fleet),
            Some(_) => self.bond.pledge = None,
            None => {}
        }
    }

    /// A founder asks for this node's promise. Says whether it has it.
    pub(crate) fn promise(&mut self, wanted: Pledge) -> bool {
        let named = wanted.members.iter().any(|(id, _)| *id == self.me);
        let bound =
            self.bond.pledge.as_ref().is_some_and(|pledge| {
                pledge.founder != wanted.founder || pledge.round >= wanted.round
            });
        if self.bond.fleet.is_some() || bound || !named {
            return self.bond.fleet.is_none() && self.bond.pledge.as_ref() == Some(&wanted);
        }
        self.bond.pledge = Some(wanted);
        true
    }

    /// Somebody speaks for a fleet. Is it this node's? It is if it was promised to it: then it has
    /// been founded.
    pub(crate) fn admits(&mut self, fleet: FleetId) -> bool {
        let promised = self.bond.pledge.as_ref().map(|pledge| pledge.fleet);
        let mine = self.bond.fleet.is_none() && self.attempt.is_none() && promised == Some(fleet);
        if mine {
            self.bond.fleet = Some(fleet);
        }
        self.bond.fleet == Some(fleet)
    }
}

/// The leader of a fleet as others than `me` say: by the newest election, for who no longer belongs
/// knows an old one for ever.
pub(crate) fn leader_of(fleet: FleetId, me: NodeId, seen: Vec<Seen>) -> Option<(NodeId, String)> {
    let cards = seen.into_iter().map(|(_, card)| card);
    let knowing = cards.filter(|it| it.fleet == Some(fleet) && it.id != me && it.leader.is_some());
    knowing.max_by_key(|card| card.term)?.leader
}

/// Those that a first fleet can be made of, in the order of the list: in no fleet, with this very
/// list, each node once.
fn founders<'a>(list: &[String], seen: &'a [Seen]) -> Vec<&'a Seen> {
    let mut founders: Vec<&Seen> = Vec::new();
    for it in seen {
        let fits = it.1.fleet.is_none() && it.1.list == list;
        if fits && !founders.iter().any(|other| other.1.id == it.1.id) {
            founders.push(it);
        }
    }
    founders
}

/// Does the founder say that it has given up, or does another node, with another disk, stand where
/// it was?
fn came_to_nothing(pledge: &Pledge, seen: &[Seen]) -> bool {
    let place = pledge.members.iter().find(|(id, _)| *id == pledge.founder);
    let by_id = seen.iter().find(|(_, card)| card.id == pledge.founder);
    let founder = by_id.or_else(|| seen.iter().find(|(addr, _)| Some(addr) == place.map(|p| &p.1)));
    founder.is_some_and(|(_, card)| {
        card.id != pledge.founder
            || card.attempt != Some(pledge.fleet) && card.fleet != Some(pledge.fleet)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(count: u64) -> Vec<String> {
        (1..=count).map(|id| format!("host-{id}")).collect()
    }

    fn card(id: u64, list: &[String]) -> Card {
        let (fleet, attempt, leader) = (None, None, None);
        Card { id: NodeId(id), fleet, attempt, list: list.to_vec(), leader, term: 0 }
    }

    fn seen(list: &[String], ids: &[u64]) -> Vec<Seen> {
        ids.iter().map(|id| (format!("host-{id}"), card(*id, list))).collect()
    }

    fn fresh(id: u64) -> Standing {
        Standing::new(NodeId(id), 1, Bond::default())
    }

    /// A look that takes no time.
    fn look(node: &mut Standing, list: &[String], seen: &[Seen], expect: usize) -> Step {
        let held = node.bond().pledge.clone();
        node.look(list, held.as_ref(), seen, expect)
    }

    const F: FleetId = FleetId(70);
    const G: FleetId = FleetId(71);

    #[test]
    fn the_first_of_enough_founds_and_the_others_wait() {
        let list = list(3);
        assert_eq!(look(&mut fresh(1), &list, &seen(&list, &[1, 2]), 3), Step::Wait);
        assert_eq!(look(&mut fresh(1), &list, &seen(&list, &[1, 2, 3]), 3), Step::Found);
        assert_eq!(look(&mut fresh(2), &list, &seen(&list, &[1, 2, 3]), 3), Step::Wait);
        assert_eq!(look(&mut fresh(2), &list, &seen(&list, &[2, 3]), 2), Step::Found);
    }

    #[test]
    fn a_node_with_another_list_is_not_counted() {
        let list = list(3);
        let mut around = seen(&list, &[1, 2, 3]);
        around[2].1.list.swap(0, 1);
        assert_eq!(look(&mut fresh(1), &list, &around, 3), Step::Wait);
    }

    #[test]
    fn a_node_that_is_listed_twice_counts_once() {
        let list = list(3);
        let mut around = seen(&list, &[1, 2, 3]);
        around[2].1.id = NodeId(2);
        assert_eq!(look(&mut fresh(1), &list, &around, 3), Step::Wait);
    }

    #[test]
    fn who_sees_a_fleet_belongs_to_it() {
        let list = list(3);
        let mut around = seen(&list, &[1, 2, 3]);
        around[2].1.fleet = Some(F);
        let mut node = fresh(1);
        assert_eq!(look(&mut node, &list, &around, 1), Step::Belong);
        assert_eq!(node.fleet(), Some(F));
    }

    #[test]
    fn a_node_promises_itself_once() {
        let list = list(3);
        let around = seen(&list, &[1, 2, 3]);
        let (wanted, rival) = (
            fresh(1).begin(F, &list, &around).unwrap(),
            fresh(2).begin(G, &list, &around).unwrap(),
        );
        let mut node = fresh(3);
        assert!(node.promise(wanted.clone()));
        assert!(node.promise(wanted), "the same again: the answer was lost");
        assert!(!node.promise(rival));
        assert!(node.admits(F) && !node.admits(G));
    }

    #[test]
    fn an_older_round_never_replaces_a_newer_one() {
        let list = list(3);
        let around = seen(&list, &[1, 2, 3]);
        let mut founder = fresh(1);
        let first = founder.begin(F, &list, &around).unwrap();
        founder.collected(false);
        let second = founder.begin(G, &list, &around).unwrap();
        let mut node = fresh(3);
        assert!(node.promise(second) && !node.promise(first));
    }

    #[test]
    fn a_promise_ends_when_its_founder_has_given_up_or_has_lost_its_disk() {
        let list = list(3);
        let mut around = seen(&list, &[1, 2, 3]);
        around[0].1.attempt = Some(F);
        let mut node = fresh(2);
        assert!(node.promise(fresh(1).begin(F, &list, &around).unwrap()));
        let bound = node.clone();
        assert_eq!(look(&mut node, &list, &around, 2), Step::Wait);
        assert_eq!(node, bound, "the founder is at it");
        look(&mut node, &list, &around[1..], 2);
        assert_eq!(node, bound, "the founder is out of sight");
        around[0].1.attempt = None;
        look(&mut node, &list, &around, 2);
        assert_eq!(node.bond(), &Bond::default(), "the founder has given up");
        let mut node = bound;
        around[0].1 = Card { id: NodeId(9), attempt: Some(F), ..card(9, &list) };
        look(&mut node, &list, &around, 2);
        assert_eq!(node.bond(), &Bond::default(), "another node is in its place");
    }

    #[test]
    fn the_leader_is_who_won_the_newest_election_of_this_fleet() {
        let list = list(5);
        let says = |id: u64, fleet, term, leader: Option<u64>| {
            let leader = leader.map(|it| (NodeId(it), format!("host-{it}")));
            (format!("host-{id}"), Card { fleet: Some(fleet), term, leader, ..card(id, &list) })
        };
        let around = vec![says(1, F, 9, Some(1)), says(2, F, 4, Some(2)), says(3, F, 6, Some(3))];
        let more = [says(4, F, 8, None), says(5, G, 9, Some(5))];
        let around = [around, more.to_vec()].concat();
        let host = |id| Some((NodeId(id), format!("host-{id}")));
        assert_eq!(leader_of(F, NodeId(1), around.clone()), host(3));
        assert_eq!(leader_of(F, NodeId(2), around), host(1));
    }

    #[test]
    fn what_was_promised_during_a_look_is_not_undone_by_it() {
        let list = list(3);
        let around = seen(&list, &[1, 2, 3]);
        let wanted = fresh(1).begin(F, &list, &around).unwrap();
        let mut node = fresh(2);
        // The founder had not begun yet when it showed its card.
        assert!(node.promise(wanted.clone()));
        assert_eq!(node.look(&list, None, &around, 3), Step::Wait);
        assert_eq!(node.bond().pledge.as_ref(), Some(&wanted));
        assert_eq!(node.begin(G, &list, &around), None, "it counts in one fleet only");
        assert_eq!(node.bond().pledge, Some(wanted));
    }

    #[test]
    fn an_attempt_does_not_survive_a_restart_and_a_founded_fleet_does() {
        let list = list(3);
        let mut founder = fresh(1);
        let pledge = founder.begin(F, &list, &seen(&list, &[1, 2, 3])).unwrap();
        let died = Standing::new(NodeId(1), 2, founder.bond().clone());
        assert_eq!(died.bond(), &Bond::default());
        founder.collected(true);
        let lives = Standing::new(NodeId(1), 2, founder.bond().clone());
        assert_eq!((lives.fleet(), lives.founded()), (Some(F), Some(&pledge)));
    }

    /// One thing that happens in a fleet that is being formed. Numbers choose among the nodes.
    #[derive(Debug, Clone)]
    enum Event {
        /// A node begins to look around.
        Ponder(usize),
        /// It sees the cards, as they are now, of those of the others that the bits choose.
        Glance(usize, u8),
        /// It decides by what it has seen.
        Decide(usize),
        /// It begins a fleet if it had decided so.
        Begin(usize),
        /// The oldest, or a later, request for a promise arrives (`true`: its answer too).
        Ask(usize, bool),
        /// A founder stops waiting for promises.
        GiveUp(usize),
        /// A node is killed and started again.
        Restart(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..5usize).prop_map(Event::Ponder),
            4 => (0..5usize, any::<u8>()).prop_map(|(node, sight)| Event::Glance(node, sight)),
            4 => (0..5usize).prop_map(Event::Decide),
            4 => (0..5usize).prop_map(Event::Begin),
            8 => (0..20usize, prop::bool::weighted(0.8)).prop_map(|(n, ok)| Event::Ask(n, ok)),
            1 => (0..5usize).prop_map(Event::GiveUp),
            1 => (0..5usize).prop_map(Event::Restart),
        ]
    }

    /// A look around that is under way.
    #[derive(Debug, Clone, Default)]
    struct Look {
        held: Option<Pledge>,
        seen: Vec<Seen>,
        founds: bool,
    }

    /// Nodes, the requests that are under way, and the promises each founder has heard of.
    struct World {
        list: Vec<String>,
        expect: usize,
        nodes: Vec<Standing>,
        looks: Vec<Look>,
        asked: Vec<(NodeId, Pledge)>,
        heard: Vec<(FleetId, NodeId)>,
        fleets: u64,
        founded: Vec<FleetId>,
    }

    impl World {
        fn new(count: u64) -> Self {
            let nodes: Vec<Standing> = (1..=count).map(fresh).collect();
            let (list, expect) = (list(count), count as usize / 2 + 1);
            let (asked, heard, founded) = (Vec::new(), Vec::new(), Vec::new());
            let looks = vec![Look::default(); nodes.len()];
            Self { list, expect, nodes, looks, asked, heard, fleets: 0, founded }
        }

        fn card(&self, at: usize) -> Seen {
            let node = &self.nodes[at];
            let (fleet, attempt) = (node.fleet(), node.attempt());
            (self.list[at].clone(), Card { fleet, attempt, ..card(node.me.0, &self.list) })
        }

        fn happen(&mut self, event: Event) {
            let count = self.nodes.len();
            match event {
                Event::Ponder(at) => self.ponder(at % count),
                Event::Glance(at, sight) => self.glance(at % count, sight),
                Event::Decide(at) => self.decide(at % count),
                Event::Begin(at) => self.begin(at % count),
                Event::Ask(n, answered) if !self.asked.is_empty() => {
                    let (to, pledge) = self.asked.remove(n % self.asked.len());
                    let promised = self.nodes[to.0 as usize - 1].promise(pledge.clone());
                    if promised && answered {
                        self.heard.push((pledge.fleet, to));
                        self.collect(pledge);
                    }
                }
                Event::Ask(..) => {}
                Event::GiveUp(at) => self.nodes[at % count].collected(false),
                Event::Restart(at) => {
                    let node = &self.nodes[at % count];
                    let (boot, bond) = (node.round.0 + 1, node.bond().clone());
                    self.nodes[at % count] = Standing::new(node.me, boot, bond);
                    self.looks[at % count] = Look::default();
                }
            }
        }

        fn ponder(&mut self, at: usize) {
            let held = self.nodes[at].bond().pledge.clone();
            self.looks[at] = Look { held, seen: vec![self.card(at)], founds: false };
        }

        fn glance(&mut self, at: usize, sight: u8) {
            let sees = |other: &usize| *other != at && sight & (1 << other) != 0;
            for other in (0..self.nodes.len()).filter(sees) {
                let seen = self.card(other);
                let look = &mut self.looks[at].seen;
                // Each is asked once.
                if look.iter().all(|(addr, _)| *addr != seen.0) {
                    look.push(seen);
                    look.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
            }
        }

        fn decide(&mut self, at: usize) {
            // A node that collects does not look around meanwhile; each look is decided by once.
            let Look { held, seen, founds } = std::mem::take(&mut self.looks[at]);
            if self.nodes[at].attempt().is_some() || seen.is_empty() || founds {
                return;
            }
            let step = self.nodes[at].look(&self.list, held.as_ref(), &seen, self.expect);
            self.looks[at] = Look { held: None, founds: step == Step::Found, seen };
        }

        fn begin(&mut self, at: usize) {
            let Look { seen, founds: true, .. } = std::mem::take(&mut self.looks[at]) else {
                return;
            };
            self.fleets += 1;
            let fleet = FleetId(self.fleets);
            let Some(pledge) = self.nodes[at].begin(fleet, &self.list, &seen) else { return };
            let others = pledge.members.iter().filter(|(id, _)| *id != pledge.founder);
            self.asked.extend(others.map(|(id, _)| (*id, pledge.clone())));
            self.collect(pledge);
        }

        /// A node looks at all others, decides and acts, all at once.
        fn look(&mut self, at: usize) {
            self.ponder(at);
            self.glance(at, 255);
            self.decide(at);
            self.begin(at);
        }

        /// The founder looks whether all have promised, if it still is at this attempt.
        fn collect(&mut self, pledge: Pledge) {
            let founder = &mut self.nodes[pledge.founder.0 as usize - 1];
            let promised = |id| self.heard.contains(&(pledge.fleet, id)) || id == pledge.founder;
            let all = pledge.members.iter().all(|(id, _)| promised(*id));
            if all && founder.attempt() == Some(pledge.fleet) {
                founder.collected(true);
                self.founded.push(pledge.fleet);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn two_fleets_are_never_formed(
            count in 2..=5u64,
            events in prop::collection::vec(event(), 0..200),
        ) {
            let mut world = World::new(count);
            for event in events {
                world.happen(event);
                prop_assert!(world.founded.len() <= 1, "{:?}", world.founded);
            }
            let fleets: Vec<_> = world.nodes.iter().filter_map(Standing::fleet).collect();
            prop_assert!(fleets.iter().all(|fleet| Some(fleet) == world.founded.first()));
        }

        #[test]
        fn a_fleet_is_formed_once_all_see_each_other(
            count in 2..=5u64,
            events in prop::collection::vec(event(), 0..60),
        ) {
            let mut world = World::new(count);
            for event in events {
                world.happen(event);
            }
            // Requests of the past may still arrive, and make the first attempts fail.
            for _ in 0..4 {
                world.nodes.iter_mut().for_each(|node| node.collected(false));
                (0..world.nodes.len()).for_each(|node| world.look(node));
                while !world.asked.is_empty() {
                    world.happen(Event::Ask(0, true));
                }
            }
            prop_assert_eq!(world.founded.len(), 1);
            prop_assert!(world.nodes.iter().all(|it| it.fleet() == Some(world.founded[0])));
        }
    }
}
