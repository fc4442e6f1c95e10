//! Streams of volume, which the kernel moves, and the same with `--copy`: nothing but speed may differ.

use std::time::Duration;

use crate::common::server::head;
use crate::common::{End, PATIENCE, Raw, Server, eventually, pattern, unique};
use crate::reading::{ALL_GONE, expect_complete, expect_failure};

/// One step of both sides: fits into the buffers of everybody's kernel.
const STEP: usize = 128 << 10;

/// So many of them, of which four show volume.
const STEPS: usize = 16;

/// A body that nobody sends to its end.
const ENDLESS: usize = 1 << 30;

/// The kernel's way, and copying.
const ROADS: [&[&str]; 2] = [&["--copy=false"], &["--copy"]];

/// A stream that has shown volume.
struct Stream {
    server: Server,
    name: String,
    sender: Raw,
    receivers: Vec<Raw>,
    /// Ends of pipes that were open before.
    before: usize,
}

impl Stream {
    /// Begins; a small window is soon full.
    #[track_caller]
    fn new(flags: &[&str], n: usize, length: Option<usize>) -> Self {
        let server = Server::start(&[&["--window", "16KiB"], flags].concat());
        let (before, name) = (server.pipe_ends(), unique());
        let target = format!("{name}?n={n}");
        let mut sender = match length {
            Some(length) => server.put_sized(&target, length),
            None => server.put(&target),
        };
        sender.head().expect(200);
        let receivers = (0..n).map(|_| server.get(&format!("{name}?n={n}"))).collect();
        let mut stream = Self { server, name, sender, receivers, before };
        for receiver in &mut stream.receivers {
            receiver.head().expect(200);
        }
        (0..4).for_each(|_| stream.step(length.is_some()));
        let ends = if flags == ROADS[0] { 2 * n.min(2) } else { 0 };
        assert_eq!(stream.server.pipe_ends() - stream.before, ends, "{flags:?}");
        stream
    }

    /// Everybody gets some more.
    #[track_caller]
    fn step(&mut self, sized: bool) {
        let bytes = pattern(STEP);
        if sized {
            self.sender.send(&bytes)
        } else {
            self.sender.chunk(&bytes)
        }
        for receiver in &mut self.receivers {
            assert!(receiver.body(STEP) == bytes, "bytes differ");
        }
    }

    /// All pipes are given back, and the name is free.
    #[track_caller]
    fn leaves_nothing(self) {
        eventually("the pipes are given back", PATIENCE, || self.server.pipe_ends() == self.before);
        self.server.assert_usable(&self.name);
    }
}

#[test]
fn the_end_is_clean_and_pipes_are_given_back() {
    for flags in ROADS {
        for (n, sized) in [(1, true), (2, true), (3, false)] {
            let mut stream = Stream::new(flags, n, sized.then_some(STEPS * STEP));
            (4..STEPS).for_each(|_| stream.step(sized));
            if !sized {
                stream.sender.finish();
            }
            for receiver in &mut stream.receivers {
                assert_eq!(receiver.rest(), (vec![], End::Clean));
            }
            let sent = expect_complete(&mut stream.sender);
            let wanted = format!("[INFO] Sent {} bytes to {n} of {n}", STEPS * STEP);
            assert!(sent.starts_with(&wanted), "{sent}");
            stream.leaves_nothing();
        }
    }
}

#[test]
fn a_sender_that_ends_short_cuts_everybody() {
    for flags in ROADS {
        for (sized, reset) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut stream = Stream::new(flags, 2, sized.then_some(ENDLESS));
            if reset {
                let gone = std::mem::replace(&mut stream.sender, stream.server.connect());
                gone.reset();
            } else {
                stream.sender.half_close();
                let lost = "[ERROR] Transfer failed — sender encountered an error.";
                expect_failure(&mut stream.sender, lost);
            }
            for receiver in &mut stream.receivers {
                assert_eq!(receiver.rest(), (vec![], End::Short), "{flags:?}");
            }
            stream.leaves_nothing();
        }
    }
}

#[test]
fn malformed_chunks_behind_volume_cut_everybody() {
    for flags in ROADS {
        let mut stream = Stream::new(flags, 2, None);
        stream.sender.send("20000\r\n");
        stream.sender.send(pattern(STEP));
        stream.sender.send("X\r\n");
        for receiver in &mut stream.receivers {
            let (got, end) = receiver.rest();
            assert!(pattern(STEP).starts_with(&got) && end == End::Short, "{} {end:?}", got.len());
        }
        stream.leaves_nothing();
    }
}

#[test]
fn who_leaves_is_left_behind_and_the_last_one_ends_it() {
    for flags in ROADS {
        let mut stream = Stream::new(flags, 3, Some(ENDLESS));
        stream.receivers.remove(1).reset();
        stream.sender.line_until("[INFO] A receiver disconnected.");
        stream.step(true);
        drop(stream.receivers.remove(0));
        stream.sender.line_until("[INFO] A receiver disconnected.");
        stream.step(true);
        stream.receivers.clear();
        expect_failure(&mut stream.sender, ALL_GONE);
        stream.leaves_nothing();
    }
}

#[test]
fn a_cancelled_stream_is_cut() {
    for flags in ROADS {
        let mut stream = Stream::new(flags, 2, Some(ENDLESS));
        let mut cancel = stream.server.ask("DELETE", &stream.name);
        cancel.head().expect(204);
        for receiver in &mut stream.receivers {
            assert_eq!(receiver.rest(), (vec![], End::Short));
        }
        expect_failure(&mut stream.sender, "[ERROR] Cancelled.");
        stream.leaves_nothing();
    }
}

#[test]
fn who_takes_nothing_is_dropped_and_the_others_go_on() {
    for flags in ROADS {
        let server = Server::start(&[&["--window", "16KiB"], flags].concat());
        let (name, mut sent) = (unique(), 0);
        let mut sender = server.put_sized(&format!("{name}?n=2&stall=1"), ENDLESS);
        sender.head().expect(200);
        let mut frozen = Raw::connect_narrow(server.address());
        frozen.send(head("GET", &format!("{name}?n=2"), &[]));
        let mut quick = server.get(&format!("{name}?n=2"));
        quick.head().expect(200);
        let mut writer = sender.writer();
        let reading = std::thread::spawn(move || {
            let mut got = 0;
            while got < 16 << 20 {
                assert!(quick.body(STEP) == pattern(STEP), "at {got}");
                got += STEP;
            }
        });
        let block = pattern(STEP);
        while sent < 17 << 20 {
            std::io::Write::write_all(&mut writer, &block).unwrap();
            sent += STEP;
        }
        reading.join().unwrap();
        sender.line_until("[INFO] A receiver was dropped: it took no data for 1 s.");
        frozen.head().expect(200);
        assert_eq!(frozen.drain(|_| ()), End::Short);
    }
}

#[test]
fn without_descriptors_for_pipes_it_is_copied() {
    // One in sixteen may be the end of a pipe: three are too few.
    let flags = ["--window", "16KiB", "--workers", "1", "--copy=false"];
    let server = Server::start_limited(50, &flags);
    let before = server.pipe_ends();
    let (mut sender, mut receivers) = server.streaming(&unique(), 2);
    for _ in 0..8 {
        sender.chunk(&pattern(STEP));
        for receiver in &mut receivers {
            assert!(receiver.body(STEP) == pattern(STEP));
        }
    }
    assert_eq!(server.pipe_ends(), before);
    sender.finish();
    expect_complete(&mut sender);
    for mut receiver in receivers {
        assert_eq!(receiver.body_within(Duration::from_secs(9)), (vec![], End::Clean));
    }
}
