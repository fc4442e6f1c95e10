//! Is this client still there? Watches the socket itself, also while nothing is read from it.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;

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
pub async fn gone(stream: &TcpStream) {
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        socket::forget_readiness(stream);
    }
}

/// Waits until the connection is broken. For senders whose body is being read, where a half-close
/// is found by reading. Cancel-safe.
pub async fn broken(stream: &TcpStream) {
    // An error here means that the runtime is going down.
    let _ = stream.ready(Interest::ERROR).await;
}

/// Waits until the client's host has owed an acknowledgement for 60 s. Cancel-safe.
pub async fn vanished(stream: &TcpStream) {
    let mut owing: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let silent = match kernel::silent_for(stream) {
            Ok(silent) => silent,
            Err(_) => return,
        };
        let now = Instant::now();
        // Silence before anything was owed does not count, nor does it go on after any answer.
        owing = silent.map(|silent| owing.unwrap_or(now).max(now - silent.min(SILENT_MAX)));
        if owing.is_some_and(|since| now - since >= SILENT_MAX) {
            return;
        }
    }
}

/// Waits until the client's kernel has acknowledged everything written so far: proof that it is
/// alive. A client that was killed with every buffer full answers with a reset instead.
/// Cancel-safe.
pub async fn acknowledged(stream: &TcpStream) -> io::Result<()> {
    let (mut pause, longest) = ACK_PAUSE;
    while kernel::unacknowledged(stream)? > 0 {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    Ok(())
}
