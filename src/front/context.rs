//! What every connection of one worker shares, and what is decided the same way over every protocol.

use ::http::StatusCode;
use ipnet::IpNet;

use super::gate::Gate;
use crate::edge::Edge;
use crate::http::admission::{CancelRequest, Policy};
use crate::http::{BodyKind, Refusal, Reply, RequestHead};
use crate::pipe::Failure;

/// What every connection of one worker shares.
pub struct Context {
    /// The parties of this node.
    pub edge: Edge,
    /// What this node still has room for.
    pub gate: Gate,
    /// What admission goes by.
    pub policy: Policy,
    /// Whose forwarded headers count.
    pub trusted: Vec<IpNet>,
}

impl Context {
    /// Ends whatever is at a name (spec §13).
    pub async fn cancel(&self, request: CancelRequest) -> Result<Reply, Refusal> {
        let CancelRequest { path, reason } = request;
        match self.edge.cancel(&path, reason).await {
            Some(true) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            Some(false) => Err(Refusal::NoPipe(path)),
            None => Err(Refusal::Failed(Failure::Unavailable)),
        }
    }
}

/// The length that a request declares. No body at all is a body of no bytes.
pub fn length_of(head: &RequestHead) -> Option<u64> {
    match head.body {
        BodyKind::Empty => Some(0),
        BodyKind::Length(length) => Some(length),
        BodyKind::Stream => None,
    }
}
