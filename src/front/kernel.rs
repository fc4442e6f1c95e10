//! The few calls that no crate wraps, and the only `unsafe` of the project: two questions to a
//! socket, and one to the allocator. Linux.

#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Bytes written to `socket` that its peer's kernel has not acknowledged (`SIOCOUTQ`).
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as the borrow, and SIOCOUTQ (TIOCOUTQ) writes one
    // int through the pointer, which is valid and exclusively ours.
    let done = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(u32::try_from(bytes).unwrap_or(0)) }
}

/// How long the peer's kernel has been silent while it owes an acknowledgement.
///
/// `None` if nothing is in flight: a closed window has nothing in flight but probes, and a kernel
/// that answers them is not silent.
pub fn silent_for(socket: &impl AsFd) -> io::Result<Option<Duration>> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as the borrow; the kernel writes at most `len`
    // bytes into `info`, which is that large, and `len` is exclusively ours.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bytes are initialised (zeroed, then partly written), and every bit pattern is a
    // valid `tcp_info`, which is made of integers.
    let info = unsafe { info.assume_init() };
    let owes = info.tcpi_unacked > 0 && info.tcpi_retransmits > 0;
    Ok(owes.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into())))
}

/// Gives pages that hold nothing any more back to the system. Takes milliseconds: not for a worker.
pub fn trim_memory() {
    // SAFETY: takes no pointers and locks the allocator itself; may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_read_by_the_peer_is_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&here).unwrap(), 0);
        here.write_all(b"hello").unwrap();
        there.read_exact(&mut [0; 5]).unwrap();
        while unacknowledged(&here).unwrap() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(silent_for(&here).unwrap(), None);
    }

    #[test]
    fn what_the_peer_cannot_take_stays_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_there, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        while here.write(&[0; 65536]).is_ok() {}
        assert!(unacknowledged(&here).unwrap() > 0);
    }
}
