//! Dials the sender's node for one trunk and waits for its answer. Knows neither receivers nor bytes.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use hoody_pipe_cluster::{Cluster, NodeId, PROOF_HEADER, Signed, Unproven};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::frames::{self, Dial};
use super::line;
use crate::pipe::TransferId;

/// How often one dial is made: once more when the listener's clock was not known.
const ATTEMPTS: usize = 2;

/// The answer to a dial.
#[derive(Debug)]
pub enum Picked {
    /// The transfer is on; this is its trunk.
    Up {
        /// The connection, of which nothing may be read before `ahead`.
        stream: TcpStream,
        /// What was read of it already.
        ahead: BytesMut,
    },
    /// Attach again.
    Undone,
    /// It has started without this trunk.
    Late,
}

/// There was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The connection broke.
    Broken,
    /// There is no way to that node, or it is none of ours.
    Unreachable,
}

/// What one attempt has come to.
enum Heard {
    Picked(Picked),
    /// The listener's clock was not known, and is now.
    Stale,
}

/// Dials, and waits for as long as the other side keeps the line. Of what comes over the connection the
/// kernel holds at most `window` bytes, see [`line::receive_buffer`]. Dropping it hangs up.
///
/// # Errors
/// There was no answer.
pub async fn dial(
    cluster: Cluster,
    node: NodeId,
    transfer: TransferId,
    dial: Dial,
    window: usize,
) -> Result<Picked, Unanswered> {
    let target = format!("/trunk/{transfer}");
    let body = Bytes::from(frames::encode(&dial).map_err(|_| Unanswered::Unreachable)?);
    for _ in 0..ATTEMPTS {
        let signed = cluster.sign(node, "POST", &target).ok_or(Unanswered::Unreachable)?;
        let stream = cluster.connect(&signed, line::receive_buffer(window)).await;
        let stream = stream.map_err(|_| Unanswered::Unreachable)?;
        line::prepare(&stream).map_err(|_| Unanswered::Broken)?;
        let (send, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Unanswered::Broken)?;
        let mut exchange =
            pin!(exchange(&cluster, &signed, request(&signed, &target, &body)?, send));
        // The connection may be through before its answer has been looked at.
        let heard = tokio::select! {
            biased;
            heard = &mut exchange => heard,
            _ = connection.with_upgrades() => exchange.await,
        };
        if let Heard::Picked(picked) = heard? {
            return Ok(picked);
        }
    }
    Err(Unanswered::Unreachable)
}

fn request(
    signed: &Signed,
    target: &str,
    body: &Bytes,
) -> Result<Request<Full<Bytes>>, Unanswered> {
    let (name, value) = &signed.header;
    Request::post(target)
        .header(HOST, &signed.addr)
        .header(*name, value)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, super::UPGRADE)
        .body(Full::new(body.clone()))
        .map_err(|_| Unanswered::Unreachable)
}

/// One request and its answer, while somebody drives the connection.
async fn exchange(
    cluster: &Cluster,
    signed: &Signed,
    request: Request<Full<Bytes>>,
    mut send: SendRequest<Full<Bytes>>,
) -> Result<Heard, Unanswered> {
    let answer = send.send_request(request).await.map_err(|_| Unanswered::Broken)?;
    match cluster.verify(signed, answer.status().as_u16(), proof(&answer)) {
        Ok(()) => picked(answer).await.map(Heard::Picked),
        Err(Unproven::Stale) => Ok(Heard::Stale),
        Err(Unproven::Forged) => Err(Unanswered::Unreachable),
    }
}

async fn picked(answer: Response<Incoming>) -> Result<Picked, Unanswered> {
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            let upgraded = hyper::upgrade::on(answer).await.map_err(|_| Unanswered::Broken)?;
            let parts = upgraded.downcast::<TokioIo<TcpStream>>();
            let parts = parts.map_err(|_| Unanswered::Broken)?;
            let ahead = BytesMut::from(&parts.read_buf[..]);
            Ok(Picked::Up { stream: parts.io.into_inner(), ahead })
        }
        StatusCode::CONFLICT => Ok(Picked::Undone),
        StatusCode::GONE => Ok(Picked::Late),
        _ => Err(Unanswered::Unreachable),
    }
}

fn proof(answer: &Response<Incoming>) -> Option<&str> {
    answer.headers().get(PROOF_HEADER)?.to_str().ok()
}
