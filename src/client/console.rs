//! What a person sees on stderr: lines, and on a terminal a progress line. Knows nothing of what
//! they mean.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What there is to see before anything moves: no speed, and no time left.
const WAITING: &str = "{spinner} waiting, {elapsed}";

/// Where lines and progress go.
pub struct Console {
    bar: ProgressBar,
    length: Cell<Option<u64>>,
    moving: Cell<bool>,
}

impl Console {
    /// With a progress line if `watched` and stderr is a terminal.
    pub fn new(watched: bool) -> Self {
        let bar = match watched && std::io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        let bar = bar.with_style(style(WAITING));
        Self { bar, length: Cell::new(None), moving: Cell::new(false) }
    }

    /// Says how many bytes are to come.
    pub fn expect(&self, length: Option<u64>) {
        self.length.set(length.filter(|length| *length > 0));
    }

    /// From now on bytes move: the time before does not count.
    pub fn begin(&self) {
        if self.moving.replace(true) {
            return;
        }
        self.bar.reset_elapsed();
        self.bar.set_style(style(match self.length.get() {
            Some(length) => {
                self.bar.set_length(length);
                "{wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left"
            }
            None => "{spinner} {bytes}, {binary_bytes_per_sec}, {elapsed}",
        }));
    }

    /// So many bytes more are through.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Waits anew, with nothing through.
    pub fn restart(&self) {
        self.moving.set(false);
        self.bar.reset();
        self.bar.set_style(style(WAITING));
    }

    /// Prints a line. What could steer a terminal is left out.
    pub fn line(&self, text: &str) {
        let text = printable(text);
        // Nobody may be there to read it; that ends nothing.
        let _ = self.bar.suspend(|| writeln!(std::io::stderr(), "{text}"));
    }

    /// Prints a line of our own.
    pub fn say(&self, text: &str) {
        self.line(&format!("hoody-pipe: {text}"));
    }

    /// Takes the progress line away.
    pub fn close(&self) {
        self.bar.finish_and_clear();
    }
}

/// A text without what could steer a terminal or turn its words around.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|c| !steers(*c)).collect()
}

fn style(line: &str) -> ProgressStyle {
    ProgressStyle::with_template(line).expect("the template is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_steers_nothing() {
        assert_eq!(
            printable("a\u{1b}[31m\u{9b}b\r\n\u{202e}c\u{2028}d\u{2069}é 한"),
            "a[31mbcdé 한"
        );
    }

    #[test]
    fn the_templates_are_well_formed() {
        for length in [None, Some(3)] {
            let console = Console::new(false);
            console.expect(length);
            console.begin();
            console.advance(3);
            console.restart();
            console.close();
        }
    }
}
