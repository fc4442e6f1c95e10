//! Spec §2, P5: how far a sender gets ahead of a receiver that has stopped reading, at its own node and
//! at another one. Counted in bytes: what the sender's edge has taken, less what has arrived at the
//! receiver's machine.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::seeing::status;
use crate::common::server::head;
use crate::common::{PATIENCE, eventually};
use crate::fleet::{Fleet, remark};
use crate::history::body;

/// The window of a node, unless it is told otherwise.
const WINDOW: u64 = 256 << 10;

/// Most output that a connection holds unsent.
const UNSENT: u64 = 64 << 10;

/// What the kernel may take at once, although there is room for less: one segment on loopback.
const SEGMENT: u64 = 64 << 10;

/// So much flows first: room that a kernel gives to a fast reader it does not take back.
const FLOWS: usize = 64 << 20;

/// Far more than is ever ahead.
const LENGTH: u64 = 4 << 30;

/// Nothing moves any more if nothing has moved for so long: four reports of a transfer.
const CALM: Duration = Duration::from_secs(1);

#[test]
fn a_receiver_that_stops_reading_lets_its_sender_get_little_ahead_at_any_node() {
    let fleet = Fleet::start(3);
    // A window at each fan-out, one in the socket of the trunk, and what is unsent before each hop.
    let bounds = [WINDOW + UNSENT + SEGMENT, 3 * WINDOW + 2 * (UNSENT + SEGMENT)];
    for (to, (place, bound)) in ["its sender's", "another"].into_iter().zip(bounds).enumerate() {
        let ahead = ahead(&fleet, to);
        remark(&format!(
            "AHEAD | of a receiver at {place} node that stops | {} KiB | {} KiB",
            ahead >> 10,
            bound >> 10
        ));
        assert!(ahead <= bound, "{ahead} bytes at {place} node, more than {bound}");
    }
}

/// How far a sender at node 0 gets ahead of a receiver at `to`.
fn ahead(fleet: &Fleet, to: usize) -> u64 {
    let name = fleet.name_owned_by(2);
    let length = format!("Content-Length: {LENGTH}");
    let mut sender = fleet.node(0).request(head("PUT", &name, &[&length]));
    sender.head().expect(200);
    let mut receiver = fleet.node(to).get(&name);
    receiver.head().expect(200);
    let (mut writer, block) = (sender.writer(), body(7, 1 << 20));
    // It ends when the receiver has left and the connection is closed.
    let sending = std::thread::spawn(move || while writer.write_all(&block).is_ok() {});
    let block = body(7, 1 << 20);
    for _ in 0..FLOWS / block.len() {
        assert!(receiver.body(block.len()) == block, "wrong bytes");
    }
    let taken = stuck(fleet, &name);
    let arrived = FLOWS as u64 + receiver.unread();
    drop(receiver);
    sending.join().unwrap();
    taken - arrived
}

/// What the sender's edge has taken, once it takes no more.
fn stuck(fleet: &Fleet, name: &str) -> u64 {
    let (mut taken, mut since) = (0, Instant::now());
    eventually("the sender is held up", PATIENCE, || {
        let now = status(fleet.node(0), name)["bytesTransferred"].as_u64().expect("a number");
        if now != taken {
            (taken, since) = (now, Instant::now());
        }
        since.elapsed() > CALM
    });
    taken
}
