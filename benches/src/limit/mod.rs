//! A relay that does nothing right but move bytes: what this machine can do at all.
//!
//! One transfer at a time, Content-Length only, on one thread. It believes every head, survives no
//! client that leaves, and refuses nothing. Knows how to meet; the modules below know how to move.

mod copy;
mod even;
mod splice;
mod tls;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::net::{RecvFlags, recv};

/// Longest head of the driver's requests; they are under 300 bytes.
const HEAD_MAX: usize = 4 << 10;

/// How often a head may be looked at before it is whole; the driver writes it at once.
const LOOKS_MAX: usize = 10_000;

/// How the bytes are moved.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Mode {
    /// Never through this process: splice from the sender, tee for each receiver, splice to it.
    Splice {
        /// Size of each pipe, in bytes.
        #[arg(long, default_value_t = 1 << 20)]
        pipe: usize,
    },
    /// One read, and one write for each receiver.
    Copy {
        /// Bytes of one read.
        #[arg(long, default_value_t = 256 << 10)]
        block: usize,
    },
    /// The same through TLS, decrypted once and encrypted for each receiver.
    Tls {
        /// The certificate, PEM.
        #[arg(long)]
        cert: PathBuf,
        /// Its key, PEM.
        #[arg(long)]
        key: PathBuf,
    },
}

/// One request, and where it came from.
struct Party<S> {
    socket: S,
    head: String,
}

/// A sender and its receivers, which have got their heads.
struct Meeting<S> {
    sender: S,
    receivers: Vec<S>,
    /// Bytes of the body.
    size: u64,
}

/// Listens on any port of loopback, says so on stdout, and relays until it is killed.
///
/// # Errors
/// The system refuses something, or a client is not the driver.
pub fn run(mode: &Mode) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on limit://{}", listener.local_addr()?);
    serve(&listener, mode)
}

/// Relays what comes to `listener`, for ever.
///
/// # Errors
/// As for [`run`].
pub fn serve(listener: &TcpListener, mode: &Mode) -> Result<()> {
    match mode {
        Mode::Splice { pipe } => {
            let mut pipes = splice::Pipes::new(*pipe);
            each(listener, &mut plain, &mut |meeting| splice::relay(meeting, &mut pipes))
        }
        Mode::Copy { block } => {
            let mut block = vec![0; *block];
            each(listener, &mut plain, &mut |meeting| copy::relay(meeting, &mut block))
        }
        Mode::Tls { cert, key } => {
            let config = tls::config(cert, key)?;
            each(listener, &mut |socket| tls::accept(socket, &config), &mut tls::relay)
        }
    }
}

/// Brings parties together, the first that come, and has them relayed.
fn each<S: Write>(
    listener: &TcpListener,
    accept: &mut dyn FnMut(TcpStream) -> Result<Party<S>>,
    relay: &mut dyn FnMut(&mut Meeting<S>) -> Result<()>,
) -> Result<()> {
    let (mut sender, mut receivers) = (None, Vec::new());
    loop {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let party = accept(socket)?;
        match party.head.starts_with("GET ") {
            true => receivers.push(party.socket),
            false => sender = Some(party),
        }
        let Some(Party { socket, head }) =
            sender.take_if(|sender| receivers.len() >= n(&sender.head))
        else {
            continue;
        };
        let size = length(&head)?;
        let mut meeting =
            Meeting { sender: socket, receivers: std::mem::take(&mut receivers), size };
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
        for receiver in &mut meeting.receivers {
            receiver.write_all(head.as_bytes())?;
        }
        relay(&mut meeting)?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        meeting.sender.write_all(answer)?;
        meeting.sender.flush()?;
    }
}

/// Reads the head of a request, and not one byte more.
fn plain(socket: TcpStream) -> Result<Party<TcpStream>> {
    let mut bytes = [0; HEAD_MAX];
    for _ in 0..LOOKS_MAX {
        let (seen, _) = recv(&socket, &mut bytes[..], RecvFlags::PEEK)?;
        if let Some(end) = end_of_head(&bytes[..seen]) {
            recv(&socket, &mut bytes[..end], RecvFlags::WAITALL)?;
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok(Party { socket, head });
        }
        if seen == 0 {
            break;
        }
        std::thread::yield_now();
    }
    bail!("no head of a request")
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// How many receivers a head states.
fn n(head: &str) -> usize {
    let stated = head.split_once("?n=").map(|(_, rest)| rest);
    let number = stated.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The length of the body that follows a head.
fn length(head: &str) -> Result<u64> {
    let mut values = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
    let value = values.next().context("this relay moves only bodies with a Content-Length")?;
    Ok(value.trim().parse()?)
}
