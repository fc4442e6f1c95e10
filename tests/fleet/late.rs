//! Transfers that fail while a receiver is far behind: after the upload was complete, or with all buffers
//! on the way full. Whoever has not got everything is cut at any node (spec §13; §28, rows 13 and 19),
//! also while it takes nothing, and nothing is kept for it (P8).

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::clients::side_by_side;
use crate::common::reading::expect_failure;
use crate::common::seeing::{status, status_until};
use crate::common::server::head;
use crate::common::{End, PATIENCE, Raw, eventually, pattern};
use crate::fleet::{Fleet, measured};

/// Where the sender is, who owns the name, and where the farther receiver is.
const FROM: usize = 0;
const OWNER: usize = 1;
const FAR: usize = 2;

/// Less than one window, so that the upload is complete at once, and more than the sockets of a narrow
/// connection hold.
const BODY: usize = 240 << 10;

/// A connection on its way that is cut gives back what it holds within this: P4, and its farewell.
const LET_GO: Duration = Duration::from_secs(2);

/// Nothing moves any more if nothing has moved for so long: four reports of a transfer.
const CALM: Duration = Duration::from_secs(1);

#[test]
fn what_fails_after_its_upload_is_cut_at_every_node() {
    side_by_side(&[
        ("DELETE after the upload", || cancelled(Behind::uploaded(&[]))),
        ("drain limit after the upload", || shut_down(Behind::uploaded(&["--drain-timeout", "3"]))),
        ("second signal after the upload", || stopped(Behind::uploaded(&[]), Signal::TERM)),
        ("sender's edge killed after the upload", || stopped(Behind::uploaded(&[]), Signal::KILL)),
    ]);
}

#[test]
fn what_fails_is_cut_at_every_node_though_nobody_takes_anything() {
    side_by_side(&[
        ("DELETE", || cancelled(Behind::halfway(&[]))),
        ("drain limit", || shut_down(Behind::halfway(&["--drain-timeout", "3"]))),
        ("sender's edge killed", || stopped(Behind::halfway(&[]), Signal::KILL)),
    ]);
}

fn cancelled(mut behind: Behind) {
    let target = format!("{}?reason=late", behind.name);
    let start = Instant::now();
    behind.fleet.node(OWNER).ask("DELETE", &target).head().expect(204);
    expect_failure(&mut behind.sender, "[ERROR] Cancelled: late.");
    for at in 0..3 {
        let failed = json!({"state": "failed", "reason": "Cancelled: late"});
        status_until(behind.fleet.node(at), &behind.name, &failed);
    }
    behind.is_let_go("DELETE", start);
    behind.fleet.assert_usable(&behind.name, FAR, FROM);
    behind.expect_cut();
}

fn shut_down(mut behind: Behind) {
    behind.fleet.node(FROM).signal(Signal::TERM);
    expect_failure(&mut behind.sender, "[ERROR] Server shutting down.");
    behind.is_let_go("drain limit", Instant::now());
    behind.expect_cut();
}

/// The sender's node ends at once: by its second signal, or by the first that cannot be caught.
fn stopped(mut behind: Behind, signal: Signal) {
    let mut server = behind.fleet.take(FROM);
    server.signal(signal);
    if signal == Signal::TERM {
        eventually("it drains", PATIENCE, || server.log().contains("draining"));
        server.signal(signal);
    }
    let start = Instant::now();
    server.exit_code(PATIENCE);
    behind.is_let_go(&format!("sender's node ended by {signal:?}"), start);
    behind.expect_cut();
}

/// A transfer whose receivers take nothing. The last one is far away.
struct Behind {
    fleet: Fleet,
    name: String,
    sender: Raw,
    receivers: Vec<Raw>,
    /// What the far node held before, in descriptors and bytes.
    before: (usize, f64),
    /// More than any receiver can have got.
    sent: usize,
}

impl Behind {
    /// With receivers at these nodes, which read nothing.
    fn streaming(flags: &[&str], to: &[usize]) -> Behind {
        let fleet = Fleet::with(3, flags);
        let name = fleet.name_owned_by(OWNER);
        let before = held(&fleet);
        let n = to.len();
        let target = format!("{name}?n={n}");
        let mut sender = fleet.node(FROM).waiting_sender(&target, n as u16);
        let receivers = to.iter().map(|&at| {
            let mut receiver = Raw::connect_narrow(fleet.node(at).address());
            receiver.send(head("GET", &target, &[]));
            receiver
        });
        let receivers = receivers.collect();
        sender.line_until(&format!("[INFO] Streaming to {n} receiver(s)..."));
        Behind { fleet, name, sender, receivers, before, sent: 0 }
    }

    /// The upload is complete, and neither receiver has everything.
    fn uploaded(flags: &[&str]) -> Behind {
        let mut behind = Behind::streaming(flags, &[FROM, FAR]);
        behind.sent = BODY;
        behind.sender.chunk(&pattern(BODY));
        behind.sender.finish();
        behind.sender.line_until("[INFO] Upload complete.");
        assert!(behind.sender.is_silent(CALM), "nobody has everything");
        behind.is_held();
        behind
    }

    /// Every buffer up to the far receiver is full, and the sender has more to send.
    fn halfway(flags: &[&str]) -> Behind {
        let mut behind = Behind::streaming(flags, &[FAR]);
        behind.sent = usize::MAX;
        let mut writer = behind.sender.writer();
        std::thread::spawn(move || {
            let piece = pattern(64 << 10);
            let chunk = [b"10000\r\n", &piece[..], b"\r\n"].concat();
            while writer.write_all(&chunk).is_ok() {}
        });
        let moved = || status(behind.fleet.node(FROM), &behind.name)["bytesTransferred"].as_u64();
        let mut last = (moved(), Instant::now());
        eventually("nothing moves", PATIENCE, || {
            let now = moved();
            if now != last.0 {
                last = (now, Instant::now());
            }
            now > Some(0) && last.1.elapsed() > CALM
        });
        behind.is_held();
        behind
    }

    /// The far node holds something of it.
    #[track_caller]
    fn is_held(&self) {
        let (descriptors, bytes) = held(&self.fleet);
        assert!(bytes > self.before.1, "no bytes: {bytes}");
        assert!(descriptors > self.before.0 + 1, "{descriptors}, before {:?}", self.before);
    }

    /// The far node holds nothing of it any more, though its receiver is still there and reads nothing.
    #[track_caller]
    fn is_let_go(&self, what: &str, start: Instant) {
        eventually("the far node lets go", PATIENCE, || {
            let (descriptors, bytes) = held(&self.fleet);
            // Its connections to other nodes come and go; a transfer has three descriptors.
            descriptors <= self.before.0 + 1 && bytes <= self.before.1
        });
        measured(&format!("{what}: far node lets go"), start.elapsed(), LET_GO);
    }

    /// No receiver finds a clean end, or all.
    #[track_caller]
    fn expect_cut(self) {
        for mut receiver in self.receivers {
            receiver.head().expect(200);
            let (got, end) = receiver.rest();
            assert_ne!(end, End::Clean);
            assert!(got.len() < self.sent, "{} of {}", got.len(), self.sent);
        }
    }
}

/// Descriptors and bytes that the far node holds.
fn held(fleet: &Fleet) -> (usize, f64) {
    let node = fleet.node(FAR);
    (node.descriptors(), node.numbers().get("buffered_bytes"))
}
