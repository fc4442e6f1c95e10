//! The pages over TLS and HTTP/2, as browsers speak it: Chromium
//! reads no answer before its upload is through, here as over HTTP/1.1, so the live view has to tell.

use serde_json::json;

use crate::browser::{Browser, Upload};
use crate::common::{Curl, End, PATIENCE, eventually, pattern, sha256, unique};
use crate::kit::{Relay, Tls2};

/// What the browser itself writes to the console about an answer that failed.
const FAILED_REQUEST: &str = "Failed to load resource";

/// More than all buffers on the way hold.
const LARGE: usize = 24 << 20;

/// The send page with a large file, and its name with the leading `/`.
fn ready(relay: &Relay, browser: &Browser, upload: &Upload) -> String {
    browser.open(&relay.url(Tls2, "/"));
    let protocol = "performance.getEntriesByType('navigation')[0].nextHopProtocol";
    assert_eq!(browser.get(protocol), json!("h2"));
    browser.type_into("#file", upload.path());
    format!("/{}", browser.text("#name"))
}

#[test]
fn a_large_file_is_told_of_while_it_goes() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let bytes = pattern(LARGE);
    let upload = Upload::new("large", &bytes);
    let name = ready(&relay, &browser, &upload);
    assert_eq!(browser.text("#link"), relay.url(Tls2, &name));
    browser.click("#send");
    browser.until_text("#headline", "Waiting for the receiver");
    // It takes nothing yet, so the upload cannot end.
    let mut receiver = relay.server.get(&name);
    receiver.head().expect(200);
    browser.until_text("#headline", "Sending to the receiver");
    browser.until("document.getElementById('meter').textContent.includes(' of 25.2 MB · ')");
    let (got, end) = receiver.rest();
    assert_eq!((sha256(&got), end), (sha256(&bytes), End::Clean));
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    assert!(browser.text("#log").ends_with("[INFO] Transfer complete.\n"));
    browser.assert_quiet();
}

#[test]
fn a_file_goes_to_curl_and_is_watched() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let (upload, watcher) = (Upload::new("a.txt", b"through TLS"), Browser::start());
    let name = ready(&relay, &browser, &upload);
    watcher.open(&relay.url(Tls2, &format!("{name}?progress")));
    watcher.until_text("#headline", "Nobody is here yet");
    let receiver = relay.receiver(Tls2, &name);
    browser.until_text("#presence", "A receiver is already waiting.");
    watcher.until_text("#reason", "Receivers are here; the sender is missing.");
    browser.click("#send");
    assert_eq!(receiver.ended().expect(0).text(), "through TLS");
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    watcher.until_text("#headline", "Complete");
    assert_eq!(watcher.text("#bytes"), "11 bytes");
    browser.assert_quiet();
    watcher.assert_quiet();
}

#[test]
fn a_receiver_that_dies_is_a_failure() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let upload = Upload::new("large", &vec![7; LARGE]);
    let name = ready(&relay, &browser, &upload);
    browser.click("#send");
    let mut receiver = relay.server.get(&name);
    receiver.head().expect(200);
    browser.until_text("#headline", "Sending to the receiver");
    drop(receiver);
    browser.until_text("#headline", "Failed");
    let reason = browser.text("#reason");
    assert!(reason.starts_with("All receivers disconnected"), "{reason}");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_large_upload_is_cancelled() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let upload = Upload::new("large", &vec![7; LARGE]);
    let name = ready(&relay, &browser, &upload);
    browser.click("#send");
    eventually("the sender is there", PATIENCE, || {
        relay.server.put(&name).head().get("x-pipe-error") == Some("sender_taken")
    });
    browser.click("#cancel");
    browser.until_text("#headline", "Failed");
    assert_eq!(browser.text("#reason"), "Cancelled.");
    eventually("the name is free", PATIENCE, || relay.is_idle(&name));
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_name_in_use_is_said() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let name = unique();
    let mut other = relay.server.put(&name);
    other.head().expect(200);
    let upload = Upload::new("large", &vec![7; LARGE]);
    browser.open(&relay.url(Tls2, &format!("/?name={name}")));
    browser.type_into("#file", upload.path());
    browser.click("#send");
    browser.until_text("#headline", "Failed");
    let text = format!("Path '{name}' already has a sender connected.");
    assert_eq!(browser.text("#reason"), text);
    // The other sender is none the wiser.
    let receiver = Curl::start(&["-fsSN", &relay.server.url(&name)]);
    other.chunk(b"mine");
    other.finish();
    assert_eq!(receiver.ended().expect(0).text(), "mine");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn the_forms_send_a_text() {
    let (relay, browser) = (Relay::start(&[]), Browser::start());
    let name = unique();
    browser.open(&relay.url(Tls2, &format!("/noscript?mode=text&path={name}")));
    let receiver = relay.receiver(Tls2, &name);
    browser.type_into("#input", "without a script");
    browser.click("[method=post] button");
    assert_eq!(receiver.ended().expect(0).text(), "without a script");
    browser.until("document.body.innerText.includes('[INFO] Transfer complete.')");
}
