//! A model of both edges' shells over the real machines of one name: parties, each at a node of its
//! own, and two owners. No bytes; back-off is left out, time passes only where it is said, and a
//! give-up may come at any moment.

mod client;
mod owner;
mod quiet;
mod road;

use std::collections::{HashMap, HashSet, VecDeque};

pub(super) use client::Client;
use client::Stage;
pub(super) use owner::Owner;
use road::{Item, Post, Road};

use super::super::*;
use crate::edge::judge::{Verdict, judge};
use crate::pipe::rendezvous::Output;
use crate::pipe::{Attach, Call, Outcome, PartyId, PublicId, ReplyTo};

/// Senders are the first ones, receivers the rest.
const SENDERS: usize = 3;
pub(super) const PARTIES: usize = 9;
/// How many receivers a party wants, and how many the last of them want where they are mixed.
const N: u16 = 2;
const OTHER_N: u16 = 1;

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
    /// The last sender and its receivers want another number.
    mixed: bool,
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
            mixed: false,
            transfers: HashMap::new(),
        }
    }
}

impl World {
    /// One where not all want the same number of receivers.
    pub(super) fn mixed() -> Self {
        Self { mixed: true, ..Self::default() }
    }

    /// How many receivers a party wants.
    fn n(&self, i: usize) -> u16 {
        if self.mixed && i >= PARTIES - PARTIES / SENDERS { OTHER_N } else { N }
    }

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
                Answer::Snapshot { watchers, snapshot } => {
                    let is_over = snapshot.is_some_and(|snapshot| snapshot.is_over());
                    for watcher in watchers {
                        let watching = &mut self.watching[usize::try_from(watcher.seq).unwrap()];
                        assert!(*watching, "{watcher:?} has left or has seen an end");
                        *watching = !is_over;
                    }
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
}

fn spectator(i: usize) -> PartyId {
    PartyId { origin: SPECTATOR, boot: 0, seq: i as u64 }
}

/// The id that a sender has chosen.
fn label(i: usize) -> PublicId {
    PublicId::from(&*format!("the-id-of-sender-{i}"))
}
