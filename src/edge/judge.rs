//! What an owner does with a call that another node has sent. Pure: views, calls and moments in,
//! decisions out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hoody_pipe_cluster::{NodeId, View};

use crate::pipe::{Call, PartyId, Seat};

/// How long older parties may be on their way to a name after it has come to this node (spec §22):
/// edges learn of a view, or that a link stands, within this time of each other.
const COLLECTING: Duration = Duration::from_millis(500);

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

/// Which names have come to this node so lately that older parties may be on their way to them.
#[derive(Debug)]
pub struct Takeover {
    began: Instant,
    newest: Arc<View>,
    /// Views that held until a moment ago, and when they are forgotten.
    before: Vec<(Instant, Arc<View>)>,
}

impl Takeover {
    /// A node that starts now, and has owned nothing.
    pub fn new(now: Instant) -> Self {
        Self { began: now, newest: Arc::new(View::unknown()), before: Vec::new() }
    }

    /// The newest view.
    pub fn see(&mut self, now: Instant, view: &Arc<View>) {
        if view.epoch() > self.newest.epoch() {
            let old = std::mem::replace(&mut self.newest, view.clone());
            self.note(now, old);
        }
    }

    /// An edge has made a link. Soon after a start it may bring parties that were here before.
    pub fn linked(&mut self, now: Instant) {
        if now < self.began + RESTART {
            self.note(now, Arc::new(View::unknown()));
        }
    }

    fn note(&mut self, now: Instant, old: Arc<View>) {
        self.before.retain(|(until, _)| now < *until);
        self.before.push((now + COLLECTING, old));
    }

    /// Has this key, which is mine in the newest view, come to me a moment ago?
    pub fn is_fresh(&self, now: Instant, me: NodeId, key: &[u8]) -> bool {
        let lately = self.before.iter().filter(|(until, _)| now < *until);
        lately.map(|(_, view)| view.owner(key)).any(|owner| owner != Some(me))
    }
}

#[cfg(test)]
mod tests {
    use hoody_pipe_cluster::{Epoch, Health, Member, Seed};

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

    #[test]
    fn a_name_is_fresh_for_half_a_second_after_the_view_that_brought_it() {
        let (start, [mine, theirs]) = (Instant::now(), keys());
        let now = start + RESTART;
        let fresh = |takeover: &Takeover, after_ms, key: &[u8]| {
            takeover.is_fresh(now + Duration::from_millis(after_ms), NodeId(1), key)
        };
        let mut takeover = Takeover::new(start);
        takeover.see(start, &view(1, &[1, 2]));
        assert!(takeover.is_fresh(start, NodeId(1), &mine), "a node that starts has owned nothing");
        assert!(!fresh(&takeover, 0, &mine));
        takeover.see(now, &view(2, &[1]));
        assert!(!fresh(&takeover, 0, &mine) && fresh(&takeover, 0, &theirs));
        // Another view, and one that is known, change nothing.
        takeover.see(now + Duration::from_millis(400), &view(3, &[1, 3]));
        takeover.see(now + Duration::from_millis(450), &view(3, &[1, 3]));
        assert!(fresh(&takeover, 499, &theirs) && !fresh(&takeover, 500, &theirs));
    }

    #[test]
    fn a_name_that_was_elsewhere_for_a_moment_is_fresh_when_it_is_back() {
        let (start, [_, theirs]) = (Instant::now(), keys());
        let mut takeover = Takeover::new(start);
        takeover.see(start, &view(1, &[1]));
        let now = start + RESTART;
        takeover.see(now, &view(2, &[1, 2]));
        takeover.see(now, &view(3, &[1]));
        assert!(takeover.is_fresh(now, NodeId(1), &theirs));
    }

    #[test]
    fn soon_after_a_start_each_link_may_bring_who_was_here_before() {
        let (start, [mine, _]) = (Instant::now(), keys());
        let mut takeover = Takeover::new(start);
        takeover.see(start, &view(1, &[1, 2]));
        let later = start + Duration::from_secs(9);
        assert!(!takeover.is_fresh(later, NodeId(1), &mine));
        takeover.linked(later);
        assert!(takeover.is_fresh(later, NodeId(1), &mine));
        let later = start + RESTART;
        takeover.linked(later);
        assert!(!takeover.is_fresh(later, NodeId(1), &mine));
    }
}
