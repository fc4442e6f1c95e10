//! The page of `?progress`: what a spectator sees, from nobody to the end.

use serde_json::json;

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
    assert_eq!(browser.get("document.title"), "Complete · hoody-pipe — Transfer progress");
    // The count stays; what is over is not shown.
    assert_eq!(browser.text("#receivers"), "1 of 1");
    let shown =
        "['sender', 'receivers', 'eta'].map((id) => !document.getElementById(`${id}-row`).hidden)";
    assert_eq!(browser.get(shown), json!([false, true, false]));
    browser.assert_quiet();
    // Who comes now sees how it ended, but not how many were there.
    browser.open(&server.url(&format!("{name}?progress")));
    browser.until_text("#headline", "Complete");
    assert_eq!(browser.get(shown), json!([false, false, false]));
    browser.assert_quiet();
}

#[test]
fn the_next_transfer_is_not_the_last_one_again() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    browser.open(&server.url(&format!("{name}?progress")));
    for text in ["the first", "the second"] {
        browser.until_text("#headline", "Nobody is here yet");
        assert_eq!(browser.get("document.getElementById('id-row').hidden"), json!(true));
        let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
        Curl::run(&["-fsSN", "-d", text, &server.url(&name)]).expect(0);
        receiver.ended().expect(0);
        browser.until_text("#headline", "Complete");
        assert_eq!(browser.text("#bytes"), format!("{} bytes", text.len()));
        // The relay tells of this end for a while.
        browser.click("#next");
        browser.until_text("#reason", "The last transfer is over");
    }
    browser.assert_quiet();
}

/// Timers of the page take no time, and are counted as they fire; so are looks at the relay.
const HASTE: &str = "window.fired = 0; window.looks = 0;
    const [later, Source] = [setTimeout, EventSource];
    window.setTimeout = (action) => later(() => { action(); fired++; });
    window.EventSource = function (url) { looks++; return new Source(url); };
    window.EventSource.CLOSED = Source.CLOSED;";

#[test]
fn the_page_looks_for_the_next_transfer_only_while_it_is_seen_and_not_for_ever() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
    Curl::run(&["-fsSN", "-d", "x", &server.url(&name)]).expect(0);
    receiver.ended().expect(0);
    browser.open(&server.url(&format!("{name}?progress")));
    browser.until_text("#headline", "Complete");
    browser.run(HASTE);
    let hide = "Object.defineProperty(document, 'hidden', { value: true, configurable: true })";
    browser.run(hide);
    browser.click("#next");
    browser.until("fired === 1");
    assert_eq!(browser.get("looks"), json!(1), "nobody sees it");
    browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
    browser.until_text("#reason", "This page has stopped looking.");
    assert_eq!(browser.get("looks"), json!(20));
    assert_eq!(browser.get("document.getElementById('after').hidden"), json!(false));
    browser.assert_quiet();
}

#[test]
fn a_name_is_shown_as_people_write_it() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/caf%C3%A9%20%26%20%3Cimg%20src=x%3E?progress"));
    assert_eq!(browser.text(".lede span"), "café & <img src=x>");
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
