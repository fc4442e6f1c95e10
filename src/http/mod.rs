//! Words: from a request head to a decision, from an outcome to a reply.
//!
//! Uses the types of the `http` crate only. Knows no server and no socket, so that every front
//! (our own HTTP/1.x exchange, actix-web) says the same thing.

pub mod refusal;
pub mod request;

pub use refusal::Refusal;
pub use request::{BodyKind, Reply, RequestHead};
