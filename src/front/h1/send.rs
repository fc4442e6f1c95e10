//! A sender over HTTP/1.x: admission before anything is answered, then status lines while its body
//! flows, then an end that curl's exit code shows.

use std::os::fd::AsFd;
use std::time::Duration;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, StatusCode, Version};
use tokio::time::{Instant, sleep_until, timeout};

use super::body::SocketBody;
use super::status::StatusStream;
use super::{After, Exchange, answer};
use crate::edge::{SendEvent, SendWish, Sending};
use crate::flow::is_hung_up;
use crate::front::{gate, presence};
use crate::http::admission::SendRequest;
use crate::http::upload::Upload;
use crate::http::{BodyKind, Refusal, Reply, reply};
use crate::pipe::{Failure, Head, Notice, Reject, Role};

/// How long a sender may take to accept its last lines. They fit into any window; only a client that
/// reads nothing needs longer, and its socket is closed then.
const LAST_LINES_MAX: Duration = Duration::from_secs(10);

/// After a multipart body's usable part, the rest is read and dropped for this long (spec §14).
const EPILOGUE_MAX: Duration = Duration::from_secs(30);

/// Between `100 Continue` and the final head: some proxies lose the body when both share a segment
/// (spec §7).
const AFTER_CONTINUE: Duration = Duration::from_millis(50);

/// A sender that is held up by its receivers is probed this often (spec §12: killed with every buffer
/// full, it is found within 25 s).
const PROBE_EVERY: Duration = Duration::from_secs(12);

type Sender<'a> = Sending<Upload<SocketBody<'a>>>;

/// The conversation with one admitted or refused sender.
struct Talk<'a> {
    x: &'a Exchange<'a>,
    expects_continue: bool,
    multipart: bool,
    /// Too early for a final head.
    quiet_until: Option<Instant>,
    waiting: gate::Waiting,
    said: Said<'a>,
    /// The sender is to prove that it is alive.
    confirming: bool,
    end: Option<End>,
}

/// What the client is told, and how.
enum Said<'a> {
    /// Lines as they happen.
    Live(StatusStream<'a>),
    /// One final answer: the lines for its body.
    Quiet(String),
}

/// How the exchange ended.
enum End {
    Refused(Reject),
    Complete,
    Failed(Failure),
}

/// Serves one sender from admission to the end of its answer.
pub async fn exchange(mut x: Exchange<'_>, request: SendRequest, head: Head) -> After {
    let read = std::mem::take(&mut x.read);
    if x.body == BodyKind::Stream && crate::flow::chunked::validate_prefix(&read).is_err() {
        x.keep_alive = false;
        return x.refuse(&Refusal::Malformed("the first chunk is malformed")).await;
    }
    let waiting = match x.ctx.gate.wait(x.client, Role::Sender) {
        Ok(waiting) => waiting,
        Err(refusal) => {
            x.keep_alive = false;
            return x.refuse(&refusal).await;
        }
    };
    let SendRequest { path, n, wait, stall, sha256, transfer: label, .. } = request;
    let (name, multipart) = (path.clone(), request.multipart_boundary.is_some());
    let protocol = if x.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let wish = SendWish { path, n, wait, stall, sha256, length: head.length, label, protocol };
    let source = SocketBody::new(x.io, x.body, read);
    let body = match &request.multipart_boundary {
        Some(boundary) => Upload::multipart(source, head, boundary),
        None => Upload::plain(source, head, request.pipe_length),
    };
    let said = match request.quiet {
        true => Said::Quiet(String::new()),
        false => Said::Live(StatusStream::new(x.io)),
    };
    let expects_continue = request.expects_continue;
    let mut talk = Talk {
        x: &x,
        expects_continue,
        multipart,
        quiet_until: None,
        waiting,
        said,
        confirming: false,
        end: None,
    };
    let mut sending = Sending::new(&x.ctx.edge, wish, body);
    talk.run(&mut sending).await;
    match talk.end.take() {
        Some(End::Refused(why)) => {
            drop((sending, talk));
            x.keep_alive = false;
            x.refuse(&Refusal::Rejected(why, name)).await
        }
        Some(End::Complete) => Box::pin(talk.complete(sending)).await,
        Some(End::Failed(why)) => {
            drop(sending);
            Box::pin(talk.failed(&why)).await
        }
        // The client is gone; dropping the sender leaves.
        None => After::Close,
    }
}

impl<'a> Talk<'a> {
    /// Drives the sender until there is an end, or the client is gone.
    async fn run(&mut self, sending: &mut Sender<'a>) {
        let io = self.x.io;
        let (mut streaming, mut half) = (false, false);
        let mut probe = Instant::now() + PROBE_EVERY;
        loop {
            let pending = self.is_pending();
            let watched = !sending.is_uploaded();
            let confirming = self.confirming && !pending;
            tokio::select! {
                biased;
                event = sending.next() => {
                    match event {
                        SendEvent::Over => return,
                        SendEvent::Confirm { .. } if is_hung_up(io.as_fd()) => return,
                        SendEvent::Confirm { fresh: true } => sending.confirm(),
                        SendEvent::Confirm { fresh: false } => self.confirming = true,
                        _ => {}
                    }
                    streaming |= matches!(event, SendEvent::Notice(Notice::Streaming { .. }));
                    self.hear(event);
                }
                () = self.said.flush(), if pending => {}
                () = presence::gone(io), if watched && !half => {
                    if !streaming {
                        return;
                    }
                    half = true;
                    if self.falls_short(sending.taken()) {
                        sending.lose();
                    }
                }
                () = presence::broken(io), if watched && streaming => return,
                () = sleep_until(probe), if watched && streaming => {
                    probe = Instant::now() + PROBE_EVERY;
                    if let (true, Said::Live(status)) = (sending.is_held_up(), &mut self.said) {
                        status.probe();
                    }
                }
                alive = presence::acknowledged(io), if confirming => {
                    if alive.is_err() {
                        return;
                    }
                    self.confirming = false;
                    sending.confirm();
                }
            }
        }
    }

    /// After a half-close: will the body end before its Content-Length, whatever is still unread?
    /// Of a chunked body only reading it can tell.
    fn falls_short(&self, taken: u64) -> bool {
        let BodyKind::Length(length) = self.x.body else { return false };
        let arrived = rustix::io::ioctl_fionread(self.x.io).unwrap_or(u64::MAX);
        !self.multipart && taken.saturating_add(arrived) < length
    }

    /// Are there lines that can be written now? While `100 Continue` stands alone there are none to
    /// wait for.
    fn is_pending(&self) -> bool {
        match &self.said {
            Said::Live(status) => status.is_pending() && !(self.confirming && status.is_held()),
            Said::Quiet(_) => false,
        }
    }

    fn hear(&mut self, event: SendEvent) {
        match event {
            SendEvent::Admitted => self.admitted(),
            SendEvent::Refused(why) => self.end = Some(End::Refused(why)),
            // `run` has looked at these.
            SendEvent::Confirm { .. } | SendEvent::Over => {}
            SendEvent::Notice(notice) => self.tell(notice),
        }
    }

    /// `100 Continue` goes out alone; the final head follows 50 ms later.
    fn admitted(&mut self) {
        if self.expects_continue {
            // A client that cannot take 25 bytes has not read its last answer yet. It is not waited
            // for: the wait of this request runs already.
            let _ = rustix::io::write(self.x.io, b"HTTP/1.1 100 Continue\r\n\r\n");
            self.quiet_until = Some(Instant::now() + AFTER_CONTINUE);
        }
        if let Said::Live(status) = &mut self.said {
            status.hold(self.quiet_until);
            status.head(&self.x.status_head());
        }
    }

    /// A final answer keeps its distance from `100 Continue` too.
    async fn final_reply(&self, reply: &Reply, close: bool) -> std::io::Result<()> {
        if let Some(until) = self.quiet_until {
            sleep_until(until).await;
        }
        self.x.reply(reply, close).await
    }

    fn tell(&mut self, notice: Notice) {
        let line = reply::line(&notice);
        let last = matches!(notice, Notice::Digest(_) | Notice::Sent(_) | Notice::Complete);
        match &notice {
            Notice::Streaming { .. } => self.waiting.over(),
            Notice::Complete => self.end = Some(End::Complete),
            Notice::AllGone => self.end = Some(End::Failed(Failure::ReceiversGone)),
            Notice::Failed(why) => self.end = Some(End::Failed(why.clone())),
            _ => {}
        }
        match &mut self.said {
            Said::Live(status) => status.line(&line, last || self.end.is_some()),
            Said::Quiet(lines) if last => lines.push_str(&line),
            Said::Quiet(_) => {}
        }
    }

    /// A clean end. The connection is reused if the body was read to its end.
    async fn complete(&mut self, sending: Sender<'a>) -> After {
        let source = sending.into_body().map(Upload::into_source);
        let written = match &mut self.said {
            Said::Live(status) => {
                status.end();
                timeout(LAST_LINES_MAX, status.flush()).await.is_ok() && !status.is_broken()
            }
            Said::Quiet(lines) => {
                let reply = Reply::text(StatusCode::OK, std::mem::take(lines));
                self.final_reply(&reply, !self.x.keep_alive).await.is_ok()
            }
        };
        let Some(mut source) = source.filter(|_| written) else { return After::Close };
        if self.multipart {
            // What follows the part is not waited for by anybody but the client's own upload.
            let _ = timeout(EPILOGUE_MAX, source.discard()).await;
        }
        match source.rest().filter(|_| self.x.keep_alive) {
            Some(rest) => After::Reuse(rest),
            None => {
                answer::linger(self.x.io).await;
                After::Close
            }
        }
    }

    /// The line, then the cut: FIN without the last chunk (spec §9, "how a failure ends").
    async fn failed(&mut self, why: &Failure) -> After {
        match &mut self.said {
            Said::Live(status) => {
                let _ = timeout(LAST_LINES_MAX, status.flush()).await;
            }
            Said::Quiet(_) => {
                let _ = self.final_reply(&reply::quiet_failure(why), true).await;
            }
        }
        answer::linger(self.x.io).await;
        After::Close
    }
}

impl Said<'_> {
    async fn flush(&mut self) {
        match self {
            Said::Live(status) => status.flush().await,
            Said::Quiet(_) => std::future::pending().await,
        }
    }
}

impl Exchange<'_> {
    /// The head of a status stream (spec §9).
    fn status_head(&self) -> Vec<u8> {
        const FIELDS: [(HeaderName, &str); 7] = [
            (CONTENT_TYPE, "text/plain; charset=utf-8"),
            (CACHE_CONTROL, "no-store, no-transform"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("x-robots-tag"), "none"),
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (TRANSFER_ENCODING, "chunked"),
        ];
        let headers = FIELDS.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let headers = HeaderMap::from_iter(headers);
        let mut out = answer::head(self.version, StatusCode::OK, &headers);
        answer::end_head(&mut out, !self.keep_alive);
        out
    }
}
