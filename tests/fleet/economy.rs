//! Spec §22, "fan-out economy": one copy of the stream per receiving node, whatever the number of its
//! receivers, and none through a node that holds no party.

use std::process::Command;

use crate::common::reading::expect_complete;
use crate::common::server::head;
use crate::common::{End, PATIENCE, Raw, eventually, unique};
use crate::fleet::{CLUSTER, Fleet, remark};
use crate::history::body;

/// Bytes of the body.
const BODY: usize = 8 << 20;

/// What frames, heads and pings may add to the copies.
const OVERHEAD: f64 = 0.05;

#[test]
fn one_copy_of_the_stream_goes_to_each_receiving_node() {
    let fleet = Fleet::start(3);
    let sent = body(7, BODY);
    // The owner may be any of the three: it makes no difference.
    copies(&fleet, &sent, &[0, 1, 2], 256, 2);
    copies(&fleet, &sent, &[1], 40, 1);
    copies(&fleet, &sent, &[0], 10, 0);
}

/// A transfer from node 0 to `n` receivers spread over `to`, of which `copies` leave the node.
fn copies(fleet: &Fleet, sent: &[u8], to: &[usize], n: usize, copies: usize) {
    let target = format!("{}?n={n}", unique());
    let length = format!("Content-Length: {}", sent.len() + 1);
    let mut sender = fleet.node(0).request(head("PUT", &target, &[&length]));
    sender.head().expect(200);
    let receivers: Vec<Raw> = (0..n).map(|i| fleet.node(to[i % to.len()]).get(&target)).collect();
    sender.line_until(&format!("[INFO] Streaming to {n} receiver(s)..."));
    let before = between_nodes(fleet);
    let carried = std::thread::scope(|scope| {
        let reading: Vec<_> =
            receivers.into_iter().map(|receiver| scope.spawn(|| take(receiver, sent))).collect();
        sender.send(sent);
        let mut receivers: Vec<Raw> =
            reading.into_iter().map(|thread| thread.join().expect("it got everything")).collect();
        // All have all but the last byte, and every connection still stands and can be asked.
        let carried = between_nodes(fleet) - before;
        sender.send(b"!");
        for receiver in &mut receivers {
            assert_eq!(receiver.rest(), (b"!".to_vec(), End::Clean));
        }
        carried
    });
    let said = expect_complete(&mut sender);
    assert!(said.contains(&format!(" to {n} of {n} receiver(s) in ")), "{said}");
    let ratio = carried as f64 / sent.len() as f64;
    remark(&format!(
        "ECONOMY | {n} receivers at {} node(s), {} MiB each | {ratio:.3} copies between nodes | \
         {copies}",
        to.len(),
        sent.len() >> 20
    ));
    let most = copies as f64 * (1.0 + OVERHEAD) + OVERHEAD;
    // The last acknowledgements may not have been counted yet.
    let least = copies as f64 - OVERHEAD;
    assert!((least..=most).contains(&ratio), "{ratio} copies instead of {copies}");
}

/// Reads as much as was sent so far, and compares it.
fn take(mut receiver: Raw, sent: &[u8]) -> Raw {
    receiver.head().expect(200);
    for piece in sent.chunks(256 << 10) {
        assert!(receiver.body(piece.len()) == piece, "wrong bytes");
    }
    receiver
}

/// Bytes that nodes of this fleet have sent each other over the connections that stand now: each
/// connection has two ends on this machine, and each end tells what it has sent.
fn between_nodes(fleet: &Fleet) -> u64 {
    let mut bytes = 0;
    eventually("ss answers", PATIENCE, || {
        let filter = format!("( sport = :{CLUSTER} or dport = :{CLUSTER} )");
        let mut command = Command::new("ss");
        command.args(["-tinHO", "state", "established", &filter]);
        let output = command.output().expect("ss is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ours =
            |line: &&str| (0..3).any(|at| line.contains(&format!("{}:{CLUSTER} ", fleet.host(at))));
        let sent = |line: &str| -> Option<u64> {
            line.split_whitespace().find_map(|word| word.strip_prefix("bytes_acked:"))?.parse().ok()
        };
        bytes = text.lines().filter(ours).filter_map(sent).sum();
        output.status.success()
    });
    bytes
}
