//! Pairs of light clients in great number: a sender and a receiver of one name, each on a thread of its
//! own, that try again as `curl --retry --retry-connrefused` does, each time wherever the load balancer
//! sends them. Knows no fleet, only addresses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::server::head;
use crate::common::{End, Raw};
use crate::history::{Got, History, Sent, body};

/// How often a client tries again.
const RETRIES: u32 = 10;
/// What `Retry-After` says, and what curl waits before its first retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of each body.
const BODY: usize = 2000;

/// One sender and one receiver.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Where they meet.
    pub name: String,
    /// How much earlier one of them comes; the sender, if `sender_first`.
    pub pause: Duration,
    /// Who comes first.
    pub sender_first: bool,
    /// What is sent.
    pub seed: u64,
}

/// What became of a pair.
#[derive(Debug)]
pub struct Fate {
    /// The longest time that passed between the arrival of the second and the end of either.
    pub time: Duration,
    /// How often they tried again.
    pub retries: u32,
    /// What went wrong, from the view of its client; `None`: both succeeded.
    pub failed: Option<String>,
}

impl Pair {
    /// Runs both to their end. Fails on anything that must never happen, whatever else does: a false
    /// end, wrong bytes, a wrong count.
    /// `balancer` says where a request goes.
    #[track_caller]
    pub fn run(&self, balancer: &(dyn Fn() -> SocketAddr + Sync)) -> Fate {
        let (sender_late, receiver_late) = if self.sender_first {
            (Duration::ZERO, self.pause)
        } else {
            (self.pause, Duration::ZERO)
        };
        let sent = body(self.seed, BODY);
        let start = Instant::now();
        let (send, receive) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                std::thread::sleep(sender_late);
                persist(|| send(balancer(), &self.name, &sent))
            });
            std::thread::sleep(receiver_late);
            let received = persist(|| receive(balancer(), &self.name));
            (sending.join().expect("a sender does not panic"), received)
        });
        let time = start.elapsed().saturating_sub(self.pause);
        let retries = send.1 + receive.1;
        let mut history = History::default();
        let mut failed = Vec::new();
        match receive.0 {
            Ok(got) => _ = history.got(got),
            Err(why) => failed.push(format!("receiver: {why}")),
        }
        match send.0 {
            Ok(sent) => _ = history.sent(sent),
            Err(why) => {
                failed.push(format!("sender: {why}"));
                let lines = vec!["[ERROR] lost".to_owned()];
                history.sent(Sent { body: sent, n: 1, finished: true, lines, clean: false });
            }
        }
        history.check();
        let is_well = failed.is_empty() && history.is_all_well();
        let failed = (!is_well).then(|| format!("{failed:?} {}", history.told()));
        Fate { time, retries, failed }
    }
}

/// Why a try failed.
enum Failure {
    /// As curl sees it, it may be tried again.
    Again(String),
    /// It may not.
    Final(String),
}

/// Tries again as often as curl would; and how often that was.
fn persist<T>(mut action: impl FnMut() -> Result<T, Failure>) -> (Result<T, String>, u32) {
    for retries in 0..=RETRIES {
        match action() {
            Ok(value) => return (Ok(value), retries),
            Err(Failure::Final(why)) => return (Err(why), retries),
            Err(Failure::Again(why)) if retries == RETRIES => return (Err(why), retries),
            Err(Failure::Again(_)) => std::thread::sleep(RETRY_AFTER),
        }
    }
    unreachable!("the last try returns")
}

fn send(at: SocketAddr, name: &str, sent: &[u8]) -> Result<Sent, Failure> {
    let length = format!("Content-Length: {}", sent.len());
    let mut raw = request(at, &head("PUT", name, &[&length]), sent)?;
    Ok(Sent::by_raw(&mut raw, &[], sent, 1))
}

fn receive(at: SocketAddr, name: &str) -> Result<Got, Failure> {
    let mut raw = request(at, &head("GET", name, &[]), b"")?;
    Ok(Got::by_raw(&mut raw, &[]))
}

/// A request that was answered 200.
fn request(at: SocketAddr, head: &str, body: &[u8]) -> Result<Raw, Failure> {
    let raw = Raw::try_connect(at);
    let mut raw = raw.map_err(|error| Failure::Again(format!("no connection: {error}")))?;
    let lost = |what| Failure::Final(format!("connection lost before an answer: {what}"));
    raw.try_send([head.as_bytes(), body].concat()).map_err(|error| lost(error.to_string()))?;
    let answer = raw.try_head().map_err(|end| lost(format!("{end:?}")))?;
    match answer.status {
        200 => Ok(raw),
        status => {
            let (text, end) = raw.rest();
            assert_eq!(end, End::Clean, "a refusal is whole");
            let why = format!("{status} {}", String::from_utf8_lossy(&text).trim());
            let again = matches!(status, 408 | 429 | 500 | 502 | 503 | 504);
            Err(if again { Failure::Again(why) } else { Failure::Final(why) })
        }
    }
}
