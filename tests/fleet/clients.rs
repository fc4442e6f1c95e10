//! Clients: stock curl as sender and receiver in every way the relay offers, and a transfer that goes on
//! by itself. Knows how to start them; what they must see is said by the tests.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::reading::expect_complete;
use crate::common::{Curl, End, Raw};
use crate::fleet::Fleet;
use crate::history::{Got, History, Sent, body};

/// How a sender sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Chunked, from stdin.
    Chunked,
    /// A file with its length.
    Sized,
    /// Chunked, over HTTP/2.
    Two,
    /// Chunked, with `X-Pipe-Length`.
    Declared,
    /// Hashed.
    Hashed,
    /// As a form.
    Form,
    /// One final answer.
    Quiet,
    /// HTTP/1.0, whose senders are always quiet.
    Old,
}

/// All of them.
pub const WAYS: [Way; 8] = [
    Way::Chunked,
    Way::Sized,
    Way::Two,
    Way::Declared,
    Way::Hashed,
    Way::Form,
    Way::Quiet,
    Way::Old,
];

/// How receivers speak, in turn.
pub const TONGUES: [&str; 3] = ["--http1.1", "--http2-prior-knowledge", "--http1.0"];

impl Way {
    /// Whether lines come before the end.
    pub fn is_told(self) -> bool {
        !matches!(self, Way::Quiet | Way::Old)
    }
}

/// A curl that sends `file` in that way; the target has `?n=` already.
pub fn sender(fleet: &Fleet, at: usize, target: &str, way: Way, file: &str) -> Curl {
    let length = fs::metadata(file).unwrap().len();
    let declared = format!("X-Pipe-Length: {length}");
    let form = format!("file=@{file};type=application/octet-stream");
    let (args, more): (Vec<&str>, &str) = match way {
        Way::Chunked => (vec!["-H", "Transfer-Encoding: chunked", "-T", file], ""),
        Way::Sized => (vec!["-T", file], ""),
        Way::Two => (vec!["--http2-prior-knowledge", "-T", file], ""),
        Way::Declared => {
            (vec!["-H", "Transfer-Encoding: chunked", "-H", &declared, "-T", file], "")
        }
        Way::Hashed => (vec!["-T", file], "&sha256"),
        Way::Form => (vec!["-F", &form], ""),
        Way::Quiet => (vec!["-T", file], "&quiet"),
        Way::Old => (vec!["--http1.0", "-T", file], ""),
    };
    let url = fleet.url(at, &format!("{target}{more}"));
    let general = ["-sSN", "--no-progress-meter", "--fail-with-body"];
    Curl::start(&[&general[..], &args, &[&url]].concat())
}

/// A curl that sends its stdin as it comes.
pub fn live_sender(fleet: &Fleet, at: usize, target: &str) -> Curl {
    let url = fleet.url(at, target);
    Curl::start(&["-sSN", "--no-progress-meter", "--fail-with-body", "-T", ".", &url])
}

/// A curl that receives.
pub fn receiver(fleet: &Fleet, at: usize, target: &str) -> Curl {
    Curl::start(&["-fsSN", &fleet.url(at, target)])
}

/// A curl that receives in that tongue.
pub fn receiver_in(tongue: &str, fleet: &Fleet, at: usize, target: &str) -> Curl {
    Curl::start(&["-fsSN", tongue, &fleet.url(at, target)])
}

/// A body in a file that is removed with the value.
pub struct Upload {
    folder: TempDir,
    /// What is in the file.
    pub body: Vec<u8>,
}

impl Upload {
    /// A body of that length.
    pub fn of(seed: u64, len: usize) -> Upload {
        let folder = TempDir::new().unwrap();
        let body = body(seed, len);
        fs::write(folder.path().join("body"), &body).unwrap();
        Upload { folder, body }
    }

    /// The path of the file.
    pub fn file(&self) -> String {
        self.folder.path().join("body").to_str().unwrap().to_owned()
    }
}

/// The history of curls that run to their end and must all succeed.
#[track_caller]
pub fn assert_all_well(sender: Curl, receivers: Vec<Curl>, body: &[u8]) {
    let n = receivers.len();
    let mut history = History::default();
    for receiver in receivers {
        history.got(Got::by_curl(receiver.ended().expect(0)));
    }
    history.sent(Sent::by_curl(sender.ended().expect(0), body, n, true)).check_all_well();
}

/// Reads the heads of receivers whose transfer has begun.
#[track_caller]
pub fn expect_started(receivers: &mut [Raw]) {
    for receiver in receivers {
        receiver.head().expect(200);
    }
}

/// A transfer whose bytes go on while a test does something else: each piece reaches every receiver
/// before the next is sent.
pub struct Pump {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Raw, Vec<Raw>, Pumped)>,
}

/// What a pump has done.
#[derive(Debug, Clone, Copy)]
pub struct Pumped {
    /// Bytes that were sent and came.
    pub bytes: usize,
    /// The longest time from a piece sent until all had it.
    pub longest: Duration,
}

impl Pump {
    /// Bytes of a piece.
    const PIECE: usize = 512;

    /// Starts to pump through a streaming transfer.
    pub fn start(mut sender: Raw, mut receivers: Vec<Raw>) -> Pump {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let pumping = move || {
            let mut pumped = Pumped { bytes: 0, longest: Duration::ZERO };
            while !stopped.load(Ordering::Relaxed) {
                let piece = body(pumped.bytes as u64, Pump::PIECE);
                let start = Instant::now();
                sender.chunk(&piece);
                for receiver in &mut receivers {
                    assert!(receiver.body(piece.len()) == piece, "behind {} bytes", pumped.bytes);
                }
                pumped.bytes += piece.len();
                pumped.longest = pumped.longest.max(start.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            (sender, receivers, pumped)
        };
        Pump { stop, thread: std::thread::spawn(pumping) }
    }

    /// Stops between two pieces and gives the clients back.
    #[track_caller]
    pub fn stop(self) -> (Raw, Vec<Raw>, Pumped) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every piece came")
    }

    /// Stops and ends the transfer, which must be complete for all its receivers.
    #[track_caller]
    pub fn finish(self) -> Pumped {
        let (mut sender, mut receivers, pumped) = self.stop();
        sender.finish();
        for receiver in &mut receivers {
            assert_eq!(receiver.rest(), (vec![], End::Clean));
        }
        let sent = expect_complete(&mut sender);
        let count = format!("[INFO] Sent {} bytes to {} of ", pumped.bytes, receivers.len());
        assert!(sent.starts_with(&count), "{sent:?}");
        pumped
    }
}

/// Runs scenarios at the same time, each on fleets of its own, and fails if one of them does. While you
/// look for a fault, `FLEET_SCENARIO` is the name of the only one to run.
#[track_caller]
pub fn side_by_side(scenarios: &[(&str, fn())]) {
    let only = std::env::var("FLEET_SCENARIO").ok();
    let running: Vec<_> = scenarios
        .iter()
        .filter(|(what, _)| only.as_ref().is_none_or(|only| only == what))
        .map(|&(what, scenario)| (what, std::thread::spawn(scenario)))
        .collect();
    let failed: Vec<&str> = running
        .into_iter()
        .filter_map(|(what, thread)| thread.join().is_err().then_some(what))
        .collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}
