//! Spec §28: parties that die, freeze or never come. Rows 2 and 21 to 23 are in `network`,
//! `streaming` and `overload`, row 19 in `drain`, row 3 in `streaming`.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::server::head;
use crate::common::{Curl, End, PATIENCE, Raw, SOON, Server, eventually, pattern, timed, unique};
use crate::reading::{ALL_GONE, expect_complete, expect_error, expect_failure};

/// Feeds a curl until it takes no more.
fn feed(curl: &mut Curl) -> std::thread::JoinHandle<()> {
    let mut stdin = curl.take_stdin();
    std::thread::spawn(move || {
        let piece = pattern(64 << 10);
        while stdin.write_all(&piece).is_ok() {}
    })
}

#[test]
fn row_1_the_sender_is_killed_mid_stream() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&format!("{name}?n=2"));
    let mut sender = Curl::start(&["-sS", "-T", "-", &url]);
    let (one, two) = (Curl::start(&["-fsSN", &url]), Curl::start(&["-fsSN", &url]));
    let feeding = feed(&mut sender);
    one.expect_bytes(1 << 20);
    two.expect_bytes(1 << 20);
    sender.kill();
    let ((), time) = timed(|| {
        one.ended().expect(18);
        two.ended().expect(18);
    });
    assert!(time < SOON, "{time:?}");
    server.assert_usable(&name);
    feeding.join().unwrap();
}

#[test]
fn row_4_one_of_thirty_is_killed() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 30);
    sender.chunk(b"before ");
    for receiver in &mut receivers {
        assert_eq!(receiver.body(7), b"before ");
    }
    receivers.swap_remove(13).reset();
    let (_, time) = timed(|| sender.expect_line("[INFO] A receiver disconnected."));
    assert!(time < SOON, "{time:?}");
    let body = pattern(1 << 20);
    sender.chunk(&body);
    sender.finish();
    let readers: Vec<_> = receivers
        .into_iter()
        .map(|mut receiver| std::thread::spawn(move || receiver.rest()))
        .collect();
    for reader in readers {
        let (bytes, end) = reader.join().unwrap();
        assert!(bytes == body && end == End::Clean);
    }
    let sent = expect_complete(&mut sender);
    assert!(sent.starts_with("[INFO] Sent 1048583 bytes to 29 of 30 receiver(s)"), "{sent}");
}

#[test]
fn row_5_all_receivers_are_killed_and_the_upload_stops() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&format!("{name}?n=2"));
    let mut sender = Curl::start(&["-sSN", "--fail-with-body", "-T", "-", &url]);
    let receivers = [Curl::start(&["-fsSN", &url]), Curl::start(&["-fsSN", &url])];
    let feeding = feed(&mut sender);
    for receiver in &receivers {
        receiver.expect_bytes(1 << 20);
    }
    receivers.into_iter().for_each(|receiver| drop(receiver.kill()));
    let (ended, time) = timed(|| sender.ended());
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    assert!(time < SOON + SOON, "{time:?}");
    assert!(ended.text().ends_with(&format!("{ALL_GONE}\n")), "{}", ended.text());
    feeding.join().unwrap();
    server.assert_usable(&name);
}

#[test]
fn row_6_one_receiver_is_frozen() {
    let server = Server::start(&[]);
    let name = unique();
    let target = format!("{name}?n=3");
    let url = server.url(&target);
    let mut sender = server.waiting_sender(&format!("{target}&stall=2"), 3);
    let frozen = Curl::start(&["-fsSN", &url]);
    let others = [Curl::start(&["-fsSN", &url]), Curl::start(&["-fsSN", &url])];
    sender.line_until("[INFO] Streaming to 3 receiver(s)...");
    sender.chunk(b"first");
    frozen.expect_bytes(5);
    frozen.signal(Signal::STOP);
    let before = server.resident_kib();
    let body = pattern(32 << 20);
    let (_, time) = timed(|| {
        for piece in body.chunks(256 << 10) {
            sender.chunk(piece);
        }
    });
    sender.finish();
    assert!(time > Duration::from_secs(1), "the sender was not held back: {time:?}");
    sender.expect_line("[INFO] A receiver was dropped: it took no data for 2 s.");
    for other in others {
        let ended = other.ended();
        assert!(ended.expect(0).stdout == [b"first", &body[..]].concat());
    }
    assert!(server.peak_kib() < before + (16 << 10), "{} KiB", server.peak_kib());
    frozen.signal(Signal::CONT);
    assert!(matches!(frozen.ended().code, Some(18 | 56)));
    let sent = expect_complete(&mut sender);
    assert!(sent.contains(" to 2 of 3 receiver(s) "), "{sent}");
}

/// Has the kernel heard that the client of this port is gone? On a busy machine what says so can be
/// overtaken, and before that nobody can know.
fn is_gone(port: u16) -> bool {
    let (peer, established) = (format!(":{port:04X}"), "01");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    !sockets.any(|socket| socket[2].ends_with(&peer) && socket[3] == established)
}

#[test]
fn row_7_no_ghost_of_a_receiver_is_ever_matched() {
    let server = Server::start(&[]);
    for round in 0..60 {
        let name = unique();
        let ghost = server.waiting_receivers(&name, 1).remove(0);
        let port = ghost.port();
        // While it stands still, it hears of both at the same time.
        server.signal(Signal::STOP);
        if round % 2 == 0 {
            drop(ghost)
        } else {
            ghost.reset()
        }
        eventually("the kernel knows", PATIENCE, || is_gone(port));
        let mut sender = server.put(&name);
        server.signal(Signal::CONT);
        sender.head().expect(200);
        sender.chunk(b"for the living");
        sender.finish();
        eventually("the living receiver is taken", SOON, || {
            let mut receiver = server.get(&name);
            let taken = receiver.head().status == 200;
            if taken {
                assert_eq!(receiver.rest(), (b"for the living".to_vec(), End::Clean));
            }
            taken
        });
        expect_complete(&mut sender);
    }
}

#[test]
fn row_8_no_ghost_of_a_sender_is_ever_matched() {
    let server = Server::start(&[]);
    for full_buffers in [false, true] {
        for _ in 0..5 {
            let name = unique();
            let mut ghost = server.put_sized(&name, 64 << 20);
            ghost.head().expect(200);
            ghost.expect_line("[INFO] Waiting for 1 receiver(s) to connect...");
            if full_buffers {
                let mut writer = ghost.writer();
                writer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
                while writer.write_all(&[b'g'; 65536]).is_ok() {}
            } else {
                ghost.send("ghost");
            }
            drop(ghost);
            let mut receiver = server.get(&name);
            let mut sender = None;
            eventually("the sender's place is free", PATIENCE, || {
                let mut next = server.put_sized(&name, 6);
                let free = next.head().status == 200;
                sender = free.then_some(next);
                free
            });
            let mut sender = sender.unwrap();
            sender.send("living");
            receiver.head().expect(200).expect_field("content-length", "6");
            assert_eq!(receiver.rest(), (b"living".to_vec(), End::Clean));
        }
    }
}

/// A FIN is enough to know that a Content-Length will not be met, also while a receiver that takes
/// nothing keeps the server from reading on. The upload is large enough to fill the window and the
/// way to the receiver, and small enough that the rest and the FIN fit into the server's kernel:
/// what its own kernel keeps back, nobody can know of.
#[test]
fn row_1_a_sender_that_leaves_behind_a_frozen_receiver_frees_the_name() {
    let server = Server::start(&["--window", "64KiB"]);
    let (name, mut sender, mut frozen) = held_up(&server);
    let body = pattern(144 << 10);
    sender.send(&body);
    // Everything it was told has been read, so that closing is a FIN and no reset.
    sender.expect_silence(Duration::from_millis(200));
    drop(sender);
    let (_, time) = timed(|| eventually("the name is free", SOON, || server.is_idle(&name)));
    assert!(time < SOON, "{time:?}");
    frozen.head().expect(200);
    let (bytes, end) = frozen.rest();
    assert!(body.starts_with(&bytes) && end == End::Short, "{} {end:?}", bytes.len());
}

/// A name, its sender of 100 MB that has sent nothing yet, and its receiver that takes nothing.
fn held_up(server: &Server) -> (String, Raw, Raw) {
    let name = unique();
    let mut sender = server.put_sized(&name, 100_000_000);
    sender.head().expect(200);
    let mut frozen = Raw::connect_narrow(server.address());
    frozen.send(head("GET", &name, &[]));
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    (name, sender, frozen)
}

/// Killed with every buffer full, a sender's kernel keeps its FIN behind the unsent body. It is asked
/// for a sign of life all the same, and its reset ends the transfer (spec §12: 25 s).
#[test]
fn row_1_a_sender_killed_with_every_buffer_full_is_found() {
    let server = Server::start(&["--window", "64KiB"]);
    let (name, mut sender, mut frozen) = held_up(&server);
    let mut writer = sender.writer();
    writer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while writer.write_all(&[b'x'; 65536]).is_ok() {}
    sender.expect_silence(Duration::from_millis(200));
    drop((sender, writer));
    eventually("the name is free", Duration::from_secs(40), || server.is_idle(&name));
    frozen.head().expect(200);
    let (bytes, end) = frozen.rest();
    assert!(bytes.iter().all(|&b| b == b'x') && end == End::Short, "{} {end:?}", bytes.len());
}

#[test]
fn row_9_nobody_comes() {
    let server = Server::start(&["--wait", "2"]);
    let start = Instant::now();
    let mut sender = server.put(&unique());
    let mut receiver = server.get(&unique());
    sender.head().expect(200);
    expect_failure(&mut sender, "[ERROR] Timed out waiting for receivers.");
    expect_error(&mut receiver, 408, "timeout", "[ERROR] Timed out waiting for sender.");
    let time = start.elapsed();
    assert!(time > Duration::from_millis(1500) && time < Duration::from_secs(5), "{time:?}");
}

#[test]
fn row_10_a_sender_that_gives_up_is_never_a_clean_end() {
    let server = Server::start(&[]);
    for signal in [Signal::TERM, Signal::INT] {
        let url = server.url(&unique());
        let receiver = Curl::start(&["-fsSN", &url]);
        let mut sender = Curl::start(&["-sS", "-T", "-", &url]);
        sender.write(b"half of it");
        receiver.expect_output("half of it");
        sender.signal(signal);
        receiver.ended().expect(18);
        assert_ne!(sender.ended().code, Some(0));
    }
    // A curl that reaches its own time limit ends a chunked body as if it were whole (7.88 does).
    // The declared length is what tells that it is not.
    let url = server.url(&unique());
    let receiver = Curl::start(&["-fsSN", &url]);
    let mut sender = Curl::start(&["-sS", "-m", "2", "-H", "X-Pipe-Length: 1000", "-T", "-", &url]);
    sender.write(b"half of it");
    receiver.expect_output("half of it");
    sender.ended().expect(28);
    receiver.ended().expect(18);
}

/// How a sender says how long its body is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked,
    Declared,
}

/// Where senders are killed: nobody may ever take part of the body for all of it.
#[test]
fn a_sender_killed_at_any_byte_never_looks_complete() {
    const SIZE: usize = 256 << 10;
    let server = Server::start(&[]);
    let body = pattern(SIZE);
    for framing in [Framing::Length, Framing::Chunked, Framing::Declared] {
        for at in [0, 1, 64 << 10, SIZE / 2, SIZE - 1, SIZE] {
            // All bytes of a known length are a complete body.
            if framing == Framing::Length && at == SIZE {
                continue;
            }
            for reset in [false, true] {
                let what = format!("{framing:?} killed at {at}, reset: {reset}");
                let name = unique();
                let url = server.url(&name);
                let curl = Curl::start(&["-fsSN", &url]);
                let mut sender = begin(&server, &name, framing, SIZE);
                sender.head().expect(200);
                sender.line_until("[INFO] Streaming to 1 receiver(s)...");
                if framing == Framing::Length {
                    sender.send(&body[..at]);
                } else if at > 0 {
                    sender.chunk(&body[..at]);
                }
                if reset {
                    sender.reset()
                } else {
                    drop(sender)
                }
                let ended = curl.ended();
                assert!(!matches!(ended.code, Some(0) | None), "{what}: {ended:?}");
                assert!(body.starts_with(&ended.stdout), "{what}: a prefix");
            }
        }
    }
}

fn begin(server: &Server, name: &str, framing: Framing, size: usize) -> Raw {
    match framing {
        Framing::Length => server.put_sized(name, size),
        Framing::Chunked => server.put(name),
        Framing::Declared => server.put_with(name, &[&format!("X-Pipe-Length: {size}")]),
    }
}
