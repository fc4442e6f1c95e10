//! The numbers that operators see (spec §19): the name, the labels and the help of every series,
//! each said once, here. Who counts something calls a function of this room.
//!
//! Imports nothing of ours. No label holds a name of a pipe or an address; all values of all labels
//! are known in advance, so every series is there from the start, with 0.

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const BUILD_INFO: &str = "hoody_pipe_build_info";
const START_TIME: &str = "hoody_pipe_start_time_seconds";
const PIPES: &str = "hoody_pipe_pipes_active";
const WAITING: &str = "hoody_pipe_waiting_connections";
const SPECTATORS: &str = "hoody_pipe_spectators_active";
const TRANSFERS: &str = "hoody_pipe_transfers_total";
const TRANSFERRED: &str = "hoody_pipe_transferred_bytes_total";
const DELIVERED: &str = "hoody_pipe_delivered_bytes_total";
const HASHED: &str = "hoody_pipe_hashed_bytes_total";
const DROPPED: &str = "hoody_pipe_receivers_dropped_total";
const REJECTIONS: &str = "hoody_pipe_rejections_total";
const BUFFERED: &str = "hoody_pipe_buffered_bytes";
const RING: &str = "hoody_pipe_ring_nodes";
const OWNER_CHANGES: &str = "hoody_pipe_owner_changes_total";
const LINKS: &str = "hoody_pipe_links_active";
const PANICS: &str = "hoody_pipe_panics_total";

/// How a transfer ended that had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its sender ended cleanly and at least one receiver got everything.
    Completed,
    /// Everything else.
    Failed,
}

/// Why a running transfer went on without one of its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It took nothing for too long.
    Stall,
    /// Its client left.
    Disconnect,
}

/// Why a request was turned away, or its wait or transfer ended by a limit of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Too many names wait.
    PendingCap,
    /// Too many transfers run.
    ActiveCap,
    /// Too many requests of one client address wait.
    AddressCap,
    /// Too many spectators.
    SpectatorCap,
    /// Its own wait passed.
    WaitTimeout,
    /// Its sender was silent for too long.
    IdleTimeout,
    /// Descriptors are nearly used up.
    NoFds,
    /// The node is stopping.
    Draining,
    /// The owner of the name cannot be reached.
    Unavailable,
}

impl Ending {
    const ALL: [Self; 2] = [Self::Completed, Self::Failed];

    fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl Loss {
    const ALL: [Self; 2] = [Self::Stall, Self::Disconnect];

    fn label(self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::Disconnect => "disconnect",
        }
    }
}

impl Rejection {
    const ALL: [Self; 9] = [
        Self::PendingCap,
        Self::ActiveCap,
        Self::AddressCap,
        Self::SpectatorCap,
        Self::WaitTimeout,
        Self::IdleTimeout,
        Self::NoFds,
        Self::Draining,
        Self::Unavailable,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::PendingCap => "pending_cap",
            Self::ActiveCap => "active_cap",
            Self::AddressCap => "address_cap",
            Self::SpectatorCap => "spectator_cap",
            Self::WaitTimeout => "wait_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::NoFds => "no_fds",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Bytes of bodies, since they were last counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Taken from senders, each byte once.
    pub taken: u64,
    /// Written to receivers, each byte once for each of them.
    pub delivered: u64,
    /// Run through SHA-256.
    pub hashed: u64,
}

/// A transfer that had begun has ended; said once for each.
pub fn transfer_ended(how: Ending) {
    counter!(TRANSFERS, "result" => how.label()).increment(1);
}

/// Bytes went through. A running transfer says so a few times a second, not for each piece.
pub fn moved(bytes: Moved) {
    counter!(TRANSFERRED).increment(bytes.taken);
    counter!(DELIVERED).increment(bytes.delivered);
    counter!(HASHED).increment(bytes.hashed);
}

/// A running transfer has one receiver less.
pub fn receiver_dropped(why: Loss) {
    counter!(DROPPED, "reason" => why.label()).increment(1);
}

/// One request was turned away, or ended by a limit.
pub fn rejected(why: Rejection) {
    counter!(REJECTIONS, "reason" => why.label()).increment(1);
}

/// A defect of ours was caught.
pub fn panicked() {
    counter!(PANICS).increment(1);
}

/// The membership has changed, and with it the owner of some names.
pub fn owners_changed() {
    counter!(OWNER_CHANGES).increment(1);
}

/// A link from another node, on which this node is the owner. Counts until it is dropped.
pub struct OwnerLink(());

impl OwnerLink {
    /// One more.
    pub fn opened() -> Self {
        gauge!(LINKS, "role" => "owner").increment(1.0);
        Self(())
    }
}

impl Drop for OwnerLink {
    fn drop(&mut self) {
        gauge!(LINKS, "role" => "owner").decrement(1.0);
    }
}

/// What is looked at when the numbers are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Names that wait, of this owner.
    pub pipes_waiting: usize,
    /// Transfers that run, of this owner.
    pub pipes_streaming: usize,
    /// Senders of this edge that wait.
    pub waiting_senders: usize,
    /// Receivers of this edge that wait.
    pub waiting_receivers: usize,
    /// Spectators of the names of this owner.
    pub spectators: usize,
    /// Memory of all windows.
    pub buffered_bytes: usize,
    /// Members that own names.
    pub ring_nodes: usize,
    /// Links to the owners of names.
    pub links_as_edge: usize,
}

/// All numbers of this process. A cheap handle.
#[derive(Clone)]
pub struct Meter(PrometheusHandle);

impl Meter {
    /// Starts to count; `version` and `start` (seconds since 1970) are told with the numbers. Of
    /// several meters in one process only the first counts.
    pub fn install(version: &'static str, start: f64) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let meter = Self(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            begin(version, start);
        });
        // Fails only when there is one already, as in a process with several nodes for a test.
        let _ = metrics::set_global_recorder(recorder);
        meter
    }

    /// The text for Prometheus, exposition format 0.0.4.
    pub fn render(&self, now: &Reading) -> String {
        let set = |name: &'static str, label: (&'static str, &'static str), value: usize| {
            gauge!(name, vec![Label::from(&label)]).set(value as f64);
        };
        set(PIPES, ("state", "waiting"), now.pipes_waiting);
        set(PIPES, ("state", "streaming"), now.pipes_streaming);
        set(WAITING, ("role", "sender"), now.waiting_senders);
        set(WAITING, ("role", "receiver"), now.waiting_receivers);
        gauge!(SPECTATORS).set(now.spectators as f64);
        gauge!(BUFFERED).set(now.buffered_bytes as f64);
        gauge!(RING).set(now.ring_nodes as f64);
        set(LINKS, ("role", "edge"), now.links_as_edge);
        self.0.render()
    }
}

fn describe() {
    describe_gauge!(BUILD_INFO, "Always 1; the version is the label.");
    describe_gauge!(START_TIME, "When this process began, in seconds since 1970.");
    describe_gauge!(PIPES, "Names that this node owns, by what happens at them.");
    describe_gauge!(WAITING, "Requests of this node that wait for their peers.");
    describe_gauge!(SPECTATORS, "Spectators of the names that this node owns.");
    describe_counter!(TRANSFERS, "Transfers that had begun and have ended.");
    describe_counter!(TRANSFERRED, "Body bytes taken from senders.");
    describe_counter!(
        DELIVERED,
        "Body bytes written to receivers, counted for each of them; without the piece that a lost one took in part."
    );
    describe_counter!(HASHED, "Body bytes run through SHA-256.");
    describe_counter!(DROPPED, "Receivers that running transfers have lost.");
    describe_counter!(REJECTIONS, "Requests turned away or ended by a limit of this node.");
    describe_gauge!(BUFFERED, "Memory of the windows of running transfers.");
    describe_gauge!(RING, "Nodes that own names.");
    describe_counter!(OWNER_CHANGES, "Changes of the membership that moved names.");
    describe_gauge!(LINKS, "Open links to other nodes, by what this node is on them.");
    describe_counter!(PANICS, "Defects that were caught.");
}

/// Every series with its first value, so that rates can be taken from the first event on.
fn begin(version: &'static str, start: f64) {
    gauge!(BUILD_INFO, "version" => version).set(1.0);
    gauge!(START_TIME).set(start);
    Ending::ALL.iter().for_each(|how| counter!(TRANSFERS, "result" => how.label()).absolute(0));
    Loss::ALL.iter().for_each(|why| counter!(DROPPED, "reason" => why.label()).absolute(0));
    Rejection::ALL.iter().for_each(|why| counter!(REJECTIONS, "reason" => why.label()).absolute(0));
    for plain in [TRANSFERRED, DELIVERED, HASHED, OWNER_CHANGES, PANICS] {
        counter!(plain).absolute(0);
    }
    for role in ["edge", "owner"] {
        gauge!(LINKS, "role" => role).set(0.0);
    }
}

/// What is counted while `action` runs on this thread, as the text for Prometheus. For tests.
#[cfg(test)]
pub fn counted(action: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, action);
    recorder.handle().render()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of a text, sorted; without those that are 0, if `all` is not wanted.
    fn samples(text: &str, all: bool) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut lines: Vec<_> = lines.filter(|line| all || !line.ends_with(" 0")).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn each_event_counts_in_its_own_series() {
        let text = counted(|| {
            Ending::ALL.into_iter().for_each(transfer_ended);
            transfer_ended(Ending::Failed);
            Loss::ALL.into_iter().for_each(receiver_dropped);
            Rejection::ALL.into_iter().for_each(rejected);
            moved(Moved { taken: 5, delivered: 15, hashed: 0 });
            moved(Moved { taken: 1, delivered: 2, hashed: 1 });
            panicked();
            owners_changed();
            let _links = [OwnerLink::opened(), OwnerLink::opened()];
            drop(OwnerLink::opened());
            panicked();
        });
        let want = [
            "hoody_pipe_delivered_bytes_total 17",
            "hoody_pipe_hashed_bytes_total 1",
            "hoody_pipe_links_active{role=\"owner\"} 0",
            "hoody_pipe_owner_changes_total 1",
            "hoody_pipe_panics_total 2",
            "hoody_pipe_receivers_dropped_total{reason=\"disconnect\"} 1",
            "hoody_pipe_receivers_dropped_total{reason=\"stall\"} 1",
            "hoody_pipe_rejections_total{reason=\"active_cap\"} 1",
            "hoody_pipe_rejections_total{reason=\"address_cap\"} 1",
            "hoody_pipe_rejections_total{reason=\"draining\"} 1",
            "hoody_pipe_rejections_total{reason=\"idle_timeout\"} 1",
            "hoody_pipe_rejections_total{reason=\"no_fds\"} 1",
            "hoody_pipe_rejections_total{reason=\"pending_cap\"} 1",
            "hoody_pipe_rejections_total{reason=\"spectator_cap\"} 1",
            "hoody_pipe_rejections_total{reason=\"unavailable\"} 1",
            "hoody_pipe_rejections_total{reason=\"wait_timeout\"} 1",
            "hoody_pipe_transferred_bytes_total 6",
            "hoody_pipe_transfers_total{result=\"completed\"} 1",
            "hoody_pipe_transfers_total{result=\"failed\"} 2",
        ];
        assert_eq!(samples(&text, true), want);
    }

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = counted(|| {
            describe();
            begin("1.2.3", 5.5);
        });
        let set =
            ["hoody_pipe_build_info{version=\"1.2.3\"} 1", "hoody_pipe_start_time_seconds 5.5"];
        assert_eq!(samples(&text, false), set);
        assert_eq!(samples(&text, true).len(), 2 + 2 + 2 + 9 + 5 + 2, "the rest is set when asked");
    }
}
