//! A node as an owner: the thin shell around [`Rendezvous`], one for each name somebody is at, and around
//! the judge of what comes from other nodes. Mirrors `edge/owning.rs` and `pipe/registry.rs`.

use hoody_pipe::edge::judge::{Verdict, judge, wants_all};
use hoody_pipe::edge::wire::{Down, Up};
use hoody_pipe::pipe::progress::Past;
use hoody_pipe::pipe::rendezvous::{Output, Rendezvous, Room};
use hoody_pipe::pipe::{
    Answer, Call, Failure, PartyId, PublicId, ReplyTo, Seat, Snapshot, TransferId,
};

use crate::links::OWN;
use crate::mutants::Mutant;
use crate::node::id_of;
use crate::queue::{Ms, What};
use crate::world::{LinkNo, NodeNo, World};

/// How long a link waits for a view that its edge knows and this node does not.
const HOLD_MAX: Ms = 2000;

/// What the clock of a name shows when the world begins: far from zero.
const ORIGIN: Ms = 1 << 40;

/// One name that somebody is at.
#[derive(Default)]
pub struct Name {
    pub machine: Rendezvous,
    alarm: Option<Ms>,
}

/// A node with room for everything, which remembers nothing of what is over.
struct Floor<'a> {
    mint: &'a mut dyn FnMut() -> TransferId,
    expects: bool,
}

impl Room for Floor<'_> {
    fn wait(&mut self) -> bool {
        true
    }
    fn start(&mut self) -> bool {
        true
    }
    fn watch(&mut self, _: usize) -> bool {
        true
    }
    fn expects(&mut self) -> bool {
        self.expects
    }
    fn mint(&mut self) -> TransferId {
        (self.mint)()
    }
    fn take(&mut self, _: &PublicId, _: bool) -> bool {
        true
    }
    fn give_back(&mut self, _: &PublicId) {}
    fn shelve(&mut self, _: Past) {}
    fn forget(&mut self) {}
    fn recall(&mut self, _: Option<&PublicId>) -> Option<Snapshot> {
        None
    }
}

impl World {
    /// A frame of an edge is heard, in the order of its link.
    pub fn hear(&mut self, no: LinkNo, up: Up) {
        let link = &self.links[&no];
        let (owner, own) = (link.owner, link.owner_id == OWN);
        let name = self.name_of(&up.path);
        if own {
            return self.deliver(owner, name, ReplyTo(OWN), up.call);
        }
        let known = self.nodes[owner].mind.view.epoch().0;
        let caught_up = known >= up.epoch;
        let news = matches!(up.call, Call::Ready { .. } | Call::Resume { .. });
        if !caught_up && news && self.lacks(Mutant::NotHeld) {
            if self.is_mine(owner, name) {
                self.deliver(owner, name, ReplyTo(self.links[&no].owner_id), up.call);
            }
            return;
        }
        let number = self.number();
        let link = self.links.get_mut(&no).expect("links are kept");
        if link.held.is_some() || (!caught_up && up.epoch > link.missed) {
            if link.held.is_none() {
                link.held = Some((number, up.epoch));
                self.seen.held += 1;
                self.after_at(HOLD_MAX, owner, What::Held(no, number));
            }
            let link = self.links.get_mut(&no).expect("links are kept");
            link.waiting.push_back(up);
            return;
        }
        let from = ReplyTo(link.owner_id);
        match judge(caught_up, self.is_mine(owner, name), &up.call) {
            Verdict::Deliver => self.deliver(owner, name, from, up.call),
            Verdict::Moved(seat) => self.answer(owner, from, Down::Moved { seat, epoch: known }),
            Verdict::Ignore => {}
        }
    }

    /// A link was held for as long as it may be.
    pub fn held_long_enough(&mut self, no: LinkNo, hold: u64) {
        let Some(link) = self.links.get_mut(&no) else { return };
        let Some((_, epoch)) = link.held.filter(|(number, _)| *number == hold) else { return };
        link.missed = link.missed.max(epoch);
        self.seen.held_in_vain += 1;
        self.let_go_on(no);
    }

    /// Goes on with what was held.
    fn let_go_on(&mut self, no: LinkNo) {
        let Some(link) = self.links.get_mut(&no) else { return };
        link.held = None;
        for up in std::mem::take(&mut link.waiting) {
            self.hear(no, up);
        }
    }

    /// The node has a newer view: names that live elsewhere now are told so, and links that have waited
    /// for it go on.
    pub fn turn(&mut self, node: NodeNo) {
        let now = self.instant();
        let mind = &mut self.nodes[node].mind;
        mind.takeover.see(now, &mind.view);
        let names: Vec<usize> = self.nodes[node].mind.names.keys().copied().collect();
        for name in names {
            if !self.is_mine(node, name) {
                self.seen.evicted += 1;
                self.step(node, name, ReplyTo(OWN), Call::Evict);
            }
        }
        let epoch = self.nodes[node].mind.view.epoch().0;
        let links: Vec<LinkNo> = self.nodes[node].mind.ways_back.values().copied().collect();
        for no in links {
            if self.links[&no].held.is_some_and(|(_, wanted)| wanted <= epoch) {
                self.let_go_on(no);
            }
        }
    }

    /// A link is lost: all names hear of it.
    pub fn lose_link(&mut self, node: NodeNo, link: ReplyTo) {
        let names: Vec<usize> = self.nodes[node].mind.names.keys().copied().collect();
        for name in names {
            self.step(node, name, link, Call::Gone { link });
        }
    }

    /// Is that name this node's in its newest view?
    pub fn is_mine(&self, node: NodeNo, name: usize) -> bool {
        let key = self.paths[name].as_str().as_bytes();
        self.nodes[node].mind.view.owner(key) == Some(id_of(node))
    }

    fn deliver(&mut self, node: NodeNo, name: usize, from: ReplyTo, call: Call) {
        let hasty = self.lacks(Mutant::HastyLook) && matches!(call, Call::Status { .. });
        if wants_all(&call) && !hasty && self.is_fresh(node, name) {
            self.seen.collected += 1;
            self.step(node, name, ReplyTo(OWN), Call::Collect);
        }
        let returns = matches!(call, Call::Withdraw { .. }) && self.is_mine(node, name);
        self.step(node, name, from, call);
        if returns && !self.lacks(Mutant::SkippedViews) {
            self.step(node, name, ReplyTo(OWN), Call::Collect);
        }
    }

    fn is_fresh(&mut self, node: NodeNo, name: usize) -> bool {
        let now = self.instant();
        let mind = &mut self.nodes[node].mind;
        mind.takeover.see(now, &mind.view);
        mind.takeover.is_fresh(now, self.paths[name].as_str().as_bytes())
    }

    /// One call to a name, or none to wake it.
    fn step(&mut self, node: NodeNo, name: usize, from: ReplyTo, call: Call) {
        let names = &self.nodes[node].mind.names;
        if !names.contains_key(&name) && !starts(&call) {
            if let Some(answer) = turned_away(&call) {
                self.answer(node, from, Down::Answer(answer));
            }
            return;
        }
        self.run_name(node, name, Some((from, call)));
    }

    /// A name is woken, unless it has changed its mind.
    pub fn wake_name(&mut self, node: NodeNo, name: usize, at: Ms) {
        if let Some(there) = self.nodes[node].mind.names.get_mut(&name)
            && there.alarm == Some(at)
        {
            there.alarm = None;
            self.run_name(node, name, None);
        }
    }

    fn run_name(&mut self, node: NodeNo, name: usize, call: Option<(ReplyTo, Call)>) {
        self.trace.note(self.now, || format!("  name {name} at node {node}: {call:?}"));
        let now = ORIGIN + self.now;
        let mut there = self.nodes[node].mind.names.remove(&name).unwrap_or_default();
        let expects = self.is_fresh(node, name);
        let mut mint = || self.mint();
        let room = &mut Floor { mint: &mut mint, expects };
        let before = there.machine.held_back();
        let outputs = match call {
            Some((from, call)) => there.machine.step(now, from, call, room),
            None => there.machine.wake(now, room),
        };
        let alarm = there.machine.wakes().map(|at| at - ORIGIN);
        let held_back = there.machine.held_back();
        let idle = there.machine.is_idle();
        if !idle && there.alarm != alarm {
            there.alarm = alarm;
            if let Some(at) = alarm {
                self.after_at(at.saturating_sub(self.now), node, What::Alarm(name, at));
            }
        }
        if !idle {
            self.nodes[node].mind.names.insert(name, there);
        }
        self.seen.held_back += held_back.saturating_sub(before) as u64;
        for Output { to, answer } in outputs {
            self.answer(node, to, Down::Answer(answer));
        }
    }

    /// The transfer that has a name at that node.
    pub fn taken_by(&self, node: NodeNo, name: usize) -> Option<TransferId> {
        self.nodes[node].mind.names.get(&name)?.machine.taken_by()
    }

    /// The number of a name.
    pub fn name_of(&self, path: &hoody_pipe::pipe::PipePath) -> usize {
        self.paths.iter().position(|known| known == path).expect("all names are known")
    }
}

/// Only these mean something where nobody is.
fn starts(call: &Call) -> bool {
    matches!(
        call,
        Call::Attach(_)
            | Call::Collect
            | Call::Cancel { .. }
            | Call::Ready { .. }
            | Call::Resume { .. }
    )
}

/// What the caller of a call that nobody took is told, if it waits for an answer.
fn turned_away(call: &Call) -> Option<Answer> {
    let alone = |party: PartyId| Seat { party, attempt: 0 };
    match call {
        Call::Leave { seat, ask: true, .. } => {
            Some(Answer::Left { seat: *seat, sender_there: false })
        }
        Call::Released { transfer, sender } | Call::Ended { transfer, sender, .. } => {
            Some(Answer::Freed { transfer: *transfer, sender: *sender })
        }
        Call::Status { asker, transfer: None } => {
            let (watchers, snapshot) = (vec![*asker], Some(Snapshot::idle().into()));
            Some(Answer::Snapshot { watchers, snapshot })
        }
        Call::Status { asker, .. } => {
            Some(Answer::Fail { seat: alone(*asker), why: Failure::Unavailable })
        }
        _ => None,
    }
}
