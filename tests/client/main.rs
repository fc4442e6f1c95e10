//! Black-box tests of the client commands: the real binary on both ends of the wire, stock curl in
//! between. They know spec §23 and nothing of how the client is built.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "the harness polls what has no event to await, within a deadline"
)]

#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod client;
mod health;
mod http2;
mod output;
mod papers;
mod proof;
mod receive;
mod secure;
mod send;
mod table;
mod watching;
