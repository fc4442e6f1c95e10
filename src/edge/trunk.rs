//! Trunks: the streams that carry one transfer from its sender's node to another node, for all of its
//! receivers there. One TCP connection each, so that a paused pipe freezes no other.
//!
//! The receivers' node asks (`POST /trunk/<transfer>`, with the frame `Dial`) and waits. The
//! sender's node answers when the match is decided: 409 undone, 410 started without you, or 101:
//! started. After 101 one side sends, in chunks of HTTP/1.1, the frame `Opened` and then the
//! bytes, the other side what becomes of its receivers (`Said`). The last chunk is the one
//! clean end, and it counts only when the receivers' side has said who got everything. All else is a
//! cut, at whatever moment: also a trunk that ends after its last chunk and before that word. Until then the
//! sender's side holds the line, and lets go of it only if the transfer has failed, or with its node.
//! It closes, and resets what is not taken soon, so that nobody has to read on to see it.
//!
//! Here is what both sides have in common for one node. Knows no HTTP clients and no names.

mod connect;
mod frames;
mod inlet;
mod inward;
mod landing;
mod line;
mod outward;
mod reception;
mod reports;

use std::time::Duration;

use hoody_pipe_cluster::{Cluster, NodeId};
use tokio::time::{Instant, sleep_until};

pub(super) use inward::Inwards;
pub use outward::serve;
pub(super) use reception::{Meeting, Reception};

/// The protocol to which the connection of a trunk is upgraded.
pub const UPGRADE: &str = "hoody-pipe-trunk";

/// A node that was not heard for so long takes its trunks with it (spec §2, P4).
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When the sender's side lets go of a transfer that has failed, what is on the way may still be taken for so
/// long: at its own side before the connection is reset, which passes all that is unread, and at the receivers'
/// side once that is seen. Both leave half of the second within which everybody is cut (spec §13).
const LEFT_MAX: Duration = Duration::from_millis(250);

/// What is said last may take this long to be taken.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Returns when that node has not been heard for too long, counted from now at the earliest if it was
/// never heard. Cancelled and begun anew it forgets what it has seen: to be made once for a trunk.
async fn silent(cluster: &Cluster, node: NodeId) {
    too_long(|| cluster.silence(node)).await;
}

/// Of a node that is no member any more nothing is known, even while it is frozen: what was known of it
/// last counts on.
async fn too_long(silence: impl Fn() -> Option<Duration>) {
    let mut next = Instant::now();
    let mut until = next + SILENCE_MAX;
    loop {
        let now = Instant::now();
        if let Some(silence) = silence() {
            until = now + SILENCE_MAX.saturating_sub(silence);
        }
        if until <= now {
            return;
        }
        next += LOOK_EVERY;
        sleep_until(next).await;
    }
}

#[cfg(test)]
pub(in crate::edge) mod tests;
