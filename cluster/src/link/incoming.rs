//! Links that other nodes have made to this one: here this node is the owner.
//!
//! Of each edge the newest link counts, whichever connection arrives last. Accepts no sockets: who
//! does hands a stream in that has become a link.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard as Turn};

use super::framing::{self, Frames};
use super::outbox::Outbox;
use super::{LinkId, LinkNumber};
use crate::contact::Contacts;
use crate::view::NodeId;

/// A link from an edge. Dropping it closes it.
pub struct Incoming {
    /// Which link this is.
    pub id: LinkId,
    /// Whose.
    pub from: NodeId,
    /// Which of the edge's links.
    pub number: LinkNumber,
    frames: Frames<Box<dyn AsyncRead + Send + Unpin>>,
    outbox: Arc<Outbox>,
    contacts: Contacts,
    turns: Arc<Turns<()>>,
    /// Held from the first frame on.
    turn: Option<Turn<()>>,
}

/// Speaks to the edge of a link. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FrameSender(Arc<Outbox>);

/// The newest link of each edge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incomings(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    newest: HashMap<NodeId, Newest>,
    /// This node takes no links any more.
    over: bool,
}

#[derive(Debug)]
struct Newest {
    number: LinkNumber,
    outbox: Arc<Outbox>,
    /// Only one link of an edge is listened to at a time.
    turns: Arc<Turns<()>>,
}

impl Incoming {
    /// The next frame; `None`: the link is lost, or a newer one has taken its place, and nothing more
    /// is read from it.
    ///
    /// The first frame does not come before an older link of the same edge has been dropped: so what
    /// is to be done about its end is done first. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        let Self { from, frames, outbox, contacts, turns, turn, .. } = self;
        let frame = async {
            if turn.is_none() {
                *turn = Some(turns.clone().lock_owned().await);
            }
            frames.next(|| contacts.reaches(*from)).await
        };
        let frame = tokio::select! {
            biased;
            () = outbox.closed() => None,
            frame = frame => frame,
        };
        if frame.is_none() {
            outbox.close();
        }
        frame
    }

    /// What speaks to the edge.
    pub fn sender(&self) -> FrameSender {
        FrameSender(self.outbox.clone())
    }
}

impl FrameSender {
    /// Sends a frame, without waiting; false if the link is over. It is over when more waits than
    /// [`super::QUEUE_MAX`].
    pub fn send(&self, frame: Bytes) -> bool {
        self.0.send(&frame)
    }
}

impl Incomings {
    /// Makes `stream` the link `number` of the edge `from`, in place of its older ones. If a newer one
    /// is known, this one is over already. Call it within the runtime that serves the stream.
    pub(crate) fn accept<S>(
        &self,
        id: LinkId,
        from: NodeId,
        number: LinkNumber,
        contacts: Contacts,
        stream: S,
    ) -> Incoming
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let outbox = Arc::new(Outbox::new());
        let turns = self.supersede(from, number, &outbox);
        let (read, write) = tokio::io::split(stream);
        let writer = outbox.clone();
        tokio::spawn(async move { framing::write(&writer, write).await });
        let frames = Frames::new(Box::new(read) as _);
        Incoming { id, from, number, frames, outbox, contacts, turns, turn: None }
    }

    fn supersede(&self, from: NodeId, number: LinkNumber, outbox: &Arc<Outbox>) -> Arc<Turns<()>> {
        let mut known = self.lock();
        let newest = known.newest.get(&from);
        let turns = newest.map(|newest| newest.turns.clone()).unwrap_or_default();
        if known.over || newest.is_some_and(|newest| newest.number >= number) {
            outbox.close();
            return turns;
        }
        let newest = Newest { number, outbox: outbox.clone(), turns: turns.clone() };
        if let Some(older) = known.newest.insert(from, newest) {
            older.outbox.close();
        }
        turns
    }

    /// Forgets everybody else, once they are gone.
    pub(crate) fn keep(&self, wanted: impl Fn(NodeId) -> bool) {
        self.lock().newest.retain(|node, newest| !newest.outbox.is_closed() || wanted(*node));
    }

    /// Ends all links, and takes none any more.
    pub(crate) fn close(&self) {
        let mut known = self.lock();
        known.over = true;
        known.newest.values().for_each(|newest| newest.outbox.close());
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, from, number, .. } = self;
        f.debug_struct("Incoming")
            .field("id", id)
            .field("from", from)
            .field("number", number)
            .finish_non_exhaustive()
    }
}
