//! Two nodes of one fleet, and the bytes between them as the kernel counts them. Knows the command line
//! and the admin listener.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cores::{Cores, Who};
use crate::pause;
use crate::program::{self, Program};

/// How long two nodes may take to become a fleet.
const FORMED_WITHIN: Duration = Duration::from_secs(60);

/// Shared by the nodes; this fleet lives for a minute on loopback.
const SECRET: &str = "of two nodes that are measured";

/// Two running nodes. Dropping it kills them.
pub struct Fleet {
    /// The nodes.
    pub nodes: [Program; 2],
    /// Where they talk to each other.
    ports: [u16; 2],
    _folder: TempDir,
}

impl Fleet {
    /// Starts two nodes and waits until both are ready.
    ///
    /// # Errors
    /// They do not become a fleet.
    pub fn start(cores: &Cores, binary: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let secret = folder.path().join("secret");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret)?;
        file.write_all(SECRET.as_bytes())?;
        let ports = [program::free_port()?, program::free_port()?];
        let admin = [program::free_port()?, program::free_port()?];
        let peers = ports.map(|port| format!("127.0.0.1:{port}"));
        let start = |at: usize, who: Who| -> Result<Program> {
            let (data, name) = (folder.path().join(format!("data-{at}")), format!("node-{at}"));
            let mut command = program::relay(binary, &["--listen", "127.0.0.1:0"]);
            command.args(["--admin-listen", &format!("127.0.0.1:{}", admin[at])]);
            command.args(["--cluster-listen", &peers[at], "--cluster-peers", &peers.join(",")]);
            command.args(["--node-id", &name]);
            command.arg("--cluster-secret-file").arg(&secret).arg("--data-dir").arg(data);
            Program::start(cores, who, &mut command, program::RELAY)
        };
        let nodes = [start(0, Who::FirstNode)?, start(1, Who::SecondNode)?];
        let end = Instant::now() + FORMED_WITHIN;
        while !admin.iter().all(|port| is_ready(*port).unwrap_or(false)) {
            ensure!(Instant::now() < end, "two nodes did not become a fleet");
            pause(Duration::from_millis(50));
        }
        Ok(Self { nodes, ports, _folder: folder })
    }

    /// What went over each connection between the nodes that stands now, in bytes: each end of it tells
    /// what was acknowledged. A trunk lives as long as its transfer, and a moment longer.
    ///
    /// # Errors
    /// There is no `ss`.
    pub fn connections(&self) -> Result<HashMap<String, u64>> {
        let [a, b] = self.ports;
        let filter = format!("( sport = :{a} or dport = :{a} or sport = :{b} or dport = :{b} )");
        let output = Command::new("ss").args(["-tinHO", "state", "established", &filter]).output();
        let output = output.context("ss (iproute2) counts the bytes between nodes")?;
        let of = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let acked = words.iter().find_map(|word| word.strip_prefix("bytes_acked:"))?;
            // Behind two queues, the ends.
            Some((words.get(2..4)?.join(" "), acked.parse().ok()?))
        };
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(of).collect())
    }
}

fn is_ready(port: u16) -> Result<bool> {
    let mut socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text.starts_with("HTTP/1.1 200"))
}
