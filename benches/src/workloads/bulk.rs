//! Large bodies to 1, 30 and 256 receivers.

use super::{Bench, Heading, SPLICE, Servers};
use crate::load::bulk::{Bulk, carry};
use crate::report::{Column, Pass, column};

const COLUMNS: &[Column] =
    &[column("CPU s/GB", 3, true), column("GB/s", 2, true), column("wall s", 2, false)];

/// Receivers, bytes at full scale, chunked, and what is wanted of the product.
const LOADS: &[(usize, u64, bool, &str)] = &[
    (
        1,
        4_000_000_000,
        false,
        "Wanted: CPU ≤ 1.15 × limit splice; GB/s at least level with piping-server-rust.",
    ),
    (
        30,
        800_000_000,
        false,
        "Wanted: CPU ≤ 1.15 ×, GB/s ≥ 0.9 × limit splice and ≥ 2.5 × piping-server; 2 s at most.",
    ),
    (
        256,
        64_000_000,
        false,
        "Wanted: CPU ≤ 1.15 ×, GB/s ≥ 0.9 × limit splice and ≥ 2.5 × piping-server.",
    ),
    (1, 4_000_000_000, true, "Wanted: CPU ≤ 0.85 × piping-server-rust."),
    (30, 800_000_000, true, "Wanted: CPU ≤ 1.25 × limit splice with a length."),
    (256, 64_000_000, true, ""),
];

pub(super) fn run(bench: &Bench, servers: &Servers) {
    for &(receivers, full, chunked, goal) in LOADS {
        let size = bench.amount.bytes(full);
        let framing = match chunked {
            true => "chunked (the limits move the same bytes with a Content-Length)",
            false => "Content-Length",
        };
        let title = format!("{} MB to {receivers}, {framing}", size / 1_000_000);
        eprintln!("{title}");
        let what = Heading { title, goal, columns: COLUMNS, reference: SPLICE };
        bench.table(
            what,
            &servers.targets,
            |target| target,
            |target, pass| {
                let (chunked, verify) = (chunked && target.chunks, pass == Pass::Verify);
                let bulk = Bulk { receivers, size, chunked, verify };
                let took = carry(target, bulk, &bench.pattern, None)?;
                Ok(vec![took.cpu_per_gb(), took.gb_per_second(), took.wall.as_secs_f64()])
            },
        );
    }
}
