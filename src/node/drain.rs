//! The one ordered drain (spec §22): from the wish to stop until nothing is left. Knows no signals and
//! no listeners.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use crate::front::accept::Parts;
use crate::pipe::Load;

/// After SIGTERM new requests are still taken for this long: load balancers need it to look
/// elsewhere (spec §22, drain).
const LAME_DUCK: Duration = Duration::from_secs(5);

/// After the cut, clients get this long to take their last line: one second of dropping what they
/// upload, and as much again for a busy machine. Spectators, who go last, get as long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Without a fleet that takes the names over, parties at other nodes keep their places here to the end.
/// So the books are no measure then, and what is over here is shown within this.
const SHOWN: Duration = Duration::from_millis(200);

/// How often a drain looks whether anything is left.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Gives all names to the rest of the fleet, goes on accepting for a while (`polite`), then refuses
/// newcomers, lets what runs finish up to `limit`, cuts the rest with a last line, and says good-bye to
/// the fleet. Spectators do not hold it up, but they see the end of what they watch: they go last, when
/// nothing of it is left.
pub(super) async fn drain(parts: &Parts, limit: Duration, polite: bool) {
    let end = Instant::now() + limit;
    let cluster = &parts.fleet.cluster;
    parts.gate.drain();
    let Load { waiting, active, spectators } = parts.edge.load();
    let limit_s = limit.as_secs();
    info!(waiting, active, spectators, limit_s, "draining, a second signal stops at once");
    let (agreed, ()) = tokio::join!(cluster.drain(), refuse_newcomers(parts, end, polite));
    if !nobody_works(parts, end).await {
        warn!(requests = parts.gate.working(), "drain timeout, cutting what is left");
    }
    parts.edge.shut_down();
    let cut = Instant::now();
    nobody_works(parts, cut + LAST_WORDS).await;
    let shown = if agreed { cut + LAST_WORDS } else { Instant::now() + SHOWN };
    none_left(|| unfinished(parts), shown).await;
    parts.edge.dismiss_spectators();
    none_left(|| parts.gate.busy(), Instant::now() + LAST_WORDS).await;
    cluster.leave().await;
}

/// Closes the gate: at once, or after a while in which load balancers look elsewhere. A node on its own
/// does not wait when nobody is left; in a fleet the next client may be on its way here.
async fn refuse_newcomers(parts: &Parts, end: Instant, polite: bool) {
    let until = end.min(Instant::now() + LAME_DUCK);
    let idle = match (polite, parts.fleet.cluster.is_alone()) {
        (false, _) => false,
        (true, true) => nobody_works(parts, until).await,
        (true, false) => {
            sleep_until(until).await;
            false
        }
    };
    parts.gate.close();
    if !idle {
        info!("new requests are refused");
    }
}

/// What spectators may still see the end of: requests that are being answered, and what waits or runs
/// by the owner's books. Both, since an end is told to the owner first and shown by it a moment later.
fn unfinished(parts: &Parts) -> usize {
    let Load { waiting, active, .. } = parts.edge.load();
    parts.gate.working() + waiting + active
}

/// Waits until no request but those of spectators is being answered; false if `until` comes first.
async fn nobody_works(parts: &Parts, until: Instant) -> bool {
    none_left(|| parts.gate.working(), until).await
}

async fn none_left(count: impl Fn() -> usize, until: Instant) -> bool {
    let wait = async {
        while count() > 0 {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout_at(until, wait).await.is_ok()
}
