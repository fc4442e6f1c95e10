//! The kernel's way: the window of a transfer is a pipe, and its bytes go from socket to sockets
//! without ever being in our memory.
//!
//! Needs a source and lanes that are plain sockets. Knows neither: it is given descriptors, and says
//! what the kernel has said. Who waits for what is decided by its callers, and so is which transfer
//! goes this way ([`super::fanout`]). Linux.

mod pipe;
mod pipes;

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::window::Held;
use pipe::Pipe;
pub use pipes::Pipes;
use pipes::Share;

/// A window in the kernel: filled once, shown to every lane, emptied when all of them have it.
///
/// Its bytes are in one pipe. `tee(2)` gives each lane that writes a second sight of them, in one more
/// pipe that all lanes share: it is loaded with the whole window and forwarded to where the lane
/// stands. So `n` lanes need two pipes, not `n` of them, and a lane that is slow holds none.
pub struct Hub {
    window: Reader,
    /// What the lanes are written from; `None` if there is only one lane.
    copy: Option<Reader>,
    /// Bytes of the window.
    filled: usize,
    _held: Held,
    share: Share,
}

/// A pipe with a part of the window in it, up to its end.
struct Reader {
    pipe: Pipe,
    /// Where in the window its first byte belongs.
    at: usize,
}

impl Hub {
    fn new(share: Share) -> io::Result<Self> {
        let reader = || io::Result::Ok(Reader { pipe: Pipe::new(share.capacity())?, at: 0 });
        let window = reader()?;
        let copy = if share.pipes() > 1 { Some(reader()?) } else { None };
        Ok(Self { window, copy, filled: 0, _held: Held::new(share.capacity()), share })
    }

    /// Is there nothing in the window?
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room for so many bytes; the kernel may have room for fewer, in small pieces.
    pub fn room(&self) -> usize {
        self.share.capacity() - self.filled
    }

    /// Moves at most `most` bytes from a socket to the end of the window. 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock`: the socket has nothing, or the pipe, unless it is empty, takes no more pieces.
    pub fn splice(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let moved = self.window.pipe.splice_in(socket.as_fd(), most.min(self.room()))?;
        self.filled += moved;
        Ok(moved)
    }

    /// Copies some of `bytes` to the end of the window: what was read before it could be spliced.
    ///
    /// # Errors
    /// `WouldBlock`: as for [`Self::splice`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let moved = self.window.pipe.write(&bytes[..bytes.len().min(self.room())])?;
        self.filled += moved;
        Ok(moved)
    }

    /// Moves some of this range of the window to a socket; `more` will follow at once. What the `only`
    /// lane has taken is gone.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        range: Range<usize>,
        more: bool,
        only: bool,
    ) -> io::Result<usize> {
        // Whatever fails here is no socket that is full.
        let reader = self.reader(range.start, only).map_err(io::Error::other)?;
        let moved = reader.pipe.splice_out(socket, range.len(), more)?;
        reader.at += moved;
        Ok(moved)
    }

    /// The window starts anew, with nothing in it.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        let null = self.share.null();
        for reader in [Some(&mut self.window), self.copy.as_mut()].into_iter().flatten() {
            reader.pipe.skip(null, reader.pipe.len())?;
            reader.at = 0;
        }
        self.filled = 0;
        Ok(())
    }

    /// A pipe whose first byte is the one at `start`.
    fn reader(&mut self, start: usize, only: bool) -> io::Result<&mut Reader> {
        let null = self.share.null();
        let Some(copy) = self.copy.as_mut().filter(|_| !only) else {
            self.window.forward(null, start)?;
            return Ok(&mut self.window);
        };
        // Most writes go on where the last one has stopped; then it needs no new sight.
        if copy.pipe.len() == 0 || copy.at > start {
            copy.pipe.skip(null, copy.pipe.len())?;
            copy.at = self.window.at;
            copy.pipe.tee_in(&self.window.pipe)?;
        }
        copy.forward(null, start)?;
        Ok(copy)
    }
}

impl Reader {
    fn forward(&mut self, null: BorrowedFd<'_>, to: usize) -> io::Result<()> {
        let had = self.pipe.len();
        let done = self.pipe.skip(null, to - self.at);
        self.at += had - self.pipe.len();
        done
    }
}

#[cfg(test)]
mod tests;
