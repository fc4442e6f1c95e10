//! `send`: what is proven, what is cut, and what the exit code says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Client, Folder};
use crate::common::{Curl, End, SOON, Server, eventually, pattern, sha256, timed, unique};

#[test]
fn a_file_has_length_and_name_and_is_proven() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let bytes = pattern(3_000_000);
    let file = folder.file("image ä.tar", &bytes);
    let name = unique();
    let mut receiver = server.get(&name);
    let url = server.url(&name);
    let sender = Client::start(&["send", &file, &url, "--type", "application/x-tar", "--sha256"]);
    let head = receiver.head();
    assert_eq!(head.get("content-length"), Some("3000000"));
    assert_eq!(head.get("content-type"), Some("application/x-tar"));
    let disposition = head.get("content-disposition").unwrap();
    assert!(disposition.ends_with("filename*=UTF-8''image%20%C3%A4.tar"), "{disposition}");
    assert_eq!(receiver.rest(), (bytes.clone(), End::Clean));
    let ended = sender.ended();
    ended.expect(0);
    assert!(ended.stderr.contains(&format!("[INFO] SHA-256: {}", sha256(&bytes))), "{ended:?}");
    assert!(ended.stderr.ends_with("[INFO] Transfer complete.\n"), "{ended:?}");
    assert_eq!(ended.stdout, b"", "stdout is nobody's");
}

#[test]
fn an_empty_file_is_a_transfer_too() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let file = folder.file("empty", b"");
    let url = server.url(&unique());
    let receiver = Curl::start(&["-fsS", &url]);
    Client::run(&["send", &file, &url]).expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "");
}

#[test]
fn stdin_streams_and_lines_come_while_it_is_silent() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Client::start(&["send", "-", &url, "-n", "2", "--header", "X-Piping: hi"]);
    sender.expect_line("[INFO] Waiting for 2 receiver(s) to connect...\n");
    let two = format!("{url}?n=2");
    let first = Curl::start(&["-fsSN", &two]);
    let second = Curl::start(&["-fsSNi", &two]);
    sender.expect_line("[INFO] Streaming to 2 receiver(s)...\n");
    sender.write(b"one byte in, ");
    first.expect_output("one byte in, ");
    sender.write(b"one byte out");
    sender.close();
    sender.ended().expect(0);
    let second = second.ended();
    assert!(second.expect(0).text().ends_with("one byte in, one byte out"));
    assert!(second.text().to_lowercase().contains("x-piping: hi"));
    assert_eq!(first.ended().expect(0).text(), "one byte in, one byte out");
}

#[test]
fn a_declared_length_is_held_to() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let receiver = Client::start(&["receive", &url]);
    let sender = Client::run(&["send", &url, "--length", "5", "--", "printf", "12345"]);
    sender.expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "12345");
    let receiver = Client::start(&["receive", &url]);
    let sender = Client::run(&["send", &url, "--length", "6", "--", "printf", "12345"]);
    sender.expect(1);
    assert!(sender.stderr.contains("shorter than X-Pipe-Length (5 of 6 bytes)"), "{sender:?}");
    receiver.ended().expect(1);
}

#[test]
fn quiet_says_only_the_result() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let receiver = Curl::start(&["-fsS", &url]);
    let ended = Client::run(&["send", &url, "--quiet", "--", "echo", "hi"]);
    ended.expect(0);
    assert!(ended.stderr.starts_with("[INFO] Sent 3 bytes to 1 of 1"), "{ended:?}");
    assert_eq!(receiver.ended().expect(0).text(), "hi\n");
    let late = Client::run(&["send", &url, "--quiet", "--wait", "1", "--", "echo", "hi"]);
    assert_eq!(late.expect(5).stderr, "[ERROR] Timed out waiting for receivers.\n");
}

#[test]
fn a_failing_command_is_a_cut_and_exit_code_seven() {
    let server = Server::start(&[]);
    for script in ["printf half; read x; exit 3", "printf half; read x; kill -9 $$"] {
        let url = server.url(&unique());
        let receiver = Curl::start(&["-fsSN", &url]);
        let mut sender = Client::start(&["send", &url, "--", "sh", "-c", script]);
        receiver.expect_output("half");
        // A command has the stdin of the client.
        sender.write(b"\n");
        let sender = sender.ended();
        sender.expect(7);
        assert!(sender.stderr.contains("hoody-pipe: the command failed: "), "{sender:?}");
        assert_eq!(receiver.ended().expect(18).text(), "half", "{script}");
    }
    let sender = Client::run(&["send", &server.url(&unique()), "--", "/nonexistent/command"]);
    sender.expect(7);
    assert!(sender.stderr.contains("cannot start /nonexistent/command"), "{sender:?}");
}

#[test]
fn a_command_that_fails_midway_under_back_pressure_is_a_cut() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let script = "head -c 20000000 /dev/zero; exit 1";
    let sender = Client::start(&["send", &server.url(&name), "--", "sh", "-c", script]);
    receiver.head().expect(200);
    let end = receiver.drain(|_| ());
    assert_ne!(end, End::Clean);
    sender.ended().expect(7);
}

#[test]
fn a_failed_transfer_stops_the_command() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let url = server.url(&unique());
    // It notes SIGTERM and lives on: SIGKILL has to follow.
    let script = format!(
        "trap 'echo > {}' TERM; echo $$ > {}; echo start; while :; do sleep 0.1; done",
        folder.path("asked"),
        folder.path("pid")
    );
    let receiver = Curl::start(&["-fsSN", &url]);
    let sender = Client::start(&["send", &url, "--", "sh", "-c", &script]);
    receiver.expect_output("start");
    receiver.kill();
    let (ended, time) = timed(|| sender.ended());
    ended.expect(1);
    assert!(time >= Duration::from_secs(2), "{time:?}");
    assert!(ended.stderr.contains("[INFO] All receivers disconnected"), "{ended:?}");
    assert!(folder.read("asked").is_some(), "SIGTERM comes first");
    let pid = String::from_utf8(folder.read("pid").unwrap()).unwrap();
    eventually("the command is gone", SOON, || {
        !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists()
    });
}

#[test]
fn require_all_wants_every_receiver() {
    let server = Server::start(&[]);
    for (flags, code) in [(&[] as &[&str], 0), (&["--require-all"], 8)] {
        let url = server.url(&unique());
        let mut sender = Client::start(&[&["send", &url, "-n", "2"], flags].concat());
        let two = format!("{url}?n=2");
        let (stays, leaves) = (Curl::start(&["-fsSN", &two]), Curl::start(&["-fsSN", &two]));
        sender.write(b"hello");
        stays.expect_output("hello");
        leaves.expect_output("hello");
        leaves.kill();
        sender.expect_line("[INFO] A receiver disconnected.");
        sender.close();
        let ended = sender.ended();
        ended.expect(code);
        assert!(ended.stderr.contains("to 1 of 2 receiver(s)"), "{ended:?}");
        stays.ended().expect(0);
    }
}

#[test]
fn refusals_have_their_codes() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let refused = Client::run(&["send", &server.url("/help"), "--", "echo", "hi"]);
    assert!(refused.expect(3).stderr.starts_with("[ERROR] '/help' is a reserved path."));
    let late = Client::run(&["send", &url, "--wait", "1"]);
    assert!(late.expect(5).stderr.ends_with("[ERROR] Timed out waiting for receivers.\n"));
    let sender = Client::start(&["send", &url]);
    sender.expect_line("[INFO] Waiting");
    Client::run(&["cancel", &url, "--reason", "drift"]).expect(0);
    let ended = sender.ended();
    assert!(ended.expect(6).stderr.ends_with("[ERROR] Cancelled: drift.\n"));
    Client::run(&["send", &format!("http://{}/x", closed_port())]).expect(4);
    for wrong in [
        vec!["send", "/nonexistent/file", &url],
        vec!["send", "ftp://127.0.0.1:1/x"],
        vec!["send", &url, "--unknown"],
        vec!["send", &url, "--header", "a b: c"],
    ] {
        Client::run(&wrong).expect(2);
    }
}

#[test]
fn a_refused_command_is_never_started() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let mark = folder.path("started");
    Client::run(&["send", &server.url("/x?n=0"), "--", "touch", &mark]).expect(3);
    assert_eq!(folder.read("started"), None);
}

#[test]
fn it_tries_again_before_the_first_byte() {
    let server = Server::start(&["--max-pending", "1"]);
    let url = server.url(&unique());
    let in_the_way = server.waiting_sender(&unique(), 1);
    Client::run(&["send", &url]).expect(3);
    let mut sender = Client::start(&["send", &url, "--retry", "20"]);
    sender.write(b"at last");
    sender.close();
    sender.expect_line("hoody-pipe: trying again in 1 s");
    drop(in_the_way);
    sender.expect_line("[INFO] Waiting for 1 receiver(s) to connect...");
    let receiver = Curl::start(&["-fsS", &url]);
    sender.ended().expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "at last");
}

#[test]
fn a_file_is_tried_again_as_long_as_nothing_has_moved() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    // More than what fits into buffers, so that some of it has been read.
    let bytes = pattern(3_000_000);
    let file = folder.file("file", &bytes);
    for quiet in [&[][..], &["--quiet"]] {
        let url = server.url(&unique());
        let args = ["send", &file, &url, "--wait", "1", "--retry", "20", "--sha256"];
        let sender = Client::start(&[&args[..], quiet].concat());
        sender.expect_line("[ERROR] Timed out waiting for receivers.\n");
        sender.expect_line("hoody-pipe: trying again in 1 s\n");
        let receiver = Curl::start(&["-fsSN", "--retry", "5", &url]);
        sender.ended().expect(0);
        assert!(receiver.ended().expect(0).stdout == bytes, "the whole file");
    }
    // An id of one's own can be used once.
    for quiet in [&[][..], &["--quiet"]] {
        let id = format!("an-id-of-my-own-{}", quiet.len());
        let url = server.url(&unique());
        let args = ["send", &file, &url, "--wait", "1", "--retry", "20", "--transfer-id", &id];
        Client::run(&[&args[..], quiet].concat()).expect(5);
    }
    // Never again after a cancellation, or when somebody has got a part.
    let url = server.url(&unique());
    let sender = Client::start(&["send", &file, &url, "--retry", "20"]);
    sender.expect_line("[INFO] Waiting");
    Client::run(&["cancel", &url]).expect(0);
    sender.ended().expect(6);
    let mut receiver = server.get("/gone");
    let sender = Client::start(&["send", &file, &server.url("/gone"), "--retry", "20"]);
    receiver.head().expect(200);
    drop(receiver);
    let ended = sender.ended();
    assert!(!ended.expect(1).stderr.contains("trying again"), "{ended:?}");
}

#[test]
fn what_cannot_be_read_twice_is_tried_again_only_unread() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let args = ["send", &url, "--wait", "1", "--retry", "20"];
    let mut sender = Client::start(&args);
    sender.expect_line("hoody-pipe: trying again in 1 s\n");
    sender.write(b"not lost");
    sender.close();
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.ended().expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "not lost");

    let mut sender = Client::start(&args);
    sender.write(b"read");
    let ended = sender.ended();
    assert!(!ended.expect(5).stderr.contains("trying again"), "{ended:?}");
    let ended = Client::run(&[&args[..], &["--", "sh", "-c", "echo x; exec sleep 9"]].concat());
    assert!(!ended.expect(5).stderr.contains("trying again"), "{ended:?}");

    // A command is started once.
    let folder = Folder::new();
    let script = format!("echo >> {}; read x; printf done", folder.path("started"));
    let mut sender = Client::start(&[&args[..], &["--", "sh", "-c", &script]].concat());
    sender.expect_line("hoody-pipe: trying again in 1 s\n");
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"\n");
    sender.ended().expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "done");
    assert_eq!(folder.read("started").as_deref(), Some(&b"\n"[..]));
}

#[test]
fn a_command_that_fails_cuts_at_once_though_a_child_holds_its_output() {
    let server = Server::start(&[]);
    for receiving in [true, false] {
        let url = server.url(&unique());
        let receiver = receiving.then(|| Curl::start(&["-fsSN", &url]));
        let script = "sleep 30 & printf half; read x; exit 3";
        let mut sender = Client::start(&["send", &url, "--", "sh", "-c", script]);
        match &receiver {
            Some(receiver) => receiver.expect_output("half"),
            None => sender.expect_line("[INFO] Waiting"),
        }
        sender.write(b"\n");
        let (ended, time) = timed(|| sender.ended_alone("exit status: 3"));
        ended.expect(7);
        assert!(time < SOON, "{time:?}");
        if let Some(receiver) = receiver {
            assert_eq!(receiver.ended().expect(18).text(), "half");
        }
    }
    // One that ends well may leave the rest to its children.
    let url = server.url(&unique());
    let receiver = Curl::start(&["-fsSN", &url]);
    let script = "(sleep 1; printf ' rest') & printf first";
    Client::run(&["send", &url, "--", "sh", "-c", script]).expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "first rest");
}

#[test]
fn a_mistake_names_its_file() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    for (file, want) in [
        (folder.path("none"), "cannot be read: No such file"),
        (folder.path("."), "is a folder; send a file, or: -- tar -c"),
    ] {
        let said = Client::run(&["send", &file, &server.url("/x")]).expect(2).stderr.clone();
        assert!(said.contains(&format!("hoody-pipe: {file} {want}")), "{said}");
    }
    let url = server.url(&unique());
    let mut sender = Client::start(&["send", &url, "-n", "1"]);
    let full = Client::start(&["receive", &url, "-o", "/dev/full"]);
    sender.write(b"x");
    sender.close();
    let said = full.ended().expect(1).stderr.clone();
    assert!(said.contains("/dev/full cannot be written: No space left"), "{said}");
}

#[test]
fn what_was_begun_is_not_tried_again() {
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let mut sender = Client::start(&["send", &url, "--retry", "20"]);
    let receiver = Curl::start(&["-fsSN", &url]);
    sender.write(b"half");
    receiver.expect_output("half");
    receiver.kill();
    let ended = sender.ended();
    assert!(!ended.expect(1).stderr.contains("again"), "{ended:?}");
}

#[test]
fn a_failure_is_heard_in_full_flight() {
    let server = Server::start(&[]);
    for (flags, line) in [
        (&[] as &[&str], "[INFO] All receivers disconnected before transfer completed.\n"),
        (&["--quiet"], "[ERROR] All receivers disconnected before transfer completed.\n"),
    ] {
        for _ in 0..5 {
            let url = server.url(&unique());
            let receiver = Curl::start(&["-fsSN", "-o", "/dev/null", "-D", "-", &url]);
            let sender = Client::start(&[&["send", "/dev/zero", &url], flags].concat());
            receiver.expect_output("HTTP/1.1 200 OK");
            receiver.kill();
            let (ended, time) = timed(|| sender.ended());
            assert!(ended.expect(1).stderr.ends_with(line), "{ended:?}");
            assert!(time < SOON, "{time:?}");
        }
    }
}

#[test]
fn an_answer_that_comes_only_after_the_upload_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"0\r\n\r\n") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "it ends with the last chunk");
            request.extend_from_slice(&piece[..count]);
        }
        let lines =
            "[INFO] Sent 3 bytes to 1 of 1 receiver(s) in 0.1 s.\n[INFO] Transfer complete.\n";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", lines.len());
        stream.write_all(format!("{head}{lines}").as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    Client::run(&["send", &url, "--", "echo", "hi"]).expect(0);
    let request = proxy.join().unwrap();
    assert!(request.starts_with("PUT /x HTTP/1.1\r\n"), "{request}");
}

#[test]
fn signals_and_kills_are_cuts() {
    let server = Server::start(&[]);
    for (signal, code) in
        [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)]
    {
        let url = server.url(&unique());
        let mut sender = Client::start(&["send", &url]);
        let receiver = Curl::start(&["-fsSN", &url]);
        sender.write(b"half");
        receiver.expect_output("half");
        sender.signal(signal);
        assert_eq!(sender.ended().code, code);
        assert_eq!(receiver.ended().expect(18).text(), "half");
    }
}

/// An address where nobody listens.
pub fn closed_port() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
