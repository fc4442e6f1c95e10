//! Connections and requests, the same for every command: how to connect, how to ask, and what to
//! make of no answer. Knows nothing of transfers.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect, retry};
use tokio::time::sleep;

use super::Exit;
use super::console::Console;
use crate::config::errand::{Common, HeaderLine, PipeUrl};

/// Longer is no server that is merely far away.
const CONNECT: Duration = Duration::from_secs(10);

/// A peer whose host has vanished is missed after 30 + 3 * 10 s, also when no byte flows; the same
/// as the relay does (spec §12).
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// The text of a refusal that is shown, in bytes.
const WORDS_MAX: usize = 4096;

/// The pause before the second try; doubled for each that follows, unless the server says when.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A client without pool, proxy, redirects, second tries or limits of time.
///
/// # Errors
/// The system gives none.
pub fn client() -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(concat!("hoody-pipe/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE_AGAIN)
        .tcp_keepalive_retries(KEEPALIVE_PROBES)
        // A relay that waits for slow receivers closes its window, for as long as they stall.
        .tcp_user_timeout(None::<Duration>)
        .build()
}

/// A URL that gets its query.
pub struct Target {
    /// What to ask for.
    pub url: Url,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// It is none: a sentence about it.
    pub fn new(url: &PipeUrl) -> Result<Self, String> {
        let url = Url::parse(&url.0).map_err(|error| format!("no good URL: {error}"))?;
        Ok(Self { url })
    }

    /// Adds `key=value`, if there is a value.
    pub fn pair(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(key, value);
        }
    }

    /// Adds a flag, if it is on.
    pub fn flag(&mut self, key: &str, on: bool) {
        if on {
            self.url.query_pairs_mut().append_key_only(key);
        }
    }

    /// Adds what both sides can say.
    pub fn common(&mut self, common: &Common) {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        self.pair("n", number(common.n.map(|n| n.0 as u64)).as_deref());
        self.pair("wait", number(common.wait.map(|time| time.0)).as_deref());
        self.pair("stall", number(common.stall.map(|time| time.0)).as_deref());
    }
}

/// Adds a header.
///
/// # Errors
/// It cannot be one: a sentence about it.
pub fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let bad = || format!("the header '{name}' cannot be sent like this");
    let key: HeaderName = name.parse().map_err(|_| bad())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
    headers.append(key, value);
    Ok(())
}

/// The headers a person asks for.
///
/// # Errors
/// As [`add`].
pub fn headers(lines: &[HeaderLine]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        add(&mut headers, &line.name, &line.value)?;
    }
    Ok(headers)
}

/// One try that brought nothing, and may be followed by another.
pub struct Miss {
    /// What it comes to if it was the last.
    pub exit: Exit,
    /// Whether another one may fare better.
    pub passing: bool,
    /// When the server wants to be asked again.
    pub after: Option<Duration>,
}

impl Miss {
    /// From an answer other than 2xx; its text goes to the console.
    pub async fn refused(answer: Response, console: &Console) -> Self {
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        first_words(answer, console).await;
        let exit = match status {
            StatusCode::REQUEST_TIMEOUT => Exit::TimedOut,
            StatusCode::GONE => Exit::Cancelled,
            _ => Exit::Refused,
        };
        let passing = matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
        Self { exit, passing, after }
    }

    /// From no answer at all.
    pub fn unanswered(error: &reqwest::Error, console: &Console) -> Self {
        Self { exit: unanswered(error, console), passing: true, after: None }
    }
}

/// What no answer comes to; the reason goes to the console.
pub fn unanswered(error: &reqwest::Error, console: &Console) -> Exit {
    if error.is_connect() {
        console.say(&format!("cannot connect: {}", why(error)));
        return Exit::NoConnection;
    }
    console.say(&format!("no answer: {}", why(error)));
    Exit::Failed
}

/// Waits before try number `next` (the second is 1).
pub async fn pause(next: usize, after: Option<Duration>, console: &Console) {
    let doubled = PAUSE * 2_u32.saturating_pow(u32::try_from(next - 1).unwrap_or(u32::MAX).min(6));
    let pause = after.unwrap_or(doubled.min(PAUSE_MAX));
    console.say(&format!("trying again in {} s", pause.as_secs()));
    sleep(pause).await;
}

/// Prints the beginning of a refusal, or its status when it has no text.
pub async fn first_words(mut answer: Response, console: &Console) {
    let mut words = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        words.extend_from_slice(&piece);
        if words.len() > WORDS_MAX {
            break;
        }
    }
    words.truncate(WORDS_MAX);
    match String::from_utf8_lossy(&words).trim() {
        "" => console.say(&format!("refused: {}", answer.status())),
        text => text.lines().for_each(|line| console.line(line)),
    }
}

/// The innermost cause: the others only say that something failed. Never names the URL.
pub fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match std::ptr::addr_eq(cause, error) {
        true => "the request failed".to_owned(),
        false => cause.to_string(),
    }
}
