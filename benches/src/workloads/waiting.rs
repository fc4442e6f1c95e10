//! Memory of those who wait. Each figure is of a relay that was just started: what an earlier crowd has
//! left behind would hide what this one needs.

use anyhow::Result;

use super::{Bench, Heading, Others, peers, print, target};
use crate::cores::Who;
use crate::load::Target;
use crate::load::waiting::{Role, Weight, weigh};
use crate::options::Build;
use crate::program::{self, Program};
use crate::report::{Column, Row, column};

const COLUMNS: &[Column] = &[
    column("KB each", 2, false),
    column("kept after they left", 2, false),
    column("more for a second crowd", 2, false),
    column("CPU while idle, % of a core", 2, false),
];

/// Memory is steady: more fresh starts tell nothing more.
const STARTS_MAX: usize = 3;

pub(super) fn run(bench: &Bench) {
    let count = bench.amount.clients;
    for (role, name, goal) in [
        (Role::Receiver, "receivers", "Wanted: ≤ 5 KB, all of it given back, ≤ 1 % CPU."),
        (Role::Sender, "senders", "Wanted: ≤ 8 KB, all of it given back, ≤ 1 % CPU."),
    ] {
        let title = format!("{count} waiting {name}, a name each");
        eprintln!("{title}");
        let others = Others::watch(vec![std::process::id()]);
        let mut rows: Vec<Row> =
            bench.builds.iter().map(|build| fresh(bench, build, role)).collect();
        rows.extend(peers(bench).iter().map(|peer| {
            // Not ours to start anew: one round, and the first role has the better of it.
            let rounds = figures(peer, role, count).map(|figures| vec![figures]);
            Row { who: peer.name.clone(), rounds }
        }));
        let what = Heading { title, goal, columns: COLUMNS, reference: "" };
        print(what, rows, &others.told());
    }
}

fn fresh(bench: &Bench, build: &Build, role: Role) -> Row {
    let once = |_| {
        let flags = ["--listen", "127.0.0.1:0", "--admin-listen", ""];
        let mut command = program::relay(&build.path, &flags);
        let program = Program::start(&bench.cores, Who::Server, &mut command, program::RELAY)?;
        figures(&target(&build.name, &program), role, bench.amount.clients)
    };
    let rounds = (0..bench.amount.rounds.min(STARTS_MAX)).map(once).collect();
    Row { who: build.name.clone(), rounds }
}

fn figures(target: &Target, role: Role, count: usize) -> Result<Vec<f64>> {
    let Weight { each, kept, second, idle } = weigh(target, role, count)?;
    Ok(vec![each / 1000.0, kept / 1000.0, second / 1000.0, idle * 100.0])
}
