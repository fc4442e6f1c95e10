//! Windows in the kernel over real sockets: lanes that take their part in any order and in any pieces.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

const WINDOW: usize = 64 << 10;

fn pipes() -> Pipes {
    Pipes::new(64).unwrap()
}

/// A lane: where it is written to, and what comes out there.
struct Client {
    near: UnixStream,
    far: UnixStream,
    got: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        socket2::SockRef::from(&near).set_send_buffer_size(8 << 10).unwrap();
        Self { near, far, got: Vec::new() }
    }

    /// Takes at most `most` bytes out.
    fn read(&mut self, most: usize) {
        let had = self.got.len();
        self.got.resize(had + most, 0);
        let read = self.far.read(&mut self.got[had..]).unwrap_or(0);
        self.got.truncate(had + read);
    }
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A socket in which these bytes wait.
fn holding(bytes: &[u8]) -> (UnixStream, UnixStream) {
    let (mut sender, socket) = UnixStream::pair().unwrap();
    socket2::SockRef::from(&sender).set_send_buffer_size(1 << 20).unwrap();
    sender.write_all(bytes).unwrap();
    socket.set_nonblocking(true).unwrap();
    (sender, socket)
}

#[test]
fn every_lane_gets_the_window_in_whatever_order_they_write() {
    for lanes in [1, 2, 5] {
        let mut dice = fastrand::Rng::with_seed(lanes as u64);
        let mut hub = pipes().hub(WINDOW, lanes).unwrap();
        for round in 0..5 {
            let bytes = body(40_000 + round);
            let (_sender, socket) = holding(&bytes[7..]);
            assert_eq!(hub.write(&bytes[..7]).unwrap(), 7, "what was read before goes first");
            while hub.filled < bytes.len() {
                assert!(hub.splice(&socket, usize::MAX).unwrap() > 0);
            }
            let mut clients: Vec<Client> = (0..lanes).map(|_| Client::new()).collect();
            let mut at = vec![0; lanes];
            while at.iter().any(|at| *at < bytes.len()) {
                let lane = dice.usize(..lanes);
                let client = &mut clients[lane];
                let range = at[lane]..(at[lane] + dice.usize(1..9_000)).min(bytes.len());
                if range.start < range.end {
                    match hub.send(client.near.as_fd(), range, false, lanes == 1) {
                        Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                        Ok(moved) => at[lane] += moved,
                    }
                }
                client.read(dice.usize(1..20_000));
            }
            for mut client in clients {
                client.read(bytes.len());
                assert!(client.got == bytes, "bytes differ");
            }
            hub.clear().unwrap();
            assert!(hub.is_empty());
        }
    }
}

#[test]
fn the_last_lane_goes_on_from_where_it_stands() {
    let bytes = body(10_000);
    let mut hub = pipes().hub(WINDOW, 2).unwrap();
    hub.write(&bytes).unwrap();
    let mut client = Client::new();
    let mut at = hub.send(client.near.as_fd(), 0..3_000, false, false).unwrap();
    while at < bytes.len() {
        client.read(usize::from(u16::MAX));
        at += hub.send(client.near.as_fd(), at..bytes.len(), false, true).unwrap_or(0);
    }
    client.read(usize::from(u16::MAX));
    assert!(client.got == bytes, "bytes differ");
}

#[test]
fn a_window_takes_no_more_than_it_may_and_a_pipe_no_more_pieces_than_it_can() {
    let mut hub = pipes().hub(WINDOW, 1).unwrap();
    let (_sender, socket) = holding(&body(WINDOW + 1));
    while hub.room() > 0 {
        assert!(hub.splice(&socket, usize::MAX).unwrap() > 0);
    }
    assert_eq!(hub.write(b"x").unwrap_or(0), 0);

    hub.clear().unwrap();
    let (mut sender, socket) = holding(b"");
    let full = loop {
        sender.write_all(b"x").unwrap();
        if let Err(e) = hub.splice(&socket, usize::MAX) {
            break e.kind();
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    assert!((8..WINDOW).contains(&hub.filled), "{} pieces", hub.filled);
}

#[test]
fn what_is_taken_is_counted_and_given_back() {
    let all = Pipes::new(7).unwrap();
    let (one, two) = (all.hub(WINDOW, 1).unwrap(), all.hub(WINDOW, 2).unwrap());
    assert_eq!(all.descriptors(), 6);
    assert!(all.hub(WINDOW, 1).is_none(), "there is no descriptor for it");
    drop(two);
    assert!(all.hub(WINDOW, 256).is_some());
    drop(one);
    assert_eq!(all.descriptors(), 0);
}

#[test]
fn where_little_is_left_pipes_are_smaller_and_at_last_there_are_none() {
    let all = Pipes::new(10_000).unwrap();
    let mut hubs = Vec::new();
    while let Some(hub) = all.hub(1 << 20, 2) {
        hubs.push(hub);
    }
    let sizes: Vec<usize> = hubs.iter().map(Hub::room).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.last() < sizes.first(), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 32 << 20, "two pipes each, 64 MiB for all");
}

#[test]
fn a_pipe_that_the_kernel_makes_smaller_is_none() {
    // More than anybody may have.
    assert!(Pipe::new(1 << 31).is_err());
}
