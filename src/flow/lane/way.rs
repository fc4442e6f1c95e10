//! Where a lane's bytes go: to a descriptor, written on the sender's thread, or into a duct to the
//! receiver's own. Knows nothing of what is written.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::flow::duct::DuctIn;

/// The way of one lane.
pub struct Way(Kind);

enum Kind {
    /// A descriptor that the reactor of the sender's thread does not know yet.
    Closed(Option<OwnedFd>),
    Open(TcpStream),
    Duct(DuctIn),
}

impl Way {
    /// Writes to `socket`, a duplicate of the receiver's descriptor (non-blocking).
    pub fn socket(socket: OwnedFd) -> Self {
        Self(Kind::Closed(Some(socket)))
    }

    /// Puts everything into `inlet`; the other end is with the receiver's task.
    pub fn duct(inlet: DuctIn) -> Self {
        Self(Kind::Duct(inlet))
    }

    /// Asks the kernel whether the client is still there. Of a duct only its other end knows more.
    pub(super) fn is_there(&self) -> bool {
        match &self.0 {
            Kind::Closed(Some(fd)) => !is_hung_up(fd.as_fd()),
            Kind::Closed(None) => false,
            Kind::Open(stream) => !is_hung_up(stream.as_fd()),
            Kind::Duct(inlet) => inlet.is_there(),
        }
    }

    /// Gets ready to write on this thread. Fails if the descriptor cannot be registered with this
    /// thread's reactor.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if let Kind::Closed(fd) = &mut self.0 {
            let fd = fd.take().ok_or(io::ErrorKind::NotConnected)?;
            self.0 = Kind::Open(TcpStream::from_std(fd.into())?);
        }
        Ok(())
    }

    /// Writes some bytes of `parts`, of which one at least is not empty; `last`: the end marker is
    /// among them.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        let stream = match &self.0 {
            Kind::Open(stream) => stream,
            Kind::Duct(inlet) => return inlet.poll_write(cx, parts, last),
            Kind::Closed(_) => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        loop {
            match stream.try_write_vectored(parts) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Is it a descriptor?
    pub(super) fn is_socket(&self) -> bool {
        matches!(self.0, Kind::Open(_) | Kind::Closed(_))
    }

    /// Writes some of `bytes`, which are not empty, to the descriptor; `more` will follow at once.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let more = if more { SendFlags::MORE } else { SendFlags::empty() };
        let flags = SendFlags::NOSIGNAL | more;
        self.poll_out(cx, &mut |socket| Ok(rustix::net::send(socket, bytes, flags)?))
    }

    /// Lets `send` move something to the descriptor, as soon as that takes any.
    pub(super) fn poll_out(
        &self,
        cx: &mut Context<'_>,
        send: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Kind::Open(stream) = &self.0 else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        loop {
            match stream.try_io(Interest::WRITABLE, || send(stream.as_fd())) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Says that all is written. Ready when all of it, this end included, is with the kernel: at once
    /// for a descriptor, after the acknowledgement for a duct.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Duct(inlet) => {
                inlet.finish();
                inlet.poll_acknowledged(cx)
            }
            Kind::Open(_) | Kind::Closed(_) => Poll::Ready(Ok(())),
        }
    }

    /// Writes what fits at this moment. Best effort: a way that is full takes nothing.
    pub(super) fn write_now(&self, bytes: &[u8]) {
        let _ = match &self.0 {
            Kind::Open(stream) => rustix::io::write(stream, bytes).is_ok(),
            Kind::Duct(inlet) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                inlet.poll_write(&mut cx, &[IoSlice::new(bytes)], false).is_ready()
            }
            Kind::Closed(_) => false,
        };
    }

    /// When the other end of a duct last took something.
    pub(super) fn taken(&self) -> Option<Instant> {
        match &self.0 {
            Kind::Duct(inlet) => inlet.taken(),
            Kind::Open(_) | Kind::Closed(_) => None,
        }
    }
}

/// Has the peer of this socket closed, half-closed or reset it?
pub fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut poll = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Errors and hang-ups are always reported; a failure to ask is found by the next write.
    rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready > 0)
}
