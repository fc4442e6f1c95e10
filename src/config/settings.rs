//! What can be set: one struct for flags, variables and the file, in which everything may be left
//! out. Defaults and their reasons are in [`super::defaults`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use super::errand::{
    CancelFlags, HealthFlags, ProgressFlags, ReceiveFlags, SendFlags, StatusFlags,
};
use super::manual::{CompletionFlags, ManFlags};
use super::place::Place;
use super::values::{
    Address, BaseUrl, Count, Hosts, Label, LogFormat, LogLevel, MaybeAddress, Networks, Seconds,
    Size, at_least_one,
};

/// The longest `--drain-timeout`: a day. A longer one is more likely a slip than a wish.
const DRAIN_SECONDS_MAX: u64 = 24 * 60 * 60;
/// The largest cap: what descriptors and memory of one machine can never reach.
const CAP_MAX: usize = 100_000_000;
/// The most first members: each holds two connections to each other one.
const PEERS_MAX: usize = 100;
/// The most worker threads; above it, threads only take memory from each other.
const WORKERS_MAX: usize = 1024;

/// `--wait`: also what `?wait=` takes (spec §5).
type Wait = Seconds<1, 3600>;
/// A limit that 0 switches off.
type Limit = Seconds<0, 3600>;
/// A cap of the node.
type Cap = Count<0, CAP_MAX>;

const ABOUT: &str = "\
hoody-pipe passes the body of a PUT or POST to those who GET the same URL. It stores nothing.

First steps:
  hoody-pipe --listen 127.0.0.1:8080
  curl -fsSN \"http://127.0.0.1:8080/hello\"                 # one terminal waits
  echo hi | curl -sS -T - \"http://127.0.0.1:8080/hello\"    # another one sends
  curl -fsS \"http://127.0.0.1:8080/help\"                   # the rest, with your own URL";

const AFTER: &str = "\
Times are seconds (300) or have units (5m). Sizes are bytes (262144) or have units (256KiB).
Every flag can also be a variable (--max-pending is HOODY_PIPE_MAX_PENDING) and a key of the
file (max_pending = 100000; lists are arrays), except --check and --print-config, which are flags
only, and --config, which is no key.
Flags beat variables, variables beat the file, the file beats the defaults.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "hoody-pipe", version, about = ABOUT, after_help = AFTER)]
#[command(args_conflicts_with_subcommands = true)]
#[command(max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags without the word `serve`.
    #[command(flatten)]
    pub flags: Flags,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the relay; the same as no subcommand.
    #[command(after_help = AFTER, max_term_width = 100)]
    Serve(Box<Flags>),
    /// Send a file, stdin or the output of a command to those who receive at the URL.
    Send(SendFlags),
    /// Receive what is sent to the URL.
    Receive(ReceiveFlags),
    /// Print what waits, runs or has ended at the URL, as JSON.
    Status(StatusFlags),
    /// Print what happens at the URL until the transfer is done.
    Progress(ProgressFlags),
    /// End what waits or runs at the URL.
    Cancel(CancelFlags),
    /// Ask the admin listener of a node whether it wants clients.
    Health(HealthFlags),
    /// Print completions for a shell.
    Completions(CompletionFlags),
    /// Print the manual page, or write the pages of all commands into a folder.
    Man(ManFlags),
}

/// All flags of the relay.
#[derive(Debug, Args)]
pub struct Flags {
    /// What the file can say too.
    #[command(flatten)]
    pub settings: Settings,
    /// Read settings from a TOML file.
    #[arg(long, value_name = "FILE", env = "HOODY_PIPE_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Check the configuration and that the addresses can be listened on, then exit with 0 or 1.
    #[arg(long)]
    pub check: bool,
    /// Print the effective configuration as TOML and exit.
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
}

/// Everything that can be set by flag, variable or file. `None`: not said here.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Listen here; can be given several times [default: 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    #[arg(env = "HOODY_PIPE_LISTEN", hide_env = true)]
    #[serde(deserialize_with = "at_least_one")]
    pub listen: Option<Vec<Address>>,
    /// Listen here for TLS (HTTP/1.1 and HTTP/2); can be given several times [default: off].
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    #[arg(env = "HOODY_PIPE_TLS_LISTEN", hide_env = true)]
    pub tls_listen: Option<Vec<Address>>,
    /// The certificate chain for --tls-listen, PEM; read again when it changes and on SIGHUP.
    #[arg(long, value_name = "FILE", env = "HOODY_PIPE_TLS_CERT", hide_env = true)]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM.
    #[arg(long, value_name = "FILE", env = "HOODY_PIPE_TLS_KEY", hide_env = true)]
    pub tls_key: Option<PathBuf>,
    /// Listen here for probes, metrics and drain; '' for nowhere [default: 127.0.0.1:9090].
    #[arg(long, value_name = "ADDRESS:PORT", env = "HOODY_PIPE_ADMIN_LISTEN", hide_env = true)]
    pub admin_listen: Option<MaybeAddress>,
    /// The base of the URLs in texts: scheme, host, port, path [default: from the request].
    #[arg(long, value_name = "URL", env = "HOODY_PIPE_PUBLIC_URL", hide_env = true)]
    pub public_url: Option<BaseUrl>,
    /// Networks of the proxies whose X-Forwarded-* headers count; '' for none
    /// [default: 127.0.0.0/8,::1/128].
    #[arg(long, value_name = "CIDR,...", env = "HOODY_PIPE_TRUSTED_PROXIES", hide_env = true)]
    pub trusted_proxies: Option<Networks>,
    /// The only host names served here; others get 421 [default: any].
    #[arg(long, value_name = "HOST,...", env = "HOODY_PIPE_ALLOWED_HOSTS", hide_env = true)]
    pub allowed_hosts: Option<Hosts>,
    /// Let pages of the internet reach this relay in a private network [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    #[arg(env = "HOODY_PIPE_ALLOW_PRIVATE_NETWORK", hide_env = true, hide_possible_values = true)]
    pub allow_private_network: Option<bool>,
    /// Answer 404 for /api/v1/pipe/metrics; the admin listener has them still [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    #[arg(env = "HOODY_PIPE_NO_PUBLIC_METRICS", hide_env = true, hide_possible_values = true)]
    pub no_public_metrics: Option<bool>,
    /// How long a client waits for its peers, unless it says ?wait=: 1 s to 1 h [default: 300].
    #[arg(long, value_name = "TIME", env = "HOODY_PIPE_WAIT", hide_env = true)]
    pub wait: Option<Wait>,
    /// A receiver that takes no data for so long is dropped: up to 1 h, 0 = never [default: 300].
    #[arg(long, value_name = "TIME", env = "HOODY_PIPE_STALL", hide_env = true)]
    pub stall: Option<Limit>,
    /// A sender that sends no data for so long is cut: up to 1 h, 0 = never [default: 0].
    #[arg(long, value_name = "TIME", env = "HOODY_PIPE_IDLE_TIMEOUT", hide_env = true)]
    pub idle_timeout: Option<Limit>,
    /// How long clients may go on after SIGINT (Ctrl-C) or after SIGTERM [default: 30].
    #[arg(long, value_name = "TIME", env = "HOODY_PIPE_DRAIN_TIMEOUT", hide_env = true)]
    pub drain_timeout: Option<Seconds<0, DRAIN_SECONDS_MAX>>,
    /// Memory of one transfer, shared by its receivers: 16KiB to 8MiB [default: 256KiB].
    #[arg(long, value_name = "SIZE", env = "HOODY_PIPE_WINDOW", hide_env = true)]
    pub window: Option<Size<{ 16 << 10 }, { 8 << 20 }>>,
    /// Copy all bytes, also those that the kernel could move: to compare, or to rule it out as the
    /// cause of a fault [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    #[arg(env = "HOODY_PIPE_COPY", hide_env = true, hide_possible_values = true)]
    pub copy: Option<bool>,
    /// Worker threads [default: number of cores].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_WORKERS", hide_env = true)]
    pub workers: Option<Count<1, WORKERS_MAX>>,
    /// Names that may wait at once; more get 429 [default: 100000].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_PENDING", hide_env = true)]
    pub max_pending: Option<Cap>,
    /// Transfers that may run at once; more get 429 [default: 100000].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_ACTIVE", hide_env = true)]
    pub max_active: Option<Cap>,
    /// Requests of one client address (IPv6: /64) that may wait at once [default: 1024].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_WAITING_PER_ADDRESS", hide_env = true)]
    pub max_waiting_per_address: Option<Cap>,
    /// Spectators (?progress) of one name; more get 429 [default: 256].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_SPECTATORS_PER_PIPE", hide_env = true)]
    pub max_spectators_per_pipe: Option<Cap>,
    /// Spectators (?progress) of all names; more get 429 [default: 20000].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_SPECTATORS", hide_env = true)]
    pub max_spectators: Option<Cap>,
    /// Receipts of finished transfers that are kept for 10 minutes [default: 10000].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_MAX_RECEIPTS", hide_env = true)]
    pub max_receipts: Option<Cap>,
    /// Be one of several nodes: listen here for the others, on a private network [default: off].
    #[arg(long, value_name = "ADDRESS:PORT", env = "HOODY_PIPE_CLUSTER_LISTEN", hide_env = true)]
    pub cluster_listen: Option<Address>,
    /// Where the others reach this node [default: the address of --cluster-listen].
    #[arg(long, value_name = "HOST:PORT", env = "HOODY_PIPE_CLUSTER_ADVERTISE", hide_env = true)]
    pub cluster_advertise: Option<Place>,
    /// All first nodes, this one among them; the same list on every node.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    #[arg(env = "HOODY_PIPE_CLUSTER_PEERS", hide_env = true)]
    #[serde(deserialize_with = "at_least_one")]
    pub cluster_peers: Option<Vec<Place>>,
    /// A file with the secret of the fleet, at least 16 bytes, the same on every node; or set the
    /// variable HOODY_PIPE_CLUSTER_SECRET to the secret itself.
    #[arg(long, value_name = "FILE", env = "HOODY_PIPE_CLUSTER_SECRET_FILE", hide_env = true)]
    pub cluster_secret_file: Option<PathBuf>,
    /// Form the fleet when so many of the peers see each other; ignored once there is one
    /// [default: all of them].
    #[arg(long, value_name = "N", env = "HOODY_PIPE_BOOTSTRAP_EXPECT", hide_env = true)]
    pub bootstrap_expect: Option<Count<1, PEERS_MAX>>,
    /// Keep the membership of the fleet in this folder, and nothing else
    /// [default: ./hoody-pipe-data].
    #[arg(long, value_name = "DIR", env = "HOODY_PIPE_DATA_DIR", hide_env = true)]
    pub data_dir: Option<PathBuf>,
    /// What this node is called, unique in its fleet [default: the host name].
    #[arg(long, value_name = "NAME", env = "HOODY_PIPE_NODE_ID", hide_env = true)]
    pub node_id: Option<Label>,
    /// Where this node stands, as shown in /cluster [default: default].
    #[arg(long, value_name = "NAME", env = "HOODY_PIPE_REGION", hide_env = true)]
    pub region: Option<Label>,
    /// How log lines are written; auto is text on a terminal, else JSON [default: auto].
    #[arg(long, value_name = "FORMAT", env = "HOODY_PIPE_LOG_FORMAT", hide_env = true)]
    pub log_format: Option<LogFormat>,
    /// The least important lines that are logged [default: info].
    #[arg(long, value_name = "LEVEL", env = "HOODY_PIPE_LOG_LEVEL", hide_env = true)]
    pub log_level: Option<LogLevel>,
}

impl Settings {
    /// These settings, and where they say nothing, those of `weaker`.
    pub fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            tls_listen: self.tls_listen.or(weaker.tls_listen),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            admin_listen: self.admin_listen.or(weaker.admin_listen),
            public_url: self.public_url.or(weaker.public_url),
            trusted_proxies: self.trusted_proxies.or(weaker.trusted_proxies),
            allowed_hosts: self.allowed_hosts.or(weaker.allowed_hosts),
            allow_private_network: self.allow_private_network.or(weaker.allow_private_network),
            no_public_metrics: self.no_public_metrics.or(weaker.no_public_metrics),
            wait: self.wait.or(weaker.wait),
            stall: self.stall.or(weaker.stall),
            idle_timeout: self.idle_timeout.or(weaker.idle_timeout),
            drain_timeout: self.drain_timeout.or(weaker.drain_timeout),
            window: self.window.or(weaker.window),
            copy: self.copy.or(weaker.copy),
            workers: self.workers.or(weaker.workers),
            max_pending: self.max_pending.or(weaker.max_pending),
            max_active: self.max_active.or(weaker.max_active),
            max_waiting_per_address: self
                .max_waiting_per_address
                .or(weaker.max_waiting_per_address),
            max_spectators_per_pipe: self
                .max_spectators_per_pipe
                .or(weaker.max_spectators_per_pipe),
            max_spectators: self.max_spectators.or(weaker.max_spectators),
            max_receipts: self.max_receipts.or(weaker.max_receipts),
            cluster_listen: self.cluster_listen.or(weaker.cluster_listen),
            cluster_advertise: self.cluster_advertise.or(weaker.cluster_advertise),
            cluster_peers: self.cluster_peers.or(weaker.cluster_peers),
            cluster_secret_file: self.cluster_secret_file.or(weaker.cluster_secret_file),
            bootstrap_expect: self.bootstrap_expect.or(weaker.bootstrap_expect),
            data_dir: self.data_dir.or(weaker.data_dir),
            node_id: self.node_id.or(weaker.node_id),
            region: self.region.or(weaker.region),
            log_format: self.log_format.or(weaker.log_format),
            log_level: self.log_level.or(weaker.log_level),
        }
    }

    /// The keys of the file, as the flags are spelled with `_`.
    pub fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("keys"));
        command.get_arguments().map(|flag| flag.get_id().to_string()).collect()
    }
}
