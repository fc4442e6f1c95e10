//! The limit of copying: one read, and one write for each receiver. Knows nothing of the meeting.

use std::net::TcpStream;

use anyhow::{Result, bail};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::{Meeting, even};

/// Moves the body through `block`.
pub(super) fn relay(meeting: &mut Meeting<TcpStream>, block: &mut [u8]) -> Result<()> {
    meeting.receivers.iter().try_for_each(|receiver| receiver.set_nonblocking(true))?;
    let mut left = meeting.size;
    let mut sent = vec![0; meeting.receivers.len()];
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let got = match recv(&meeting.sender, &mut block[..len], RecvFlags::DONTWAIT) {
            Ok((0, _)) => bail!("the sender left"),
            Ok((got, _)) => got,
            Err(Errno::AGAIN) => {
                even::wait([&meeting.sender].into_iter(), PollFlags::IN)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        sent.fill(0);
        even::write_all(&meeting.receivers, &mut |at| {
            let rest = &block[sent[at]..got];
            sent[at] += send(&meeting.receivers[at], rest, SendFlags::NOSIGNAL)?;
            Ok(sent[at] == got)
        })?;
        left -= got as u64;
    }
    Ok(())
}
