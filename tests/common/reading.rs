//! How these tests read answers that many of them expect: errors, and the lines of a sender.

use std::time::Duration;

use crate::common::{End, Head, Raw, Server, pattern, unique};

/// Reads an error of spec §15 and checks everything about it: status, code, text and headers.
#[track_caller]
pub fn expect_error(raw: &mut Raw, status: u16, code: &str, text: &str) -> Head {
    let head = raw.head();
    let (body, end) = raw.rest();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!((head.status, body.as_str()), (status, format!("{text}\n").as_str()), "{head:?}");
    assert_eq!(end, End::Clean);
    assert_error_headers(&head, code);
    head
}

/// Checks the headers that every error answer carries.
#[track_caller]
pub fn assert_error_headers(head: &Head, code: &str) {
    head.expect_field("content-type", "text/plain; charset=utf-8")
        .expect_field("x-content-type-options", "nosniff")
        .expect_field("cache-control", "no-store")
        .expect_field("access-control-allow-origin", "*")
        .expect_field("x-pipe-error", code);
    assert!(head.get("content-length").is_some(), "{head:?}");
    let retry = matches!(head.status, 408 | 429 | 503).then_some("1");
    assert_eq!(head.get("retry-after"), retry, "{head:?}");
}

/// Reads lines to the end of a failed transfer: the last one is `text`, and the body is cut.
#[track_caller]
pub fn expect_failure(sender: &mut Raw, text: &str) -> Vec<String> {
    let (lines, end) = sender.lines();
    assert_eq!(lines.last().map(String::as_str), Some(text), "{lines:#?}");
    assert_ne!(end, End::Clean, "a failed transfer must be cut");
    let errors = lines.iter().filter(|line| line.starts_with("[ERROR]")).count();
    assert_eq!(errors, usize::from(text.starts_with("[ERROR]")), "{lines:#?}");
    lines
}

/// Reads lines to the end of a complete transfer, and gives the `Sent` line.
#[track_caller]
pub fn expect_complete(sender: &mut Raw) -> String {
    let (mut lines, end) = sender.lines();
    assert_eq!(end, End::Clean, "{lines:#?}");
    assert_eq!(lines.pop().as_deref(), Some("[INFO] Transfer complete."), "{lines:#?}");
    let sent = lines.pop().unwrap_or_default();
    assert!(sent.starts_with("[INFO] Sent "), "{sent:?} behind {lines:#?}");
    sent
}

/// A transfer whose upload is complete while its receiver still has to take some: its name, sender,
/// receiver and body. How much a server reads ahead is its own affair, within one window, so the
/// size that leaves a receiver behind is looked for.
#[track_caller]
pub fn draining(server: &Server) -> (String, Raw, Raw, Vec<u8>) {
    for kib in [68, 70, 72, 76, 80, 96, 128, 160, 192, 224] {
        let name = unique();
        let mut sender = server.waiting_sender(&name, 1);
        let mut slow = Raw::connect_narrow(server.address());
        slow.send(format!("GET {name} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        let body = pattern(kib << 10);
        sender.chunk(&body);
        sender.finish();
        if sender.is_silent(Duration::from_secs(1)) {
            continue;
        }
        sender.expect_line("[INFO] Upload complete.");
        if sender.is_silent(Duration::from_millis(300)) {
            return (name, sender, slow, body);
        }
    }
    panic!("no size completes an upload whose receiver is still behind");
}

/// The text of a lost sender, with its em dash.
pub const LOST: &str = "[ERROR] Transfer failed — sender encountered an error.";

/// The last line when no receiver is left.
pub const ALL_GONE: &str = "[INFO] All receivers disconnected before transfer completed.";
