//! `?progress`: what happens at a name, as Server-Sent Events (spec §16). `Feed` decides what is said
//! when and is pure; [`Events`] feeds it. Knows no sockets: a front writes each text as it comes.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, VARY};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::admission::WatchRequest;
use super::figures::{Seconds, eta, speed};
use super::status::{reason, word};
use super::{Refusal, Reply};
use crate::edge::{Edge, Watched, Watching};
use crate::pipe::{Snapshot, State};

/// The least time between two `progress` events (spec §16).
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// After events have gone out, changes are gathered for so long and go out together: what people can
/// follow, and a busy name costs each spectator 20 writes a second. An end does not wait.
const GATHER: Duration = Duration::from_millis(50);
/// How often a comment shows that the stream lives (spec §16).
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a spectator may watch (spec §20). EventSource comes back by itself.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// How a spectator's request begins.
pub enum Opened {
    /// A stream: [`headers`], then each text of [`Events::next`].
    Events(Box<Events>),
    /// A whole answer: it has seen the end already.
    Reply(Reply),
}

/// Asks the owner of the name whether it may watch.
///
/// # Errors
/// There are too many spectators, or the owner did not answer.
pub async fn open(edge: &Edge, request: WatchRequest) -> Result<Opened, Refusal> {
    let WatchRequest { path, resumed } = request;
    let mut watching = Watching::new(edge, path.clone());
    match watching.first().await {
        Watched::Snapshot(first) if first.is_over() && resumed => {
            Ok(Opened::Reply(Reply::empty(StatusCode::NO_CONTENT)))
        }
        Watched::Snapshot(first) => Ok(Opened::Events(Box::new(Events::new(watching, first)))),
        Watched::Refused(why) => Err(Refusal::Rejected(why, path)),
        Watched::Failed(why) => Err(Refusal::Failed(why)),
    }
}

/// The headers of an event stream, without those of its framing.
pub fn headers() -> HeaderMap {
    const FIELDS: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (VARY, "Accept"),
    ];
    let reply = Reply::body(StatusCode::OK, "text/plain", "");
    let set = |reply: Reply, (name, value)| reply.with(name, HeaderValue::from_static(value));
    FIELDS.into_iter().fold(reply, set).headers
}

/// The events of one spectator. Dropping it ends the watch.
pub struct Events {
    watching: Watching,
    feed: Feed,
    began: Instant,
    /// When the feed wants to be asked again; `None`: it is over.
    next: Option<Next>,
}

impl Events {
    fn new(watching: Watching, first: Arc<Snapshot>) -> Self {
        let next = Next { wake: Duration::ZERO, rest: Duration::ZERO };
        Self { watching, feed: Feed::new(first), began: Instant::now(), next: Some(next) }
    }

    /// The next events, whole; `None` at the end. What changes while nobody asks is kept as far as
    /// [`Watching::next`] says.
    pub async fn next(&mut self) -> Option<String> {
        let mut text = String::new();
        while text.is_empty() {
            let first = self.wait(self.next?).await;
            let mut news = Vec::new();
            let mut over = false;
            for watched in first.into_iter().chain(std::iter::from_fn(|| self.watching.more())) {
                match watched {
                    Watched::Snapshot(snapshot) => news.push(snapshot),
                    Watched::Refused(_) | Watched::Failed(_) => over = true,
                }
            }
            self.next = self.feed.step(self.began.elapsed(), news, &mut text);
            if over {
                self.next = None;
            }
        }
        Some(text)
    }

    /// Waits for something to say: a change, or time. While the feed rests, for an end or for time.
    async fn wait(&mut self, Next { wake, rest }: Next) -> Option<Watched> {
        if self.began.elapsed() < rest {
            tokio::select! {
                () = self.watching.urgent() => None,
                () = sleep_until(self.began + wake.min(rest)) => None,
            }
        } else {
            tokio::select! {
                watched = self.watching.next() => Some(watched),
                () = sleep_until(self.began + wake) => None,
            }
        }
    }
}

/// When a feed is to be asked again. Times are counted from the beginning of the stream.
#[derive(Debug, Clone, Copy)]
struct Next {
    /// At the latest.
    wake: Duration,
    /// Changes are kept until then, unless one is an end.
    rest: Duration,
}

/// Turns snapshots and time into events. Times are counted from the beginning of the stream.
#[derive(Debug)]
struct Feed {
    /// The newest snapshot, and when it came.
    seen: (Arc<Snapshot>, Duration),
    /// The last `state`.
    face: Option<Face>,
    /// The last `progress`: bytes, receivers, and when it was said.
    moved: Option<((u64, u16), Duration)>,
    /// Comments so far.
    comments: u32,
    /// Events so far.
    events: u64,
    /// It gathers changes until then.
    rest: Duration,
}

impl Feed {
    /// A stream that begins with this.
    fn new(first: Arc<Snapshot>) -> Self {
        let (seen, rest) = ((first, Duration::ZERO), Duration::ZERO);
        Self { seen, face: None, moved: None, comments: 0, events: 0, rest }
    }

    /// Writes what is to be said now, `news` in their order; says when to be asked again. `None`: the
    /// stream is over.
    fn step(&mut self, now: Duration, news: Vec<Arc<Snapshot>>, text: &mut String) -> Option<Next> {
        let mut news = news.into_iter();
        loop {
            if self.tell(text) {
                return None;
            }
            let Some(snapshot) = news.next() else { break };
            self.seen = (snapshot, now);
        }
        let next = self.progress(now, text);
        if now >= LIFE {
            return None;
        }
        if now >= KEEPALIVE_EVERY * (self.comments + 1) {
            self.comments = u32::try_from(now.as_secs() / KEEPALIVE_EVERY.as_secs()).unwrap_or(0);
            text.push_str(":keepalive\n\n");
        }
        if !text.is_empty() {
            self.rest = now + GATHER;
        }
        let wake = LIFE.min(KEEPALIVE_EVERY * (self.comments + 1));
        let wake = next.map_or(wake, |next| next.min(wake));
        Some(Next { wake, rest: self.rest })
    }

    /// Says where it stands now, if that is new; true if this is the end.
    fn tell(&mut self, text: &mut String) -> bool {
        let snapshot = self.seen.0.clone();
        if snapshot.is_over() {
            self.say("done", &Done::of(&snapshot), text);
            return true;
        }
        if snapshot.state != State::Streaming {
            self.moved = None;
        }
        self.show(Face::of(&snapshot), text);
        false
    }

    fn show(&mut self, face: Face, text: &mut String) {
        if self.face.as_ref() != Some(&face) {
            self.say("state", &face, text);
            self.face = Some(face);
        }
    }

    /// Says how far it has come, if that is new; or when it may be said.
    fn progress(&mut self, now: Duration, text: &mut String) -> Option<Duration> {
        let (snapshot, since) = self.seen.clone();
        let here = (snapshot.bytes, snapshot.receivers);
        if snapshot.state != State::Streaming {
            return None;
        }
        if let Some((there, at)) = self.moved {
            if here == there {
                return None;
            }
            if now < at + PROGRESS_EVERY {
                return Some(at + PROGRESS_EVERY);
            }
        }
        self.moved = Some((here, now));
        let age_ms = u64::try_from(now.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        self.say("progress", &Progress::of(&snapshot, age_ms), text);
        None
    }

    fn say(&mut self, event: &str, data: &impl Serialize, text: &mut String) {
        self.events += 1;
        let data = serde_json::to_string(data).expect("plain facts are JSON");
        text.push_str(&format!("event: {event}\nid: {}\ndata: {data}\n\n", self.events));
    }
}

/// The event `state`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Face {
    state: &'static str,
    has_sender: bool,
    active_receivers: u16,
    total_receivers: u16,
}

impl Face {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            state: word(&snapshot.state),
            has_sender: snapshot.has_sender,
            active_receivers: snapshot.receivers,
            total_receivers: snapshot.n.unwrap_or(0),
        }
    }
}

/// The event `progress`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    bytes_transferred: u64,
    total_bytes: Option<u64>,
    speed: u64,
    eta: Option<u64>,
    active_receivers: u16,
    elapsed: Seconds,
}

impl Progress {
    /// Of a snapshot that came `age_ms` ago.
    fn of(snapshot: &Snapshot, age_ms: u64) -> Self {
        let Snapshot { bytes, total, receivers, .. } = *snapshot;
        let ms = snapshot.elapsed_ms.saturating_add(age_ms);
        let speed = speed(bytes, ms);
        Self {
            bytes_transferred: bytes,
            total_bytes: total,
            speed,
            eta: eta(bytes, total, speed),
            active_receivers: receivers,
            elapsed: Seconds { ms },
        }
    }
}

/// The event `done`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    state: &'static str,
    bytes_transferred: u64,
    duration: Seconds,
    avg_speed: u64,
    reason: Option<String>,
    sha256: Option<&'a str>,
    transfer_id: Option<String>,
}

impl<'a> Done<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            state: word(&snapshot.state),
            bytes_transferred: snapshot.bytes,
            duration: Seconds { ms: snapshot.elapsed_ms },
            avg_speed: speed(snapshot.bytes, snapshot.elapsed_ms),
            reason: reason(&snapshot.state),
            sha256: snapshot.digest.as_deref(),
            transfer_id: snapshot.id.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests;
