//! A receiver over HTTP/1.x: nothing is answered until the match, then its lane writes head and
//! bytes, from the sender's thread or, through TLS, from here.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;

use ::http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use ::http::{HeaderMap, StatusCode, Version};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{After, Exchange, answer};
use crate::edge::{Opener, Opening, Outfit, ReceiveWish, Received, Receiving, Starter, Wants};
use crate::flow::{DuctOut, Framing, Taken, Way, duct, is_hung_up};
use crate::front::handoff::{CUT_MAX, Handoff};
use crate::front::transport::{Socket, Transport};
use crate::front::{gate, presence, socket};
use crate::http::admission::{Asked, ReceiveRequest};
use crate::http::{Refusal, receive, reply};
use crate::pipe::{PipePath, Role};

/// What a receiver's answer is made of, once the sender is known.
#[derive(Clone)]
struct Answer {
    version: Version,
    close: bool,
    path: PipePath,
    asked: Asked,
    waiting: Arc<gate::Waiting>,
}

/// Serves one receiver from admission to the end of its answer.
pub async fn exchange(x: Exchange<'_>, request: ReceiveRequest) -> After {
    let waiting = match x.ctx.gate.wait(x.client, Role::Receiver) {
        Ok(waiting) => Arc::new(waiting),
        Err(refusal) => return x.refuse(&refusal).await,
    };
    let ReceiveRequest { path, n, wait, stall, sha256, asked } = request;
    let wants = Wants { stall, sha256 };
    let wish = ReceiveWish { path: path.clone(), n, wait, wants };
    let name = path.clone();
    let answer = Answer { version: x.version, close: x.must_close(), path, asked, waiting };
    let socket = x.io.socket();
    // The second descriptor of a matched receiver counts like the first.
    let mut second = None;
    let (matched, outlets) = (Notify::new(), Handoff::new());
    let mut make = || {
        matched.notify_one();
        let way = match x.io.is_secure() {
            true => answer.duct(socket, &outlets)?,
            false => {
                second = Some(x.ctx.gate.open().0);
                answer.descriptor(socket)?
            }
        };
        Ok(Outfit { way, start: answer.start(), open: answer.opener() })
    };
    let mut receiving = Receiving::new(&x.ctx.edge, wish);
    let end = {
        let outcome = pin!(async move { receiving.outcome(&mut make).await });
        let deliver = pin!(deliver(x.io, &outlets));
        let gone = async {
            tokio::select! {
                () = x.io.gone() => {}
                // Before the match nothing is in flight: the keepalive finds a host that vanishes.
                () = async { matched.notified().await; presence::vanished(socket).await } => {
                    socket::reset_on_close(socket.stream());
                }
            }
        };
        outlets.ending(outcome, deliver, gone).await
    };
    answer.waiting.over();
    let end = match end {
        None => return After::Close,
        Some(Received::Cut) => return x.cut().await,
        Some(end) => end,
    };
    socket::restore(socket.stream());
    match end {
        Received::Refused(why) => x.refuse(&Refusal::Rejected(why, name)).await,
        Received::Failed(why) => x.refuse(&Refusal::Failed(why)).await,
        Received::NoLane => x.refuse(&Refusal::NoDescriptors).await,
        Received::Whole if !answer.close => After::Reuse(x.read),
        Received::Whole => {
            answer::linger(x.io).await;
            After::Close
        }
        Received::Cut => After::Close,
    }
}

/// Empties the ducts of one receiver, match by match, into its connection. True when one was
/// delivered to its end; false when nothing more will come, or the client takes nothing any more.
async fn deliver(io: &Transport, outlets: &Handoff<DuctOut>) -> bool {
    while let Some(outlet) = outlets.next().await {
        match empty(io, outlet).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Writes what comes out of one duct, each piece as it comes; true if it came to its end.
async fn empty(io: &Transport, mut outlet: DuctOut) -> io::Result<bool> {
    loop {
        match poll_fn(|cx| outlet.poll_take(cx, duct::CAPACITY)).await {
            Taken::Bytes(bytes) => io.write_all(&bytes).await?,
            Taken::End => {
                outlet.acknowledge();
                return Ok(true);
            }
            Taken::Cut => return Ok(false),
        }
    }
}

impl Exchange<'_> {
    /// Shows the client that there is no more: short of its length or its last chunk, the end of the
    /// connection is the cut (over TLS with close_notify, without which some clients report a fault
    /// of TLS instead). HTTP/1.0 gets a reset, since its client may read until the end.
    async fn cut(self) -> After {
        if self.io.is_secure() && self.version != Version::HTTP_10 {
            let _ = timeout(CUT_MAX, self.io.half_close()).await;
        }
        After::Close
    }
}

impl Answer {
    /// The client's descriptor once more, for the sender's thread. Made at the match, not before:
    /// a waiting receiver costs one descriptor.
    fn descriptor(&self, socket: &Socket) -> io::Result<Way> {
        self.prepare(socket, false)?;
        Ok(Way::socket(socket.stream().as_fd().try_clone_to_owned()?))
    }

    /// A duct to this task, for what has to be encrypted here. Its other end cannot ask the kernel
    /// whether the client is there, so that is done now.
    fn duct(&self, socket: &Socket, outlets: &Handoff<DuctOut>) -> io::Result<Way> {
        if is_hung_up(socket.stream().as_fd()) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.prepare(socket, true)?;
        let (inlet, outlet) = duct::duct();
        outlets.leave(outlet);
        Ok(Way::duct(inlet))
    }

    fn prepare(&self, socket: &Socket, framed: bool) -> io::Result<()> {
        socket::prepare_lane(socket.stream(), framed)?;
        if self.version == Version::HTTP_10 {
            // Its client may read until the end of the connection. From now on only a reset ends
            // it, even if this process dies, until the answer is known to be whole.
            socket::reset_on_close(socket.stream());
        }
        Ok(())
    }

    /// What the sender's side says at the commit: the wait is over, although a form's first part may
    /// be long in coming.
    fn start(&self) -> Starter {
        let waiting = self.waiting.clone();
        Box::new(move || waiting.over())
    }

    fn opener(&self) -> Opener {
        let answer = self.clone();
        Box::new(move |opening| answer.open(opening))
    }

    /// The head of the stream, or a whole error reply.
    fn open(&self, opening: Opening<'_>) -> (Bytes, Framing) {
        match opening {
            Opening::Failed(why) => {
                let reply = reply::refuse(&Refusal::Failed(why.clone()));
                let bytes = answer::encode(self.version, &reply, self.close, false);
                (bytes.into(), Framing::Plain)
            }
            Opening::Stream { head, id, .. } => {
                let mut headers = receive::opening(head, &self.asked, &self.path, id);
                let framing = self.frame(&mut headers, head.length);
                let mut bytes = answer::head(self.version, StatusCode::OK, &headers);
                answer::end_head(&mut bytes, self.close);
                (bytes.into(), framing)
            }
        }
    }

    fn frame(&self, headers: &mut HeaderMap, length: Option<u64>) -> Framing {
        match length {
            Some(length) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                Framing::Plain
            }
            None if self.version == Version::HTTP_10 => Framing::Plain,
            None => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                Framing::Chunked
            }
        }
    }
}
