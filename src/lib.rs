//! hoody-pipe: a zero-storage HTTP streaming relay.
//!
//! Somebody PUTs bytes to a path, up to 256 others GET the same path, and the bytes pass straight
//! through. The rooms of the house, from the bottom up (arrows of `use` only point down; the test
//! `tidy` enforces it):
//!
//! | room | what it is | what it does not know |
//! |---|---|---|
//! | [`pipe`] | the meeting: names, who waits for whom, one actor per name | HTTP, sockets, nodes |
//! | [`flow`] | the bytes: sources, lanes, lockstep fan-out | names, nodes, HTTP semantics |
//! | `hoody_pipe_cluster` | who is here and who owns a key | pipes, HTTP clients |
//! | [`meter`] | the numbers for operators: every series of the metrics, by name | everything else |
//! | [`edge`] | where: the parties of this node, attached to the owner of their name | HTTP |
//! | [`http`] | words: from a request head to a decision, from an outcome to a reply | sockets, servers |
//! | [`front`] | servers: the only room with sockets and actix-web | who matches whom |
//! | [`node`] | assembly and the one ordered drain | |
//! | [`client`] | the other end of the wire: `send`, `receive`, `cancel` | every room but [`config`] |

pub mod client;
pub mod config;
pub mod edge;
pub mod flow;
pub mod front;
pub mod http;
pub mod meter;
pub mod node;
pub mod pipe;
