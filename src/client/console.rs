//! What a person sees on stderr: lines, and on a terminal a progress line. Knows nothing of what
//! they mean.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Where lines and progress go.
pub struct Console(ProgressBar);

impl Console {
    /// With a progress line if `watched` and stderr is a terminal.
    pub fn new(watched: bool) -> Self {
        if !watched || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar.with_style(style("{spinner} {bytes}, {binary_bytes_per_sec}, {elapsed}")))
    }

    /// Says how many bytes are to come.
    pub fn expect(&self, length: Option<u64>) {
        if let Some(length) = length.filter(|length| *length > 0) {
            self.0.set_length(length);
            let line = "{wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
            self.0.set_style(style(line));
        }
    }

    /// So many bytes more are through.
    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Prints a line. What could steer a terminal is left out.
    pub fn line(&self, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        // Nobody may be there to read it; that ends nothing.
        let _ = self.0.suspend(|| writeln!(std::io::stderr(), "{text}"));
    }

    /// Prints a line of our own.
    pub fn say(&self, text: &str) {
        self.line(&format!("hoody-pipe: {text}"));
    }

    /// Takes the progress line away.
    pub fn close(&self) {
        self.0.finish_and_clear();
    }
}

fn style(line: &str) -> ProgressStyle {
    ProgressStyle::with_template(line).expect("the template is well formed")
}
