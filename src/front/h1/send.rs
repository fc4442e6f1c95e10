//! A sender over HTTP/1.x: admission before anything is answered, then status lines while its body
//! flows, then an end that curl's exit code shows.

use std::os::fd::AsFd;
use std::time::Duration;

use ::http::header::{HeaderValue, TRANSFER_ENCODING};
use ::http::{StatusCode, Version};
use tokio::time::{Instant, sleep_until, timeout};

use super::body::SocketBody;
use super::status::StatusStream;
use super::{After, Exchange, answer};
use crate::edge::{SendEvent, Sending};
use crate::flow::is_hung_up;
use crate::front::presence;
use crate::front::telling::{self, End, Telling, Word};
use crate::http::admission::SendRequest;
use crate::http::upload::Upload;
use crate::http::{BodyKind, Refusal, Reply, reply};
use crate::pipe::{Failure, Head, Notice, Role};

/// How long a sender may take to accept its last lines. They fit into any window; only a client that
/// reads nothing needs longer, and its socket is closed then.
const LAST_LINES_MAX: Duration = Duration::from_secs(10);

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
    telling: Telling,
    /// Lines as they happen; stays empty for a quiet sender.
    status: StatusStream<'a>,
    /// The sender is to prove that it is alive.
    confirming: bool,
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
    let (name, multipart) = (request.path.clone(), request.multipart_boundary.is_some());
    let (expects_continue, quiet) = (request.expects_continue, request.quiet);
    let held = request.pipe_length;
    let source = SocketBody::new(x.io, x.body, read);
    let protocol = if x.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let (wish, body) = telling::party(request, head, source, held, protocol);
    let mut talk = Talk {
        x: &x,
        expects_continue,
        multipart,
        quiet_until: None,
        telling: Telling::new(waiting, quiet),
        status: StatusStream::new(x.io),
        confirming: false,
    };
    let mut sending = Sending::new(&x.ctx.edge, wish, body);
    talk.run(&mut sending).await;
    match talk.telling.end() {
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
        // The client is gone.
        None => {
            Box::pin(sending.leave()).await;
            After::Close
        }
    }
}

impl<'a> Talk<'a> {
    /// Drives the sender until there is an end, or the client is gone.
    async fn run(&mut self, sending: &mut Sender<'a>) {
        let socket = self.x.io.socket();
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
                        SendEvent::Confirm { .. } if is_hung_up(socket.stream().as_fd()) => return,
                        SendEvent::Confirm { fresh: true } => sending.confirm(),
                        SendEvent::Confirm { fresh: false } => self.confirming = true,
                        _ => {}
                    }
                    streaming |= matches!(event, SendEvent::Notice(Notice::Streaming { .. }));
                    self.hear(event);
                }
                () = self.status.flush(), if pending => {}
                () = presence::gone(socket), if watched && !half => {
                    if !streaming {
                        return;
                    }
                    half = true;
                    if self.falls_short(sending.taken()) {
                        sending.lose();
                    }
                }
                () = presence::broken(socket), if watched && streaming => return,
                () = sleep_until(probe), if watched && streaming => {
                    probe = Instant::now() + PROBE_EVERY;
                    if sending.is_held_up() && !self.telling.is_quiet() {
                        self.status.probe();
                    }
                }
                alive = presence::acknowledged(socket), if confirming => {
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
    /// Of a chunked body, and below TLS, only reading it can tell.
    fn falls_short(&self, taken: u64) -> bool {
        let BodyKind::Length(length) = self.x.body else { return false };
        let arrived = rustix::io::ioctl_fionread(self.x.io.socket().stream()).unwrap_or(u64::MAX);
        !self.multipart && !self.x.io.is_secure() && taken.saturating_add(arrived) < length
    }

    /// Are there lines that can be written now? While `100 Continue` stands alone there are none to
    /// wait for.
    fn is_pending(&self) -> bool {
        self.status.is_pending() && !(self.confirming && self.status.is_held())
    }

    fn hear(&mut self, event: SendEvent) {
        match self.telling.hear(event) {
            Word::Admitted => self.admitted(),
            Word::Line { text, must } => self.status.line(&text, must),
            Word::Silence => {}
        }
    }

    /// `100 Continue` goes out alone; the final head follows 50 ms later.
    fn admitted(&mut self) {
        if self.expects_continue {
            // A client that cannot take 25 bytes has not read its last answer yet. It is not waited
            // for: the wait of this request runs already.
            self.x.io.write_now(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.quiet_until = Some(Instant::now() + telling::AFTER_CONTINUE);
        }
        if !self.telling.is_quiet() {
            self.status.hold(self.quiet_until);
            self.status.head(&self.x.status_head());
        }
    }

    /// A final answer keeps its distance from `100 Continue` too.
    async fn final_reply(&self, reply: &Reply, close: bool) -> std::io::Result<()> {
        if let Some(until) = self.quiet_until {
            sleep_until(until).await;
        }
        self.x.reply(reply, close).await
    }

    /// A clean end. The connection is reused if the body was read to its end.
    async fn complete(&mut self, sending: Sender<'a>) -> After {
        let source = sending.into_body().map(Upload::into_source);
        let written = if self.telling.is_quiet() {
            let reply = self.telling.whole();
            self.final_reply(&reply, !self.x.keep_alive).await.is_ok()
        } else {
            self.status.end();
            timeout(LAST_LINES_MAX, self.status.flush()).await.is_ok() && !self.status.is_broken()
        };
        let Some(mut source) = source.filter(|_| written) else { return After::Close };
        if self.multipart {
            // What follows the part is not waited for by anybody but the client's own upload.
            let _ = timeout(telling::EPILOGUE_MAX, source.discard()).await;
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
        if self.telling.is_quiet() {
            let _ = self.final_reply(&reply::quiet_failure(why), true).await;
        } else {
            let _ = timeout(LAST_LINES_MAX, self.status.flush()).await;
        }
        answer::linger(self.x.io).await;
        After::Close
    }
}

impl Exchange<'_> {
    /// The head of a status stream (spec §9).
    fn status_head(&self) -> Vec<u8> {
        let mut headers = telling::live_fields();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let mut out = answer::head(self.version, StatusCode::OK, &headers);
        answer::end_head(&mut out, !self.keep_alive);
        out
    }
}
