//! A model of both edges' shells over the real machines of one name: parties, each at a node of its
//! own, and two owners. No bytes; back-off is left out, time passes only where it is said, and a
//! give-up may come at any moment.

mod owner;
mod road;

use std::collections::{HashMap, HashSet, VecDeque};

pub(super) use owner::Owner;
use road::{Item, Post, Road};

use super::super::*;
use crate::edge::judge::{Verdict, judge};
use crate::pipe::rendezvous::Output;
use crate::pipe::{Attach, Call, Outcome, PartyId, PublicId, ReplyTo};

/// Senders are the first ones, receivers the rest.
const SENDERS: usize = 3;
pub(super) const PARTIES: usize = 9;
const N: u16 = 2;

/// Spectators, and the origin by which they are told from parties.
pub(super) const SPECTATORS: usize = 2;
const SPECTATOR: u64 = 8;

/// The owners are numbered from 1 for parties, and from 0 here.
pub(super) const OWNERS: usize = 2;

/// Longer than a name collects.
const MOMENT: u64 = 600;

/// Longer than anybody is expected back.
const LONG: u64 = 11_000;

/// One thing that happens. The first number is a party, taken modulo those there are, the second an
/// owner.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// The next party comes.
    Arrive,
    /// A call of this party reaches this owner.
    Call(usize, usize),
    /// The same, and what is ahead of the owner's view has been held for long enough.
    Late(usize, usize),
    /// This party hears what has come for it from this owner.
    Hear(usize, usize),
    /// This party hears what has come for it from other parties.
    Meet(usize),
    /// This party's client leaves.
    Leave(usize),
    /// This party's wait passes.
    Deadline(usize),
    /// This sender gives its match up.
    GiveUp(usize),
    /// This sender tells how far its transfer has come.
    Report(usize),
    /// This sender's body is complete.
    Release(usize),
    /// This sender's transfer is over.
    End(usize),
    /// A DELETE.
    Cancel,
    /// This spectator comes.
    Watch(usize),
    /// This spectator leaves.
    Unwatch(usize),
    /// The machine is lost to a panic.
    Defect,
    /// A new view, in which this owner has the name.
    View(usize),
    /// This party learns of the newest view.
    Learn(usize),
    /// This owner learns of the next view.
    OwnerLearns(usize),
    /// This owner learns of the newest view, whatever was in between.
    OwnerSkips(usize),
    /// The link of this party to this owner breaks; what was under way still arrives, or is lost.
    Break(usize, usize, bool),
    /// This party's side notices that.
    Notice(usize, usize),
    /// A link stands again.
    Relink(usize, usize),
    /// Some time passes.
    Time,
    /// Everything under way arrives.
    Quiet,
}

/// A party with the part of its shell that matters here.
pub(super) struct Client {
    party: Party,
    arrived: u64,
    /// To each owner and back.
    roads: [Road; OWNERS],
    /// What has come from other parties.
    posts: VecDeque<Lanes>,
    stage: Stage,
    /// The matches that it has heard of.
    heard: HashSet<TransferId>,
    /// Its transfer has freed the name.
    released: bool,
}

/// What one party has for another.
#[derive(Debug)]
enum Lanes {
    /// A lane of this receiver, for a sender.
    Lane(TransferId, Seat),
    /// This receiver's lane was undone, or has started.
    Undone(TransferId),
    Started(TransferId),
}

#[derive(Debug, PartialEq)]
enum Stage {
    Waiting,
    /// A sender: who was invited, and whose lanes are here.
    Gathering(TransferId, Vec<Seat>, Vec<Seat>),
    /// A receiver that has offered its lane.
    Offered(TransferId),
    /// In a transfer.
    Streaming(TransferId),
    Over,
}

pub(super) struct World {
    pub(super) owners: [Owner; OWNERS],
    pub(super) clients: Vec<Client>,
    /// The clock of the parties, which do not look at it here, and that of the owners.
    clock: Instant,
    now: u64,
    /// Who has the name in each view, from the first on.
    views: Vec<usize>,
    /// The last link that was made.
    link: u64,
    /// Who watches, and has not seen an end.
    watching: [bool; SPECTATORS],
    /// Who must have come to an end when all is quiet, because a DELETE has found it.
    cancelled: Vec<PartyId>,
    /// The receivers of each transfer.
    transfers: HashMap<TransferId, Vec<Seat>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            owners: [Owner::new(1), Owner::new(2)],
            clients: Vec::new(),
            clock: Instant::now(),
            now: 1 << 30,
            views: vec![0],
            link: 0,
            watching: [false; SPECTATORS],
            cancelled: Vec::new(),
            transfers: HashMap::new(),
        }
    }
}

impl World {
    pub(super) fn run(&mut self, op: Op) {
        let one = |i: usize, all: usize| if all == 0 { None } else { Some(i % all) };
        let some = |i| one(i, self.clients.len());
        match op {
            Op::Arrive => self.arrive(),
            Op::Call(i, o) => drop(some(i).map(|i| self.call(i, o % OWNERS, false))),
            Op::Late(i, o) => drop(some(i).map(|i| self.call(i, o % OWNERS, true))),
            Op::Hear(i, o) => drop(some(i).map(|i| self.hear(i, o % OWNERS))),
            Op::Meet(i) => drop(some(i).map(|i| self.hear_others(i))),
            Op::Leave(i) => drop(some(i).map(|i| self.gone(i))),
            Op::Deadline(i) => drop(some(i).map(|i| self.feed(i, Input::Deadline))),
            Op::GiveUp(i) => drop(some(i).map(|i| self.give_up(i))),
            Op::Report(i) => drop(some(i).map(|i| self.report(i))),
            Op::Release(i) => drop(some(i).map(|i| self.release(i))),
            Op::End(i) => drop(some(i).map(|i| self.end(i))),
            Op::Cancel => self.cancel(),
            Op::Watch(i) => self.watch(i % SPECTATORS),
            Op::Unwatch(i) => self.unwatch(i % SPECTATORS),
            Op::Defect => self.defect(),
            Op::View(o) => self.views.push(o % OWNERS),
            Op::Learn(i) => drop(some(i).map(|i| self.learn(i))),
            Op::OwnerLearns(o) => drop(self.owner_learns(o % OWNERS, 1)),
            Op::OwnerSkips(o) => drop(self.owner_learns(o % OWNERS, usize::MAX)),
            Op::Break(i, o, late) => {
                if let Some(i) = some(i) {
                    self.clients[i].roads[o % OWNERS].break_off(late);
                }
            }
            Op::Notice(i, o) => drop(some(i).map(|i| self.clients[i].roads[o % OWNERS].notice())),
            Op::Relink(i, o) => drop(some(i).map(|i| self.relink(i, o % OWNERS))),
            Op::Time => self.pass(MOMENT),
            Op::Quiet => self.settle(),
        }
    }

    fn arrive(&mut self) {
        let i = self.clients.len();
        if i == PARTIES {
            return;
        }
        // A sender, then two receivers, and so on.
        let role = if i.is_multiple_of(PARTIES / SENDERS) { Role::Sender } else { Role::Receiver };
        let party = PartyId { origin: 0, boot: 0, seq: i as u64 };
        self.now += 1;
        self.clients.push(Client {
            party: Party::new(Seat { party, attempt: 0 }, role),
            arrived: self.now,
            roads: Default::default(),
            posts: VecDeque::new(),
            stage: Stage::Waiting,
            heard: HashSet::new(),
            released: false,
        });
        for o in 0..OWNERS {
            self.relink(i, o);
        }
        self.learn(i);
        self.feed(i, Input::Arrive);
    }

    /// A party learns of the newest view. True if it is new to it.
    fn learn(&mut self, i: usize) -> bool {
        let epoch = self.views.len() as u64;
        let new = self.clients[i].party.epoch() < epoch;
        let owner = self.views.last().map(|&o| 1 + o as u64);
        if new && self.clients[i].stage != Stage::Over {
            self.feed(i, Input::View { epoch, owner });
        }
        new && self.clients[i].stage != Stage::Over
    }

    /// An owner learns of so many views. True if there was one.
    fn owner_learns(&mut self, o: usize, views: usize) -> bool {
        let newest = self.views.len();
        let Owner { epoch, .. } = self.owners[o];
        let next = newest.min(epoch.saturating_add(views));
        let had = self.views[epoch - 1] == o;
        let has = self.views[next - 1] == o;
        self.owners[o].epoch = next;
        self.owners[o].fresh |= has && !had;
        if next != epoch && !has {
            self.step(o, ReplyTo(u64::MAX), Call::Evict);
        }
        next != epoch
    }

    /// A link is made, if none stands. True if there is a new one.
    fn relink(&mut self, i: usize, o: usize) -> bool {
        let link = self.link + 1;
        let made = self.clients[i].roads[o].make(link);
        self.link += u64::from(made);
        made
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        for o in 0..OWNERS {
            self.owners[o].fresh = false;
            let outputs = self.owners[o].wake(self.now);
            self.tell(o, outputs);
        }
    }

    /// The next call of a party reaches an owner. True if there was one.
    fn call(&mut self, i: usize, o: usize, late: bool) -> bool {
        let known = self.owners[o].epoch as u64;
        let Some((link, item)) = self.clients[i].roads[o].take_up(known, late) else {
            return false;
        };
        let from = ReplyTo(link);
        let (epoch, call) = match item {
            Item::Gone => return self.step(o, from, Call::Gone { link: from }),
            Item::Call(epoch, call) => (epoch, call),
        };
        let mine = self.views[self.owners[o].epoch - 1] == o;
        match judge(epoch <= known, mine, &call) {
            Verdict::Deliver => {
                if matches!(call, Call::Attach(_)) && self.owners[o].fresh {
                    self.step(o, from, Call::Collect);
                }
                self.step(o, from, call)
            }
            Verdict::Moved(seat) => {
                self.clients[i].roads[o].say(link, Post::Moved(seat, known));
                true
            }
            Verdict::Ignore => true,
        }
    }

    fn step(&mut self, o: usize, from: ReplyTo, call: Call) -> bool {
        let outputs = self.owners[o].step(self.now, from, call);
        self.tell(o, outputs);
        true
    }

    fn tell(&mut self, o: usize, outputs: Vec<Output>) {
        for Output { to, answer } in outputs {
            match answer {
                Answer::Cancelled { .. } => continue,
                Answer::Snapshot { watcher, snapshot } => {
                    let is_over = snapshot.is_some_and(|snapshot| snapshot.is_over());
                    let watching = &mut self.watching[usize::try_from(watcher.seq).unwrap()];
                    assert!(*watching, "{watcher:?} has left or has seen an end");
                    *watching = !is_over;
                    continue;
                }
                Answer::Lost { seat } if seat.party.origin == SPECTATOR => {
                    self.watch(usize::try_from(seat.party.seq).unwrap());
                    continue;
                }
                _ => {}
            }
            for client in &mut self.clients {
                client.roads[o].say(to.0, Post::Answer(answer.clone()));
            }
        }
    }

    /// A party hears one thing from an owner. True if there was one.
    fn hear(&mut self, i: usize, o: usize) -> bool {
        let Some((link, post)) = self.clients[i].roads[o].take_down() else { return false };
        if self.clients[i].stage == Stage::Over {
            // Nobody is there any more.
            return true;
        }
        let (from, silent) = (1 + o as u64, self.clock);
        match post {
            Post::Answer(Answer::Abort { transfer, .. }) => self.abort(i, transfer),
            Post::Answer(answer) => {
                if let Answer::Begin { transfer, .. } = &answer {
                    self.clients[i].heard.insert(*transfer);
                }
                self.feed(i, Input::Owner { from, answer });
            }
            Post::Moved(seat, epoch) => self.feed(i, Input::Moved { from, seat, epoch }),
            Post::Up => self.feed(i, Input::LinkUp { owner: from, link }),
            Post::Down => self.feed(i, Input::LinkDown { owner: from, link, silent }),
        }
        true
    }

    /// A party hears one thing from another. True if there was one. A lane of a match that it has not
    /// heard of is held.
    fn hear_others(&mut self, i: usize) -> bool {
        let Client { posts, heard, .. } = &mut self.clients[i];
        if matches!(posts.front(), Some(Lanes::Lane(x, _)) if !heard.contains(x)) {
            return false;
        }
        let Some(post) = posts.pop_front() else { return false };
        match post {
            Lanes::Lane(x, seat) => self.lane(i, x, seat),
            Lanes::Undone(x) if self.clients[i].stage == Stage::Offered(x) => {
                self.clients[i].stage = Stage::Waiting;
                self.feed(i, Input::Undone(x));
            }
            Lanes::Started(x) if self.clients[i].stage == Stage::Offered(x) => {
                self.clients[i].stage = Stage::Streaming(x);
                self.feed(i, Input::Started(x));
            }
            Lanes::Undone(_) | Lanes::Started(_) => {}
        }
        true
    }

    fn feed(&mut self, i: usize, input: Input) {
        let acts = self.clients[i].party.step(self.clock, input);
        for act in acts {
            match act {
                Act::Attach { owner, seat, .. } => {
                    let link = self.attach(i, owner, seat);
                    self.feed(i, Input::Sent { link });
                }
                Act::Leave { owner, seat, ask, why } => {
                    self.say(i, owner, Call::Leave { seat, ask, why });
                }
                Act::Withdraw { owner, seat } => {
                    self.say(i, owner, Call::Withdraw { seat });
                }
                Act::Unready { owner, transfer } => {
                    self.say(i, owner, Call::Unready { transfer });
                }
                Act::Ready { owner, transfer } => self.announce(i, owner, transfer, false),
                Act::Resume { owner, transfer } => self.announce(i, owner, transfer, true),
                Act::Meet { transfer, sender, receivers } => {
                    self.meet(i, transfer, sender, receivers);
                }
                Act::LetGo => self.let_go(i),
                Act::Refused(_) | Act::Failed(_) => self.clients[i].stage = Stage::Over,
                Act::Admitted { .. } | Act::Counted { .. } => {}
            }
        }
    }

    /// Over which link, if one stands.
    fn say(&mut self, i: usize, owner: u64, call: Call) -> Option<u64> {
        let Client { party, roads, .. } = &mut self.clients[i];
        roads[usize::try_from(owner).unwrap() - 1].ask(party.epoch(), call)
    }

    /// Says it to everybody who was ever told of the transfer.
    fn say_all(&mut self, i: usize, call: &Call) {
        let told: Vec<u64> = self.clients[i].party.told().collect();
        for owner in told {
            self.say(i, owner, call.clone());
        }
    }

    fn attach(&mut self, i: usize, owner: u64, seat: Seat) -> Option<u64> {
        let Client { party, arrived, .. } = &self.clients[i];
        let (role, age_ms) = (party.role, self.now - arrived);
        let label = (role == Role::Sender).then(|| label(i));
        self.say(i, owner, Call::Attach(Attach { seat, role, n: N, age_ms, label }))
    }

    fn meet(&mut self, i: usize, x: TransferId, sender: Seat, receivers: Vec<Seat>) {
        if self.clients[i].party.role == Role::Sender {
            assert_eq!(receivers.len(), usize::from(N));
            self.clients[i].stage = Stage::Gathering(x, receivers, Vec::new());
            return;
        }
        self.clients[i].stage = Stage::Offered(x);
        let seat = self.clients[i].party.seat();
        let at = usize::try_from(sender.party.seq).unwrap();
        match self.clients[at].stage {
            Stage::Over => self.clients[i].posts.push_back(Lanes::Undone(x)),
            _ => self.clients[at].posts.push_back(Lanes::Lane(x, seat)),
        }
    }

    /// A sender takes a lane of its match, and commits when it has all. Others are undone.
    fn lane(&mut self, i: usize, x: TransferId, seat: Seat) {
        match &mut self.clients[i].stage {
            Stage::Gathering(id, invited, here) if *id == x && invited.contains(&seat) => {
                here.push(seat);
            }
            _ => {
                let receiver = usize::try_from(seat.party.seq).unwrap();
                return self.clients[receiver].posts.push_back(Lanes::Undone(x));
            }
        }
        let Stage::Gathering(_, invited, here) = &self.clients[i].stage else { return };
        let gone = |s: &Seat| self.client(s).stage != Stage::Offered(x);
        if here.len() == invited.len() && !here.iter().any(gone) {
            self.commit(i, x);
        }
    }

    fn client(&self, seat: &Seat) -> &Client {
        &self.clients[usize::try_from(seat.party.seq).unwrap()]
    }

    fn commit(&mut self, i: usize, x: TransferId) {
        let stage = std::mem::replace(&mut self.clients[i].stage, Stage::Streaming(x));
        let Stage::Gathering(_, invited, _) = stage else { panic!("commit of no match") };
        for seat in &invited {
            assert_eq!(self.client(seat).party.seat(), *seat, "{seat:?} was moved while pinned");
            let receiver = usize::try_from(seat.party.seq).unwrap();
            self.clients[receiver].posts.push_back(Lanes::Started(x));
        }
        assert!(self.transfers.insert(x, invited).is_none(), "{x} has started twice");
        self.feed(i, Input::Started(x));
    }

    fn announce(&mut self, i: usize, owner: u64, transfer: TransferId, again: bool) {
        let sender = self.clients[i].party.seat();
        let receivers = self.transfers[&transfer].iter().copied();
        let roll = std::iter::once(sender).chain(receivers).collect();
        let (total, label, elapsed_ms) = (None, Some(label(i)), 0);
        let (bytes, receivers, released) = (0, N, self.clients[i].released);
        let call = match again {
            true => Call::Resume {
                transfer,
                roll,
                total,
                label,
                elapsed_ms,
                bytes,
                receivers,
                released,
            },
            false => Call::Ready { transfer, roll, total, label },
        };
        self.say(i, owner, call);
    }

    /// A sender drops its lanes.
    fn let_go(&mut self, i: usize) {
        let stage = std::mem::replace(&mut self.clients[i].stage, Stage::Waiting);
        if let Stage::Gathering(x, _, here) = stage {
            for seat in here {
                let receiver = usize::try_from(seat.party.seq).unwrap();
                self.clients[receiver].posts.push_back(Lanes::Undone(x));
            }
        }
    }

    /// A party has waited for long enough: for the lanes of a match, with a lane for the match, or for
    /// the owner's word after its deadline. True if it has waited.
    fn give_up(&mut self, i: usize) -> bool {
        if self.clients[i].party.is_leaving() {
            self.feed(i, Input::Deadline);
            return true;
        }
        if let Stage::Gathering(x, ..) = self.clients[i].stage {
            self.feed(i, Input::Undone(x));
            return true;
        }
        let Some(Lanes::Lane(x, _)) = self.clients[i].posts.front() else { return false };
        let x = *x;
        self.clients[i].heard.insert(x)
    }

    /// The transfer of which this is the sender.
    fn sends(&self, i: usize) -> Option<TransferId> {
        match (&self.clients[i].stage, self.clients[i].party.role) {
            (Stage::Streaming(x), Role::Sender) => Some(*x),
            _ => None,
        }
    }

    fn report(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        let (bytes, receivers) = (self.now, N);
        if let Some(owner) = self.clients[i].party.owner() {
            self.say(i, owner, Call::Progress { transfer, bytes, receivers });
        }
    }

    fn release(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        self.clients[i].released = true;
        let sender = self.clients[i].party.seat().party;
        self.say_all(i, &Call::Released { transfer, sender });
    }

    /// A sender's transfer is over, and with it the requests of its receivers.
    fn end(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        let (result, bytes, whole, n, receivers) = (Ok(()), 0, N, N, 0);
        let (elapsed_ms, hashed, digest) = (0, false, None);
        let outcome = Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest };
        let sender = self.clients[i].party.seat().party;
        self.say_all(i, &Call::Ended { transfer, sender, outcome });
        for seat in self.transfers[&transfer].clone() {
            let receiver = usize::try_from(seat.party.seq).unwrap();
            self.clients[receiver].stage = Stage::Over;
            self.feed(receiver, Input::Started(transfer));
            self.feed(receiver, Input::Gone(None));
        }
        self.feed(i, Input::Gone(None));
        self.clients[i].stage = Stage::Over;
    }

    /// Dropping a party: it leaves, undoes its match or ends its transfer. A sender's lanes that
    /// have not been heard of are dropped with its inbox.
    pub(super) fn gone(&mut self, i: usize) {
        self.end(i);
        self.feed(i, Input::Gone(None));
        self.let_go(i);
        self.clients[i].stage = Stage::Over;
        for post in std::mem::take(&mut self.clients[i].posts) {
            match post {
                Lanes::Lane(x, seat) => {
                    let receiver = usize::try_from(seat.party.seq).unwrap();
                    self.clients[receiver].posts.push_back(Lanes::Undone(x));
                }
                post => self.clients[i].posts.push_back(post),
            }
        }
    }

    fn abort(&mut self, i: usize, x: TransferId) {
        match &self.clients[i].stage {
            Stage::Gathering(id, ..) | Stage::Streaming(id) if *id == x => self.gone(i),
            _ => {}
        }
    }

    /// The DELETE finds everyone who has a place, and the transfer that streams; or else it finds
    /// the transfer that drains.
    fn cancel(&mut self) {
        let present = self.owners[0].machine.present();
        self.cancelled.extend(present.iter().map(|seat| seat.party));
        let asker = PartyId { origin: 9, boot: 0, seq: 0 };
        self.step(0, ReplyTo(u64::MAX), Call::Cancel { asker, reason: None });
    }

    /// A panic in the actor: everyone is told, and the next arrival finds a fresh machine. What was
    /// cancelled in the old one may wait again.
    fn defect(&mut self) {
        self.cancelled.clear();
        let outputs = self.owners[0].defect(self.now);
        self.tell(0, outputs);
    }

    fn watch(&mut self, i: usize) {
        self.watching[i] = true;
        self.step(0, ReplyTo(u64::MAX), Call::Watch { watcher: spectator(i) });
    }

    pub(super) fn unwatch(&mut self, i: usize) {
        self.step(0, ReplyTo(u64::MAX), Call::Unwatch { watcher: spectator(i) });
        self.watching[i] = false;
    }

    /// Lets everything that is under way arrive; everybody learns of the newest view, and all links
    /// stand. A match that cannot start is given up.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for o in 0..OWNERS {
                busy |= self.owner_learns(o, 1);
                for i in 0..self.clients.len() {
                    busy |= self.clients[i].roads[o].notice() | self.relink(i, o);
                    busy |= self.call(i, o, false) | self.hear(i, o);
                }
            }
            for i in 0..self.clients.len() {
                busy |= self.learn(i) | self.hear_others(i);
            }
            if busy || (0..self.clients.len()).any(|i| self.give_up(i)) {
                continue;
            } else if self.owners.iter().any(|owner| owner.machine.wakes().is_some()) {
                self.pass(LONG);
            } else {
                return;
            }
        }
        panic!("never quiet");
    }

    /// When all is quiet, each party that waits has its place at the owner of the newest view, nobody
    /// has one who does not, and nothing is left at the other owner.
    pub(super) fn check_quiet(&self) {
        let o = self.views.last().copied().unwrap();
        let Owner { machine, node, .. } = &self.owners[o];
        let waiting = self.clients.iter().filter(|c| c.stage == Stage::Waiting);
        let mut waiting: Vec<Seat> = waiting.map(|c| c.party.seat()).collect();
        let mut present = machine.present();
        waiting.sort_by_key(|seat| seat.party);
        present.sort_by_key(|seat| seat.party);
        assert_eq!(waiting, present, "who waits, and who has a place: {machine:?}");
        let watching = self.watching.iter().filter(|watching| **watching).count();
        assert_eq!(machine.spectators(), watching);
        let held: HashSet<PublicId> = machine.ids().collect();
        assert_eq!(held, node.living, "ids of what waits or runs, and of nothing else");
        for i in 0..self.clients.len() {
            let told = self.sends(i).is_none() || held.contains(&label(i));
            assert!(told, "the owner does not know the transfer of sender {i}: {machine:?}");
        }
        for party in &self.cancelled {
            let client = &self.clients[usize::try_from(party.seq).unwrap()];
            assert_eq!(client.stage, Stage::Over, "{party:?} was cancelled and is still there");
        }
        let pairs = waiting.iter().filter(|seat| seat.party.seq.is_multiple_of(3)).count();
        let free = pairs > 0 && waiting.len() - pairs >= usize::from(N);
        let idle = (0..self.clients.len()).all(|i| self.sends(i).is_none());
        assert!(!(free && idle), "they wait apart: {machine:?}");
        self.owners.iter().enumerate().filter(|(other, _)| *other != o).for_each(|(_, owner)| {
            owner.check_empty();
        });
    }
}

fn spectator(i: usize) -> PartyId {
    PartyId { origin: SPECTATOR, boot: 0, seq: i as u64 }
}

/// The id that a sender has chosen.
fn label(i: usize) -> PublicId {
    PublicId::from(&*format!("the-id-of-sender-{i}"))
}
