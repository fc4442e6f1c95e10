//! The events of a transfer in words, and what its end comes to. Knows nothing of how they came.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};
use serde_json::Value;

use super::Exit;

/// A line for a person; `None` for events of later versions.
pub fn told(name: &str, fields: &Value) -> Option<String> {
    match name {
        "state" => state(fields),
        "progress" => Some(progress(fields)),
        "done" => Some(done(fields)),
        _ => None,
    }
}

/// What the end of a transfer comes to (spec §9, `reason`).
pub fn outcome(done: &Value) -> Exit {
    let reason = done["reason"].as_str().unwrap_or_default();
    match done["state"].as_str() {
        Some("complete") => Exit::Complete,
        _ if reason.starts_with("Timed out") => Exit::TimedOut,
        _ if reason.starts_with("Cancelled") => Exit::Cancelled,
        _ => Exit::Failed,
    }
}

fn state(fields: &Value) -> Option<String> {
    let (here, all) = (number(fields, "activeReceivers"), number(fields, "totalReceivers"));
    let sender = if fields["hasSender"] == true { "the sender is there" } else { "no sender yet" };
    Some(match fields["state"].as_str()? {
        "idle" => "idle: nobody is there yet".to_owned(),
        "waiting" => format!("waiting: {sender}, {here} of {all} receiver(s)"),
        "streaming" => format!("streaming to {here} of {all} receiver(s)"),
        other => other.to_owned(),
    })
}

fn progress(fields: &Value) -> String {
    let mut line = format!("streaming: {}", bytes(fields, "bytesTransferred"));
    // Writing to a String cannot fail.
    if fields["totalBytes"].is_u64() {
        let _ = write!(line, " of {}", bytes(fields, "totalBytes"));
    }
    let _ = write!(line, ", {}/s", bytes(fields, "speed"));
    if let Some(seconds) = fields["eta"].as_u64() {
        let _ = write!(line, ", {} left", HumanDuration(Duration::from_secs(seconds)));
    }
    line
}

fn done(fields: &Value) -> String {
    let size = bytes(fields, "bytesTransferred");
    if fields["state"] != "complete" {
        let reason = fields["reason"].as_str().unwrap_or("no reason is known");
        return format!("failed after {size}: {reason}");
    }
    let seconds = fields["duration"].as_f64().unwrap_or(0.0);
    let mut line = format!("complete: {size} in {seconds:.1} s, {}/s", bytes(fields, "avgSpeed"));
    if let Some(digest) = fields["sha256"].as_str() {
        let _ = write!(line, ", SHA-256 {digest}");
    }
    line
}

fn number(fields: &Value, key: &str) -> u64 {
    fields[key].as_u64().unwrap_or(0)
}

fn bytes(fields: &Value, key: &str) -> BinaryBytes {
    BinaryBytes(number(fields, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_is_a_line() {
        for (name, fields, want) in [
            (
                "state",
                json!({"state": "waiting", "hasSender": true, "activeReceivers": 1, "totalReceivers": 3}),
                "waiting: the sender is there, 1 of 3 receiver(s)",
            ),
            (
                "progress",
                json!({"bytesTransferred": 2048, "totalBytes": 4096, "speed": 1024, "eta": 2}),
                "streaming: 2.00 KiB of 4.00 KiB, 1.00 KiB/s, 2 seconds left",
            ),
            (
                "progress",
                json!({"bytesTransferred": 5, "totalBytes": null, "speed": 0, "eta": null}),
                "streaming: 5 B, 0 B/s",
            ),
            (
                "done",
                json!({"state": "complete", "bytesTransferred": 5, "duration": 1.5, "avgSpeed": 3, "sha256": "ab"}),
                "complete: 5 B in 1.5 s, 3 B/s, SHA-256 ab",
            ),
            (
                "done",
                json!({"state": "failed", "bytesTransferred": 0, "reason": "Sender disconnected"}),
                "failed after 0 B: Sender disconnected",
            ),
        ] {
            assert_eq!(told(name, &fields).as_deref(), Some(want));
        }
        assert_eq!(told("later", &json!({})), None);
        assert_eq!(told("state", &json!([])), None);
    }

    #[test]
    fn the_end_has_its_exit_code() {
        for (state, reason, want) in [
            ("complete", Value::Null, Exit::Complete),
            ("failed", "Timed out waiting for receivers".into(), Exit::TimedOut),
            ("failed", "Timed out".into(), Exit::TimedOut),
            ("failed", "Cancelled".into(), Exit::Cancelled),
            ("failed", "Cancelled: drift".into(), Exit::Cancelled),
            ("failed", "Sender disconnected".into(), Exit::Failed),
            ("failed", Value::Null, Exit::Failed),
            ("odd", Value::Null, Exit::Failed),
        ] {
            assert_eq!(outcome(&json!({"state": state, "reason": reason})), want);
        }
    }
}
