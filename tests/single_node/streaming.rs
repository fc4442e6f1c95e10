//! Spec §11: prompt, byte-exact, in lockstep, in bounded memory; and what the clocks do.

use std::io::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::common::server::head;
use crate::common::{End, Fault, PATIENCE, Proxy, Raw, Server, full, hex, pattern, timed, unique};
use crate::reading::{ALL_GONE, expect_complete, expect_failure};

/// How long no byte must be taken before a sender counts as held back.
const HELD: Duration = Duration::from_millis(700);

/// Writes until nothing is taken for a while; gives the number of bytes that went out.
fn write_until_held(raw: &Raw, limit: usize) -> usize {
    let mut writer = raw.writer();
    writer.set_write_timeout(Some(HELD)).unwrap();
    let piece = pattern(64 << 10);
    let mut written = 0;
    while written < limit {
        match writer.write(&piece) {
            Ok(count) => written += count,
            Err(_) => return written,
        }
    }
    written
}

#[test]
fn one_byte_in_gives_one_byte_out() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 3);
    for byte in 0..=255_u8 {
        sender.chunk(&[byte]);
        for receiver in &mut receivers {
            assert_eq!(receiver.body(1), [byte]);
        }
    }
    sender.finish();
    expect_complete(&mut sender);
}

#[test]
fn a_byte_takes_no_forty_milliseconds() {
    let server = Server::start(&[]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    let mut times: Vec<Duration> =
        (0..50).map(|_| timed(|| (sender.chunk(b"x"), receivers[0].body(1))).1).collect();
    times.sort();
    // Delayed acknowledgements would hit nearly all of them; a busy machine spares a few.
    assert!(times[5] < Duration::from_millis(20), "{times:?}");
}

#[test]
fn nothing_flows_before_all_are_there_and_little_is_read() {
    // A large window is no reason to read more before everybody is there.
    let server = Server::start(&["--window", "8MiB"]);
    let name = unique();
    let mut sender = Raw::connect_narrow(server.address());
    sender.send(head("PUT", &format!("{name}?n=2"), &["Content-Length: 67108864"]));
    sender.head().expect(200);
    let mut first = server.get(&format!("{name}?n=2"));
    let before = server.resident_kib();
    // Beside the 64 KiB that are read ahead there are the server's kernel, which begins with
    // 128 KiB for a socket that is not read from, and the small buffer of this side.
    let written = write_until_held(&sender, 64 << 20);
    assert!(written < 1 << 20, "{written} bytes were taken before the second receiver");
    assert!(server.resident_kib() < before + (1 << 10));
    first.expect_silence(Duration::from_millis(200));
    let mut second = server.get(&format!("{name}?n=2"));
    for receiver in [&mut first, &mut second] {
        receiver.head().expect(200);
        assert!(receiver.body(65536) == pattern(65536));
    }
}

#[test]
fn the_slowest_receiver_sets_the_pace() {
    // Beside the window, the slow one's own way holds some: 64 KiB unsent and its small buffer.
    let ahead = ahead_of_a_frozen_one("256KiB");
    assert!(ahead <= (256 + 256) << 10, "{ahead} bytes went past a receiver that reads nothing");
    // A window that is too large would have been seen.
    let ahead = ahead_of_a_frozen_one("8MiB");
    assert!(ahead >= 8 << 20, "the bound above says nothing: {ahead}");
    assert!(ahead <= (8 << 20) + (256 << 10), "{ahead}");
}

/// How many bytes a quick receiver gets while another one reads nothing at all.
#[track_caller]
fn ahead_of_a_frozen_one(window: &str) -> usize {
    let server = Server::start(&["--window", window]);
    let name = unique();
    let mut sender = server.put_sized(&format!("{name}?n=2"), 256 << 20);
    sender.head().expect(200);
    let mut quick = server.get(&format!("{name}?n=2"));
    let mut slow = Raw::connect_narrow(server.address());
    slow.send(head("GET", &format!("{name}?n=2"), &[]));
    quick.head().expect(200);
    let reading = std::thread::spawn(move || {
        let mut count = 0;
        let end = quick.drain(|piece| count += piece.len());
        (count, end)
    });
    let before = server.resident_kib();
    let written = write_until_held(&sender, 256 << 20);
    assert!(written < 256 << 20, "nothing held the sender back");
    assert!(server.resident_kib() < before + (12 << 10), "one window for both, and no more");
    // With a reset nothing more is forwarded: what the quick one has is what it had.
    sender.reset();
    let (count, end) = reading.join().unwrap();
    assert!(count <= written && end == End::Short, "{count} {written} {end:?}");
    slow.head().expect(200);
    let (bytes, end) = slow.rest();
    assert!(bytes.len() <= count && end == End::Short, "{} {end:?}", bytes.len());
    count
}

#[test]
fn large_bodies_are_exact_for_everyone() {
    let size = if full() { 1 << 30 } else { 64 << 20 };
    for (sized, flags) in [(false, &[][..]), (true, &[]), (false, &["--copy"]), (true, &["--copy"])]
    {
        let server = Server::start(flags);
        let name = unique();
        let target = format!("{name}?n=3");
        let mut sender = if sized { server.put_sized(&target, size) } else { server.put(&target) };
        sender.head().expect(200);
        let readers: Vec<_> = (0..3)
            .map(|_| server.get(&target))
            .map(|mut receiver| {
                std::thread::spawn(move || {
                    receiver.head().expect(200);
                    let mut hash = Sha256::new();
                    let end = receiver.drain(|piece| hash.update(piece));
                    (hex(&hash.finalize()), end)
                })
            })
            .collect();
        let block = pattern(1 << 20);
        let mut hash = Sha256::new();
        for _ in 0..size >> 20 {
            hash.update(&block);
            if sized { sender.send(&block) } else { sender.chunk(&block) }
        }
        if !sized {
            sender.finish();
        }
        let wanted = (hex(&hash.finalize()), End::Clean);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), wanted);
        }
        let sent = expect_complete(&mut sender);
        assert!(sent.starts_with(&format!("[INFO] Sent {size} bytes to 3 of 3")), "{sent}");
    }
}

/// Row 23 of §28: 256 receivers in little memory.
#[test]
fn two_hundred_and_fifty_six_receivers_fit_into_200_mb() {
    let server = Server::start(&[]);
    let name = unique();
    let size: usize = if full() { 1 << 30 } else { 8 << 20 };
    let mut sender = server.put_sized(&format!("{name}?n=256"), size);
    sender.head().expect(200);
    let block = pattern(1 << 20);
    let mut receivers: Vec<Raw> = (0..256).map(|_| server.get(&format!("{name}?n=256"))).collect();
    let mut threads = Vec::new();
    while !receivers.is_empty() {
        let mine: Vec<Raw> = receivers.drain(..64).collect();
        let block = block.clone();
        threads.push(std::thread::spawn(move || read_side_by_side(mine, &block, size)));
    }
    for _ in 0..size >> 20 {
        sender.send(&block);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let sent = expect_complete(&mut sender);
    assert!(sent.starts_with(&format!("[INFO] Sent {size} bytes to 256 of 256")), "{sent}");
    assert!(server.peak_kib() < 200 << 10, "{} KiB", server.peak_kib());
}

/// Reads `size` bytes at each of `receivers`, a little here and a little there, and compares them.
fn read_side_by_side(mut receivers: Vec<Raw>, block: &[u8], size: usize) {
    for receiver in &mut receivers {
        receiver.head().expect(200);
    }
    let step = 64 << 10;
    for at in (0..size).step_by(step) {
        let from = at % block.len();
        for receiver in &mut receivers {
            assert!(receiver.body(step) == block[from..from + step], "at {at}");
        }
    }
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
}

/// Row 3 of §28.
#[test]
fn a_silent_sender_is_evicted_only_when_that_is_configured() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    sender.chunk(b"abc");
    assert_eq!(receivers[0].body(3), b"abc");
    let (_, time) = timed(|| {
        expect_failure(&mut sender, "[ERROR] Transfer aborted — idle timeout exceeded.");
    });
    assert!(time > Duration::from_millis(800) && time < Duration::from_secs(5), "{time:?}");
    assert_eq!(receivers[0].rest(), (vec![], End::Short));

    let server = Server::start(&["--stall", "1"]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    receivers[0].expect_silence(Duration::from_secs(3));
    sender.chunk(b"x");
    assert_eq!(receivers[0].body(1), b"x");
}

#[test]
fn a_receiver_has_its_own_stall_when_the_sender_has_none() {
    let server = Server::start(&[]);
    for (put, get, limit) in [("", "?stall=1", 1), ("?stall=2", "?stall=1", 2)] {
        let name = unique();
        let mut sender = server.put_sized(&format!("{name}{put}"), 64 << 20);
        sender.head().expect(200);
        let mut frozen = Raw::connect_narrow(server.address());
        frozen.send(format!("GET {name}{get} HTTP/1.1\r\nHost: h\r\n\r\n"));
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        write_until_held(&sender, 64 << 20);
        let lines = expect_failure(&mut sender, ALL_GONE);
        let dropped = format!("[INFO] A receiver was dropped: it took no data for {limit} s.");
        assert_eq!(lines, [dropped.as_str(), ALL_GONE]);
    }
}

#[test]
fn a_stalled_receiver_is_kept_while_it_takes_a_little() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?stall=2"), 1);
    let mut slow = Raw::connect_narrow(server.address());
    slow.send(format!("GET {name} HTTP/1.1\r\nHost: h\r\n\r\n"));
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    slow.head().expect(200);
    let body = pattern(2 << 20);
    let (copy, mut writer) = (body.clone(), sender.writer());
    let feeding = std::thread::spawn(move || {
        for piece in copy.chunks(32 << 10) {
            writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
            writer.write_all(piece).unwrap();
            writer.write_all(b"\r\n").unwrap();
        }
        writer.write_all(b"0\r\n\r\n").unwrap();
    });
    // Five seconds in which it takes some bytes now and then, then all the rest.
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(slow.body(16 << 10));
        std::thread::sleep(Duration::from_millis(500));
    }
    let (rest, end) = slow.rest();
    got.extend(rest);
    assert!(got == body && end == End::Clean);
    feeding.join().unwrap();
    expect_complete(&mut sender);
}

/// Row 21 of §28: the bytes are right on any line, whoever has the bad one.
#[test]
fn bad_lines_make_it_slower_but_not_wrong() {
    let server = Server::start(&[]);
    let millis = Duration::from_millis;
    for (fault, size) in [
        (Fault { segment: 1, delay: millis(0), rate: 0 }, 64 << 10),
        (Fault { segment: 1448, delay: millis(200), rate: 125_000 }, 256 << 10),
        (Fault { segment: 100, delay: millis(20), rate: 1_000_000 }, 512 << 10),
    ] {
        let proxy = Proxy::start(server.address(), fault);
        for (bad_sender, bad_receiver) in [(true, false), (false, true), (true, true)] {
            let name = unique();
            let place = |bad| if bad { proxy.address() } else { server.address() };
            let mut sender = Raw::connect(place(bad_sender));
            let mut receiver = Raw::connect(place(bad_receiver));
            sender.send(format!(
                "PUT {name} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            ));
            receiver.send(format!("GET {name} HTTP/1.1\r\nHost: h\r\n\r\n"));
            sender.head().expect(200);
            let body = pattern(size);
            let (copy, mut writer) = (body.clone(), sender.writer());
            writer.set_write_timeout(Some(PATIENCE * 2)).unwrap();
            let feeding = std::thread::spawn(move || {
                for piece in copy.chunks(10_000) {
                    let head = format!("{:x}\r\n", piece.len()).into_bytes();
                    writer.write_all(&[&head[..], piece, b"\r\n"].concat()).unwrap();
                }
                writer.write_all(b"0\r\n\r\n").unwrap();
            });
            receiver.head().expect(200);
            let (bytes, end) = receiver.rest();
            assert!(bytes == body && end == End::Clean, "{fault:?}");
            feeding.join().unwrap();
            expect_complete(&mut sender);
        }
    }
}
