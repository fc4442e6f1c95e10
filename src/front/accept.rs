//! The service on every public listener. Reads the head of each request; pipe traffic over HTTP/1.x
//! runs on [`super::h1`], everything else goes to actix-web on the same connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use ::http::Version;
use actix_http::Protocol;
use actix_server::Server;
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use bytes::BytesMut;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

use super::context::Context;
use super::fleet::Fleet;
use super::gate::Gate;
use super::h1::{self, Elsewhere, Handover};
use super::h2::serve as serve_http2;
use super::replay::Replay;
use super::site::{Pages, Site};
use super::socket;
use super::tls::{self, Tls};
use super::transport::{Socket as Client, Transport};
use super::web;
use crate::edge::Edge;
use crate::http::Refusal;
use crate::http::admission::Policy;
use crate::meter::{self, Meter, Rejection};

/// Connections that the kernel holds before they are accepted. With a small backlog, a burst of
/// newcomers waits a second each for a repeated SYN. The kernel caps it at `somaxconn`.
const BACKLOG: i32 = 4096;

/// Connections of one worker. The descriptors of the process are the real limit.
const PER_WORKER: usize = 1 << 20;

/// What every listener and worker is made from.
#[derive(Clone)]
pub struct Parts {
    /// The parties of this node.
    pub edge: Edge,
    /// What this node still has room for.
    pub gate: Gate,
    /// What admission goes by.
    pub policy: Policy,
    /// What pages are made from; also whose forwarded headers count.
    pub pages: Pages,
    /// What is counted.
    pub meter: Meter,
    /// Who else is there.
    pub fleet: Fleet,
}

/// A listener that is bound, and what is spoken on it.
pub struct Public {
    /// The socket.
    pub listener: TcpListener,
    /// TLS, if it is spoken here.
    pub tls: Option<Tls>,
}

/// Binds a listener for [`start`].
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket::prepare(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves `listeners` on `workers` threads until the returned server is stopped.
pub fn start(listeners: Vec<Public>, workers: usize, parts: &Parts) -> io::Result<Server> {
    let mut server =
        Server::build().workers(workers).max_concurrent_connections(PER_WORKER).disable_signals();
    for Public { listener, tls } in listeners {
        let parts = parts.clone();
        server = server.listen("public", listener, move || worker(parts.clone(), tls.clone()))?;
    }
    Ok(server.run())
}

/// The service of one listener on one worker.
fn worker(
    parts: Parts,
    tls: Option<Tls>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()> {
    fn_factory(move || {
        let (parts, tls) = (parts.clone(), tls.clone());
        async move {
            let web = Rc::new(web::service(&parts, tls.is_some()).await?);
            let site = Rc::new(Site { parts: parts.clone() });
            let Parts { edge, gate, policy, pages, .. } = parts;
            let ctx = Rc::new(Context { edge, gate, policy, trusted: pages.trusted });
            Ok(fn_service(move |io: TcpStream| {
                let (ctx, site) = (ctx.clone(), site.clone());
                let (web, tls) = (web.clone(), tls.clone());
                // Boxed, because the server would keep room for it twice.
                Box::pin(async move {
                    connection(io, tls, ctx, site, &*web).await;
                    Ok::<_, ()>(())
                })
            }))
        }
    })
}

async fn connection<W>(io: TcpStream, tls: Option<Tls>, ctx: Rc<Context>, site: Rc<Site>, web: &W)
where
    W: Service<(Replay, Protocol, Option<SocketAddr>)>,
{
    let Ok(peer) = io.peer_addr() else { return };
    let (open, room) = ctx.gate.open();
    let socket = Client::new(io);
    let io = match tls {
        None => Transport::plain(socket),
        // Without a handshake there is nobody to answer.
        Some(tls) => match Box::pin(tls.accept(socket)).await {
            Some(tls) if tls::is_http2(&tls) => {
                let io = Transport::secure(tls);
                let serve = serve_http2(io, BytesMut::new(), peer.ip(), (open, room), ctx, site);
                return Box::pin(serve).await;
            }
            Some(tls) => Transport::secure(tls),
            None => return,
        },
    };
    if !room {
        meter::rejected(Rejection::NoFds);
        return h1::turn_away(&io, Version::HTTP_11, Refusal::NoDescriptors).await;
    }
    let gate = ctx.gate.clone();
    let elsewhere = h1::serve(io, peer.ip(), ctx.clone()).await;
    if let Some(Elsewhere::Http2(io, before)) = elsewhere {
        Box::pin(serve_http2(io, before, peer.ip(), (open, room), ctx, site)).await;
    } else if let Some(Elsewhere::Web(Handover { io, head, unread })) = elsewhere {
        let _busy = gate.serve();
        let io = Rc::new(io);
        let request = (Replay::new(io.clone(), &head), Protocol::Http1, Some(peer));
        // How it ended is the client's business: actix-web has answered, or the client has left.
        let _ = Box::pin(web.call(request)).await;
        if unread {
            h1::linger(&io).await;
        }
    }
}
