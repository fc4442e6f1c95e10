//! An HTTP/2 client of our own, for what curl cannot do: many streams on one connection, resets,
//! windows that stay closed, frames that no client sends.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::PATIENCE;

/// One connection.
pub struct Client(SendRequest<Bytes>);

/// The answer to one request, and the way of its body.
pub struct Asked {
    /// The answer to come.
    pub answer: ResponseFuture,
    /// The body.
    pub body: SendStream<Bytes>,
}

impl Client {
    /// Connects with prior knowledge.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &h2::client::Builder::new()).await
    }

    /// The same with settings of its own. Runs on a thread of its own, since tests block.
    pub async fn with(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        let (builder, (say, client)) = (builder.clone(), tokio::sync::oneshot::channel());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let io = TcpStream::connect(address).await.unwrap();
                io.set_nodelay(true).unwrap();
                let (client, connection) = builder.handshake(io).await.unwrap();
                let _ = say.send(client);
                let _ = connection.await;
            });
        });
        Self(client.await.unwrap())
    }

    /// Asks without a body.
    pub async fn get(&mut self, target: &str) -> ResponseFuture {
        self.ask(Method::GET, target, &[], true).await.answer
    }

    /// A sender that has not begun.
    pub async fn put(&mut self, target: &str) -> Asked {
        self.ask(Method::PUT, target, &[], false).await
    }

    /// Any request.
    pub async fn ask(
        &mut self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        end: bool,
    ) -> Asked {
        let uri = format!("http://localhost{target}");
        let mut request = Request::builder().method(method).uri(uri);
        for &(name, value) in fields {
            request = request.header(name, value);
        }
        let mut client = self.0.clone().ready().await.unwrap();
        let (answer, body) = client.send_request(request.body(()).unwrap(), end).unwrap();
        Asked { answer, body }
    }
}

/// The head of an answer, which comes within the patience of a test.
pub async fn head(answer: ResponseFuture) -> Response<RecvStream> {
    timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer")
}

/// The next piece of a body, taken out of its window.
pub async fn piece(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let piece = timeout(PATIENCE, body.data()).await.expect("something in time");
    if let Some(Ok(bytes)) = &piece {
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    piece
}

/// Reads a body until it holds `text`.
pub async fn until(body: &mut RecvStream, text: &str) {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        let piece = piece(body).await;
        let Some(Ok(bytes)) = piece else {
            panic!("{piece:?} after {:?}", String::from_utf8_lossy(&got))
        };
        got.extend_from_slice(&bytes);
    }
}

/// All of a body, and the error it ended with.
pub async fn rest(body: &mut RecvStream) -> (Vec<u8>, Option<h2::Error>) {
    let mut got = Vec::new();
    loop {
        match piece(body).await {
            Some(Ok(bytes)) => got.extend_from_slice(&bytes),
            Some(Err(error)) => return (got, Some(error)),
            None => return (got, None),
        }
    }
}

/// A connection on which frames are written by hand.
pub struct Frames(pub TcpStream);

impl Frames {
    /// Connects and says the preface and empty settings.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut io = TcpStream::connect(address).await.unwrap();
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(io);
        frames.say(4, 0, 0, &[]).await;
        frames
    }

    /// Writes one frame; whether the connection still takes it does not matter.
    pub async fn say(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let _ = self.0.write_all(&frame(kind, flags, stream, body)).await;
    }

    /// Reads until a frame of that kind is whole, and gives it. The connection has to live.
    pub async fn next(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut got = vec![0; 9];
            self.fill(&mut got).await;
            let len = u32::from_be_bytes([0, got[0], got[1], got[2]]) as usize;
            let mut body = vec![0; len];
            self.fill(&mut body).await;
            assert!(got[3] != 7 || kind == 7, "GOAWAY {body:?}");
            got.extend(body);
            if got[3] == kind {
                return got;
            }
        }
    }

    async fn fill(&mut self, into: &mut [u8]) {
        let read = timeout(PATIENCE, self.0.read_exact(into)).await;
        read.expect("a frame in time").expect("the connection lives");
    }

    /// Reads until the end, and gives the reason of the GOAWAY if there was one.
    pub async fn goaway(mut self, limit: Duration) -> Option<u32> {
        let mut got = Vec::new();
        let _ = timeout(limit, self.0.read_to_end(&mut got)).await;
        let mut at = 0;
        while let Some(head) = got.get(at..at + 9) {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if head[3] == 7 {
                let reason = got.get(at + 13..at + 17)?;
                return Some(u32::from_be_bytes(reason.try_into().unwrap()));
            }
            at += 9 + len;
        }
        None
    }
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(body);
    out
}
