//! What nodes say to each other about membership, beside Raft: targets and bodies of requests.
//!
//! No behaviour.

use serde::{Deserialize, Serialize};

use crate::bootstrap::Pledge;
use crate::roll::FleetId;
use crate::view::{Health, Member};

/// Who are you? Answered by a [`crate::bootstrap::Card`].
pub(crate) use crate::door::HELLO;

/// Promise yourself to me: a [`Proposal`], answered by yes or no.
pub(crate) const PLEDGE: &str = "/fleet/pledge";

/// To the leader: let me in, a [`Join`], answered by a [`Reply`].
pub(crate) const JOIN: &str = "/fleet/join";

/// To the leader: how I am from now on, a [`Wish`], answered by a [`Reply`].
pub(crate) const HEALTH: &str = "/fleet/health";

/// A founder's wish.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub pledge: Pledge,
    /// The list that the founder was started with.
    pub list: Vec<String>,
}

/// A node that comes, or comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Join {
    pub fleet: FleetId,
    pub member: Member,
}

/// What a member says of its own life: it drains, or it goes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub fleet: FleetId,
    pub boot: u64,
    pub health: Health,
    /// Its last word.
    pub last: bool,
}

/// What the leader says to a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is agreed.
    Done,
    /// Ask again soon: no leader, or no agreement in time.
    Later,
    /// Not as things are, in words for the operator.
    Refused(String),
}
