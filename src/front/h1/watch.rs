//! A spectator over HTTP/1.x: events as they come, in chunks, until the end or until its client leaves.
//! Knows neither what is said nor when.

use std::time::Duration;

use ::http::header::{HeaderValue, TRANSFER_ENCODING};
use ::http::{StatusCode, Version};
use tokio::time::timeout;

use super::{After, Exchange, answer};
use crate::flow::chunked::{CHUNK_HEAD_MAX, LAST_CHUNK, chunk_head};
use crate::front::socket;
use crate::http::admission::WatchRequest;
use crate::http::progress::{self, Events, Opened};
use crate::http::reply;

/// How long a spectator may take to accept one event, behind at most 64 KiB that the kernel holds. One
/// that reads nothing for so long is dropped.
const TAKE_MAX: Duration = Duration::from_secs(30);

/// Serves one spectator.
pub async fn exchange(x: Exchange<'_>, request: WatchRequest) -> After {
    let _spectator = match x.ctx.gate.spectate() {
        Ok(spectator) => spectator,
        Err(refusal) => return x.refuse(&refusal).await,
    };
    match progress::open(&x.ctx.edge, request).await {
        Ok(Opened::Reply(reply)) => x.finish(reply).await,
        Ok(Opened::Events(events)) => stream(x, *events).await,
        Err(refusal) => x.finish(reply::refuse(&refusal)).await,
    }
}

async fn stream(x: Exchange<'_>, mut events: Events) -> After {
    socket::limit_unsent(x.io.socket().stream());
    let close = x.must_close() || x.version == Version::HTTP_10;
    let said = tokio::select! {
        said = say(&x, &mut events, close) => said,
        () = x.io.gone() => None,
    };
    match said {
        None => After::Close,
        Some(()) if close => {
            answer::linger(x.io).await;
            After::Close
        }
        Some(()) => After::Reuse(x.read),
    }
}

/// Writes everything to the end; `None` if the client does not take it.
async fn say(x: &Exchange<'_>, events: &mut Events, close: bool) -> Option<()> {
    let mut headers = progress::headers();
    let chunked = x.version != Version::HTTP_10;
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut out = answer::head(x.version, StatusCode::OK, &headers);
    answer::end_head(&mut out, close);
    while let Some(text) = events.next().await {
        frame(&mut out, chunked, text.as_bytes());
        // What happens meanwhile waits in a small inbox.
        write(x, &out).await?;
        out.clear();
    }
    out.extend_from_slice(if chunked { LAST_CHUNK } else { b"" });
    write(x, &out).await
}

fn frame(out: &mut Vec<u8>, chunked: bool, text: &[u8]) {
    if !chunked {
        return out.extend_from_slice(text);
    }
    let mut size = [0; CHUNK_HEAD_MAX];
    out.extend_from_slice(chunk_head(&mut size, text.len()));
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

async fn write(x: &Exchange<'_>, bytes: &[u8]) -> Option<()> {
    timeout(TAKE_MAX, x.io.write_all(bytes)).await.ok()?.ok()
}
