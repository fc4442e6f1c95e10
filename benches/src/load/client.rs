//! One connection of the driver: it says requests and reads answers. Knows nothing of who waits for
//! whom.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect, recv, socket_with,
};

use super::Target;
use crate::answer::Answer;

/// Clients of a loopback server come from so many addresses, 127.0.0.2 and on: the ports of one would
/// run out in seconds of short connections.
const ADDRESSES: usize = 16;

/// Bytes that one read throws away at most. Nothing is written there.
const SKIP: u64 = 16 << 20;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: TcpStream,
    pub(super) answer: Answer,
}

impl Client {
    /// A new connection, on which nothing waits any more.
    pub(super) fn connect(server: SocketAddr) -> Result<Self> {
        let socket = connected(server).with_context(|| format!("cannot connect to {server}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, answer: Answer::new() })
    }

    /// Says something that the kernel takes at once, like a head.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).context("the server takes nothing")
    }

    /// Reads once, if there is anything. `skip`: a body with a length may be thrown away unseen; what
    /// is shown to `sink` otherwise is the body. `buffer` is at least as large as [`Client::buffer`].
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        skip: bool,
        sink: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<()> {
        let plain = if skip { self.answer.plain().min(SKIP) } else { 0 };
        let (len, flags) = match plain {
            0 => (super::READ, RecvFlags::empty()),
            plain => (plain as usize, RecvFlags::TRUNC),
        };
        match recv(&self.socket, &mut buffer[..len], flags) {
            Ok((_, 0)) => self.answer.closed(),
            Ok((_, got)) if plain > 0 => {
                self.answer.skipped(got as u64);
                Ok(())
            }
            Ok((_, got)) => self.answer.feed(&buffer[..got], sink),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Memory to read into. Most of it is never touched.
    pub(super) fn buffer() -> Vec<u8> {
        vec![0; SKIP as usize]
    }
}

fn connected(server: SocketAddr) -> Result<TcpStream> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if !server.is_ipv4() || !server.ip().is_loopback() {
        return Ok(TcpStream::connect(server)?);
    }
    let at = NEXT.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
    let own = Ipv4Addr::new(127, 0, 0, 2 + at as u8);
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(own, 0))?;
    connect(&socket, &server)?;
    Ok(socket.into())
}

/// The request of a receiver.
pub(super) fn get(target: &Target, pipe: &str) -> String {
    let host = target.receivers;
    format!("GET {pipe} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
}

/// The request of a sender.
pub(super) fn put(target: &Target, pipe: &str, length: Option<u64>) -> String {
    let host = target.sender;
    let body = match length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".into(),
    };
    format!(
        "PUT {pipe} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\n\
         Content-Type: application/octet-stream\r\n{body}\r\n\r\n"
    )
}
