//! Control links: ordered frames between an edge and an owner, which take their time, break, and are
//! made again. Mirrors the mesh of the cluster crate: of each edge the newest link counts, and what
//! breaks is seen by each end at its own time.

use std::collections::VecDeque;

use hoody_pipe::edge::wire::{Down, Up};
use hoody_pipe::pipe::ReplyTo;
use hoody_pipe_cluster::Epoch;
use hoody_pipe_cluster::link::LinkNumber;

use crate::clients::Post;
use crate::mutants::Mutant;
use crate::node::{id_of, node_of};
use crate::queue::{Ms, Side, What};
use crate::world::{LinkNo, NodeNo, World};

/// The id of the link of a node to itself, at both ends.
pub const OWN: u64 = 0;

/// The pause before a link is made again: from 50 ms, doubled up to a second.
const REDIAL: std::ops::Range<Ms> = 50..1000;

/// A link, whether it stands or not.
pub struct Link {
    pub edge: NodeNo,
    pub edge_life: u64,
    pub owner: NodeNo,
    pub owner_life: u64,
    number: LinkNumber,
    /// The ids it has at its ends.
    pub edge_id: u64,
    pub owner_id: u64,
    up: VecDeque<Rising>,
    down: VecDeque<Falling>,
    /// Grows when it breaks.
    generation: u32,
    /// Nothing more gets through.
    pub broken: bool,
    pub edge_open: bool,
    pub owner_open: bool,
    /// Since when both ends have it.
    pub stands: Option<Ms>,
    /// The owner waits for a view: a number of this wait, and the view.
    pub held: Option<(u64, u64)>,
    pub waiting: VecDeque<Up>,
    /// The newest view that was waited for in vain.
    pub missed: u64,
    /// No frame arrives before those that were sent before it.
    floor: (Ms, Ms),
}

enum Rising {
    Open,
    Say(Up),
    /// The edge knows this view.
    Knows(Epoch),
    Close,
}

enum Falling {
    Stands,
    Say(Down),
    Close,
}

impl World {
    /// The link of a node that starts to itself.
    pub fn link_own(&mut self, node: NodeNo) {
        let link = self.link(node, node, OWN, OWN);
        let link = self.links.get_mut(&link).expect("it was just made");
        (link.edge_open, link.owner_open) = (true, true);
    }

    /// The link of a node to itself.
    pub fn own_link(&self, node: NodeNo) -> LinkNo {
        let life = self.nodes[node].boot;
        let own = |l: &Link| l.edge == node && l.owner == node && l.edge_life == life;
        *self.links.iter().find(|(_, l)| own(l)).expect("each life has one").0
    }

    fn link(&mut self, edge: NodeNo, owner: NodeNo, edge_id: u64, owner_id: u64) -> LinkNo {
        let no = self.number();
        let (edge_life, owner_life) = (self.nodes[edge].boot, self.nodes[owner].boot);
        let number = LinkNumber { boot: edge_life, seq: no };
        let link = Link {
            edge,
            edge_life,
            owner,
            owner_life,
            number,
            edge_id,
            owner_id,
            up: VecDeque::new(),
            down: VecDeque::new(),
            generation: 0,
            broken: false,
            edge_open: false,
            owner_open: false,
            stands: None,
            held: None,
            waiting: VecDeque::new(),
            missed: 0,
            floor: (0, 0),
        };
        self.links.insert(no, link);
        no
    }

    /// An edge tries to make its link to a member.
    pub fn redial(&mut self, edge: NodeNo, owner: NodeNo) {
        let mind = &self.nodes[edge].mind;
        if !mind.kept.contains(&owner) || mind.standing.contains_key(&owner) {
            return;
        }
        let busy = |l: &Link| {
            (l.edge, l.owner, l.edge_life) == (edge, owner, self.nodes[edge].boot) && l.edge_open
        };
        if self.links.values().any(busy) {
            return;
        }
        if !self.nodes[owner].alive || self.is_cut_off(edge, owner) {
            let pause = self.rng.u64(REDIAL);
            return self.after_at(pause, edge, What::Redial(owner));
        }
        let (edge_id, owner_id) = (self.number(), self.number());
        let no = self.link(edge, owner, edge_id, owner_id);
        if let Some(link) = self.links.get_mut(&no) {
            link.edge_open = true;
        }
        self.rise(no, Rising::Open);
    }

    /// Says something to an owner: over which link, if one stands.
    pub fn say(&mut self, node: NodeNo, owner: u64, mut up: Up) -> Option<u64> {
        if self.lacks(Mutant::NoAttempts) {
            crate::mutants::erase(&mut up.call);
        }
        let owner = node_of(owner);
        if owner == node {
            // It is in the mailbox of the name before anything else happens.
            self.hear(self.own_link(node), up);
            return Some(OWN);
        }
        let no = *self.nodes[node].mind.standing.get(&owner)?;
        let id = self.links[&no].edge_id;
        self.rise(no, Rising::Say(up));
        Some(id)
    }

    /// Says something to the edge of a link, if it still stands.
    pub fn answer(&mut self, node: NodeNo, ReplyTo(id): ReplyTo, down: Down) {
        let link = match id {
            OWN => Some(self.own_link(node)),
            id => self.nodes[node].mind.ways_back.get(&id).copied(),
        };
        if let Some(link) = link {
            self.fall(link, Falling::Say(down));
        }
    }

    /// A node says to all others which view it knows.
    pub fn tell_view(&mut self, node: NodeNo) {
        let epoch = self.nodes[node].mind.view.epoch();
        let links: Vec<LinkNo> = self.nodes[node].mind.standing.values().copied().collect();
        links.into_iter().for_each(|no| self.rise(no, Rising::Knows(epoch)));
    }

    fn rise(&mut self, no: LinkNo, frame: Rising) {
        let Some(at) = self.arrival(no, Side::Called) else { return };
        let link = self.links.get_mut(&no).expect("links are kept");
        link.up.push_back(frame);
        let (owner, life, generation) = (link.owner, link.owner_life, link.generation);
        let what = What::Frame(no, Side::Called, generation);
        self.after(at, crate::queue::At::Node(owner, life), what);
    }

    fn fall(&mut self, no: LinkNo, frame: Falling) {
        let Some(at) = self.arrival(no, Side::Caller) else { return };
        let link = self.links.get_mut(&no).expect("links are kept");
        link.down.push_back(frame);
        let (edge, life, generation) = (link.edge, link.edge_life, link.generation);
        let what = What::Frame(no, Side::Caller, generation);
        self.after(at, crate::queue::At::Node(edge, life), what);
    }

    /// In how many milliseconds a frame arrives at that side; nothing if the link is broken.
    fn arrival(&mut self, no: LinkNo, side: Side) -> Option<Ms> {
        let Link { edge, owner, broken, .. } = self.links[&no];
        if broken {
            return None;
        }
        let delay = if edge == owner { self.rng.u64(0..2) } else { self.delay(edge, owner) };
        let at = self.now + delay;
        let floor = &mut self.links.get_mut(&no)?.floor;
        let floor = if side == Side::Called { &mut floor.0 } else { &mut floor.1 };
        *floor = at.max(*floor);
        Some(*floor - self.now)
    }

    /// A frame reaches one end of a link.
    pub fn frame(&mut self, no: LinkNo, side: Side, generation: u32) {
        let Some(link) = self.links.get_mut(&no).filter(|l| l.generation == generation) else {
            return;
        };
        match side {
            Side::Called => match link.up.pop_front() {
                Some(Rising::Open) => self.accept(no),
                Some(Rising::Say(up)) if link.owner_open => self.hear(no, up),
                Some(Rising::Knows(epoch)) if link.owner_open => {
                    let (owner, edge, now) = (link.owner, link.edge, self.instant());
                    self.nodes[owner].mind.takeover.heard(now, id_of(edge), epoch);
                }
                Some(Rising::Close) => self.end_at_owner(no),
                Some(Rising::Say(_) | Rising::Knows(_)) | None => {}
            },
            Side::Caller => match link.down.pop_front() {
                Some(Falling::Stands) => self.stands(no),
                Some(Falling::Say(down)) if link.edge_open => {
                    let (edge, owner) = (link.edge, link.owner);
                    self.route(edge, id_of(owner).0, down);
                }
                Some(Falling::Close) => self.end_at_edge(no),
                Some(Falling::Say(_)) | None => {}
            },
        }
    }

    /// A link is made: older ones of the same edge end before anything is read from it.
    fn accept(&mut self, no: LinkNo) {
        let Link { edge, owner, number, owner_id, .. } = self.links[&no];
        let newest = self.nodes[owner].mind.newest.get(&edge).copied();
        if newest.is_some_and(|(newest, _)| newest >= number) {
            return self.fall(no, Falling::Close);
        }
        if let Some((_, older)) = newest {
            self.seen.superseded += u64::from(self.links[&older].owner_open);
            if !self.lacks(Mutant::OldLinks) {
                self.end_at_owner(older);
            }
        }
        let now = self.instant();
        let mind = &mut self.nodes[owner].mind;
        mind.newest.insert(edge, (number, no));
        mind.ways_back.insert(owner_id, no);
        mind.takeover.linked(now);
        if let Some(link) = self.links.get_mut(&no) {
            link.owner_open = true;
        }
        self.fall(no, Falling::Stands);
    }

    fn stands(&mut self, no: LinkNo) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&no).filter(|l| l.edge_open) else { return };
        link.stands = Some(now);
        let (edge, owner, id) = (link.edge, link.owner, link.edge_id);
        self.nodes[edge].mind.standing.insert(owner, no);
        let epoch = self.nodes[edge].mind.view.epoch();
        self.rise(no, Rising::Knows(epoch));
        let owner = id_of(owner).0;
        self.post_link(edge, owner, || Post::LinkUp { owner, link: id });
    }

    /// An end of a link sees that it is broken.
    pub fn link_lost(&mut self, no: LinkNo, side: Side) {
        match side {
            Side::Caller => self.end_at_edge(no),
            Side::Called => self.end_at_owner(no),
        }
    }

    /// The edge has lost its link: what it said last may have been lost.
    pub fn end_at_edge(&mut self, no: LinkNo) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&no).filter(|l| l.edge_open) else { return };
        link.edge_open = false;
        let stood = link.stands.take().is_some();
        let (edge, owner, id) = (link.edge, link.owner, link.edge_id);
        self.rise(no, Rising::Close);
        if stood {
            self.nodes[edge].mind.standing.remove(&owner);
            let since = now - self.rng.u64(0..200).min(now);
            let silent = self.instant_of(since);
            let owner = id_of(owner).0;
            self.post_link(edge, owner, || Post::LinkDown { owner, link: id, silent });
        }
        let pause = self.rng.u64(REDIAL);
        self.after_at(pause, edge, What::Redial(owner));
    }

    /// The owner has lost a link, and who came over it has lost its place.
    pub fn end_at_owner(&mut self, no: LinkNo) {
        let Some(link) = self.links.get_mut(&no).filter(|l| l.owner_open) else { return };
        link.owner_open = false;
        link.held = None;
        link.waiting.clear();
        let (edge, owner, id) = (link.edge, link.owner, link.owner_id);
        self.nodes[owner].mind.ways_back.remove(&id);
        let newest = self.nodes[owner].mind.newest.get(&edge).is_some_and(|(_, link)| *link == no);
        if newest || !self.lacks(Mutant::OldLinks) {
            self.lose_link(owner, ReplyTo(id));
        }
        self.fall(no, Falling::Close);
    }

    /// A link breaks. What is under way is lost, or comes late; each end that lives sees it at its own
    /// time, within `notice`.
    pub fn break_link(&mut self, no: LinkNo, late: bool, notice: Ms) {
        let Some(link) = self.links.get_mut(&no).filter(|l| !l.broken && l.edge != l.owner) else {
            return;
        };
        link.broken = true;
        link.generation += 1;
        self.seen.breaks += 1;
        if !late {
            link.up.clear();
            link.down.clear();
        }
        let (edge, owner) = ((link.edge, link.edge_life), (link.owner, link.owner_life));
        let (up, down, generation) = (link.up.len(), link.down.len(), link.generation);
        let ends = [(owner, Side::Called, up), (edge, Side::Caller, down)];
        for ((node, life), side, frames) in ends {
            let at = crate::queue::At::Node(node, life);
            let mut delay = self.rng.u64(0..300);
            for _ in 0..frames {
                delay += self.rng.u64(0..20);
                self.after(delay, at, What::Frame(no, side, generation));
            }
            let notice = self.rng.u64(0..=notice);
            self.after(notice, at, What::LinkLost(no, side));
        }
    }
}
