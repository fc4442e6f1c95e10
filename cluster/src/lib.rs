//! Who is here and who owns a key.
//!
//! A [`View`] is the membership that everybody agreed on; placement turns it and a key into the one
//! member that owns the key; a [`link`] carries ordered frames from the node a client is at to the
//! node that owns its key. A node without peers is a fleet of one: the same view, the same
//! placement, the same link, only that it leads back to itself.
//!
//! This crate has never heard of pipes or of HTTP clients: a key is bytes, a frame is the user's
//! type.

mod auth;
mod autopilot;
mod bonds;
mod bootstrap;
mod chronicle;
mod client;
pub mod codec;
mod contact;
mod detector;
mod door;
mod fleet;
pub mod link;
mod names;
mod net;
mod peers;
mod placement;
mod raft;
mod roll;
mod settings;
mod view;
mod words;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet::{Fleet, Started};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

pub use auth::{PEER_HEADER, PROOF_HEADER};
pub use door::{Admitted, Denied, PeerRequest};
use link::{Incoming, LinkEvent, LinkId, LinkNumber};
use net::Net;
pub use peers::{Signed, Unproven};
pub use placement::{Placement, Seed};
pub use settings::{SECRET_MIN, Secret, Settings};
pub use view::{Epoch, Health, Member, NodeId, View};

/// The handle of this node on its fleet. Cheap to clone; all clones see the same view.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The id of this node, a member of the view.
    me: NodeId,
    /// Which life of this node this is.
    boot: u64,
    /// The newest view. Nothing changes it in a fleet of one.
    views: Arc<watch::Sender<Arc<View>>>,
    /// The way to the others; none in a fleet of one.
    net: Option<Net>,
    /// This node's part in the agreement; none in a fleet of one.
    fleet: Option<Arc<Fleet>>,
}

/// What this node is to the others, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `leader`, `follower`, `candidate`, `learner`; `joining`: not a member yet; `stopped`: it has left,
    /// or its disk has failed, and the membership it shows may be old.
    pub state: &'static str,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// The election that made the leader; 0: none was held.
    pub term: u64,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// May clients come, as far as votes and links are concerned (spec §19, "not joined")? Not before this
    /// life of the node has the vote that it should have, and nobody votes any more in whose place
    /// another node has come; later, with or without a quorum, as long as the others reach it.
    pub serves: bool,
}

impl Cluster {
    /// A fleet of one node with that name. `boot` tells this life of it from earlier ones.
    ///
    /// The name decides the node's id; the seed of placement is fresh, so that keys hash
    /// differently after every start.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn alone(name: &str, boot: u64) -> io::Result<Self> {
        let me = NodeId::of_name(name);
        let view = View::alone(me, name, boot, Seed::random()?);
        let views = Arc::new(watch::Sender::new(Arc::new(view)));
        Ok(Self { me, boot, views, net: None, fleet: None })
    }

    /// A member of a fleet, from now on looking for it; founds it with the others of the list if there
    /// is none. Returns at once; the view is that of the last life of this node, or
    /// [`View::unknown`], until the fleet has let it in.
    ///
    /// `settings.advertise` must lead to a listener that is bound already and is served soon: a member
    /// whose address refuses connections is taken for dead. Dropping the last clone is what a crash looks like to the others: see [`Self::leave`].
    ///
    /// # Errors
    /// The settings contradict themselves, the data directory cannot be used (it may be in use), or
    /// the system gives no threads.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let Started { fleet, identity, net, views } = Fleet::start(settings)?;
        let (net, fleet) = (Some(net), Some(Arc::new(fleet)));
        Ok(Self { me: identity.id, boot: identity.boot, views, net, fleet })
    }

    /// A member of a fleet whose views come from whoever holds the other end of `views`, and not from an
    /// agreement of its own: a seam for the tests of what lies above, and of no use otherwise. Call it
    /// within the runtime that its links shall live on.
    ///
    /// # Errors
    /// The HTTP client cannot be made, or the kernel gives no random bytes.
    #[doc(hidden)]
    pub fn told(
        me: NodeId,
        boot: u64,
        secret: &Secret,
        views: Arc<watch::Sender<Arc<View>>>,
    ) -> anyhow::Result<Self> {
        let net = Net::start(me, boot, secret, views.subscribe())?;
        Ok(Self { me, boot, views, net: Some(net), fleet: None })
    }

    /// The id of this node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Which life of this node this is: greater than that of any earlier one.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Is this a fleet of one, without a listener for others?
    pub fn is_alone(&self) -> bool {
        self.net.is_none()
    }

    /// The newest view this node knows.
    pub fn view(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Tells of each newer view.
    pub fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }

    /// The member that owns a key in the newest view; `None` while nobody is known that
    /// is up or at least drains. Asks nobody and never waits.
    pub fn owner(&self, key: &[u8]) -> Option<NodeId> {
        self.views.borrow().owner(key)
    }

    /// What this node is to the others.
    pub fn status(&self) -> Status {
        if let Some(fleet) = &self.fleet {
            return fleet.status();
        }
        Status {
            state: "leader",
            leader: Some(self.me),
            term: 0,
            voters: vec![self.me],
            serves: true,
        }
    }

    /// Sends a frame to an owner over the link that stands, and says which one that is. `None` if none
    /// does, or if it takes nothing more (it is closed then). Never waits.
    pub fn send(&self, to: NodeId, frame: Bytes) -> Option<LinkId> {
        self.net.as_ref()?.mesh.send(to, &frame)
    }

    /// The link to this owner, if it stands.
    pub fn link_to(&self, node: NodeId) -> Option<LinkId> {
        self.net.as_ref()?.mesh.link_to(node)
    }

    /// What this edge hears from its links. Given out once; `None` in a fleet of one.
    pub fn link_events(&self) -> Option<mpsc::Receiver<LinkEvent>> {
        self.net.as_ref()?.mesh.events()
    }

    /// Ends a link to an owner that says what makes no sense; it is made again after a pause. What
    /// is no link of this edge is let be.
    pub fn close_link(&self, link: LinkId) {
        if let Some(net) = &self.net {
            net.mesh.close_link(link);
        }
    }

    /// How long ago this node was last heard, on any link or in any request; `None`: never, or it is
    /// this node.
    pub fn silence(&self, node: NodeId) -> Option<Duration> {
        self.net.as_ref()?.contacts.silence(node)
    }

    /// Lets a request in that arrived on the cluster listener, or says how to refuse it. Whoever asks
    /// is nobody before this.
    ///
    /// # Errors
    /// It is not to be served.
    pub fn admit(&self, request: &PeerRequest<'_>) -> Result<Admitted, Denied> {
        let net = self.net.as_ref().ok_or(Denied { status: 401, proof: None })?;
        net.door.admit(request)
    }

    /// Makes a connection of the cluster listener the link `number` of the node that asked for it. It
    /// is over at once if a newer one is known. Call it within the runtime that serves the stream.
    /// `None` in a fleet of one.
    pub fn accept<S>(&self, admitted: &Admitted, number: LinkNumber, stream: S) -> Option<Incoming>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Some(self.net.as_ref()?.mesh.accept(admitted.from(), number, stream))
    }

    /// Signs a request of this node to another one, for a body that is a stream or none. `None` if
    /// there is no such member, or it has no address.
    pub fn sign(&self, to: NodeId, method: &str, target: &str) -> Option<Signed> {
        let view = self.view();
        let addr = view.member(to)?.addr.as_ref()?;
        self.net.as_ref()?.peers.signer().sign(to, addr, method, target, b"").ok()
    }

    /// A connection for that request, within 2 s, whose receive buffer has twice `receive` bytes and does
    /// not grow. It belongs to the runtime of the caller. Cancel-safe.
    ///
    /// # Errors
    /// Nobody takes it.
    pub async fn connect(&self, signed: &Signed, receive: u32) -> io::Result<TcpStream> {
        client::connect(&signed.addr, receive).await
    }

    /// Believes the head of an answer to that request, or not.
    ///
    /// # Errors
    /// It counts for nothing.
    pub fn verify(
        &self,
        signed: &Signed,
        status: u16,
        proof: Option<&str>,
    ) -> Result<(), Unproven> {
        let net = self.net.as_ref().ok_or(Unproven::Forged)?;
        let proven = net.peers.signer().verify(signed, status, proof, b"");
        // After a long silence a trunk may stand before any link does.
        if proven != Err(Unproven::Forged) {
            net.contacts.heard(signed.to);
        }
        proven
    }

    /// Answers a request about membership (`/raft/...`, `/fleet/...`) that was let in: status and body.
    /// The status is 404 if there is no such request. May take a few seconds, and be dropped.
    pub async fn answer(&self, admitted: &Admitted, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match &self.fleet {
            Some(fleet) => fleet.answer(admitted, target, body).await,
            None => (404, Vec::new()),
        }
    }

    /// Gives up all keys: they move to the others. Returns when the fleet has agreed, or after 3 s if
    /// it cannot (false); this node goes on asking then. Dropping this future does not take it back.
    pub async fn drain(&self) -> bool {
        match &self.fleet {
            Some(fleet) => fleet.drain().await,
            None => true,
        }
    }

    /// Says good-bye to the fleet, unless it has not even agreed to [`Self::drain`], closes all links and
    /// takes no part any more. If the others could not agree without this node's vote, waits before until
    /// it has none, to 8 s after the drain began. The last thing before the process ends; takes 3 s at most
    /// beside that wait. Not to be dropped before it is done.
    pub async fn leave(&self) {
        if let Some(fleet) = &self.fleet {
            fleet.leave().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_alone_owns_every_key() {
        let cluster = Cluster::alone("node-a", 1).unwrap();
        for key in ["", "a", "run-42/tokens", "caf%C3%A9"] {
            assert_eq!(cluster.owner(key.as_bytes()), Some(cluster.me()));
        }
        let view = cluster.view();
        let ids: Vec<_> = view.members().iter().map(|m| (m.id, m.boot, m.health)).collect();
        assert_eq!(ids, [(cluster.me(), cluster.boot(), Health::Up)], "it is ready from the first");
    }

    #[test]
    fn the_name_decides_the_id_and_nothing_else() {
        let (a, again) =
            (Cluster::alone("node-a", 1).unwrap(), Cluster::alone("node-a", 2).unwrap());
        assert_eq!(a.me(), again.me());
        assert_ne!(a.view(), again.view(), "two starts must not share a seed");
        assert_ne!(a.me(), Cluster::alone("node-b", 1).unwrap().me());
    }

    #[test]
    fn clones_see_the_same_view() {
        let cluster = Cluster::alone("node-a", 1).unwrap();
        assert!(Arc::ptr_eq(&cluster.view(), &cluster.clone().view()));
    }
}
