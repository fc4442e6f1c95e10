//! The limit of moving bytes without touching them: from the sender's socket into a pipe, teed into
//! one more pipe for each further receiver, and from the pipes into the sockets. Knows nothing of the
//! meeting.

use std::net::TcpStream;
use std::os::fd::OwnedFd;

use anyhow::{Result, bail};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

use super::{Meeting, even};

/// Pipes of one size, kept from transfer to transfer.
pub(super) struct Pipes {
    size: usize,
    pipes: Vec<Pipe>,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    /// None yet; each will have so many bytes.
    pub(super) fn new(size: usize) -> Self {
        Self { size, pipes: Vec::new() }
    }

    /// `count` of them. Whoever may not have so many large ones gets an error: small ones would
    /// measure something else.
    fn take(&mut self, count: usize) -> Result<&[Pipe]> {
        while self.pipes.len() < count {
            let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
            let got = fcntl_setpipe_size(&read, self.size)?;
            if got < self.size {
                bail!("a pipe of {got} bytes instead of {}: run it as root", self.size);
            }
            self.pipes.push(Pipe { read, write });
        }
        Ok(&self.pipes[..count])
    }
}

/// Moves the body through `pipes`, one for each receiver.
pub(super) fn relay(meeting: &mut Meeting<TcpStream>, pipes: &mut Pipes) -> Result<()> {
    meeting.receivers.iter().try_for_each(|receiver| receiver.set_nonblocking(true))?;
    let block = pipes.size;
    let pipes = pipes.take(meeting.receivers.len())?;
    let Some((hub, others)) = pipes.split_last() else { bail!("nobody receives") };
    let mut left = meeting.size;
    let mut sent = vec![0; pipes.len()];
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(block);
        let got = match splice(&meeting.sender, None, &hub.write, None, len, flags()) {
            Ok(0) => bail!("the sender left"),
            Ok(got) => got,
            Err(Errno::AGAIN) => {
                even::wait([&meeting.sender].into_iter(), PollFlags::IN)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for other in others {
            if tee(&hub.read, &other.write, got, SpliceFlags::NONBLOCK)? != got {
                bail!("a pipe took less than its like held");
            }
        }
        sent.fill(0);
        even::write_all(&meeting.receivers, &mut |at| {
            let (from, to) = (&pipes[at].read, &meeting.receivers[at]);
            sent[at] += splice(from, None, to, None, got - sent[at], flags())?;
            Ok(sent[at] == got)
        })?;
        left -= got as u64;
    }
    Ok(())
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
