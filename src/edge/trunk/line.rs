//! The connection of a trunk: what both ends set on its socket. Knows nothing of what is said on it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A node that vanished while nothing flows is found after 30 + 3 x 10 s, if nothing else finds it.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// Most output of one trunk that the kernel holds unsent, as for a receiver (spec §2, P5).
const UNSENT_MAX: u32 = 64 << 10;

/// The least that is asked for the receive buffer, however small the window: it has to hold more than one
/// segment, which is 64 KiB on loopback, or the stream waits for timers.
const RECEIVE_MIN: u32 = 64 << 10;

/// What to ask the kernel for as the receive buffer of a trunk: half a window. It makes twice as many of
/// it for bytes and its bookkeeping together, so that it holds at most one window of bytes (spec §2, P5:
/// two windows for each hop, of which the other one is the fan-out's). A whole window would make one
/// receiver at another node about a third faster, and its sender get more than P5 allows ahead.
pub fn receive_buffer(window: usize) -> u32 {
    u32::try_from(window / 2).unwrap_or(u32::MAX).max(RECEIVE_MIN)
}

/// Sets everything else.
///
/// # Errors
/// The connection is gone.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    let (idle, interval, probes) = KEEPALIVE;
    let keepalive =
        TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    // Linux counts a closed window as unacknowledged data, and the receivers may pause.
    socket.set_tcp_user_timeout(None)
}

/// Whether closing the connection resets it. A trunk that has started is reset by whatever ends it, also by
/// the death of its process: the end of a closed connection waits behind all that the other side does not
/// read, a reset does not.
pub fn reset_on_close(stream: &impl AsFd, reset: bool) {
    // Only a closed socket can refuse this.
    let _ = SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO));
}
