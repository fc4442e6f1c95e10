//! One pipe of a known capacity, with both of its ends. Never blocks. Knows nothing of what is in it
//! but how much.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    len: usize,
}

impl Pipe {
    /// An empty pipe that takes at least `capacity` bytes in whole pages.
    ///
    /// # Errors
    /// There are no descriptors, or the kernel gives less: an unprivileged user may have only so many
    /// pages in pipes, and gets tiny ones beyond them.
    pub(super) fn new(capacity: usize) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        match fcntl_setpipe_size(&write, capacity)? {
            got if got < capacity => Err(io::ErrorKind::QuotaExceeded.into()),
            _ => Ok(Self { read, write, len: 0 }),
        }
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn splice_in(&mut self, from: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = retry_on_intr(|| splice(from, None, &self.write, None, most, flags))?;
        self.len += moved;
        Ok(moved)
    }

    pub(super) fn splice_out(
        &mut self,
        to: BorrowedFd<'_>,
        most: usize,
        more: bool,
    ) -> io::Result<usize> {
        let more = if more { SpliceFlags::MORE } else { SpliceFlags::empty() };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE | more;
        let moved = retry_on_intr(|| splice(&self.read, None, to, None, most, flags))?;
        self.len -= moved;
        Ok(moved)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let moved = retry_on_intr(|| rustix::io::write(&self.write, bytes))?;
        self.len += moved;
        Ok(moved)
    }

    /// Takes in a second sight of all that is in `from`. This one is empty, and both have the same
    /// capacity: so all of it fits.
    pub(super) fn tee_in(&mut self, from: &Pipe) -> io::Result<()> {
        self.len = retry_on_intr(|| tee(&from.read, &self.write, from.len, SpliceFlags::NONBLOCK))?;
        if self.len == from.len { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Drops the first `count` bytes, into `null` (`/dev/null`).
    pub(super) fn skip(&mut self, null: BorrowedFd<'_>, count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            match self.splice_out(null, left, false)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                moved => left -= moved,
            }
        }
        Ok(())
    }
}
