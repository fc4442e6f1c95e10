//! Spec §28 over every protocol: who is told what when somebody leaves, stalls or nobody comes.

use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::client::{Frames, frame};
use crate::common::{
    PATIENCE, SOON, Server, assert_lines, eventually, pattern, sha256, timed, unique,
};
use crate::kit::{ALL, Http1, Plain2, Relay, Tls1, Tls2};

#[test]
fn row_4_one_of_n_is_killed_and_the_others_are_exact() {
    let relay = Relay::start(&[]);
    for from in ALL {
        let name = format!("{}?n=4", unique());
        let receivers = ALL.map(|to| relay.receiver(to, &name));
        let mut sender = relay.sender(from, &name);
        sender.write(b"first ");
        for receiver in &receivers {
            receiver.expect_output("first ");
        }
        let mut receivers = Vec::from(receivers);
        receivers.remove(from as usize).kill();
        sender.expect_output("[INFO] A receiver disconnected.");
        sender.write(b"second");
        sender.close();
        let said = sender.ended().expect(0).text();
        assert!(said.contains("to 3 of 4 receiver(s)"), "{from:?} {said}");
        for receiver in receivers {
            assert_eq!(receiver.ended().expect(0).text(), "first second");
        }
    }
}

#[test]
fn row_6_a_frozen_receiver_is_cut_and_the_others_go_on() {
    let relay = Relay::start(&[]);
    for frozen in ALL {
        let name = unique();
        let body = pattern(24 << 20);
        let freezer = relay.receiver(frozen, &format!("{name}?n=2"));
        let other = relay.receiver(Http1, &format!("{name}?n=2"));
        let mut sender = relay.sender(Tls2, &format!("{name}?n=2&stall=1"));
        sender.write(b"x");
        freezer.expect_output("x");
        freezer.signal(Signal::STOP);
        let mut stdin = sender.take_stdin();
        let sent = body.clone();
        let feeding = std::thread::spawn(move || {
            use std::io::Write;
            stdin.write_all(&sent).unwrap();
        });
        let said = sender.ended().expect(0).text();
        feeding.join().unwrap();
        let dropped = "[INFO] A receiver was dropped: it took no data for 1 s.";
        assert!(said.contains(dropped), "{frozen:?} {said}");
        let got = other.ended();
        assert!(sha256(&got.expect(0).stdout[1..]) == sha256(&body), "{frozen:?}");
        freezer.signal(Signal::CONT);
        assert_ne!(freezer.ended().code, Some(0), "{frozen:?}: a cut is no clean end");
    }
}

#[test]
fn row_7_and_8_who_waits_may_leave() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let name = unique();
        let sender = relay.waiting_sender(protocol, &format!("{name}?n=2"));
        let receiver = relay.receiver(protocol, &format!("{name}?n=2"));
        sender.expect_output("[INFO] A receiver connected.");
        receiver.kill();
        sender.expect_output("[INFO] A receiver disconnected.");
        sender.kill();
        eventually("nobody is left", SOON, || relay.is_idle(&name));
    }
}

#[test]
fn row_9_nobody_comes() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let late = format!("{}?wait=1", unique());
        let args = ["-sS", "-i"];
        let (ended, time) = timed(|| relay.run(protocol, &args, &late));
        let said = ended.expect(0).text().to_ascii_lowercase();
        assert!(said.contains(" 408") && said.contains("retry-after: 1"), "{said}");
        assert!(said.ends_with("[error] timed out waiting for sender.\n"), "{said}");
        assert!(time < Duration::from_secs(1) + SOON, "{time:?}");
    }
}

#[test]
fn a_cancelled_pipe_ends_for_everybody() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let cancel = |name: &str| {
            let target = format!("{name}?reason=drift.");
            assert_eq!(relay.status(protocol, &["-X", "DELETE"], &target), "204");
        };
        let name = unique();
        let receiver = relay.curl(protocol, &["-sSN"], &name);
        eventually("it waits", SOON, || {
            relay.status(protocol, &["-X", "DELETE"], &format!("{name}?reason=drift")) == "204"
        });
        assert_eq!(receiver.ended().expect(0).text(), "[ERROR] Cancelled: drift.\n");

        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        let mut sender = relay.sender(protocol, &name);
        sender.write(b"some");
        receiver.expect_output("some");
        cancel(&name);
        receiver.ended().expect(protocol.cut());
        sender.expect_output("[ERROR] Cancelled: drift.");
        sender.close();
        assert_ne!(sender.ended().code, Some(0));
        assert_eq!(relay.status(protocol, &["-X", "DELETE"], &name), "404");
    }
}

#[test]
fn lines_come_in_order_and_a_sender_is_told_what_happened() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let name = format!("{}?sha256", unique());
        let receiver = relay.receiver(protocol, &name);
        // It has to be there first for the second line.
        relay.until_a_receiver_waits(&name);
        let sender = relay.run(protocol, &["-sS", "-d", "abc"], &name);
        let said = sender.expect(0).text();
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let digest = format!("[INFO] SHA-256: {}", sha256(b"abc"));
        assert_lines(
            &lines,
            &[
                "[INFO] Waiting for 1 receiver(s) to connect...",
                "[INFO] 1 receiver(s) already connected.",
                "[INFO] Streaming to 1 receiver(s)...",
                "[INFO] Upload complete.",
                &digest,
                "[INFO] Sent 3 bytes to 1 of 1 receiver(s) in * s.",
                "[INFO] Transfer complete.",
            ],
        );
        receiver.ended().expect(0);
    }
}

#[test]
fn a_quiet_sender_has_one_answer() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        let args = ["-sS", "-i", "--fail-with-body", "-d", "abc"];
        let said = relay.run(protocol, &args, &format!("{name}?quiet")).expect(0).text();
        assert!(said.to_ascii_lowercase().contains("content-length: "), "{said}");
        assert!(
            !said.contains("Waiting") && said.ends_with("[INFO] Transfer complete.\n"),
            "{said}"
        );
        receiver.ended().expect(0);
        // A failure in the middle of the upload ends it.
        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        let args = ["-sSN", "--no-progress-meter", "--fail-with-body", "-T", "."];
        let mut sender = relay.curl(protocol, &args, &format!("{name}?quiet"));
        sender.write(b"some");
        receiver.expect_output("some");
        receiver.kill();
        sender.expect_output("[ERROR] All receivers disconnected before transfer completed.");
        sender.close();
        sender.ended().expect(22);
    }
}

#[test]
fn a_length_that_is_not_kept_is_a_failure() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        for (length, body, why) in [("5", "1234", "shorter"), ("3", "1234", "longer")] {
            let name = unique();
            let receiver = relay.receiver(protocol, &name);
            let field = format!("X-Pipe-Length: {length}");
            let args = ["-sSN", "--fail-with-body", "-H", &field, "-T", "-"];
            let mut sender = relay.curl(protocol, &args, &name);
            sender.write(body.as_bytes());
            sender.close();
            let said = sender.ended();
            assert!(said.text().contains(&format!("the body is {why} than X-Pipe-Length")));
            assert_eq!(said.code, Some(protocol.cut()), "{protocol:?}");
            receiver.ended().expect(protocol.cut());
        }
    }
}

#[test]
fn a_stopping_node_tells_everybody() {
    for protocol in ALL {
        let mut relay = Relay::start(&["--drain-timeout", "1"]);
        let waiting = relay.curl(protocol, &["-sS"], &format!("{}?n=3", unique()));
        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        let mut sender = relay.sender(protocol, &name);
        sender.write(b"some");
        receiver.expect_output("some");
        relay.server.signal(Signal::INT);
        // After the goodbye of HTTP/2, curl calls the cut a partial file.
        let code = receiver.ended().code;
        assert!(matches!(code, Some(18 | 92)), "{protocol:?} {code:?}");
        assert_eq!(waiting.ended().text(), "[ERROR] Server shutting down.\n", "{protocol:?}");
        sender.expect_output("[ERROR] Server shutting down.");
        sender.close();
        assert_ne!(sender.ended().code, Some(0));
        assert_eq!(relay.server.exit_code(Duration::from_secs(4)), Some(0), "{protocol:?}");
    }
}

#[test]
fn what_runs_is_finished_before_the_node_stops() {
    for protocol in ALL {
        let mut relay = Relay::start(&["--drain-timeout", "20"]);
        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        let mut sender = relay.sender(protocol, &name);
        sender.write(b"before ");
        receiver.expect_output("before ");
        relay.server.signal(Signal::INT);
        eventually("newcomers are refused", SOON, || relay.server.log().contains("are refused"));
        sender.write(b"after");
        receiver.expect_output("before after");
        sender.close();
        sender.ended().expect(0);
        receiver.ended().expect(0);
        assert_eq!(relay.server.exit_code(SOON), Some(0), "{protocol:?}");
    }
}

#[test]
fn nothing_runs_and_the_node_stops_at_once() {
    let mut relay = Relay::start(&[]);
    for protocol in [Tls1, Plain2] {
        assert_eq!(relay.status(protocol, &[], "/help"), "200");
    }
    relay.server.signal(Signal::INT);
    assert_eq!(relay.server.exit_code(SOON), Some(0));
}

/// The last frames go out before the process ends.
#[tokio::test]
async fn a_drain_that_is_cut_resets_every_stream() {
    for _ in 0..5 {
        let mut server = Server::start(&["--drain-timeout", "1"]);
        let mut client = Frames::connect(server.address()).await;
        client.say(1, 5, 1, b"\x82\x04\x02/r\x86\x41\x09localhost").await;
        client.say(1, 4, 3, b"\x83\x04\x02/r\x86\x41\x09localhost").await;
        client.say(0, 0, 3, b"some").await;
        while client.next(0).await[9..] != *b"some" {}
        server.signal(Signal::INT);
        let mut got = Vec::new();
        let _ = timeout(PATIENCE, client.0.read_to_end(&mut got)).await;
        for stream in [1, 3] {
            let reset = frame(3, 0, stream, &[0, 0, 0, 2]);
            assert!(got.windows(reset.len()).any(|at| at == reset), "{stream}: {got:?}");
        }
        assert_eq!(server.exit_code(SOON), Some(0));
    }
}
