//! `?status`: what is at a name, or became of a transfer, as JSON (spec §16). Knows no sockets.

use ::http::StatusCode;
use serde::Serialize;

use super::admission::StatusRequest;
use super::figures::{Seconds, eta, speed};
use super::reply::failure_reason;
use super::{Refusal, Reply};
use crate::edge::Edge;
use crate::pipe::{Snapshot, State};

/// Asks the owner of the name.
///
/// # Errors
/// There is no such transfer at this name, or the owner did not answer.
pub async fn answer(edge: &Edge, request: StatusRequest) -> Result<Reply, Refusal> {
    let StatusRequest { path, transfer } = request;
    match edge.status(&path, transfer).await {
        Ok(Some(snapshot)) => Ok(reply(&snapshot)),
        Ok(None) => Err(Refusal::UnknownTransfer),
        Err(why) => Err(Refusal::Failed(why)),
    }
}

fn reply(snapshot: &Snapshot) -> Reply {
    let body = serde_json::to_vec(&Status::of(snapshot)).expect("plain facts are JSON");
    Reply::body(StatusCode::OK, "application/json", body)
}

/// The answer, in the order of the specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    state: &'static str,
    kind: Option<&'static str>,
    /// Always null: only WebSocket pairs have peers, and those belong to a later version.
    peers: Option<u16>,
    transfer_id: Option<String>,
    has_sender: bool,
    active_receivers: u16,
    total_receivers: Option<u16>,
    bytes_transferred: u64,
    total_bytes: Option<u64>,
    speed: u64,
    eta: Option<u64>,
    elapsed: Seconds,
    reason: Option<String>,
    sha256: Option<&'a str>,
}

impl<'a> Status<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let Snapshot { state, bytes, total, elapsed_ms, .. } = snapshot;
        let speed = speed(*bytes, *elapsed_ms);
        Self {
            state: word(state),
            kind: (*state != State::Idle).then_some("pipe"),
            peers: None,
            transfer_id: snapshot.id.as_ref().map(ToString::to_string),
            has_sender: snapshot.has_sender,
            active_receivers: snapshot.receivers,
            total_receivers: snapshot.n,
            bytes_transferred: *bytes,
            total_bytes: *total,
            speed,
            eta: eta(*bytes, *total, speed).filter(|_| *state == State::Streaming),
            elapsed: Seconds { ms: *elapsed_ms },
            reason: reason(state),
            sha256: snapshot.digest.as_deref(),
        }
    }
}

/// The name of a state.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Waiting => "waiting",
        State::Streaming => "streaming",
        State::Complete => "complete",
        State::Failed(_) => "failed",
    }
}

/// Why it failed, if it did.
pub fn reason(state: &State) -> Option<String> {
    match state {
        State::Failed(why) => Some(failure_reason(why)),
        State::Idle | State::Waiting | State::Streaming | State::Complete => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pipe::Failure;

    fn shown(snapshot: &Snapshot) -> String {
        let reply = reply(snapshot);
        assert_eq!((reply.status, reply.headers.len()), (StatusCode::OK, 4));
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["content-type"], "application/json");
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn an_unused_name_is_idle() {
        let expected = r#"{"state":"idle","kind":null,"peers":null,"transferId":null,"hasSender":false,"activeReceivers":0,"totalReceivers":null,"bytesTransferred":0,"totalBytes":null,"speed":0,"eta":null,"elapsed":0.0,"reason":null,"sha256":null}"#;
        assert_eq!(shown(&Snapshot::idle()), expected);
    }

    #[test]
    fn a_running_transfer_has_speed_and_eta() {
        let snapshot = Snapshot {
            state: State::Streaming,
            has_sender: true,
            receivers: 2,
            n: Some(3),
            bytes: 3000,
            total: Some(10_000),
            elapsed_ms: 1500,
            digest: None,
            id: Some("abcdefghij-_0123".into()),
        };
        let expected = r#"{"state":"streaming","kind":"pipe","peers":null,"transferId":"abcdefghij-_0123","hasSender":true,"activeReceivers":2,"totalReceivers":3,"bytesTransferred":3000,"totalBytes":10000,"speed":2000,"eta":4,"elapsed":1.5,"reason":null,"sha256":null}"#;
        assert_eq!(shown(&snapshot), expected);
        let state = State::Failed(Failure::Cancelled(Some("a \"b\"".into())));
        let shown = shown(&Snapshot { state, ..snapshot });
        assert!(
            shown.contains(r#""eta":null,"elapsed":1.5,"reason":"Cancelled: a \"b\"""#),
            "{shown}"
        );
    }
}
