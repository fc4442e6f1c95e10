//! The links of this node as an edge: one to every other member of the newest view, made again for as
//! long as it is a member.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Upgraded;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::framing::{self, Frames};
use super::outbox::Outbox;
use super::{Incoming, Incomings, LinkEvent, LinkId, LinkNumber, UPGRADE};
use crate::contact::Contacts;
use crate::peers::{CallError, Peers};
use crate::view::{NodeId, View};

/// The pause before a lost link is made again: at once for people, not for processors.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The pause doubles up to this: a member that comes back is found within a second.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A node that does not agree to a link within this is tried again.
const DIAL_MAX: Duration = Duration::from_secs(3);

/// Events that wait for the edge. When there are more, nothing is read from the links.
const EVENTS_MAX: usize = 1024;

/// All links of this node. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Mesh(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    me: NodeId,
    boot: u64,
    peers: Peers,
    contacts: Contacts,
    /// The last number of a link of this edge.
    seq: AtomicU64,
    /// The last id of a link, of either kind. 0 is the link of the node to itself.
    ids: AtomicU64,
    standing: Mutex<HashMap<NodeId, (LinkId, Arc<Outbox>)>>,
    incomings: Incomings,
    events: mpsc::Sender<LinkEvent>,
    listener: Mutex<Option<mpsc::Receiver<LinkEvent>>>,
    over: Notify,
}

impl Mesh {
    /// Begins to make links to whoever is in the newest of `views`. Call it within the runtime that
    /// they shall live on. `boot`: which life of this node.
    pub(crate) fn start(
        me: NodeId,
        boot: u64,
        peers: Peers,
        contacts: Contacts,
        views: watch::Receiver<Arc<View>>,
    ) -> Self {
        let (events, listener) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            me,
            boot,
            peers,
            contacts,
            seq: AtomicU64::new(0),
            ids: AtomicU64::new(0),
            standing: Mutex::default(),
            incomings: Incomings::default(),
            events,
            listener: Mutex::new(Some(listener)),
            over: Notify::new(),
        });
        tokio::spawn(supervise(shared.clone(), views));
        Self(shared)
    }

    /// See [`crate::Cluster::send`].
    pub(crate) fn send(&self, to: NodeId, frame: &[u8]) -> Option<LinkId> {
        let (id, outbox) = self.0.standing().get(&to).cloned()?;
        outbox.send(frame).then_some(id)
    }

    /// The link to this owner, if it stands.
    pub(crate) fn link_to(&self, node: NodeId) -> Option<LinkId> {
        self.0.standing().get(&node).map(|(id, _)| *id)
    }

    /// See [`crate::Cluster::close_link`].
    pub(crate) fn close_link(&self, link: LinkId) {
        let standing = self.0.standing();
        standing.values().filter(|(id, _)| *id == link).for_each(|(_, outbox)| outbox.close());
    }

    /// What happens on the links of this edge. Given out once.
    pub(crate) fn events(&self) -> Option<mpsc::Receiver<LinkEvent>> {
        self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes `stream` the link `number` of the edge `from`.
    pub(crate) fn accept<S>(&self, from: NodeId, number: LinkNumber, stream: S) -> Incoming
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Shared { incomings, contacts, .. } = &*self.0;
        incomings.accept(self.0.next_id(), from, number, contacts.clone(), stream)
    }

    /// Ends all links, and makes none any more.
    pub(crate) fn close(&self) {
        self.0.over.notify_one();
    }
}

/// Keeps one task for each other member, until the mesh is closed.
async fn supervise(shared: Arc<Shared>, mut views: watch::Receiver<Arc<View>>) {
    // Dropping a sender ends the task and its link.
    let mut links: HashMap<NodeId, watch::Sender<String>> = HashMap::new();
    loop {
        let view = views.borrow_and_update().clone();
        let wanted = others(&view, shared.me);
        links.retain(|node, _| wanted.contains_key(node));
        for (node, addr) in wanted {
            match links.entry(node) {
                Entry::Occupied(link) => {
                    link.get().send_if_modified(|known| {
                        let moved = *known != addr;
                        *known = addr;
                        moved
                    });
                }
                Entry::Vacant(vacant) => {
                    let (sender, receiver) = watch::channel(addr);
                    vacant.insert(sender);
                    tokio::spawn(keep(shared.clone(), node, receiver));
                }
            }
        }
        shared.contacts.keep(|node| view.member(node).is_some());
        shared.incomings.keep(|node| view.member(node).is_some());
        tokio::select! {
            changed = views.changed() => if changed.is_err() { break },
            () = shared.over.notified() => break,
        }
    }
    shared.incomings.close();
}

/// Whom to link to, and where they are.
fn others(view: &View, me: NodeId) -> HashMap<NodeId, String> {
    let others = view.members().iter().filter(|member| member.id != me);
    others.filter_map(|member| Some((member.id, member.addr.clone()?))).collect()
}

/// Keeps a link to one node, until it is no member any more.
async fn keep(shared: Arc<Shared>, node: NodeId, mut addr: watch::Receiver<String>) {
    let mut pause = FIRST_PAUSE;
    let mut warned = false;
    loop {
        let at = addr.borrow_and_update().clone();
        let began = Instant::now();
        tokio::select! {
            dialled = shared.dial(node, &at) => match dialled {
                Ok(stream) => {
                    warned = false;
                    shared.serve(node, stream, &mut addr).await;
                }
                Err(CallError::Refused) => shared.contacts.refuses(node),
                Err(CallError::Unreachable) => {}
                Err(error @ CallError::Forged) => {
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(addr = at, "no link to a member: {error}");
                    }
                }
            },
            _ = addr.changed() => {}
        }
        // Longer than any attempt: a link has stood for a while.
        if began.elapsed() > DIAL_MAX + LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = sleep(pause) => {}
            changed = addr.changed() => if changed.is_err() { return },
        }
        pause = LAST_PAUSE.min(pause * 2);
    }
}

impl Shared {
    async fn dial(&self, node: NodeId, addr: &str) -> Result<Upgraded, CallError> {
        let seq = 1 + self.seq.fetch_add(1, Ordering::Relaxed);
        let target = LinkNumber { boot: self.boot, seq }.target();
        self.peers.upgrade(node, addr, &target, UPGRADE, DIAL_MAX).await
    }

    /// Serves one link until it is lost, or the node is no member there any more.
    async fn serve(&self, node: NodeId, stream: Upgraded, addr: &mut watch::Receiver<String>) {
        let (link, outbox) = (self.next_id(), Arc::new(Outbox::new()));
        self.contacts.answers(node);
        self.contacts.set_linked(node, true);
        self.standing().insert(node, (link, outbox.clone()));
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            () = self.hear(node, link, Frames::new(read)) => {}
            () = framing::write(&outbox, write) => {}
            _ = addr.changed() => {}
        }
        outbox.close();
        self.lose(node, link);
        self.tell(LinkEvent::Down { node, link }).await;
    }

    /// Tells the edge of the link and of all its frames.
    async fn hear(&self, node: NodeId, link: LinkId, mut frames: Frames<impl AsyncRead + Unpin>) {
        self.tell(LinkEvent::Up { node, link }).await;
        while let Some(frame) = frames.next(|| self.contacts.answers(node)).await {
            self.tell(LinkEvent::Frame { node, link, frame }).await;
        }
    }

    fn lose(&self, node: NodeId, link: LinkId) {
        let mut standing = self.standing();
        // A task that ends late must not take down the link of the next one.
        if standing.get(&node).is_some_and(|(newest, _)| *newest == link) {
            standing.remove(&node);
            self.contacts.set_linked(node, false);
        }
    }

    async fn tell(&self, event: LinkEvent) {
        // Without an edge there is nobody who could miss it.
        let _ = self.events.send(event).await;
    }

    fn next_id(&self) -> LinkId {
        LinkId(1 + self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn standing(&self) -> MutexGuard<'_, HashMap<NodeId, (LinkId, Arc<Outbox>)>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
