//! The table of spec §8, rows 1 to 12: a name before and at its commit.

use std::time::Duration;

use crate::common::{End, Raw, SOON, Server, eventually, timed, unique};
use crate::reading::{expect_complete, expect_error, expect_failure};

/// Long enough that a wrong answer would have come.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn row_1_a_sender_on_an_idle_name_is_told_to_wait() {
    let server = Server::start(&[]);
    let mut sender = server.waiting_sender(&unique(), 1);
    sender.expect_silence(QUIET);
}

#[test]
fn row_2_a_receiver_on_an_idle_name_hears_nothing() {
    let server = Server::start(&[]);
    let mut receivers = server.waiting_receivers(&unique(), 1);
    receivers[0].expect_silence(QUIET);
}

#[test]
fn row_3_a_receiver_joins_and_is_held() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
    let mut receiver = server.get(&format!("{name}?n=2"));
    sender.expect_line("[INFO] A receiver connected.");
    receiver.expect_silence(QUIET);
}

#[test]
fn row_4_a_receiver_that_does_not_fit_is_refused_and_nobody_hears_of_it() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receivers = server.waiting_receivers(&name, 2);
    let text = format!("[ERROR] All 2 receiver slot(s) for '{name}' are already taken.");
    expect_error(&mut server.get(&format!("{name}?n=2")), 400, "slots_full", &text);
    let text = "[ERROR] Receiver count mismatch — expected 2 but got 3.";
    expect_error(&mut server.get(&format!("{name}?n=3")), 400, "n_mismatch", text);
    let mut sender = server.put(&format!("{name}?n=2"));
    sender.finish();
    sender.head().expect(200);
    sender.expect_line("[INFO] Waiting for 2 receiver(s) to connect...");
    sender.expect_line("[INFO] 2 receiver(s) already connected.");
    sender.expect_line("[INFO] Streaming to 2 receiver(s)...");
    sender.expect_line("[INFO] Upload complete.");
    for receiver in &mut receivers {
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
}

#[test]
fn row_5_a_second_sender_is_refused_and_nobody_hears_of_it() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    let text = format!("[ERROR] Path '{name}' already has a sender connected.");
    expect_error(&mut server.put(&name), 400, "sender_taken", &text);
    // The order of the checks: a sender is there before `n` differs.
    expect_error(&mut server.put(&format!("{name}?n=2")), 400, "sender_taken", &text);
    sender.expect_silence(QUIET);

    let name = unique();
    let mut receivers = server.waiting_receivers(&name, 3);
    let text = "[ERROR] Receiver count mismatch — expected 3 but got 1.";
    expect_error(&mut server.put(&name), 400, "n_mismatch", text);
    receivers[2].expect_silence(QUIET);
}

#[test]
fn row_6_a_waiting_receiver_leaves_in_any_way() {
    let server = Server::start(&[]);
    type Leave = fn(Raw) -> Option<Raw>;
    let ways: [(&str, Leave); 3] = [
        ("close", |_| None),
        ("reset", |raw| {
            raw.reset();
            None
        }),
        ("half-close", |raw| {
            raw.half_close();
            Some(raw)
        }),
    ];
    for (how, leave) in ways {
        let name = unique();
        let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
        let receiver = server.get(&format!("{name}?n=2"));
        sender.expect_line("[INFO] A receiver connected.");
        let _half_open = leave(receiver);
        let (line, time) = timed(|| sender.line());
        assert_eq!(line, "[INFO] A receiver disconnected.", "{how}");
        assert!(time < SOON, "{how}: {time:?}");
        let (mut one, mut two) =
            (server.get(&format!("{name}?n=2")), server.get(&format!("{name}?n=2")));
        sender.line_until("[INFO] Streaming to 2 receiver(s)...");
        one.head().expect(200);
        two.head().expect(200);

        let name = unique();
        let _half_open = leave(server.waiting_receivers(&name, 1).remove(0));
        eventually(how, SOON, || server.is_idle(&name));
    }
}

#[test]
fn row_7_a_waiting_sender_leaves_and_the_receivers_take_the_next() {
    let server = Server::start(&[]);
    for half in [false, true] {
        let name = unique();
        let target = format!("{name}?n=2");
        let mut sender = server.waiting_sender(&target, 2);
        let mut receiver = server.get(&target);
        sender.expect_line("[INFO] A receiver connected.");
        let _half_open = half.then_some(sender).inspect(Raw::half_close);
        let mut second = None;
        eventually("the sender's place is free", SOON, || {
            let mut raw = server.put(&target);
            let free = raw.head().status == 200;
            second = Some(raw);
            free
        });
        let mut second = second.unwrap();
        second.expect_line("[INFO] Waiting for 2 receiver(s) to connect...");
        second.expect_line("[INFO] 1 receiver(s) already connected.");
        let mut other = server.get(&target);
        second.chunk(b"for both");
        second.finish();
        for receiver in [&mut receiver, &mut other] {
            receiver.head().expect(200);
            assert_eq!(receiver.rest(), (b"for both".to_vec(), End::Clean));
        }
    }
    let name = unique();
    drop(server.waiting_sender(&format!("{name}?n=2"), 2));
    eventually("nobody is left", SOON, || server.is_idle(&name));
}

#[test]
fn row_8_a_receivers_wait_ends() {
    let server = Server::start(&[]);
    let name = unique();
    let target = format!("{name}?n=3");
    let mut sender = server.waiting_sender(&target, 3);
    let mut stays = server.get(&target);
    sender.expect_line("[INFO] A receiver connected.");
    let mut leaves = server.get(&format!("{target}&wait=1"));
    sender.expect_line("[INFO] A receiver connected.");
    expect_error(&mut leaves, 408, "timeout", "[ERROR] Timed out waiting for receivers.");
    sender.expect_line("[INFO] A receiver disconnected.");
    stays.expect_silence(QUIET);

    let name = unique();
    let mut last = server.get(&format!("{name}?wait=1"));
    let (_, time) = timed(|| {
        expect_error(&mut last, 408, "timeout", "[ERROR] Timed out waiting for sender.");
    });
    assert!(time > Duration::from_millis(700) && time < SOON + SOON, "{time:?}");
    assert!(server.is_idle(&name));
}

#[test]
fn row_9_the_senders_wait_ends() {
    let server = Server::start(&[]);
    let name = unique();
    let target = format!("{name}?n=2");
    let mut sender = server.waiting_sender(&format!("{target}&wait=1"), 2);
    let mut receiver = server.get(&target);
    expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.");
    receiver.expect_silence(QUIET);
    let mut next = server.waiting_sender(&target, 2);
    next.expect_line("[INFO] 1 receiver(s) already connected.");

    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2&wait=1"), 2);
    expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.");
    assert!(server.is_idle(&name), "the name is free before the sender sees the line");
}

#[test]
fn row_10_the_commit_gives_every_receiver_its_head() {
    let server = Server::start(&[]);
    let name = unique();
    let target = format!("{name}?n=3");
    let mut sender = server.waiting_sender(&target, 3);
    let mut receivers: Vec<Raw> = (0..3).map(|_| server.get(&target)).collect();
    sender.line_until("[INFO] Streaming to 3 receiver(s)...");
    let (_, time) = timed(|| {
        for receiver in &mut receivers {
            receiver.head().expect(200);
        }
    });
    // As much again for a busy machine.
    assert!(time < Duration::from_millis(500), "heads come within 250 ms, not {time:?}");
}

#[test]
fn row_11_the_active_cap_is_reached_at_the_match() {
    let server = Server::start(&["--max-active", "1"]);
    let busy = unique();
    let (mut running, mut first) = server.streaming(&busy, 1);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    let mut receiver = server.get(&name);
    expect_failure(&mut sender, "[ERROR] Server at maximum active transfer capacity.");
    let text = "[ERROR] Server at maximum active transfer capacity. Try again later.";
    expect_error(&mut receiver, 429, "active_cap", text);
    running.chunk(b"unaffected");
    running.finish();
    assert_eq!(first[0].rest(), (b"unaffected".to_vec(), End::Clean));
    expect_complete(&mut running);
    eventually("the place is given back", SOON, || {
        let name = unique();
        let mut sender = server.waiting_sender(&name, 1);
        let mut receiver = server.get(&name);
        sender.finish();
        receiver.head().status == 200
    });
}

#[test]
fn row_12_newcomers_of_a_streaming_name_are_refused() {
    let server = Server::start(&[]);
    let name = unique();
    let (mut sender, mut receivers) = server.streaming(&name, 1);
    let text = format!("[ERROR] Path '{name}' is already in use by an active transfer.");
    expect_error(&mut server.put(&name), 400, "active", &text);
    expect_error(&mut server.get(&name), 400, "active", &text);
    // In use comes before a different `n`.
    expect_error(&mut server.get(&format!("{name}?n=9")), 400, "active", &text);
    sender.finish();
    assert_eq!(receivers[0].rest(), (vec![], End::Clean));
    expect_complete(&mut sender);
}
