//! What is true, whatever the nodes believe: what each client has seen, how each transfer went; and the
//! rules that may never be broken. They are numbered as in `docs/fleet.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hoody_pipe::pipe::{Failure, PartyId, Reject, Role, Seat, TransferId};

use crate::clients::Client;
use crate::node::node_of;
use crate::queue::Ms;
use crate::sending::Stage;
use crate::world::{ClientNo, World};

/// A pair may not be parked apart for longer than this.
const APART_MAX: Ms = 15_000;

/// What has stood for so long is known to everybody.
const SETTLED: Ms = 6_000;

/// The end of any party reaches every other within this (spec §2, P4).
const TOLD_MAX: Ms = 2_000;

/// How much younger a party may seem to an owner than it is: by a slow frame, and if that was held on its
/// link for 2 s, or stalled until just before the link is given up.
const AGE_ERROR: Ms = 50;
const HELD_ERROR: Ms = 8_000;

/// A rule is broken.
#[derive(Debug, Clone)]
pub struct Flaw {
    pub rule: &'static str,
    pub what: String,
    pub at: Ms,
}

/// How a client's request has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    NotServed,
    Left,
    /// Its node is gone.
    Crashed,
    Refused(Reject),
    Failed(Failure),
    /// A sender: all is done.
    Complete,
    /// A receiver: a clean end, a cut, an error reply after the start.
    Whole(TransferId),
    Cut(TransferId),
    PeerFailed(TransferId),
    StartedWithout(TransferId),
}

/// What a client has seen.
#[derive(Debug, Default)]
pub struct Sight {
    pub admitted: bool,
    pub left: bool,
    opened: Option<TransferId>,
    pieces: u32,
    pub over: Option<Over>,
}

/// All transfers, and what else the rules need.
#[derive(Default)]
pub struct Ledger {
    transfers: HashMap<TransferId, Entry>,
    /// Who has offered a lane for what.
    pub offers: HashSet<(TransferId, ClientNo)>,
    /// Names at which something was cancelled.
    pub cancelled: BTreeSet<usize>,
    /// When something bad has happened last.
    pub last_fault: Option<Ms>,
    /// The same without what clients may do.
    pub last_trouble: Option<Ms>,
    apart: BTreeMap<usize, Ms>,
    /// Who has asked what is at a name, and who waited there then.
    pub asked: HashMap<PartyId, Vec<ClientNo>>,
}

/// One transfer.
#[derive(Default)]
pub struct Entry {
    sender: Option<ClientNo>,
    committed: Option<Ms>,
    /// Its body was complete, and its end is on the way.
    pub ended: bool,
    /// Its sender has failed, or was lost.
    pub failed: bool,
    /// When its failure was shown.
    pub failed_at: Option<Ms>,
    /// A trunk of it has broken.
    pub broken: bool,
    /// Receivers that have left.
    pub lost: u16,
}

impl Ledger {
    pub fn of(&mut self, transfer: TransferId) -> &mut Entry {
        self.transfers.entry(transfer).or_default()
    }

    fn known(&self, transfer: TransferId) -> Option<&Entry> {
        self.transfers.get(&transfer)
    }
}

// What is seen, as it is seen.
impl World {
    /// A sender's side has started a transfer, with lanes of so many receivers.
    pub fn committed(&mut self, c: ClientNo, transfer: TransferId, roll: &[Seat], lanes: u16) {
        let n = self.clients[c].n;
        let receivers: Vec<ClientNo> = roll[1..].iter().map(|seat| self.ids[&seat.party]).collect();
        let offered = receivers.iter().filter(|&&r| self.ledger.offers.contains(&(transfer, r)));
        if lanes != n || offered.count() != usize::from(n) {
            self.flaw("I4", format!("client {c} starts {transfer:?} with {lanes} lanes of {n}"));
        }
        let before = self.ledger.transfers.iter().find(|(_, e)| e.sender == Some(c));
        if let Some((other, _)) = before {
            self.flaw("I3", format!("client {c} starts {transfer:?} after {other:?}"));
        }
        self.seen.committed += 1;
        self.seen.rehomed += u64::from(roll.iter().any(|seat| seat.attempt > 1));
        let (now, name) = (self.now, self.clients[c].name);
        self.seen.shared += u64::from(self.running_at(name) > 0);
        let entry = self.ledger.of(transfer);
        (entry.sender, entry.committed) = (Some(c), Some(now));
    }

    /// A receiver's client sees the head.
    pub fn opened(&mut self, c: ClientNo, transfer: TransferId) {
        if self.ledger.known(transfer).is_none_or(|entry| entry.committed.is_none()) {
            self.flaw("I4", format!("client {c} sees a head before the start of {transfer:?}"));
        }
        let opened = self.clients[c].sight.opened.replace(transfer);
        if let Some(other) = opened {
            self.flaw("I3", format!("client {c} sees two heads: {other:?} and {transfer:?}"));
        }
    }

    /// A receiver's client gets a piece of a body.
    pub fn got(&mut self, c: ClientNo, transfer: TransferId, sender: ClientNo, piece: u32) {
        let theirs = self.ledger.known(transfer).and_then(|entry| entry.sender) == Some(sender);
        let sight = &mut self.clients[c].sight;
        let next = sight.pieces;
        sight.pieces += 1;
        self.seen.pieces += 1;
        if sight.opened != Some(transfer) || !theirs {
            self.flaw(
                "I3",
                format!("client {c} gets a piece of {transfer:?}, which is not its own"),
            );
        }
        if piece != next {
            self.flaw("I2", format!("client {c} gets piece {piece} of {transfer:?}, not {next}"));
        }
    }

    /// A client sees the end of a transfer: the name must be free of it (K3), as far as nothing was
    /// lost lately and everybody knows the newest view.
    pub fn end_seen(&mut self, c: ClientNo, transfer: TransferId) {
        let quiet = self.ledger.last_fault.is_none_or(|at| at + 12_000 < self.now);
        let newest = self.views.len() - 1;
        let epoch = self.views[newest].epoch();
        let learned = |node: &crate::node::Node| !node.alive || node.mind.view.epoch() == epoch;
        if !quiet || !self.nodes.iter().all(learned) {
            return;
        }
        let name = self.clients[c].name;
        let owner = self.views[newest].owner(self.paths[name].as_str().as_bytes());
        let Some(owner) = owner.map(|id| node_of(id.0)).filter(|&o| self.nodes[o].alive) else {
            return;
        };
        self.seen.ends_checked += 1;
        if self.taken_by(owner, name) == Some(transfer) {
            let what =
                format!("client {c} sees the end of {transfer:?}, and node {owner} holds it");
            self.flaw("K3", what);
        }
    }

    /// How a client's request has ended: was that its due?
    pub fn judge_end(&mut self, c: ClientNo, over: Over) {
        if self.clients[c].sight.over.replace(over.clone()).is_some() {
            self.flaw("END", format!("client {c} ends twice"));
        }
        if self.clients[c].sight.left {
            return;
        }
        let deadline = self.patience(c).0;
        match over {
            Over::NotServed | Over::Left | Over::Crashed => {}
            Over::Complete => self.seen.completed += 1,
            Over::Whole(x) => self.judge_whole(c, x),
            Over::Cut(x) => {
                self.seen.cut += 1;
                self.needs_cause(c, x, "is cut");
            }
            Over::PeerFailed(x) => self.needs_cause(c, x, "gets an error after the start"),
            Over::StartedWithout(x) => {
                self.seen.started_without += 1;
                self.only_with_faults(c, &format!("{x:?} has started without it"));
            }
            Over::Refused(why) => {
                self.seen.refused += 1;
                if self.clients[c].sight.admitted && !self.has_rival(c) {
                    self.flaw("I5", format!("client {c} has waited and is refused: {why:?}"));
                }
            }
            Over::Failed(Failure::SenderTimedOut | Failure::ReceiverTimedOut { .. }) => {
                self.seen.timed_out += 1;
                if self.now < deadline {
                    self.flaw("I6", format!("client {c} times out before its time"));
                }
            }
            Over::Failed(why) => self.judge_failure(c, why),
        }
    }

    fn judge_whole(&mut self, c: ClientNo, x: TransferId) {
        self.seen.whole += 1;
        let pieces = self.clients[c].sight.pieces;
        let entry = self.ledger.known(x);
        let sender = entry.and_then(|entry| entry.sender);
        let all = sender.map(|s| self.clients[s].pieces);
        if !entry.is_some_and(|entry| entry.ended) || all != Some(pieces) {
            let what =
                format!("client {c} has a clean end after {pieces} of {all:?} pieces of {x:?}");
            self.flaw("I1", what);
        }
        self.judge_late(c, x);
    }

    /// A failure reaches everybody in time, unless something is wrong between the nodes.
    fn judge_late(&mut self, c: ClientNo, x: TransferId) {
        let quiet = self.ledger.last_trouble.is_none_or(|at| at + 12_000 < self.now);
        let Some(entry) = self.ledger.known(x).filter(|entry| quiet && !entry.broken) else {
            return;
        };
        if let Some(at) = entry.failed_at.filter(|at| at + TOLD_MAX < self.now) {
            self.flaw(
                "P4",
                format!("client {c} has a clean end of {x:?}, which has failed at {at}"),
            );
        }
    }

    fn judge_failure(&mut self, c: ClientNo, why: Failure) {
        self.seen.failed += 1;
        let Client { node, name, .. } = self.clients[c];
        let x = self.ledger.transfers.iter().find(|(_, entry)| entry.sender == Some(c));
        let x = x.map(|(x, _)| *x);
        match why {
            Failure::Unavailable => {
                self.seen.unavailable += 1;
                if self.clients[c].role == Role::Sender && self.has_rival(c) {
                    return;
                }
                self.only_with_faults(c, "its owner is out of reach");
                self.was_out_of_reach(c);
            }
            Failure::Cancelled(_) if self.ledger.cancelled.contains(&name) => {
                self.seen.cancelled += 1;
            }
            Failure::ShuttingDown if self.nodes[node].closed => {}
            Failure::SenderLost if x.is_some_and(|x| self.ledger.of(x).failed) => {}
            Failure::ReceiversGone => match x {
                Some(x) => {
                    let Entry { broken, lost, .. } = *self.ledger.of(x);
                    if !broken && lost == 0 {
                        let what =
                            format!("the receivers of client {c} are gone, and none has left");
                        self.flaw(if self.weather.views_only { "I5" } else { "I6" }, what);
                    }
                }
                None => self.flaw("I6", format!("client {c} has lost receivers that it never had")),
            },
            why => self.flaw("I6", format!("client {c} fails: {why:?}")),
        }
    }

    fn needs_cause(&mut self, c: ClientNo, x: TransferId, what: &str) {
        let entry = self.ledger.of(x);
        if !entry.failed && !entry.broken {
            self.flaw("I6", format!("client {c} {what}, and nothing is wrong with {x:?}"));
        }
    }

    fn only_with_faults(&mut self, c: ClientNo, what: &str) {
        if self.weather.views_only {
            self.flaw("I5", format!("client {c} gets an error by new views alone: {what}"));
        }
    }

    /// Is there another client of the same role that came before it, so that one of them has to go? An
    /// owner that waits for a view takes who waits with it for younger by that time. Two may have
    /// taken the same place at two owners, while one of these had not heard of the newest view.
    fn has_rival(&self, c: ClientNo) -> bool {
        let Client { name, role, n, came, .. } = self.clients[c];
        let error = if self.weather.views_only { AGE_ERROR } else { HELD_ERROR };
        let latest = came.unwrap_or(self.now) + error;
        self.clients.iter().enumerate().any(|(i, other)| {
            let before = other.role == role && other.came.is_some_and(|came| came < latest);
            // Of those who state another number the first to come back counts.
            let other_n = other.n != n && other.came.is_some();
            i != c && other.name == name && (before || other_n)
        })
    }

    /// Nothing may have stood in its way for seconds.
    fn was_out_of_reach(&mut self, c: ClientNo) {
        let Client { node, name, .. } = self.clients[c];
        let settled = |since: Ms| since + SETTLED < self.now;
        let view = &self.nodes[node].mind.view;
        let Some(id) = view.owner(self.paths[name].as_str().as_bytes()) else { return };
        let owner = node_of(id.0);
        let there = &self.nodes[owner];
        let here = &self.nodes[node];
        let same = there.mind.view.epoch() == view.epoch() && settled(there.mind.view_since);
        let link = here.mind.standing.get(&owner).and_then(|link| self.links[link].stands);
        let reachable = owner == node || link.is_some_and(settled);
        let awake = there.alive && settled(there.steady) && settled(here.steady);
        if same && settled(here.mind.view_since) && reachable && awake {
            self.flaw(
                "I6",
                format!("client {c} hears that node {owner} is out of reach, and it is not"),
            );
        }
    }
}

// What is looked at when nothing bad happens any more.
impl World {
    /// Is anybody parked apart (I7)? Does each owner know what runs (K1)?
    pub fn look(&mut self) {
        for name in 0..self.paths.len() {
            if self.is_apart(name) {
                let since = *self.ledger.apart.entry(name).or_insert(self.now);
                if since + APART_MAX < self.now {
                    let what = format!(
                        "a sender and its receivers are apart at name {name} since {since}"
                    );
                    self.flaw("I7", what);
                }
            } else {
                self.ledger.apart.remove(&name);
            }
        }
        self.owners_know();
        self.look_again();
    }

    /// A sender and as many receivers as it wants wait at a name where nothing runs.
    fn is_apart(&self, name: usize) -> bool {
        let here = || self.clients.iter().filter(move |c| c.name == name);
        if self.running_at(name) > 0 {
            return false;
        }
        let waits = |c: &&Client| c.shell.is_some() && c.sight.opened.is_none();
        here().filter(waits).filter(|c| c.role == Role::Sender).any(|sender| {
            let receivers = here().filter(waits).filter(|c| c.role == Role::Receiver);
            receivers.filter(|c| c.n == sender.n).count() >= usize::from(sender.n)
        })
    }

    /// How many transfers run at a name.
    fn running_at(&self, name: usize) -> usize {
        let runs = |c: &&Client| match &c.shell {
            Some(shell) => matches!(shell.stage, Stage::Running(_)),
            None => false,
        };
        self.clients.iter().filter(|c| c.name == name).filter(runs).count()
    }

    fn owners_know(&mut self) {
        if self.calm.is_none_or(|calm| calm + SETTLED > self.now) {
            return;
        }
        for c in 0..self.clients.len() {
            let name = self.clients[c].name;
            let Some(running) = self.running(c).filter(|running| running.flows()) else { continue };
            let transfer = running.transfer;
            let committed = self.ledger.of(transfer).committed.unwrap_or(self.now);
            // Of two that run at one name, whose owner had lost its memory, one has the name.
            if committed + SETTLED > self.now || self.running_at(name) > 1 {
                continue;
            }
            let view = self.views[self.views.len() - 1].clone();
            let owner = view.owner(self.paths[name].as_str().as_bytes());
            let Some(owner) = owner.map(|id| node_of(id.0)) else { continue };
            self.seen.transfers_known += 1;
            if self.taken_by(owner, name) != Some(transfer) {
                self.flaw("K1", format!("node {owner} does not know {transfer:?} of client {c}"));
            }
        }
    }

    /// Everybody has gone: nothing may be left (I8).
    pub fn nothing_is_left(&mut self) {
        let now = self.instant();
        let left = self.clients.iter().position(|c| c.shell.is_some());
        if let Some(c) = left {
            self.flaw("I8", format!("client {c} is still there"));
        }
        for node in 0..self.nodes.len() {
            if !self.nodes[node].alive {
                continue;
            }
            self.purge_inwards(node);
            let mind = &mut self.nodes[node].mind;
            mind.desk.undone(now, TransferId::from_u128(0));
            let desk = mind.desk.load();
            let what = format!(
                "names {:?}, parties {:?}, inwards {:?}, desk {desk:?}",
                mind.names.keys().collect::<Vec<_>>(),
                mind.parties,
                mind.inwards.keys().collect::<Vec<_>>(),
            );
            if !(mind.names.is_empty() && mind.parties.is_empty() && mind.inwards.is_empty())
                || desk != (1, 0)
            {
                self.flaw("I8", format!("node {node} is left with {what}"));
            }
        }
        if !self.trunks.is_empty() {
            self.flaw(
                "I8",
                format!("trunks {:?} are left", self.trunks.keys().collect::<Vec<_>>()),
            );
        }
    }
}
