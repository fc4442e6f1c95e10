//! The harness of the black-box tests: the real binary, raw HTTP/1.x clients, stock curl, and a
//! proxy that injects faults. It knows no rule of the product except what a request looks like;
//! what must come back is said by the tests.
//!
//! Every wait has a deadline, every process and thread ends with the value that owns it.

// Each test binary uses the part of the harness that it needs.
#![allow(dead_code, unused_imports)]

pub mod answer;
pub mod canned;
pub mod capture;
pub mod curl;
pub mod metrics;
pub mod proxy;
pub mod raw;
pub mod reading;
pub mod seeing;
pub mod server;
pub mod tls;
pub mod uses;

pub use answer::{End, Head};
pub use curl::Curl;
pub use metrics::Numbers;
pub use proxy::{Fault, Proxy};
pub use raw::Raw;
pub use server::Server;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long any single wait may take before the test fails. Never part of an assertion.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// "Within a second" of the specification, with room for a busy machine.
pub const SOON: Duration = Duration::from_secs(3);

/// A name nobody else uses, with its leading `/`.
pub fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("/t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `len` bytes that look random and are always the same (xorshift).
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The lower-case hex SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the long versions of the tests were asked for (`HOODY_PIPE_FULL=1`).
pub fn full() -> bool {
    std::env::var_os("HOODY_PIPE_FULL").is_some_and(|value| value == "1")
}

/// Asks again and again until `holds`, and fails after `limit`.
pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long `action` took.
pub fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = action();
    (value, start.elapsed())
}

/// Whether `line` is what `pattern` says; `*` in the pattern stands for a number such as `0.1`.
pub fn like(pattern: &str, line: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == line };
    let number = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|number| {
        number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && number.parse::<f64>().is_ok()
    })
}

/// Fails unless `lines` are exactly the `patterns` (see [`like`]).
#[track_caller]
pub fn assert_lines(lines: &[String], patterns: &[&str]) {
    let same = lines.len() == patterns.len()
        && lines.iter().zip(patterns).all(|(line, pattern)| like(pattern, line));
    assert!(same, "lines are\n{lines:#?}\nbut should be\n{patterns:#?}");
}
