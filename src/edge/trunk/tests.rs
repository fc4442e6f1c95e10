//! Trunks between two nodes in one process, over real sockets: sender at one, receivers at either.
//! The test says `Begin` in the place of an owner.

#![allow(clippy::unwrap_used)]

pub(in crate::edge) mod kit;

use std::time::Duration;

use kit::{Client, Fleet, PREFACE, Talk, soon};

use super::*;
use crate::edge::Received;
use crate::pipe::{Failure, Notice, Sum};

fn sent(notices: &[Notice]) -> Option<Sum> {
    notices.iter().find_map(|notice| match notice {
        Notice::Sent(sum) => Some(*sum),
        _ => None,
    })
}

/// A body that is larger than all buffers on its way.
fn large() -> Vec<u8> {
    (0..8u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// After how long a node is silent for too long, of which that is known.
fn cut_after(known: impl Fn(Duration) -> Option<Duration>) -> Duration {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(async {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let cut = tokio::time::timeout(hour, too_long(|| known(start.elapsed())));
        cut.await.expect("it is cut");
        start.elapsed()
    })
}

#[test]
fn a_node_takes_its_trunks_with_it_ten_seconds_after_it_was_heard_last_even_if_it_is_forgotten() {
    let s = Duration::from_secs;
    assert_eq!(cut_after(Some), s(10));
    assert_eq!(cut_after(|_| None), s(10), "never heard");
    assert_eq!(cut_after(|now| Some(now).filter(|now| *now < s(6))), s(10), "forgotten");
    let back = |now: Duration| if now < s(7) { None } else { Some(now - s(7)) };
    assert_eq!(cut_after(back), s(17), "heard again");
    assert_eq!(cut_after(|_| Some(s(11))), s(0));
}

#[test]
fn everybody_gets_every_byte_whichever_node_it_is_at() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet(1, 2).await;
        let body = large();
        for piece in body.chunks(100_000) {
            talk.sender.data(piece);
        }
        talk.sender.end(b"the end");
        let want = [body, b"the end".to_vec()].concat();
        let Talk { sender, receivers, .. } = talk;
        let reading = receivers.into_iter().map(|r| tokio::task::spawn_local(r.whole()));
        for got in reading.collect::<Vec<_>>() {
            let (got, end) = soon(got).await.unwrap();
            assert!(got == want, "{} of {} bytes", got.len(), want.len());
            assert_eq!(end, Received::Whole);
        }
        let told = sender.over().await;
        let sum = sent(&told).unwrap();
        assert_eq!((sum.whole, sum.n, sum.bytes), (3, 3, want.len() as u64), "{told:?}");
        assert_eq!(told.last(), Some(&Notice::Complete));
    });
}

#[test]
fn each_piece_arrives_at_once() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(0, 1).await;
        talk.receivers[0].reads(PREFACE).await;
        for token in ["a", "bc", "d"] {
            talk.sender.data(token.as_bytes());
            talk.receivers[0].reads(&format!("{:x}\r\n{token}\r\n", token.len())).await;
        }
        talk.sender.end(b"");
        talk.receivers[0].reads("0\r\n\r\n").await;
        assert_eq!(talk.receivers.remove(0).end().await, Received::Whole);
        assert_eq!(sent(&talk.sender.over().await).unwrap().whole, 1);
    });
}

#[test]
fn one_of_several_that_leaves_is_told_and_the_others_go_on() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(0, 3).await;
        for receiver in &mut talk.receivers {
            receiver.reads(PREFACE).await;
        }
        talk.receivers.remove(1).leave();
        talk.sender.hears(Notice::Disconnected).await;
        talk.sender.end(b"bye");
        for mut receiver in talk.receivers {
            receiver.reads("3\r\nbye\r\n0\r\n\r\n").await;
            assert_eq!(receiver.end().await, Received::Whole);
        }
        let sum = sent(&talk.sender.over().await).unwrap();
        assert_eq!((sum.whole, sum.n), (2, 3));
    });
}

#[test]
fn when_all_have_left_the_sender_is_told_of_each() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(1, 2).await;
        talk.sender.data(b"x");
        for receiver in &mut talk.receivers {
            receiver.reads(&format!("{PREFACE}1\r\nx\r\n")).await;
        }
        talk.receivers.drain(..).for_each(Client::leave);
        let told = talk.sender.over().await;
        let left = told.iter().filter(|notice| **notice == Notice::Disconnected).count();
        assert_eq!((left, told.last()), (3, Some(&Notice::AllGone)), "{told:?}");
    });
}

#[test]
fn a_sender_that_fails_cuts_everybody() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(1, 2).await;
        talk.sender.data(b"x");
        for receiver in &mut talk.receivers {
            receiver.reads(&format!("{PREFACE}1\r\nx\r\n")).await;
        }
        talk.sender.fail(Failure::SenderLost);
        for receiver in talk.receivers {
            let (rest, end) = receiver.rest().await;
            assert_eq!((rest.as_str(), end), ("", Received::Cut), "no last chunk");
        }
        assert_eq!(talk.sender.over().await.last(), Some(&Notice::Failed(Failure::SenderLost)));
    });
}

/// Two receivers elsewhere of which one has everything, so that its node has read the explicit end. The
/// other one takes nothing, and its socket holds less than the body.
async fn draining(fleet: &Fleet) -> (Talk, Client) {
    let mut talk = fleet.meet_narrow(2).await;
    let body = &large()[..60_000];
    talk.sender.data(body);
    talk.sender.end(b"");
    let (slow, quick) = (talk.receivers.remove(0), talk.receivers.remove(0));
    let (got, end) = quick.whole().await;
    assert!(got == body && end == Received::Whole);
    talk.sender.hears(Notice::UploadComplete).await;
    (talk, slow)
}

#[test]
fn a_sender_that_fails_after_its_upload_cuts_whoever_has_not_got_all() {
    kit::run(async |fleet: Fleet| {
        let (talk, slow) = draining(&fleet).await;
        fleet.a.edge.shut_down();
        let told = talk.sender.over().await;
        assert_eq!(told.last(), Some(&Notice::Failed(Failure::ShuttingDown)), "{told:?}");
        slow.finds_a_cut().await;
        fleet.is_idle().await;
    });
}

#[test]
fn a_trunk_that_breaks_after_its_end_is_no_clean_end_for_whoever_has_not_got_all() {
    kit::run(async |fleet: Fleet| {
        let (talk, slow) = draining(&fleet).await;
        fleet.break_trunks();
        slow.finds_a_cut().await;
        // What nobody has said of the other one is not known.
        assert_eq!(talk.sender.over().await.last(), Some(&Notice::AllGone));
        fleet.is_idle().await;
    });
}

#[test]
fn a_sender_that_fails_cuts_whoever_takes_nothing_however_much_is_on_its_way() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet_narrow(1).await;
        talk.sender.data(&large());
        let slow = talk.receivers.remove(0);
        talk.sender.is_held_up().await;
        fleet.a.edge.shut_down();
        slow.finds_a_cut().await;
        assert_eq!(talk.sender.over().await.last(), Some(&Notice::Failed(Failure::ShuttingDown)));
        fleet.is_idle().await;
    });
}

#[test]
fn a_sender_that_fails_before_its_head_tells_everybody_why() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet_without_head(1, 2).await;
        talk.sender.hears(Notice::Streaming { n: 3 }).await;
        talk.sender.fail(Failure::Cancelled(None));
        for receiver in talk.receivers {
            let (rest, end) = receiver.rest().await;
            assert_eq!((rest.as_str(), end), ("Cancelled(None)", Received::Whole));
        }
    });
}

#[test]
fn a_head_may_be_long_in_coming_and_who_leaves_meanwhile_is_told() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet_without_head(0, 2).await;
        talk.receivers[0].starts().await;
        talk.receivers.remove(0).leave();
        talk.sender.hears(Notice::Disconnected).await;
        talk.sender.head();
        talk.sender.end(b"late");
        let (rest, end) = talk.receivers.remove(0).rest().await;
        assert_eq!((rest, end), (format!("{PREFACE}4\r\nlate\r\n0\r\n\r\n"), Received::Whole));
        assert_eq!(sent(&talk.sender.over().await).unwrap().whole, 1);
    });
}

#[test]
fn who_stalls_is_cut_at_its_own_node_and_the_sender_is_told_the_limit() {
    kit::run(async |fleet: Fleet| {
        let stall = Duration::from_secs(1);
        let mut talk = fleet.meet_with(0, 2, |wish| wish.stall = Some(stall)).await;
        let body = large();
        talk.sender.data(&body);
        talk.sender.end(b"");
        let (frozen, reader) = (talk.receivers.remove(0), talk.receivers.remove(0));
        let (got, end) = reader.whole().await;
        assert!(got == body && end == Received::Whole);
        let told = talk.sender.over().await;
        assert!(told.contains(&Notice::Dropped { limit_s: 1 }), "{told:?}");
        assert_eq!(sent(&told).unwrap().whole, 1);
        assert_eq!(frozen.end().await, Received::Cut);
    });
}

#[test]
fn the_last_one_that_stalls_is_told_as_one_that_stalls() {
    kit::run(async |fleet: Fleet| {
        let stall = Duration::from_millis(300);
        let talk = fleet.meet_with(0, 1, |wish| wish.stall = Some(stall)).await;
        talk.sender.data(&large());
        let told = talk.sender.over().await;
        let last = [Notice::Dropped { limit_s: 0 }, Notice::AllGone];
        assert!(told.ends_with(&last), "{told:?}");
    });
}

#[test]
fn bytes_are_hashed_at_the_senders_node_if_a_receiver_elsewhere_asks() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet_hashed(0, 2).await;
        talk.sender.data(b"hello ");
        talk.sender.end(b"world");
        for receiver in talk.receivers {
            assert_eq!(receiver.whole().await.0, b"hello world");
        }
        let digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        assert!(talk.sender.over().await.contains(&Notice::Digest(digest.into())));
    });
}

#[test]
fn a_trunk_that_breaks_mid_stream_is_never_a_clean_end() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(1, 2).await;
        talk.sender.data(b"x");
        for receiver in &mut talk.receivers {
            receiver.reads(&format!("{PREFACE}1\r\nx\r\n")).await;
        }
        fleet.break_trunks();
        for receiver in talk.receivers.drain(1..) {
            let (rest, end) = receiver.rest().await;
            assert_eq!((rest.as_str(), end), ("", Received::Cut));
        }
        talk.sender.hears(Notice::Disconnected).await;
        talk.sender.end(b"y");
        let (rest, end) = talk.receivers.remove(0).rest().await;
        assert_eq!((rest.as_str(), end), ("1\r\ny\r\n0\r\n\r\n", Received::Whole));
        let sum = sent(&talk.sender.over().await).unwrap();
        assert_eq!((sum.whole, sum.n), (1, 3));
    });
}

#[test]
fn a_match_whose_trunk_breaks_before_the_start_is_undone_and_happens_later() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.invite(1, 2).await;
        // The sender's client does not confirm: the trunk is there, and nothing has started.
        talk.sender.asked_to_confirm().await;
        fleet.break_trunks();
        let mut again = talk.again().await;
        again.sender.confirm();
        for receiver in &mut again.receivers {
            receiver.reads(PREFACE).await;
        }
        again.sender.end(b"x");
        for receiver in again.receivers {
            assert_eq!(receiver.rest().await, ("1\r\nx\r\n0\r\n\r\n".into(), Received::Whole));
        }
        assert_eq!(sent(&again.sender.over().await).unwrap().whole, 3);
    });
}

#[test]
fn a_receiver_that_leaves_before_the_start_undoes_the_match_and_the_others_meet_again() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.invite(0, 2).await;
        talk.sender.asked_to_confirm().await;
        talk.receivers.remove(0).leave();
        let mut again = talk.again().await;
        again.sender.confirm();
        again.sender.end(b"x");
        let (rest, end) = again.receivers.remove(0).rest().await;
        assert_eq!((rest, end), (format!("{PREFACE}1\r\nx\r\n0\r\n\r\n"), Received::Whole));
    });
}

#[test]
fn a_trunk_that_rings_before_its_sender_has_heard_of_the_match_is_held() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.unheard(2).await;
        fleet.rung(1).await;
        talk.begin_sender();
        talk.sender.end(b"x");
        for receiver in talk.receivers {
            let (rest, end) = receiver.rest().await;
            assert_eq!((rest, end), (format!("{PREFACE}1\r\nx\r\n0\r\n\r\n"), Received::Whole));
        }
    });
}

#[test]
fn a_trunk_that_rings_for_a_match_that_is_declined_is_undone_at_once() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.unheard(1).await;
        let dial = fleet.a.edge.reception().ask(talk.transfer);
        tokio::pin!(dial);
        tokio::select! {
            biased;
            verdict = &mut dial => panic!("{verdict:?}"),
            () = fleet.rung(1) => {}
        }
        talk.begin_stale_sender();
        // Held for a match of which nobody has heard it would wait for two.
        let verdict = tokio::time::timeout(Duration::from_secs(1), dial).await;
        assert_eq!(verdict.expect("it is told"), crate::edge::desk::Verdict::Undone);
        talk.receivers[0].attaches_again().await;
    });
}

#[test]
fn a_trunk_whose_sender_never_hears_of_the_match_or_cannot_be_reached_is_undone() {
    kit::run(async |fleet: Fleet| {
        for fleet in [fleet, Fleet::apart().await] {
            let talk = fleet.unheard(2).await;
            for receiver in &talk.receivers {
                receiver.attaches_again().await;
            }
        }
    });
}

#[test]
fn a_trunk_that_comes_too_late_is_told_so() {
    kit::run(async |fleet: Fleet| {
        // As if an owner had said Begin twice: the second time the transfer runs already.
        let talk = fleet.meet(1, 1).await;
        talk.receivers[1].starts().await;
        let late = fleet.latecomer(&talk).await;
        let (rest, end) = late.rest().await;
        assert_eq!((rest.as_str(), end), ("Unavailable", Received::Whole));
    });
}

#[test]
fn a_node_without_room_for_a_trunk_refuses_it_at_once() {
    for full in [|fleet: &Fleet| fleet.a.edge.clone(), |fleet: &Fleet| fleet.b.edge.clone()] {
        kit::run(async move |fleet: Fleet| {
            let _all = full(&fleet).descriptors().open(1 << 40);
            let talk = fleet.unheard(2).await;
            talk.begin_sender();
            for receiver in talk.receivers {
                let (rest, end) = receiver.rest().await;
                assert_eq!((rest.as_str(), end), ("Unavailable", Received::Whole));
            }
        });
    }
}

#[test]
fn the_descriptors_of_a_trunk_count_while_it_lasts() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet(0, 1).await;
        let open = || (fleet.a.edge.descriptors().count(), fleet.b.edge.descriptors().count());
        // The connection itself is counted by its listener, which is another one here.
        kit::until(|| open() == (2, 1)).await;
        talk.sender.end(b"x");
        for receiver in talk.receivers {
            receiver.rest().await;
        }
        fleet.is_idle().await;
        kit::until(|| open() == (0, 0)).await;
    });
}

#[test]
fn a_node_that_stops_cuts_its_receivers_and_tells_those_who_have_seen_nothing() {
    kit::run(async |fleet: Fleet| {
        let mut talk = fleet.meet(1, 2).await;
        for receiver in &mut talk.receivers {
            receiver.reads(PREFACE).await;
        }
        fleet.b.edge.shut_down();
        for receiver in talk.receivers.drain(1..) {
            assert_eq!(receiver.rest().await, (String::new(), Received::Cut));
        }
        talk.sender.hears(Notice::Disconnected).await;
        talk.sender.end(b"x");
        assert_eq!(talk.receivers.remove(0).end().await, Received::Whole);
        assert_eq!(sent(&talk.sender.over().await).unwrap().whole, 1);
    });
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet_without_head(0, 2).await;
        talk.receivers[0].starts().await;
        fleet.b.edge.shut_down();
        for receiver in talk.receivers {
            assert_eq!(
                receiver.rest().await,
                (String::new(), Received::Failed(Failure::ShuttingDown))
            );
        }
        assert_eq!(talk.sender.over().await.last(), Some(&Notice::AllGone));
    });
}

#[test]
fn nothing_is_left_when_all_is_over() {
    kit::run(async |fleet: Fleet| {
        let talk = fleet.meet(0, 2).await;
        talk.sender.end(b"x");
        for receiver in talk.receivers {
            receiver.rest().await;
        }
        assert_eq!(talk.sender.over().await.last(), Some(&Notice::Complete));
        fleet.is_idle().await;
    });
}
