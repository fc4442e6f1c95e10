//! A TCP proxy that makes the network bad: tiny segments, delay, a slow line. It never changes a
//! byte and knows nothing of HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// What is wrong with the line, in both directions.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The largest number of bytes written at once.
    pub segment: usize,
    /// How long each byte is on its way.
    pub delay: Duration,
    /// Bytes per second; 0 is unlimited.
    pub rate: u64,
}

/// A running proxy. Dropping it stops new connections; old ones end with their clients.
pub struct Proxy {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy in front of `target`.
    pub fn start(target: SocketAddr, fault: Fault) -> Proxy {
        Proxy::start_at("127.0.0.1:0".parse().unwrap(), target, fault, Duration::ZERO)
    }

    /// The same at that address; the first byte of a client goes out `opening` later than the others: so
    /// long would its connection take.
    pub fn start_at(
        address: SocketAddr,
        target: SocketAddr,
        fault: Fault,
        opening: Duration,
    ) -> Proxy {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                connect(client, target, fault, opening);
            }
        });
        Proxy { address, stopped }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(client: TcpStream, target: SocketAddr, fault: Fault, opening: Duration) {
    let Ok(server) = TcpStream::connect(target) else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let open = Instant::now() + opening;
    let out = (client.try_clone().unwrap(), server.try_clone().unwrap());
    for (from, to) in [out, (server, client)] {
        let (send, pieces) = sync_channel(64);
        std::thread::spawn(move || deliver(&pieces, to, fault));
        std::thread::spawn(move || {
            let mut from = from;
            let mut buffer = [0; 4096];
            // An error (a reset) is passed on as a plain end: FIN or RST, the stream is short.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let due = Instant::now().max(open) + fault.delay;
                if send.send((due, buffer[..count].to_vec())).is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            }
        });
    }
}

/// Writes the pieces when their time has come, in small segments and not faster than the line.
fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, fault: Fault) {
    while let Ok((due, piece)) = pieces.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for segment in piece.chunks(fault.segment) {
            if to.write_all(segment).is_err() {
                return;
            }
            let nanos = (segment.len() as u64 * 1_000_000_000).checked_div(fault.rate);
            std::thread::sleep(Duration::from_nanos(nanos.unwrap_or(0)));
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
