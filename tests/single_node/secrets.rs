//! Spec §23 and §25: what the log tells of a transfer, and what neither the log nor the metrics ever
//! tell: names, queries, reasons, header values, addresses of clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::server::head;
use crate::common::{End, PATIENCE, Raw, SOON, Server, eventually, unique};
use crate::reading::{LOST, expect_complete, expect_failure};

const FLAGS: [&str; 4] = ["--admin-listen", "127.0.0.1:0", "--log-format", "json"];

/// The lines of the log, each as the JSON it is.
fn lines(server: &Server) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    server.log().lines().map(parse).collect()
}

/// The fields of the lines about transfers that have ended.
fn transfers(server: &Server) -> Vec<Value> {
    let ended = |line: &Value| line["fields"]["message"] == "transfer ended";
    lines(server).into_iter().filter(ended).map(|line| line["fields"].clone()).collect()
}

/// Runs a transfer of `bytes` to `n` receivers.
fn transfer(server: &Server, target: &str, bytes: &[u8], n: u16) {
    let (mut sender, mut receivers) = server.streaming(target, n);
    sender.chunk(bytes);
    sender.finish();
    expect_complete(&mut sender);
    for receiver in &mut receivers {
        assert_eq!(receiver.rest().1, End::Clean);
    }
}

#[test]
fn a_finished_transfer_is_one_line() {
    let server = Server::start(&FLAGS);
    let name = unique();
    transfer(&server, &name, b"hello", 2);
    eventually("it is logged", SOON, || !transfers(&server).is_empty());
    transfer(&server, &name, b"", 1);
    let (mut sender, _receivers) = server.streaming(&unique(), 2);
    sender.chunk(b"abc");
    sender.send("zzz\r\n");
    expect_failure(&mut sender, LOST);
    eventually("all are logged", SOON, || transfers(&server).len() == 3);
    let all = transfers(&server);
    let told = |line: &Value| {
        let fields = ["result", "reason", "bytes", "whole", "n"];
        fields.map(|field| line[field].to_string()).join(" ")
    };
    assert_eq!(told(&all[0]), "\"completed\" null 5 2 2");
    assert_eq!(told(&all[1]), "\"completed\" null 0 1 1");
    assert_eq!(told(&all[2]), "\"failed\" \"sender_lost\" 3 0 2");
    for line in &all {
        let id = line["transfer"].as_str().unwrap();
        assert!(id.len() == 36 && id.matches('-').count() == 4, "a random id: {line}");
        assert!(line["seconds"].as_f64().unwrap() < 20.0, "{line}");
        assert_eq!(line["protocol"], "HTTP/1.1");
        let hash = line["name"].as_str().unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
    }
    assert_eq!(all[0]["name"], all[1]["name"], "the same name is the same hash");
    assert_ne!(all[0]["name"], all[2]["name"]);
    // Another process has another key.
    let other = Server::start(&FLAGS);
    transfer(&other, &name, b"hello", 2);
    eventually("it is logged", SOON, || !transfers(&other).is_empty());
    assert_ne!(transfers(&other)[0]["name"], all[0]["name"]);
}

#[test]
fn what_never_began_is_not_a_transfer() {
    let server = Server::start(&FLAGS);
    server.get(&format!("{}?wait=1", unique())).head().expect(408);
    let mut sender = server.put(&format!("{}?wait=1&quiet", unique()));
    sender.head().expect(408);
    drop(server.waiting_sender(&unique(), 1));
    transfer(&server, &unique(), b"x", 1);
    eventually("it is logged", SOON, || !transfers(&server).is_empty());
    assert_eq!(transfers(&server).len(), 1);
}

#[test]
fn the_life_of_the_node_is_a_few_lines() {
    let mut server = Server::start(&FLAGS);
    server.assert_usable(&unique());
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(PATIENCE), Some(0));
    let mut messages = Vec::new();
    eventually("it has stopped", SOON, || {
        messages = lines(&server).iter().map(|line| line["fields"]["message"].clone()).collect();
        messages.last().is_some_and(|last| last == "stopped")
    });
    let want = [
        "starting",
        "serving",
        "transfer ended",
        "draining, a second signal stops at once",
        "stopped",
    ];
    assert_eq!(messages, want);
}

/// Nobody outside may fill the disk of the log collector.
#[test]
fn bad_input_is_not_logged() {
    let server = Server::start(&FLAGS);
    eventually("its start is logged", SOON, || {
        lines(&server).iter().any(|line| line["fields"]["message"] == "serving")
    });
    let before = lines(&server).len();
    for bytes in [
        "GET / HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
        "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /x?n=0 HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT /help HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        for _ in 0..5 {
            let mut raw = server.request(bytes);
            raw.half_close();
            let _ = raw.try_head();
            server.connect().reset();
            let mut admin = Raw::connect(server.admin());
            admin.send(bytes.replace("/x", "/\u{1}"));
            admin.half_close();
            let _ = admin.try_head();
        }
    }
    // What was logged by now would stand before this.
    transfer(&server, &unique(), b"x", 1);
    eventually("the transfer is logged", SOON, || !transfers(&server).is_empty());
    assert_eq!(lines(&server).len(), before + 1, "{}", server.log());
}

/// Where the clients of the mixed run come from.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 77);

/// Their header fields.
const MARKED: [&str; 6] = [
    "X-Forwarded-For: 198.51.100.77",
    "Transfer-Encoding: chunked",
    "Content-Type: text/marktype",
    "X-Piping: markmeta",
    "User-Agent: markagent",
    "Content-Disposition: attachment; filename=markfile",
];

fn send_marked(server: SocketAddr, request: String) -> Raw {
    let mut raw = Raw::connect_from(IpAddr::V4(ADDRESS), server);
    raw.send(request);
    raw
}

#[track_caller]
fn assert_unmarked(text: &str) {
    assert!(!text.to_ascii_lowercase().contains("mark"), "a client's word in\n{text}");
    for address in [ADDRESS.to_string(), "198.51.100.77".to_owned()] {
        assert!(!text.contains(&address), "a client's address in\n{text}");
    }
}

/// A mixed run in which everything that is a client's own has a mark that can be found.
#[test]
fn nothing_of_a_client_is_in_logs_and_metrics() {
    let mut server = Server::start(&[&FLAGS[..], &["--log-level", "trace"]].concat());
    let send = |request: String| send_marked(server.address(), request);
    let name = "/markname/markseg%20ment";
    let put = |query: &str| head("PUT", &format!("{name}{query}"), &MARKED);
    let get = |query: &str| head("GET", &format!("{name}{query}"), &[MARKED[0]]);
    // Complete, with everything that can be chosen.
    let mut sender = send(put("?transfer=markid-0123456789&sha256&markkey=markvalue"));
    let mut receiver = send(get("?filename=markdownload&sha256"));
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    sender.chunk(b"markbody");
    sender.finish();
    expect_complete(&mut sender);
    receiver.head().expect(200);
    // Cancelled while streaming and while waiting, with a reason.
    let mut sender = send(put(""));
    let _receiver = send(get(""));
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    send(head("DELETE", &format!("{name}?reason=markreason"), &[])).head().expect(204);
    expect_failure(&mut sender, "[ERROR] Cancelled: markreason.");
    let mut waiting = send(put("?quiet"));
    eventually("it can be cancelled", SOON, || {
        let target = format!("{name}?reason=markreason");
        send(head("DELETE", &target, &[])).head().status == 204
    });
    waiting.head().expect(410);
    // Lost, timed out, refused, malformed.
    let mut sender = send(put(""));
    let _receiver = send(get(""));
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    sender.reset();
    send(get("?wait=1&filename=markdownload")).head().expect(408);
    send(get("?n=markn")).head().expect(400);
    send(get("?status")).head();
    send(head("GET", "/markname/../markpath", &[])).head().expect(400);
    send(head("MARKMETHOD", name, &[])).head().expect(405);
    let _ = send("GET /markraw\u{1} HTTP/1.1\r\nHost: markhost\r\n\r\n".to_owned()).try_head();
    send(head("GET", "/help?markquery", &["Host: markhost"])).try_head().ok();
    eventually("three transfers are logged", SOON, || transfers(&server).len() == 3);
    let metrics = server.admin_answers("GET", "/metrics", &[]).1;
    let cluster = server.admin_answers("GET", "/cluster", &[]).1;
    server.signal(Signal::INT);
    assert_eq!(server.exit_code(PATIENCE), Some(0));
    eventually("it has stopped", SOON, || server.log().contains("\"stopped\""));
    for text in [server.log(), metrics, cluster, server.stdout()] {
        assert_unmarked(&text);
    }
    let reasons: Vec<Value> =
        transfers(&server).iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, [Value::Null, "cancelled".into(), "sender_lost".into()]);
    let chosen = transfers(&server)[0]["transfer"].as_str().unwrap().to_owned();
    assert!(chosen.starts_with("chosen-") && chosen.len() == 7 + 16, "a hash: {chosen}");
}
