//! This node as a member of a fleet: everything put together, on a runtime of its own, so that no
//! client ever delays a heartbeat.
//!
//! The parts decide; here they are fed and their answers carried out.

mod answer;
mod belong;
mod lead;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::autopilot::{awaits_votes, outlasts};
use crate::bonds::Bonds;
use crate::chronicle;
use crate::contact::Contacts;
use crate::net::Net;
use crate::raft::{Consensus, Disk, Identity};
use crate::settings::Settings;
use crate::view::{Epoch, Health, Member, NodeId, View};
use crate::{Admitted, Status};

/// Threads for the membership: one may wait for the disk while the other answers.
const THREADS: usize = 2;

/// Draining waits so long for the fleet's agreement, and leaving too. With a round trip of 400 ms (spec
/// §28, row 21) it takes up to 1.6 s.
const AGREEMENT_MAX: Duration = Duration::from_secs(3);

/// Of that, what leaving may take for the good-bye; the rest is for the end.
const LAST_WORD_MAX: Duration = Duration::from_millis(2500);

/// After the wish to drain, a voter without whom the others could not agree stays so long for its vote to
/// be taken: a second before anything is done, an election if it leads, two changes of the voters.
const RELIEF_MAX: Duration = Duration::from_secs(8);

/// Between two looks whether it is still needed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// This node as a member. Dropping it is what a crash looks like to the others.
#[derive(Debug)]
pub(crate) struct Fleet {
    core: Arc<Core>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// What all parts share.
#[derive(Debug)]
struct Core {
    me: NodeId,
    boot: u64,
    settings: Settings,
    bonds: Bonds,
    consensus: Consensus,
    net: Net,
    /// The newest view, as the users of this crate see it.
    views: Arc<watch::Sender<Arc<View>>>,
    /// What this node wants to be.
    aim: watch::Sender<Aim>,
    /// When it began to drain.
    drained: OnceLock<Instant>,
    /// This life of it has been up with all votes where they should be.
    relied_upon: AtomicBool,
}

/// What a node wants to be in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Serve,
    Drain,
    Leave,
}

/// What [`Fleet::start`] gives.
pub(crate) struct Started {
    pub fleet: Fleet,
    pub identity: Identity,
    pub net: Net,
    pub views: Arc<watch::Sender<Arc<View>>>,
}

impl Fleet {
    /// Opens the data directory and begins to look for the fleet.
    ///
    /// # Errors
    /// The settings contradict themselves, the data directory cannot be used, or the system gives no
    /// threads.
    pub(crate) fn start(settings: Settings) -> anyhow::Result<Started> {
        check(&settings)?;
        let (disk, identity) = Disk::open(&settings.data_dir)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("fleet")
            .enable_all()
            .build()
            .context("cannot start the threads of the fleet")?;
        let views = Arc::new(watch::Sender::new(Arc::new(View::unknown())));
        match open(runtime.handle(), settings, disk, identity, &views) {
            Ok(core) => {
                let net = core.net.clone();
                let fleet = Self { core, runtime: Some(runtime) };
                Ok(Started { fleet, identity, net, views })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// What this node is to the others.
    pub(crate) fn status(&self) -> Status {
        let Core { me, consensus, .. } = &*self.core;
        let figures = consensus.figures();
        let member = consensus.roll().view().member(*me).is_some();
        let joining = !member && figures.state != "stopped";
        Status {
            state: if joining { "joining" } else { figures.state },
            leader: figures.leader,
            term: figures.term,
            voters: figures.voters.into_iter().collect(),
            serves: self.core.note_reliance() && !consensus.is_barred(),
        }
    }

    /// Answers a request of another member.
    pub(crate) async fn answer(
        &self,
        admitted: &Admitted,
        target: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        self.core.answer(admitted, target, body).await
    }

    /// See [`crate::Cluster::drain`].
    pub(crate) async fn drain(&self) -> bool {
        let Core { me, aim, views, drained, .. } = &*self.core;
        drained.get_or_init(Instant::now);
        aim.send_if_modified(|aim| {
            let serves = *aim == Aim::Serve;
            if serves {
                *aim = Aim::Drain;
            }
            serves
        });
        let mut views = views.subscribe();
        let agreed = timeout(AGREEMENT_MAX, views.wait_for(|view| gives_up(view, *me))).await;
        if agreed.is_err() {
            tracing::warn!("the fleet has not agreed in time that this node drains");
        }
        agreed.is_ok()
    }

    /// See [`crate::Cluster::leave`].
    pub(crate) async fn leave(&self) {
        let gives_up = gives_up(&self.core.views.borrow(), self.core.me);
        if let (true, Some(since)) = (gives_up, self.core.drained.get())
            && timeout_at(*since + RELIEF_MAX, self.core.relieved()).await.is_err()
        {
            tracing::warn!("this node leaves with a vote, the others may be unable to agree");
        }
        let begun = Instant::now();
        let before = self.core.aim.send_replace(Aim::Leave);
        // A fleet that could not agree to the one will not hear the other.
        let deaf = before == Aim::Drain && !gives_up;
        if !deaf && timeout_at(begun + LAST_WORD_MAX, self.core.say_good_bye()).await.is_err() {
            tracing::warn!("the fleet has not heard this node's good-bye");
        }
        self.core.consensus.abdicate();
        self.core.net.mesh.close();
        if timeout_at(begun + AGREEMENT_MAX, self.core.consensus.stop()).await.is_err() {
            tracing::warn!("the membership's log was not closed in time");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last handle may well be dropped within another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// Does the fleet know that this node gives its keys up?
fn gives_up(view: &View, me: NodeId) -> bool {
    let health = view.member(me).map(|member| member.health);
    matches!(health, Some(Health::Draining | Health::Down))
}

/// Builds all parts within the runtime and sets them going.
fn open(
    runtime: &Handle,
    settings: Settings,
    disk: Disk,
    identity: Identity,
    views: &Arc<watch::Sender<Arc<View>>>,
) -> anyhow::Result<Arc<Core>> {
    let Identity { id: me, boot } = identity;
    let bonds = Bonds::open(me, boot, disk.clone())?;
    let net = {
        let _within = runtime.enter();
        Net::start(me, boot, &settings.secret, views.subscribe())?
    };
    // The caller may be within another runtime, which must not be blocked on: so not `block_on`.
    let (done, result) = sync_channel(1);
    let starting = Consensus::start(me, disk, bonds.clone(), net.peers.clone());
    runtime.spawn(async move { done.send(starting.await) });
    let consensus = result.recv().map_err(|_| anyhow!("the start of Raft was ended"))??;
    let aim = watch::Sender::new(Aim::Serve);
    let (views, drained, relied_upon) = (views.clone(), OnceLock::new(), AtomicBool::new(false));
    let core = Core { me, boot, settings, bonds, consensus, net, views, aim, drained, relied_upon };
    let core = Arc::new(core);
    runtime.spawn(publish(core.clone()));
    runtime.spawn(belong::belong(core.clone()));
    runtime.spawn(lead::lead(core.clone()));
    Ok(core)
}

/// The list is the same on every node and contains it; a minority of it must not found a fleet.
fn check(settings: &Settings) -> anyhow::Result<()> {
    let Settings { peers, expect, advertise, .. } = settings;
    let count = peers.len();
    ensure!(
        peers.contains(advertise),
        "the list of first members does not contain this node's own address {advertise}"
    );
    ensure!(
        peers.iter().collect::<HashSet<_>>().len() == count,
        "the list of first members names an address twice"
    );
    ensure!(
        *expect <= count,
        "{expect} first members are expected and only {count} are in the list"
    );
    ensure!(
        expect * 2 > count,
        "two fleets could form: expect more than half of the {count} first members, not {expect}"
    );
    Ok(())
}

/// Shows each newer view to the users of this crate, beginning with the one on disk, and writes down
/// what has changed.
async fn publish(core: Arc<Core>) {
    let mut rolls = core.consensus.rolls();
    let mut old = rolls.borrow_and_update().clone();
    loop {
        let view = old.view();
        if view.epoch() > Epoch(0) && *view != **core.views.borrow() {
            core.views.send_replace(Arc::new(view.clone()));
        }
        if rolls.changed().await.is_err() {
            return;
        }
        let new = rolls.borrow_and_update().clone();
        chronicle::write(&old, &new);
        old = new;
    }
}

impl Core {
    fn contacts(&self) -> &Contacts {
        &self.net.contacts
    }

    /// Waits until the others can agree without this node, or nobody is left who stays.
    async fn relieved(&self) {
        let needed = || {
            let (roll, voters) = (self.consensus.roll(), self.consensus.figures().voters);
            let stays = roll.view().members().iter().any(|member| member.health == Health::Up);
            stays && voters.contains(&self.me) && !outlasts(&roll, &voters)
        };
        while needed() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Has this life of the node ever been up with all votes where they should be? From then on others
    /// may be restarted, and the loss of a quorum changes nothing for clients.
    fn note_reliance(&self) -> bool {
        if self.relied_upon.load(Ordering::Relaxed) {
            return true;
        }
        let (roll, figures) = (self.consensus.roll(), self.consensus.figures());
        let member = roll.view().member(self.me).filter(|member| member.boot == self.boot);
        let now = member.is_some_and(|member| member.health == Health::Up)
            && !figures.unsettled
            && !awaits_votes(&roll, &figures.voters, self.me);
        self.relied_upon.fetch_or(now, Ordering::Relaxed) || now
    }

    /// This node as it wants to be known.
    fn member(&self) -> Member {
        let Settings { name, region, advertise, .. } = &self.settings;
        Member {
            id: self.me,
            name: name.clone(),
            addr: Some(advertise.clone()),
            region: region.clone(),
            boot: self.boot,
            health: Health::Joining,
        }
    }
}
