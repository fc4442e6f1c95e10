//! Where: the parties of this node, and the way to the owner of each name.
//!
//! An edge holds clients and owns the truth about them; it attaches them to the owner of their name
//! and, once they are matched, brings sender and lanes together. Whether an owner is this node or
//! another is decided in [`attach`] and nowhere else. Knows no HTTP and accepts no sockets.

mod asking;
pub mod attach;
mod attached;
pub mod backoff;
mod course;
mod descriptors;
pub mod desk;
pub mod dialing;
mod found;
pub mod gather;
pub mod inbox;
pub mod judge;
mod ledger;
pub mod offer;
mod owning;
mod parties;
pub mod parting;
pub mod party;
pub mod receiving;
mod rejections;
mod reporting;
pub mod sending;
mod stage;
mod start;
pub mod trunk;
pub mod watching;
pub mod wire;
pub mod wish;

pub use attach::{Edge, Settings};
pub use descriptors::{Descriptor, Descriptors};
pub use gather::Claim;
pub use offer::{Offer, Opener, Opening, Outfit, Starter, Wants};
pub use receiving::Receiving;
pub use sending::Sending;
pub use watching::{Watched, Watching};
pub use wish::{Body, ReceiveWish, Received, SendEvent, SendWish};
