//! Spec §27 row 33: abuse of HTTP/2 ends its own connection and nobody else's.

use std::time::Duration;

use crate::client::{Client, Frames, frame, head};
use crate::common::{Curl, Server, unique};
use tokio::io::AsyncWriteExt;

const CALM: Option<u32> = Some(11);

/// A few fields, compressed: GET / of localhost.
const REQUEST: &[u8] = b"\x82\x84\x86\x41\x09localhost";

/// The same of a path that the h2 crate resets the stream for.
const BROKEN: &[u8] = b"\x82\x04\x04/a<b\x86\x41\x09localhost";

async fn flood(server: &Server, kind: u8, flags: u8, body: &[u8], each: bool) -> Option<u32> {
    let mut client = Frames::connect(server.address()).await;
    let mut bytes = Vec::new();
    if !each && kind == 0 {
        client.say(1, 4, 1, b"\x83\x44\x04/abc\x86\x41\x09localhost").await;
    }
    for at in 0..10_000_u32 {
        match (each, kind) {
            (true, 1) => bytes.extend(frame(1, 5, 2 * at + 1, body)),
            (true, _) => {
                bytes.extend(frame(1, 4, 2 * at + 1, REQUEST));
                bytes.extend(frame(kind, flags, 2 * at + 1, body));
            }
            (false, 0) => bytes.extend(frame(kind, flags, 1, body)),
            (false, _) => bytes.extend(frame(kind, flags, 0, body)),
        }
    }
    let _ = client.0.write_all(&bytes).await;
    client.goaway(Duration::from_secs(10)).await
}

#[tokio::test]
async fn a_flood_ends_its_connection_and_no_other() {
    let server = Server::start(&[]);
    let before = server.resident_kib();
    let mut other = Client::connect(server.address()).await;
    for (what, kind, body, each) in [
        ("PING", 6, &[0; 8][..], false),
        ("SETTINGS", 4, &[], false),
        ("mistakes", 1, BROKEN, true),
        ("empty DATA", 0, &[], false),
        ("unknown frames", 99, &[], false),
        ("rapid reset", 3, &[0, 0, 0, 8], true),
    ] {
        assert_eq!(flood(&server, kind, 0, body, each).await, CALM, "{what}");
        assert_eq!(head(other.get("/new").await).await.status(), 200, "{what}");
    }
    let grown = server.peak_kib().saturating_sub(before);
    assert!(grown < 50 << 10, "{grown} KiB");
    assert!(server.log().lines().count() < 20, "no flood of the log:\n{}", server.log());
}

#[tokio::test]
async fn a_head_without_an_end_is_not_waited_for() {
    let server = Server::start(&[]);
    let mut endless = Frames::connect(server.address()).await;
    endless.say(1, 0, 1, REQUEST).await;
    for _ in 0..10_000 {
        endless.say(9, 0, 1, b"\x00\x01a\x01b").await;
    }
    assert_eq!(endless.goaway(Duration::from_secs(10)).await, CALM);
    let mut dripped = Frames::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    assert_eq!(head(other.get("/new").await).await.status(), 200);
    let start = std::time::Instant::now();
    dripped.say(1, 0, 1, REQUEST).await;
    assert!(dripped.goaway(Duration::from_secs(20)).await.is_some());
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(head(other.get("/new").await).await.status(), 200);
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address()).await;
    let value = "v".repeat(10_000);
    let names: Vec<String> = (0..20).map(|at| format!("x-{at}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
    let answer = client.ask(http::Method::GET, &unique(), &fields, true).await;
    assert_eq!(head(answer.answer).await.status(), 431);
    let names: Vec<String> = (0..97).map(|at| format!("x-{at}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "v")).collect();
    let answer = client.ask(http::Method::GET, &unique(), &fields, true).await;
    assert_eq!(head(answer.answer).await.status(), 431);
}

#[tokio::test]
async fn the_129th_stream_waits_for_its_turn() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address()).await;
    let mut waiting = Vec::new();
    for _ in 0..128 {
        waiting.push(client.get(&unique()).await);
    }
    // An answer says that the settings are known.
    let mut frames = Frames::connect(server.address()).await;
    for at in 0..129_u32 {
        frames.say(1, 5, 2 * at + 1, b"\x82\x44\x02/a\x86\x41\x09localhost").await;
    }
    // RST_STREAM(REFUSED_STREAM) for the last one.
    let mut got = Vec::new();
    let refused = frame(3, 0, 257, &[0, 0, 0, 7]);
    while !got.windows(refused.len()).any(|window| window == refused) {
        let mut block = [0; 4096];
        let read = tokio::io::AsyncReadExt::read(&mut frames.0, &mut block);
        let read = tokio::time::timeout(crate::common::PATIENCE, read).await.unwrap().unwrap();
        assert!(read > 0, "the connection stays");
        got.extend_from_slice(&block[..read]);
    }
}

#[tokio::test]
async fn answers_that_nobody_asked_for_are_a_flood() {
    let server = Server::start(&[]);
    for kind in [4, 6] {
        let body: &[u8] = if kind == 6 { &[0; 8] } else { &[] };
        assert!(flood(&server, kind, 1, body, false).await.is_some(), "kind {kind}");
    }
}

/// The crate would end the connection at the 1,025th of its life.
#[tokio::test]
async fn many_mistakes_over_a_long_life_hurt_no_other_stream() {
    let server = Server::start(&[]);
    let mut client = Frames::connect(server.address()).await;
    client.say(1, 5, 1, b"\x82\x04\x07/victim\x86\x41\x09localhost").await;
    for at in 1..=1100_u32 {
        client.say(1, 5, 2 * at + 1, BROKEN).await;
        let reset = client.next(3).await;
        assert_eq!(reset, frame(3, 0, 2 * at + 1, &[0, 0, 0, 1]), "PROTOCOL_ERROR of {at}");
        if at % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut sender = Client::connect(server.address()).await.put("/victim").await;
    sender.body.send_data(bytes::Bytes::from_static(b"alive"), true).unwrap();
    assert_eq!(client.next(0).await, frame(0, 1, 1, b"alive"));
}

/// Two window updates for each KiB of large frames.
#[tokio::test]
async fn a_bulk_receiver_may_open_its_windows_bit_by_bit() {
    const LEN: usize = 3 << 20;
    let server = Server::start(&[]);
    let mut client = Frames::connect(server.address()).await;
    client.say(1, 5, 1, b"\x82\x04\x05/bulk\x86\x41\x09localhost").await;
    let mut sender = Curl::start(&["-sS", "--no-progress-meter", "-T", ".", &server.url("/bulk")]);
    sender.write(&vec![7; LEN]);
    sender.close();
    let (mut got, mut acknowledged) = (0, 0);
    loop {
        let data = client.next(0).await;
        got += data.len() - 9;
        if data[4] & 1 != 0 {
            break;
        }
        while acknowledged + 1024 <= got {
            acknowledged += 1024;
            client.say(8, 0, 0, &1024_u32.to_be_bytes()).await;
            client.say(8, 0, 1, &1024_u32.to_be_bytes()).await;
        }
    }
    assert_eq!(got, LEN);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_after_ten_seconds() {
    let server = Server::start(&[]);
    let start = std::time::Instant::now();
    let silent = Frames::connect(server.address()).await;
    assert_eq!(silent.goaway(Duration::from_secs(20)).await, Some(0));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
}
