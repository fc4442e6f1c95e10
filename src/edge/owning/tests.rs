//! Two nodes in one process, over real sockets: parties at both, the owner at one of them, at the other
//! later, and links that break.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use crate::edge::trunk::tests::kit::{self, Fleet, PREFACE, soon, until};
use crate::edge::wire::Down;
use crate::edge::{Received, Watched, Watching};
use crate::pipe::{Answer, Failure, Notice, PipePath, Snapshot, State};

fn path() -> PipePath {
    PipePath::new("a").unwrap()
}

/// What both nodes say is at the name.
async fn status(fleet: &Fleet) -> [Arc<Snapshot>; 2] {
    let ask = async |edge: &crate::edge::Edge| edge.status(&path(), None).await.unwrap().unwrap();
    [ask(&fleet.a.edge).await, ask(&fleet.b.edge).await]
}

async fn are(fleet: &Fleet, state: State, receivers: u16) {
    soon(async {
        loop {
            let seen = status(fleet).await;
            if seen.iter().all(|seen| (&seen.state, seen.receivers) == (&state, receivers)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

const WORDS: [Notice; 3] = [Notice::Waiting { n: 2 }, Notice::Connected, Notice::Connected];

#[test]
fn they_meet_wherever_the_owner_is() {
    for owner in [0, 1] {
        kit::run(async move |fleet: Fleet| {
            fleet.owned_by(owner).await;
            let sender = fleet.sender(2);
            sender.hears(Notice::Waiting { n: 2 }).await;
            let mut receivers = Vec::new();
            for at in [0, 1] {
                receivers.push(fleet.receiver(at, 2).await);
                until(|| sender.told().len() == 2 + at).await;
            }
            assert_eq!(sender.told(), WORDS);
            sender.confirm();
            sender.end(b"bye");
            for receiver in receivers {
                assert_eq!(receiver.whole().await, (b"bye".to_vec(), Received::Whole));
            }
            assert_eq!(sender.over().await.last(), Some(&Notice::Complete));
            are(&fleet, State::Complete, 0).await;
            fleet.is_idle().await;
        });
    }
}

#[test]
fn who_waits_is_moved_unseen() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(0).await;
        let sender = fleet.sender(2);
        sender.hears(Notice::Waiting { n: 2 }).await;
        let first = fleet.receiver(1, 2).await;
        sender.hears(Notice::Connected).await;
        for owner in [1, 0, 1] {
            fleet.owned_by(owner).await;
            are(&fleet, State::Waiting, 1).await;
        }
        fleet.break_links().await;
        are(&fleet, State::Waiting, 1).await;
        let second = fleet.receiver(0, 2).await;
        until(|| sender.told().len() == WORDS.len()).await;
        assert_eq!(sender.told(), WORDS, "nobody has come or gone meanwhile");
        sender.confirm();
        sender.end(b"bye");
        for receiver in [first, second] {
            assert_eq!(receiver.whole().await.1, Received::Whole);
        }
        assert_eq!(sender.over().await.last(), Some(&Notice::Complete));
    });
}

#[test]
fn a_running_transfer_is_known_to_each_owner_and_over_each_link() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        let mut receiver = fleet.receiver(1, 1).await;
        sender.confirm();
        sender.data(b"x");
        receiver.reads(&format!("{PREFACE}1\r\nx\r\n")).await;
        are(&fleet, State::Streaming, 1).await;
        fleet.break_links().await;
        are(&fleet, State::Streaming, 1).await;
        for owner in [0, 1] {
            fleet.owned_by(owner).await;
            are(&fleet, State::Streaming, 1).await;
        }
        sender.end(b"y");
        receiver.reads("1\r\ny\r\n0\r\n\r\n").await;
        assert_eq!(sender.over().await.last(), Some(&Notice::Complete));
        // The word that the name is free has come before the last line.
        let seen = status(&fleet).await;
        assert_eq!(
            seen.each_ref().map(|seen| seen.state.clone()),
            [State::Complete, State::Complete]
        );
        assert_eq!(receiver.end().await, Received::Whole);
        fleet.is_idle().await;
    });
}

#[test]
fn a_transfer_that_ends_while_its_owner_is_out_of_reach_is_over_for_it_too() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        let receiver = fleet.receiver(0, 1).await;
        sender.confirm();
        are(&fleet, State::Streaming, 1).await;
        sender.end(b"x");
        let broken = fleet.break_links();
        assert_eq!(receiver.whole().await.1, Received::Whole);
        assert_eq!(sender.over().await.last(), Some(&Notice::Complete));
        broken.await;
        soon(async {
            while status(&fleet).await.iter().any(|seen| seen.state == State::Streaming) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn a_spectator_goes_where_the_name_goes() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let mut watching = Watching::new(&fleet.a.edge, path());
        let Watched::Snapshot(first) = watching.first().await else { panic!("it may watch") };
        assert_eq!(first.state, State::Idle);
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        fleet.owned_by(0).await;
        fleet.break_links().await;
        fleet.owned_by(1).await;
        let receiver = fleet.receiver(0, 1).await;
        sender.confirm();
        sender.end(b"x");
        assert_eq!(receiver.whole().await.1, Received::Whole);
        let last = soon(async {
            loop {
                match watching.next().await {
                    Watched::Snapshot(seen) if seen.is_over() => return seen,
                    Watched::Snapshot(_) => {}
                    end => panic!("{end:?}"),
                }
            }
        });
        assert_eq!(last.await.state, State::Complete);
        drop((watching, sender));
        fleet.is_idle().await;
    });
}

#[test]
fn a_cancel_reaches_everybody_from_any_node() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        assert_eq!(fleet.a.edge.cancel(&path(), None).await, Some(false));
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        assert_eq!(fleet.a.edge.cancel(&path(), None).await, Some(true));
        let cancelled = Failure::Cancelled(None);
        assert_eq!(sender.over().await.last(), Some(&Notice::Failed(cancelled.clone())));
        let receiver = fleet.receiver(1, 1).await;
        are(&fleet, State::Waiting, 1).await;
        assert_eq!(fleet.a.edge.cancel(&path(), None).await, Some(true));
        assert_eq!(receiver.end().await, Received::Failed(cancelled));
    });
}

#[test]
fn a_cancel_that_is_faster_than_those_who_are_moved_ends_them_too() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        // The owner is asked before the sender has learned of the view.
        fleet.owner_in_view(0);
        assert_eq!(fleet.a.edge.cancel(&path(), None).await, Some(true));
        let cancelled = Failure::Cancelled(None);
        assert_eq!(sender.over().await.last(), Some(&Notice::Failed(cancelled)));
    });
}

#[test]
fn an_owner_that_makes_no_sense_is_asked_over_another_link() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        let link = || fleet.a.edge.cluster().link_to(fleet.b.edge.cluster().me());
        let old = link();
        // Neither is this a call.
        fleet.a.edge.cluster().send(fleet.b.edge.cluster().me(), vec![0xff; 9].into()).unwrap();
        until(|| link().is_some() && link() != old).await;
        are(&fleet, State::Waiting, 0).await;
        assert_eq!(sender.told(), [Notice::Waiting { n: 1 }]);
    });
}

#[test]
fn a_name_collects_for_a_moment_after_a_view_and_not_when_it_is_used_first() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        assert!(fleet.b.edge.owning().moves.is_fresh(&path()), "older parties may be on their way");
        fleet.owned_by(0).await;
        // Nothing but time ends it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!fleet.a.edge.owning().moves.is_fresh(&path()));
    });
}

#[test]
fn the_sender_hears_of_a_receiver_that_is_gone_when_the_name_has_moved() {
    kit::run(async |fleet: Fleet| {
        fleet.owned_by(1).await;
        let sender = fleet.sender(3);
        sender.hears(Notice::Waiting { n: 3 }).await;
        let first = fleet.receiver(1, 3).await;
        until(|| sender.told().len() == 2).await;
        let stays = fleet.receiver(1, 3).await;
        until(|| sender.told().len() == 3).await;
        // Its old owner hears that it leaves, when the sender obeys that one no more.
        fleet.owner_in_view(0);
        first.leave();
        sender.hears(Notice::Disconnected).await;
        are(&fleet, State::Waiting, 1).await;
        let more = [fleet.receiver(0, 3).await, fleet.receiver(1, 3).await];
        sender.asked_to_confirm().await;
        let (come, gone) = (Notice::Connected, Notice::Disconnected);
        let words = [come.clone(), come.clone(), gone, come.clone(), come];
        assert_eq!(sender.told()[1..], words);
        drop((stays, more));
    });
}

#[test]
fn a_sender_whose_owner_counts_anew_hears_of_the_difference() {
    kit::run(async |fleet: Fleet| {
        let sender = fleet.sender(4);
        sender.hears(Notice::Waiting { n: 4 }).await;
        for k in [2, 2, 0, 1] {
            let parked = Answer::Parked { seat: sender.seat.get(), k };
            fleet.a.edge.hear(fleet.a.edge.cluster().me().0, Down::Answer(parked));
        }
        let (come, gone) = (Notice::Connected, Notice::Disconnected);
        let words =
            [Notice::Waiting { n: 4 }, come.clone(), come.clone(), gone.clone(), gone, come];
        until(|| sender.told().len() == words.len()).await;
        assert_eq!(sender.told(), words);
    });
}
