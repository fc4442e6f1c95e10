//! The plan of a seed: who comes when, and what is to go wrong. Each seed has its own weather, so that a
//! fault is sometimes rare, sometimes everywhere, and often absent.

use fastrand::Rng;
use hoody_pipe::pipe::{PipePath, Role};
use hoody_pipe_cluster::Health;

use crate::clients::Client;
use crate::faults::Fault;
use crate::ledger::Sight;
use crate::node::{Mind, Node};
use crate::queue::{At, Ms, What};
use crate::world::{NodeNo, World};

/// How a seed is.
#[derive(Debug, Clone)]
pub struct Weather {
    /// Nothing happens but new views.
    pub views_only: bool,
    nodes: usize,
    names: usize,
    /// Most milliseconds that a frame takes.
    pub latency: Ms,
    /// How many of a thousand frames take up to 300 ms.
    pub spikes: u32,
    /// Most milliseconds until a node has learned of a view.
    pub skew: Ms,
    /// When faults are over.
    until: Ms,
    /// Of a thousand clients, so many leave, and so many senders break off.
    leave: u32,
    break_off: u32,
    /// Of a thousand rounds at a name, in so many all state another `n` than in the others.
    mixed: u32,
    /// How many of each fault.
    flaps: u32,
    storms: u32,
    crashes: u32,
    pauses: u32,
    breaks: u32,
    trunk_breaks: u32,
    partitions: u32,
    stalls: u32,
    drains: u32,
    cancels: u32,
    asks: u32,
}

impl Weather {
    /// The weather of a seed.
    pub fn of(rng: &mut Rng) -> Self {
        let views_only = rng.u32(..4) == 0;
        let mut some = |likely: u32, most: u32| match rng.u32(..100) < likely {
            true => rng.u32(1..=most),
            false => 0,
        };
        let (flaps, storms) = (some(60, 4), some(30, 3));
        let mut bad = |likely, most| if views_only { 0 } else { some(likely, most) };
        let (crashes, pauses, breaks) = (bad(50, 3), bad(40, 4), bad(60, 12));
        let (trunk_breaks, partitions, stalls) = (bad(50, 12), bad(25, 2), bad(30, 4));
        let (drains, cancels) = (bad(25, 2), bad(20, 3));
        let (leave, break_off) = (some(50, 200), some(50, 200));
        let asks = rng.u32(0..20);
        let mixed = *rng.choice(&[0, 0, 0, 400]).unwrap_or(&0);
        let names = if rng.u32(..10) == 0 { rng.usize(10..=50) } else { rng.usize(1..=6) };
        Self {
            views_only,
            nodes: rng.usize(3..=7),
            names,
            latency: if views_only || rng.bool() { rng.u64(1..40) } else { rng.u64(40..300) },
            spikes: if views_only { 0 } else { *rng.choice(&[0, 10, 50]).unwrap_or(&0) },
            skew: if views_only { 200 } else { rng.u64(50..3000) },
            until: rng.u64(8_000..30_000),
            leave,
            break_off,
            mixed,
            flaps,
            storms,
            crashes,
            pauses,
            breaks,
            trunk_breaks,
            partitions,
            stalls,
            drains,
            cancels,
            asks,
        }
    }
}

// The plan.
impl World {
    /// Plans everything that is known beforehand.
    pub fn plan(&mut self) {
        let Weather { nodes, names, views_only, until, .. } = self.weather;
        self.seen.seeds += 1;
        self.seen.views_only += u64::from(views_only);
        self.paths = (0..names)
            .map(|i| PipePath::new(&format!("/name-{i}")).expect("it is a good name"))
            .collect();
        for node in 0..nodes {
            let mind = Mind::new(self.instant(), node, self.views[0].clone(), self.now);
            self.nodes.push(Node {
                alive: true,
                boot: 1,
                paused: false,
                backlog: Vec::new(),
                closed: false,
                health: Some(Health::Up),
                steady: 0,
                mind,
            });
            self.link_own(node);
        }
        self.publish();
        (0..names).for_each(|name| self.plan_clients(name));
        self.plan_faults();
        let until = self.now + until;
        self.after(until, At::World, What::Calm);
    }

    fn plan_clients(&mut self, name: usize) {
        let Weather { names, until, nodes, mixed, .. } = self.weather;
        let n = match self.rng.u32(..20) {
            0 if names < 4 => self.rng.u16(10..=30),
            0..12 => 1,
            _ => self.rng.u16(2..=4),
        };
        let rounds = if names > 10 { 1 } else { self.rng.u32(1..=4) };
        for _ in 0..rounds {
            let from = self.rng.u64(0..until);
            let spread = *self.rng.choice(&[100, 1000, 6000]).unwrap_or(&100);
            let n = if self.chance(mixed) { n + 1 } else { n };
            let extra = if self.chance(200) { self.rng.i32(-1..=2) } else { 0 };
            let receivers = (i32::from(n) + extra).max(0);
            let senders = if self.chance(150) { 2 } else { 1 };
            let roles = std::iter::repeat_n(Role::Receiver, receivers as usize)
                .chain(std::iter::repeat_n(Role::Sender, senders));
            for role in roles {
                let n = if self.chance(10) { n + 1 } else { n };
                let node = self.rng.usize(0..nodes);
                let comes = from + self.rng.u64(0..=spread);
                self.plan_client(name, node, role, n, comes);
            }
        }
    }

    fn plan_client(&mut self, name: usize, node: NodeNo, role: Role, n: u16, comes: Ms) {
        let pieces = self.rng.u32(1..=6);
        let wait = if self.chance(150) { self.rng.u64(500..9000) } else { 200_000 };
        let pause = *self.rng.choice(&[5, 100, 1000, 4000]).unwrap_or(&5);
        let break_off = self.weather.break_off;
        let breaks_off = self.chance(break_off).then(|| self.rng.u32(0..pieces));
        let (came, shell, sight) = (None, None, Sight::default());
        let c = self.clients.len();
        let client =
            Client { node, name, role, n, wait, pieces, pause, breaks_off, came, shell, sight };
        self.clients.push(client);
        self.after(comes, At::World, What::Comes(c));
        let leave = self.weather.leave;
        if self.chance(leave) {
            let leaves = comes + self.rng.u64(0..8000);
            self.after(leaves, At::World, What::Leaves(c));
        }
    }

    fn plan_faults(&mut self) {
        let Weather { until, nodes, names, .. } = self.weather;
        let weather = self.weather.clone();
        let when = |rng: &mut Rng| rng.u64(500..until);
        let plan = |world: &mut Self, times: u32, make: &dyn Fn(&mut Rng) -> Fault| {
            for _ in 0..times {
                let (at, fault) = (when(&mut world.rng), make(&mut world.rng));
                world.after(at, At::World, What::Fault(fault));
            }
        };
        plan(self, weather.flaps, &|rng| Fault::Flap(rng.usize(0..nodes), rng.u64(300..10_000)));
        plan(self, weather.crashes, &|rng| {
            Fault::Crash(rng.usize(0..nodes), rng.bool(), rng.u64(200..12_000))
        });
        plan(self, weather.pauses, &|rng| Fault::Pause(rng.usize(0..nodes), rng.u64(100..14_000)));
        plan(self, weather.breaks, &|rng| {
            let (a, b) = (rng.usize(0..nodes), rng.usize(0..nodes));
            Fault::BreakLinks(a, b, rng.bool(), *rng.choice(&[50, 500, 6000]).unwrap_or(&50))
        });
        plan(self, weather.trunk_breaks, &|_| Fault::BreakTrunk);
        plan(self, weather.partitions, &|rng| {
            let some = (0..nodes).filter(|_| rng.bool()).collect();
            Fault::Partition(some, rng.u64(500..20_000))
        });
        plan(self, weather.stalls, &|rng| {
            Fault::Stall(rng.usize(0..nodes), rng.usize(0..nodes), rng.u64(100..4_500))
        });
        plan(self, weather.drains, &|rng| Fault::Drain(rng.usize(0..nodes)));
        plan(self, weather.cancels, &|rng| Fault::Cancel(rng.usize(0..nodes), rng.usize(0..names)));
        plan(self, weather.asks, &|rng| Fault::Ask(rng.usize(0..nodes), rng.usize(0..names)));
        for _ in 0..weather.storms {
            let (mut at, node) = (when(&mut self.rng), self.rng.usize(0..nodes));
            for _ in 0..self.rng.u32(3..10) {
                let down = self.rng.u64(5..400);
                self.after(at, At::World, What::Fault(Fault::Flap(node, down)));
                at += down + self.rng.u64(5..400);
            }
        }
    }
}
