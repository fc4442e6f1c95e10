//! The meeting: who waits at a name, and who is matched with whom.
//!
//! Knows nothing of HTTP, sockets, nodes or epochs. [`rendezvous`] decides and is pure; `actor` and
//! [`registry`] are the thin shells around it.

mod actor;
mod admit;
pub mod call;
mod collecting;
mod course;
pub mod head;
pub mod ids;
pub mod load;
mod matching;
pub mod notice;
pub mod path;
mod place;
pub mod progress;
mod receipts;
pub mod registry;
pub mod reject;
pub mod rendezvous;
mod upheaval;
mod view;
mod watchers;

pub use call::{Answer, Attach, Call};
pub use head::{Disposition, Head, Kind};
pub use ids::{PartyId, PublicId, ReplyTo, Role, Seat, TransferId};
pub use load::{Caps, Load};
pub use notice::{Failure, MultipartFault, Notice, Sum};
pub use path::PipePath;
pub use progress::{Outcome, Snapshot, State};
pub use registry::Registry;
pub use reject::Reject;
pub use watchers::TOGETHER_MAX;

/// The largest number of receivers a pipe can have (spec §20).
pub const RECEIVERS_MAX: u16 = 256;
