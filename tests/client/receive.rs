//! `receive`: complete, cut or unproven, and files that are never half under their own name.

use rustix::process::Signal;

use crate::client::{Client, Folder};
use crate::common::{Server, eventually, pattern, unique};
use crate::send::closed_port;

#[test]
fn a_met_length_is_proof_and_gives_the_file_its_name() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let bytes = pattern(2_000_000);
    let (name, output) = (unique(), folder.path("out"));
    let receiver = Client::start(&["receive", &server.url(&name), "-o", &output]);
    let mut sender = server.put_sized(&name, bytes.len());
    sender.head().expect(200);
    sender.send(&bytes[..1_000_000]);
    let half = || folder.read("out.part").is_some_and(|part| part.len() > 900_000);
    eventually("half of it is in out.part", crate::common::PATIENCE, half);
    assert_eq!(folder.read("out"), None, "not before the end");
    sender.send(&bytes[1_000_000..]);
    let ended = receiver.ended();
    assert_eq!(ended.expect(0).stderr, "");
    assert_eq!((folder.read("out"), folder.read("out.part")), (Some(bytes), None));
}

#[test]
fn a_cut_leaves_the_part() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let output = folder.file("out", b"an older one");
    for sized in [true, false] {
        let name = unique();
        let receiver = Client::start(&["receive", &server.url(&name), "-o", &output]);
        let mut sender = if sized { server.put_sized(&name, 9) } else { server.put(&name) };
        sender.head().expect(200);
        if sized {
            sender.send(b"half");
        } else {
            sender.chunk(b"half");
        }
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        eventually("it has come", crate::common::PATIENCE, || {
            folder.read("out.part").as_deref() == Some(b"half")
        });
        drop(sender);
        let ended = receiver.ended();
        let said = &ended.expect(1).stderr;
        assert!(said.contains("the stream was cut") && said.contains("out.part"), "{said}");
        assert_eq!(folder.read("out"), Some(b"an older one".to_vec()));
        std::fs::remove_file(folder.path("out.part")).unwrap();
    }
}

#[test]
fn an_output_that_nobody_reads_is_a_failure() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let script = format!(
        "'{}' receive '{url}' | head -c 1; echo \" ${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_hoody-pipe")
    );
    let receiver = std::thread::spawn(move || {
        std::process::Command::new("bash").args(["-c", &script]).output().unwrap()
    });
    Client::run(&["send", "/dev/zero", &url]).expect(1);
    let output = receiver.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\0 1\n", "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("stdout cannot be written: Broken pipe"), "{said}");
}

#[test]
fn refusals_have_their_codes_and_leave_no_file() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let output = folder.path("out");
    let receive =
        |url: &str, more: &[&str]| Client::run(&[&["receive", url, "-o", &output], more].concat());
    let url = server.url(&unique());
    let late = receive(&url, &["--wait", "1"]);
    assert_eq!(late.expect(5).stderr, "[ERROR] Timed out waiting for sender.\n");
    let refused = receive(&server.url("/x?n=0"), &[]);
    assert!(refused.expect(3).stderr.starts_with("[ERROR] Invalid receiver count"));
    receive(&format!("http://{}/x", closed_port()), &[]).expect(4);
    receive("ftp://127.0.0.1:1/x", &[]).expect(2);
    assert_eq!(folder.read("out.part"), None);
}

#[test]
fn it_tries_again_while_nobody_sends() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&name);
    let receiver = Client::start(&["receive", &url, "--wait", "1", "--retry", "9"]);
    receiver.expect_line("hoody-pipe: trying again in 1 s");
    let mut sender = server.put_sized(&name, 4);
    sender.send(b"late");
    assert_eq!(receiver.ended().expect(0).text(), "late");
}

#[test]
fn signals_end_it_with_their_codes() {
    let server = Server::start(&[]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let name = unique();
        let receiver = Client::start(&["receive", &server.url(&name)]);
        let mut sender = server.put(&name);
        sender.head().expect(200);
        sender.chunk(b"half");
        receiver.expect_output("half");
        receiver.signal(signal);
        receiver.ended().expect(code);
        sender.line_until("[INFO] All receivers disconnected before transfer completed.");
    }
}

#[test]
fn a_killed_one_leaves_the_part_and_the_next_begins_anew() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let (name, output) = (unique(), folder.path("out"));
    let receiver = Client::start(&["receive", &server.url(&name), "-o", &output]);
    let mut sender = server.put_sized(&name, 9);
    sender.head().expect(200);
    sender.send(b"half");
    eventually("it has come", crate::common::PATIENCE, || {
        folder.read("out.part").as_deref() == Some(b"half")
    });
    receiver.signal(Signal::KILL);
    assert_eq!(receiver.ended().code, None);
    assert_eq!(folder.read("out"), None);
    // The name is free before this is said.
    sender.line_until("[INFO] All receivers disconnected before transfer completed.");
    let receiver = Client::start(&["receive", &server.url(&name), "-o", &output]);
    let mut sender = server.put_sized(&name, 3);
    sender.send(b"all");
    receiver.ended().expect(0);
    assert_eq!((folder.read("out"), folder.read("out.part")), (Some(b"all".to_vec()), None));
}
