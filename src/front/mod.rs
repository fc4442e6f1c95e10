//! Servers: the only room that knows sockets, actix-server and actix-web.
//!
//! [`accept`] is the service on every public listener, with or without TLS. HTTP/2 runs on [`h2`]; of
//! HTTP/1.x pipe traffic runs on [`h1`], and everything else is handed to actix-web in [`web`].
//! [`admin`] is the listener for operators, [`internal`] that for other nodes. Knows nothing of who matches whom.

pub mod accept;
pub mod admin;
pub mod context;
pub mod fleet;
pub mod gate;
pub mod h1;
pub mod h2;
mod handoff;
pub mod internal;
pub mod kernel;
mod numbers;
pub mod presence;
mod replay;
pub mod running;
pub mod site;
pub mod socket;
mod telling;
pub mod tls;
pub mod transport;
pub mod web;
