//! Measures the product beside the physical limit of the machine and other relays, in one run and
//! interleaved, and prints Markdown. `benches/README.md` says how to read it.

mod answer;
mod cores;
mod fleet;
mod limit;
mod load;
mod machine;
mod options;
mod pattern;
mod program;
mod report;
mod usage;
mod workloads;

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use options::{Options, Role};

/// Said to the program itself once it is where its congestion control is.
const INSIDE: &str = "BENCH_HAS_ITS_NAMESPACE";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hoody-pipe-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    if let Some(Role::Limit(mode)) = &options.role {
        limit::run(mode)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = options.congestion.as_ref().filter(|_| std::env::var_os(INSIDE).is_none()) {
        return inside(name);
    }
    raise_descriptors();
    workloads::all(options)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs this program again, in a network namespace with that congestion control.
fn inside(congestion: &str) -> Result<ExitCode> {
    let script =
        "ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control=\"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--", "sh", "-c", script, congestion]).arg(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    let status = command.status().context("unshare makes the namespace")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As many open files as this process may have; programs that it starts inherit that.
fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    // If that is refused, fewer clients fit, and the first that does not says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}

/// Lets time pass where no event tells that a server is ready.
#[expect(clippy::disallowed_methods, reason = "one thread for all, and nobody else waits")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
