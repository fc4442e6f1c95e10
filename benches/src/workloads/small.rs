//! Transfers of 1 KB to one receiver.

use super::{Bench, Heading, Servers};
use crate::load::small::{Small, carry};
use crate::report::{Column, column};

const COLUMNS: &[Column] =
    &[column("transfers/s", 0, false), column("CPU µs for each transfer", 1, false)];

/// How many at a time, whether on kept connections, and what is wanted of the product.
const LOADS: &[(usize, bool, &str)] = &[
    (1, false, ""),
    (64, false, "Wanted: ≥ 12,000/s."),
    (1, true, ""),
    (64, true, "Wanted: ≥ 20,000/s."),
];

pub(super) fn run(bench: &Bench, servers: &Servers) {
    for &(slots, keep, goal) in LOADS {
        let connections = if keep { "kept connections" } else { "two new connections each" };
        let title = format!("Transfers of 1 KB, {slots} at a time, {connections}");
        eprintln!("{title}");
        let what = Heading { title, goal, columns: COLUMNS, reference: "" };
        // One at a time is slower, and steady sooner.
        let total = if slots == 1 { bench.amount.small / 4 } else { bench.amount.small };
        bench.table(
            what,
            &servers.relays(),
            |target| target,
            |target, _| {
                let took = carry(target, Small { total, slots, keep }, &bench.pattern)?;
                Ok(vec![took.per_second, took.cpu.as_secs_f64() * 1e6])
            },
        );
    }
}
