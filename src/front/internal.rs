//! The listener for other nodes of the fleet: their words about membership, their links, their trunks.
//!
//! Nothing is read behind a head, and nothing is done, before [`Cluster::admit`] has let the request
//! in. Nothing of this exists on the public listeners, and nothing of theirs exists here. What nodes
//! say to each other is not known here, only where it goes.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use ::http::header::{CONNECTION, UPGRADE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use actix_server::Server;
use actix_service::fn_service;
use bytes::{Buf, Bytes, BytesMut};
use hoody_pipe_cluster::link::{self, LinkNumber};
use hoody_pipe_cluster::{Admitted, Cluster, Denied, PEER_HEADER, PROOF_HEADER, PeerRequest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::h1::{answer, head};
use super::transport::{Socket, Transport};
use crate::edge::{Descriptor, Edge, trunk};
use crate::http::{BodyKind, Reply, RequestHead, reply};
use crate::meter::OwnerLink;
use crate::pipe::{PublicId, TransferId};

/// Connections at once that are neither a link nor a trunk: a few for each member. More wait to be
/// accepted.
const CONNECTIONS_MAX: usize = 4096;

/// Of all descriptors they get this part, since nobody has proved anything when a connection is accepted;
/// but no less than what a few members need.
const CONNECTIONS_SHARE: usize = 8;
const CONNECTIONS_MIN: usize = 64;

/// Heads are a line and a handful of short fields, from nodes that lose no time. Nobody has proved
/// anything yet.
const HEADS: head::Limits = head::Limits { bytes: 8 << 10, wait: Duration::from_secs(2) };

/// Most bytes of a body: a snapshot of the membership, with room to spare.
const BODY_MAX: u64 = 4 << 20;

/// A body arrives within this, also over a slow line.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What is asked about membership is agreed upon within this, or not now.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Serves `listener` on one thread until the returned server is stopped. The actors of names that
/// other nodes attach to live on that thread.
///
/// # Errors
/// The listener cannot be used.
pub fn start(listener: TcpListener, edge: Edge, cluster: Cluster) -> io::Result<Server> {
    let share = edge.descriptors().limit() / CONNECTIONS_SHARE;
    let server = Server::build()
        .workers(1)
        .max_concurrent_connections(share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX))
        .disable_signals()
        .listen("peers", listener, move || {
            let (edge, cluster) = (edge.clone(), cluster.clone());
            fn_service(move |io: TcpStream| {
                // Other nodes are always let in; for trunks there must be room.
                let open = Rc::new(edge.descriptors().open(1).0);
                let house = House { edge: edge.clone(), cluster: cluster.clone(), open };
                Box::pin(async move {
                    house.serve(io).await;
                    Ok::<_, ()>(())
                })
            })
        })?;
    Ok(server.run())
}

/// What a connection is served from.
struct House {
    edge: Edge,
    cluster: Cluster,
    /// Of the connection, whatever becomes of it.
    open: Rc<Descriptor>,
}

/// Where a request goes.
enum Route {
    /// About membership.
    Words,
    /// An edge wants its link of that number.
    Link(LinkNumber),
    /// An edge wants the bytes of that transfer for its receivers.
    Trunk(TransferId),
}

/// What becomes of a connection after an exchange.
enum After {
    /// The next request may follow on it; what was read of it.
    Reuse(Transport, BytesMut),
    Close,
}

/// A request of a node that was let in.
struct Asked {
    io: Transport,
    head: RequestHead,
    admitted: Admitted,
    /// What was read behind the head.
    read: BytesMut,
}

impl House {
    /// Serves the requests of one connection in order, until it ends or becomes something else.
    async fn serve(&self, io: TcpStream) {
        let Ok(peer) = io.peer_addr() else { return };
        let mut io = Transport::plain(Socket::new(io));
        let mut read = BytesMut::new();
        let mut first = true;
        loop {
            let head = match head::read(&io, &mut read, peer.ip(), first, HEADS).await {
                Ok(head::Read::Head(parsed)) => {
                    read.advance(parsed.len);
                    parsed.head
                }
                Ok(head::Read::Http2 | head::Read::End) => return,
                Err(refusal) => {
                    return turn_away(&io, reply::refuse(&refusal).status, None).await;
                }
            };
            let body = !matches!(head.body, BodyKind::Empty | BodyKind::Length(0));
            first = false;
            let (admitted, route) = match self.admit(&head) {
                Ok(admitted) => admitted,
                // Nobody of ours, or with a body that nobody reads.
                Err(Denied { status, proof }) if body || proof.is_none() => {
                    return turn_away(&io, code(status), proof).await;
                }
                Err(Denied { status, proof }) => {
                    match write(&io, code(status), proof, Bytes::new()).await {
                        Ok(()) => continue,
                        Err(_) => return,
                    }
                }
            };
            let after = self.answer(Asked { io, head, admitted, read }, route).await;
            let After::Reuse(same, rest) = after else { return };
            (io, read) = (same, rest);
        }
    }

    /// Lets a request in that somebody may ask here, or says how to refuse it.
    fn admit(&self, head: &RequestHead) -> Result<(Admitted, Route), Denied> {
        let target = std::str::from_utf8(&head.target).unwrap_or_default();
        let header = head.headers.get(PEER_HEADER).and_then(|value| value.to_str().ok());
        let method = head.method.as_str();
        let admitted = self.cluster.admit(&PeerRequest { method, target, header });
        match (admitted, route(&head.method, target)) {
            (Ok(admitted), Some(route)) => Ok((admitted, route)),
            (Ok(admitted), None) => {
                Err(Denied { status: 404, proof: Some(admitted.proof(404, b"")) })
            }
            (Err(Denied { proof: None, .. }), None) => Err(Denied { status: 404, proof: None }),
            (Err(denied), _) => Err(denied),
        }
    }

    /// Answers a request that was let in.
    async fn answer(&self, asked: Asked, route: Route) -> After {
        match route {
            Route::Words => self.words(asked).await,
            Route::Link(number) => self.link(asked, number).await,
            Route::Trunk(transfer) => self.trunk(asked, transfer),
        }
    }

    /// About membership: a body, an answer.
    async fn words(&self, mut asked: Asked) -> After {
        let length = match asked.head.body {
            BodyKind::Empty => 0,
            BodyKind::Length(length) if length <= BODY_MAX => length as usize,
            BodyKind::Length(_) => return asked.refuse(StatusCode::PAYLOAD_TOO_LARGE).await,
            BodyKind::Stream => return asked.refuse(StatusCode::LENGTH_REQUIRED).await,
        };
        if !asked.read_body(length).await {
            return After::Close;
        }
        let body = asked.read.split_to(length);
        if !asked.admitted.covers(&body) {
            turn_away(&asked.io, StatusCode::UNAUTHORIZED, None).await;
            return After::Close;
        }
        let target = std::str::from_utf8(&asked.head.target).unwrap_or_default();
        let answer = self.cluster.answer(&asked.admitted, target, &body);
        let (status, body) = timeout(ANSWER_MAX, answer).await.unwrap_or((503, Vec::new()));
        let proof = asked.admitted.proof(status, &body);
        match write(&asked.io, code(status), Some(proof), body.into()).await {
            Ok(()) => After::Reuse(asked.io, asked.read),
            Err(_) => After::Close,
        }
    }

    /// A link: the connection becomes one.
    async fn link(&self, asked: Asked, number: LinkNumber) -> After {
        if !asked.upgrades_to(link::UPGRADE) {
            return asked.refuse(StatusCode::UPGRADE_REQUIRED).await;
        }
        let Asked { io, admitted, .. } = asked;
        let mut fields = proven(Some(admitted.proof(101, b"")));
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, HeaderValue::from_static(link::UPGRADE));
        let mut head = answer::head(Version::HTTP_11, StatusCode::SWITCHING_PROTOCOLS, &fields);
        answer::end_head(&mut head, false);
        // It fits into an empty socket, or the other side has gone.
        let stream = match io.write_all(&head).await {
            Ok(()) => io.into_stream(),
            Err(_) => None,
        };
        let link = stream.and_then(|stream| self.cluster.accept(&admitted, number, stream));
        if let Some(link) = link {
            let (edge, open) = (self.edge.clone(), self.open.clone());
            // It counts as a link now, no longer as a connection.
            actix_rt::spawn(async move {
                let _counted = (OwnerLink::opened(), open);
                edge.serve_link(link).await;
            });
        }
        After::Close
    }

    /// A trunk: the connection is the sender's from now on.
    fn trunk(&self, asked: Asked, transfer: TransferId) -> After {
        let Asked { io, admitted, read, .. } = asked;
        if let Some(stream) = io.into_stream() {
            let (edge, open) = (self.edge.clone(), self.open.clone());
            // It lives as long as the transfer, and must not keep other nodes out.
            actix_rt::spawn(async move {
                let _open = open;
                trunk::serve(&edge, stream, read, transfer, &admitted).await;
            });
        }
        After::Close
    }
}

impl Asked {
    /// Refuses without reading the body, and closes.
    async fn refuse(self, status: StatusCode) -> After {
        let proof = self.admitted.proof(status.as_u16(), b"");
        turn_away(&self.io, status, Some(proof)).await;
        After::Close
    }

    /// Reads until the body is whole; false if it never is.
    async fn read_body(&mut self, length: usize) -> bool {
        let Self { io, read, .. } = self;
        let whole = async {
            while read.len() < length {
                if !matches!(head::fill(io, read).await, Ok(1..)) {
                    return false;
                }
            }
            true
        };
        timeout(BODY_WAIT, whole).await.unwrap_or(false)
    }

    /// Does it ask for this protocol, and nothing else yet?
    fn upgrades_to(&self, protocol: &str) -> bool {
        let asked = self.head.headers.get(UPGRADE).is_some_and(|value| value == protocol);
        asked && self.head.body == BodyKind::Empty && self.read.is_empty()
    }
}

/// Where a request goes; `None`: nowhere.
fn route(method: &Method, target: &str) -> Option<Route> {
    if *method == Method::GET {
        return LinkNumber::of_target(target).map(Route::Link);
    }
    if *method != Method::POST {
        return None;
    }
    if let Some(transfer) = target.strip_prefix("/trunk/") {
        let PublicId::Uuid(transfer) = PublicId::from(transfer) else { return None };
        return Some(Route::Trunk(transfer));
    }
    (target.starts_with("/raft/") || target.starts_with("/fleet/")).then_some(Route::Words)
}

/// Gives a whole answer.
async fn write(
    io: &Transport,
    status: StatusCode,
    proof: Option<String>,
    body: Bytes,
) -> io::Result<()> {
    let reply = Reply { status, headers: proven(proof), body };
    answer::write(io, Version::HTTP_11, &reply, false, false).await
}

/// Answers with a status alone, and closes. Members get the time to read it; for whom we have no proof
/// nothing more is read.
async fn turn_away(io: &Transport, status: StatusCode, proof: Option<String>) {
    let member = proof.is_some();
    let reply = Reply { status, headers: proven(proof), body: Bytes::new() };
    if answer::write(io, Version::HTTP_11, &reply, true, false).await.is_ok() && member {
        answer::linger(io).await;
    }
}

/// The fields of an answer with that proof.
fn proven(proof: Option<String>) -> HeaderMap {
    let value = proof.and_then(|proof| HeaderValue::from_str(&proof).ok());
    value.map(|value| (HeaderName::from_static(PROOF_HEADER), value)).into_iter().collect()
}

/// A status that this node has thought of itself.
fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests;
