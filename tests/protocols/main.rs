//! Black-box tests of the protocols: HTTP/1.1 and HTTP/2, plain and through TLS, against the real
//! binary with stock curl and, where curl cannot do it, an HTTP/2 client of our own.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "what has no event to await is polled, within a deadline"
)]

#[path = "../common/mod.rs"]
mod common;

mod certificates;
mod client;
mod conformance;
mod exits;
mod faults;
mod floods;
mod inputs;
mod kit;
mod mixed;
mod paces;
mod streams;
mod watching;
