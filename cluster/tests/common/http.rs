//! As much of HTTP/1.1 as the listener of a test needs: reads a request as the crate's own client writes
//! it, and answers it. Knows neither clusters nor links; serves the unit tests and those in `fleet`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PEER_HEADER, PROOF_HEADER, UPGRADE};

/// A request of a node.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// What proves who has made it.
    pub(super) header: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` if it has ended, or makes no sense.
    pub(super) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let mut words = head.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let field = |name: &str| {
            let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
            head.lines().find_map(value)
        };
        let length = field("content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self { method, target, header: field(PEER_HEADER), body })
    }
}

/// Answers a request. A client that has gone does not matter.
pub(super) async fn answer(
    stream: &mut TcpStream,
    status: u16,
    proof: Option<String>,
    body: &[u8],
) {
    let proof = proof.map_or(String::new(), |proof| format!("{PROOF_HEADER}: {proof}\r\n"));
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{proof}\r\n");
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
}

/// Answers that the connection is a link from now on.
pub(super) async fn upgrade(stream: &mut TcpStream, proof: &str) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\
         {PROOF_HEADER}: {proof}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).await;
}
