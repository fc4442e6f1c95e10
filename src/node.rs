//! One node: its parts put together, and the one ordered drain.

mod listeners;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hoody_pipe_cluster::Cluster;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

use self::listeners::Listeners;
use crate::config::Config;
use crate::edge::{Edge, Settings};
use crate::front::accept::{self, Parts};
use crate::front::admin;
use crate::front::fleet::Fleet;
use crate::front::gate::Gate;
use crate::front::kernel;
use crate::front::site::Pages;
use crate::http::admission::Policy;
use crate::http::health::Process;
use crate::http::openapi;
use crate::meter::{self, Meter};
use crate::pipe::{Caps, Load, TransferId};

/// After SIGTERM new requests are still taken for this long: load balancers need it to look
/// elsewhere (spec §22, drain).
const LAME_DUCK: Duration = Duration::from_secs(5);

/// After the cut, clients get this long to take their last line: one second of dropping what they
/// upload, and as much again for a busy machine. Spectators, who go last, get as long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a drain looks whether anything is left.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let Listeners { public, admin, tls } = listeners;
    let parts = assemble(&config)?;
    watch_panics();
    info!(version = VERSION, node = config.node_id, workers = config.workers, "starting");
    let server = accept::start(public, config.workers, &parts)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let admin = admin.map(|listener| admin::start(listener, &parts)).transpose()?;
    let admin = admin.map(|server| (server.handle(), tokio::spawn(server)));
    tokio::spawn(tidy(parts.edge.clone()));
    tls.map(|tls| tokio::spawn(tls.watch()));
    info!(listen = places.listen(), admin = places.admin.map(tracing::field::display), "serving");
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
    handle.stop(false).await;
    serving.await.context("the server has crashed")??;
    if let Some((handle, serving)) = admin {
        handle.stop(true).await;
        serving.await.context("the admin server has crashed")??;
    }
    info!("stopped");
    Ok(())
}

/// Reads the certificate, binds every listener once and lets go of it: what `--check` does beyond
/// reading.
pub fn check(config: &Config) -> anyhow::Result<()> {
    Listeners::bind(config).map(drop)
}

fn assemble(config: &Config) -> anyhow::Result<Parts> {
    let caps = Caps {
        pending: config.max_pending,
        active: config.max_active,
        receipts: config.max_receipts,
        spectators_per_pipe: config.max_spectators_per_pipe,
        spectators: config.max_spectators,
    };
    let settings =
        Settings { window: config.window, stall: config.stall, idle: config.idle_timeout, caps };
    let cluster = Cluster::alone(&config.node_id).context("cannot draw a random placement seed")?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Tells this life of the node from earlier ones; nanoseconds fit for five centuries.
    let boot = since_1970.as_nanos() as u64;
    Ok(Parts {
        edge: Edge::new(settings, cluster.clone(), TransferId::random, boot),
        gate: Gate::new(config.max_waiting_per_address),
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
        fleet: Fleet { cluster, node: config.node_id.clone(), region: config.region.clone() },
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

/// The one ordered drain (spec §22): go on accepting for a while (`polite`), then refuse newcomers,
/// let what runs finish up to `limit`, cut the rest with a last line. Spectators do not hold it up, but
/// they see the end of what they watch: they go last, when nothing of it is left.
async fn drain(parts: &Parts, limit: Duration, polite: bool) {
    let start = Instant::now();
    let end = start + limit;
    parts.gate.drain();
    let Load { waiting, active, spectators } = parts.edge.load();
    let limit_s = limit.as_secs();
    info!(waiting, active, spectators, limit_s, "draining, a second signal stops at once");
    if polite && nobody_works(parts, end.min(start + LAME_DUCK)).await {
        parts.gate.close();
    } else {
        parts.gate.close();
        info!("new requests are refused");
        if !nobody_works(parts, end).await {
            warn!(requests = parts.gate.working(), "drain timeout, cutting what is left");
        }
    }
    parts.edge.shut_down();
    none_left(|| unfinished(parts), Instant::now() + LAST_WORDS).await;
    parts.edge.dismiss_spectators();
    none_left(|| parts.gate.busy(), Instant::now() + LAST_WORDS).await;
}

/// What spectators may still see the end of: requests that are being answered, and what waits or runs
/// by the owner's books. Both, since an end is told to the owner first and shown by it a moment later.
fn unfinished(parts: &Parts) -> usize {
    let Load { waiting, active, .. } = parts.edge.load();
    parts.gate.working() + waiting + active
}

/// Waits until no request but those of spectators is being answered; false if `until` comes first.
async fn nobody_works(parts: &Parts, until: Instant) -> bool {
    none_left(|| parts.gate.working(), until).await
}

async fn none_left(count: impl Fn() -> usize, until: Instant) -> bool {
    let wait = async {
        while count() > 0 {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout_at(until, wait).await.is_ok()
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
