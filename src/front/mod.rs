//! Servers: the only room that knows sockets, actix-server and actix-web.
//!
//! [`accept`] is the service on every public listener: it reads a head, runs pipe traffic over
//! HTTP/1.x on [`h1`], and hands everything else to actix-web in [`web`]. [`admin`] is the listener
//! for operators. Knows nothing of who matches whom.

pub mod accept;
pub mod admin;
pub mod fleet;
pub mod gate;
pub mod h1;
pub mod kernel;
mod numbers;
pub mod presence;
mod replay;
pub mod socket;
pub mod web;
