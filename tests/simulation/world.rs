//! The simulated fleet: its clock, its nodes, what is under way between them, and the loop that lets one
//! thing happen after the other. What each thing does is told in the files of the parts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hoody_pipe::pipe::{PartyId, PipePath, TransferId};
use hoody_pipe_cluster::{Seed, View};

use crate::clients::Client;
use crate::coverage::Coverage;
use crate::ledger::{Flaw, Ledger};
use crate::links::Link;
use crate::mutants::Mutant;
use crate::node::Node;
use crate::queue::{At, Event, Ms, Queue, What};
use crate::trace::Trace;
use crate::trunks::Trunk;
use crate::weather::Weather;

pub type NodeNo = usize;
pub type ClientNo = usize;
pub type LinkNo = u64;
pub type TrunkNo = u64;

/// No run needs so many events: one that does runs in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// The fleet.
pub struct World {
    pub now: Ms,
    base: Instant,
    pub rng: Rng,
    queue: Queue,
    pub weather: Weather,
    pub mutant: Option<Mutant>,
    pub paths: Vec<PipePath>,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    pub ids: HashMap<PartyId, ClientNo>,
    pub links: BTreeMap<LinkNo, Link>,
    pub trunks: BTreeMap<TrunkNo, Trunk>,
    /// All views so far. The first is the unknown one.
    pub views: Vec<Arc<View>>,
    pub seed_of_placement: Seed,
    /// Until when nothing gets through between two nodes, the lower one first.
    pub stalled: BTreeMap<(NodeNo, NodeNo), Ms>,
    pub ledger: Ledger,
    pub seen: Coverage,
    pub trace: Trace,
    pub flaw: Option<Flaw>,
    /// Nothing bad happens any more since then.
    pub calm: Option<Ms>,
    numbers: u64,
    over: bool,
}

impl World {
    /// The world of a seed, before anything has happened.
    pub fn new(seed: u64, mutant: Option<Mutant>, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = Weather::of(&mut rng);
        let seed_of_placement = Seed(std::array::from_fn(|_| rng.u8(..)));
        let mut world = Self {
            now: 1000,
            base: Instant::now(),
            rng,
            queue: Queue::default(),
            weather,
            mutant,
            paths: Vec::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            ids: HashMap::new(),
            links: BTreeMap::new(),
            trunks: BTreeMap::new(),
            views: vec![Arc::new(View::unknown())],
            seed_of_placement,
            stalled: BTreeMap::new(),
            ledger: Ledger::default(),
            seen: Coverage::default(),
            trace: Trace::new(trace),
            flaw: None,
            calm: None,
            numbers: 0,
            over: false,
        };
        world.plan();
        world
    }

    /// Lets everything happen, until the end or the first flaw.
    pub fn run(&mut self) {
        while let Some((when, event)) = self.queue.pop() {
            debug_assert!(when >= self.now, "time goes on");
            self.now = when;
            self.seen.events += 1;
            if self.seen.events > EVENTS_MAX {
                self.flaw("END", "it runs in circles".into());
            }
            self.happen(event);
            if self.over || self.flaw.is_some() {
                return;
            }
        }
    }

    /// The last event has happened.
    pub fn finish(&mut self) {
        self.over = true;
    }

    fn happen(&mut self, event: Event) {
        if let At::Node(node, life) = event.at {
            let there = &mut self.nodes[node];
            if !there.alive || there.boot != life {
                return;
            }
            if there.paused {
                there.backlog.push(event.what);
                return;
            }
            self.trace.note(self.now, || format!("node {node}: {:?}", event.what));
            self.happen_at(node, event.what);
        } else {
            if event.what != What::Look {
                self.trace.note(self.now, || format!("{:?}", event.what));
            }
            self.happen_to_all(event.what);
        }
    }

    fn happen_to_all(&mut self, what: What) {
        match what {
            What::Comes(client) => self.comes(client),
            What::Leaves(client) => self.leaves(client),
            What::Fault(fault) => self.fault(fault),
            What::Calm => self.calm_down(),
            What::Farewell => self.farewell(),
            What::Look => self.look(),
            what => unreachable!("{what:?} happens at a node"),
        }
    }

    fn happen_at(&mut self, node: NodeNo, what: What) {
        match what {
            What::Comes(client) => self.comes(client),
            What::Leaves(client) => self.leaves(client),
            What::Learn(view) => self.learn(node, view),
            What::Redial(owner) => self.redial(node, owner),
            What::Frame(link, side, generation) => self.frame(link, side, generation),
            What::LinkLost(link, side) => self.link_lost(link, side),
            What::TrunkLost(trunk, side) => self.trunk_lost(trunk, side),
            What::Held(link, hold) => self.held_long_enough(link, hold),
            What::Inbox(client) => self.take_post(client),
            What::Timer(client, at) => self.ring(client, at),
            What::Alarm(name, at) => self.wake_name(node, name, at),
            What::TrunkFrame(trunk, side, generation) => self.trunk_frame(trunk, side, generation),
            What::Dialing(transfer, at) => self.dialing_clock(node, transfer, at),
            What::Drained(trunk) => self.drained(trunk),
            What::Unreachable(transfer, trunk) => self.unreachable(node, transfer, trunk),
            What::Expire => self.expire_dials(node),
            What::LaneGone(sender, transfer, way) => self.lane_gone(sender, transfer, way),
            What::LaneEnded(receiver, transfer, end) => self.lane_ended(receiver, transfer, end),
            What::Confirm(sender, transfer) => self.confirm(sender, transfer),
            What::Source(sender) => self.source(sender),
            what => unreachable!("{what:?} happens to all"),
        }
    }

    /// Something is to happen in so many milliseconds.
    pub fn after(&mut self, delay: Ms, at: At, what: What) {
        let tie = self.rng.u32(..);
        self.queue.push(self.now + delay, tie, Event { at, what });
    }

    /// The same at this life of a node.
    pub fn after_at(&mut self, delay: Ms, node: NodeNo, what: What) {
        let at = At::Node(node, self.nodes[node].boot);
        self.after(delay, at, what);
    }

    /// A number that nobody else has.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A fresh match id.
    pub fn mint(&mut self) -> TransferId {
        TransferId::from_u128(u128::from(self.number()))
    }

    /// The machines' clock.
    pub fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.now)
    }

    /// A moment of that clock.
    pub fn ms(&self, instant: Instant) -> Ms {
        let since = instant.saturating_duration_since(self.base);
        u64::try_from(since.as_millis()).unwrap_or(Ms::MAX)
    }

    /// A moment of the past on the machines' clock.
    pub fn instant_of(&self, ms: Ms) -> Instant {
        self.base + Duration::from_millis(ms)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.rng.u32(..1000) < per_mille
    }

    /// A rule is broken; the first one counts.
    pub fn flaw(&mut self, rule: &'static str, what: String) {
        if self.flaw.is_none() {
            self.trace.note(self.now, || format!("{rule} IS BROKEN: {what}"));
            self.flaw = Some(Flaw { rule, what, at: self.now });
        }
    }

    /// Is this rule switched off?
    pub fn lacks(&self, rule: Mutant) -> bool {
        self.mutant == Some(rule)
    }
}
