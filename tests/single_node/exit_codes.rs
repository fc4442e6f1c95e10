//! Spec §1.5: the exit codes of stock curl.

use rustix::process::Signal;

use crate::common::uses::ends_when_fed;
use crate::common::{Curl, SOON, Server, timed, unique};

#[test]
fn zero_when_all_is_well_or_nobody_asked() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Curl::start(&["-sS", "--fail-with-body", "-T", "-", &url]);
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"hello");
    sender.close();
    assert!(sender.ended().expect(0).text().ends_with("[INFO] Transfer complete.\n"));
    assert_eq!(receiver.ended().expect(0).text(), "hello");
    // Without -f a refusal prints its text and exits 0.
    let text = Curl::run(&["-sS", &server.url("/x?n=0")]).expect(0).text();
    assert!(text.starts_with("[ERROR] Invalid receiver count"));
}

#[test]
fn twenty_two_when_refused_or_too_late() {
    let server = Server::start(&[]);
    let receiver = Curl::run(&["-fsS", &server.url("/x?n=0")]);
    assert_eq!(receiver.expect(22).text(), "", "no error text lands in a pipeline");
    Curl::run(&["-sS", "--fail-with-body", "-d", "x", &server.url("/help")]).expect(22);
    Curl::run(&["-fsS", &server.url("/late?wait=1")]).expect(22);
    let quiet = server.url("/late?wait=1&quiet");
    let sender = Curl::run(&["-sS", "--fail-with-body", "-d", "x", &quiet]);
    assert_eq!(sender.expect(22).text(), "[ERROR] Timed out waiting for receivers.\n");
}

#[test]
fn eighteen_when_the_stream_was_cut() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Curl::start(&["-sS", "-T", "-", &url]);
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"some bytes");
    receiver.expect_output("some bytes");
    sender.kill();
    let (ended, time) = timed(|| receiver.ended());
    assert_eq!(ended.expect(18).text(), "some bytes");
    assert!(time < SOON, "{time:?}");
    // A sender whose whole body is uploaded learns of its failure in the same way.
    let late = server.url("/late?wait=1");
    let sender = Curl::run(&["-sS", "--fail-with-body", "-d", "x", &late]);
    assert!(sender.expect(18).text().ends_with("[ERROR] Timed out waiting for receivers.\n"));
}

#[test]
fn fifty_six_when_cut_over_http_1_0() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Curl::start(&["-sS", "-T", "-", &url]);
    let receiver = Curl::start(&["-fsSN", "--http1.0", &url]);
    sender.write(b"some bytes");
    receiver.expect_output("some bytes");
    sender.kill();
    receiver.ended().expect(56);
}

#[test]
fn non_zero_when_the_receiver_was_killed() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Curl::start(&["-sS", "--fail-with-body", "-T", "-", &url]);
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"some bytes");
    receiver.expect_output("some bytes");
    receiver.kill();
    // Its stdin is silent: it ends when stdin next yields.
    let ended = ends_when_fed(sender);
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    assert!(ended.text().contains("[INFO] All receivers disconnected"), "{ended:?}");
}

#[test]
fn thirty_three_when_asked_to_resume() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let sender = Curl::start(&["-sS", "-d", "hello world", &url]);
    Curl::run(&["-sS", "-C", "5", &url]).expect(33);
    drop(sender);
}

#[test]
fn fifty_two_when_the_node_died_while_waiting() {
    let mut server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
    let receiver = Curl::start(&["-fsSN", &server.url(&format!("{name}?n=2"))]);
    sender.expect_line("[INFO] A receiver connected.");
    server.signal(Signal::KILL);
    receiver.ended().expect(52);
    assert_eq!(server.exit_code(SOON), None);
}

#[test]
fn a_receiver_that_retries_waits_longer() {
    let server = Server::start(&[]);
    let name = unique();
    let receiver = Curl::start(&["-fsSN", "--retry", "9", &server.url(&format!("{name}?wait=1"))]);
    // It comes after the first attempts have failed.
    let mut first = server.get(&format!("{}?wait=2", unique()));
    first.head().expect(408);
    let sender = Curl::start(&["-sS", "--fail-with-body", "-d", "late", &server.url(&name)]);
    assert_eq!(receiver.ended().expect(0).text(), "late");
    sender.ended().expect(0);
}

#[test]
fn the_short_forms_work() {
    let server = Server::start(&[]);
    let url = server.url(&format!("{}?n=1", unique()));
    let mut sender = Curl::start(&["-T", "-", &url]);
    let receiver = Curl::start(&[&url]);
    sender.write(b"plain");
    sender.close();
    sender.ended().expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "plain");
    let mut sender = Curl::start(&["-sS", "-X", "POST", "-T", "-", &url]);
    let receiver = Curl::start(&["-fsS", &url]);
    sender.write(b"posted");
    sender.close();
    sender.ended().expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "posted");
}
