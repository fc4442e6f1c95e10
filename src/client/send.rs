//! `send`: an upload that is ended only if its source has ended well, and that counts as complete
//! only if the relay's lines prove it.

use std::future::pending;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_DISPOSITION, HeaderMap};
use reqwest::{Method, RequestBuilder, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::{Known, Report};
use super::body::body;
use super::console::Console;
use super::relay::{Miss, Relay, Target, add, pause};
use super::source::{Fault, Source};
use super::{Exit, failed, signalled};
use crate::config::errand::{HeaderLine, PipeUrl, SendFlags, Upload};

/// Nothing is taken from the source before the relay has admitted the upload, so that a refused one
/// can be tried again. A proxy may hold the answer back until the upload ends: then it is begun all
/// the same after a while, as curl does after `Expect: 100-continue`.
const ADMISSION: Duration = Duration::from_secs(1);

/// With `--quiet` there is no early answer but a refusal, which comes within this time.
const ADMISSION_QUIET: Duration = Duration::from_millis(100);

/// After a source has failed, the connection gets this long to write what was read before.
const CUT: Duration = Duration::from_millis(500);

/// What may stand unescaped in the value of `filename*` (RFC 5987).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sends, and says how it ended.
pub async fn run(upload: Upload) -> Exit {
    let console = Console::new(!upload.flags.quiet);
    let mut source = match Source::open(upload.from, upload.flags.sha256).await {
        Ok(source) => source,
        Err(why) => {
            console.say(&why);
            return Exit::Usage;
        }
    };
    console.expect(source.length.or(upload.flags.length));
    let order = match Order::new(&upload.url, upload.flags, &source) {
        Ok(order) => order,
        Err(fault) => return fault.tell(&console),
    };
    let exit = tokio::select! {
        exit = order.carry_out(&mut source, &console) => exit,
        exit = signalled() => exit,
    };
    source.stop().await;
    console.close();
    exit
}

/// What is asked of the relay, as often as it takes.
struct Order {
    relay: Relay,
    target: Target,
    headers: HeaderMap,
    flags: SendFlags,
}

/// How one try ended.
enum Try {
    Miss(Miss),
    /// The relay's lines, and whether they ended cleanly.
    Answer(Report, bool),
    /// The source has failed.
    Source(Fault),
}

impl Order {
    fn new(url: &PipeUrl, flags: SendFlags, source: &Source) -> Result<Self, super::Fault> {
        let relay = Relay::new(url, &flags.link)?;
        let target = asked(Target::new(url)?, &flags);
        Ok(Self { relay, target, headers: headers(&flags, source)?, flags })
    }

    async fn carry_out(&self, source: &mut Source, console: &Console) -> Exit {
        let mut tries = 0;
        // An id that the sender has chosen is spent by the first wait (spec §5).
        let once = self.target.says("transfer");
        loop {
            // Whether it may do better next time, and nobody has got anything.
            let (exit, passing, after) = match self.attempt(source, console).await {
                Try::Miss(miss) => {
                    let halfway = self.flags.quiet && miss.halfway;
                    let unmoved = miss.unmoved || (source.is_untouched() && !halfway);
                    let spent = once && miss.exit == Exit::TimedOut;
                    let passing = miss.passing && unmoved && !spent;
                    // Refused is what was never begun.
                    let begun = source.sent > 0 || halfway;
                    let failed = miss.exit == Exit::Refused && begun;
                    (if failed { Exit::Failed } else { miss.exit }, passing, miss.after)
                }
                Try::Answer(report, cleanly) => {
                    let exit = self.verdict(&report, cleanly, source, console);
                    (exit, report.is_passing(cleanly) && !once, None)
                }
                Try::Source(fault) => return faulty(fault, console),
            };
            if !passing || tries >= self.relay.retries() || !source.rewind().await {
                return exit;
            }
            tries += 1;
            console.restart();
            pause(tries, after, console).await;
        }
    }

    async fn attempt(&self, source: &mut Source, console: &Console) -> Try {
        let (feeder, body, wanted) = body();
        let request = self.relay.request(Method::PUT, &self.target).headers(self.headers.clone());
        let request = request.body(reqwest::Body::wrap_stream(body));
        let (admit, admitted) = oneshot::channel();
        let answer = self.exchange(request, admit, console);
        let patience = if self.flags.quiet { ADMISSION_QUIET } else { ADMISSION };
        let pump = async {
            if wanted.await.is_err() {
                // No connection, or an empty file.
                return pending().await;
            }
            match timeout(patience, admitted).await {
                // Refused: the answer says the rest.
                Ok(Err(_)) => pending().await,
                Ok(Ok(())) => source.pump(feeder, console).await,
                Err(_) => {
                    // Without its lines nobody knows better.
                    console.begin();
                    source.pump(feeder, console).await
                }
            }
        };
        tokio::pin!(answer, pump);
        let fault = tokio::select! {
            biased;
            end = &mut pump => end.err().filter(|fault| !matches!(fault, Fault::Unwanted)),
            end = &mut answer => return end,
        };
        let Some(fault) = fault else { return answer.await };
        // The body is cut; what the answer says about it is no news.
        let _ = timeout(CUT, answer).await;
        Try::Source(fault)
    }

    /// Sends the request and reads the answer while the upload runs.
    async fn exchange(
        &self,
        request: RequestBuilder,
        admit: oneshot::Sender<()>,
        console: &Console,
    ) -> Try {
        let answer: Result<Response, _> = request.send().await;
        let mut answer = match answer {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(answer) => return Try::Miss(Miss::refused(answer, console).await),
            Err(error) => return Try::Miss(self.relay.unanswered(&error, console)),
        };
        // Nobody waits for it when the time of admission is over.
        let _ = admit.send(());
        let mut report = Report::default();
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) => report.take(&piece, |line| {
                    if Report::is_streaming(line) {
                        console.begin();
                    }
                    console.line(line);
                }),
                Ok(None) => return Try::Answer(report, true),
                Err(_) => return Try::Answer(report, false),
            }
        }
    }

    fn verdict(&self, report: &Report, cleanly: bool, source: &Source, console: &Console) -> Exit {
        let all = self.flags.require_all;
        let known = Known { bytes: source.sent, digest: source.digest(), all };
        let (exit, why) = report.verdict(cleanly, &known);
        if let Some(why) = why {
            console.say(&why);
        }
        exit
    }
}

fn faulty(fault: Fault, console: &Console) -> Exit {
    match fault {
        Fault::Command(why) => {
            console.say(&why);
            Exit::CommandFailed
        }
        Fault::Unreadable(why) => failed(console, &why),
        Fault::Unwanted => Exit::Failed,
    }
}

fn asked(mut target: Target, flags: &SendFlags) -> Target {
    target.common(&flags.common);
    target.pair("transfer", flags.transfer_id.as_ref().map(|id| id.0.as_str()));
    target.flag("sha256", flags.sha256);
    target.flag("quiet", flags.quiet);
    target
}

/// What is said of the bytes, beside the headers of the user.
fn headers(flags: &SendFlags, source: &Source) -> Result<HeaderMap, super::Fault> {
    let mut headers = HeaderMap::new();
    if let Some(media_type) = &flags.media_type {
        add(&mut headers, "content-type", media_type)?;
    }
    if let Some(length) = source.length {
        add(&mut headers, "content-length", &length.to_string())?;
    }
    if let Some(length) = flags.length {
        add(&mut headers, "x-pipe-length", &length.to_string())?;
    }
    let said = |line: &HeaderLine| line.name.eq_ignore_ascii_case(CONTENT_DISPOSITION.as_str());
    let file = source.path().and_then(|path| path.file_name());
    let file = file.filter(|_| !flags.link.headers.iter().any(said));
    let name = flags.filename.clone().or(file.map(|name| name.to_string_lossy().into_owned()));
    if let Some(name) = name {
        add(&mut headers, CONTENT_DISPOSITION.as_str(), &disposition(&name))?;
    }
    Ok(headers)
}

/// An attachment of this name, in ASCII and, if that is not all of it, in UTF-8.
fn disposition(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let ascii = name.replace(|c: char| !c.is_ascii(), "_");
    let quoted = ascii.replace('\\', "\\\\").replace('"', "\\\"");
    let value = format!("attachment; filename=\"{quoted}\"");
    match name.is_ascii() {
        true => value,
        false => format!("{value}; filename*=UTF-8''{}", utf8_percent_encode(&name, PLAIN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_quoted_and_never_break_the_header() {
        for (name, want) in [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("a \"b\"\\", "attachment; filename=\"a \\\"b\\\"\\\\\""),
            ("a\r\nX: y", "attachment; filename=\"aX: y\""),
            ("é 1", "attachment; filename=\"_ 1\"; filename*=UTF-8''%C3%A9%201"),
        ] {
            assert_eq!(disposition(name), want, "{name:?}");
        }
    }
}
