//! One large body for many receivers through TLS, over HTTP/1.1 or HTTP/2. Decrypting costs the driver
//! more than the server, so only the server's CPU time tells something.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::bulk::{Bulk, Took};
use super::client::{get, put};
use super::{RUN_MAX, SETTLE, Target};
use crate::answer::Answer;
use crate::pattern::Pattern;
use crate::usage::Usage;

/// Data of one write, and room for one read.
const PIECE: usize = 256 << 10;

/// What an HTTP/2 client takes without a word: so much that a server seldom waits for it.
const WINDOW: u32 = 16 << 20;

/// The name in the certificate.
pub const HOST: &str = "localhost";

/// Which HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// Clients that trust one certificate.
#[derive(Clone)]
pub struct Clients {
    connector: TlsConnector,
    version: Version,
    pattern: Arc<Pattern>,
}

impl Clients {
    /// Those that speak `version` and trust the certificate (PEM).
    ///
    /// # Errors
    /// It is none.
    pub fn new(version: Version, certificate: &[u8], pattern: Arc<Pattern>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = if version == Version::Two { "h2" } else { "http/1.1" };
        config.alpn_protocols = vec![name.into()];
        Ok(Self { connector: Arc::new(config).into(), version, pattern })
    }

    /// Carries a body with a Content-Length once.
    ///
    /// # Errors
    /// As for [`super::bulk::carry`].
    pub fn carry(&self, target: &Target, bulk: Bulk) -> Result<Took> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let run = tokio::time::timeout(RUN_MAX, self.run(target, bulk));
            run.await.context("nothing came of it")?
        })
    }

    async fn run(&self, target: &Target, bulk: Bulk) -> Result<Took> {
        let before = Usage::of(&target.pids);
        let pipe = target.pipe(bulk.receivers);
        let mut receivers = JoinSet::new();
        for _ in 0..bulk.receivers {
            let sink = Sink { pattern: self.pattern.clone(), verify: bulk.verify, got: 0 };
            let end = self.end(target.receivers).await?;
            let (target, pipe) = (target.clone(), pipe.clone());
            receivers.spawn(async move { end.receive(&target, &pipe, sink).await });
        }
        tokio::time::sleep(SETTLE).await;
        let sender = self.end(target.sender).await?;
        let begun = Instant::now();
        sender.send(target, &pipe, bulk.size, &self.pattern).await.context("the sender")?;
        let mut delivered = 0;
        while let Some(got) = receivers.join_next().await {
            let got = got?.context("a receiver")?;
            ensure!(got == bulk.size, "{got} bytes of {}", bulk.size);
            delivered += got;
        }
        let wall = begun.elapsed();
        // The connections of HTTP/2 end by themselves.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(Took { wall, cpu: Usage::of(&target.pids).since(&before), delivered })
    }

    /// A connection, ready for a request.
    async fn end(&self, server: SocketAddr) -> Result<End> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::try_from(HOST)?, socket).await?;
        if self.version == Version::One {
            return Ok(End::One(Box::new(stream)));
        }
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(stream)
            .await?;
        tokio::spawn(connection);
        Ok(End::Two(requests.ready().await?))
    }
}

/// A connection that carries one request.
enum End {
    One(Box<TlsStream<TcpStream>>),
    Two(SendRequest<Bytes>),
}

/// Where the bytes of one receiver go.
struct Sink {
    pattern: Arc<Pattern>,
    verify: bool,
    got: u64,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let wrong = self.verify.then(|| self.pattern.first_wrong(self.got, bytes)).flatten();
        ensure!(wrong.is_none(), "wrong byte at {wrong:?}");
        self.got += bytes.len() as u64;
        Ok(())
    }
}

impl End {
    /// Receives a whole body; gives its length.
    async fn receive(self, target: &Target, pipe: &str, mut sink: Sink) -> Result<u64> {
        match self {
            Self::One(mut stream) => {
                stream.write_all(get(target, pipe).as_bytes()).await?;
                read_answer(&mut stream, &mut sink).await?;
            }
            Self::Two(mut requests) => {
                let request = Request::get(url(pipe)).body(())?;
                let (answer, _) = requests.send_request(request, true)?;
                read_stream(answer, &mut sink).await?;
            }
        }
        Ok(sink.got)
    }

    /// Sends a whole body and reads the answer.
    async fn send(
        self,
        target: &Target,
        pipe: &str,
        size: u64,
        bytes: &Arc<Pattern>,
    ) -> Result<()> {
        let mut sink = Sink { pattern: bytes.clone(), verify: false, got: 0 };
        let mut sent = 0;
        let mut piece = move || {
            let len = usize::try_from(size - sent).unwrap_or(usize::MAX).min(PIECE);
            let at = sent;
            sent += len as u64;
            (len > 0).then_some((at, len, sent == size))
        };
        match self {
            Self::One(mut stream) => {
                stream.write_all(put(target, pipe, Some(size)).as_bytes()).await?;
                while let Some((at, len, _)) = piece() {
                    stream.write_all(bytes.at(at, len)).await?;
                }
                stream.flush().await?;
                read_answer(&mut stream, &mut sink).await
            }
            Self::Two(mut requests) => {
                let request = Request::put(url(pipe)).header("content-length", size).body(())?;
                let (answer, mut body) = requests.send_request(request, false)?;
                // The answer comes while the body goes; both have room for all that waits.
                let answer = tokio::spawn(async move { read_stream(answer, &mut sink).await });
                while let Some((at, len, last)) = piece() {
                    let mut data = Bytes::copy_from_slice(bytes.at(at, len));
                    while !data.is_empty() {
                        body.reserve_capacity(data.len());
                        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
                        let part =
                            data.split_to(room.context("the stream is over")??.min(data.len()));
                        body.send_data(part, last && data.is_empty())?;
                    }
                }
                answer.await?
            }
        }
    }
}

fn url(pipe: &str) -> String {
    format!("https://{HOST}{pipe}")
}

async fn read_answer(stream: &mut TlsStream<TcpStream>, sink: &mut Sink) -> Result<()> {
    let (mut answer, mut buffer) = (Answer::new(), vec![0; PIECE]);
    while !answer.is_done() {
        let got = stream.read(&mut buffer).await?;
        if got == 0 {
            return answer.closed();
        }
        let mut taken = Ok(());
        answer.feed(&buffer[..got], &mut |_, bytes| {
            if taken.is_ok() {
                taken = sink.take(bytes);
            }
        })?;
        taken?;
    }
    Ok(())
}

async fn read_stream(answer: h2::client::ResponseFuture, sink: &mut Sink) -> Result<()> {
    let answer = answer.await?;
    ensure!(answer.status() == 200, "refused with {}", answer.status());
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        sink.take(&data)?;
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(())
}
