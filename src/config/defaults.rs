//! Every default, with its reason. Times in seconds, sizes in bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::values::{Label, LogFormat, LogLevel};

/// All IPv4 addresses: a relay is there to be reached. Port 8080 needs no privilege.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
/// This machine only: whoever reaches it can stop the node. The port that Prometheus is used to.
pub const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// One region until somebody says that there are more.
pub const REGION: &str = "default";
/// The name of a node whose machine has none that can be used.
pub const NODE_ID_FALLBACK: &str = "node";
/// Five minutes: long enough to type the other command, short enough to notice that nobody comes.
pub const WAIT_S: u64 = 300;
/// As long as a wait: a paused player comes back, a frozen one does not hold up others for ever.
pub const STALL_S: u64 = 300;
/// Off: a microphone that is muted and a build that is thinking are not dead.
pub const IDLE_TIMEOUT_S: u64 = 0;
/// What orchestrators give a process between SIGTERM and SIGKILL.
pub const DRAIN_TIMEOUT_S: u64 = 30;
/// Keeps 1 Gbit/s busy over 2 ms; ten thousand transfers fit into 2.5 GiB.
pub const WINDOW_BYTES: usize = 256 << 10;
/// Workers when the number of cores is unknown: enough that one busy stream blocks no other.
pub const WORKERS_FALLBACK: usize = 2;
/// Two waiting clients a name is more than a node has descriptors for in most places.
pub const MAX_PENDING: usize = 100_000;
/// As many as may wait: whoever was let in shall be served.
pub const MAX_ACTIVE: usize = 100_000;
/// Four full fan-outs behind one address; a single client cannot fill the node.
pub const MAX_WAITING_PER_ADDRESS: usize = 1024;
/// As many as receivers of a full pipe: each of them may have somebody who looks on.
pub const MAX_SPECTATORS_PER_PIPE: usize = 256;
/// Each takes a descriptor and a few kilobytes, and must not crowd out those who transfer.
pub const MAX_SPECTATORS: usize = 20_000;
/// Ten minutes of 16 hashed transfers a second, in a few megabytes.
pub const MAX_RECEIPTS: usize = 10_000;
/// Beside the program, where it may write: a few kilobytes.
pub const DATA_DIR: &str = "./hoody-pipe-data";
/// Lines for people where people look, JSON where collectors do.
pub const LOG_FORMAT: LogFormat = LogFormat::Auto;
/// Start, stop and what needs a person; nothing per request.
pub const LOG_LEVEL: LogLevel = LogLevel::Info;

/// A proxy on the same machine; nobody else can connect from there.
pub fn trusted_proxies() -> Vec<IpNet> {
    let v4 = IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
    let v6 = IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
    vec![v4, v6]
}

/// The host name: unique in most fleets, and what an operator calls the machine anyway.
pub fn node_id() -> String {
    let host = rustix::system::uname();
    let name = host.nodename().to_str().ok().and_then(|name| name.parse().ok());
    name.map_or_else(|| NODE_ID_FALLBACK.to_owned(), |Label(name)| name)
}

/// One worker a core: a worker is one thread that never blocks.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(WORKERS_FALLBACK, usize::from)
}
