//! The listener's side of authentication: who may come in, and what proves our answer.
//!
//! A thin shell around [`crate::auth`]: holds the clock, and what was seen. Knows nothing of what is
//! asked for.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::auth::{self, Moment, Seen, Stamp, Unfresh};
use crate::contact::Contacts;
use crate::settings::Secret;
use crate::view::NodeId;

/// The one target that may be asked of a node whose id is not known yet.
pub(crate) const HELLO: &str = "/fleet/hello";

/// The head of a request on the cluster listener.
#[derive(Debug, Clone, Copy)]
pub struct PeerRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its target, as it stands in the request line.
    pub target: &'a str,
    /// The value of [`auth::PEER_HEADER`].
    pub header: Option<&'a str>,
}

/// A request of a node that knows the secret, made just now, for this node, for the first time.
#[derive(Debug, Clone)]
pub struct Admitted {
    stamp: Stamp,
    door: Arc<Inner>,
}

/// A request that is refused. Nothing of it was taken note of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The status to answer with, and no body.
    pub status: u16,
    /// The value of [`auth::PROOF_HEADER`], if who asks could be one of us.
    pub proof: Option<String>,
}

/// One life of the listener.
#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Inner>);

struct Inner {
    me: NodeId,
    secret: Secret,
    contacts: Contacts,
    /// Names this life of the listener.
    boot: u64,
    since: Instant,
    seen: Mutex<Seen>,
}

impl Door {
    /// Opens for the node `me`; who comes in counts as heard.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub(crate) fn open(me: NodeId, secret: Secret, contacts: Contacts) -> io::Result<Self> {
        let boot = random()?;
        let (since, seen) = (Instant::now(), Mutex::new(Seen::new(boot)));
        Ok(Self(Arc::new(Inner { me, secret, contacts, boot, since, seen })))
    }

    /// Lets a request in, or says how to refuse it.
    ///
    /// # Errors
    /// It is not to be served.
    pub(crate) fn admit(&self, request: &PeerRequest<'_>) -> Result<Admitted, Denied> {
        let PeerRequest { method, target, header } = *request;
        let Inner { me, secret, .. } = &*self.0;
        let stamp = header.and_then(|header| Stamp::check(secret, method, target, header));
        let stamp = stamp.ok_or(Denied { status: 401, proof: None })?;
        let admitted = Admitted { stamp, door: self.0.clone() };
        if stamp.to != *me && !(stamp.to == NodeId(0) && target == HELLO) {
            return Err(admitted.deny(421));
        }
        match self.0.note(&stamp) {
            Ok(()) => {}
            Err(Unfresh::Stale) => return Err(admitted.deny(401)),
            // One of us, but too many of its kind: later, and no word about another secret.
            Err(Unfresh::Full) => return Err(admitted.deny(503)),
            // No second answer to the same question, whoever asks.
            Err(Unfresh::Replayed) => return Err(Denied { status: 401, proof: None }),
        }
        self.0.contacts.heard(stamp.from);
        Ok(admitted)
    }
}

impl Inner {
    fn now(&self) -> Moment {
        let at = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { boot: self.boot, at }
    }

    fn note(&self, stamp: &Stamp) -> Result<(), Unfresh> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.admit(self.now().at, stamp)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Admitted {
    /// Who asks.
    pub fn from(&self) -> NodeId {
        self.stamp.from
    }

    /// Is this the body that the request was signed with? What it says otherwise was said by somebody
    /// else, and must not be read.
    pub fn covers(&self, body: &[u8]) -> bool {
        self.stamp.body == auth::hash(body)
    }

    /// The value of [`auth::PROOF_HEADER`] for an answer of now. `body` is empty where it is a stream
    /// or the connection is upgraded.
    pub fn proof(&self, status: u16, body: &[u8]) -> String {
        auth::prove(&self.door.secret, self.stamp.nonce, status, self.door.now(), body)
    }

    fn deny(&self, status: u16) -> Denied {
        Denied { status, proof: Some(self.proof(status, b"")) }
    }
}

/// A random number.
fn random() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(format!("no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{Signed, Signer, Unproven};

    const A: NodeId = NodeId(0xa);
    const B: NodeId = NodeId(0xb);
    const ADDR: &str = "b:7000";

    fn secret() -> Secret {
        Secret::new("the secret of the fleet").unwrap()
    }

    fn door() -> Door {
        Door::open(B, secret(), Contacts::default()).unwrap()
    }

    fn signer() -> Signer {
        Signer::new(A, secret())
    }

    fn show(door: &Door, target: &str, signed: &Signed) -> Result<Admitted, Denied> {
        let header = Some(signed.header.1.as_str());
        door.admit(&PeerRequest { method: "POST", target, header })
    }

    /// Asks as a caller does, and learns from the answer.
    fn ask(signer: &Signer, door: &Door, to: NodeId, target: &str) -> Result<Admitted, Denied> {
        let signed = signer.sign(to, ADDR, "POST", target, b"body").unwrap();
        let answer = show(door, target, &signed);
        if let Err(Denied { status, proof }) = &answer {
            let learned = signer.verify(&signed, *status, proof.as_deref(), b"");
            assert_eq!(learned == Err(Unproven::Stale), *status == 401 && proof.is_some());
        }
        answer
    }

    fn status(answer: Result<Admitted, Denied>) -> (u16, bool) {
        answer.map_or_else(|denied| (denied.status, denied.proof.is_some()), |_| (200, true))
    }

    #[test]
    fn a_caller_learns_the_clock_and_is_let_in() {
        let (door, signer) = (door(), signer());
        assert_eq!(status(ask(&signer, &door, B, "/raft/vote")), (401, true));
        assert!(door.0.contacts.silence(A).is_none());
        let admitted = ask(&signer, &door, B, "/raft/vote").unwrap();
        assert_eq!(admitted.from(), A);
        assert!(door.0.contacts.silence(A).is_some());
        assert!(admitted.covers(b"body") && !admitted.covers(b"bodies"));
        assert_eq!(status(ask(&signer, &door, B, "/raft/vote")), (200, true));
    }

    #[test]
    fn a_restarted_listener_knows_nothing_of_before() {
        let signer = signer();
        ask(&signer, &door(), B, "/raft/vote").unwrap_err();
        let again = door();
        assert_eq!(status(ask(&signer, &again, B, "/raft/vote")), (401, true));
        assert_eq!(status(ask(&signer, &again, B, "/raft/vote")), (200, true));
    }

    #[test]
    fn the_same_request_is_served_once() {
        let (door, signer) = (door(), signer());
        ask(&signer, &door, B, "/raft/vote").unwrap_err();
        let signed = signer.sign(B, ADDR, "POST", "/raft/vote", b"").unwrap();
        assert_eq!(status(show(&door, "/raft/vote", &signed)), (200, true));
        assert_eq!(status(show(&door, "/raft/vote", &signed)), (401, false));
        let stale = signer.sign(B, "elsewhere", "POST", "/raft/vote", b"").unwrap();
        assert_eq!(status(show(&door, "/raft/vote", &stale)), (401, true));
        assert_eq!(status(show(&door, "/raft/vote", &stale)), (401, true));
    }

    #[test]
    fn who_does_not_know_the_secret_learns_nothing_and_is_not_heard() {
        let (door, theirs) = (door(), Signer::new(A, Secret::new([1; 16]).unwrap()));
        assert_eq!(status(ask(&theirs, &door, B, "/raft/vote")), (401, false));
        let nothing = PeerRequest { method: "POST", target: "/raft/vote", header: None };
        assert_eq!(status(door.admit(&nothing)), (401, false));
        let signed = signer().sign(B, ADDR, "POST", "/raft/vote", b"").unwrap();
        assert_eq!(status(show(&door, "/raft/append", &signed)), (401, false));
        assert!(door.0.contacts.silence(A).is_none());
        assert!(!format!("{door:?} {theirs:?}").contains("secret"));
    }

    #[test]
    fn a_request_for_another_node_is_misdirected_but_anybody_may_say_hello() {
        let (door, signer) = (door(), signer());
        ask(&signer, &door, B, "/raft/vote").unwrap_err();
        assert_eq!(status(ask(&signer, &door, NodeId(0xc), "/raft/vote")), (421, true));
        assert_eq!(status(ask(&signer, &door, NodeId(0), "/raft/vote")), (421, true));
        assert_eq!(status(ask(&signer, &door, NodeId(0), HELLO)), (200, true));
    }
}
