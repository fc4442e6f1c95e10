//! A client's socket: its options, and reading from it without losing a wake-up.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop;

use crate::flow::Hub;

/// An idle client host that vanished is found after 30 + 3 x 10 s (spec §12).
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// Senders and waiting parties: unacknowledged data ends the connection after this (spec §12).
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Most output of one receiver that the kernel holds unsent (spec §2, P5).
const UNSENT_MAX: u32 = 64 << 10;

/// The same where the bytes go through a duct (32 KiB) and through TLS or HTTP/2 before: the three
/// hold 64 KiB in all.
const FRAMED_UNSENT_MAX: u32 = 16 << 10;

/// Most output that TLS holds unsent: one record.
pub const TLS_UNSENT_MAX: usize = 16 << 10;

/// What every client socket has. Set once on the listener: Linux hands it on to what it accepts.
pub fn prepare(listener: &impl AsFd) -> io::Result<()> {
    let (idle, interval, probes) = KEEPALIVE;
    let keepalive =
        TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// What a receiver's socket gets when it is matched. Linux counts a closed window as
/// unacknowledged data, so the user timeout would kill a paused player: the stall limit and the
/// watch on acknowledgements take its place. `framed`: through a duct and TLS or HTTP/2.
pub fn prepare_lane(stream: &TcpStream, framed: bool) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(if framed { FRAMED_UNSENT_MAX } else { UNSENT_MAX })?;
    socket.set_tcp_user_timeout(None)
}

/// Bounds what the kernel holds for a client that reads slowly.
pub fn limit_unsent(stream: &TcpStream) {
    // Only a closed socket can refuse this, and that is found at the next write.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
}

/// Takes back what [`prepare_lane`] and [`reset_on_close`] did: the answer is whole, or another one
/// follows.
pub fn restore(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // Only a closed socket can refuse this, and that is found at the next read.
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let _ = socket.set_linger(None);
}

/// Makes closing this socket a reset: the one way to show a cut to an HTTP/1.0 client that reads
/// until the end of the connection.
pub fn reset_on_close(stream: &TcpStream) {
    // Only a closed socket can refuse this.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Reads some bytes into several buffers; 0 is the end.
///
/// Always asks the kernel first and the reactor after: the watch on a waiting client
/// ([`super::presence`]) forgets that there is unread data, and so must not be the one to ask. Counts
/// against the task's budget, so that a client that never pauses cannot keep a worker for itself.
pub fn poll_readv(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    into: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    poll_in(stream, cx, || Ok(rustix::io::readv(stream, &mut *into)?))
}

/// Moves at most `most` bytes into a pipe; 0 is the end. Like [`poll_readv`] in everything else, but
/// does not wait for more than is there if the pipe is not empty: it may be the pipe that takes no
/// more, and then nobody would wake the task.
pub fn poll_splice(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    into: &mut Hub,
    most: usize,
) -> Poll<io::Result<usize>> {
    if into.is_empty() {
        return poll_in(stream, cx, || into.splice(stream, most));
    }
    match into.splice(stream, most) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

fn poll_in(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut take: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let budget = ready!(coop::poll_proceed(cx));
    loop {
        match take() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                forget_readiness(stream);
                ready!(stream.poll_read_ready(cx))?;
            }
            done => {
                budget.made_progress();
                return Poll::Ready(done);
            }
        }
    }
}

/// Waits for the next edge of readability instead of reporting data that is already known.
pub fn forget_readiness(stream: &TcpStream) {
    let _ = stream
        .try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
}

/// Reads and drops what arrives until the peer closes. Bound it with a timeout.
pub async fn discard(stream: &TcpStream) {
    /// One read; on the heap only while something is dropped.
    const BLOCK: usize = 64 << 10;
    let mut block = vec![0; BLOCK];
    loop {
        match std::future::poll_fn(|cx| poll_readv(stream, cx, &mut [IoSliceMut::new(&mut block)]))
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_accepted_has_what_its_listener_has() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        prepare(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE.0);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE.1);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE.2);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
