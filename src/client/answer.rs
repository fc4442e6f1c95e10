//! The relay's answer to a sender (spec §9): lines while the upload runs, and what they prove.
//! Knows nothing of connections.

use super::Exit;

/// The longest line that is kept together, in bytes.
const LINE_MAX: usize = 8192;

/// What the lines have said so far.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// The line that is not complete yet.
    rest: Vec<u8>,
    /// B, K and N of `Sent B bytes to K of N receiver(s)`.
    sent: Option<(u64, u16, u16)>,
    digest: Option<String>,
    /// Whether the last line was `Transfer complete.`
    complete: bool,
    error: Option<Exit>,
    /// What is known of whether another try may do better.
    hope: Hope,
}

/// Whether an upload that has failed may be tried again without anybody getting it twice.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Hope {
    /// No line has come: the answer may have been held back.
    #[default]
    Unknown,
    /// The relay waits for receivers.
    Waiting,
    /// Somebody may have got something, or has refused it for good.
    Gone,
}

/// What a sender knows of itself.
pub struct Known {
    /// Bytes handed on.
    pub bytes: u64,
    /// Their digest, when one was asked for.
    pub digest: Option<String>,
    /// Whether every receiver has to have everything.
    pub all: bool,
}

impl Report {
    /// Takes a piece of the answer, and gives the lines that it completes to `show`.
    pub fn take(&mut self, piece: &[u8], show: impl Fn(&str)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() > LINE_MAX {
                let line = std::mem::take(&mut self.rest);
                let line = String::from_utf8_lossy(&line);
                show(line.trim_end());
                self.line(line.trim_end());
            }
        }
    }

    fn line(&mut self, line: &str) {
        self.complete = line == "[INFO] Transfer complete.";
        self.hope = hope(self.hope, line);
        if let Some(error) = line.strip_prefix("[ERROR] ") {
            self.error = Some(match error {
                _ if error.starts_with("Timed out") => Exit::TimedOut,
                _ if error.starts_with("Cancelled") => Exit::Cancelled,
                _ => Exit::Failed,
            });
        } else if line.starts_with("[INFO] All receivers disconnected") {
            self.error = Some(Exit::Failed);
        } else if let Some(digest) = line.strip_prefix("[INFO] SHA-256: ") {
            self.digest = Some(digest.to_owned());
        } else if let Some(sent) = line.strip_prefix("[INFO] Sent ") {
            self.sent = counts(sent);
        }
    }

    /// Whether the transfer has begun.
    pub fn is_streaming(line: &str) -> bool {
        line.starts_with("[INFO] Streaming to ")
    }

    /// Whether the relay waited for receivers to the end of its answer, `cleanly` or by a cut, so that
    /// nobody has got anything and another try may do better.
    pub fn is_passing(&self, cleanly: bool) -> bool {
        self.hope == Hope::Waiting && (self.error.is_some() || !cleanly)
    }

    /// What an answer comes to that has ended, `cleanly` or by a cut, with a sentence about it where
    /// the lines do not say so themselves.
    pub fn verdict(&self, cleanly: bool, known: &Known) -> (Exit, Option<String>) {
        if let Some(exit) = self.error {
            return (exit, None);
        }
        if !cleanly {
            let why = "the connection was lost before the end of the answer; send it again";
            return (Exit::Failed, Some(why.to_owned()));
        }
        let unproven = |why: String| (Exit::Unproven, Some(why));
        let (true, Some((bytes, k, n))) = (self.complete, self.sent) else {
            let why = "the relay has not said that the transfer is complete; ask the receivers";
            return unproven(why.to_owned());
        };
        if bytes != known.bytes {
            let ours = known.bytes;
            return unproven(format!(
                "the relay has passed on {bytes} bytes, but {ours} were sent; ask the receivers"
            ));
        }
        if k == 0 {
            return unproven("no receiver has got everything; they need it again".to_owned());
        }
        if known.all && k != n {
            return unproven(format!(
                "only {k} of {n} receivers have got everything; the others need it again"
            ));
        }
        match (&known.digest, &self.digest) {
            (None, _) => (Exit::Complete, None),
            (Some(ours), Some(theirs)) if ours == theirs => (Exit::Complete, None),
            (Some(_), Some(_)) => {
                let why = "the relay has passed on other bytes: its SHA-256 differs; send it again";
                (Exit::Failed, Some(why.to_owned()))
            }
            (Some(_), None) => unproven("the relay has told no SHA-256".to_owned()),
        }
    }
}

fn hope(before: Hope, line: &str) -> Hope {
    match line.strip_prefix("[ERROR] ") {
        // Only as the last word of a relay that waited.
        Some(error) if ["Cancelled", "Transfer "].iter().any(|word| error.starts_with(word)) => {
            Hope::Gone
        }
        Some(_) => before,
        None if before == Hope::Gone || Report::is_streaming(line) => Hope::Gone,
        None if line.starts_with("[INFO] Waiting for ") => Hope::Waiting,
        None => before,
    }
}

/// B, K and N of `B bytes to K of N receiver(s) in S s.`
fn counts(sent: &str) -> Option<(u64, u16, u16)> {
    let (bytes, rest) = sent.split_once(" bytes to ")?;
    let (k, rest) = rest.split_once(" of ")?;
    let (n, _) = rest.split_once(" receiver(s) in ")?;
    Some((bytes.parse().ok()?, k.parse().ok()?, n.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &str) -> Report {
        let mut report = Report::default();
        // Pieces end anywhere.
        for piece in lines.as_bytes().chunks(7) {
            report.take(piece, |_| ());
        }
        report
    }

    #[test]
    fn only_a_clean_end_with_the_right_counts_is_complete() {
        const SENT: &str = "[INFO] Sent 5 bytes to 2 of 3 receiver(s) in 0.1 s.\n";
        const DONE: &str = "[INFO] Transfer complete.\n";
        let all = format!("[INFO] Upload complete.\n{SENT}{DONE}");
        let hashed = format!("[INFO] SHA-256: abc\n{SENT}{DONE}");
        for (lines, cleanly, bytes, digest, require_all, want) in [
            (all.as_str(), true, 5, None, false, Exit::Complete),
            (&all, false, 5, None, false, Exit::Failed),
            (&all, true, 6, None, false, Exit::Unproven),
            (&all, true, 5, None, true, Exit::Unproven),
            (&all, true, 5, Some("abc"), false, Exit::Unproven),
            (&hashed, true, 5, Some("abc"), false, Exit::Complete),
            (&hashed, true, 5, Some("abd"), false, Exit::Failed),
            (SENT, true, 5, None, false, Exit::Unproven),
            (DONE, true, 0, None, false, Exit::Unproven),
            ("", true, 0, None, false, Exit::Unproven),
            (&format!("{all}[INFO] Later.\n"), true, 5, None, false, Exit::Unproven),
            (&format!("{all}[ERROR] Internal error.\n"), true, 5, None, false, Exit::Failed),
            (
                "[INFO] Sent 5 bytes to 0 of 3 receiver(s) in 0.1 s.\n[INFO] Transfer complete.\n",
                true,
                5,
                None,
                false,
                Exit::Unproven,
            ),
            ("[ERROR] Timed out waiting for receivers.\n", false, 0, None, false, Exit::TimedOut),
            ("[ERROR] Cancelled: x.\n", false, 0, None, false, Exit::Cancelled),
            ("[ERROR] Cancelled.\n", false, 0, None, false, Exit::Cancelled),
            (
                "[INFO] All receivers disconnected before transfer completed.\n",
                false,
                0,
                None,
                false,
                Exit::Failed,
            ),
        ] {
            let digest = digest.map(str::to_owned);
            let known = Known { bytes, digest, all: require_all };
            let (exit, why) = report(lines).verdict(cleanly, &known);
            assert_eq!(exit, want, "{lines:?} {why:?}");
        }
    }

    #[test]
    fn only_what_has_moved_nothing_is_passing() {
        const WAITING: &str = "[INFO] Waiting for 1 receiver(s) to connect...\n";
        const STREAMING: &str = "[INFO] Streaming to 1 receiver(s)...\n";
        for (lines, cleanly, want) in [
            (format!("{WAITING}[ERROR] Timed out waiting for receivers.\n"), false, true),
            (format!("{WAITING}[ERROR] Timed out waiting for receivers.\n"), true, true),
            (format!("{WAITING}[ERROR] Server shutting down.\n"), false, true),
            (format!("{WAITING}[INFO] A receiver connected.\n"), false, true),
            (WAITING.to_owned(), true, false),
            (String::new(), false, false),
            (format!("{WAITING}[ERROR] Cancelled: drift.\n"), false, false),
            (format!("{WAITING}[ERROR] Transfer failed — wrong length.\n"), false, false),
            (format!("{WAITING}{STREAMING}"), false, false),
            (format!("{WAITING}{STREAMING}[ERROR] Server shutting down.\n"), false, false),
            (format!("{STREAMING}{WAITING}"), false, false),
        ] {
            assert_eq!(report(&lines).is_passing(cleanly), want, "{lines:?} {cleanly}");
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut report = Report::default();
        for _ in 0..100 {
            report.take(&[b'x'; 1000], |_| ());
        }
        assert!(report.rest.len() <= LINE_MAX + 1000);
    }
}
