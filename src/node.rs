//! One node: its parts put together, started and stopped in order.

mod drain;
mod listeners;

use std::io;
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hoody_pipe_cluster::{self as cluster, Cluster};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{error, info, warn};

use self::drain::drain;
use self::listeners::Listeners;
use crate::config::{self, Config};
use crate::edge::{Edge, Settings};
use crate::front::accept::{self, Parts};
use crate::front::fleet::Fleet;
use crate::front::gate::Gate;
use crate::front::kernel;
use crate::front::running::Running;
use crate::front::site::Pages;
use crate::front::{admin, internal};
use crate::http::admission::Policy;
use crate::http::health::Process;
use crate::http::openapi;
use crate::meter::{self, Meter};
use crate::pipe::{Caps, TransferId};

/// How often the node looks whether a crowd has left, and how large a crowd is worth it: a thousand
/// parties hold about five megabytes.
const TIDY_EVERY: Duration = Duration::from_secs(1);
const CROWD: usize = 1000;

/// What this program is.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Serves until a signal ends it, then drains. Returns when nothing is left.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let listeners = Listeners::bind(&config)?;
    let places = listeners.places()?;
    let Listeners { cluster, public, admin, tls } = listeners;
    watch_panics();
    info!(version = VERSION, node = config.node_id, workers = config.workers, "starting");
    let parts = assemble(&config)?;
    if let Some(warning) = warning(&config) {
        warn!("{warning}");
    }
    let peers = cluster.map(|(listener, _)| for_peers(listener, &parts)).transpose()?;
    let server = Running::of(accept::start(public, config.workers, &parts)?);
    let admin =
        admin.map(|listener| admin::start(listener, &parts).map(Running::of)).transpose()?;
    tokio::spawn(attend(parts.edge.clone()));
    tokio::spawn(tidy(parts.edge.clone()));
    tokio::spawn(parts.fleet.clone().count_moves());
    tls.map(|tls| tokio::spawn(tls.watch()));
    let admin_at = places.admin.map(tracing::field::display);
    info!(listen = places.listen(), admin = admin_at, cluster = places.cluster, "serving");
    if let Err(error) = places.greet(config.public_url.as_deref()) {
        warn!(%error, "cannot write to stdout, serving all the same");
    }
    let polite = tokio::select! {
        polite = signals.first() => polite,
        () = parts.gate.asked_to_drain() => true,
    };
    tokio::select! {
        () = drain(&parts, config.drain_timeout, polite) => {}
        code = signals.second() => {
            warn!("second signal, stopping at once");
            std::process::exit(code);
        }
    }
    server.stop(false).await.context("the server has crashed")?;
    if let Some(admin) = admin {
        admin.stop(true).await.context("the admin server has crashed")?;
    }
    if let Some(peers) = peers {
        peers.stop(false).await.context("the server for other nodes has crashed")?;
    }
    info!("stopped");
    Ok(())
}

fn for_peers(listener: TcpListener, parts: &Parts) -> io::Result<Running> {
    let Parts { edge, fleet, .. } = parts.clone();
    internal::start(listener, edge, fleet.cluster).map(Running::of)
}

/// Reads the certificate, binds every listener once and lets go of it: what `--check` does beyond
/// reading.
pub fn check(config: &Config) -> anyhow::Result<()> {
    if let Some(warning) = warning(config) {
        eprintln!("hoody-pipe: {warning}");
    }
    Listeners::bind(config).map(drop)
}

/// What an operator should mend, though it stops nothing.
fn warning(config: &Config) -> Option<String> {
    let exposed = config.fleet.as_ref()?.secret.exposed()?.display();
    Some(format!(
        "every user of this machine can read the cluster secret; mend it with: chmod o= {exposed}"
    ))
}

fn assemble(config: &Config) -> anyhow::Result<Parts> {
    let caps = Caps {
        pending: config.max_pending,
        active: config.max_active,
        receipts: config.max_receipts,
        spectators_per_pipe: config.max_spectators_per_pipe,
        spectators: config.max_spectators,
    };
    let settings = Settings {
        window: config.window,
        stall: config.stall,
        idle: config.idle_timeout,
        copy: config.copy,
        caps,
    };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Tells this life of the node from earlier ones; nanoseconds fit for five centuries.
    let boot = since_1970.as_nanos() as u64;
    let cluster = match &config.fleet {
        None => {
            Cluster::alone(&config.node_id, boot).context("cannot draw a random placement seed")?
        }
        Some(fleet) => Cluster::start(settings_of(config, fleet)?)
            .context("cannot be a member of a fleet (--data-dir says where it is remembered)")?,
    };
    let edge = Edge::new(settings, cluster.clone(), TransferId::random);
    Ok(Parts {
        gate: Gate::new(config.max_waiting_per_address, edge.descriptors().clone()),
        edge,
        policy: Policy {
            default_wait: config.wait,
            allowed_hosts: config.allowed_hosts.clone(),
            allow_private_network: config.allow_private_network,
            public_metrics: !config.no_public_metrics,
        },
        pages: Pages {
            public_url: config.public_url.clone(),
            trusted: config.trusted_proxies.clone(),
            wait: config.wait,
            process: Process::starts_now(),
            openapi: openapi::document(&openapi::Defaults {
                wait: config.wait,
                stall: config.stall,
            }),
        },
        meter: Meter::install(VERSION, since_1970.as_secs_f64()),
        fleet: Fleet {
            cluster,
            node: config.node_id.clone(),
            region: config.region.clone(),
            data_dir: config.fleet.as_ref().map(|fleet| fleet.data_dir.clone()),
        },
    })
}

fn settings_of(config: &Config, fleet: &config::Fleet) -> anyhow::Result<cluster::Settings> {
    Ok(cluster::Settings {
        name: config.node_id.clone(),
        region: config.region.clone(),
        advertise: fleet.advertise.clone(),
        peers: fleet.peers.clone(),
        expect: fleet.expect,
        secret: cluster::Secret::new(fleet.secret.bytes()).context("the secret is too short")?,
        data_dir: fleet.data_dir.clone(),
    })
}

/// Counts each defect and logs where it is. What it says is not logged: it could quote a client.
fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        meter::panicked();
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        error!(place, "a defect of this program was caught; please report it");
    }));
}

/// Lets the parties of this node hear of the rest of the fleet.
async fn attend(edge: Edge) {
    edge.attend().await;
}

/// Gives memory back to the system after a crowd has left; the allocator alone would keep it.
async fn tidy(edge: Edge) {
    let mut most = 0;
    loop {
        sleep(TIDY_EVERY).await;
        let now = edge.parties();
        most = most.max(now);
        if most >= CROWD && now <= most / 2 {
            // Its only failure is a panic, and there is nothing in it that can.
            let _ = tokio::task::spawn_blocking(kernel::trim_memory).await;
            most = now;
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// True for the polite one.
    async fn first(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }

    /// The exit code that shells give for the signal.
    async fn second(&mut self) -> i32 {
        if self.first().await { 128 + 15 } else { 128 + 2 }
    }
}
