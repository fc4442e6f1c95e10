//! What the figures were made on, for the heading of the tables.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use crate::cores::Cores;

/// Lines that name the machine, its settings and the code.
pub fn describe(cores: &Cores) -> String {
    let kernel = rustix::system::uname();
    let placed = match (cores.apart(), cores.nodes_apart()) {
        (true, true) => "server and driver on a core each, nodes of a fleet too",
        (true, false) => {
            "server and driver on a core each; nodes of a fleet and the driver on both"
        }
        (false, _) => "**everything on one core: the figures tell little**",
    };
    format!(
        "* {} of {}, {} GiB; {placed}\n\
         * {} {}, loopback, TCP congestion control `{}`\n\
         * {}, commit {}, {}\n",
        cores.count(),
        processor().unwrap_or_else(|| "an unknown processor".into()),
        memory().unwrap_or(0) >> 20,
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        said("/proc/sys/net/ipv4/tcp_congestion_control"),
        humantime::format_rfc3339_seconds(SystemTime::now()),
        commit(),
        tool("rustc", &["--version"]).unwrap_or_default(),
    )
}

fn said(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.to_owned())
}

/// Kibibytes of memory.
fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    info.lines().next()?.split_whitespace().nth(1)?.parse().ok()
}

/// The commit of this tree, and whether it is what was built.
fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let Some(commit) = tool("git", &["-C", here, "rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".into();
    };
    // Texts change no figure.
    let changes = ["-C", here, "status", "--porcelain", "--", ":/", ":(exclude,top)*.md"];
    let dirty = tool("git", &changes).is_some_and(|files| !files.is_empty());
    if dirty { format!("{commit} with changes") } else { commit }
}

fn tool(name: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(name).args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
