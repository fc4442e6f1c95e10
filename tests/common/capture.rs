//! What a child process prints, collected by a thread so that the child never blocks, and awaited
//! with a deadline. Knows nothing of what the bytes mean.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The bytes so far, and whether the end was seen.
#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

/// A growing record of one pipe.
#[derive(Clone, Default)]
pub struct Capture(Arc<(Mutex<State>, Condvar)>);

impl Capture {
    /// Starts to collect `source` until its end.
    pub fn of(mut source: impl Read + Send + 'static) -> Capture {
        let capture = Capture::default();
        let shared = capture.clone();
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            loop {
                let count = source.read(&mut piece).unwrap_or(0);
                shared.push(&piece[..count]);
                if count == 0 {
                    return;
                }
            }
        });
        capture
    }

    fn push(&self, piece: &[u8]) {
        let mut state = self.0.0.lock().unwrap();
        state.bytes.extend_from_slice(piece);
        state.ended = piece.is_empty();
        self.0.1.notify_all();
    }

    /// Everything collected so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }

    /// Everything collected so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `holds` for the bytes so far; `false` when `limit` or the end came first.
    pub fn wait_until(&self, limit: Duration, mut holds: impl FnMut(&[u8]) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.0.0.lock().unwrap();
        loop {
            if holds(&state.bytes) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return false;
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for the end of the pipe.
    pub fn wait_for_end(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.0.0.lock().unwrap();
        while !state.ended && Instant::now() < deadline {
            state = self.0.1.wait_timeout(state, Duration::from_millis(100)).unwrap().0;
        }
    }
}
