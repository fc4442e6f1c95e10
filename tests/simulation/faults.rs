//! What goes wrong: views that change, nodes that crash, pause and drain, links and trunks that break; and
//! how all of it comes to rest.

use std::sync::Arc;

use hoody_pipe::pipe::{Call, PartyId, Role};
use hoody_pipe_cluster::{Epoch, Health, Member, View};

use crate::clients::Post;
use crate::ledger::Over;
use crate::node::{Mind, Node, id_of};
use crate::queue::{At, Ms, What};
use crate::weather::Weather;
use crate::world::{LinkNo, NodeNo, TrunkNo, World};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The fleet thinks otherwise of a node.
    Health(NodeNo, Health),
    /// A member seems down for so long.
    Flap(NodeNo, Ms),
    /// Kills it, or takes its host away; it is back after so long.
    Crash(NodeNo, bool, Ms),
    Restart(NodeNo),
    Pause(NodeNo, Ms),
    Resume(NodeNo, u64),
    /// The links between two nodes break; trunks between them.
    BreakLinks(NodeNo, NodeNo, bool, Ms),
    BreakTrunks(NodeNo, NodeNo),
    /// Any trunk that is there.
    BreakTrunk,
    /// Nothing gets through between these and the others for so long.
    Partition(Vec<NodeNo>, Ms),
    /// Nothing gets through between two nodes.
    Stall(NodeNo, NodeNo, Ms),
    Drain(NodeNo),
    Close(NodeNo),
    ShutDown(NodeNo),
    Gone(NodeNo),
    /// A DELETE arrives at a node.
    Cancel(NodeNo, usize),
    /// Somebody asks there what is at a name.
    Ask(NodeNo, usize),
}

// What happens then.
impl World {
    /// A fault. When faults are over, those that were to come do not.
    pub fn fault(&mut self, fault: Fault) {
        if self.calm.is_some() {
            return;
        }
        let views_only = matches!(fault, Fault::Health(..) | Fault::Flap(..) | Fault::Ask(..));
        if !views_only {
            self.ledger.last_fault = Some(self.now);
        }
        if !matches!(fault, Fault::Cancel(..)) {
            self.ledger.last_trouble = Some(self.now);
        }
        match fault {
            Fault::Health(node, health) => {
                if self.nodes[node].alive && self.nodes[node].health.is_some_and(is_present) {
                    self.set_health(node, Some(health));
                }
            }
            Fault::Flap(node, down) => {
                if self.nodes[node].health == Some(Health::Up) && self.up() > 1 {
                    self.set_health(node, Some(Health::Down));
                    let up = Fault::Health(node, Health::Up);
                    self.after(down, At::World, What::Fault(up));
                }
            }
            Fault::Crash(node, vanish, back) => self.crash(node, vanish, back),
            Fault::Restart(node) => self.restart(node),
            Fault::Pause(node, ms) => self.pause(node, ms),
            Fault::Resume(node, life) => self.resume_node(node, life),
            Fault::BreakLinks(a, b, late, notice) => self.break_links(a, b, late, notice),
            Fault::BreakTrunks(a, b) => self.break_trunks(a, b, (0, 1500)),
            Fault::BreakTrunk => {
                let all: Vec<TrunkNo> = self.trunks.keys().copied().collect();
                if let Some(&trunk) = self.rng.choice(&all) {
                    let notice = *self.rng.choice(&[20, 300, 2000]).unwrap_or(&20);
                    self.break_trunk(trunk, (0, notice));
                }
            }
            Fault::Partition(some, ms) => {
                for a in 0..self.nodes.len() {
                    for &b in some.iter().filter(|_| !some.contains(&a)) {
                        self.stall(a, b, ms);
                    }
                }
            }
            Fault::Stall(a, b, ms) => self.stall(a, b, ms),
            Fault::Drain(node) => self.drain(node),
            Fault::Close(node) => self.nodes[node].closed = true,
            Fault::ShutDown(node) => self.shut_down(node),
            Fault::Gone(node) => self.gone(node),
            Fault::Cancel(node, name) => self.cancel(node, name),
            Fault::Ask(node, name) => self.ask(node, name),
        }
    }

    fn up(&self) -> usize {
        self.nodes.iter().filter(|node| node.alive && node.health == Some(Health::Up)).count()
    }

    fn set_health(&mut self, node: NodeNo, health: Option<Health>) {
        if self.nodes[node].health != health {
            self.nodes[node].health = health;
            self.publish();
        }
    }

    /// A new view: each node learns of it at its own time.
    pub fn publish(&mut self) {
        let epoch = self.views[self.views.len() - 1].epoch().0 + self.rng.u64(1..=3);
        let member = |(i, node): (usize, &Node)| {
            let (id, name) = (id_of(i), format!("node-{i}"));
            let (addr, region, boot) = (None, String::new(), node.boot);
            node.health.map(|health| Member { id, name, addr, region, boot, health })
        };
        let members = self.nodes.iter().enumerate().filter_map(member).collect();
        let view = View::of(Epoch(epoch), self.seed_of_placement.clone(), members);
        self.views.push(Arc::new(view));
        self.seen.views += 1;
        let newest = self.views.len() - 1;
        let first = self.views.len() == 2;
        for node in 0..self.nodes.len() {
            let most = if first {
                1
            } else {
                *self.rng.choice(&[20, 200, self.weather.skew]).unwrap_or(&20)
            };
            let most =
                if self.calm.is_some() { most.min(300) } else { most.min(self.weather.skew) };
            let delay = self.rng.u64(0..=most);
            if self.nodes[node].alive {
                self.after_at(delay, node, What::Learn(newest));
            }
        }
        self.ask_around();
    }

    /// Somebody asks while names move.
    fn ask_around(&mut self) {
        for _ in 0..3 {
            let (node, name) =
                (self.rng.usize(0..self.nodes.len()), self.rng.usize(0..self.paths.len()));
            let when = self.rng.u64(0..self.weather.skew + 1500);
            self.after(when, At::World, What::Fault(Fault::Ask(node, name)));
        }
    }

    /// A node learns of a view, if it is newer than what it knows.
    pub fn learn(&mut self, node: NodeNo, view: usize) {
        let view = self.views[view].clone();
        if view.epoch() <= self.nodes[node].mind.view.epoch() {
            return;
        }
        let now = self.now;
        let mind = &mut self.nodes[node].mind;
        let others: Vec<NodeNo> = view
            .members()
            .iter()
            .map(|m| crate::node::node_of(m.id.0))
            .filter(|&o| o != node)
            .collect();
        (mind.view, mind.view_since) = (view, now);
        let lost: Vec<NodeNo> = mind.kept.iter().copied().filter(|o| !others.contains(o)).collect();
        let new: Vec<NodeNo> = others.into_iter().filter(|o| !mind.kept.contains(o)).collect();
        for owner in lost {
            self.nodes[node].mind.kept.remove(&owner);
            let links = self.links.iter();
            let mine: Vec<LinkNo> = links
                .filter(|(_, l)| (l.edge, l.owner) == (node, owner) && l.edge_open)
                .map(|(no, _)| *no)
                .collect();
            mine.into_iter().for_each(|no| self.end_at_edge(no));
        }
        for owner in new {
            self.nodes[node].mind.kept.insert(owner);
            let delay = self.rng.u64(0..20);
            self.after_at(delay, node, What::Redial(owner));
        }
        self.post_all(node, |_| Post::View);
        self.turn(node);
        self.tell_view(node);
    }

    /// How long a frame takes between two nodes.
    pub fn delay(&mut self, a: NodeNo, b: NodeNo) -> Ms {
        let stalled = self.stalled.get(&pair(a, b)).copied().unwrap_or(0).saturating_sub(self.now);
        let Weather { latency, spikes, .. } = self.weather;
        let spike =
            if self.calm.is_none() && self.chance(spikes) { self.rng.u64(0..300) } else { 0 };
        stalled + spike + self.rng.u64(0..=latency)
    }

    /// Does nothing get through between two nodes?
    pub fn is_cut_off(&self, a: NodeNo, b: NodeNo) -> bool {
        self.stalled.get(&pair(a, b)).is_some_and(|until| *until > self.now)
    }

    fn stall(&mut self, a: NodeNo, b: NodeNo, ms: Ms) {
        if a == b {
            return;
        }
        self.seen.stalls += 1;
        let until = self.now + ms;
        let stalled = self.stalled.entry(pair(a, b)).or_default();
        *stalled = until.max(*stalled);
        self.fall_silent(a, b, ms);
    }

    /// Two nodes do not hear each other for so long: links end after five seconds, trunks after ten.
    fn fall_silent(&mut self, a: NodeNo, b: NodeNo, ms: Ms) {
        if ms > 5000 {
            self.after(5000, At::World, What::Fault(Fault::BreakLinks(a, b, true, 1000)));
        }
        if ms > 10_000 {
            self.after(10_000, At::World, What::Fault(Fault::BreakTrunks(a, b)));
        }
    }

    fn break_links(&mut self, a: NodeNo, b: NodeNo, late: bool, notice: Ms) {
        let between = |l: &crate::links::Link| pair(l.edge, l.owner) == pair(a, b);
        let all = self.links.iter().filter(|(_, l)| between(l) && !l.broken);
        let all: Vec<LinkNo> = all.map(|(no, _)| *no).collect();
        all.into_iter().for_each(|no| self.break_link(no, late, notice));
    }

    fn break_trunks(&mut self, a: NodeNo, b: NodeNo, notice: (Ms, Ms)) {
        let between = |t: &crate::trunks::Trunk| pair(t.from.0, t.to.0) == pair(a, b);
        let all = self.trunks.iter().filter(|(_, t)| between(t) && !t.broken);
        let all: Vec<TrunkNo> = all.map(|(no, _)| *no).collect();
        all.into_iter().for_each(|no| self.break_trunk(no, notice));
    }

    fn crash(&mut self, node: NodeNo, vanish: bool, back: Ms) {
        if !self.nodes[node].alive || self.up() < 2 {
            return;
        }
        self.seen.crashes += 1;
        self.die(node, vanish);
        let noticed = if vanish { self.rng.u64(5000..7000) } else { self.rng.u64(800..2000) };
        if noticed < back {
            // It is dead, so this is not a matter of what it says.
            self.after(noticed, At::World, What::Fault(Fault::Gone(node)));
        }
        self.after(back, At::World, What::Fault(Fault::Restart(node)));
    }

    /// All that a node was is gone. The others see that at once, or after a while.
    fn die(&mut self, node: NodeNo, vanish: bool) {
        let there = &mut self.nodes[node];
        (there.alive, there.paused) = (false, false);
        there.backlog.clear();
        let parties: Vec<_> = there.mind.parties.iter().copied().collect();
        for c in parties {
            let transfer = match self.clients[c].role {
                Role::Sender => self.transfer_of(c),
                Role::Receiver => self.lane_of(c),
            };
            if let Some(transfer) = transfer {
                let entry = self.ledger.of(transfer);
                match self.clients[c].role {
                    Role::Sender => entry.failed = true,
                    Role::Receiver => entry.lost += 1,
                }
            }
            self.over(c, Over::Crashed);
        }
        let (links, trunks) = if vanish { (6000, (10_000, 12_000)) } else { (50, (0, 50)) };
        for other in (0..self.nodes.len()).filter(|&other| other != node) {
            self.break_links(node, other, true, links);
            self.break_trunks(node, other, trunks);
        }
        self.forget_trunks(node);
    }

    fn restart(&mut self, node: NodeNo) {
        if self.nodes[node].alive {
            return;
        }
        self.seen.restarts += 1;
        let old = self.rng.usize(0..self.views.len());
        let old = if self.rng.bool() { 0 } else { old };
        let mind = Mind::new(self.instant(), node, self.views[0].clone(), self.now);
        let now = self.now;
        let there = &mut self.nodes[node];
        (there.alive, there.closed, there.mind, there.steady) = (true, false, mind, now);
        there.boot += 1;
        self.link_own(node);
        self.after_at(0, node, What::Learn(old));
        let newest = self.views.len() - 1;
        let delay = self.rng.u64(100..1000);
        self.after_at(delay, node, What::Learn(newest));
        // A new life of a member is a new view, also when it was never missed.
        self.nodes[node].health = Some(Health::Up);
        self.publish();
    }

    fn pause(&mut self, node: NodeNo, ms: Ms) {
        if !self.nodes[node].alive || self.nodes[node].paused {
            return;
        }
        self.seen.pauses += 1;
        self.nodes[node].paused = true;
        let resume = Fault::Resume(node, self.nodes[node].boot);
        self.after(ms, At::World, What::Fault(resume));
        for other in (0..self.nodes.len()).filter(|&other| other != node) {
            self.fall_silent(node, other, ms);
        }
        if ms > 5000 && self.up() > 1 {
            self.after(5500, At::World, What::Fault(Fault::Flap(node, ms + 5000)));
        }
    }

    fn resume_node(&mut self, node: NodeNo, life: u64) {
        let now = self.now;
        let there = &mut self.nodes[node];
        if there.boot != life || !there.paused {
            return;
        }
        (there.paused, there.steady) = (false, now);
        // What has waited comes in any order, but for that of each link, trunk and inbox.
        for what in std::mem::take(&mut there.backlog) {
            let delay = self.rng.u64(0..3);
            self.after_at(delay, node, what);
        }
    }

    fn drain(&mut self, node: NodeNo) {
        if !self.nodes[node].alive || self.nodes[node].health != Some(Health::Up) || self.up() < 2 {
            return;
        }
        self.seen.drains += 1;
        self.set_health(node, Some(Health::Draining));
        let stop = self.rng.u64(2000..9000);
        self.after(1000, At::World, What::Fault(Fault::Close(node)));
        self.after(stop, At::World, What::Fault(Fault::ShutDown(node)));
        self.after(stop + 3000, At::World, What::Fault(Fault::Gone(node)));
        let back = stop + self.rng.u64(3500..8000);
        self.after(back, At::World, What::Fault(Fault::Restart(node)));
    }

    fn shut_down(&mut self, node: NodeNo) {
        if self.nodes[node].alive {
            self.nodes[node].closed = true;
            self.post_all(node, |_| Post::Shutdown);
        }
    }

    /// A node that is dead, or has drained, is no member any more.
    fn gone(&mut self, node: NodeNo) {
        match (self.nodes[node].alive, self.nodes[node].health) {
            (true, Some(Health::Draining)) => {
                self.die(node, false);
                self.set_health(node, None);
            }
            (true, _) | (false, None) => {}
            (false, Some(_)) => self.set_health(node, Some(Health::Down)),
        }
    }

    fn cancel(&mut self, node: NodeNo, name: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.seen.cancels += 1;
        self.ledger.cancelled.insert(name);
        let view = self.nodes[node].mind.view.clone();
        let Some(owner) = view.owner(self.paths[name].as_str().as_bytes()) else { return };
        let asker = PartyId { origin: id_of(node).0, boot: self.nodes[node].boot, seq: 0 };
        let call = Call::Cancel { asker, reason: None };
        let (epoch, path) = (view.epoch().0, self.paths[name].clone());
        self.say(node, owner.0, hoody_pipe::edge::wire::Up { epoch, path, call });
    }
}

// Afterwards.
impl World {
    /// Faults are over: what is paused goes on, what is cut off is not, and one last view says so.
    pub fn calm_down(&mut self) {
        let back = self.rng.bool();
        for ((a, b), until) in std::mem::take(&mut self.stalled) {
            // What was stalled would come too late.
            if until > self.now {
                self.break_links(a, b, true, 1000);
                self.break_trunks(a, b, (0, 1000));
            }
        }
        for node in 0..self.nodes.len() {
            let there = &mut self.nodes[node];
            if there.health == Some(Health::Draining) {
                self.shut_down(node);
            }
            let life = self.nodes[node].boot;
            self.resume_node(node, life);
            if !self.nodes[node].alive && (back || self.up() == 0) {
                self.restart(node);
            }
            let there = &mut self.nodes[node];
            there.health = match (there.alive, there.health) {
                (true, Some(Health::Draining)) => Some(Health::Draining),
                (true, _) => Some(Health::Up),
                (false, _) => None,
            };
        }
        self.calm = Some(self.now);
        self.publish();
        self.after(1000, At::World, What::Look);
        self.after(32_000, At::World, What::Farewell);
    }

    /// The next look, or the end.
    pub fn look_again(&mut self) {
        let Some(calm) = self.calm else { return };
        if self.now > calm + 32_000 + 30_000 {
            self.nothing_is_left();
            return self.finish();
        }
        self.after(500, At::World, What::Look);
    }

    /// Everybody leaves.
    pub fn farewell(&mut self) {
        for c in 0..self.clients.len() {
            let delay = self.rng.u64(0..1000);
            self.after(delay, At::World, What::Leaves(c));
        }
    }
}

fn pair(a: NodeNo, b: NodeNo) -> (NodeNo, NodeNo) {
    (a.min(b), a.max(b))
}

fn is_present(health: Health) -> bool {
    matches!(health, Health::Up | Health::Down)
}
