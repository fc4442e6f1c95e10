//! The parties of the model: what their shells do with what they hear from owners and from each other.

use std::collections::{HashSet, VecDeque};

use super::*;

/// A party with the part of its shell that matters here.
pub(in super::super) struct Client {
    pub(super) party: Party,
    pub(super) arrived: u64,
    /// To each owner and back.
    pub(super) roads: [Road; OWNERS],
    /// What has come from other parties.
    pub(super) posts: VecDeque<Lanes>,
    pub(super) stage: Stage,
    /// The matches that it has heard of.
    pub(super) heard: HashSet<TransferId>,
    /// Its transfer has freed the name.
    pub(super) released: bool,
}

/// What one party has for another.
#[derive(Debug)]
pub(super) enum Lanes {
    /// A lane of this receiver, for a sender.
    Lane(TransferId, Seat),
    /// This receiver's lane was undone, or has started.
    Undone(TransferId),
    Started(TransferId),
}

#[derive(Debug, PartialEq)]
pub(super) enum Stage {
    Waiting,
    /// A sender: who was invited, and whose lanes are here.
    Gathering(TransferId, Vec<Seat>, Vec<Seat>),
    /// A receiver that has offered its lane.
    Offered(TransferId),
    /// In a transfer.
    Streaming(TransferId),
    Over,
}

impl World {
    /// A party hears one thing from an owner. True if there was one.
    pub(super) fn hear(&mut self, i: usize, o: usize) -> bool {
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
    pub(super) fn hear_others(&mut self, i: usize) -> bool {
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

    pub(super) fn feed(&mut self, i: usize, input: Input) {
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
    pub(super) fn say(&mut self, i: usize, owner: u64, call: Call) -> Option<u64> {
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
        self.say(i, owner, Call::Attach(Attach { seat, role, n: self.n(i), age_ms, label }))
    }

    fn meet(&mut self, i: usize, x: TransferId, sender: Seat, receivers: Vec<Seat>) {
        if self.clients[i].party.role == Role::Sender {
            assert_eq!(receivers.len(), usize::from(self.n(i)));
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
        let (bytes, receivers, released) = (0, self.n(i), self.clients[i].released);
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
    pub(super) fn give_up(&mut self, i: usize) -> bool {
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
    pub(super) fn sends(&self, i: usize) -> Option<TransferId> {
        match (&self.clients[i].stage, self.clients[i].party.role) {
            (Stage::Streaming(x), Role::Sender) => Some(*x),
            _ => None,
        }
    }

    pub(super) fn report(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        let (bytes, receivers) = (self.now, self.n(i));
        if let Some(owner) = self.clients[i].party.owner() {
            self.say(i, owner, Call::Progress { transfer, bytes, receivers });
        }
    }

    pub(super) fn release(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        self.clients[i].released = true;
        let sender = self.clients[i].party.seat().party;
        self.say_all(i, &Call::Released { transfer, sender });
    }

    /// A sender's transfer is over, and with it the requests of its receivers.
    pub(super) fn end(&mut self, i: usize) {
        let Some(transfer) = self.sends(i) else { return };
        let (result, bytes, whole, n, receivers) = (Ok(()), 0, self.n(i), self.n(i), 0);
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
    pub(in super::super) fn gone(&mut self, i: usize) {
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
}
