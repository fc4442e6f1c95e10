//! Waiting until all receivers have a block. Knows neither what is written nor how.

use std::net::TcpStream;
use std::os::fd::AsFd;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Writes to each receiver by `write`, which is told which one, until it says for each that nothing is
/// left; waits wherever the kernel takes no more.
pub(super) fn write_all(
    receivers: &[TcpStream],
    write: &mut dyn FnMut(usize) -> Result<bool, Errno>,
) -> Result<()> {
    let mut left: Vec<usize> = (0..receivers.len()).collect();
    let mut ready = vec![true; left.len()];
    while !left.is_empty() {
        let (mut failed, mut asked) = (Ok(()), ready.iter());
        left.retain(|&receiver| {
            if asked.next() == Some(&false) {
                return true;
            }
            match write(receiver) {
                Ok(done) => !done,
                Err(Errno::AGAIN) => true,
                Err(error) => {
                    failed = Err(error);
                    false
                }
            }
        });
        failed?;
        ready = wait(left.iter().map(|&receiver| &receivers[receiver]), PollFlags::OUT)?;
    }
    Ok(())
}

/// Waits for one of these sockets, if there are any; says of each whether it is ready.
pub(super) fn wait<'a>(
    sockets: impl Iterator<Item = &'a TcpStream>,
    what: PollFlags,
) -> Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> =
        sockets.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), what)).collect();
    while !fds.is_empty() {
        match poll(&mut fds, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
}
