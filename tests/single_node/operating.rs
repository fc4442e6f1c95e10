//! Spec §19, the admin listener, and what an operator says on the command line.

use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::server::{run_to_end, said_at_end};
use crate::common::uses::first_refused;
use crate::common::{End, PATIENCE, Raw, SOON, Server, eventually, timed, unique};
use crate::reading::{expect_complete, expect_error};

const ADMIN: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];

fn with_admin(more: &[&str]) -> Server {
    Server::start(&[&ADMIN, more].concat())
}

#[test]
fn the_admin_paths_answer_in_plain_words() {
    let server = with_admin(&[]);
    for (path, text) in [("/livez", "ok\n"), ("/readyz", "ready\n"), ("/readyz?verbose", "ready\n")]
    {
        let (head, body) = server.admin_answers("GET", path, &[]);
        head.expect(200)
            .expect_field("content-type", "text/plain; charset=utf-8")
            .expect_field("cache-control", "no-store");
        assert_eq!(body, text);
        assert_eq!(head.get("access-control-allow-origin"), None, "for no page of another origin");
    }
    for path in ["/livez", "/readyz", "/metrics", "/cluster"] {
        let (head, body) = server.admin_answers("HEAD", path, &[]);
        head.expect(200);
        assert_eq!(body, "");
    }
}

#[test]
fn other_paths_are_404_and_other_methods_405() {
    let server = with_admin(&[]);
    for path in ["/", "/health", "/livez/", "/Livez", "/api/v1/pipe/health", "/drain/now", "/x"] {
        for method in ["GET", "PUT", "POST"] {
            let (head, body) = server.admin_answers(method, path, &[]);
            head.expect(404);
            assert!(body.starts_with("[ERROR] There is only /livez"), "{body}");
        }
    }
    for path in ["/livez", "/readyz", "/metrics", "/cluster"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let (head, _) = server.admin_answers(method, path, &[]);
            head.expect(405).expect_field("allow", "GET, HEAD");
        }
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        server.admin_answers(method, "/drain", &[]).0.expect(405).expect_field("allow", "POST");
    }
    assert_eq!(server.admin_answers("GET", "/readyz", &[]).1, "ready\n", "nothing was drained");
}

#[test]
fn the_admin_paths_are_not_public() {
    let server = with_admin(&[]);
    for path in ["/livez", "/readyz", "/cluster", "/drain"] {
        // Names like any other.
        let mut sender = server.waiting_sender(path, 1);
        let mut receiver = server.get(path);
        receiver.head().expect(200);
        sender.finish();
        expect_complete(&mut sender);
    }
}

#[test]
fn a_fleet_of_one_shows_itself() {
    let server = with_admin(&["--node-id", "node-a", "--region", "eu-west"]);
    let _waiting = server.waiting_sender(&unique(), 1);
    let _streaming = server.streaming(&unique(), 2);
    let mut body = String::new();
    let mut shown = Value::Null;
    eventually("the owner knows of both", SOON, || {
        let (head, text) = server.admin_answers("GET", "/cluster", &[]);
        head.expect(200).expect_field("content-type", "application/json");
        (shown, body) = (serde_json::from_str(&text).unwrap(), text);
        shown["pipes"]["streaming"] == 1
    });
    let want = serde_json::json!({
        "node": "node-a", "region": "eu-west", "state": "leader", "leader": "node-a",
        "term": 0, "epoch": 1,
        "members": [{ "id": "node-a", "addr": null, "region": "eu-west", "health": "up",
            "voter": true, "share": 1.0 }],
        "pipes": { "waiting": 1, "streaming": 1 },
    });
    assert_eq!(shown, want);
    let keys = ["node", "region", "state", "leader", "term", "epoch", "members", "pipes"];
    let places = keys.map(|key| body.find(&format!("\"{key}\":")).unwrap());
    assert!(places.is_sorted(), "in the order of the specification: {body}");
}

#[test]
fn a_drain_can_be_asked_for_and_is_told_until_the_end() {
    let mut server = with_admin(&["--drain-timeout", "30"]);
    let (mut sender, mut receivers) = server.streaming(&unique(), 1);
    let (head, body) = server.admin_answers("POST", "/drain", &[]);
    head.expect(202);
    assert_eq!(body, "draining\n");
    eventually("it is not ready any more", SOON, || {
        let (head, body) = server.admin_answers("GET", "/readyz", &[]);
        head.status == 503 && body == "draining\n"
    });
    // The same as SIGTERM: everything works for five seconds more.
    server.assert_usable(&unique());
    // Asking again is no second signal.
    server.admin_answers("POST", "/drain", &[]).0.expect(202);
    expect_error(&mut first_refused(&server), 503, "draining", "[ERROR] Server shutting down.");
    assert_eq!(server.admin_answers("GET", "/livez", &[]).1, "ok\n");
    assert_eq!(server.admin_answers("GET", "/readyz", &[]).0.status, 503);
    assert!(server.numbers().get("rejections_total{reason=\"draining\"}") >= 1.0);
    sender.chunk(b"to the end");
    sender.finish();
    assert_eq!(receivers[0].rest(), (b"to the end".to_vec(), End::Clean));
    expect_complete(&mut sender);
    drop(sender);
    assert_eq!(server.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn an_idle_server_that_is_drained_answers_and_exits() {
    let mut server = with_admin(&[]);
    server.admin_answers("POST", "/drain", &["Content-Length: 0"]).0.expect(202);
    let (code, time) = timed(|| server.exit_code(PATIENCE));
    assert_eq!(code, Some(0));
    assert!(time < SOON, "{time:?}");
}

/// Any page that somebody looks at could send such a request to 127.0.0.1.
#[test]
fn a_web_page_cannot_drain_it() {
    let server = with_admin(&[]);
    for origin in ["Origin: https://evil.example", "Origin: null"] {
        let (head, body) = server.admin_answers("POST", "/drain", &[origin]);
        head.expect(403);
        assert_eq!(body, "[ERROR] A web page may not drain this node. Send no Origin header.\n");
    }
    assert_eq!(server.admin_answers("GET", "/readyz", &[]).1, "ready\n");
}

#[test]
fn a_signal_shows_at_once() {
    let server = with_admin(&[]);
    let _running = server.streaming(&unique(), 1);
    server.signal(Signal::TERM);
    eventually("it is not ready any more", SOON, || {
        server.admin_answers("GET", "/readyz", &[]).1 == "draining\n"
    });
}

/// Of 64 descriptors 32 are the relay's own; 90 % are 57, 95 % are 60.
#[test]
fn above_ninety_percent_of_the_descriptors_it_is_not_ready() {
    let server = Server::start_limited(64, &[&ADMIN[..], &["--workers", "2"]].concat());
    let mut crowd: Vec<Raw> = (0..25).map(|_| server.get(&unique())).collect();
    server.assert_waiting(25);
    assert_eq!(server.admin_answers("GET", "/readyz", &[]).1, "ready\n");
    crowd.push(server.get(&unique()));
    server.assert_waiting(26);
    let (head, body) = server.admin_answers("GET", "/readyz", &[]);
    head.expect(503);
    assert_eq!(body, "descriptors above 90 %\n");
    assert_eq!(server.admin_answers("GET", "/livez", &[]).1, "ok\n", "it is not dead");
    // Newcomers are still served, up to 95 %.
    crowd.extend((0..2).map(|_| server.get(&unique())));
    server.assert_waiting(28);
    expect_error(
        &mut server.get(&unique()),
        503,
        "no_fds",
        "[ERROR] Server is out of connections. Try again later.",
    );
    assert_eq!(server.numbers().get("rejections_total{reason=\"no_fds\"}"), 1.0);
    server.signal(Signal::TERM);
    eventually("both reasons are told", SOON, || {
        server.admin_answers("GET", "/readyz", &[]).1 == "draining\ndescriptors above 90 %\n"
    });
    drop(crowd);
}

#[test]
fn the_greeting_and_the_log_say_where_it_listens() {
    let server = with_admin(&[]);
    let line = format!("\nprobes and metrics on http://{}\n", server.admin());
    assert!(server.stdout().contains(&line), "{}", server.stdout());
    let listen = format!("\"listen\":\"http://{}\"", server.address());
    let field = format!("\"admin\":\"http://{}\"", server.admin());
    eventually("the log says so too", SOON, || {
        let log = server.log();
        log.contains(&listen) && log.contains(&field)
    });
    let quiet = Server::start(&["--admin-listen", ""]);
    assert!(!quiet.stdout().contains("probes"), "{}", quiet.stdout());
}

/// The default port is the same for every node of a machine.
#[test]
fn a_port_that_is_taken_says_how_to_mend_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let flags = ["--listen", "127.0.0.1:0", "--admin-listen", &address];
    for check in [&[][..], &["--check"][..]] {
        let (code, said) = said_at_end(&[&flags[..], check].concat());
        assert_eq!(code, Some(1));
        for want in [&*address, "another port with --admin-listen", "--admin-listen ''"] {
            assert!(said.contains(want), "{want:?} is not in {said}");
        }
    }
    assert_eq!(run_to_end(&["--listen", "127.0.0.1:0", "--admin-listen", "", "--check"]), Some(0));
}

#[test]
fn the_configuration_is_printed_and_flags_of_fleets_are_refused_alone() {
    let (code, said) = said_at_end(&["--print-config", "--admin-listen", "", "--node-id", "a"]);
    assert_eq!(code, Some(0));
    for line in ["admin_listen = \"\"", "no_public_metrics = false", "node_id = \"a\""] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
    for (flag, value) in
        [("--cluster-peers", "a:1"), ("--bootstrap-expect", "1"), ("--data-dir", "x")]
    {
        let (code, said) = said_at_end(&[flag, value]);
        assert_eq!(code, Some(2), "{flag}");
        assert!(said.contains(&format!("{flag} is for a fleet")), "{said}");
    }
    let (code, said) = said_at_end(&["--admin-lisen", "x"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--admin-listen"), "a suggestion: {said}");
}
