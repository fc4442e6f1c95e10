//! Programs that are started to be measured, and ended when they have been. Knows their command lines
//! and what they print at the start.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cores::{Cores, Who};

/// Most lines of a greeting.
const LINES_MAX: usize = 50;

/// A running program. Dropping it kills it.
pub struct Program {
    child: Child,
    /// Kept open, so that whoever prints more does not fail.
    stdout: BufReader<ChildStdout>,
    /// Where it listens, in the order in which it says so.
    pub addresses: Vec<SocketAddr>,
}

impl Program {
    /// Starts it and waits until it has said where it listens; `last` begins the last line of that.
    ///
    /// # Errors
    /// It cannot be started, or ends first.
    pub fn start(cores: &Cores, who: Who, command: &mut Command, last: &str) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cores.spawn(who, command).with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut program = Self { child, stdout: BufReader::new(stdout), addresses: Vec::new() };
        program.listen_to_greeting(last)?;
        Ok(program)
    }

    fn listen_to_greeting(&mut self, last: &str) -> Result<()> {
        for _ in 0..LINES_MAX {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("it ended instead of listening: {}", self.child.wait()?);
            }
            if let Some(url) = line.trim_end().strip_prefix("listening on ") {
                let address = url.rsplit('/').next().and_then(|address| address.parse().ok());
                self.addresses.push(address.with_context(|| format!("no address: {url}"))?);
            }
            if line.starts_with(last) {
                return Ok(());
            }
        }
        bail!("it does not say where it listens")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay of ours with these flags and no setting from the environment, not started yet. It refuses
/// nobody for coming from the driver's few addresses.
pub fn relay(binary: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(binary);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("HOODY_PIPE_")) {
        command.env_remove(name);
    }
    command.args(["--max-waiting-per-address", "1000000", "--log-level", "warn"]).args(flags);
    command
}

/// The limit, as a process of its own.
///
/// # Errors
/// This program does not know where it is.
pub fn limit(mode: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("limit").args(mode);
    Ok(command)
}

/// The last line of a relay's greeting, and of the limit's.
pub const RELAY: &str = "More: ";
pub const LIMIT: &str = "listening on ";

/// A port of loopback that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The release binary of this tree, built now unless cargo did not run this program: whatever is
/// measured is what is here.
///
/// # Errors
/// It cannot be built, or is not there.
pub fn own_binary() -> Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "--bin", "hoody-pipe", "--manifest-path", manifest]);
        if !build.status()?.success() {
            bail!("the release build failed");
        }
    }
    let binary = std::env::current_exe()?.with_file_name("hoody-pipe");
    if !binary.exists() {
        bail!("{} is not there: cargo build --release, or --relay PATH", binary.display());
    }
    Ok(binary)
}
