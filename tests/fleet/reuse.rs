//! A name is free for the next pipe before anybody sees the end of the last one (spec §8), also when
//! the next ones come to other nodes.

use crate::common::reading::expect_complete;
use crate::common::{End, Raw, unique};
use crate::fleet::Fleet;
use crate::history::body;

/// How the last transfer ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// The next pair comes when the receiver has seen its clean end.
    Received,
    /// It comes when the sender was told.
    Told,
    /// It comes when the receiver has seen the cut that a lost sender makes.
    Lost,
    /// It comes when a DELETE was answered.
    Cancelled,
    /// It comes when the sender has seen that nobody is left.
    Left,
}

#[test]
fn a_name_is_used_again_at_once_at_changing_nodes() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let fleet = Fleet::start(3);
    let names = [0, 1, 2].map(|owner| fleet.name_owned_by(owner));
    for round in 0..240 {
        let name = &names[round % 3];
        let ending = *random.choice(&ENDINGS).unwrap();
        let at: Vec<usize> = (0..4).map(|_| random.usize(..3)).collect();
        println!("round {round}: {ending:?} at {at:?}");
        use_once(&fleet, name, ending, &at, round);
    }
    fleet.assert_empty();
    many_at_one_name(&fleet, &mut random);
}

const ENDINGS: [Ending; 7] = [
    Ending::Received,
    Ending::Told,
    Ending::Received,
    Ending::Told,
    Ending::Lost,
    Ending::Cancelled,
    Ending::Left,
];

fn use_once(fleet: &Fleet, name: &str, ending: Ending, at: &[usize], round: usize) {
    let (mut sender, mut receiver) = begin(fleet, name, at, round);
    let sent = body(round as u64, 64);
    sender.chunk(&sent);
    assert_eq!(receiver.body(64), sent);
    match ending {
        Ending::Received => {
            sender.finish();
            assert_eq!(receiver.rest(), (vec![], End::Clean));
        }
        Ending::Told => {
            sender.finish();
            expect_complete(&mut sender);
        }
        Ending::Lost => {
            drop(sender);
            assert_eq!(receiver.rest(), (vec![], End::Short));
        }
        Ending::Cancelled => {
            fleet.node(at[2]).ask("DELETE", name).head().expect(204);
        }
        Ending::Left => {
            drop(receiver);
            let lines = sender.lines();
            let last = lines.0.last().map(String::as_str);
            assert_eq!(last, Some(crate::common::reading::ALL_GONE), "{lines:?}");
        }
    }
}

/// A pair on a name that must be free, streaming.
#[track_caller]
fn begin(fleet: &Fleet, name: &str, at: &[usize], round: usize) -> (Raw, Raw) {
    let (mut sender, mut receiver);
    if round.is_multiple_of(2) {
        receiver = fleet.node(at[1]).get(name);
        sender = fleet.node(at[0]).put(name);
        sender.head().expect(200);
    } else {
        sender = fleet.node(at[0]).put(name);
        sender.head().expect(200);
        receiver = fleet.node(at[1]).get(name);
    }
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    receiver.head().expect(200);
    (sender, receiver)
}

/// Rounds of several receivers, spread over the nodes, on one name without any pause.
fn many_at_one_name(fleet: &Fleet, random: &mut fastrand::Rng) {
    let name = unique();
    for round in 0..20 {
        let n = 1 + round % 4;
        let to: Vec<usize> = (0..n).map(|_| random.usize(..3)).collect();
        let (mut sender, mut receivers) = fleet.streaming(&name, random.usize(..3), &to);
        let sent = body(round as u64, 1000);
        sender.chunk(&sent);
        sender.finish();
        for receiver in &mut receivers {
            assert_eq!(receiver.rest(), (sent.clone(), End::Clean));
        }
    }
}
