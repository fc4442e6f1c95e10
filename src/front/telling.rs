//! What a sender is told, from events to words; the same over every protocol. How words are written
//! and when they arrive is the protocol's business.

use std::time::Duration;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, StatusCode};

use super::gate::Waiting;
use crate::edge::{SendEvent, SendWish};
use crate::flow::Source;
use crate::http::admission::SendRequest;
use crate::http::upload::Upload;
use crate::http::{Reply, reply};
use crate::pipe::{Failure, Head, Notice, Reject};

/// Between `100 Continue` and the final head: some proxies lose the body when both share a segment
/// (spec §7).
pub const AFTER_CONTINUE: Duration = Duration::from_millis(50);

/// After a multipart body's usable part, the rest is read and dropped for this long (spec §14).
pub const EPILOGUE_MAX: Duration = Duration::from_secs(30);

/// Lines that wait for a client that does not read (spec §9); beyond it only those go in that must.
pub const QUEUE_MAX: usize = 16 << 10;

/// How a sender's exchange ended.
pub enum End {
    /// It has no place: answer with this.
    Refused(Reject),
    /// Everything was said; a clean end follows.
    Complete,
    /// The failure's line was said, or is the quiet answer; a cut follows.
    Failed(Failure),
}

/// What to say now.
pub enum Word {
    /// The sender has its place: the head of a live answer goes out.
    Admitted,
    /// A line of a live answer; `must`: it is said even if the client reads nothing.
    Line {
        /// With its line end.
        text: String,
        /// Not to be dropped.
        must: bool,
    },
    /// Nothing.
    Silence,
}

/// One sender's side of the conversation.
pub struct Telling {
    waiting: Waiting,
    /// The head of a live answer has gone out, or would have.
    admitted: bool,
    /// For a quiet answer: its lines so far.
    quiet: Option<String>,
    end: Option<End>,
}

impl Telling {
    /// Nothing heard yet. `quiet`: one final answer instead of lines (spec §9).
    pub fn new(waiting: Waiting, quiet: bool) -> Self {
        Self { waiting, admitted: false, quiet: quiet.then(String::new), end: None }
    }

    /// Is there only one final answer?
    pub fn is_quiet(&self) -> bool {
        self.quiet.is_some()
    }

    /// Takes in what happened.
    pub fn hear(&mut self, event: SendEvent) -> Word {
        match event {
            SendEvent::Admitted => {
                self.admitted = true;
                Word::Admitted
            }
            SendEvent::Refused(why) => {
                self.finish(End::Refused(why));
                Word::Silence
            }
            SendEvent::Notice(notice) => self.tell(notice),
            // Whoever drives the sender has looked at these.
            SendEvent::Confirm { .. } | SendEvent::Over => Word::Silence,
        }
    }

    fn tell(&mut self, notice: Notice) -> Word {
        let text = reply::line(&notice);
        let last = matches!(notice, Notice::Digest(_) | Notice::Sent(_) | Notice::Complete);
        match notice {
            Notice::Streaming { .. } => self.waiting.over(),
            Notice::Complete => self.finish(End::Complete),
            Notice::AllGone => self.finish(End::Failed(Failure::ReceiversGone)),
            Notice::Failed(why) => self.finish(End::Failed(why)),
            _ => {}
        }
        // Without a place there is no live answer: who waited in vain for one gets a final one.
        if !self.admitted {
            self.quiet.get_or_insert_default();
        }
        match &mut self.quiet {
            None => Word::Line { text, must: last || self.end.is_some() },
            Some(lines) => {
                if last {
                    lines.push_str(&text);
                }
                Word::Silence
            }
        }
    }

    /// Its client may take its time to read the end: the wait is over now.
    fn finish(&mut self, end: End) {
        self.waiting.over();
        self.end = Some(end);
    }

    /// How it ended, once; `None` if the client is gone.
    pub fn end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// The one answer to a quiet sender whose transfer is complete.
    pub fn whole(&mut self) -> Reply {
        Reply::text(StatusCode::OK, self.quiet.take().unwrap_or_default())
    }
}

/// The fields of a live answer (spec §9).
pub fn live_fields() -> HeaderMap {
    const FIELDS: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "none"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    FIELDS.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect()
}

/// A sender's wish and its body, read from `source`. A plain body is held to the length `held`;
/// `protocol` is for the log.
pub fn party<S: Source<Error = Failure>>(
    request: SendRequest,
    head: Head,
    source: S,
    held: Option<u64>,
    protocol: &'static str,
) -> (SendWish, Upload<S>) {
    let SendRequest { path, n, wait, stall, sha256, transfer: label, .. } = request;
    let wish = SendWish { path, n, wait, stall, sha256, length: head.length, label, protocol };
    let body = match &request.multipart_boundary {
        Some(boundary) => Upload::multipart(source, head, boundary),
        None => Upload::plain(source, head, held),
    };
    (wish, body)
}
