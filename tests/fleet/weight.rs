//! What a waiting client costs: memory and descriptors at its edge and at the owner, and that all of it
//! is given back.

use std::time::Duration;

use crate::common::{PATIENCE, Raw, eventually};
use crate::fleet::{Fleet, remark};

/// Names, and receivers at each.
const NAMES: usize = 12;
const EACH: usize = 250;

/// Most memory of one waiting receiver, in KiB, at the edge and at the owner. Not optimised.
const EDGE_KIB: u64 = 16;
const OWNER_KIB: u64 = 8;

/// P8, and a busy machine.
const RELEASED: Duration = Duration::from_secs(10);

#[test]
fn waiting_clients_are_light_at_both_nodes() {
    let fleet = Fleet::with(3, &["--max-waiting-per-address", "100000"]);
    let (edge, owner) = (0, 1);
    let names: Vec<String> = (0..NAMES).map(|_| fleet.name_owned_by(owner)).collect();
    let weigh = |at: usize| (fleet.node(at).resident_kib(), fleet.node(at).descriptors());
    let before = [edge, owner].map(weigh);
    let receivers: Vec<Raw> = (0..NAMES * EACH)
        .map(|i| fleet.node(edge).get(&format!("{}?n=256", names[i % NAMES])))
        .collect();
    let waiting = || fleet.node(edge).numbers().get("waiting_connections{role=\"receiver\"}");
    eventually("all wait", PATIENCE, || {
        let here = waiting();
        let there = fleet.node(owner).numbers().get("waiting_connections{role=\"receiver\"}");
        here.max(there) as usize == NAMES * EACH
    });
    let after = [edge, owner].map(weigh);
    let count = receivers.len() as u64;
    for (who, (before, after)) in ["edge", "owner"].iter().zip(before.iter().zip(&after)) {
        remark(&format!(
            "WEIGHT | {count} waiting receivers, {who} | {:.1} KiB and {:.3} descriptors each",
            after.0.saturating_sub(before.0) as f64 / count as f64,
            after.1.saturating_sub(before.1) as f64 / count as f64
        ));
    }
    assert!(after[0].0 - before[0].0 < EDGE_KIB * count, "{before:?} {after:?}");
    assert!(after[1].0.saturating_sub(before[1].0) < OWNER_KIB * count, "{before:?} {after:?}");
    assert!(after[1].1 < before[1].1 + 20, "the owner opens nothing for them: {after:?}");
    drop(receivers);
    eventually("every descriptor is closed", RELEASED, || {
        [edge, owner].iter().zip(&before).all(|(&at, before)| weigh(at).1 <= before.1 + 5)
    });
    fleet.assert_empty();
}
