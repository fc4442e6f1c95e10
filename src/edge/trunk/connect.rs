//! Dials the sender's node for one trunk and waits for its answer. Knows neither receivers nor bytes.

use std::cell::OnceCell;

use hoody_pipe_cluster::{Cluster, NodeId, PROOF_HEADER, Unproven};
use reqwest::header::{CONNECTION, UPGRADE};
use reqwest::{Client, Response, StatusCode, Upgraded};

use super::frames::{self, Dial};
use crate::pipe::TransferId;

/// How often one dial is made: once more when the listener's clock was not known.
const ATTEMPTS: usize = 2;

/// The answer to a dial.
#[derive(Debug)]
pub enum Picked {
    /// The transfer is on; this is its trunk.
    Up(Upgraded),
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

thread_local! {
    /// The client of this thread: a connection belongs to the reactor of the thread that made it.
    static CLIENT: OnceCell<Client> = const { OnceCell::new() };
}

/// Dials, and waits for as long as the other side keeps the line. Dropping it hangs up.
///
/// # Errors
/// There was no answer.
pub async fn dial(
    cluster: Cluster,
    node: NodeId,
    transfer: TransferId,
    dial: Dial,
) -> Result<Picked, Unanswered> {
    let target = format!("/trunk/{transfer}");
    let body = frames::encode(&dial).map_err(|_| Unanswered::Unreachable)?;
    let client = client().ok_or(Unanswered::Unreachable)?;
    for _ in 0..ATTEMPTS {
        let signed = cluster.sign(node, "POST", &target).ok_or(Unanswered::Unreachable)?;
        let (name, value) = &signed.header;
        let request = client.post(&signed.url).header(*name, value).body(body.clone());
        let request = request.header(CONNECTION, "upgrade").header(UPGRADE, super::UPGRADE);
        let answer = request.send().await.map_err(|error| missing(&error))?;
        match cluster.verify(&signed, answer.status().as_u16(), proof(&answer)) {
            Ok(()) => return picked(answer).await,
            Err(Unproven::Stale) => {}
            Err(Unproven::Forged) => return Err(Unanswered::Unreachable),
        }
    }
    Err(Unanswered::Unreachable)
}

async fn picked(answer: Response) -> Result<Picked, Unanswered> {
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            answer.upgrade().await.map(Picked::Up).map_err(|_| Unanswered::Broken)
        }
        StatusCode::CONFLICT => Ok(Picked::Undone),
        StatusCode::GONE => Ok(Picked::Late),
        _ => Err(Unanswered::Unreachable),
    }
}

fn proof(answer: &Response) -> Option<&str> {
    answer.headers().get(PROOF_HEADER)?.to_str().ok()
}

fn missing(error: &reqwest::Error) -> Unanswered {
    if error.is_connect() { Unanswered::Unreachable } else { Unanswered::Broken }
}

fn client() -> Option<Client> {
    CLIENT.with(|cell| {
        let client = cell.get().cloned().or_else(build)?;
        Some(cell.get_or_init(|| client).clone())
    })
}

/// Without unused connections: a trunk has one of its own.
fn build() -> Option<Client> {
    hoody_pipe_cluster::client(0)
        .inspect_err(|error| tracing::error!(%error, "no client for trunks"))
        .ok()
}
