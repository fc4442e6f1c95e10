//! A model of both edges' shells over the two real machines, party and rendezvous, of one name. No
//! clocks, no bytes; back-off is left out, and a give-up may come at any moment.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::*;
use crate::pipe::progress::Past;
use crate::pipe::rendezvous::{Output, Rendezvous, Room};
use crate::pipe::{Attach, Call, Outcome, PartyId, PublicId, ReplyTo, Snapshot};

/// Senders are the first ones, receivers the rest.
const SENDERS: usize = 3;
pub(super) const PARTIES: usize = 9;
const N: u16 = 2;

/// Spectators, and the origin by which they are told from parties.
pub(super) const SPECTATORS: usize = 2;
const SPECTATOR: u64 = 8;

/// One thing that happens. The number is a party, taken modulo those there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// The next party comes.
    Arrive,
    /// A call of this party reaches the machine.
    Call(usize),
    /// This party hears what has come for it.
    Hear(usize),
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
}

/// What comes for a party.
#[derive(Debug)]
enum Post {
    Answer(Answer),
    /// A lane of this receiver, for a sender.
    Lane(TransferId, Seat),
    /// This receiver's lane was undone, or has started.
    Undone(TransferId),
    Started(TransferId),
}

/// A party with the part of its shell that matters here.
pub(super) struct Client {
    party: Party,
    arrived: u64,
    /// Calls on their way to the machine.
    calls: VecDeque<Call>,
    posts: VecDeque<Post>,
    stage: Stage,
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

#[derive(Default)]
pub(super) struct World {
    pub(super) machine: Rendezvous,
    pub(super) clients: Vec<Client>,
    now: u64,
    /// What the node remembers.
    pub(super) node: Node,
    /// Who watches, and has not seen an end.
    watching: [bool; SPECTATORS],
    /// Who must have come to an end when all is quiet, because a DELETE has found it.
    cancelled: Vec<PartyId>,
    /// The receivers of each transfer.
    transfers: HashMap<TransferId, Vec<Seat>>,
}

/// A node with room for everything, which holds ids and remembers that something is over.
#[derive(Default)]
pub(super) struct Node {
    minted: u128,
    /// Ids of what waits or runs.
    pub(super) living: HashSet<PublicId>,
    /// What the name shows.
    shown: Option<Snapshot>,
}

impl Room for Node {
    fn wait(&mut self) -> bool {
        true
    }

    fn start(&mut self) -> bool {
        true
    }

    fn watch(&mut self, there: usize) -> bool {
        assert!(there < SPECTATORS);
        true
    }

    fn mint(&mut self) -> TransferId {
        self.minted += 1;
        TransferId::from_u128(self.minted)
    }

    fn take(&mut self, id: &PublicId, again: bool) -> bool {
        self.living.insert(id.clone()) || again
    }

    fn give_back(&mut self, id: &PublicId) {
        self.living.remove(id);
    }

    fn shelve(&mut self, past: Past) {
        assert!(past.last.is_over() && (past.named || past.kept || past.last.id.is_some()));
        if let Some(id) = &past.last.id {
            assert!(self.living.remove(id), "{id:?} is over twice");
        }
        if past.named {
            self.shown = Some(past.last);
        }
    }

    fn forget(&mut self) {
        self.shown = None;
    }

    fn recall(&mut self, _: Option<&PublicId>) -> Option<Snapshot> {
        self.shown.clone()
    }
}

impl World {
    pub(super) fn run(&mut self, op: Op) {
        let one = |i: usize, all: usize| if all == 0 { None } else { Some(i % all) };
        let some = |i| one(i, self.clients.len());
        match op {
            Op::Arrive => self.arrive(),
            Op::Call(i) => drop(some(i).map(|i| self.call(i))),
            Op::Hear(i) => drop(some(i).map(|i| self.hear(i))),
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
            calls: VecDeque::new(),
            posts: VecDeque::new(),
            stage: Stage::Waiting,
        });
        self.feed(i, Input::Arrive);
    }

    /// The next call of a party reaches the machine. True if there was one.
    fn call(&mut self, i: usize) -> bool {
        let Some(call) = self.clients[i].calls.pop_front() else { return false };
        self.step(i as u64, call);
        true
    }

    fn step(&mut self, from: u64, call: Call) {
        let outputs = self.machine.step(self.now, ReplyTo(from), call, &mut self.node);
        self.machine.check();
        self.tell(outputs);
    }

    fn tell(&mut self, outputs: Vec<Output>) {
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
            let inbox = &mut self.clients[usize::try_from(to.0).unwrap()];
            inbox.posts.push_back(Post::Answer(answer));
        }
    }

    /// A party hears one thing. True if there was one.
    fn hear(&mut self, i: usize) -> bool {
        let Some(post) = self.clients[i].posts.pop_front() else { return false };
        match post {
            Post::Answer(Answer::Abort { transfer, .. }) => self.abort(i, transfer),
            Post::Answer(answer) => self.feed(i, Input::Owner(answer)),
            Post::Lane(x, seat) => self.lane(i, x, seat),
            Post::Undone(x) if self.clients[i].stage == Stage::Offered(x) => {
                self.clients[i].stage = Stage::Waiting;
                self.feed(i, Input::Undone(x));
            }
            Post::Started(x) if self.clients[i].stage == Stage::Offered(x) => {
                self.clients[i].stage = Stage::Streaming(x);
                self.feed(i, Input::Started(x));
            }
            Post::Undone(_) | Post::Started(_) => {}
        }
        true
    }

    fn feed(&mut self, i: usize, input: Input) {
        let acts = self.clients[i].party.step(input);
        for act in acts {
            match act {
                Act::Attach { seat, .. } => self.attach(i, seat),
                Act::Leave { seat, ask, why } => self.say(i, Call::Leave { seat, ask, why }),
                Act::Unready { transfer } => self.say(i, Call::Unready { transfer }),
                Act::Meet { transfer, sender, receivers } => {
                    self.meet(i, transfer, sender, receivers);
                }
                Act::LetGo => self.let_go(i),
                Act::Refused(_) | Act::Failed(_) => self.clients[i].stage = Stage::Over,
                Act::Admitted { .. } => {}
            }
        }
    }

    fn say(&mut self, i: usize, call: Call) {
        self.clients[i].calls.push_back(call);
    }

    fn attach(&mut self, i: usize, seat: Seat) {
        let Client { party, arrived, .. } = &self.clients[i];
        let (role, age_ms) = (party.role, self.now - arrived);
        let chosen = || PublicId::from(&*format!("the-id-of-sender-{i}"));
        let label = (role == Role::Sender).then(chosen);
        self.say(i, Call::Attach(Attach { seat, role, n: N, age_ms, label }));
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
            Stage::Over => self.clients[i].posts.push_back(Post::Undone(x)),
            _ => self.clients[at].posts.push_back(Post::Lane(x, seat)),
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
                return self.clients[receiver].posts.push_back(Post::Undone(x));
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
            self.clients[receiver].posts.push_back(Post::Started(x));
        }
        self.feed(i, Input::Started(x));
        let sender = self.clients[i].party.seat();
        let roll = std::iter::once(sender).chain(invited.iter().copied()).collect();
        assert!(self.transfers.insert(x, invited).is_none(), "{x} has started twice");
        let label = Some(PublicId::from(&*format!("the-id-of-sender-{i}")));
        self.say(i, Call::Ready { transfer: x, roll, total: None, label });
    }

    /// A sender drops its lanes.
    fn let_go(&mut self, i: usize) {
        let stage = std::mem::replace(&mut self.clients[i].stage, Stage::Waiting);
        if let Stage::Gathering(x, _, here) = stage {
            for seat in here {
                let receiver = usize::try_from(seat.party.seq).unwrap();
                self.clients[receiver].posts.push_back(Post::Undone(x));
            }
        }
    }

    fn give_up(&mut self, i: usize) {
        if let Stage::Gathering(x, ..) = self.clients[i].stage {
            self.feed(i, Input::Undone(x));
        }
    }

    fn report(&mut self, i: usize) {
        if let (Stage::Streaming(x), Role::Sender) =
            (&self.clients[i].stage, self.clients[i].party.role)
        {
            let (transfer, bytes, receivers) = (*x, self.now, N);
            self.say(i, Call::Progress { transfer, bytes, receivers });
        }
    }

    fn release(&mut self, i: usize) {
        if let (Stage::Streaming(x), Role::Sender) =
            (&self.clients[i].stage, self.clients[i].party.role)
        {
            let transfer = *x;
            self.say(i, Call::Released { transfer });
        }
    }

    /// A sender's transfer is over, and with it the requests of its receivers.
    fn end(&mut self, i: usize) {
        let (Stage::Streaming(x), Role::Sender) =
            (&self.clients[i].stage, self.clients[i].party.role)
        else {
            return;
        };
        let transfer = *x;
        let (result, bytes, whole, n, receivers) = (Ok(()), 0, N, N, 0);
        let (elapsed_ms, hashed, digest) = (0, false, None);
        let outcome = Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest };
        self.say(i, Call::Ended { transfer, outcome });
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
                Post::Lane(x, seat) => {
                    let receiver = usize::try_from(seat.party.seq).unwrap();
                    self.clients[receiver].posts.push_back(Post::Undone(x));
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
        let present = self.machine.present();
        self.cancelled.extend(present.iter().map(|seat| seat.party));
        let asker = PartyId { origin: 9, boot: 0, seq: 0 };
        self.step(u64::MAX, Call::Cancel { asker, reason: None });
    }

    /// A panic in the actor: everyone is told, and the next arrival finds a fresh machine. What was
    /// cancelled in the old one may wait again.
    fn defect(&mut self) {
        self.cancelled.clear();
        let machine = std::mem::take(&mut self.machine);
        machine.ruins(self.now).into_iter().for_each(|past| self.node.shelve(past));
        self.tell(machine.wreck());
    }

    fn watch(&mut self, i: usize) {
        self.watching[i] = true;
        self.step(u64::MAX, Call::Watch { watcher: spectator(i) });
    }

    pub(super) fn unwatch(&mut self, i: usize) {
        self.step(u64::MAX, Call::Unwatch { watcher: spectator(i) });
        self.watching[i] = false;
    }

    /// Lets everything that is under way arrive. A match that cannot start is given up.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for i in 0..self.clients.len() {
                busy |= self.call(i) | self.hear(i);
            }
            if busy {
                continue;
            }
            let gathers = |c: &Client| matches!(c.stage, Stage::Gathering(..));
            let Some(stuck) = self.clients.iter().position(gathers) else { return };
            self.give_up(stuck);
        }
        panic!("never quiet");
    }

    /// When all is quiet, each party that waits has its place, and nobody has one who does not.
    pub(super) fn check_quiet(&self) {
        let waiting = self.clients.iter().filter(|c| c.stage == Stage::Waiting);
        let mut waiting: Vec<Seat> = waiting.map(|c| c.party.seat()).collect();
        let mut present = self.machine.present();
        waiting.sort_by_key(|seat| seat.party);
        present.sort_by_key(|seat| seat.party);
        assert_eq!(waiting, present, "who waits, and who has a place: {:?}", self.machine);
        let watching = self.watching.iter().filter(|watching| **watching).count();
        assert_eq!(self.machine.spectators(), watching);
        let held: HashSet<PublicId> = self.machine.ids().collect();
        assert_eq!(held, self.node.living, "ids of what waits or runs, and of nothing else");
        for party in &self.cancelled {
            let client = &self.clients[usize::try_from(party.seq).unwrap()];
            assert_eq!(client.stage, Stage::Over, "{party:?} was cancelled and is still there");
        }
    }
}

fn spectator(i: usize) -> PartyId {
    PartyId { origin: SPECTATOR, boot: 0, seq: i as u64 }
}
