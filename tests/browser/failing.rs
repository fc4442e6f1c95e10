//! Transfers that do not succeed: the page says so, and why.

use crate::browser::{Browser, Upload};
use crate::common::{Curl, Server, eventually, unique};

/// What the browser itself writes to the console about an answer that failed.
const FAILED_REQUEST: &str = "Failed to load resource";

/// More than all buffers on the way hold.
const LARGE: usize = 24 << 20;

#[test]
fn a_name_in_use_is_said() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    let mut other = server.put(&name);
    other.head().expect(200);
    for upload in [Upload::new("small", b"x"), Upload::new("large", &vec![7; LARGE])] {
        browser.open(&server.url(&format!("/?name={name}")));
        browser.until_text("#presence", "Somebody else already sends under this name.");
        browser.type_into("#file", upload.path());
        browser.click("#send");
        browser.until_text("#headline", "Failed");
        let text = format!("Path '{name}' already has a sender connected.");
        assert_eq!(browser.text("#reason"), text);
        browser.assert_quiet_but_for(FAILED_REQUEST);
    }
    // The other sender is none the wiser.
    let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
    other.chunk(b"mine");
    other.finish();
    assert_eq!(receiver.ended().expect(0).text(), "mine");
}

#[test]
fn a_receiver_that_dies_is_a_failure() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("large", &vec![7; LARGE]);
    browser.open(&server.url("/"));
    browser.type_into("#file", upload.path());
    browser.click("#send");
    let receiver = Curl::start(&["-fsSN", "--limit-rate", "2M", &browser.text("#link")]);
    receiver.expect_bytes(1_000_000);
    browser.until_text("#headline", "Sending to the receiver");
    receiver.kill();
    browser.until_text("#headline", "Failed");
    let reason = browser.text("#reason");
    assert!(reason.starts_with("All receivers disconnected"), "{reason}");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn cancelling_tells_everybody() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?text=never&n=2"));
    let waiting = Curl::start(&["-sSN", "-w", "%{http_code}", &browser.text("#link")]);
    browser.click("#send");
    browser.until("document.getElementById('log').textContent.includes('receiver')");
    eventually("the receiver is there", crate::common::PATIENCE, || {
        browser.text("#log").contains("connected")
    });
    browser.click("#cancel");
    browser.until_text("#headline", "Failed");
    assert_eq!(browser.text("#reason"), "Cancelled.");
    assert_eq!(waiting.ended().expect(0).text(), "[ERROR] Cancelled.\n410");
    browser.click("#back");
    assert_eq!(browser.text("#text"), "never");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_large_upload_is_cancelled_too() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("large", &vec![7; LARGE]);
    browser.open(&server.url("/"));
    browser.type_into("#file", upload.path());
    let name = format!("/{}", browser.text("#name"));
    browser.click("#send");
    eventually("the sender is there", crate::common::PATIENCE, || {
        server.put(&name).head().get("x-pipe-error") == Some("sender_taken")
    });
    browser.click("#cancel");
    browser.until_text("#headline", "Failed");
    assert_eq!(browser.text("#reason"), "Cancelled.");
    assert!(server.is_idle(&name));
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn nobody_came_and_trying_again_helps() {
    let (server, browser) = (Server::start(&["--wait", "1"]), Browser::start());
    browser.open(&server.url("/?text=again"));
    browser.click("#send");
    browser.until_text("#headline", "Failed");
    assert_eq!(browser.text("#reason"), "Timed out waiting for receivers.");
    let receiver = Curl::start(&["-fsSN", &format!("{}?wait=60", browser.text("#link"))]);
    eventually("the receiver is there", crate::common::PATIENCE, || {
        let status = Curl::run(&["-fsS", &format!("{}?status", browser.text("#link"))]);
        status.expect(0).text().contains("\"activeReceivers\":1")
    });
    browser.click("#retry");
    assert_eq!(receiver.ended().expect(0).text(), "again");
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_post_that_a_browser_says_again_is_no_second_transfer() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url(&format!("/?text=once&name={}", unique())));
    // The same id twice is what the server sees when a browser repeats itself.
    browser.run("crypto.getRandomValues = (bytes) => bytes.fill(7)");
    let receiver = Curl::start(&["-fsSN", &browser.text("#link")]);
    browser.click("#send");
    receiver.ended().expect(0);
    browser.until_text("#headline", "Delivered");
    browser.click("#retry");
    browser.type_into("#text", "twice");
    browser.click("#send");
    browser.until_text("#headline", "Failed");
    let reason = browser.text("#reason");
    assert!(reason.ends_with("By the server’s own record the transfer is complete."), "{reason}");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_server_that_dies_is_no_success() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?text=lost"));
    browser.click("#send");
    browser.until_text("#log", "[INFO] Waiting for 1 receiver(s)");
    drop(server);
    browser.until_text("#headline", "Failed");
    let reason = browser.text("#reason");
    assert_eq!(reason, "The connection was lost before the server confirmed the delivery.");
    assert_eq!(browser.get("document.title"), "Failed · hoody-pipe — Send");
    browser.click("#retry");
    let nobody = "The server cannot be reached. Check the network, then try again.";
    browser.until_text("#reason", nobody);
    assert_eq!(browser.text("#headline"), "Failed");
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn a_file_that_has_gone_is_said() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("gone", b"x");
    browser.open(&server.url("/"));
    browser.type_into("#file", upload.path());
    drop(upload);
    browser.click("#send");
    browser.until_text("#headline", "Failed");
    assert!(browser.text("#reason").starts_with("The file cannot be read any more."));
    browser.assert_quiet_but_for(FAILED_REQUEST);
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    for (name, wrong) in [
        ("a/../b", "Not possible in a name: a backslash, or “.” or “..” between slashes."),
        ("Help./", "The server itself uses “help”: choose another name."),
    ] {
        browser.open(&server.url(&format!("/?name={name}&text=x")));
        assert_eq!(browser.text("#name-wrong"), wrong, "before anything is sent");
        assert_eq!((browser.text("#link"), browser.text("#works")), Default::default());
    }
    browser.click("#send");
    assert_eq!(browser.get("document.getElementById('form').hidden"), false);
    assert_eq!(browser.get("document.activeElement.id"), "name");
    browser.open(&server.url("/"));
    browser.click("#send");
    assert_eq!(browser.text("#what-wrong"), "Choose a file first.");
    browser.run("document.getElementById('n').value = 257");
    browser.type_into("#n", "\u{e013}");
    assert_eq!(browser.text("#n-wrong"), "");
    browser.type_into("#n", "0");
    assert_eq!(browser.text("#n-wrong"), "1 to 256");
    assert_eq!((browser.text("#link"), browser.text("#works")), Default::default());
    browser.assert_quiet();
}
