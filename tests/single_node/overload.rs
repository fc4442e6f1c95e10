//! Full servers (spec §20, P7): caps, descriptors, and that what was admitted goes on.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::common::{End, Raw, SOON, Server, eventually, timed, unique};
use crate::reading::{expect_complete, expect_error, expect_failure};

const OUT_OF_CONNECTIONS: &str = "[ERROR] Server is out of connections. Try again later.";

#[test]
fn the_pending_cap_counts_waiting_names() {
    let server = Server::start(&["--max-pending", "2"]);
    let (one, two) = (unique(), unique());
    let text = "[ERROR] Too many pending transfers. Try again later.";
    let mut first = server.waiting_sender(&one, 1);
    let _second = server.waiting_receivers(&two, 2);
    for mut newcomer in [server.put(&unique()), server.get(&unique())] {
        let (_, time) = timed(|| expect_error(&mut newcomer, 429, "pending_cap", text));
        assert!(time < Duration::from_millis(500), "{time:?}");
    }
    // It applies to the first party of a name only, and a match gives the place back.
    let mut receiver = server.get(&one);
    receiver.head().expect(200);
    first.chunk(b"x");
    first.finish();
    expect_complete(&mut first);
    server.waiting_sender(&unique(), 1);
}

#[test]
fn each_address_has_its_own_number_of_waiting_requests() {
    let server = Server::start(&["--max-waiting-per-address", "3"]);
    let text = "[ERROR] Too many waiting connections from your address. Try again later.";
    let mut first = server.waiting_sender("/addresses?n=2", 2);
    let mut second = server.get("/addresses?n=2");
    first.expect_line("[INFO] A receiver connected.");
    let third = server.waiting_sender(&unique(), 1);
    expect_error(&mut server.get(&unique()), 429, "address_cap", text);
    expect_error(&mut server.put(&unique()), 429, "address_cap", text);
    let local = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let mut other = Raw::connect_from(local, server.address());
    other.send("GET /addresses?n=2 HTTP/1.1\r\nHost: h\r\n\r\n");
    // Streaming requests do not wait any more.
    second.head().expect(200);
    other.head().expect(200);
    let mut more = Vec::new();
    eventually("two more may wait", SOON, || {
        let mut sender = server.put(&unique());
        if sender.head().status == 200 {
            more.push(sender);
        }
        more.len() == 2
    });
    expect_error(&mut server.put(&unique()), 429, "address_cap", text);
    // Those who leave make room.
    drop((third, more));
    eventually("there is room again", SOON, || server.put(&unique()).head().status == 200);
}

/// The client of an answer that is a cut may keep its connection for a while.
#[test]
fn those_whose_wait_is_over_do_not_count_as_waiting() {
    let server = Server::start(&["--max-waiting-per-address", "1"]);
    let mut sender = server.waiting_sender(&format!("{}?wait=1", unique()), 1);
    expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.");
    let mut receiver = server.get(&format!("{}?wait=1", unique()));
    receiver.head().expect(408);
    let mut next = server.waiting_sender(&unique(), 1);
    next.chunk(b"x");
}

#[test]
fn those_who_wait_for_the_first_part_of_a_form_do_not_count_as_waiting() {
    let server = Server::start(&["--max-waiting-per-address", "3"]);
    let name = unique();
    let _receivers = [0, 1].map(|_| server.get(&format!("{name}?n=2")));
    let form = "Content-Type: multipart/form-data; boundary=b";
    let mut sender = server.put_with(&format!("{name}?n=2"), &[form]);
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 2 receiver(s)...");
    let _others = [0, 1, 2].map(|_| server.waiting_sender(&unique(), 1));
}

#[test]
fn refused_parties_do_not_count_as_waiting() {
    let server = Server::start(&["--max-waiting-per-address", "2"]);
    let name = unique();
    let mut waiting = server.waiting_sender(&name, 1);
    for _ in 0..20 {
        server.put(&name).head().expect(400);
    }
    server.get(&name).head().expect(200);
    waiting.line_until("[INFO] Streaming to 1 receiver(s)...");
}

/// Row 22 of §28.
#[test]
fn without_descriptors_the_running_go_on_and_nothing_spins() {
    let server = Server::start_limited(64, &["--workers", "2"]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    let mut crowd: Vec<Raw> = Vec::new();
    for _ in 0..120 {
        crowd.push(server.get(&format!("{}?wait=60", unique())));
    }
    let before = server.cpu_ticks();
    let (_, time) = timed(|| {
        for round in 0..20 {
            sender.chunk(b"unaffected");
            assert_eq!(receivers[0].body(10), b"unaffected", "round {round}");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let ticks = server.cpu_ticks() - before;
    assert!(ticks < 100, "{ticks} ticks in {time:?} is a busy loop");
    // The others were admitted and wait, or stand in the kernel's queue.
    let mut refused = 0;
    for raw in crowd.iter_mut().filter_map(|raw| raw.is_answered().then_some(raw)) {
        expect_error(raw, 503, "no_fds", OUT_OF_CONNECTIONS);
        refused += 1;
    }
    assert!(refused > 0 && refused < 120, "{refused} of 120 were refused");
    drop(crowd);
    assert_recovers(&server);
    sender.finish();
    assert_eq!(receivers[0].rest(), (vec![], End::Clean));
    expect_complete(&mut sender);
}

/// Row 22 of §28, with receivers that stream: they hold more than a descriptor each.
#[test]
fn streaming_pairs_never_use_up_the_descriptors() {
    let server = Server::start_limited(128, &["--workers", "2"]);
    let mut pairs = Vec::new();
    let mut refused = (0..128).find_map(|_| match try_pair(&server) {
        Ok(pair) => {
            pairs.push(pair);
            None
        }
        Err(refused) => Some(refused),
    });
    let refused = refused.as_mut().expect("128 descriptors are not enough for 128 pairs");
    expect_error(refused, 503, "no_fds", OUT_OF_CONNECTIONS);
    assert!(pairs.len() >= 16, "only {} pairs", pairs.len());
    for (sender, receiver) in &mut pairs {
        sender.chunk(b"unaffected");
        assert_eq!(receiver.body(10), b"unaffected");
    }
    // Some leave, and newcomers are served while the others go on.
    let staying = pairs.split_off(8);
    drop(pairs);
    assert_recovers(&server);
    server.assert_usable(&unique());
    for (mut sender, mut receiver) in staying {
        sender.finish();
        assert_eq!(receiver.rest(), (vec![], End::Clean));
        expect_complete(&mut sender);
    }
}

/// A sender and a receiver that stream, or the one of them that was refused (its answer unread).
fn try_pair(server: &Server) -> Result<(Raw, Raw), Raw> {
    let name = unique();
    let mut sender = server.put(&name);
    if sender.is_refused() {
        return Err(sender);
    }
    let mut receiver = server.get(&name);
    if receiver.is_refused() {
        return Err(receiver);
    }
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    receiver.head().expect(200);
    Ok((sender, receiver))
}

#[track_caller]
fn assert_recovers(server: &Server) {
    eventually("newcomers are served again", SOON, || {
        let mut probe = server.get("/x?n=0");
        matches!(probe.try_head(), Ok(head) if head.status == 400)
    });
}

/// P8: a second after the last party has left, everything is given back.
#[test]
fn nothing_is_left_of_pipes_that_ended() {
    let server = Server::start(&[]);
    server.assert_usable(&unique());
    let (descriptors, memory) = (server.descriptors(), server.resident_kib());
    for _ in 0..5 {
        let mut all = Vec::new();
        for _ in 0..50 {
            all.push(server.streaming(&unique(), 2));
        }
        let waiting: Vec<Raw> = (0..100).map(|_| server.get(&unique())).collect();
        drop((all, waiting));
    }
    eventually("descriptors are closed", SOON, || server.descriptors() <= descriptors + 4);
    assert!(server.resident_kib() < memory + (40 << 10), "{} KiB", server.resident_kib());
    server.assert_usable(&unique());
}
