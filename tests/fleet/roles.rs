//! Every way in which sender's edge, owner and receivers' edges can be the same node or not, in both
//! orders of arrival, with one to five receivers and every way to send.

use crate::clients::{TONGUES, Upload, WAYS, Way, assert_all_well, receiver_in, sender};
use crate::common::reading::expect_complete;
use crate::common::server::head;
use crate::common::{Curl, End, PATIENCE, Raw, eventually, sha256};
use crate::fleet::Fleet;
use crate::history::{Got, History, Sent, body};

#[test]
fn every_combination_of_roles_carries_every_kind_of_stream() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let fleet = Fleet::start(3);
    // More than a window, so that the end is far behind the start.
    let upload = Upload::of(seed, 300_001);
    let mut ways = WAYS.iter().cycle();
    let mut case = 0;
    for owner in 0..3 {
        for from in 0..3 {
            for to in 0..3 {
                for sender_first in [false, true] {
                    case += 1;
                    let name = fleet.name_owned_by(owner);
                    let more = (1..1 + case % 5).map(|_| random.usize(..3));
                    let to: Vec<usize> = std::iter::once(to).chain(more).collect();
                    let way = *ways.next().unwrap();
                    println!("{way:?} owner {owner} from {from} to {to:?} first {sender_first}");
                    transfer(&fleet, &name, &upload, (from, &to), (way, sender_first));
                }
            }
        }
    }
    hashes_are_the_same_everywhere(&fleet);
    old_clients_meet(&fleet);
    fleet.assert_empty();
    five_receivers_of_which_one_is_late(&fleet);
}

fn transfer(
    fleet: &Fleet,
    name: &str,
    upload: &Upload,
    (from, to): (usize, &[usize]),
    (way, sender_first): (Way, bool),
) {
    let target = format!("{name}?n={}", to.len());
    let send = || sender(fleet, from, &target, way, &upload.file());
    let receive = |count: usize| -> Vec<Curl> {
        let clients = to.iter().enumerate().skip(count);
        clients.map(|(i, &at)| receiver_in(TONGUES[i % 3], fleet, at, &target)).collect()
    };
    let (sending, receivers) = if sender_first {
        let sending = send();
        if way.is_told() {
            sending.expect_output("[INFO] Waiting for ");
        }
        (sending, receive(0))
    } else {
        let receivers = receive(0);
        (send(), receivers)
    };
    assert_all_well(sending, receivers, &upload.body);
}

/// The digest of the sender's lines, of the receipt at every node, and of what came.
fn hashes_are_the_same_everywhere(fleet: &Fleet) {
    for owner in 0..3 {
        let name = fleet.name_owned_by(owner);
        let upload = Upload::of(owner as u64, 70_000);
        let target = format!("{name}?n=2");
        let receivers: Vec<Curl> = [(owner + 1) % 3, (owner + 2) % 3]
            .map(|at| Curl::start(&["-fsSN", "-D", "/dev/stderr", &fleet.url(at, &target)]))
            .into();
        let sending = sender(fleet, (owner + 1) % 3, &target, Way::Hashed, &upload.file());
        let digest = sha256(&upload.body);
        let ended = sending.ended();
        assert!(ended.expect(0).text().contains(&format!("[INFO] SHA-256: {digest}\n")));
        for receiver in receivers {
            let ended = receiver.ended();
            assert_eq!(sha256(&ended.expect(0).stdout), digest);
            let id = ended.stderr.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("x-hoody-pipe-transfer-id").then(|| value.trim())
            });
            for at in 0..3 {
                let target = format!("{name}?status&transfer={}", id.unwrap());
                let receipt = crate::common::seeing::status(fleet.node(at), &target);
                assert_eq!(receipt["sha256"], digest.as_str(), "{receipt}");
            }
        }
    }
}

/// HTTP/1.0 on both sides of a trunk: the body ends with the connection, a failure with a reset.
fn old_clients_meet(fleet: &Fleet) {
    for owner in 0..3 {
        let name = fleet.name_owned_by(owner);
        let mut receiver = fleet.node(1).request(format!("GET {name} HTTP/1.0\r\n\r\n"));
        let mut sender = fleet.node(0).put(&name);
        sender.chunk(b"old ");
        receiver.head().expect(200);
        assert_eq!(receiver.body(4), b"old ");
        sender.head().expect(200);
        if owner == 0 {
            drop(sender);
            assert_eq!(receiver.rest(), (vec![], End::Reset));
            continue;
        }
        sender.finish();
        assert_eq!(receiver.rest(), (vec![], End::Clean));
        expect_complete(&mut sender);
    }
}

/// P2: nothing flows to anybody before the last one is there, though everything was sent already.
fn five_receivers_of_which_one_is_late(fleet: &Fleet) {
    for owner in 0..3 {
        let name = fleet.name_owned_by(owner);
        let target = format!("{name}?n=5");
        let sent = body(5, 50_000);
        let mut sender = fleet.node(owner).connect();
        let length = format!("Content-Length: {}", sent.len());
        sender.send(head("PUT", &target, &[&length]));
        sender.send(&sent);
        sender.head().expect(200);
        sender.expect_line("[INFO] Waiting for 5 receiver(s) to connect...");
        let mut receivers: Vec<Raw> =
            (0..4).map(|i| fleet.joins(&mut sender, i % 3, &target)).collect();
        let quiet = std::time::Duration::from_millis(100);
        assert!(receivers.iter_mut().all(|receiver| receiver.is_silent(quiet)), "P2");
        receivers.push(fleet.joins(&mut sender, (owner + 1) % 3, &target));
        let mut history = History::default();
        for receiver in &mut receivers {
            let length = sent.len().to_string();
            receiver.head().expect(200).expect_field("content-length", &length);
            history.got(Got::by_raw(receiver, &[]));
        }
        history.sent(Sent::by_raw(&mut sender, &[], &sent, 5)).check_all_well();
        eventually("nobody is left", PATIENCE, || fleet.waiting(&fleet.up()) == [0, 0, 0]);
    }
}
