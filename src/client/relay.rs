//! A relay as a client sees it: asked, asked again, and told apart from silence. Knows nothing of
//! transfers.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::time::sleep;

use super::connect::{self, innermost};
use super::console::Console;
use super::{Exit, Fault};
use crate::config::errand::{Common, HeaderLine, Link, PipeUrl};

/// The text of a refusal that is shown, in bytes.
const WORDS_MAX: usize = 4096;

/// The pause before the second try; doubled for each that follows, unless the server says when.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// No `Retry-After` is waited for longer; nobody sits in front of a terminal for that.
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// A URL that gets its query.
#[derive(Clone)]
pub struct Target {
    url: Url,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// It is none.
    pub fn new(url: &PipeUrl) -> Result<Self, Fault> {
        let bad = |error| Fault(Exit::Usage, format!("no good URL: {error}"));
        Ok(Self { url: Url::parse(&url.0).map_err(bad)? })
    }

    /// Adds `key=value`, if there is a value.
    pub fn pair(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(key, value);
        }
    }

    /// Whether the query has this key.
    pub fn says(&self, key: &str) -> bool {
        self.url.query_pairs().any(|(known, _)| known == key)
    }

    /// Adds a flag, if it is on and not there yet.
    pub fn flag(&mut self, key: &str, on: bool) {
        if on && !self.says(key) {
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

/// A relay, and how its user wants it asked.
pub struct Relay {
    client: Client,
    headers: HeaderMap,
    retry: usize,
    /// Host and port: what may be said in a message, other than the name.
    place: String,
}

impl Relay {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// A header cannot be sent, or certificates cannot be used.
    pub fn new(url: &PipeUrl, link: &Link) -> Result<Self, Fault> {
        let client = connect::client(url.is_secure(), link)?;
        let rest = url.0.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        // Who puts a password there need not see it again.
        let place = place.rsplit('@').next().unwrap_or_default().to_owned();
        Ok(Self { client, headers: headers(&link.headers)?, retry: link.retry.0, place })
    }

    /// A request with the headers of the user.
    pub fn request(&self, method: Method, target: &Target) -> RequestBuilder {
        self.client.request(method, target.url.clone()).headers(self.headers.clone())
    }

    /// How many times a try may be followed by another.
    pub fn retries(&self) -> usize {
        self.retry
    }

    /// Asks until there is an answer of 2xx, as often as it may; says why if there is none.
    ///
    /// # Errors
    /// What it comes to.
    pub async fn answer(
        &self,
        request: impl Fn() -> RequestBuilder,
        console: &Console,
    ) -> Result<Response, Exit> {
        let mut tries = 0;
        loop {
            let miss = match request().send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => Miss::refused(answer, console).await,
                Err(error) => self.unanswered(&error, console),
            };
            if !miss.passing || tries >= self.retry {
                return Err(miss.exit);
            }
            tries += 1;
            pause(tries, miss.after, console).await;
        }
    }

    /// What no answer comes to; the reason goes to the console.
    pub fn unanswered(&self, error: &reqwest::Error, console: &Console) -> Miss {
        let passing = connect::may_pass(error);
        if error.is_connect() {
            console.say(&connect::unreachable(error, &self.place));
            return Miss {
                exit: Exit::NoConnection,
                passing,
                after: None,
                halfway: false,
                unmoved: false,
            };
        }
        let why = innermost(error);
        console.say(&format!("no answer from {}: {why}; it may have ended: try again", self.place));
        Miss { exit: Exit::Failed, passing, after: None, halfway: false, unmoved: false }
    }
}

/// One try that brought nothing, and may be followed by another.
pub struct Miss {
    /// What it comes to if it was the last.
    pub exit: Exit,
    /// Whether another one may fare better.
    pub passing: bool,
    /// When the server wants to be asked again.
    pub after: Option<Duration>,
    /// Whether this is how a relay answers a quiet sender whose transfer has failed (spec §9).
    pub halfway: bool,
    /// Whether the relay itself says that it has not begun, however much it has been given.
    pub unmoved: bool,
}

impl Miss {
    /// From an answer other than 2xx; its text goes to the console.
    pub async fn refused(answer: Response, console: &Console) -> Self {
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let own = first_words(answer, console).await;
        let exit = match status {
            StatusCode::REQUEST_TIMEOUT => Exit::TimedOut,
            StatusCode::GONE => Exit::Cancelled,
            _ => Exit::Refused,
        };
        let passing = matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
        let halfway = own && matches!(status.as_u16(), 500 | 502);
        let unmoved = own && matches!(status.as_u16(), 408 | 429);
        Self { exit, passing, after: after.map(|after| after.min(AFTER_MAX)), halfway, unmoved }
    }
}

/// Waits before try number `next` (the second is 1).
pub async fn pause(next: usize, after: Option<Duration>, console: &Console) {
    let doubled = PAUSE * 2_u32.saturating_pow(u32::try_from(next - 1).unwrap_or(u32::MAX).min(6));
    let pause = after.unwrap_or(doubled.min(PAUSE_MAX));
    console.say(&format!("trying again in {} s", pause.as_secs()));
    sleep(pause).await;
}

/// Adds a header.
///
/// # Errors
/// It cannot be one.
pub fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Fault> {
    let bad = || Fault(Exit::Usage, format!("the header '{name}' cannot be sent like this"));
    let key: HeaderName = name.parse().map_err(|_| bad())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
    headers.append(key, value);
    Ok(())
}

/// The headers a person asks for.
fn headers(lines: &[HeaderLine]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for line in lines {
        add(&mut headers, &line.name, &line.value)?;
    }
    Ok(headers)
}

/// Prints the beginning of a refusal, or what its status says when it has no text; gives whether
/// these are the words of a relay, not of a box in front of it.
async fn first_words(mut answer: Response, console: &Console) -> bool {
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.unwrap_or("nowhere in particular");
        console.say(&format!("redirected to {to}, which is not followed: use that URL"));
        return false;
    }
    let mut words = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        words.extend_from_slice(&piece);
        if words.len() > WORDS_MAX {
            break;
        }
    }
    words.truncate(WORDS_MAX);
    let words = String::from_utf8_lossy(&words);
    match words.trim() {
        "" => console.say(&format!("refused: {status}")),
        text => text.lines().for_each(|line| console.line(line)),
    }
    words.starts_with("[ERROR] ")
}
