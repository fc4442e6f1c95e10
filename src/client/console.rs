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
        let text = printable(text);
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
        let console = Console(ProgressBar::hidden());
        console.expect(Some(3));
        console.advance(3);
        console.close();
    }
}
