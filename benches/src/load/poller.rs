//! Which sockets are ready. Knows nothing of who they are.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// Most events told at once; what is left is told the next time.
const EVENTS: usize = 512;

/// A set of watched sockets. A socket that is closed is not watched any more.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// One ready socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) id: u64,
    /// It can be read, or is at its end.
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Poller {
    pub(super) fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches what can be read there.
    pub(super) fn add(&self, socket: impl AsFd, id: u64) -> Result<()> {
        let id = epoll::EventData::new_u64(id);
        Ok(epoll::add(&self.epoll, socket, id, epoll::EventFlags::IN)?)
    }

    /// Watches also whether it can be written to, or no more.
    pub(super) fn watch_writes(&self, socket: impl AsFd, id: u64, writes: bool) -> Result<()> {
        let out = if writes { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        let id = epoll::EventData::new_u64(id);
        Ok(epoll::modify(&self.epoll, socket, id, epoll::EventFlags::IN | out)?)
    }

    /// Forgets a socket that lives on.
    pub(super) fn remove(&self, socket: impl AsFd) -> Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until something is ready, or this long.
    pub(super) fn wait(&mut self, limit: Duration, ready: &mut Vec<Ready>) -> Result<()> {
        ready.clear();
        self.events.clear();
        let limit = Timespec::try_from(limit)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let closed = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        ready.extend(self.events.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            let read = flags.intersects(epoll::EventFlags::IN | closed);
            Ready { id: data.u64(), read, write: flags.contains(epoll::EventFlags::OUT) }
        }));
        Ok(())
    }
}
