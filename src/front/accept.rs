//! The service on every public listener. Reads the head of each request; pipe traffic over HTTP/1.x
//! runs on [`super::h1`], everything else goes to actix-web on the same connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use ::http::Version;
use actix_http::Protocol;
use actix_server::Server;
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

use super::fleet::Fleet;
use super::gate::Gate;
use super::h1::{self, Context, Handover};
use super::replay::Replay;
use super::socket;
use super::web::{self, Pages};
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
pub fn start(listeners: Vec<TcpListener>, workers: usize, parts: &Parts) -> io::Result<Server> {
    let mut server =
        Server::build().workers(workers).max_concurrent_connections(PER_WORKER).disable_signals();
    for listener in listeners {
        let parts = parts.clone();
        server = server.listen("public", listener, move || worker(parts.clone()))?;
    }
    Ok(server.run())
}

/// The service of one listener on one worker.
fn worker(
    parts: Parts,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()> {
    fn_factory(move || {
        let parts = parts.clone();
        async move {
            let web = Rc::new(web::service(&parts).await?);
            let Parts { edge, gate, policy, pages, .. } = parts;
            let ctx = Rc::new(Context { edge, gate, policy, trusted: pages.trusted });
            Ok(fn_service(move |io: TcpStream| {
                let (ctx, web) = (ctx.clone(), web.clone());
                // Boxed, because the server would keep room for it twice.
                Box::pin(async move {
                    connection(io, ctx, &*web).await;
                    Ok::<_, ()>(())
                })
            }))
        }
    })
}

async fn connection<W>(io: TcpStream, ctx: Rc<Context>, web: &W)
where
    W: Service<(Replay, Protocol, Option<SocketAddr>)>,
{
    let Ok(peer) = io.peer_addr() else { return };
    let (_open, room) = ctx.gate.open();
    if !room {
        meter::rejected(Rejection::NoFds);
        return h1::turn_away(&io, Version::HTTP_11, Refusal::NoDescriptors).await;
    }
    let gate = ctx.gate.clone();
    if let Some(Handover { io, head, unread }) = h1::serve(io, peer.ip(), ctx).await {
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
