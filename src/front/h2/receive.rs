//! A receiver over HTTP/2: nothing is answered until the match, then its task takes head and bytes
//! out of its lane.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use ::http::header::{CONTENT_LENGTH, HeaderValue};
use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::answer::Answer;
use super::stream::Exchange;
use super::wire::Book;
use crate::edge::{Opener, Opening, Outfit, ReceiveWish, Received, Receiving, Wants};
use crate::flow::{DuctOut, Framing, Taken, Way, duct, is_hung_up};
use crate::front::handoff::Handoff;
use crate::front::transport::Socket;
use crate::front::{gate, presence, socket};
use crate::http::admission::{Asked, ReceiveRequest};
use crate::http::{Refusal, receive, reply};
use crate::pipe::{PipePath, Role};

/// Most bytes taken out of the lane at once: a frame of the usual size.
const PIECE: usize = 16 << 10;

/// What a lane opens with, on its way from the sender's thread.
type Head = (StatusCode, HeaderMap);

/// The receiver's end of a lane.
struct Outlet {
    head: oneshot::Receiver<Head>,
    body: DuctOut,
}

/// What a receiver's answer is made of, once the sender is known.
#[derive(Clone)]
struct Words {
    path: PipePath,
    asked: Asked,
    waiting: Arc<gate::Waiting>,
}

/// Serves one receiver from admission to the end of its answer.
pub async fn exchange(mut x: Exchange, request: ReceiveRequest) {
    let waiting = match x.shared.ctx.gate.wait(x.client, Role::Receiver) {
        Ok(waiting) => Arc::new(waiting),
        Err(refusal) => return x.refuse(&refusal).await,
    };
    let ReceiveRequest { path, n, wait, stall, sha256, asked } = request;
    let wish = ReceiveWish { path: path.clone(), n, wait, wants: Wants { stall, sha256 } };
    let words = Words { path: path.clone(), asked, waiting };
    let (socket, outlets, matched) = (x.socket(), Handoff::new(), Notify::new());
    let account = x.answer.account().clone();
    let book = account.book().clone();
    let mut carrying = None;
    let mut make = || {
        let made = words.make(&socket, &outlets)?;
        carrying.get_or_insert_with(|| Carrying::begin(&book, &socket));
        matched.notify_one();
        Ok(made)
    };
    let mut receiving = Receiving::new(&x.shared.ctx.edge, wish);
    let end = {
        let outcome = pin!(async move { receiving.outcome(&mut make).await });
        let deliver = pin!(deliver(&mut x.answer, &outlets));
        // Before the match nothing is in flight: the keepalive finds a host that vanishes.
        let vanished = async {
            matched.notified().await;
            presence::vanished(&socket).await;
            // So have all streams of the connection.
            account.doom();
        };
        let end = outlets.ending(outcome, deliver, vanished).await;
        words.waiting.over();
        match end {
            Some(end) => end,
            None => return,
        }
    };
    match end {
        Received::Refused(why) => x.refuse(&Refusal::Rejected(why, path)).await,
        Received::Failed(why) => x.refuse(&Refusal::Failed(why)).await,
        Received::NoLane => x.refuse(&Refusal::NoDescriptors).await,
        // The end is written; or its drop is the cut.
        Received::Whole | Received::Cut => {}
    }
}

/// A connection that carries a receiver's bytes: its socket is as a lane's has to be. Counted, since
/// other streams may carry some too.
struct Carrying {
    book: Rc<Book>,
    socket: Socket,
}

impl Carrying {
    fn begin(book: &Rc<Book>, socket: &Socket) -> Self {
        let before = book.lanes.replace(book.lanes.get() + 1);
        if before == 0 {
            // Only a closed socket can refuse this, which is found by watching it.
            let _ = socket::prepare_lane(socket.stream(), true);
        }
        Self { book: book.clone(), socket: socket.clone() }
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        let left = self.book.lanes.get() - 1;
        self.book.lanes.set(left);
        if left == 0 {
            socket::restore(self.socket.stream());
        }
    }
}

/// Empties the lanes of one receiver, match by match, into its stream. True when one was delivered to
/// its end; false when the client is gone, or when nothing more will come and all of it is written.
async fn deliver(answer: &mut Answer, outlets: &Handoff<Outlet>) -> bool {
    loop {
        let outlet = tokio::select! {
            outlet = outlets.next() => outlet,
            () = answer.gone() => return false,
        };
        let Some(Outlet { head, body }) = outlet else {
            let _ = answer.written().await;
            return false;
        };
        let head = tokio::select! {
            head = head => head,
            () = answer.gone() => return false,
        };
        // A match that was undone says no head.
        let Ok((status, headers)) = head else { continue };
        if answer.open(status, headers, false).is_err() {
            return false;
        }
        match empty(answer, body).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(_) => return false,
        }
    }
}

/// Passes on what comes out of one lane, each piece as it comes; true if it came to its end. The end
/// goes out with the last bytes.
async fn empty(answer: &mut Answer, mut body: DuctOut) -> io::Result<bool> {
    loop {
        let taken = tokio::select! {
            taken = poll_fn(|cx| body.poll_take(cx, PIECE)) => taken,
            () = answer.gone() => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let (mut bytes, end) = match taken {
            Taken::Bytes(bytes) => (bytes, body.is_over()),
            Taken::End => (Bytes::new(), true),
            Taken::Cut => return Ok(false),
        };
        while answer.pass_some(&mut bytes, end).await? {
            body.touch();
        }
        body.touch();
        if end {
            answer.written().await?;
            body.acknowledge();
            return Ok(true);
        }
    }
}

impl Words {
    /// A lane to this task. Its other end cannot ask the kernel whether the client is there, so that
    /// is done now.
    fn make(&self, socket: &Socket, outlets: &Handoff<Outlet>) -> io::Result<Outfit> {
        if is_hung_up(socket.stream().as_fd()) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (inlet, body) = duct::duct();
        let (say, head) = oneshot::channel();
        outlets.leave(Outlet { head, body });
        let words = self.clone();
        let open: Opener = Box::new(move |opening| {
            let (head, bytes) = words.open(opening);
            // If the receiver's task is gone, its lane is too.
            let _ = say.send(head);
            (bytes, Framing::Plain)
        });
        let waiting = self.waiting.clone();
        // At the commit the wait is over, although a form's first part may be long in coming.
        let start = Box::new(move || waiting.over());
        Ok(Outfit { way: Way::duct(inlet), start, open })
    }

    /// The head of the stream, or of a whole error reply and its body.
    fn open(&self, opening: Opening<'_>) -> (Head, Bytes) {
        match opening {
            Opening::Failed(why) => {
                let mut reply = reply::refuse(&Refusal::Failed(why.clone()));
                reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
                ((reply.status, reply.headers), reply.body)
            }
            Opening::Stream { head, id, .. } => {
                let mut headers = receive::opening(head, &self.asked, &self.path, id);
                if let Some(length) = head.length {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                }
                ((StatusCode::OK, headers), Bytes::new())
            }
        }
    }
}
