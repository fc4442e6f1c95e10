//! The command line of the comparison.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::limit::Mode;

/// Measures hoody-pipe beside the physical limit of this machine and other relays, and prints tables.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// About a minute: less data, fewer rounds, fewer clients. For checking, not for quoting.
    #[arg(long)]
    pub quick: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub only: Vec<Workload>,
    /// Rounds that count, after one that verifies every byte [default: 5; quick 3].
    #[arg(long)]
    pub rounds: Option<usize>,
    /// All sizes times this [default: 1; quick 0.05]. At 1: 4 GB to one, 800 MB to 30, 64 MB to 256.
    #[arg(long)]
    pub scale: Option<f64>,
    /// Clients that wait [default: 10000; quick 1000].
    #[arg(long)]
    pub clients: Option<usize>,
    /// Another relay, as NAME=http://HOST:PORT/PREFIX. If it listens on this machine its CPU time and
    /// memory are found by its port, and it is moved to the server's core.
    #[arg(long, value_name = "NAME=URL", value_parser = Peer::parse)]
    pub peer: Vec<Peer>,
    /// Another build of hoody-pipe, as NAME=PATH, besides that of this tree.
    #[arg(long, value_name = "NAME=PATH", value_parser = Build::parse)]
    pub build: Vec<Build>,
    /// Leave the build of this tree out, and build nothing.
    #[arg(long)]
    pub not_this_tree: bool,
    /// Run in a network namespace of its own with this congestion control, such as reno. Needs
    /// unshare, ip and sysctl, and the rights for them; peers outside of it are not reached.
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<String>,
    /// What else this program can be.
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// The other roles of this program.
#[derive(Debug, Clone, Subcommand)]
pub enum Role {
    /// Be the limit: relay without doing anything right. Started by the comparison.
    #[command(subcommand, hide = true)]
    Limit(Mode),
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Large bodies to 1, 30 and 256 receivers, with a length and chunked.
    Bulk,
    /// How long a token takes.
    Tokens,
    /// Memory of those who wait.
    Waiting,
    /// Transfers of 1 KB.
    Small,
    /// Receivers on another node.
    Hop,
    /// The same through TLS.
    Tls,
}

/// A relay given by its address.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is called in the tables.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What the path of each pipe begins with.
    pub prefix: String,
}

/// A binary of hoody-pipe.
#[derive(Debug, Clone)]
pub struct Build {
    /// What it is called in the tables.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Peer {
    fn parse(text: &str) -> Result<Self> {
        let (name, url) = text.split_once('=').context("NAME=URL is wanted")?;
        let rest = url.strip_prefix("http://").context("the URL begins with http://")?;
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let address = host.to_socket_addrs().context("HOST:PORT")?.next().context("no address")?;
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Ok(Self { name: name.into(), address, prefix: format!("/{prefix}{slash}") })
    }
}

impl Build {
    fn parse(text: &str) -> Result<Self> {
        let (name, path) = text.split_once('=').context("NAME=PATH is wanted")?;
        Ok(Self { name: name.into(), path: path.into() })
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Rounds that count.
    pub rounds: usize,
    /// All sizes times this.
    pub scale: f64,
    /// Clients that wait.
    pub clients: usize,
    /// Tokens of a run.
    pub tokens: usize,
    /// Between two tokens.
    pub every: Duration,
    /// Small transfers of a run.
    pub small: usize,
}

impl Options {
    /// How much is measured.
    pub fn amount(&self) -> Amount {
        let or = |quick, full| if self.quick { quick } else { full };
        Amount {
            rounds: self.rounds.unwrap_or(or(3, 5)).max(1),
            scale: self.scale.unwrap_or(if self.quick { 0.05 } else { 1.0 }),
            clients: self.clients.unwrap_or(or(1_000, 10_000)).max(1),
            tokens: or(100, 1_000),
            every: Duration::from_millis(5),
            small: or(1_000, 20_000),
        }
    }

    /// Is this one wanted?
    pub fn wants(&self, workload: Workload) -> bool {
        self.only.is_empty() || self.only.contains(&workload)
    }
}

impl Amount {
    /// So many bytes, scaled; never none.
    pub fn bytes(&self, full: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_have_a_name_an_address_and_a_prefix() {
        for (text, prefix) in [
            ("x=http://127.0.0.1:81", "/"),
            ("x=http://127.0.0.1:81/", "/"),
            ("x=http://127.0.0.1:81/a/b", "/a/b/"),
        ] {
            let peer = Peer::parse(text).unwrap();
            assert_eq!((&*peer.name, &*peer.prefix, peer.address.port()), ("x", prefix, 81));
        }
        for text in ["http://127.0.0.1:81", "x=127.0.0.1:81", "x=https://127.0.0.1:81"] {
            assert!(Peer::parse(text).is_err(), "{text}");
        }
    }
}
