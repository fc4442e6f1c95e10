//! Receivers on another node than their sender, beside receivers on the same one.

use anyhow::Result;

use super::{Bench, Heading};
use crate::fleet::Fleet;
use crate::load::bulk::{Bulk, carry};
use crate::load::{Target, tokens};
use crate::report::{Column, Pass, column};

const BULK: &[Column] = &[
    column("CPU s/GB, both nodes", 3, true),
    column("GB/s", 2, true),
    column("bytes between nodes, × size", 3, false),
];

const TOKENS: &[Column] = &[column("p50 µs", 0, true), column("p99 µs", 0, true)];

/// The rows.
const HERE: &str = "same node";
const THERE: &str = "other node";

/// Receivers, bytes at full scale, and what is wanted of the product.
const LOADS: &[(usize, u64, &str)] = &[
    (1, 2_000_000_000, "Wanted: GB/s ≥ 0.7 × same node."),
    (30, 200_000_000, "Wanted: 1.00 × size between the nodes."),
];

pub(super) fn run(bench: &Bench) -> Result<()> {
    for build in &bench.builds {
        let fleet = Fleet::start(&bench.cores, &build.path)?;
        let [a, b] = &fleet.nodes;
        let (near, far) = (a.addresses[0], b.addresses[0]);
        let at = |name: &str, receivers| Target {
            receivers,
            ..Target::new(name, near, vec![a.pid(), b.pid()])
        };
        let targets = [at(HERE, near), at(THERE, far)];
        for &(receivers, full, goal) in LOADS {
            let size = bench.amount.bytes(full);
            let title = format!("One hop, {}: {} MB to {receivers}", build.name, size / 1_000_000);
            eprintln!("{title}");
            let what = Heading { title, goal, columns: BULK, reference: HERE };
            bench.table(
                what,
                &targets,
                |target| target,
                |target, pass| {
                    let verify = pass == Pass::Verify;
                    let bulk = Bulk { receivers, size, chunked: false, verify };
                    let took = carry(target, bulk, &bench.pattern, None)?;
                    let between = between(&fleet, target, bulk, bench)?;
                    Ok(vec![took.cpu_per_gb(), took.gb_per_second(), between])
                },
            );
        }
        let load = super::tokens::load(bench, 3);
        let title = format!("One hop, {}: tokens to 3, one each {:?}", build.name, load.every);
        eprintln!("{title}");
        let goal = "Wanted: at most 150 µs more at p50.";
        let what = Heading { title, goal, columns: TOKENS, reference: HERE };
        bench.table(
            what,
            &targets,
            |target| target,
            |target, _| {
                let took = tokens::carry(target, load, &bench.pattern)?;
                Ok([took.median, took.p99].map(|time| time.as_secs_f64() * 1e6).to_vec())
            },
        );
    }
    Ok(())
}

/// How often a body went from node to node: asked for when all but its last byte has arrived, while
/// every connection still stands. A run of its own, since asking takes time.
fn between(fleet: &Fleet, target: &Target, bulk: Bulk, bench: &Bench) -> Result<f64> {
    let before = fleet.connections()?;
    let mut sent = 0;
    carry(
        target,
        bulk,
        &bench.pattern,
        Some(&mut || {
            let news = |(ends, bytes): (&String, &u64)| {
                bytes.saturating_sub(*before.get(ends).unwrap_or(&0))
            };
            sent = fleet.connections()?.iter().map(news).sum();
            Ok(())
        }),
    )?;
    Ok(sent as f64 / bulk.size as f64)
}
