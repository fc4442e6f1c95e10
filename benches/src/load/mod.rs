//! The load: clients that meet at a server, one thread for all of them, so that it is cheaper than any
//! server. Knows HTTP/1.1 and nothing of what the figures are for.

pub mod bulk;
mod client;
mod poller;
pub mod small;
pub mod tls;
pub mod tokens;
pub mod waiting;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::pause;
use client::{Client, get, put};
use poller::Poller;

/// The longest run of anything; what takes longer hangs.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Between the last receiver and the sender, and between the sender and its first byte: no server says
/// that a receiver waits.
const SETTLE: Duration = Duration::from_millis(100);

/// Bytes of one read that looks at them.
const READ: usize = 256 << 10;

/// A server that is measured.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is called in the tables.
    pub name: String,
    /// Where the sender connects to.
    pub sender: SocketAddr,
    /// Where the receivers connect to.
    pub receivers: SocketAddr,
    /// What the path of each pipe begins with.
    pub prefix: String,
    /// All its processes, whose CPU time and memory count.
    pub pids: Vec<u32>,
    /// Whether it takes bodies without a length.
    pub chunks: bool,
}

impl Target {
    /// A server at one address.
    pub fn new(name: &str, address: SocketAddr, pids: Vec<u32>) -> Self {
        let (name, prefix) = (name.to_owned(), "/".to_owned());
        Self { name, sender: address, receivers: address, prefix, pids, chunks: true }
    }

    /// The request target of a pipe that nobody has used, for `n` receivers.
    fn pipe(&self, n: usize) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{}bench-{}-{next}?n={n}", self.prefix, std::process::id())
    }
}

/// A sender that has said its head and nothing else, and its receivers; all are watched.
struct Meeting {
    receivers: Vec<Client>,
    sender: Client,
    poller: Poller,
    end: Instant,
}

impl Meeting {
    /// Brings `n` receivers and then a sender to a new pipe. `length`: of the body; chunks without one.
    fn open(target: &Target, n: usize, length: Option<u64>) -> Result<Self> {
        let (pipe, poller) = (target.pipe(n), Poller::new()?);
        let mut receivers = Vec::with_capacity(n);
        for at in 0..n {
            let mut receiver = Client::connect(target.receivers)?;
            receiver.say(get(target, &pipe).as_bytes())?;
            poller.add(&receiver.socket, at as u64)?;
            receivers.push(receiver);
        }
        pause(SETTLE);
        let mut sender = Client::connect(target.sender)?;
        sender.say(put(target, &pipe, length).as_bytes())?;
        poller.add(&sender.socket, n as u64)?;
        pause(SETTLE);
        Ok(Self { receivers, sender, poller, end: Instant::now() + RUN_MAX })
    }

    /// The id under which the sender is watched; a receiver's is its place in the list.
    fn sender_id(&self) -> u64 {
        self.receivers.len() as u64
    }

    fn check_time(&self) -> Result<()> {
        ensure!(Instant::now() < self.end, "nothing came of it within {RUN_MAX:?}");
        Ok(())
    }
}
