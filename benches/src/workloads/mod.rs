//! What is compared: which servers, which loads, and what is wanted of the product.

mod bulk;
mod hop;
mod small;
mod tls;
mod tokens;
mod waiting;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use crate::cores::{Cores, Who};
use crate::load::Target;
use crate::machine;
use crate::options::{Amount, Build, Options, Workload};
use crate::pattern::Pattern;
use crate::program::{self, Program};
use crate::report::{Column, Pass, Row, Table, interleave};
use crate::usage::{self, Usage};

/// The row of the product, built from this tree.
const OURS: &str = "hoody-pipe";
/// The rows of the limit.
const SPLICE: &str = "limit splice";
const COPY: &str = "limit copy";

/// Everything that the workloads share.
struct Bench {
    options: Options,
    amount: Amount,
    cores: Cores,
    builds: Vec<Build>,
    pattern: Arc<Pattern>,
}

/// Runs what is wanted, and prints each table when it is there.
///
/// # Errors
/// A server of ours cannot be started. What fails later stands in its table.
pub fn all(options: &Options) -> Result<()> {
    let mut builds = options.build.clone();
    if !options.not_this_tree {
        builds.insert(0, Build { name: OURS.into(), path: program::own_binary()? });
    }
    let (amount, cores) = (options.amount(), Cores::find()?);
    let pattern = Arc::new(Pattern::new());
    let bench = Bench { options: options.clone(), amount, cores, builds, pattern };
    println!("{}", bench.heading());
    cores.enter(Who::Driver)?;
    let wants = |workload| options.wants(workload);
    if [Workload::Bulk, Workload::Tokens, Workload::Small].into_iter().any(wants) {
        let servers = Servers::start(&bench)?;
        for (workload, run) in [
            (Workload::Bulk, bulk::run as fn(&Bench, &Servers)),
            (Workload::Tokens, tokens::run),
            (Workload::Small, small::run),
        ] {
            if wants(workload) {
                run(&bench, &servers);
            }
        }
    }
    if wants(Workload::Waiting) {
        waiting::run(&bench);
    }
    if wants(Workload::Hop) {
        hop::run(&bench)?;
    }
    if wants(Workload::Tls) {
        tls::run(&bench)?;
    }
    Ok(())
}

impl Bench {
    fn heading(&self) -> String {
        let Amount { rounds, scale, .. } = self.amount;
        let quick = if self.options.quick { ", **quick: for checking only**" } else { "" };
        format!(
            "{}* median (least–most) of {rounds} interleaved rounds, sizes × {scale}{quick}\n",
            machine::describe(&self.cores)
        )
    }

    /// Runs `once` for each of `targets`, interleaved, and prints the table. `of` gives the server
    /// behind a target.
    fn table<T>(
        &self,
        what: Heading,
        targets: &[T],
        of: impl Fn(&T) -> &Target,
        once: impl FnMut(&T, Pass) -> Result<Vec<f64>>,
    ) {
        let mut pids: Vec<u32> =
            targets.iter().flat_map(|target| of(target).pids.clone()).collect();
        pids.push(std::process::id());
        let others = Others::watch(pids);
        let name = |target: &T| of(target).name.clone();
        let rows = interleave(targets, name, self.amount.rounds, once);
        print(what, rows, &others.told());
    }
}

/// What stands above a table.
struct Heading {
    title: String,
    /// What is wanted of the product.
    goal: &'static str,
    columns: &'static [Column],
    reference: &'static str,
}

fn print(what: Heading, rows: Vec<Row>, others: &str) {
    let Heading { title, goal, columns, reference } = what;
    let note = format!("{goal} {others}").trim().to_owned();
    println!("{}", Table { title, note, columns, reference, rows }.markdown());
}

/// How much of the machine went to processes that are none of ours.
struct Others {
    pids: Vec<u32>,
    ours: Usage,
    busy: f64,
    since: Instant,
}

impl Others {
    fn watch(mut pids: Vec<u32>) -> Self {
        // Two targets may be one server.
        pids.sort_unstable();
        pids.dedup();
        let ours = Usage::of(&pids);
        Self { pids, ours, busy: usage::machine(), since: Instant::now() }
    }

    fn told(&self) -> String {
        let ours = Usage::of(&self.pids).since(&self.ours).as_secs_f64();
        let (busy, wall) = (usage::machine() - self.busy, self.since.elapsed().as_secs_f64());
        let share = ((busy - ours) / wall).max(0.0) * 100.0;
        format!("(Other processes took {share:.0} % of one core meanwhile.)")
    }
}

/// The servers of all workloads without TLS on one node; each is idle while another one is measured.
struct Servers {
    targets: Vec<Target>,
    _programs: Vec<Program>,
}

impl Servers {
    fn start(bench: &Bench) -> Result<Self> {
        let (mut targets, mut programs) = (Vec::new(), Vec::new());
        for build in &bench.builds {
            let flags = ["--listen", "127.0.0.1:0", "--admin-listen", ""];
            let mut command = program::relay(&build.path, &flags);
            let program = Program::start(&bench.cores, Who::Server, &mut command, program::RELAY)?;
            targets.push(target(&build.name, &program));
            programs.push(program);
        }
        for (name, mode) in [(SPLICE, "splice"), (COPY, "copy")] {
            let mut command = program::limit(&[mode])?;
            let program = Program::start(&bench.cores, Who::Server, &mut command, program::LIMIT)?;
            targets.push(Target { chunks: false, ..target(name, &program) });
            programs.push(program);
        }
        targets.extend(peers(bench));
        Ok(Self { targets, _programs: programs })
    }

    /// Those that can do more than the limit does.
    fn relays(&self) -> Vec<Target> {
        self.targets.iter().filter(|target| target.chunks).cloned().collect()
    }
}

/// The last address of a program is the one that the workload is about.
fn target(name: &str, program: &Program) -> Target {
    let address = program.addresses[program.addresses.len() - 1];
    Target::new(name, address, vec![program.pid()])
}

/// Relays that others have started, moved to the core of the server.
fn peers(bench: &Bench) -> Vec<Target> {
    let peer = |peer: &crate::options::Peer| {
        let pids = usage::listeners(peer.address);
        pids.iter().for_each(|pid| bench.cores.move_server(*pid));
        let prefix = peer.prefix.clone();
        Target { prefix, ..Target::new(&peer.name, peer.address, pids) }
    };
    bench.options.peer.iter().map(peer).collect()
}
