//! A sender over HTTP/2: admission before anything is answered, then status lines while its body
//! flows, then an end that curl's exit code shows.

use std::os::fd::AsFd;

use ::http::StatusCode;
use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::body::{Puller, StreamBody};
use super::stream::{BEFORE_RESET, Exchange};
use crate::edge::{SendEvent, Sending};
use crate::flow::is_hung_up;
use crate::front::presence;
use crate::front::telling::{self, End, Telling, Word};
use crate::http::admission::SendRequest;
use crate::http::upload::Upload;
use crate::http::{Refusal, reply};
use crate::pipe::{Failure, Head, Role};

type Sender = Sending<Upload<StreamBody>>;

/// The conversation with one sender.
struct Talk {
    x: Exchange,
    expects_continue: bool,
    telling: Telling,
    /// Too early for the head of the answer.
    hold: Option<Instant>,
    /// Said before the head went out.
    early: String,
    /// The sender is to prove that it is alive.
    confirming: bool,
}

/// Serves one sender from admission to the end of its answer. `held`: the length that its body has to
/// have.
pub async fn exchange(mut x: Exchange, request: SendRequest, head: Head, held: Option<u64>) {
    let waiting = match x.shared.ctx.gate.wait(x.client, Role::Sender) {
        Ok(waiting) => waiting,
        Err(refusal) => return x.refuse(&refusal).await,
    };
    let Some(body) = x.body.take() else { return };
    let puller = body.puller();
    let name = request.path.clone();
    let (expects_continue, quiet) = (request.expects_continue, request.quiet);
    let multipart = request.multipart_boundary.is_some();
    let (wish, body) = telling::party(request, head, body, held, "HTTP/2");
    let mut sending = Sending::new(&x.shared.ctx.edge, wish, body);
    let telling = Telling::new(waiting, quiet);
    let (hold, early) = (None, String::new());
    let mut talk = Talk { x, expects_continue, telling, hold, early, confirming: false };
    talk.run(&mut sending, &puller).await;
    match talk.telling.end() {
        Some(End::Refused(why)) => {
            talk.x.body = sending.into_body().map(Upload::into_source);
            talk.x.refuse(&Refusal::Rejected(why, name)).await;
        }
        Some(End::Complete) => {
            let body = sending.into_body().map(Upload::into_source);
            Box::pin(talk.complete(body, multipart)).await;
        }
        Some(End::Failed(why)) => {
            talk.x.body = sending.into_body().map(Upload::into_source);
            Box::pin(talk.failed(&why)).await;
        }
        // The client is gone.
        None => Box::pin(sending.leave()).await,
    }
}

impl Talk {
    /// Drives the sender until there is an end, or the client is gone.
    async fn run(&mut self, sending: &mut Sender, puller: &Puller) {
        let socket = self.x.socket();
        loop {
            let watched = !sending.is_uploaded();
            let (confirming, hold) = (self.confirming, self.hold);
            let lines = self.x.answer.lines();
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
                    self.hear(event);
                }
                () = sleep_until(hold.unwrap_or_else(Instant::now)), if hold.is_some() => {
                    self.begin();
                }
                () = self.x.answer.gone(), if watched => return,
                () = puller.run() => {}
                alive = async {
                    lines.out().await;
                    presence::acknowledged(&socket).await
                }, if confirming => {
                    if alive.is_err() {
                        return;
                    }
                    self.confirming = false;
                    sending.confirm();
                }
            }
        }
    }

    fn hear(&mut self, event: SendEvent) {
        match self.telling.hear(event) {
            Word::Admitted => self.admitted(),
            Word::Line { text, must } => self.say(text, must),
            Word::Silence => {}
        }
    }

    /// `100 Continue` goes out alone; the final head follows 50 ms later.
    fn admitted(&mut self) {
        if self.expects_continue {
            self.x.answer.say_continue();
            self.hold = Some(Instant::now() + telling::AFTER_CONTINUE);
        } else {
            self.begin();
        }
    }

    /// The head of a live answer, and what was said before it.
    fn begin(&mut self) {
        self.hold = None;
        if self.telling.is_quiet() {
            return;
        }
        // Only a stream that is gone refuses this, which is found by watching it.
        if self.x.answer.open(StatusCode::OK, telling::live_fields(), false).is_ok() {
            let early = std::mem::take(&mut self.early);
            early.split_inclusive('\n').for_each(|line| self.say(line.to_owned(), true));
        }
    }

    /// One line, one frame. The data path never waits for a client that does not read.
    fn say(&mut self, text: String, must: bool) {
        if self.hold.is_some() {
            self.early.push_str(&text);
        } else if must || self.x.answer.held() < telling::QUEUE_MAX as u64 {
            // Only a stream that is gone refuses this.
            let _ = self.x.answer.give(Bytes::from(text), false);
        }
    }

    /// The final answer keeps its distance from `100 Continue` too.
    async fn hold(&mut self) {
        if let Some(until) = self.hold {
            sleep_until(until).await;
            self.begin();
        }
    }

    /// A clean end.
    async fn complete(&mut self, body: Option<StreamBody>, multipart: bool) {
        self.hold().await;
        if self.telling.is_quiet() {
            let reply = self.telling.whole();
            self.x.answer.reply(reply, false).await;
        } else if self.x.answer.end().is_ok() {
            self.x.answer.settle().await;
        }
        if let (Some(mut body), true) = (body, multipart) {
            // What follows the part is not waited for by anybody but the client's own upload.
            let _ = timeout(telling::EPILOGUE_MAX, body.discard()).await;
        }
    }

    /// The line, then the cut.
    async fn failed(mut self, why: &Failure) {
        self.hold().await;
        if self.telling.is_quiet() {
            return self.x.finish(reply::quiet_failure(why)).await;
        }
        let end = async {
            self.x.answer.settle().await;
            sleep(BEFORE_RESET).await;
        };
        match &mut self.x.body {
            Some(body) => body.ignore_during(end).await,
            None => end.await,
        }
    }
}
