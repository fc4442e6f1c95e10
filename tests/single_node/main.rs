//! Black-box tests of one node: the real binary, real sockets, stock curl; the specification row
//! by row. They know nothing of how the server is built.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "the proxy delays bytes and the slow clients drip them on purpose; what has no event to \
              await is polled, within a deadline"
)]

#[path = "../common/mod.rs"]
mod common;

use common::{reading, seeing};

mod answers;
mod bad_inputs;
mod bad_streams;
mod cancel;
mod conformance;
mod drain;
mod exit_codes;
mod expect;
mod faults;
mod harness;
mod headers;
mod http10;
mod ids_and_lengths;
mod lifecycle;
mod lifecycle_end;
mod multipart;
mod network;
mod numbers;
mod operating;
mod overload;
mod pages;
mod progress;
mod receipts;
mod refusals;
mod secrets;
mod status;
mod streaming;
mod uses;
mod volume;
