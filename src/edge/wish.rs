//! What a front asks of the edge for its clients, and what it is told. Plain data, and the one trait
//! that a body has to be.

use std::task::{Context, Poll};
use std::time::Duration;

use super::Wants;
use crate::flow::Source;
use crate::pipe::{Failure, Head, Notice, PipePath, PublicId, Reject};

/// A sender's body: bytes, and the declaration that goes before them.
pub trait Body: Source<Error = Failure> {
    /// The declaration, as soon as it is known (multipart: after the part's head). Called after the
    /// commit until it is ready once.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>>;
}

/// What a sender asks for.
#[derive(Debug, Clone)]
pub struct SendWish {
    /// The name.
    pub path: PipePath,
    /// The number of receivers, 1 to 256.
    pub n: u16,
    /// How long it waits, from now.
    pub wait: Duration,
    /// The stall limit of all its receivers, if it gave one.
    pub stall: Option<Duration>,
    /// Hash the bytes.
    pub sha256: bool,
    /// The length of its body, if it declared one. Never for multipart.
    pub length: Option<u64>,
    /// The transfer id it chose.
    pub label: Option<PublicId>,
    /// How the client is connected: a word for the log, such as `HTTP/1.1`.
    pub protocol: &'static str,
}

/// What the front of a sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendEvent {
    /// It has its place. Comes once, before any notice.
    Admitted,
    /// It has none: answer and forget it.
    Refused(Reject),
    /// Say this to the client.
    Notice(Notice),
    /// Call [`super::Sending::confirm`] once the client is known to be there: its host has acknowledged all
    /// it was told, or, if it has just arrived (`fresh`), its connection stands.
    Confirm {
        /// It came last: its request itself is the proof that it lives.
        fresh: bool,
    },
    /// Nothing more will come.
    Over,
}

/// What a receiver asks for.
#[derive(Debug, Clone)]
pub struct ReceiveWish {
    /// The name.
    pub path: PipePath,
    /// The number of receivers it states, 1 to 256.
    pub n: u16,
    /// How long it waits, from now.
    pub wait: Duration,
    /// What the sender's side has to know.
    pub wants: Wants,
}

/// How a receiver's request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// No place: answer and forget it.
    Refused(Reject),
    /// The wait ended before anything was written.
    Failed(Failure),
    /// It was matched, but its lane could not be made: nothing was written.
    NoLane,
    /// The lane wrote a whole answer.
    Whole,
    /// The lane wrote something and was cut.
    Cut,
}
