//! Clients, and what a sender's and a receiver's shell have in common: inbox, timer, back-off, and the
//! way to the owner. Mirrors `edge/attached.rs`; the machine is the real one.

use std::collections::VecDeque;
use std::time::Instant;

use hoody_pipe::edge::Claim;
use hoody_pipe::edge::backoff::Backoff;
use hoody_pipe::edge::party::{Act, Input, Party};
use hoody_pipe::edge::wire::{Down, Up, address};
use hoody_pipe::pipe::{Answer, Attach, Call, PartyId, Role, Seat};

use crate::ledger::{Over, Sight};
use crate::mutants::Mutant;
use crate::node::id_of;
use crate::queue::{Ms, Way, What};
use crate::receiving::Lane;
use crate::sending::Stage;
use crate::world::{ClientNo, NodeNo, World};

/// A client, from its plan to its end.
pub struct Client {
    pub node: NodeNo,
    pub name: usize,
    pub role: Role,
    pub n: u16,
    /// How long it waits.
    pub wait: Ms,
    /// A sender: how many pieces its body has, how long each takes at most, and before which one it
    /// breaks off.
    pub pieces: u32,
    pub pause: Ms,
    pub breaks_off: Option<u32>,
    pub came: Option<Ms>,
    pub shell: Option<Shell>,
    pub sight: Sight,
}

/// A party of a node, around its machine.
pub struct Shell {
    pub party: Party,
    inbox: VecDeque<Post>,
    /// Attach again at this moment.
    pub retry: Option<Ms>,
    backoff: Backoff,
    armed: Option<Ms>,
    /// Its newest seat as the owner has named it.
    pub named: Seat,
    /// A sender's.
    pub stage: Stage,
    /// A receiver's.
    pub lane: Option<Lane>,
    /// It has asked whether a sender is there; until when it waits for the answer.
    pub leaving: Option<Ms>,
    pub stopping: bool,
}

/// One thing for a party.
#[derive(Debug)]
pub enum Post {
    Answer(u64, Answer),
    Moved { from: u64, seat: Seat, epoch: u64 },
    View,
    LinkUp { owner: u64, link: u64 },
    LinkDown { owner: u64, link: u64, silent: Instant },
    Lane(Claim, Way),
    Shutdown,
}

impl World {
    /// A client comes to its node.
    pub fn comes(&mut self, c: ClientNo) {
        let (node, role) = (self.clients[c].node, self.clients[c].role);
        if !self.nodes[node].alive || self.nodes[node].closed {
            self.clients[c].sight.over = Some(Over::NotServed);
            return;
        }
        if self.nodes[node].paused {
            return self.nodes[node].backlog.push(What::Comes(c));
        }
        let mind = &mut self.nodes[node].mind;
        mind.seq += 1;
        let seq = mind.seq;
        mind.parties.insert(c);
        let id = PartyId { origin: id_of(node).0, boot: self.nodes[node].boot, seq };
        let (seat, now) = (Seat { party: id, attempt: 0 }, self.instant());
        self.ids.insert(id, c);
        self.seen.clients += 1;
        self.clients[c].came = Some(self.now);
        self.clients[c].shell = Some(Shell {
            party: Party::new(seat, role),
            inbox: VecDeque::new(),
            retry: None,
            backoff: Backoff::new(now),
            armed: None,
            named: seat,
            stage: Stage::Waiting,
            lane: None,
            leaving: None,
            stopping: false,
        });
        let view = self.view_of(c);
        self.feed(c, view);
        self.feed(c, Input::Arrive);
        self.rearm(c);
    }

    /// A client is gone, whatever it was doing.
    pub fn leaves(&mut self, c: ClientNo) {
        let node = self.clients[c].node;
        if self.clients[c].shell.is_none() {
            return;
        }
        if self.nodes[node].paused {
            return self.nodes[node].backlog.push(What::Leaves(c));
        }
        self.seen.left += 1;
        match self.clients[c].role {
            Role::Sender => self.sender_leaves(c),
            Role::Receiver => self.receiver_leaves(c),
        }
    }

    /// Its request is over: nothing of it is left at its node.
    pub fn over(&mut self, c: ClientNo, over: Over) {
        let node = self.clients[c].node;
        self.nodes[node].mind.parties.remove(&c);
        let inbox = self.clients[c].shell.take().map(|shell| shell.inbox).unwrap_or_default();
        if self.nodes[node].alive {
            for post in inbox {
                if let Post::Lane(claim, way) = post {
                    self.undo_lane(way, claim.transfer);
                }
            }
        }
        self.trace.note(self.now, || format!("  client {c} is over: {over:?}"));
        self.judge_end(c, over);
    }

    pub fn shell(&mut self, c: ClientNo) -> Option<&mut Shell> {
        self.clients[c].shell.as_mut()
    }

    /// Puts something into a party's inbox.
    pub fn post(&mut self, c: ClientNo, post: Post) {
        let node = self.clients[c].node;
        if let Some(shell) = self.shell(c) {
            // Of views and of what happens on links the last word is enough.
            shell.inbox.retain(|old| !is_outdone(old, &post));
            shell.inbox.push_back(post);
            let delay = self.rng.u64(0..3);
            self.after_at(delay, node, What::Inbox(c));
        }
    }

    /// The same for all parties of a node.
    pub fn post_all(&mut self, node: NodeNo, post: impl Fn(ClientNo) -> Post) {
        let parties: Vec<ClientNo> = self.nodes[node].mind.parties.iter().copied().collect();
        parties.into_iter().for_each(|c| self.post(c, post(c)));
    }

    /// Something happens on a link: it concerns whoever has that owner.
    pub fn post_link(&mut self, node: NodeNo, owner: u64, post: impl Fn() -> Post) {
        let parties: Vec<ClientNo> = self.nodes[node].mind.parties.iter().copied().collect();
        for c in parties {
            if self.shell(c).is_some_and(|shell| shell.party.owner() == Some(owner)) {
                self.post(c, post());
            }
        }
    }

    /// What an owner says reaches the party or parties it is about. Mirrors `edge/parties.rs`.
    pub fn route(&mut self, node: NodeNo, from: u64, down: Down) {
        let answer = match down {
            Down::Moved { seat, epoch } => {
                self.seen.moved += 1;
                return self.post_to(seat.party, Post::Moved { from, seat, epoch });
            }
            Down::Answer(answer) => answer,
        };
        self.heed(node, &answer);
        if let Answer::Snapshot { watchers, snapshot: Some(snapshot) } = &answer {
            watchers.iter().for_each(|&asker| self.shown(asker, snapshot));
        }
        address(answer, |party, answer| self.post_to(party, Post::Answer(from, answer)));
    }

    fn post_to(&mut self, party: PartyId, post: Post) {
        if let Some(&c) = self.ids.get(&party) {
            self.post(c, post);
        }
    }

    /// A party takes the next thing out of its inbox.
    pub fn take_post(&mut self, c: ClientNo) {
        let Some(mut post) = self.shell(c).and_then(|shell| shell.inbox.pop_front()) else {
            return;
        };
        self.trace.note(self.now, || format!("  client {c} hears {post:?}"));
        self.restore(c, &mut post);
        match (self.clients[c].role, post) {
            (_, Post::View) if self.lacks(Mutant::PinnedLeaves) => self.leave_pinned(c),
            (Role::Sender, post) => self.sender_hears(c, post),
            (Role::Receiver, post) => self.receiver_hears(c, post),
        }
        self.rearm(c);
    }

    /// What a post is to the machine; `None` if it is not for it.
    pub fn input(&self, c: ClientNo, post: Post) -> Option<Input> {
        match post {
            Post::Answer(from, answer) => Some(Input::Owner { from, answer }),
            Post::Moved { epoch, .. }
                if self.lacks(Mutant::MovedIgnored) && self.knows(c) > epoch =>
            {
                None
            }
            Post::Moved { from, seat, epoch } => Some(Input::Moved { from, seat, epoch }),
            Post::View => Some(self.view_of(c)),
            Post::LinkUp { owner, link } => Some(Input::LinkUp { owner, link }),
            Post::LinkDown { owner, link, silent } => Some(Input::LinkDown { owner, link, silent }),
            Post::Lane(..) | Post::Shutdown => None,
        }
    }

    fn knows(&self, c: ClientNo) -> u64 {
        self.clients[c].shell.as_ref().map_or(0, |shell| shell.party.epoch())
    }

    fn view_of(&self, c: ClientNo) -> Input {
        let Client { node, name, .. } = self.clients[c];
        let view = &self.nodes[node].mind.view;
        let owner = view.owner(self.paths[name].as_str().as_bytes()).map(|node| node.0);
        Input::View { epoch: view.epoch().0, owner }
    }

    /// Says a call to this owner; over which link, if one stands.
    pub fn tell(&mut self, c: ClientNo, owner: u64, call: Call) -> Option<u64> {
        let Client { node, name, .. } = self.clients[c];
        let (epoch, path) = (self.knows(c), self.paths[name].clone());
        self.trace.note(self.now, || format!("  client {c} tells {owner}: {call:?}"));
        self.say(node, owner, Up { epoch, path, call })
    }

    /// Says a call to every owner that was ever told of the transfer. Which of them have to say that the
    /// name is free: the other nodes to which a link stands.
    pub fn tell_all(&mut self, c: ClientNo, call: &Call) -> Vec<u64> {
        let me = id_of(self.clients[c].node).0;
        let told = self.shell(c).map(|shell| shell.party.told().collect::<Vec<_>>());
        let mut told = told.unwrap_or_default();
        told.retain(|&owner| self.tell(c, owner, call.clone()).is_some());
        told.retain(|&owner| owner != me);
        told
    }

    /// Feeds the machine and does what it says: first towards owners, then the rest.
    pub fn feed(&mut self, c: ClientNo, input: Input) {
        let now = self.instant();
        let Some(shell) = self.shell(c) else { return };
        let acts = shell.party.step(now, input);
        let (outer, inner): (Vec<Act>, Vec<Act>) = acts.into_iter().partition(is_for_owner);
        outer.into_iter().for_each(|act| self.act_outside(c, act));
        for act in inner {
            self.trace.note(self.now, || format!("  client {c} does {act:?}"));
            match self.clients[c].role {
                Role::Sender => self.sender_acts(c, act),
                Role::Receiver => self.receiver_acts(c, act),
            }
        }
    }

    fn act_outside(&mut self, c: ClientNo, act: Act) {
        let (now, at) = (self.instant(), self.now);
        let Some(shell) = self.shell(c) else { return };
        match act {
            Act::Attach { undone, .. } => {
                let failures = Some(undone).filter(|&undone| undone > 0);
                let pause = failures.and_then(|undone| shell.backoff.pause(now, undone));
                shell.retry = pause.map(|pause| at + pause.as_millis() as Ms);
                if shell.retry.is_none() {
                    self.attach(c);
                }
            }
            Act::Withdraw { owner, seat } => {
                self.seen.withdrawn += 1;
                self.tell(c, owner, Call::Withdraw { seat });
            }
            Act::Leave { owner, seat, ask, why } => {
                shell.retry = None;
                self.tell(c, owner, Call::Leave { seat, ask, why });
            }
            Act::Unready { owner, transfer } => {
                self.tell(c, owner, Call::Unready { transfer });
                self.decline(c, transfer);
            }
            _ => {}
        }
    }

    /// Asks for a place, if the machine still wants one there.
    fn attach(&mut self, c: ClientNo) {
        let (now, at) = (self.instant(), self.now);
        let Client { role, n, came, .. } = self.clients[c];
        let Some(shell) = self.shell(c) else { return };
        let (Some(owner), seat) = (shell.party.asks(), shell.party.seat()) else { return };
        let age_ms = at - came.unwrap_or(at);
        let call = Call::Attach(Attach { seat, role, n, age_ms, label: None });
        let link = self.tell(c, owner, call);
        self.seen.attached += 1;
        if let Some(shell) = self.shell(c) {
            shell.party.step(now, Input::Sent { link });
        }
    }

    /// Sets the timer of a party.
    pub fn rearm(&mut self, c: ClientNo) {
        let due = self.due(c);
        let node = self.clients[c].node;
        let Some(shell) = self.shell(c) else { return };
        let next = due.into_iter().chain(shell.retry).min();
        if shell.armed == next {
            return;
        }
        shell.armed = next;
        if let Some(at) = next {
            let delay = at.saturating_sub(self.now);
            self.after_at(delay, node, What::Timer(c, at));
        }
    }

    /// The timer of a party rings.
    pub fn ring(&mut self, c: ClientNo, at: Ms) {
        let now = self.now;
        let due = self.due(c);
        let Some(shell) = self.shell(c).filter(|shell| shell.armed == Some(at)) else { return };
        shell.armed = None;
        if shell.retry.is_some_and(|retry| retry <= now && due.is_none_or(|due| retry < due)) {
            shell.retry = None;
            self.attach(c);
        } else if due.is_some_and(|due| due <= now) {
            match self.clients[c].role {
                Role::Sender => self.sender_clock(c),
                Role::Receiver => self.receiver_clock(c),
            }
        }
        self.rearm(c);
    }

    /// When a party wants to look at the clock, but for its next attempt.
    fn due(&self, c: ClientNo) -> Option<Ms> {
        match self.clients[c].role {
            Role::Sender => self.sender_due(c),
            Role::Receiver => self.receiver_due(c),
        }
    }

    /// When a waiting client gives up, and when its owner counts as out of reach.
    pub fn patience(&self, c: ClientNo) -> (Ms, Option<Ms>) {
        let Client { came, wait, ref shell, .. } = self.clients[c];
        let hopeless = shell.as_ref().and_then(|shell| shell.party.hopeless_at());
        (came.unwrap_or(0) + wait, hopeless.map(|at| self.ms(at)))
    }
}

fn is_for_owner(act: &Act) -> bool {
    use Act::{Attach, Leave, Unready, Withdraw};
    matches!(act, Attach { .. } | Leave { .. } | Withdraw { .. } | Unready { .. })
}

fn is_outdone(old: &Post, new: &Post) -> bool {
    let link = |post: &Post| match post {
        Post::LinkUp { owner, .. } | Post::LinkDown { owner, .. } => Some(*owner),
        _ => None,
    };
    matches!((old, new), (Post::View, Post::View))
        || (link(old).is_some() && link(old) == link(new))
}
