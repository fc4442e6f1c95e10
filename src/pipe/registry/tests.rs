//! Names and their actors under a real actor system: started, counted, retired, lost.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;

use super::*;
use crate::pipe::{Attach, Notice, Outcome, Role, State};

/// Answers that may wait for their test. None has more than a few.
const ANSWERS: usize = 64;

/// A registry, and what leaves through its outlet.
struct Names {
    registry: Registry,
    answers: mpsc::Receiver<Answer>,
}

impl Names {
    fn new(pending: usize, active: usize, mint: fn() -> TransferId) -> Self {
        let (tx, answers) = mpsc::channel(ANSWERS);
        let outlet = Arc::new(move |output: Output| tx.try_send(output.answer).unwrap());
        let caps = Caps { pending, active, receipts: 10, spectators_per_pipe: 2, spectators: 3 };
        Self { registry: Registry::new(caps, outlet, Arc::new(|_| false), mint), answers }
    }

    /// Names waiting and transfers.
    fn load(&self) -> (usize, usize) {
        let load = self.registry.load();
        (load.waiting, load.active)
    }

    fn call(&self, name: &str, call: Call) {
        self.registry.deliver(&path(name), ReplyTo(1), call);
    }

    /// Attaches parties; `s1` and the like, `s1/2` for a second attempt.
    fn attach(&self, name: &str, seats: &[&str]) {
        for text in seats {
            self.call(name, attach(text, None));
        }
    }

    /// The next answers, each in a word.
    async fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(word(&self.answers.recv().await.unwrap()));
        }
        heard
    }

    /// The next answers, which end with the beginning of a match.
    async fn begun(&mut self) -> TransferId {
        loop {
            if let Answer::Begin { transfer, role: Role::Receiver, .. } =
                self.answers.recv().await.unwrap()
            {
                return transfer;
            }
        }
    }

    /// Waits until everything said to `name` so far was handled: calls are handled in order.
    async fn quiet(&mut self, name: &str) {
        self.call(name, Call::Leave { seat: seat("r99"), ask: true, why: None });
        while self.answers.recv().await.map(|a| word(&a)) != Some("r99 left".into()) {}
    }
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

fn path(name: &str) -> PipePath {
    PipePath::new(name).unwrap()
}

fn seat(text: &str) -> Seat {
    let (name, attempt) = text.split_once('/').unwrap_or((text, "1"));
    let origin = u64::from(name.starts_with('s'));
    let seq = name[1..].parse().unwrap();
    Seat { party: PartyId { origin, boot: 0, seq }, attempt: attempt.parse().unwrap() }
}

fn attach(text: &str, label: Option<&str>) -> Call {
    let role = if text.starts_with('s') { Role::Sender } else { Role::Receiver };
    let label = label.map(PublicId::from);
    Call::Attach(Attach { seat: seat(text), role, n: 1, age_ms: 0, label })
}

fn ready(transfer: TransferId, roll: Vec<Seat>) -> Call {
    Call::Ready { transfer, roll, total: None, label: None }
}

fn ended(transfer: TransferId) -> Call {
    let (result, bytes, whole, n, receivers) = (Ok(()), 7, 1, 1, 0);
    let (elapsed_ms, hashed, digest) = (0, false, None);
    let outcome = Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest };
    Call::Ended { transfer, sender: seat("s1").party, outcome }
}

fn leave(text: &str) -> Call {
    Call::Leave { seat: seat(text), ask: false, why: None }
}

fn word(answer: &Answer) -> String {
    let show = |seat: &Seat| {
        let letter = if seat.party.origin == 1 { "s" } else { "r" };
        format!("{letter}{}", seat.party.seq)
    };
    match answer {
        Answer::Parked { seat, .. } => format!("{} parked", show(seat)),
        Answer::Reject { seat, why } => format!("{} refused {why:?}", show(seat)),
        Answer::Fail { seat, why } => format!("{} failed {why:?}", show(seat)),
        Answer::Lost { seat } => format!("{} lost", show(seat)),
        Answer::Begin { role, .. } => format!("begin {role:?}"),
        Answer::Undo { .. } => "undo".to_owned(),
        Answer::Abort { why, .. } => format!("abort {why:?}"),
        Answer::Tell { notice: Notice::Connected, .. } => "connected".to_owned(),
        Answer::Tell { .. } => "told".to_owned(),
        Answer::Left { seat, .. } => format!("{} left", show(seat)),
        Answer::Freed { .. } => "freed".to_owned(),
        Answer::Cancelled { found, .. } => format!("cancelled {found}"),
        Answer::Snapshot { snapshot, .. } => match snapshot.as_ref().map(|s| &s.state) {
            Some(State::Failed(why)) => format!("sees failed {why:?}"),
            Some(state) => format!("sees {}", format!("{state:?}").to_lowercase()),
            None => "sees nothing".to_owned(),
        },
    }
}

#[test]
fn a_name_has_an_actor_while_somebody_is_there() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.attach("/a", &["s1"]);
        names.attach("/b", &["r2"]);
        assert_eq!(names.hear(2).await, ["s1 parked", "r2 parked"]);
        assert_eq!((names.registry.names(), names.load()), (2, (2, 0)));

        names.call("/a", leave("s1"));
        names.quiet("/a").await;
        assert_eq!((names.registry.names(), names.load()), (1, (1, 0)));

        names.attach("/b", &["s2"]);
        let transfer = names.begun().await;
        assert_eq!(names.load(), (1, 1), "a match waits and is active");
        names.call("/b", ready(transfer, vec![seat("s2"), seat("r2")]));
        names.quiet("/b").await;
        assert_eq!(names.load(), (0, 1));
        names.call("/b", Call::Released { transfer, sender: seat("s1").party });
        names.quiet("/b").await;
        assert_eq!(names.load(), (0, 1), "it drains");
        names.call("/b", ended(transfer));
        names.quiet("/b").await;
        assert_eq!((names.registry.names(), names.load()), (0, (0, 0)));
        assert_eq!(names.registry.panics(), 0);
    });
}

#[test]
fn only_an_arrival_or_a_start_wakes_a_name() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        let transfer = TransferId::from_u128(1);
        names.call("/a", Call::Unready { transfer });
        names.call("/a", Call::Released { transfer, sender: seat("s1").party });
        names.call("/a", ended(transfer));
        names.call("/a", leave("r1"));
        names.call("/a", Call::Leave { seat: seat("r1"), ask: true, why: None });
        names.registry.deliver(&path("/a"), ReplyTo(1), Call::Gone { link: ReplyTo(1) });
        names.call("/a", Call::Evict);
        assert_eq!(names.registry.names(), 0);
        assert_eq!(names.hear(3).await, ["freed", "freed", "r1 left"]);

        names.call("/a", Call::Cancel { asker: seat("r1").party, reason: None });
        assert_eq!(names.hear(1).await, ["cancelled false"]);
        assert_eq!(names.registry.names(), 0);

        names.call("/a", ready(transfer, vec![seat("s1"), seat("r1")]));
        names.quiet("/a").await;
        assert_eq!((names.registry.names(), names.load()), (1, (0, 1)));
    });
}

#[test]
fn the_pending_cap_is_given_and_taken_exactly() {
    run(async {
        let mut names = Names::new(2, 10, TransferId::random);
        for round in 0..3 {
            names.attach("/a", &["r1"]);
            names.attach("/b", &["r2"]);
            names.attach("/c", &["r3"]);
            let heard = names.hear(3).await;
            assert_eq!(heard, ["r1 parked", "r2 parked", "r3 refused PendingCap"], "{round}");
            assert_eq!((names.registry.names(), names.load()), (2, (2, 0)));

            // A second party of a name needs no room, and a start gives it back.
            names.attach("/a", &["s1"]);
            let transfer = names.begun().await;
            names.call("/a", ready(transfer, vec![seat("s1"), seat("r1")]));
            names.quiet("/a").await;
            names.attach("/c", &["r3"]);
            assert_eq!(names.hear(1).await, ["r3 parked"]);
            names.attach("/d", &["r4"]);
            assert_eq!(names.hear(1).await, ["r4 refused PendingCap"]);

            names.call("/a", ended(transfer));
            names.call("/b", leave("r2"));
            names.call("/c", leave("r3"));
            names.quiet("/a").await;
            names.quiet("/b").await;
            names.quiet("/c").await;
            assert_eq!((names.registry.names(), names.load()), (0, (0, 0)));
        }
    });
}

#[test]
fn the_active_cap_is_given_and_taken_exactly() {
    run(async {
        let mut names = Names::new(10, 1, TransferId::random);
        for round in 0..3 {
            names.attach("/a", &["s1", "r1"]);
            let transfer = names.begun().await;
            names.attach("/b", &["r2", "s2"]);
            let heard = names.hear(4).await;
            let both = ["r2 parked", "s2 parked", "s2 failed Capacity", "r2 failed Capacity"];
            assert_eq!(heard, both, "{round}");
            assert_eq!(names.load(), (1, 1));

            // An undone match gives its room back.
            names.call("/a", Call::Unready { transfer });
            names.quiet("/a").await;
            assert_eq!(names.load(), (1, 0));
            names.attach("/b", &["r2", "s2"]);
            let other = names.begun().await;
            names.call("/b", ended(other));
            names.call("/b", leave("s2"));
            names.call("/b", leave("r2"));
            names.call("/a", leave("s1"));
            names.call("/a", leave("r1"));
            names.quiet("/a").await;
            names.quiet("/b").await;
            assert_eq!((names.registry.names(), names.load()), (0, (0, 0)));
        }
    });
}

#[test]
fn a_chosen_transfer_id_is_held_across_names() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.call("/a", attach("s1", Some("label")));
        names.call("/b", attach("s2", Some("label")));
        names.call("/b", attach("s3", Some("other")));
        let heard = names.hear(3).await;
        assert_eq!(heard, ["s1 parked", "s2 refused TransferTaken", "s3 parked"]);

        // It has waited: its receipt holds the id.
        names.call("/a", leave("s1"));
        names.quiet("/a").await;
        names.call("/a", attach("s4", Some("label")));
        assert_eq!(names.hear(1).await, ["s4 refused TransferTaken"]);
    });
}

fn watch(text: &str) -> Call {
    Call::Watch { watcher: seat(text).party }
}

fn unwatch(text: &str) -> Call {
    Call::Unwatch { watcher: seat(text).party }
}

fn status(transfer: Option<TransferId>) -> Call {
    let transfer = transfer.map(PublicId::Uuid);
    Call::Status { asker: seat("r98").party, transfer }
}

#[test]
fn a_question_starts_no_actor() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.call("/a", status(None));
        names.call("/a", status(Some(TransferId::from_u128(1))));
        names.call("/a", unwatch("r1"));
        assert_eq!(names.hear(2).await, ["sees idle", "sees nothing"]);
        assert_eq!(names.registry.names(), 0);

        // What is over is remembered without one, and shown to a spectator without one.
        names.attach("/a", &["s1", "r1"]);
        let transfer = names.begun().await;
        names.call("/a", ready(transfer, vec![seat("s1"), seat("r1")]));
        names.call("/a", status(Some(transfer)));
        assert_eq!(names.hear(1).await, ["sees streaming"]);
        names.call("/a", ended(transfer));
        names.quiet("/a").await;
        assert_eq!(names.registry.names(), 0);
        names.call("/a", status(None));
        names.call("/a", status(Some(transfer)));
        names.call("/b", status(Some(transfer)));
        names.call("/a", watch("r2"));
        let seen = ["sees complete", "sees complete", "sees nothing", "sees complete"];
        assert_eq!(names.hear(4).await, seen);
        assert_eq!((names.registry.names(), names.registry.load().spectators), (0, 0));

        names.attach("/a", &["r3"]);
        names.call("/a", status(None));
        assert_eq!(names.hear(2).await, ["r3 parked", "sees waiting"]);
    });
}

#[test]
fn spectators_keep_an_actor_and_are_counted_exactly() {
    run(async {
        let mut names = Names::new(0, 10, TransferId::random);
        for round in 0..3 {
            for who in ["r1", "r2", "r3"] {
                names.call("/a", watch(who));
            }
            for who in ["r4", "r5"] {
                names.call("/b", watch(who));
            }
            let mut heard = names.hear(5).await;
            heard.sort();
            let refused = ["r3 refused SpectatorCap", "r5 refused SpectatorCap"];
            assert_eq!(heard[..2], refused, "{round}: two of a name, three of the node");
            assert_eq!(names.registry.names(), 2);
            let load = Load { waiting: 0, active: 0, spectators: 3 };
            assert_eq!(names.registry.load(), load, "they are no waiting names");
            for (name, who) in [("/a", "r1"), ("/a", "r2"), ("/b", "r4"), ("/b", "r5")] {
                names.call(name, unwatch(who));
            }
            names.quiet("/a").await;
            names.quiet("/b").await;
            assert_eq!((names.registry.names(), names.registry.load()), (0, Load::default()));
        }
    });
}

#[test]
fn a_flood_of_arrivals_at_one_name_is_turned_away() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        // Nothing is handled before this task waits.
        for _ in 0..BACKLOG_MAX {
            names.attach("/a", &["s1"]);
        }
        names.attach("/a", &["s2"]);
        assert_eq!(names.hear(1).await, ["s2 failed Unavailable"]);
        let asker = seat("r7").party;
        names.call("/a", Call::Cancel { asker, reason: None });
        names.call("/a", Call::Status { asker, transfer: None });
        assert_eq!(names.hear(2).await, ["r7 failed Unavailable", "r7 failed Unavailable"]);
        // Other names, and who is there already, are heard.
        names.attach("/b", &["s3"]);
        names.call("/a", leave("s1"));
        assert_eq!(names.hear(2).await, ["s1 parked", "s3 parked"]);
        names.quiet("/a").await;
        assert_eq!(names.registry.names(), 1);
    });
}

const NEAR: ReplyTo = ReplyTo(1);
const FAR: ReplyTo = ReplyTo(2);

#[test]
fn a_lost_link_is_heard_where_somebody_came_over_it() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.registry.deliver(&path("/a"), FAR, attach("r1", None));
        names.attach("/b", &["r2"]);
        // Said before the loss, and lost with the link.
        names.registry.deliver(&path("/c"), FAR, attach("r3", None));
        names.registry.lost(FAR);
        assert_eq!(names.hear(3).await, ["r1 parked", "r2 parked", "r3 parked"]);
        names.quiet("/a").await;
        names.quiet("/c").await;
        assert_eq!(names.load(), (1, 0), "nobody but r2 waits");

        // For a moment nobody is admitted, since older ones may be on their way.
        names.attach("/a", &["s1"]);
        names.registry.deliver(&path("/a"), NEAR, attach("r1/2", None));
        names.attach("/b", &["s2"]);
        assert_eq!(names.hear(2).await, ["s2 parked", "begin Sender"]);
        names.begun().await;
        let heard = names.hear(2).await;
        assert_eq!(heard, ["r1 parked", "s1 parked"], "the one that is back goes first");
        names.begun().await;
        assert_eq!(names.registry.panics(), 0);
    });
}

#[test]
fn a_link_that_shares_its_mark_with_a_lost_one_loses_nothing() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.registry.deliver(&path("/a"), FAR, attach("r1", None));
        names.registry.lost(ReplyTo(FAR.0 + u64::from(u64::BITS)));
        names.attach("/a", &["s1"]);
        assert_eq!(names.hear(2).await, ["r1 parked", "s1 parked"]);
        names.begun().await;
    });
}

#[test]
fn names_that_move_send_their_parties_away() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        names.call("/a", attach("s1", Some("label")));
        names.call("/a", watch("r5"));
        names.attach("/b", &["r2"]);
        assert_eq!(names.hear(3).await, ["s1 parked", "sees waiting", "r2 parked"]);
        names.attach("/c", &["r3"]);
        names.registry.retain(|name| *name == path("/b"));
        let mut heard = names.hear(4).await;
        heard.sort();
        assert_eq!(heard, ["r3 lost", "r3 parked", "r5 lost", "s1 lost"]);
        assert_eq!((names.registry.names(), names.load()), (1, (1, 0)));
        assert_eq!(names.registry.load().spectators, 0);

        // Its id is free, and a name that is back is a name like any other.
        names.call("/b", attach("s4", Some("label")));
        assert_eq!(names.hear(1).await, ["s4 parked"]);
        names.begun().await;
        names.attach("/a", &["s1/2"]);
        assert_eq!(names.hear(1).await, ["s1 parked"]);
    });
}

#[test]
fn a_name_that_was_elsewhere_shows_nothing_of_before() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        let transfers = [("/a", 1), ("/c", 2), ("/b", 3)];
        for (name, number) in transfers {
            let transfer = TransferId::from_u128(number);
            names.call(name, ready(transfer, vec![seat("s1"), seat("r1")]));
            names.call(name, ended(transfer));
            if name != "/b" {
                assert_eq!(names.hear(1).await, ["freed"]);
            }
        }
        // The end of one of them is heard only after its name has moved.
        names.registry.retain(|name| *name == path("/c"));
        assert_eq!(names.hear(1).await, ["freed"]);
        for (name, seen) in [("/a", "sees idle"), ("/b", "sees idle"), ("/c", "sees complete")] {
            names.call(name, status(None));
            assert_eq!(names.hear(1).await, [seen], "{name}");
        }
        // Whoever knows the id of a transfer is still told what became of it.
        names.call("/a", status(Some(TransferId::from_u128(1))));
        assert_eq!(names.hear(1).await, ["sees complete"]);
    });
}

#[test]
fn a_name_that_collects_has_an_actor_until_all_are_admitted() {
    run(async {
        let mut names = Names::new(0, 10, TransferId::random);
        names.call("/a", Call::Collect);
        names.attach("/a", &["r1"]);
        names.quiet("/a").await;
        assert_eq!((names.registry.names(), names.load()), (1, (0, 0)));
        assert_eq!(names.hear(1).await, ["r1 refused PendingCap"]);
        assert_eq!(names.registry.names(), 0);

        // One that is back needs no room.
        names.call("/a", Call::Collect);
        names.attach("/a", &["r1", "s1/2"]);
        assert_eq!(names.hear(2).await, ["r1 parked", "s1 parked"]);
        names.begun().await;
        assert_eq!(names.load(), (1, 1));
    });
}

#[test]
fn a_transfer_that_is_told_of_again_wakes_a_name_and_keeps_its_age() {
    run(async {
        let mut names = Names::new(10, 10, TransferId::random);
        let transfer = TransferId::from_u128(1);
        let roll = vec![seat("s1"), seat("r1")];
        let (total, label, released) = (None, None, false);
        // Longer than this process lives.
        let (elapsed_ms, bytes, receivers) = (86_400_000, 7, 1);
        let resume =
            Call::Resume { transfer, roll, total, label, elapsed_ms, bytes, receivers, released };
        names.call("/a", resume);
        names.attach("/a", &["s2"]);
        assert_eq!(names.hear(1).await, ["s2 refused Active"]);
        assert_eq!((names.registry.names(), names.load()), (1, (0, 1)));
        names.call("/a", status(None));
        let Answer::Snapshot { snapshot: Some(seen), .. } = names.answers.recv().await.unwrap()
        else {
            panic!("a question is answered with a snapshot");
        };
        assert!(seen.elapsed_ms >= elapsed_ms && seen.bytes == 7, "{seen:?}");
        names.call("/a", ended(transfer));
        assert_eq!(names.hear(1).await, ["freed"]);
        assert_eq!((names.registry.names(), names.load()), (0, (0, 0)));
    });
}

/// While true, no match can be made: a defect.
static BROKEN: AtomicBool = AtomicBool::new(true);

fn broken_mint() -> TransferId {
    assert!(!BROKEN.load(Ordering::SeqCst), "a defect, for the test");
    TransferId::random()
}

#[test]
fn a_panic_hits_one_name_only_and_its_parties_attach_again() {
    run(async {
        let mut names = Names::new(10, 10, broken_mint);
        names.call("/a", attach("s1", Some("label")));
        names.attach("/b", &["s9"]);
        assert_eq!(names.hear(2).await, ["s1 parked", "s9 parked"]);

        // The second one makes the match, and the third is still in the mailbox.
        names.attach("/a", &["r1", "r2"]);
        names.call("/a", Call::Cancel { asker: seat("r7").party, reason: None });
        names.call("/a", ended(TransferId::from_u128(1)));
        let mut heard = names.hear(5).await;
        heard.sort();
        assert_eq!(heard, ["cancelled false", "freed", "r1 lost", "r2 lost", "s1 lost"]);
        assert_eq!((names.registry.panics(), names.load()), (1, (1, 0)));

        // Its id is not free meanwhile, and tells what has happened.
        let id = Some("label".into());
        names.call("/a", Call::Status { asker: seat("r7").party, transfer: id });
        assert_eq!(names.hear(1).await, ["sees failed Internal"]);

        // A fresh actor takes them in; the sender takes up its transfer id again.
        BROKEN.store(false, Ordering::SeqCst);
        names.call("/a", attach("s1/2", Some("label")));
        names.attach("/a", &["r1/2"]);
        let transfer = names.begun().await;
        assert_eq!(names.load(), (2, 1));
        names.call("/c", attach("s3", Some("label")));
        assert_eq!(names.hear(1).await, ["s3 refused TransferTaken"]);

        // The other name has noticed nothing.
        names.attach("/b", &["r9"]);
        names.begun().await;
        names.call("/a", ended(transfer));
        names.call("/a", leave("s1/2"));
        names.call("/a", leave("r1/2"));
        names.quiet("/a").await;
        assert_eq!((names.registry.names(), names.registry.panics()), (1, 1));
        assert_eq!(names.load(), (1, 1));
    });
}
