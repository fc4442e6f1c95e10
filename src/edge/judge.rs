//! What an owner does with a call that another node has sent. Pure: views, calls and moments in,
//! decisions out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoody_pipe_cluster::{Epoch, Health, Member, NodeId, View};

use crate::pipe::{Call, PartyId, Seat};

/// How long older parties may be on their way to a name after all edges have said that they know the view
/// by which it has come to this node (spec §22), or after a link of theirs stands.
const COLLECTING: Duration = Duration::from_millis(500);

/// How long at most after the view: an edge that learns of it later finds its parties' names in use. Who
/// has waited is re-homed within 2 s of a change (spec §28, row 18).
const COLLECTING_MAX: Duration = Duration::from_secs(2);

/// How long after its start a node takes a link for one that leads back to it: longer than it is
/// remembered by those who have lost it.
const RESTART: Duration = Duration::from_secs(10);

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the actor of the name.
    Deliver,
    /// The name lives elsewhere: this one is told to come again.
    Moved(Seat),
    /// It means nothing here.
    Ignore,
}

/// `caught_up`: my view is at least as new as that of the caller; `mine`: in it the name is mine.
///
/// News of a running transfer is taken from a caller whose view is newer than mine: it is not told
/// twice, and with the view that I am missing it may be mine to know.
pub fn judge(caught_up: bool, mine: bool, call: &Call) -> Verdict {
    let alone = |party: PartyId| Seat { party, attempt: 0 };
    let seat = match call {
        Call::Attach(attach) => attach.seat,
        Call::Status { asker, .. } | Call::Cancel { asker, .. } => alone(*asker),
        Call::Watch { watcher } => alone(*watcher),
        Call::Ready { .. } | Call::Resume { .. } if caught_up && !mine => return Verdict::Ignore,
        // Whoever says these waits for nothing but `Left` and `Freed`, and gets those in any case.
        Call::Ready { .. }
        | Call::Resume { .. }
        | Call::Leave { .. }
        | Call::Withdraw { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Released { .. }
        | Call::Ended { .. }
        | Call::Unwatch { .. } => return Verdict::Deliver,
        // The node says these to itself; no frame can.
        Call::Gone { .. } | Call::Evict | Call::Collect => return Verdict::Ignore,
    };
    if caught_up && mine { Verdict::Deliver } else { Verdict::Moved(seat) }
}

/// Does this call want to know all who are at the name, those too who are still on their way?
pub fn wants_all(call: &Call) -> bool {
    match call {
        Call::Attach(_) | Call::Cancel { .. } | Call::Status { .. } | Call::Watch { .. } => true,
        Call::Leave { .. }
        | Call::Withdraw { .. }
        | Call::Ready { .. }
        | Call::Resume { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Released { .. }
        | Call::Ended { .. }
        | Call::Unwatch { .. }
        | Call::Gone { .. }
        | Call::Evict
        | Call::Collect => false,
    }
}

/// Which names have come to this node so lately that older parties may be on their way to them.
#[derive(Debug)]
pub struct Takeover {
    me: NodeId,
    began: Instant,
    newest: Arc<View>,
    /// Views that held until a moment ago, and until when that was.
    before: Vec<(Instant, Arc<View>)>,
    /// The newest view that each other node is known to know.
    known: BTreeMap<NodeId, Epoch>,
    /// Since when all who may have parties are known to know the newest view.
    settled: Option<Instant>,
}

impl Takeover {
    /// A node that starts now, and has owned nothing.
    pub fn new(now: Instant, me: NodeId) -> Self {
        let (newest, before) = (Arc::new(View::unknown()), Vec::new());
        Self { me, began: now, newest, before, known: BTreeMap::new(), settled: None }
    }

    /// The newest view.
    pub fn see(&mut self, now: Instant, view: &Arc<View>) {
        if view.epoch() > self.newest.epoch() {
            let old = std::mem::replace(&mut self.newest, view.clone());
            self.note(now, old);
            self.known.retain(|node, _| view.member(*node).is_some());
            self.settled = None;
            self.settle(now);
        }
    }

    /// Another node knows this view.
    pub fn heard(&mut self, now: Instant, node: NodeId, epoch: Epoch) {
        let known = self.known.entry(node).or_default();
        *known = epoch.max(*known);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        // Who is down may be dead, and is not waited for.
        let serves = |member: &&Member| matches!(member.health, Health::Up | Health::Draining);
        let mut others = self.newest.members().iter().filter(serves).map(|member| member.id);
        let knows = |id| self.known.get(&id).is_some_and(|known| *known >= self.newest.epoch());
        if self.settled.is_none() && others.all(|id| id == self.me || knows(id)) {
            self.settled = Some(now);
        }
    }

    /// An edge has made a link. Soon after a start it may bring parties that were here before.
    pub fn linked(&mut self, now: Instant) {
        if now < self.began + RESTART {
            self.note(now, Arc::new(View::unknown()));
        }
    }

    fn note(&mut self, now: Instant, old: Arc<View>) {
        self.before.retain(|(since, _)| now < *since + COLLECTING_MAX);
        self.before.push((now, old));
    }

    /// Has this key, which is mine in the newest view, come to me a moment ago?
    pub fn is_fresh(&self, now: Instant, key: &[u8]) -> bool {
        let lately = self.before.iter().filter(|(since, _)| now < self.until(*since));
        lately.map(|(_, view)| view.owner(key)).any(|owner| owner != Some(self.me))
    }

    /// Until when those may come who have learned late of what has changed then.
    fn until(&self, since: Instant) -> Instant {
        let latest = since + COLLECTING_MAX;
        self.settled.map_or(latest, |settled| latest.min(since.max(settled) + COLLECTING))
    }
}

#[cfg(test)]
mod tests {
    use hoody_pipe_cluster::Seed;

    use super::*;
    use crate::pipe::{Attach, Role, TransferId};

    const X: TransferId = TransferId::from_u128(1);
    const ME: PartyId = PartyId { origin: 1, boot: 1, seq: 1 };

    fn seat(attempt: u32) -> Seat {
        Seat { party: ME, attempt }
    }

    fn ready() -> Call {
        Call::Ready { transfer: X, roll: Vec::new(), total: None, label: None }
    }

    #[test]
    fn who_wants_an_answer_of_the_owner_is_sent_on_by_anyone_else() {
        let attach = Attach { seat: seat(3), role: Role::Sender, n: 1, age_ms: 0, label: None };
        for (call, attempt) in [
            (Call::Attach(attach), 3),
            (Call::Status { asker: ME, transfer: None }, 0),
            (Call::Watch { watcher: ME }, 0),
            (Call::Cancel { asker: ME, reason: None }, 0),
        ] {
            assert_eq!(judge(true, true, &call), Verdict::Deliver);
            for (caught_up, mine) in [(true, false), (false, true), (false, false)] {
                assert_eq!(judge(caught_up, mine, &call), Verdict::Moved(seat(attempt)));
            }
        }
    }

    #[test]
    fn news_of_a_transfer_is_dropped_only_by_who_knows_that_it_is_not_the_owner() {
        for (caught_up, mine) in [(true, true), (false, true), (false, false)] {
            assert_eq!(judge(caught_up, mine, &ready()), Verdict::Deliver);
        }
        assert_eq!(judge(true, false, &ready()), Verdict::Ignore);
    }

    #[test]
    fn what_is_given_up_is_given_up_anywhere() {
        for call in [
            Call::Leave { seat: seat(1), ask: true, why: None },
            Call::Withdraw { seat: seat(1) },
            Call::Unready { transfer: X },
            Call::Released { transfer: X, sender: ME },
            Call::Unwatch { watcher: ME },
        ] {
            assert_eq!(judge(true, false, &call), Verdict::Deliver, "{call:?}");
        }
    }

    #[test]
    fn what_a_node_says_to_itself_is_heard_from_nobody_else() {
        for call in [Call::Evict, Call::Collect] {
            assert_eq!(judge(true, true, &call), Verdict::Ignore);
        }
    }

    /// A view in which the nodes with these ids are up.
    fn view(epoch: u64, up: &[u64]) -> Arc<View> {
        let member = |&id: &u64| Member {
            id: NodeId(id),
            name: format!("node-{id}"),
            addr: None,
            region: String::new(),
            boot: 0,
            health: Health::Up,
        };
        Arc::new(View::of(Epoch(epoch), Seed([7; 16]), up.iter().map(member).collect()))
    }

    /// A key of node 1 and one of node 2, while both are up.
    fn keys() -> [Vec<u8>; 2] {
        let both = view(1, &[1, 2]);
        [1, 2].map(|id| {
            let mut keys = (0..100u8).map(|i| vec![i]);
            keys.find(|key| both.owner(key) == Some(NodeId(id))).unwrap()
        })
    }

    /// Node 1, which has known this view for long, as all others have.
    fn settled(start: Instant, first: &Arc<View>) -> Takeover {
        let mut takeover = Takeover::new(start, NodeId(1));
        takeover.see(start, first);
        all_know(&mut takeover, start, first);
        takeover
    }

    fn all_know(takeover: &mut Takeover, now: Instant, view: &Arc<View>) {
        view.members().iter().for_each(|m| takeover.heard(now, m.id, view.epoch()));
    }

    #[test]
    fn a_name_is_fresh_for_half_a_second_after_the_view_that_brought_it() {
        let (start, [mine, theirs]) = (Instant::now(), keys());
        let now = start + RESTART;
        let fresh = |takeover: &Takeover, after_ms, key: &[u8]| {
            takeover.is_fresh(now + Duration::from_millis(after_ms), key)
        };
        let mut takeover = settled(start, &view(1, &[1, 2]));
        assert!(takeover.is_fresh(start, &mine), "a node that starts has owned nothing");
        assert!(!fresh(&takeover, 0, &mine));
        takeover.see(now, &view(2, &[1]));
        assert!(!fresh(&takeover, 0, &mine) && fresh(&takeover, 0, &theirs));
        // A view that is known changes nothing.
        takeover.see(now + Duration::from_millis(450), &view(2, &[1]));
        assert!(fresh(&takeover, 499, &theirs) && !fresh(&takeover, 500, &theirs));
    }

    #[test]
    fn a_name_is_fresh_for_longer_while_somebody_does_not_know_the_view() {
        let (start, [_, theirs]) = (Instant::now(), keys());
        let mut takeover = settled(start, &view(1, &[1, 2, 3]));
        let now = start + RESTART;
        let at = |ms| now + Duration::from_millis(ms);
        let next = view(2, &[1, 3]);
        takeover.see(now, &next);
        let fresh = |takeover: &Takeover, ms| takeover.is_fresh(at(ms), &theirs);
        assert!(fresh(&takeover, 1999), "node 3 has not said that it knows");
        assert!(!fresh(&takeover, 2000), "and may be as good as dead");
        takeover.heard(at(700), NodeId(3), Epoch(1));
        assert!(fresh(&takeover, 1999), "not this one");
        all_know(&mut takeover, at(800), &next);
        assert!(fresh(&takeover, 1299) && !fresh(&takeover, 1300));
        all_know(&mut takeover, at(1200), &next);
        assert!(!fresh(&takeover, 1300), "it is said again");
    }

    #[test]
    fn a_name_that_was_elsewhere_for_a_moment_is_fresh_when_it_is_back() {
        let (start, [_, theirs]) = (Instant::now(), keys());
        let mut takeover = settled(start, &view(1, &[1]));
        let now = start + RESTART;
        takeover.see(now, &view(2, &[1, 2]));
        takeover.see(now, &view(3, &[1]));
        assert!(takeover.is_fresh(now, &theirs));
    }

    #[test]
    fn soon_after_a_start_each_link_may_bring_who_was_here_before() {
        let (start, [mine, _]) = (Instant::now(), keys());
        let mut takeover = settled(start, &view(1, &[1, 2]));
        let later = start + Duration::from_secs(9);
        assert!(!takeover.is_fresh(later, &mine));
        takeover.linked(later);
        assert!(takeover.is_fresh(later, &mine));
        let later = start + RESTART;
        takeover.linked(later);
        assert!(!takeover.is_fresh(later, &mine));
    }
}
