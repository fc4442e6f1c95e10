//! The edge of this node: all its parties, and the one place where "local or remote" is decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hoody_pipe_cluster::link::{self, EdgeEnd, Incoming, LinkEvent, LinkId};
use hoody_pipe_cluster::{Cluster, NodeId, codec};
use tracing::warn;

use super::Offer;
use super::descriptors::Descriptors;
use super::inbox::{Inbox, Post};
use super::owning::Owning;
use super::parties::Parties;
use super::party::Input;
use super::trunk::{Inwards, Meeting, Reception};
use super::wire::{Down, Rising, Up};
use crate::flow::Pipes;
use crate::pipe::{Answer, Caps, Load, PartyId, PipePath, Seat, TransferId};

/// The link of this node to itself. There is one, and it never breaks.
const OWN: LinkId = LinkId(0);

/// What holds for every transfer of this node.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most bytes the source is ahead of the slowest receiver (`--window`).
    pub window: usize,
    /// How long a receiver may take nothing, unless a party says otherwise (`--stall`).
    pub stall: Option<Duration>,
    /// How long a sender may be silent (`--idle-timeout`).
    pub idle: Option<Duration>,
    /// Bytes are never moved by the kernel (`--copy`).
    pub copy: bool,
    /// The caps at the owner.
    pub caps: Caps,
}

/// The edge of this node. A cheap handle.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    settings: Settings,
    cluster: Cluster,
    owning: Arc<Owning>,
    /// The link to the owner that is this node itself.
    own: EdgeEnd<Up, Answer>,
    parties: Arc<Parties>,
    /// Trunks to senders elsewhere.
    inwards: Arc<Inwards>,
    /// Trunks of receivers elsewhere.
    reception: Reception,
    descriptors: Descriptors,
    seq: AtomicU64,
}

impl Edge {
    /// An edge with no parties. `mint` makes match ids.
    pub fn new(settings: Settings, cluster: Cluster, mint: fn() -> TransferId) -> Self {
        let parties = Arc::new(Parties::new());
        let (own, owner) = link::local(OWN);
        let (inwards, me) = (Arc::new(Inwards::default()), cluster.me().0);
        let (inboxes, trunks) = (parties.clone(), inwards.clone());
        own.listen(move |_, answer| {
            trunks.heed(me, &answer);
            inboxes.answer(me, answer);
        });
        let owning = Owning::new(cluster.clone(), settings.caps, mint, owner);
        Self(Arc::new(Inner {
            settings,
            descriptors: Descriptors::new(cluster.clone()),
            cluster,
            owning,
            own,
            parties,
            inwards,
            reception: Reception::default(),
            seq: AtomicU64::new(1),
        }))
    }

    /// What holds for every transfer.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What this process has open, and what it has room for.
    pub fn descriptors(&self) -> &Descriptors {
        &self.0.descriptors
    }

    /// The pipes through which a transfer may go, unless all are to be copied.
    pub(super) fn pipes(&self) -> Option<Pipes> {
        self.descriptors().pipes().filter(|_| !self.settings().copy).cloned()
    }

    /// Waiting names, active transfers and spectators of the names that this node owns.
    pub fn load(&self) -> Load {
        self.0.owning.registry().load()
    }

    /// Parties connected to this node.
    pub fn parties(&self) -> usize {
        self.0.parties.len()
    }

    /// Hears of newer views and of the links to owners, for as long as this node is one of a fleet.
    /// Everybody here goes by what it says, so it has to run: once, and on a thread that nobody blocks.
    pub async fn attend(&self) {
        let Some(mut events) = self.0.cluster.link_events() else { return };
        let mut views = self.0.cluster.changes();
        // The view it starts with is none of the changes.
        self.turn();
        loop {
            tokio::select! {
                changed = views.changed() => match changed {
                    Ok(()) => self.turn(),
                    Err(_) => return,
                },
                event = events.recv() => match event {
                    Some(event) => self.on_link(event),
                    None => return,
                },
            }
        }
    }

    /// Serves the link of another node until it is lost. Runs on a thread with an actix runtime: the
    /// actors of names that others ask for live there. Dropping it ends the link.
    pub async fn serve_link(&self, incoming: Incoming) {
        self.0.owning.serve(incoming).await;
    }

    /// There is a newer view. Those who wait hear of it before they lose a place by it.
    fn turn(&self) {
        self.0.parties.tell(|_| true, || Post::View);
        self.0.owning.turn();
        let view = self.0.cluster.view();
        view.members().iter().for_each(|member| self.announce(member.id));
    }

    /// Says to another node, if a link to it stands, which view is known here.
    fn announce(&self, node: NodeId) {
        let epoch = self.0.cluster.view().epoch().0;
        if let Ok(frame) = codec::encode(&Rising::Knows { epoch }) {
            self.0.cluster.send(node, frame.into());
        }
    }

    /// Hands on what an owner says.
    pub(super) fn hear(&self, from: u64, down: Down) {
        if let Down::Answer(answer) = &down {
            self.0.inwards.heed(self.0.cluster.me().0, answer);
        }
        self.0.parties.hear(from, down);
    }

    /// Frames go to those they are about, the rest to those who have turned to that owner.
    fn on_link(&self, event: LinkEvent) {
        let Inner { cluster, parties, .. } = &*self.0;
        match event {
            LinkEvent::Frame { node, link, frame } => match codec::decode::<Down>(&frame) {
                Ok(down) => self.hear(node.0, down),
                Err(_) => {
                    let view = cluster.view();
                    let node_name = view.member(node).map(|member| &*member.name);
                    warn!(
                        node = node_name,
                        "a frame of this node makes no sense, its link is closed"
                    );
                    cluster.close_link(link);
                }
            },
            LinkEvent::Up { node, link } => {
                self.announce(node);
                let up = || Post::LinkUp { owner: node.0, link: link.0 };
                parties.tell(|inbox| inbox.heeds(node.0), up);
            }
            LinkEvent::Down { node, link } => {
                let silent = Instant::now() - cluster.silence(node).unwrap_or_default();
                let down = || Post::LinkDown { owner: node.0, link: link.0, silent };
                parties.tell(|inbox| inbox.heeds(node.0), down);
            }
        }
    }

    /// Ends the wait or the transfer of every party of this node: the last step of a drain but one.
    pub fn shut_down(&self) {
        self.stop(|inbox| !inbox.is_of_spectator());
    }

    /// Sends every spectator of this node away, once it has heard what was said to it before.
    pub fn dismiss_spectators(&self) {
        self.stop(Inbox::is_of_spectator);
    }

    fn stop(&self, whom: impl Fn(&Inbox) -> bool) {
        self.0.parties.tell(whom, || Post::Shutdown);
    }

    /// The newest view, as a party or spectator of this name hears of it.
    pub(super) fn view_of(&self, path: &PipePath) -> Input {
        let view = self.0.cluster.view();
        let owner = view.owner(path.as_str().as_bytes()).map(|node| node.0);
        Input::View { epoch: view.epoch().0, owner }
    }

    /// Is this node that owner?
    pub(super) fn is_me(&self, owner: u64) -> bool {
        owner == self.0.cluster.me().0
    }

    /// Says something to an owner: over which link, if one to it stands. Whether it is this node or
    /// another is decided here and nowhere else.
    pub(super) fn say(&self, owner: u64, up: Up) -> Option<u64> {
        if self.is_me(owner) {
            self.0.own.send(up);
            return Some(OWN.0);
        }
        let frame = codec::encode(&Rising::Call(up)).ok()?;
        self.0.cluster.send(NodeId(owner), frame.into()).map(|LinkId(link)| link)
    }

    /// Brings a lane to its sender, over a trunk if that is elsewhere. Dropped, and so undone, if the
    /// sender is gone.
    pub(super) fn offer(&self, sender: PartyId, offer: Offer) {
        if self.is_me(sender.origin) {
            self.0.parties.put(sender, Post::Lane(Box::new(offer)));
        } else {
            self.0.inwards.offer(self, sender, offer);
        }
    }

    /// A sender of this node gathers its lanes: lets the trunks of its receivers elsewhere in. `None`
    /// if all of them are here.
    pub(super) fn meet(&self, transfer: TransferId, receivers: &[Seat]) -> Option<Meeting> {
        let me = self.0.cluster.me().0;
        let elsewhere = receivers.iter().any(|seat| seat.party.origin != me);
        elsewhere.then(|| self.0.reception.gathering(transfer))
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    #[cfg(test)]
    pub(super) fn owning(&self) -> &Owning {
        &self.0.owning
    }

    pub(super) fn inwards(&self) -> &Inwards {
        &self.0.inwards
    }

    pub(super) fn reception(&self) -> &Reception {
        &self.0.reception
    }

    /// A new party of this node.
    pub(super) fn enter(&self) -> (PartyId, Arc<Inbox>) {
        self.admit(Inbox::default())
    }

    /// A new spectator of this node.
    pub(super) fn look_on(&self) -> (PartyId, Arc<Inbox>) {
        self.admit(Inbox::of_spectator())
    }

    fn admit(&self, inbox: Inbox) -> (PartyId, Arc<Inbox>) {
        let inbox = Arc::new(inbox);
        let origin = self.0.cluster.me().0;
        let seq = self.0.seq.fetch_add(1, Ordering::Relaxed);
        self.0.parties.add(seq, inbox.clone());
        (PartyId { origin, boot: self.0.cluster.boot(), seq }, inbox)
    }

    /// A party of this node has gone.
    pub(super) fn exit(&self, party: PartyId) {
        self.0.parties.remove(party.seq);
    }
}
