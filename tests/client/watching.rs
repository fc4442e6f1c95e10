//! `status`, `progress`, and proof without a length, against a real relay.

use serde_json::Value;

use crate::client::{Client, Folder};
use crate::common::{PATIENCE, Server, eventually, pattern, unique};
use crate::table::Relay;

const ID: &str = "an-id-of-my-own_1";

fn state(url: &str, more: &[&str]) -> Value {
    let ended = Client::run(&[&["status", url], more].concat());
    serde_json::from_str(&ended.expect(0).text()).unwrap()
}

#[test]
fn a_stream_without_length_is_proven_by_the_account() {
    let relay = Relay::start();
    let folder = Folder::new();
    for way in relay.ways() {
        let (url, output) = (way.to(&unique()), folder.path("out"));
        for hashed in [&[][..], &["--sha256"]] {
            let args = [&["receive", &url, "-o", &output], hashed].concat();
            let receiver = way.start(&args);
            way.run(&[&["send", &url], hashed, &["--", "echo", "all of it"]].concat()).expect(0);
            assert_eq!(receiver.ended().expect(0).stderr, "");
            assert_eq!(folder.read("out").as_deref(), Some(&b"all of it\n"[..]));
            std::fs::remove_file(&output).unwrap();
        }
    }
}

#[test]
fn the_digest_of_a_file_is_compared_too() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let bytes = pattern(3_000_000);
    let file = folder.file("file", &bytes);
    let url = server.url(&unique());
    let all = ["one", "two"].map(|name| {
        let output = folder.path(name);
        Client::start(&["receive", &url, "-n", "2", "--sha256", "-o", &output])
    });
    Client::run(&["send", &file, &url, "-n", "2", "--sha256", "--require-all"]).expect(0);
    for receiver in all {
        receiver.ended().expect(0);
    }
    assert_eq!((folder.read("one"), folder.read("two")), (Some(bytes.clone()), Some(bytes)));
}

#[test]
fn status_tells_each_state() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    assert_eq!(state(&url, &[])["state"], "idle");
    let unknown = Client::run(&["status", &url, "--transfer-id", ID]);
    assert_eq!(unknown.expect(3).stderr, "[ERROR] Unknown or expired transfer.\n");
    let mut sender = Client::start(&["send", &url, "--transfer-id", ID]);
    sender.expect_line("[INFO] Waiting");
    let waiting = state(&url, &[]);
    assert_eq!((&waiting["state"], &waiting["transferId"]), (&"waiting".into(), &ID.into()));
    let receiver = Client::start(&["receive", &url]);
    sender.write(b"five!");
    receiver.expect_output("five!");
    eventually("it counts", PATIENCE, || state(&url, &[])["bytesTransferred"] == 5);
    assert_eq!(state(&url, &["--transfer-id", ID])["state"], "streaming");
    sender.close();
    sender.ended().expect(0);
    receiver.ended().expect(0);
    let complete = state(&url, &["--transfer-id", ID]);
    assert_eq!((&complete["state"], &complete["totalReceivers"]), (&"complete".into(), &1.into()));
}

/// The events of a `progress` as they were printed.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn progress_follows_a_transfer_to_its_end() {
    let relay = Relay::start();
    for way in relay.ways() {
        let url = way.to(&unique());
        let watcher = way.start(&["progress", &url]);
        watcher.expect_output("{\"event\":\"state\",\"state\":\"idle\"");
        let receiver = way.start(&["receive", &url]);
        watcher.expect_output("\"state\":\"waiting\"");
        way.run(&["send", &url, "--", "echo", "hi"]).expect(0);
        receiver.ended().expect(0);
        let all = events(&watcher.ended().expect(0).text());
        let last = all.last().unwrap();
        assert_eq!((&last["event"], &last["state"]), (&"done".into(), &"complete".into()));
        assert_eq!(last["bytesTransferred"], 3);
    }
}

#[test]
fn progress_ends_as_the_transfer_does() {
    let server = Server::start(&[]);
    for (how, code) in [("cancel", 6), ("kill", 1), ("late", 5)] {
        // A name of its own: the last end is told for 30 s.
        let url = server.url(&unique());
        let watcher = Client::start(&["progress", &url]);
        watcher.expect_output("{\"event\":\"state\"");
        let wait = if how == "late" { "1" } else { "300" };
        let mut sender = Client::start(&["send", &url, "--wait", wait]);
        watcher.expect_output("\"state\":\"waiting\"");
        let receiver = (how == "kill").then(|| Client::start(&["receive", &url]));
        if let Some(receiver) = &receiver {
            sender.write(b"half");
            receiver.expect_output("half");
            sender.signal(rustix::process::Signal::KILL);
        }
        if how == "cancel" {
            Client::run(&["cancel", &url, "--reason", "drift"]).expect(0);
        }
        let ended = watcher.ended();
        assert_eq!(ended.code, Some(code), "{how}: {ended:?}");
        assert_eq!(Client::run(&["progress", &url]).code, Some(code), "{how}: told once more");
        if let Some(receiver) = receiver {
            receiver.ended().expect(1);
        }
    }
}
