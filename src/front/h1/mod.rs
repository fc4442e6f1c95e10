//! Our HTTP/1.x exchange for pipes: strict heads, admission before `100 Continue`, bodies straight
//! from socket to sockets, cuts exactly as the specification says.
//!
//! Costs a few kilobytes for a waiting client and sees it leave at once. Knows no pages: what is
//! not pipe traffic is handed back to [`super::accept`].

pub mod answer;
mod body;
pub mod head;
mod receive;
mod send;
mod status;
mod watch;

use std::future::{Future, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;

use ::http::{Method, Version};
use bytes::{Buf, BytesMut};

use super::context::{Context, length_of};
use super::transport::Transport;
use crate::http::admission::{CancelRequest, Decision, StatusRequest, decide};
use crate::http::headers::head_of;
use crate::http::target::TARGET_MAX;
use crate::http::{BodyKind, Refusal, Reply, RequestHead, forwarded, reply, status as snapshot};
pub use answer::linger;
pub use head::decimal;

/// A connection that goes on elsewhere.
pub enum Elsewhere {
    /// Its next request is not pipe traffic.
    Web(Handover),
    /// It turns out to be HTTP/2; what was read of it.
    Http2(Transport, BytesMut),
}

/// A connection whose next request is not pipe traffic.
pub struct Handover {
    /// The socket.
    pub io: Transport,
    /// The request.
    pub head: RequestHead,
    /// Something follows the head: a body, or another request, that nobody reads.
    pub unread: bool,
}

/// Serves the requests of one connection in order, until it ends or turns to something else.
pub async fn serve(io: Transport, peer: IpAddr, ctx: Rc<Context>) -> Option<Elsewhere> {
    let mut read = BytesMut::new();
    let mut first = true;
    loop {
        let parsed = match Box::pin(head::read(&io, &mut read, peer, first, head::CLIENTS)).await {
            Ok(head::Read::Head(parsed)) => *parsed,
            Ok(head::Read::Http2) => return Some(Elsewhere::Http2(io, read)),
            Ok(head::Read::End) => return None,
            Err(refusal) => {
                turn_away(&io, head::version_of(&read), refusal).await;
                return None;
            }
        };
        let decision = decide(&parsed.head, &ctx.policy);
        if matches!(decision, Ok(Decision::Page { .. } | Decision::Endpoint(_))) {
            let body = !matches!(parsed.head.body, BodyKind::Empty | BodyKind::Length(0));
            let unread = body || read.len() > parsed.len;
            return Some(Elsewhere::Web(Handover { io, head: parsed.head, unread }));
        }
        read.advance(parsed.len);
        // What waits holds no more than what was read behind the head.
        read = BytesMut::from(&read[..]);
        let _busy = ctx.gate.serve();
        let after = answer(&io, &ctx, parsed, decision, std::mem::take(&mut read)).await;
        let After::Reuse(rest) = after else { return None };
        (read, first) = (rest, false);
    }
}

/// What becomes of a connection after an exchange.
enum After {
    /// The next request may follow; what was read of it.
    Reuse(BytesMut),
    Close,
}

/// One request while it is served.
struct Exchange<'a> {
    io: &'a Transport,
    ctx: &'a Context,
    version: Version,
    /// The client lets the connection be reused.
    keep_alive: bool,
    head_only: bool,
    body: BodyKind,
    /// The client's address, behind trusted proxies.
    client: IpAddr,
    /// What was read behind the head.
    read: BytesMut,
}

/// A future of its own size: what waits in it does not pay for what might follow.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Answers one request.
fn answer<'a>(
    io: &'a Transport,
    ctx: &'a Context,
    parsed: head::Parsed,
    decision: Result<Decision, Refusal>,
    read: BytesMut,
) -> Boxed<'a, After> {
    let head::Parsed { head, keep_alive, .. } = parsed;
    let client = forwarded::client_address(head.peer, &head.headers, &ctx.trusted);
    let (version, head_only, body) = (head.version, head.method == Method::HEAD, head.body);
    let odd = head.method == Method::CONNECT || head.target.len() > TARGET_MAX;
    let keep_alive = keep_alive && !odd;
    let x = Exchange { io, ctx, version, keep_alive, head_only, body, client, read };
    match decision {
        Ok(Decision::Send(request)) => {
            let declared = length_of(&head).filter(|_| request.multipart_boundary.is_none());
            let length = request.pipe_length.or(declared);
            let declared = head_of(&head.headers, length);
            Box::pin(send::exchange(x, request, declared))
        }
        Ok(Decision::Receive(request)) => Box::pin(receive::exchange(x, request)),
        Ok(Decision::Cancel(request)) => Box::pin(x.cancel(request)),
        Ok(Decision::Status(request)) => Box::pin(x.status(request)),
        Ok(Decision::Watch(request)) => Box::pin(watch::exchange(x, request)),
        Ok(Decision::Reply(reply)) => Box::pin(x.finish(reply)),
        // Pages were handed over before.
        Ok(Decision::Page { .. } | Decision::Endpoint(_)) => Box::pin(ready(After::Close)),
        Err(refusal) => Box::pin(x.finish(reply::refuse(&refusal))),
    }
}

/// Answers a client without (or before) understanding it, and closes.
pub fn turn_away(io: &Transport, version: Version, refusal: Refusal) -> Boxed<'_, ()> {
    Box::pin(async move {
        let reply = reply::refuse(&refusal);
        if answer::write(io, version, &reply, true, false).await.is_ok() {
            answer::linger(io).await;
        }
    })
}

impl<'a> Exchange<'a> {
    /// Does the connection end after an answer that is given without reading the body?
    fn must_close(&self) -> bool {
        !self.keep_alive || !matches!(self.body, BodyKind::Empty | BodyKind::Length(0))
    }

    async fn reply(&self, reply: &Reply, close: bool) -> std::io::Result<()> {
        answer::write(self.io, self.version, reply, close, self.head_only).await
    }

    /// Refuses without reading the body.
    fn refuse(self, refusal: &Refusal) -> Boxed<'a, After> {
        Box::pin(self.finish(reply::refuse(refusal)))
    }

    /// Gives a whole answer without reading the body.
    async fn finish(self, reply: Reply) -> After {
        let close = self.must_close();
        if self.reply(&reply, close).await.is_err() {
            return After::Close;
        }
        if close {
            answer::linger(self.io).await;
            return After::Close;
        }
        After::Reuse(self.read)
    }

    /// Ends whatever is at a name (spec §13).
    async fn cancel(self, request: CancelRequest) -> After {
        match self.ctx.cancel(request).await {
            Ok(reply) => self.finish(reply).await,
            Err(refusal) => self.refuse(&refusal).await,
        }
    }

    /// Tells what is at a name (spec §16).
    async fn status(self, request: StatusRequest) -> After {
        match snapshot::answer(&self.ctx.edge, request).await {
            Ok(reply) => self.finish(reply).await,
            Err(refusal) => self.refuse(&refusal).await,
        }
    }
}
