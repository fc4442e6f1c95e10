//! Transfers of 1 KB to one receiver.

use super::{Bench, Heading, Servers};
use crate::load::small::{Small, carry};
use crate::load::waiting::crowd;
use crate::report::{Column, column};

const COLUMNS: &[Column] =
    &[column("transfers/s", 0, false), column("CPU µs for each transfer", 1, false)];

/// One workload.
struct Load {
    /// How many at a time.
    slots: usize,
    /// On kept connections; else on two new ones each.
    keep: bool,
    /// While many others wait at the same server.
    crowd: bool,
    /// What is wanted of the product.
    goal: &'static str,
}

const LOADS: &[Load] = &[
    Load { slots: 1, keep: false, crowd: false, goal: "" },
    Load { slots: 64, keep: false, crowd: false, goal: "Wanted: ≥ 12,000/s." },
    Load { slots: 64, keep: false, crowd: true, goal: "Wanted: no slower than without them." },
    Load { slots: 1, keep: true, crowd: false, goal: "" },
    Load { slots: 64, keep: true, crowd: false, goal: "Wanted: ≥ 20,000/s." },
];

pub(super) fn run(bench: &Bench, servers: &Servers) {
    for load in LOADS {
        let &Load { slots, keep, goal, .. } = load;
        let waiting = if load.crowd { bench.amount.clients } else { 0 };
        let title = title(load, waiting);
        eprintln!("{title}");
        let what = Heading { title, goal, columns: COLUMNS, reference: "" };
        // One at a time is slower, and steady sooner.
        let total = if slots == 1 { bench.amount.small / 4 } else { bench.amount.small };
        bench.table(
            what,
            &servers.relays(),
            |target| target,
            |target, _| {
                let crowd = load.crowd.then(|| crowd(target, waiting)).transpose()?;
                let took = carry(target, Small { total, slots, keep }, &bench.pattern)?;
                drop(crowd);
                Ok(vec![took.per_second, took.cpu.as_secs_f64() * 1e6])
            },
        );
    }
}

fn title(load: &Load, waiting: usize) -> String {
    let connections = if load.keep { "kept connections" } else { "two new connections each" };
    let others = match waiting {
        0 => String::new(),
        count => format!(", while {count} others wait"),
    };
    format!("Transfers of 1 KB, {} at a time, {connections}{others}", load.slots)
}
