//! Is this client still there? Watches the socket itself, also while nothing is read from it.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::Interest;

use super::transport::Socket;
use super::{kernel, socket};

/// How long a receiver's kernel may owe an acknowledgement before its host counts as vanished
/// (spec §12).
const SILENT_MAX: Duration = Duration::from_secs(60);

/// How often that is looked at: 60 s and twice 2 s keep the bound of 65 s.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// First and longest pause between two looks at what is unacknowledged.
const ACK_PAUSE: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(5));

/// Waits until the client closes, half-closes or resets. For parties whose input nobody reads:
/// unread data does not hide the end, and is still there afterwards. Cancel-safe.
pub async fn gone(socket: &Socket) {
    let stream = socket.stream();
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        socket::forget_readiness(stream);
    }
}

/// Waits until the connection is broken. For senders whose body is being read, where a half-close
/// is found by reading. Cancel-safe.
pub async fn broken(socket: &Socket) {
    // An error here means that the runtime is going down.
    let _ = socket.stream().ready(Interest::ERROR).await;
}

/// Waits until the client's host has owed an acknowledgement for 60 s. Cancel-safe.
pub async fn vanished(socket: &Socket) {
    let mut owing = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(silent) = kernel::silent_for(socket.stream()) else { return };
        let now = Instant::now();
        owing = owing_since(owing, silent, now);
        if owing.is_some_and(|since| now - since >= SILENT_MAX) {
            return;
        }
    }
}

/// Since when an acknowledgement is owed without any answer. Silence before anything was owed does
/// not count, and any answer begins it anew.
fn owing_since(before: Option<Instant>, silent: Option<Duration>, now: Instant) -> Option<Instant> {
    let answered = now.checked_sub(silent?).unwrap_or(now);
    Some(before.unwrap_or(now).max(answered))
}

/// Waits until the client's kernel has acknowledged everything written so far: proof that it is
/// alive. A client that was killed with every buffer full answers with a reset instead. What is
/// written meanwhile, by other streams of the connection, is not waited for. Cancel-safe.
pub async fn acknowledged(socket: &Socket) -> io::Result<()> {
    let (mut pause, longest) = ACK_PAUSE;
    let before = socket.sent();
    while u64::from(kernel::unacknowledged(socket.stream())?) > socket.sent() - before {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_that_owes_an_answer_counts() {
        let start = Instant::now() + Duration::from_secs(1000);
        let at = |s| start + Duration::from_secs(s);
        let silent = |s| Some(Duration::from_secs(s));
        assert_eq!(owing_since(None, None, at(0)), None, "nothing is owed");
        assert_eq!(owing_since(None, silent(300), at(0)), Some(at(0)), "a long pause came before");
        assert_eq!(owing_since(Some(at(0)), silent(302), at(2)), Some(at(0)), "it goes on");
        assert_eq!(owing_since(Some(at(0)), silent(1), at(30)), Some(at(29)), "it has answered");
        assert_eq!(owing_since(Some(at(0)), None, at(30)), None, "nothing is owed any more");
    }
}
