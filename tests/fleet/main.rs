//! Black-box tests of a fleet: several real nodes on loopback addresses or in network namespaces,
//! stock curl and raw clients at changing nodes, and faults. What must come back is the specification
//! (spec §1, §2, §22, §28); they know nothing of how nodes talk to each other.
//!
//! Faults take their time (5 to 15 s each), so those of one test run side by side, each on a fleet of
//! its own. Every measured time is printed as `FAULT | what | measured | bound`.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "what has no event to await is polled, within a deadline, and the bad network delays \
              bytes on purpose"
)]

#[path = "../common/mod.rs"]
mod common;

mod ahead;
mod answers;
mod clients;
mod economy;
mod edges;
mod far;
mod fleet;
mod history;
mod late;
mod light;
mod membership;
mod network;
mod owners;
mod partitions;
mod restarts;
mod reuse;
mod roles;
mod security;
mod shrinking;
mod uses;
mod weight;
