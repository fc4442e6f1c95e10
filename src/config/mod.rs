//! The configuration: what was said by flags, variables and the file, and what holds when nothing
//! was said (spec §20, §23).
//!
//! Knows nothing of what the settings do. [`settings`] is what can be said, [`values`] how it is
//! written, [`defaults`] what holds otherwise; here they become one [`Config`].

pub mod defaults;
pub mod errand;
mod error;
mod file;
mod fleet;
pub mod manual;
mod place;
mod secret;
pub mod settings;
mod tls;
pub mod values;
mod variables;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;

pub use error::{Error, Fault};
pub use fleet::Fleet;
pub use secret::Secret;
pub use tls::Tls;
pub use values::{LogFormat, LogLevel};

use errand::Errand;
use manual::Manual;
use place::Place;
use settings::{Command, CommandLine, Flags, Settings};
use values::{Address, BaseUrl, Count, Hosts, Label, MaybeAddress, Networks, Seconds, Size};

/// Which half of the program the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// The relay.
    Relay(Box<Invocation>),
    /// A client of some relay.
    Client(Box<Errand>),
    /// Neither: something to read.
    Manual(Manual),
}

/// What the command line asks of the relay.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// With which configuration.
    pub config: Config,
}

/// What to do with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Run the relay.
    Serve,
    /// `--check`: see whether the addresses can be bound, and exit with 0 or 1.
    Check,
    /// `--print-config`: print [`Config::to_toml`] and exit.
    PrintConfig,
}

/// The effective configuration, complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Public listeners, at least one. Port 0 means any free one.
    pub listen: Vec<SocketAddr>,
    /// TLS listeners and their certificate; `None`: no TLS.
    pub tls: Option<Tls>,
    /// Where probes, metrics and drain are answered (spec §19); `None`: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// The base of URLs in texts, without trailing `/`; otherwise taken from each request.
    pub public_url: Option<String>,
    /// Networks whose `X-Forwarded-*` headers count (spec §6).
    pub trusted_proxies: Vec<IpNet>,
    /// Host names served here, lower case, without port; empty means any (spec §7, step 1).
    pub allowed_hosts: Vec<String>,
    /// Whether preflights from public pages into a private network are granted (spec §18).
    pub allow_private_network: bool,
    /// Whether the public listeners keep the metrics to themselves.
    pub no_public_metrics: bool,
    /// How long a party waits that does not say: 1-3600 s.
    pub wait: Duration,
    /// How long a receiver may take nothing: 1-3600 s; `None` is for ever.
    pub stall: Option<Duration>,
    /// How long a sender may send nothing: 1-3600 s; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long running transfers may go on after SIGTERM; zero cuts them at once.
    pub drain_timeout: Duration,
    /// Memory of one transfer in bytes, shared by its receivers: 16 KiB to 8 MiB.
    pub window: usize,
    /// All bytes are copied, also those that the kernel could move.
    pub copy: bool,
    /// Worker threads, at least one.
    pub workers: usize,
    /// Names that may wait at once.
    pub max_pending: usize,
    /// Transfers that may run at once, from commit until the last receiver is done.
    pub max_active: usize,
    /// Waiting requests of one client address (IPv6: one /64).
    pub max_waiting_per_address: usize,
    /// Spectators of one name.
    pub max_spectators_per_pipe: usize,
    /// Spectators of all names.
    pub max_spectators: usize,
    /// Receipts kept at most.
    pub max_receipts: usize,
    /// How to be one of several nodes; `None`: this one is on its own.
    pub fleet: Option<Fleet>,
    /// What this node is called.
    pub node_id: String,
    /// Where this node stands.
    pub region: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// The least important lines that are logged.
    pub log_level: LogLevel,
}

/// Reads the command line (with the program's name first), the environment and the file.
///
/// # Errors
/// A mistake in any of them, or a wish for `--help` or `--version`: the error knows its text and
/// its exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    // Needed before the flags are understood: they may be what is wrong.
    let checking = args.iter().any(|arg| arg == "--check");
    asked(args).map_err(|error| error.when_checking(checking))
}

fn asked(args: Vec<OsString>) -> Result<Asked, Error> {
    let line = CommandLine::try_parse_from(args)?;
    let errand = match line.command {
        None => return invocation(line.flags).map(Box::new).map(Asked::Relay),
        Some(Command::Serve(flags)) => return invocation(*flags).map(Box::new).map(Asked::Relay),
        Some(Command::Send(flags)) => Errand::Send(flags.sorted()?),
        Some(Command::Receive(flags)) => Errand::Receive(flags),
        Some(Command::Status(flags)) => Errand::Status(flags),
        Some(Command::Progress(flags)) => Errand::Progress(flags),
        Some(Command::Cancel(flags)) => Errand::Cancel(flags),
        Some(Command::Health(flags)) => Errand::Health(flags),
        Some(Command::Completions(flags)) => {
            return Ok(Asked::Manual(Manual::Completions(flags.shell)));
        }
        Some(Command::Man(flags)) => return Ok(Asked::Manual(Manual::Pages(flags.dir))),
    };
    Ok(Asked::Client(Box::new(errand.checked()?)))
}

fn invocation(flags: Flags) -> Result<Invocation, Error> {
    variables::check(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let file = match &flags.config {
        Some(path) => file::read(path)?,
        None => Settings::default(),
    };
    let action = match (flags.check, flags.print_config) {
        (true, _) => Action::Check,
        (false, true) => Action::PrintConfig,
        (false, false) => Action::Serve,
    };
    let settings = flags.settings.or(file);
    let wrong = |why: String| Error::new(Fault::Value, &why);
    Tls::of(&settings).map_err(wrong)?;
    let fleet = Fleet::of(&settings, std::env::var_os(secret::VARIABLE)).map_err(wrong)?;
    Ok(Invocation { action, config: Config { fleet, ..settings.into() } })
}

impl Config {
    /// This configuration as a file that `--config` reads back to the same. A secret is never part of
    /// it; one that came in a variable leaves a comment.
    pub fn to_toml(&self) -> String {
        let hidden = self.fleet.as_ref().filter(|fleet| fleet.secret.file().is_none());
        let hidden = hidden.map(|_| format!("# {} is set, and not shown.\n", secret::VARIABLE));
        let plain = toml::to_string(&Settings::from(self));
        hidden.unwrap_or_default() + &plain.expect("plain values and lists of texts are TOML")
    }
}

impl Default for Config {
    fn default() -> Self {
        Settings::default().into()
    }
}

/// All but the fleet, whose secret is read from elsewhere (`Fleet::of`).
impl From<Settings> for Config {
    fn from(said: Settings) -> Self {
        let count = |said: Option<Count<0, _>>, default| said.map_or(default, |cap| cap.0);
        let wait = said.wait.map_or(defaults::WAIT_S, |time| time.0);
        let stall = said.stall.map_or(defaults::STALL_S, |time| time.0);
        let idle_timeout = said.idle_timeout.map_or(defaults::IDLE_TIMEOUT_S, |time| time.0);
        let drain_timeout = said.drain_timeout.map_or(defaults::DRAIN_TIMEOUT_S, |time| time.0);
        // Incomplete settings of TLS were refused before.
        let tls = Tls::of(&said).ok().flatten();
        Self {
            listen: said
                .listen
                .map_or(vec![defaults::LISTEN], |all| all.into_iter().map(|one| one.0).collect()),
            tls,
            admin_listen: said.admin_listen.map_or(Some(defaults::ADMIN_LISTEN), |admin| admin.0),
            public_url: said.public_url.map(|url| url.0),
            trusted_proxies: said.trusted_proxies.map_or_else(defaults::trusted_proxies, |n| n.0),
            allowed_hosts: said.allowed_hosts.map(|hosts| hosts.0).unwrap_or_default(),
            allow_private_network: said.allow_private_network.unwrap_or(false),
            no_public_metrics: said.no_public_metrics.unwrap_or(false),
            wait: Duration::from_secs(wait),
            stall: unless_off(stall),
            idle_timeout: unless_off(idle_timeout),
            drain_timeout: Duration::from_secs(drain_timeout),
            window: said.window.map_or(defaults::WINDOW_BYTES, |size| size.0 as usize),
            copy: said.copy.unwrap_or(false),
            workers: said.workers.map_or_else(defaults::workers, |count| count.0),
            max_pending: count(said.max_pending, defaults::MAX_PENDING),
            max_active: count(said.max_active, defaults::MAX_ACTIVE),
            max_waiting_per_address: count(
                said.max_waiting_per_address,
                defaults::MAX_WAITING_PER_ADDRESS,
            ),
            max_spectators_per_pipe: count(
                said.max_spectators_per_pipe,
                defaults::MAX_SPECTATORS_PER_PIPE,
            ),
            max_spectators: count(said.max_spectators, defaults::MAX_SPECTATORS),
            max_receipts: count(said.max_receipts, defaults::MAX_RECEIPTS),
            fleet: None,
            node_id: said.node_id.map_or_else(defaults::node_id, |name| name.0),
            region: said.region.map_or_else(|| defaults::REGION.to_owned(), |name| name.0),
            log_format: said.log_format.unwrap_or(defaults::LOG_FORMAT),
            log_level: said.log_level.unwrap_or(defaults::LOG_LEVEL),
        }
    }
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let (tls, fleet) = (config.tls.as_ref(), config.fleet.as_ref());
        let places = |fleet: &Fleet| fleet.peers.iter().cloned().map(Place).collect();
        let off_is_zero = |time: Option<Duration>| Some(Seconds(time.map_or(0, |t| t.as_secs())));
        Self {
            listen: Some(config.listen.iter().copied().map(Address).collect()),
            tls_listen: tls.map(|tls| tls.listen.iter().copied().map(Address).collect()),
            tls_cert: tls.map(|tls| tls.cert.clone()),
            tls_key: tls.map(|tls| tls.key.clone()),
            admin_listen: Some(MaybeAddress(config.admin_listen)),
            public_url: config.public_url.clone().map(BaseUrl),
            trusted_proxies: Some(Networks(config.trusted_proxies.clone())),
            allowed_hosts: Some(Hosts(config.allowed_hosts.clone())),
            allow_private_network: Some(config.allow_private_network),
            no_public_metrics: Some(config.no_public_metrics),
            wait: Some(Seconds(config.wait.as_secs())),
            stall: off_is_zero(config.stall),
            idle_timeout: off_is_zero(config.idle_timeout),
            drain_timeout: Some(Seconds(config.drain_timeout.as_secs())),
            window: Some(Size(config.window as u64)),
            copy: Some(config.copy),
            workers: Some(Count(config.workers)),
            max_pending: Some(Count(config.max_pending)),
            max_active: Some(Count(config.max_active)),
            max_waiting_per_address: Some(Count(config.max_waiting_per_address)),
            max_spectators_per_pipe: Some(Count(config.max_spectators_per_pipe)),
            max_spectators: Some(Count(config.max_spectators)),
            max_receipts: Some(Count(config.max_receipts)),
            cluster_listen: fleet.map(|fleet| Address(fleet.listen)),
            cluster_advertise: fleet.map(|fleet| Place(fleet.advertise.clone())),
            cluster_peers: fleet.map(places),
            cluster_secret_file: fleet.and_then(|fleet| fleet.secret.file().map(Into::into)),
            bootstrap_expect: fleet.map(|fleet| Count(fleet.expect)),
            data_dir: fleet.map(|fleet| fleet.data_dir.clone()),
            node_id: Some(Label(config.node_id.clone())),
            region: Some(Label(config.region.clone())),
            log_format: Some(config.log_format),
            log_level: Some(config.log_level),
        }
    }
}

/// A limit in seconds, of which 0 means that there is none.
fn unless_off(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
