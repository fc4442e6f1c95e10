//! A server that says what it was told to say: for answers that no relay gives. Knows nothing of
//! what they mean.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::answer::find;

/// What one connection gets.
#[derive(Debug, Clone)]
pub enum Act {
    /// These bytes after the head of a request, then the end.
    Say(String),
    /// The same after its whole chunked body.
    Hear(String),
    /// These bytes, and then nothing for as long as the client stays.
    Hold(String),
}

impl Act {
    /// An answer of 200 with a length.
    pub fn ok(body: &str) -> Act {
        Act::Say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// A download with a length that is met.
    pub fn whole(transfer: &str, body: &str) -> Act {
        Act::Say(format!(
            "HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {transfer}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// An answer without a body.
    pub fn status(line: &str) -> Act {
        Act::Say(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"))
    }

    /// A download without a length that ends cleanly.
    pub fn stream(transfer: &str, body: &str) -> Act {
        Act::Say(format!(
            "HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {transfer}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ))
    }

    /// Events that end cleanly.
    pub fn events(text: &str) -> Act {
        Act::Say(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        ))
    }
}

/// A running server. Its thread ends with the process.
pub struct Canned {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Does one act for each connection, and the last one again and again.
    pub fn start(acts: &[Act]) -> Canned {
        Canned::start_at("127.0.0.1:0".parse().unwrap(), acts)
    }

    /// The same where clients have been told to look for it.
    pub fn start_at(address: SocketAddr, acts: &[Act]) -> Canned {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (acts, seen) = (acts.to_vec(), heads.clone());
        std::thread::spawn(move || {
            for (at, client) in listener.incoming().flatten().enumerate() {
                let (act, seen) = (acts[at.min(acts.len() - 1)].clone(), seen.clone());
                std::thread::spawn(move || serve(client, &act, &seen));
            }
        });
        Canned { address, heads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The http URL of `target` (with its leading `/`).
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, act: &Act, heads: &Mutex<Vec<String>>) {
    let head = read_until(&mut client, b"\r\n\r\n");
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let text = match act {
        Act::Hear(text) => {
            if find(&head, b"\r\n0\r\n\r\n").is_none() {
                read_until(&mut client, b"0\r\n\r\n");
            }
            text
        }
        Act::Say(text) | Act::Hold(text) => text,
    };
    let _ = client.write_all(text.as_bytes());
    if matches!(act, Act::Hold(_)) {
        let _ = client.read_to_end(&mut Vec::new());
        return;
    }
    // A reset would take the answer back.
    let _ = client.shutdown(std::net::Shutdown::Write);
    let _ = client.read_to_end(&mut Vec::new());
}

/// Reads until `end` has come, or there is no more.
fn read_until(client: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while find(&bytes, end).is_none() {
        match client.read(&mut piece) {
            Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    bytes
}
