//! The page of `?progress`: what a spectator sees, from nobody to the end.

use crate::browser::Browser;
use crate::common::{Curl, Server, unique};

#[test]
fn a_transfer_is_watched_to_its_end() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    browser.open(&server.url(&format!("{name}?progress")));
    assert_eq!(browser.get("document.title"), "hoody-pipe — Transfer progress");
    browser.until_text("#headline", "Nobody is here yet");
    let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
    browser.until_text("#reason", "Receivers are here; the sender is missing.");
    let mut sender = server.put_with(&name, &["X-Pipe-Length: 2000"]);
    sender.head().expect(200);
    browser.until_text("#headline", "Streaming");
    sender.chunk(&[7; 500]);
    browser.until_text("#bytes", "500 bytes of 2.0 kB");
    assert_eq!(browser.text("#receivers"), "1 of 1");
    assert_eq!(browser.get("document.getElementById('bar').value"), 0.25);
    sender.chunk(&[7; 1500]);
    sender.finish();
    receiver.ended().expect(0);
    browser.until_text("#headline", "Complete");
    assert_eq!(browser.text("#bytes"), "2.0 kB");
    browser.assert_quiet();
    // Who comes now sees how it ended.
    browser.click("#next");
    browser.until_text("#headline", "Complete");
    browser.assert_quiet();
}

#[test]
fn a_failure_is_told_with_its_reason() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    browser.open(&server.url(&format!("{name}?progress")));
    browser.until_text("#headline", "Nobody is here yet");
    let mut sender = server.put(&name);
    sender.head().expect(200);
    browser.until_text("#reason", "The sender is here; receivers are missing.");
    Curl::run(&["-fsS", "-X", "DELETE", &server.url(&format!("{name}?reason=drift"))]).expect(0);
    browser.until_text("#headline", "Failed");
    assert_eq!(browser.text("#reason"), "Cancelled: drift.");
    browser.assert_quiet();
}
