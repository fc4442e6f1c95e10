//! Spec §19, the metrics: what is there, and what each event adds to it.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::{End, Numbers, PATIENCE, Raw, SOON, Server, eventually, pattern, unique};
use crate::reading::{ALL_GONE, LOST, expect_complete, expect_error, expect_failure};

const ADMIN: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];
const PUBLIC: &str = "/api/v1/pipe/metrics";

/// Every series of the specification.
const SERIES: [&str; 27] = [
    "pipes_active{state=\"waiting\"}",
    "pipes_active{state=\"streaming\"}",
    "waiting_connections{role=\"sender\"}",
    "waiting_connections{role=\"receiver\"}",
    "spectators_active",
    "transfers_total{result=\"completed\"}",
    "transfers_total{result=\"failed\"}",
    "transferred_bytes_total",
    "delivered_bytes_total",
    "hashed_bytes_total",
    "receivers_dropped_total{reason=\"stall\"}",
    "receivers_dropped_total{reason=\"disconnect\"}",
    "rejections_total{reason=\"pending_cap\"}",
    "rejections_total{reason=\"active_cap\"}",
    "rejections_total{reason=\"address_cap\"}",
    "rejections_total{reason=\"spectator_cap\"}",
    "rejections_total{reason=\"wait_timeout\"}",
    "rejections_total{reason=\"idle_timeout\"}",
    "rejections_total{reason=\"no_fds\"}",
    "rejections_total{reason=\"draining\"}",
    "rejections_total{reason=\"unavailable\"}",
    "buffered_bytes",
    "ring_nodes",
    "owner_changes_total",
    "links_active{role=\"edge\"}",
    "links_active{role=\"owner\"}",
    "panics_total",
];

fn with_admin(more: &[&str]) -> Server {
    Server::start(&[&ADMIN, more].concat())
}

/// Waits until all that has changed since `before` are these series, by so much.
#[track_caller]
fn expect_change(server: &Server, before: &Numbers, wanted: &[(&str, f64)]) {
    let mut changed = Vec::new();
    let wanted: Vec<(String, f64)> =
        wanted.iter().map(|(name, by)| (format!("hoody_pipe_{name}"), *by)).collect();
    let start = std::time::Instant::now();
    while start.elapsed() < SOON {
        let now = server.numbers();
        let difference =
            |(name, value): (&String, &f64)| (name.clone(), value - before.samples[name]);
        changed = now.samples.iter().map(difference).filter(|(_, by)| *by != 0.0).collect();
        if changed.len() == wanted.len() && wanted.iter().all(|change| changed.contains(change)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("wanted {wanted:#?}, but changed have {changed:#?}");
}

#[test]
fn every_series_is_there_from_the_start() {
    let server = with_admin(&[]);
    let mut raw = server.get(PUBLIC);
    let head = raw.head();
    head.expect(200)
        .expect_field("content-type", "text/plain; version=0.0.4; charset=utf-8")
        .expect_field("cache-control", "no-store")
        .expect_field("access-control-allow-origin", "*");
    let public = Numbers::parse(&String::from_utf8(raw.rest().0).unwrap());
    let build = format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    let mut names: Vec<String> = SERIES.iter().map(|name| format!("hoody_pipe_{name}")).collect();
    names.extend([format!("hoody_pipe_{build}"), "hoody_pipe_start_time_seconds".to_owned()]);
    names.sort();
    assert_eq!(public.samples.keys().cloned().collect::<Vec<_>>(), names);
    for name in SERIES.iter().filter(|name| **name != "ring_nodes") {
        assert_eq!(public.get(name), 0.0, "{name}");
    }
    assert_eq!((public.get("ring_nodes"), public.get(&build)), (1.0, 1.0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - public.get("start_time_seconds");
    assert!((0.0..60.0).contains(&age), "started {age} s ago");
    assert_eq!(server.numbers().samples, public.samples, "the admin listener tells the same");
}

#[test]
fn the_public_metrics_can_be_switched_off() {
    let server = with_admin(&["--no-public-metrics"]);
    let text = "[ERROR] This page does not exist. Try /help.";
    expect_error(&mut server.get(PUBLIC), 404, "no_page", text);
    server.ask("HEAD", PUBLIC).head().expect(404);
    server.ask("OPTIONS", PUBLIC).head().expect(204);
    assert_eq!(server.numbers().get("ring_nodes"), 1.0, "operators have them still");
    Server::start(&[]).get(PUBLIC).head().expect(200);
}

#[test]
fn a_complete_transfer_is_counted_once() {
    let server = with_admin(&[]);
    let before = server.numbers();
    let (mut sender, mut receivers) = server.streaming(&unique(), 3);
    sender.chunk(&pattern(1000));
    sender.finish();
    expect_complete(&mut sender);
    for receiver in &mut receivers {
        assert_eq!(receiver.rest().1, End::Clean);
    }
    let change = [
        ("transfers_total{result=\"completed\"}", 1.0),
        ("transferred_bytes_total", 1000.0),
        ("delivered_bytes_total", 3000.0),
    ];
    expect_change(&server, &before, &change);
    let before = server.numbers();
    let (mut sender, mut receivers) = server.streaming(&format!("{}?sha256", unique()), 1);
    sender.chunk(&pattern(300_000));
    sender.finish();
    assert_eq!(receivers[0].rest().1, End::Clean);
    expect_complete(&mut sender);
    let change = [
        ("transfers_total{result=\"completed\"}", 1.0),
        ("transferred_bytes_total", 300_000.0),
        ("delivered_bytes_total", 300_000.0),
        ("hashed_bytes_total", 300_000.0),
    ];
    expect_change(&server, &before, &change);
}

#[test]
fn what_waits_and_runs_is_shown_while_it_does() {
    let server = with_admin(&[]);
    let before = server.numbers();
    let sender = server.waiting_sender(&unique(), 1);
    let receivers = server.waiting_receivers(&unique(), 2);
    let waiting = [
        ("pipes_active{state=\"waiting\"}", 2.0),
        ("waiting_connections{role=\"sender\"}", 1.0),
        ("waiting_connections{role=\"receiver\"}", 2.0),
    ];
    expect_change(&server, &before, &waiting);
    drop((sender, receivers));
    expect_change(&server, &before, &[]);
    let pair = server.streaming(&unique(), 2);
    let window = 16.0 * 1024.0;
    let running = [("pipes_active{state=\"streaming\"}", 1.0), ("buffered_bytes", window)];
    expect_change(&server, &before, &running);
    drop(pair);
    eventually("nothing is held", SOON, || server.numbers().get("buffered_bytes") == 0.0);
}

/// A stream may run for days: its bytes must not come all at once at its end.
#[test]
fn bytes_are_counted_while_a_transfer_runs() {
    let server = with_admin(&[]);
    let (mut sender, mut receivers) = server.streaming(&format!("{}?sha256", unique()), 2);
    for round in 1..=3 {
        sender.chunk(&pattern(5000));
        for receiver in &mut receivers {
            receiver.body(5000);
        }
        let bytes = f64::from(round) * 5000.0;
        eventually("they are counted", SOON, || {
            let numbers = server.numbers();
            numbers.get("transferred_bytes_total") == bytes
                && numbers.get("delivered_bytes_total") == 2.0 * bytes
                && numbers.get("hashed_bytes_total") == bytes
        });
    }
    let before = server.numbers();
    sender.finish();
    expect_complete(&mut sender);
    let change = [
        ("transfers_total{result=\"completed\"}", 1.0),
        ("pipes_active{state=\"streaming\"}", -1.0),
        ("buffered_bytes", -16384.0),
    ];
    expect_change(&server, &before, &change);
}

#[test]
fn a_failed_transfer_is_counted_once_whatever_ended_it() {
    let server = with_admin(&[]);
    let failed = ("transfers_total{result=\"failed\"}", 1.0);
    let moved = [("transferred_bytes_total", 3.0), ("delivered_bytes_total", 6.0)];
    let gone = ("receivers_dropped_total{reason=\"disconnect\"}", 2.0);
    let start = |name: &str| {
        let (mut sender, mut receivers) = server.streaming(name, 2);
        sender.chunk(b"abc");
        for receiver in &mut receivers {
            receiver.body(3);
        }
        (sender, receivers)
    };
    let before = server.numbers();
    let (sender, _receivers) = start(&unique());
    sender.reset();
    expect_change(&server, &before, &[failed, moved[0], moved[1]]);

    let before = server.numbers();
    let (mut sender, receivers) = start(&unique());
    drop(receivers);
    expect_failure(&mut sender, ALL_GONE);
    expect_change(&server, &before, &[failed, moved[0], moved[1], gone]);

    let before = server.numbers();
    let name = unique();
    let (mut sender, _receivers) = start(&name);
    server.ask("DELETE", &name).head().expect(204);
    expect_failure(&mut sender, "[ERROR] Cancelled.");
    expect_change(&server, &before, &[failed, moved[0], moved[1]]);

    let before = server.numbers();
    let (mut sender, _receivers) = start(&unique());
    sender.send("zzz\r\n");
    expect_failure(&mut sender, LOST);
    expect_change(&server, &before, &[failed, moved[0], moved[1]]);
}

#[test]
fn a_receiver_that_stalls_or_leaves_is_counted() {
    let server = with_admin(&[]);
    let before = server.numbers();
    let (mut sender, mut receivers) = server.streaming(&unique(), 3);
    drop(receivers.pop());
    sender.line_until("[INFO] A receiver disconnected.");
    sender.finish();
    expect_complete(&mut sender);
    let change = [
        ("transfers_total{result=\"completed\"}", 1.0),
        ("receivers_dropped_total{reason=\"disconnect\"}", 1.0),
    ];
    expect_change(&server, &before, &change);

    let name = unique();
    let mut sender = server.put(&format!("{name}?stall=1"));
    sender.head().expect(200);
    let mut frozen = Raw::connect_narrow(server.address());
    frozen.send(format!("GET {name} HTTP/1.1\r\nHost: h\r\n\r\n"));
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    let mut upload = sender.writer();
    let flood = std::thread::spawn(move || {
        use std::io::Write;
        let piece = [&b"10000\r\n"[..], &pattern(65536), b"\r\n"].concat();
        while upload.write_all(&piece).is_ok() {}
    });
    sender.line_until("[INFO] A receiver was dropped: it took no data for 1 s.");
    eventually("it is counted", SOON, || {
        let numbers = server.numbers();
        numbers.get("receivers_dropped_total{reason=\"stall\"}") == 1.0
            && numbers.get("receivers_dropped_total{reason=\"disconnect\"}") == 1.0
            && numbers.get("transfers_total{result=\"failed\"}") == 1.0
    });
    drop(sender);
    flood.join().unwrap();
}

#[test]
fn each_rejected_request_is_counted_once() {
    let reason = |name: &str| format!("rejections_total{{reason=\"{name}\"}}");
    let waits = |role: &str| format!("waiting_connections{{role=\"{role}\"}}");

    let server = with_admin(&["--max-pending", "1"]);
    let _first = server.waiting_sender(&unique(), 1);
    let before = server.numbers();
    server.put(&unique()).head().expect(429);
    expect_change(&server, &before, &[(&reason("pending_cap"), 1.0)]);

    let server = with_admin(&["--max-active", "1"]);
    let _running = server.streaming(&unique(), 1);
    let before = server.numbers();
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    server.get(&name).head().expect(429);
    expect_failure(&mut sender, "[ERROR] Server at maximum active transfer capacity.");
    // The sender and its receiver.
    expect_change(&server, &before, &[(&reason("active_cap"), 2.0)]);

    let server = with_admin(&["--max-spectators-per-pipe", "1"]);
    let before = server.numbers();
    let mut watching = server.get("/watched?progress");
    watching.head().expect(200);
    expect_change(&server, &before, &[("spectators_active", 1.0)]);
    server.get("/watched?progress").head().expect(429);
    let change = [("spectators_active", 1.0), (&reason("spectator_cap"), 1.0)];
    expect_change(&server, &before, &change);

    let server = with_admin(&["--max-waiting-per-address", "1"]);
    let _first = server.waiting_sender(&unique(), 1);
    let before = server.numbers();
    server.get(&unique()).head().expect(429);
    expect_change(&server, &before, &[(&reason("address_cap"), 1.0)]);

    let server = with_admin(&["--idle-timeout", "1"]);
    let before = server.numbers();
    server.get(&format!("{}?wait=1", unique())).head().expect(408);
    expect_change(&server, &before, &[(&reason("wait_timeout"), 1.0)]);
    let mut sender = server.put(&format!("{}?wait=1&quiet", unique()));
    sender.head().expect(408);
    expect_change(&server, &before, &[(&reason("wait_timeout"), 2.0)]);
    let before = server.numbers();
    let (mut sender, _receivers) = server.streaming(&unique(), 2);
    expect_failure(&mut sender, "[ERROR] Transfer aborted — idle timeout exceeded.");
    let change =
        [(reason("idle_timeout"), 1.0), ("transfers_total{result=\"failed\"}".into(), 1.0)];
    expect_change(&server, &before, &change.each_ref().map(|(name, by)| (name.as_str(), *by)));

    let mut server = with_admin(&["--drain-timeout", "2"]);
    let mut waiting = server.waiting_receivers(&unique(), 1);
    let before = server.numbers();
    server.signal(Signal::INT);
    eventually("new requests are refused", SOON, || server.put(&unique()).head().status == 503);
    let now = server.numbers();
    assert!(now.get(&reason("draining")) > before.get(&reason("draining")));
    assert_eq!(now.get(&waits("receiver")), 1.0);
    expect_error(&mut waiting[0], 503, "draining", "[ERROR] Server shutting down.");
    assert_eq!(server.exit_code(PATIENCE), Some(0));
}

/// Refusals for what a client does are no rejections: an attacker must not move these numbers.
#[test]
fn bad_requests_change_nothing() {
    let server = with_admin(&[]);
    let before = server.numbers();
    for target in ["/x?n=0", "/a/../b", "/x?wait=0", "/health"] {
        assert!(server.get(target).head().status >= 400);
    }
    for bytes in ["\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}binary", "PUT /x HTTP/1.1\r\n\r\n"] {
        let _ = server.request(bytes).try_head();
    }
    expect_change(&server, &before, &[]);
}
