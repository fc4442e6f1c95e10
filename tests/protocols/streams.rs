//! Streams that share a connection: they do not hold each other up, and each may leave by itself.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Method;
use tokio::time::sleep;

use crate::client::{Client, head, piece, rest, until};
use crate::common::{SOON, Server, eventually, pattern, unique};

#[tokio::test]
async fn row_7_a_waiting_receiver_may_reset_its_stream_alone() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
    let mut client = Client::connect(server.address()).await;
    let leaving = client.get(&format!("{name}?n=2")).await;
    sender.expect_line("[INFO] A receiver connected.");
    drop(leaving);
    sender.expect_line("[INFO] A receiver disconnected.");
    // The connection lives.
    let answer = head(client.get("/help").await).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn row_8_a_waiting_sender_may_reset_its_stream_alone() {
    let server = Server::start(&[]);
    let name = unique();
    let mut client = Client::connect(server.address()).await;
    let mut sender = client.put(&name).await;
    let mut lines = head(sender.answer).await.into_body();
    until(&mut lines, "Waiting for 1 receiver(s)").await;
    sender.body.send_reset(Reason::CANCEL);
    eventually("nobody is left", SOON, || server.is_idle(&name));
    assert_eq!(head(client.get("/help").await).await.status(), 200);
}

#[tokio::test]
async fn a_streaming_sender_that_resets_its_stream_cuts_its_receivers() {
    let server = Server::start(&[]);
    let name = unique();
    let mut client = Client::connect(server.address()).await;
    let receiver = client.get(&name).await;
    let mut sender = client.put(&name).await;
    sender.body.send_data(Bytes::from_static(b"some"), false).unwrap();
    let mut body = head(receiver).await.into_body();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "some");
    sender.body.send_reset(Reason::CANCEL);
    let (_, error) = rest(&mut body).await;
    assert_eq!(error.unwrap().reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_streaming_receiver_that_resets_its_stream_is_missed() {
    let server = Server::start(&[]);
    let name = unique();
    let mut client = Client::connect(server.address()).await;
    let receiver = client.get(&name).await;
    let mut sender = client.put(&name).await;
    let mut lines = head(sender.answer).await.into_body();
    sender.body.send_data(Bytes::from_static(b"some"), false).unwrap();
    let mut body = head(receiver).await.into_body();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "some");
    drop(body);
    let (said, error) = rest(&mut lines).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.ends_with("All receivers disconnected before transfer completed.\n"), "{said}");
    assert_eq!(error.unwrap().reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_refusal_is_whole_and_then_the_upload_is_stopped_politely() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address()).await;
    let mut sender = client.put("/x?n=0").await;
    let answer = head(sender.answer).await;
    assert_eq!(answer.status(), 400);
    let (text, error) = rest(&mut answer.into_body()).await;
    assert!(text.starts_with(b"[ERROR] Invalid receiver count") && error.is_none());
    let reason = std::future::poll_fn(|cx| sender.body.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::NO_ERROR);
}

#[tokio::test]
async fn one_byte_in_gives_one_byte_out() {
    let server = Server::start(&[]);
    let name = unique();
    let mut client = Client::connect(server.address()).await;
    let receiver = client.get(&name).await;
    let mut sender = client.put(&name).await;
    sender.body.send_data(Bytes::from_static(b"0"), false).unwrap();
    let mut body = head(receiver).await.into_body();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "0");
    for byte in 0..=255_u8 {
        sender.body.send_data(Bytes::copy_from_slice(&[byte]), false).unwrap();
        assert_eq!(piece(&mut body).await.unwrap().unwrap(), [byte][..]);
    }
    sender.body.send_data(Bytes::new(), true).unwrap();
    assert_eq!(rest(&mut body).await.1.map(|e| e.to_string()), None);
}

/// Sends all of `body` as the window takes it; stops when the window stays closed for a while.
async fn fill(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) -> usize {
    let all = body.len();
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx));
        let Ok(Some(Ok(room))) = tokio::time::timeout(Duration::from_millis(500), room).await
        else {
            break;
        };
        stream.send_data(body.split_to(room.min(body.len())), false).unwrap();
    }
    all - body.len()
}

#[tokio::test]
async fn paused_streams_hold_up_no_other_and_memory_stays_small() {
    let server = Server::start(&[]);
    let before = server.resident_kib();
    let mut client = Client::connect(server.address()).await;
    let mut paused = Vec::new();
    for _ in 0..20 {
        let mut sender = client.put(&unique()).await;
        // Nobody takes its body: it fills its window and waits.
        let sent = fill(&mut sender.body, Bytes::from(pattern(1 << 20))).await;
        assert!((256 << 10..1 << 20).contains(&sent), "{sent}");
        paused.push(sender);
    }
    let name = unique();
    let receiver = client.get(&name).await;
    let mut sender = client.put(&name).await;
    let body = pattern(4 << 20);
    let sending = body.clone();
    let feeding = tokio::spawn(async move {
        fill(&mut sender.body, Bytes::from(sending)).await;
        sender.body.send_data(Bytes::new(), true).unwrap();
        sender
    });
    let (got, error) = rest(&mut head(receiver).await.into_body()).await;
    assert!(got == body && error.is_none());
    feeding.await.unwrap();
    let grown = server.peak_kib() - before;
    assert!(grown < 40 << 10, "{grown} KiB");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_holds_up_no_other_stream() {
    let server = Server::start(&[]);
    let mut wide = h2::client::Builder::new();
    let mut client =
        Client::with(server.address(), wide.initial_connection_window_size(1 << 20)).await;
    let name = unique();
    let receiver = client.get(&name).await;
    let mut sender = client.put(&name).await;
    let sent = fill(&mut sender.body, Bytes::from(pattern(2 << 20))).await;
    assert!(sent < 2 << 20, "{sent}");
    let _frozen = head(receiver).await.into_body();
    // Its window is closed. The connection's is not, and nothing waits in front of others.
    let (text, error) = rest(&mut head(client.get("/help").await).await.into_body()).await;
    assert!(text.starts_with(b"hoody-pipe ") && error.is_none());
}

#[tokio::test]
async fn a_stream_that_stalls_is_cut() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address()).await;
    let name = unique();
    let receiver = client.get(&name).await;
    // On a connection of its own: what the receiver does not take fills the window of its connection.
    let mut other = Client::connect(server.address()).await;
    let sender = other.put(&format!("{name}?stall=1")).await;
    let mut lines = head(sender.answer).await.into_body();
    let frozen = tokio::spawn(async move {
        let body = head(receiver).await.into_body();
        sleep(Duration::from_secs(4)).await;
        body
    });
    let mut upload = sender.body;
    let feeding = tokio::spawn(async move {
        fill(&mut upload, Bytes::from(pattern(2 << 20))).await;
        upload
    });
    until(&mut lines, "A receiver was dropped: it took no data for 1 s.").await;
    let (_, error) = rest(&mut lines).await;
    assert_eq!(error.unwrap().reason(), Some(Reason::INTERNAL_ERROR));
    let mut body = frozen.await.unwrap();
    let (_, error) = rest(&mut body).await;
    assert_eq!(error.unwrap().reason(), Some(Reason::INTERNAL_ERROR));
    drop(feeding.await.unwrap());
}

#[tokio::test]
async fn a_declared_length_that_is_not_kept_is_a_cut() {
    let server = Server::start(&[]);
    for (length, body) in [("5", "1234"), ("3", "1234"), ("4", "")] {
        let name = unique();
        let mut client = Client::connect(server.address()).await;
        let mut receiver = server.get(&name);
        let field = [("content-length", length)];
        let mut sender = client.ask(Method::PUT, &name, &field, false).await;
        until(&mut head(sender.answer).await.into_body(), "Streaming").await;
        let _ = sender.body.send_data(Bytes::from_static(body.as_bytes()), false);
        let _ = sender.body.send_data(Bytes::new(), true);
        let end = receiver.try_head().map(|_| receiver.rest().1);
        assert!(!matches!(end, Ok(crate::common::End::Clean)), "{length} {body} {end:?}");
    }
}

#[tokio::test]
async fn the_expectation_is_met() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address()).await;
    let field = [("expect", "100-continue")];
    let mut longest = Duration::ZERO;
    // A reader that the machine holds up sees both at once, so one good round of ten is enough.
    for _ in 0..10 {
        let mut sender = client.ask(Method::PUT, &unique(), &field, false).await;
        let early = std::future::poll_fn(|cx| sender.answer.poll_informational(cx)).await;
        assert_eq!(early.unwrap().unwrap().status(), 100);
        let start = std::time::Instant::now();
        assert_eq!(head(sender.answer).await.status(), 200);
        longest = longest.max(start.elapsed());
    }
    assert!(longest >= Duration::from_millis(35), "the 200 keeps its distance: {longest:?}");
    let field = [("expect", "200-ok")];
    assert_eq!(head(client.ask(Method::PUT, "/x", &field, false).await.answer).await.status(), 417);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_silent_one_sooner() {
    let server = Server::start(&[]);
    let start = std::time::Instant::now();
    let silent = crate::client::Frames::connect(server.address()).await;
    assert_eq!(silent.goaway(Duration::from_secs(20)).await, Some(0));
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
}
