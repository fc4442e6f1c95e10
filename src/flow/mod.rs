//! The bytes: one source, `n` lanes, in lockstep through one bounded window.
//!
//! Sees descriptors and byte sources, never how they came about. Knows no names, no nodes, and of
//! HTTP only the framing of chunks. The rule at every joint: finishing is an explicit call, and a
//! drop without it is an abort, so that truncation can never look like success.

pub mod bell;
pub mod chunked;
pub mod duct;
pub mod fanout;
pub mod kernel;
pub mod lane;
pub mod source;
mod store;
pub mod window;

pub use bell::Bell;
pub use duct::{DuctIn, DuctOut, Taken, duct};
pub use fanout::{Event, Fanout};
pub use kernel::{Hub, Pipes};
pub use lane::{Framing, Lane, LaneEnd, LaneHold, Loss, Report, Way, crowd, is_hung_up, lane};
pub use source::{Fill, Pour, Source};
pub use store::STRETCH_MIN;
