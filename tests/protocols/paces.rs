//! Clients over HTTP/2 that are slow, or come in small pieces: they keep what is theirs, and harm
//! nobody.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::client::{Client, Frames, frame, head, piece};
use crate::common::{Curl, Server, unique};

/// Small frames of one stream, within the window that it has before settings. Those of two streams
/// are more than the h2 crate would keep for a connection.
const TOKENS: usize = 60_000;

#[tokio::test]
async fn tokens_that_nobody_takes_yet_do_not_end_the_connection() {
    let server = Server::start(&[]);
    let mut client = Frames::connect(server.address()).await;
    for (stream, name) in [(1, b'a'), (3, b'b')] {
        let request = [b"\x83\x44\x02/", &[name][..], b"\x86\x41\x09localhost"].concat();
        client.say(1, 4, stream, &request).await;
        let tokens: Vec<u8> = (0..TOKENS).flat_map(|_| frame(0, 0, stream, &[name])).collect();
        client.0.write_all(&tokens).await.unwrap();
    }
    for (stream, name) in [(1, "a"), (3, "b")] {
        client.say(0, 1, stream, b"").await;
        let got = Curl::run(&["-sSN", &server.url(&format!("/{name}"))]).expect(0).text();
        assert!(got == name.repeat(TOKENS), "{} bytes", got.len());
    }
}

#[tokio::test]
async fn tokens_for_a_receiver_are_swallowed() {
    let server = Server::start(&[]);
    let name = unique();
    let mut client = Client::connect(server.address()).await;
    let mut receiver = client.ask(Method::GET, &name, &[], false).await;
    for _ in 0..70_000 {
        receiver.body.send_data(Bytes::from_static(b"x"), false).unwrap();
    }
    let mut sender = client.put(&name).await;
    sender.body.send_data(Bytes::from_static(b"some"), true).unwrap();
    let mut body = head(receiver.answer).await.into_body();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "some");
}

#[tokio::test]
async fn a_sender_that_lets_no_line_out_is_matched() {
    let server = Server::start(&[]);
    let name = unique();
    let closed = h2::client::Builder::new().initial_window_size(0).clone();
    let mut client = Client::with(server.address(), &closed).await;
    let mut sender = client.put(&name).await;
    sender.body.send_data(Bytes::from_static(b"some"), true).unwrap();
    assert_eq!(head(sender.answer).await.status(), 200);
    let got = Curl::run(&["-sSN", "-m", "10", &server.url(&name)]).expect(0).text();
    assert_eq!(got, "some");
}

#[tokio::test]
async fn a_slow_and_steady_receiver_does_not_stall() {
    const WINDOW: u32 = 100;
    let server = Server::start(&[]);
    let name = unique();
    let narrow = h2::client::Builder::new().initial_window_size(WINDOW).clone();
    let mut slow = Client::with(server.address(), &narrow).await;
    let receiver = slow.get(&format!("{name}?stall=1")).await;
    let mut client = Client::connect(server.address()).await;
    let mut sender = client.put(&name).await;
    // More than fits anywhere on the way.
    sender.body.send_data(Bytes::from(vec![b'z'; 1 << 20]), false).unwrap();
    let mut body = head(receiver).await.into_body();
    for _ in 0..8 {
        assert_eq!(piece(&mut body).await.unwrap().unwrap().len(), WINDOW as usize);
        sleep(Duration::from_millis(400)).await;
    }
}
