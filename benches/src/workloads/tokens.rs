//! How long a token takes.

use super::{Bench, Heading, Servers};
use crate::load::tokens::{Tokens, Took, carry};
use crate::report::{Column, column};

const COLUMNS: &[Column] = &[
    column("p50 µs", 0, false),
    column("p99 µs", 0, false),
    column("CPU µs for each delivery", 2, false),
];

/// Receivers, and what is wanted of the product.
const LOADS: &[(usize, &str)] = &[(3, "Wanted: p99 ≤ 250 µs."), (256, "Wanted: p99 ≤ 2000 µs.")];

pub(super) fn run(bench: &Bench, servers: &Servers) {
    for &(receivers, goal) in LOADS {
        let tokens = load(bench, receivers);
        let title = format!("Tokens to {receivers}, one each {:?}", tokens.every);
        eprintln!("{title}");
        let what = Heading { title, goal, columns: COLUMNS, reference: "" };
        bench.table(
            what,
            &servers.relays(),
            |target| target,
            |target, _| {
                let Took { median, p99, cpu } = carry(target, tokens, &bench.pattern)?;
                Ok([median, p99, cpu].map(|time| time.as_secs_f64() * 1e6).to_vec())
            },
        );
    }
}

/// Tokens to so many receivers.
pub(super) fn load(bench: &Bench, receivers: usize) -> Tokens {
    Tokens { receivers, count: bench.amount.tokens, every: bench.amount.every }
}
