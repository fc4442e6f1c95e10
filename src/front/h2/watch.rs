//! A spectator over HTTP/2: events as they come until the end, or until its client leaves. Knows
//! neither what is said nor when.

use std::time::Duration;

use ::http::StatusCode;
use bytes::Bytes;
use tokio::time::timeout;

use super::stream::Exchange;
use crate::http::admission::WatchRequest;
use crate::http::progress::{self, Events, Opened};

/// How long a spectator may take to accept one event. One that reads nothing for so long is dropped.
const TAKE_MAX: Duration = Duration::from_secs(30);

/// Serves one spectator.
pub async fn exchange(x: Exchange, request: WatchRequest) {
    let _spectator = match x.shared.ctx.gate.spectate() {
        Ok(spectator) => spectator,
        Err(refusal) => return x.refuse(&refusal).await,
    };
    match progress::open(&x.shared.ctx.edge, request).await {
        Ok(Opened::Reply(reply)) => x.finish(reply).await,
        Ok(Opened::Events(events)) => stream(x, *events).await,
        Err(refusal) => x.refuse(&refusal).await,
    }
}

/// Says everything to the end. Returning before it is a cut.
async fn stream(mut x: Exchange, mut events: Events) {
    if x.answer.open(StatusCode::OK, progress::headers(), false).is_err() {
        return;
    }
    loop {
        let text = tokio::select! {
            text = events.next() => text,
            () = x.answer.gone() => return,
        };
        let (bytes, end) = text.map_or((Bytes::new(), true), |text| (Bytes::from(text), false));
        // What happens meanwhile waits in a small inbox.
        match timeout(TAKE_MAX, x.answer.pass(bytes, end)).await {
            Ok(Ok(())) if end => return x.answer.settle().await,
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
