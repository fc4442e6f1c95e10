//! What proves a download whose end alone does not: the relay's account of the transfer, and its
//! digest. The accounts are canned, because a relay tells the truth.

use std::time::Duration;

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::{SOON, sha256, timed};
use crate::send::closed_port;

const ID: &str = "0123456789abcdef";

fn account(state: &str, bytes: u64, digest: &str) -> Act {
    Act::ok(&format!(r#"{{"state":"{state}","bytesTransferred":{bytes},"sha256":{digest}}}"#))
}

#[test]
fn the_account_of_the_relay_decides() {
    let folder = Folder::new();
    let output = folder.path("out");
    let gone = || Act::status("404 Not Found");
    for (accounts, code, said) in [
        (vec![account("complete", 4, "null")], 0, ""),
        // It may take a moment, and another node may have to step in.
        (vec![account("streaming", 4, "null"), gone(), account("complete", 4, "null")], 0, ""),
        (vec![Act::Say(String::new()), account("complete", 4, "null")], 0, ""),
        (vec![account("complete", 5, "null")], 1, "passed on 5 bytes, but 4 have come"),
        (vec![account("streaming", 4, "null"), account("failed", 4, "null")], 1, "failed"),
        (vec![Act::status("501 Not Implemented")], 8, "does not tell"),
    ] {
        let acts: Vec<Act> = [vec![Act::stream(ID, "four")], accounts].concat();
        let canned = Canned::start(&acts);
        let url = canned.url("/x?k=token");
        let (ended, time) = timed(|| Client::run(&["receive", &url, "-n", "2", "-o", &output]));
        let stderr = &ended.expect(code).stderr;
        assert!(stderr.contains(said) && stderr.is_empty() == (code == 0), "{acts:?}: {stderr}");
        assert!(time < SOON, "{acts:?}: {time:?}");
        let heads = canned.heads();
        assert!(heads[0].starts_with("GET /x?k=token&n=2 HTTP/1.1\r\n"), "{heads:?}");
        let asked = format!("GET /x?k=token&status&transfer={ID} HTTP/1.1\r\n");
        assert!(heads[1..].iter().all(|head| head.starts_with(&asked)), "{heads:?}");
        let whole = folder.read("out").is_some();
        assert_eq!((whole, folder.read("out.part").is_some()), (code == 0, code != 0));
        let _ = std::fs::remove_file(&output);
        let _ = std::fs::remove_file(format!("{output}.part"));
    }
}

#[test]
fn what_does_not_end_is_unproven_after_ten_seconds() {
    for act in [account("streaming", 4, "null"), Act::Hold(String::new())] {
        let canned = Canned::start(&[Act::stream(ID, "four"), act.clone()]);
        let (ended, time) = timed(|| Client::run(&["receive", &canned.url("/x")]));
        assert_eq!(ended.expect(8).text(), "four");
        let why = if matches!(act, Act::Hold(_)) { "could not be asked" } else { "still runs" };
        assert!(ended.stderr.contains(why), "{ended:?}");
        let bounds = Duration::from_secs(9)..Duration::from_secs(10) + SOON;
        assert!(bounds.contains(&time), "{time:?}");
    }
}

#[test]
fn the_digest_is_compared_also_with_a_length() {
    let right = format!("\"{}\"", sha256(b"four"));
    let sized = || {
        Act::Say(format!(
            "HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {ID}\r\nContent-Length: 4\r\n\r\nfour"
        ))
    };
    for (digest, code, said) in [
        (right.as_str(), 0, ""),
        ("\"00\"", 1, "the SHA-256 differs"),
        ("null", 8, "has told no SHA-256"),
    ] {
        for body in [sized(), Act::stream(ID, "four")] {
            let canned = Canned::start(&[body, account("complete", 4, digest)]);
            let ended = Client::run(&["receive", &canned.url("/x"), "--sha256"]);
            assert!(ended.expect(code).stderr.contains(said), "{ended:?}");
            assert!(canned.heads()[0].starts_with("GET /x?sha256 HTTP/1.1\r\n"));
        }
    }
    // Without the flag, the length is enough, and nothing is asked.
    let canned = Canned::start(&[sized(), account("complete", 4, "null")]);
    Client::run(&["receive", &canned.url("/x")]).expect(0);
    assert_eq!(canned.heads().len(), 1);
}

#[test]
fn a_sender_wants_the_right_count_digest_and_end() {
    const DONE: &str = "[INFO] Transfer complete.\n";
    let sent = |bytes: u64| format!("[INFO] Sent {bytes} bytes to 1 of 1 receiver(s) in 0.1 s.\n");
    let right = format!("[INFO] SHA-256: {}\n", sha256(b"four"));
    let wrong = format!("[INFO] SHA-256: {}\n", sha256(b"five"));
    for (lines, flags, code) in [
        (format!("{}{DONE}", sent(4)), &[][..], 0),
        (format!("{}{DONE}", sent(5)), &[], 8),
        (format!("{right}{}{DONE}", sent(4)), &["--sha256"], 0),
        (format!("{wrong}{}{DONE}", sent(4)), &["--sha256"], 1),
        (format!("{}{DONE}", sent(4)), &["--sha256"], 8),
        (sent(4), &[], 8),
        (DONE.to_owned(), &[], 8),
        (String::new(), &[], 8),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", lines.len());
        let canned = Canned::start(&[Act::Hear(format!("{head}{lines}"))]);
        let url = canned.url("/x");
        let args = [&["send", url.as_str()], flags, &["--", "printf", "four"]].concat();
        assert_eq!(Client::run(&args).code, Some(code), "{lines:?} {flags:?}");
        // The same words are worth nothing when their end is a cut.
        let length = lines.len() + 1;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let canned = Canned::start(&[Act::Hear(format!("{head}{lines}"))]);
        let url = canned.url("/x");
        let args = [&["send", url.as_str()], flags, &["--", "printf", "four"]].concat();
        assert_eq!(Client::run(&args).code, Some(1), "{lines:?} {flags:?}");
    }
}

#[test]
fn passing_refusals_are_tried_again_and_others_are_not() {
    let all = || Act::whole(ID, "all");
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    for (acts, retry, code, asked) in [
        (vec![Act::Say(busy.to_owned()), Act::Say(busy.to_owned()), all()], "2", 0, 3),
        (vec![Act::Say(busy.to_owned()), Act::Say(busy.to_owned()), all()], "1", 3, 2),
        (vec![Act::Say(busy.replace("429 Too Many Requests", "503 No")), all()], "9", 0, 2),
        (vec![Act::status("408 Late"), all()], "1", 0, 2),
        (vec![Act::Say(String::new()), all()], "1", 0, 2),
        (vec![Act::status("400 No"), all()], "9", 3, 1),
        (vec![Act::status("410 Gone"), all()], "9", 6, 1),
        (vec![Act::status("408 Late"), all()], "0", 5, 1),
        // Some of it has been handed on.
        (
            vec![
                Act::Say(format!(
                    "HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {ID}\r\nContent-Length: 9\r\n\r\nx"
                )),
                all(),
            ],
            "9",
            1,
            1,
        ),
    ] {
        let canned = Canned::start(&acts);
        let ended = Client::run(&["receive", &canned.url("/x"), "--retry", retry]);
        assert_eq!(ended.code, Some(code), "{acts:?} {}", ended.stderr);
        assert_eq!(canned.heads().len(), asked, "{acts:?}");
    }
}

#[test]
fn a_file_is_sent_anew_when_the_relay_is_lost_before_anything_moved() {
    const WAITING: &str = "[INFO] Waiting for 1 receiver(s) to connect...\n";
    const STREAMING: &str = "[INFO] Streaming to 1 receiver(s)...\n";
    let folder = Folder::new();
    let file = folder.file("file", b"four");
    for (lines, code, asked) in [
        (WAITING.to_owned(), 3, 2),
        (format!("{WAITING}[ERROR] Server shutting down.\n"), 3, 2),
        (format!("{WAITING}{STREAMING}"), 1, 1),
        (format!("{WAITING}[ERROR] Cancelled.\n"), 6, 1),
        (String::new(), 1, 1),
    ] {
        let lost = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{lines}");
        let canned = Canned::start(&[Act::Say(lost), Act::status("403 Forbidden")]);
        let ended = Client::run(&["send", &file, &canned.url("/x"), "--retry", "1"]);
        assert_eq!(ended.code, Some(code), "{lines:?} {}", ended.stderr);
        assert_eq!(canned.heads().len(), asked, "{lines:?}");
    }
}

#[test]
fn a_redirect_is_shown_and_not_followed() {
    let to = "HTTP/1.1 301 Moved\r\nLocation: https://h/y\r\nContent-Length: 0\r\n\r\n";
    let canned = Canned::start(&[Act::Say(to.to_owned()), Act::ok("all")]);
    let ended = Client::run(&["receive", &canned.url("/x")]);
    assert!(ended.expect(3).stderr.contains("redirected to https://h/y"), "{ended:?}");
    assert_eq!(canned.heads().len(), 1);
}

#[test]
fn a_relay_that_is_not_up_yet_is_waited_for() {
    let address = closed_port();
    let receiver = Client::start(&["receive", &format!("http://{address}/x"), "--retry", "5"]);
    receiver.expect_line("hoody-pipe: trying again in 1 s");
    let _relay = Canned::start_at(address, &[Act::whole(ID, "all")]);
    assert_eq!(receiver.ended().expect(0).text(), "all");
}
