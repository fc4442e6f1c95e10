//! The metrics as an answer: reads what is only known at the moment (spec §19). Knows no paths: the
//! public pages and the admin listener give the same text.

use ::http::StatusCode;

use super::accept::Parts;
use crate::flow::window;
use crate::http::Reply;
use crate::meter::Reading;
use crate::pipe::Role;

/// The media type of the Prometheus text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All numbers of this node, as of now.
pub fn reply(parts: &Parts) -> Reply {
    let load = parts.edge.load();
    let now = Reading {
        pipes_waiting: load.waiting,
        pipes_streaming: load.active,
        waiting_senders: parts.gate.waiting(Role::Sender),
        waiting_receivers: parts.gate.waiting(Role::Receiver),
        spectators: load.spectators,
        buffered_bytes: window::held(),
        ring_nodes: parts.fleet.ring_nodes(),
        links_as_edge: parts.fleet.links_as_edge(),
    };
    Reply::body(StatusCode::OK, TEXT_FORMAT, parts.meter.render(&now))
}
