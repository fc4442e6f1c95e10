//! The sender's side of one trunk: lets it in, makes the lane that stands for the receivers behind it,
//! and listens to what is said of them. The bytes go out on the sender's thread, like those of any
//! lane.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hoody_pipe_cluster::{Admitted, NodeId, PROOF_HEADER};
use rustix::net::Shutdown;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frames::{self, DIAL_MAX, Dial, Opened, SAID_MAX, Said};
use super::{FAREWELL_MAX, LEFT_MAX, UPGRADE, line, silent};
use crate::edge::desk::Verdict;
use crate::edge::{Claim, Edge, Offer, Opener, Opening, Starter, Wants};
use crate::flow::chunked::{CHUNK_HEAD_MAX, LAST_CHUNK, chunk_head};
use crate::flow::{self, Framing, LaneEnd, LaneHold, Way};
use crate::pipe::TransferId;

/// Its first frame comes with the request.
const DIAL_WAIT: Duration = Duration::from_secs(2);

/// Descriptors beside the connection itself: for the lane, and for its start.
const DUPLICATES: usize = 2;

/// Serves one trunk from its request to its end. The head of the request was read from `stream` and is
/// authentic; `unread` is what came with it. Dropping it cuts the trunk.
pub async fn serve(
    edge: &Edge,
    stream: TcpStream,
    unread: BytesMut,
    transfer: TransferId,
    admitted: &Admitted,
) {
    let mut far = Far { stream, unread };
    if line::prepare(&far.stream).is_err() {
        return;
    }
    let dial = timeout(DIAL_WAIT, far.next::<Dial>(DIAL_MAX)).await;
    let Ok(Ok(dial)) = dial else { return };
    let node = admitted.from();
    if !is_honest(edge, &dial, node) {
        return;
    }
    // A full node says so at once; there would be no end of meeting again.
    let Some(_open) = edge.descriptors().open_trunk(DUPLICATES) else {
        return far.refuse(true, admitted).await;
    };
    let mut verdict = edge.reception().ask(transfer).await;
    if verdict == Verdict::HandOver {
        let answered = Arc::new(AtomicBool::new(false));
        if let Ok(hold) = hand_over(edge, &far.stream, transfer, dial, admitted, &answered) {
            let end = attend(edge, node, &mut far, hold).await;
            if end == Some(LaneEnd::Whole) {
                line::reset_on_close(&far.stream, false);
                return far.close(FAREWELL_MAX).await;
            }
            if end != Some(LaneEnd::Undone) || answered.load(Ordering::Acquire) {
                return far.close(LEFT_MAX).await;
            }
        }
        verdict = edge.reception().verdict(transfer);
    }
    far.refuse(verdict == Verdict::Late, admitted).await;
}

/// A node dials for its own receivers, and a sender of ours.
fn is_honest(edge: &Edge, dial: &Dial, node: NodeId) -> bool {
    let own = |seat: &crate::pipe::Seat| NodeId(seat.party.origin) == node;
    NodeId(dial.sender.origin) == edge.cluster().me() && dial.seats.iter().all(own)
}

/// Brings the lane of this trunk to its sender.
fn hand_over(
    edge: &Edge,
    stream: &TcpStream,
    transfer: TransferId,
    dial: Dial,
    admitted: &Admitted,
    answered: &Arc<AtomicBool>,
) -> io::Result<LaneHold> {
    let Dial { sender, seats, attempt, sha256 } = dial;
    let receivers = u16::try_from(seats.len()).map_err(io::Error::other)?;
    let way = Way::socket(stream.as_fd().try_clone_to_owned()?);
    let starter = starter(stream.as_fd().try_clone_to_owned()?, admitted, answered);
    let (lane, hold) = flow::crowd(way, receivers);
    let claim = Claim { transfer, seats: seats.into(), attempt };
    let wants = Wants { stall: None, sha256 };
    let offer = Offer { claim, lane, wants, start: Some(starter), open: opener() };
    edge.offer(sender, offer);
    Ok(hold)
}

/// Says at the commit, on the sender's thread, that the transfer is on.
fn starter(socket: OwnedFd, admitted: &Admitted, answered: &Arc<AtomicBool>) -> Starter {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\
         {PROOF_HEADER}: {}\r\n\r\n",
        admitted.proof(101, b"")
    );
    let answered = answered.clone();
    Box::new(move || {
        answered.store(true, Ordering::Release);
        line::reset_on_close(&socket, true);
        // It is the first that is written to this socket, so there is room for it, or no peer.
        if rustix::io::write(&socket, head.as_bytes()) != Ok(head.len()) {
            let _ = rustix::net::shutdown(&socket, Shutdown::Both);
        }
    })
}

/// The first chunk: what the trunk carries.
fn opener() -> Opener {
    Box::new(|opening| {
        let opened = match opening {
            Opening::Stream { head, id, stall } => {
                Opened::Stream { head: head.clone(), id: id.to_owned(), stall }
            }
            Opening::Failed(why) => Opened::Failed(why.clone()),
        };
        // Without its opening a trunk is cut, and that is what an empty one is.
        let frame = frames::encode(&opened).unwrap_or_default();
        let end = if let Opened::Failed(_) = opened { LAST_CHUNK } else { b"" };
        let mut line = [0; CHUNK_HEAD_MAX];
        let chunk = [chunk_head(&mut line, frame.len().max(1)), &frame, b"\r\n", end].concat();
        (Bytes::from(chunk), Framing::Chunked)
    })
}

/// Passes on what is said of the receivers until the lane ends; `None` if the trunk ended first.
async fn attend(edge: &Edge, node: NodeId, far: &mut Far, mut hold: LaneHold) -> Option<LaneEnd> {
    let silent = silent(edge.cluster(), node);
    tokio::pin!(silent);
    loop {
        tokio::select! {
            biased;
            end = poll_fn(|cx| hold.poll_ended(cx)) => return Some(end),
            said = far.next::<Said>(SAID_MAX) => match said {
                Ok(said) if hold.report(said.into()) => {}
                _ => return None,
            },
            () = &mut silent => return None,
        }
    }
}

/// The connection of a trunk.
struct Far {
    stream: TcpStream,
    unread: BytesMut,
}

impl Far {
    /// The next frame. Cancel-safe.
    async fn next<T: DeserializeOwned>(&mut self, max: usize) -> io::Result<T> {
        loop {
            let frame = frames::take(&mut self.unread, max).map_err(io::Error::other)?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Nothing will come of this trunk.
    async fn refuse(mut self, late: bool, admitted: &Admitted) {
        let (status, reason) = if late { (410, "Gone") } else { (409, "Conflict") };
        let answer = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n\
             {PROOF_HEADER}: {}\r\n\r\n",
            admitted.proof(status, b"")
        );
        let _ = timeout(FAREWELL_MAX, self.stream.write_all(answer.as_bytes())).await;
        self.close(FAREWELL_MAX).await;
    }

    /// Ends the connection so that all that was written arrives, within `limit`: closed with unread data it
    /// would be reset.
    async fn close(mut self, limit: Duration) {
        let _ = timeout(limit, async {
            self.stream.shutdown().await?;
            while self.stream.read_buf(&mut self.unread).await? > 0 {
                self.unread.clear();
            }
            io::Result::Ok(())
        })
        .await;
    }
}
