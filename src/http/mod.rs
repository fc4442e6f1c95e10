//! Words: from a request head to a decision, from an outcome to a reply.
//!
//! Uses the types of the `http` crate only. Knows no server and no socket, so that every front
//! (our own HTTP/1.x exchange, actix-web) says the same thing.

pub mod admission;
pub mod boundary;
pub mod code;
pub mod cors;
pub mod dashboard;
mod declared;
pub mod delimiter;
pub mod disposition;
pub mod field;
pub mod figures;
pub mod forwarded;
pub mod headers;
pub mod health;
mod html;
pub mod multipart;
pub mod noscript;
pub mod openapi;
pub mod pages;
pub mod progress;
pub mod query;
pub mod receive;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod send_page;
pub mod status;
pub mod target;
pub mod upload;

pub use code::Code;
pub use refusal::Refusal;
pub use request::{BodyKind, Reply, RequestHead};
