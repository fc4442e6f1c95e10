//! How much of the kernel's memory and how many descriptors all transfers of a node take for pipes.
//! Whoever finds no share copies. Knows nothing of what flows.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Hub, Pipe};

/// The largest pipe: what Linux allows to everybody by default (`pipe-max-size`). Larger windows cost
/// less for each byte.
const CAPACITY_MAX: usize = 1 << 20;

/// The smallest window, and still worth its calls.
const CAPACITY_MIN: usize = 16 << 10;

/// All pipes of a node, in bytes: what Linux lets an unprivileged user have by default
/// (`pipe-user-pages-soft`). What is in them is less: both pipes of a transfer show the same pages.
/// Half of it is for pipes of full size: for 64 large transfers at once with the usual window. Twice as
/// many fit into the rest.
const BYTES_MAX: usize = 64 << 20;

/// When that half is taken, or the kernel gives no more, pipes of a quarter of the size do: bytes
/// cost about a fifth more then, which is still less than copying.
const SMALLER: usize = 4;

/// The two ends of a pipe.
const ENDS: usize = 2;

/// The pipes of a node. A cheap handle.
#[derive(Debug, Clone)]
pub struct Pipes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where bytes go that nobody needs any more.
    null: OwnedFd,
    bytes: AtomicUsize,
    descriptors: AtomicUsize,
    descriptors_max: usize,
}

/// What one transfer takes of them. Dropping it gives it back.
pub(super) struct Share {
    all: Pipes,
    pipes: usize,
    capacity: usize,
}

impl Pipes {
    /// No pipes yet, and at most so many descriptors for them; `None`: there are none to be had at all,
    /// or the kernel does not move what is in them.
    pub fn new(descriptors_max: usize) -> Option<Self> {
        let null: OwnedFd = OpenOptions::new().write(true).open("/dev/null").ok()?.into();
        try_out(null.as_fd()).ok()?;
        let (bytes, descriptors) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Some(Self(Arc::new(Inner { null, bytes, descriptors, descriptors_max })))
    }

    /// Descriptors that are open for pipes.
    pub fn descriptors(&self) -> usize {
        self.0.descriptors.load(Ordering::Acquire)
    }

    /// A window for so many lanes, of `most` bytes or less; `None`: it would be too small, there is no
    /// room for it, or the kernel gives none.
    pub(crate) fn hub(&self, most: usize, lanes: usize) -> Option<Hub> {
        // Linux makes a pipe of a power of two.
        let largest = 1 << most.min(CAPACITY_MAX).checked_ilog2()?;
        if largest < CAPACITY_MIN {
            return None;
        }
        let smaller = (largest / SMALLER).max(CAPACITY_MIN);
        let pipes = lanes.min(2);
        [(largest, BYTES_MAX / 2), (smaller, BYTES_MAX)]
            .into_iter()
            .find_map(|(size, limit)| Hub::new(self.share(pipes, size, limit)?).ok())
    }

    /// A share, unless all of them would take more than `limit` bytes then.
    fn share(&self, pipes: usize, capacity: usize, limit: usize) -> Option<Share> {
        let before = (
            self.0.bytes.fetch_add(pipes * capacity, Ordering::AcqRel),
            self.0.descriptors.fetch_add(pipes * ENDS, Ordering::AcqRel),
        );
        let share = Share { all: self.clone(), pipes, capacity };
        let fits = before.0 + pipes * capacity <= limit
            && before.1 + pipes * ENDS <= self.0.descriptors_max;
        fits.then_some(share)
    }
}

/// Moves one byte as all bytes will be moved. A sandbox may let pipes through and refuse the rest, which
/// must not be found out by the first large transfer.
fn try_out(null: BorrowedFd<'_>) -> io::Result<()> {
    let (mut client, socket) = UnixStream::pair()?;
    client.write_all(b"?")?;
    let (mut window, mut copy) = (Pipe::new(CAPACITY_MIN)?, Pipe::new(CAPACITY_MIN)?);
    window.splice_in(socket.as_fd(), 1)?;
    copy.tee_in(&window)?;
    copy.splice_out(socket.as_fd(), 1, false)?;
    window.skip(null, 1)
}

impl Share {
    pub(super) fn pipes(&self) -> usize {
        self.pipes
    }

    /// Bytes of each of its pipes.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn null(&self) -> BorrowedFd<'_> {
        self.all.0.null.as_fd()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.bytes.fetch_sub(self.pipes * self.capacity, Ordering::AcqRel);
        self.all.0.descriptors.fetch_sub(self.pipes * ENDS, Ordering::AcqRel);
    }
}
