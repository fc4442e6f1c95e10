//! The meeting: who waits at a name, and who is matched with whom.
//!
//! Knows nothing of HTTP, sockets, nodes or epochs. [`rendezvous`] decides and is pure; `actor` and
//! `registry` are the thin shells around it.

pub mod head;
pub mod notice;
pub mod path;
pub mod reject;

pub use head::{Disposition, Head, Kind};
pub use notice::{Failure, MultipartFault, Notice, Sum};
pub use path::PipePath;
pub use reject::Reject;

/// The largest number of receivers a pipe can have (spec §20).
pub const RECEIVERS_MAX: u16 = 256;
