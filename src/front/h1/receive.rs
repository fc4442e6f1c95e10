//! A receiver over HTTP/1.x: nothing is answered until the match, then its lane writes head and
//! bytes from the sender's thread.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ::http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use ::http::{HeaderMap, StatusCode, Version};
use bytes::Bytes;
use tokio::sync::Notify;

use super::{After, Exchange, answer};
use crate::edge::{Opener, Opening, ReceiveWish, Received, Receiving, Wants};
use crate::flow::{Framing, Way};
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
    let mut receiving = Receiving::new(&x.ctx.edge, wish);
    // The second descriptor of a matched receiver counts like the first.
    let mut second = None;
    let matched = Notify::new();
    let mut lane = || {
        matched.notify_one();
        let (counted, _) = x.ctx.gate.open();
        second = Some(counted);
        lane(x.io, &answer)
    };
    let end = tokio::select! {
        biased;
        end = receiving.outcome(&mut lane) => end,
        () = presence::gone(x.io) => return After::Close,
        // Before the match nothing is in flight: the keepalive finds a host that vanishes.
        () = async { matched.notified().await; presence::vanished(x.io).await } => {
            socket::reset_on_close(x.io);
            return After::Close;
        }
    };
    drop(receiving);
    if end == Received::Cut {
        // Short of its length or its last chunk, a FIN shows the cut; HTTP/1.0 gets a reset.
        return After::Close;
    }
    socket::restore(x.io);
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

/// The client's descriptor once more, for the sender's thread. Made at the match, not before:
/// a waiting receiver costs one descriptor.
fn lane(io: &tokio::net::TcpStream, answer: &Answer) -> io::Result<(Way, Opener)> {
    socket::prepare_lane(io)?;
    if answer.version == Version::HTTP_10 {
        // Its client may read until the end of the connection. From now on only a reset ends it,
        // even if this process dies, until the answer is known to be whole.
        socket::reset_on_close(io);
    }
    let fd = io.as_fd().try_clone_to_owned()?;
    let answer = answer.clone();
    Ok((Way::socket(fd), Box::new(move |opening| answer.open(opening))))
}

impl Answer {
    /// The head of the stream, or a whole error reply.
    fn open(&self, opening: Opening<'_>) -> (Bytes, Framing) {
        self.waiting.over();
        match opening {
            Opening::Failed(why) => {
                let reply = reply::refuse(&Refusal::Failed(why.clone()));
                let bytes = answer::encode(self.version, &reply, self.close, false);
                (bytes.into(), Framing::Plain)
            }
            Opening::Stream { head, id } => {
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
