//! Bodies over real sockets, read and poured.

#![allow(clippy::unwrap_used)]

mod storms;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::flow::{Bell, Event, Fanout, Framing as Out, Pipes, Way, lane};
use crate::front::transport::Socket;

/// What came out, and how it ended: the body, whether it ended, and what is left behind it.
type Read = (Vec<u8>, Result<Option<Vec<u8>>, Failure>);

/// How a body is read: into a buffer of so many bytes, or by the kernel into a pipe.
#[derive(Clone, Copy)]
enum Road {
    Filled(usize),
    Poured,
}

const ROADS: [Road; 2] = [Road::Filled(64), Road::Poured];

/// Sends `pieces`, of which the first has come with the head, and closes.
fn read(kind: BodyKind, pieces: Vec<Vec<u8>>, road: Road) -> Read {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (io, _) = listener.accept().await.unwrap();
        let io = Transport::plain(Socket::new(io));
        let mut pieces = pieces.into_iter();
        let head = BytesMut::from(&pieces.next().unwrap_or_default()[..]);
        let sent = async move {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let body = SocketBody::new(&io, kind, head);
        let got = async {
            match road {
                Road::Filled(window) => drain(body, window).await,
                Road::Poured => poured(body).await,
            }
        };
        tokio::join!(got, sent).0
    })
}

async fn drain(mut body: SocketBody<'_>, window: usize) -> Read {
    let (mut got, mut buffer) = (Vec::new(), vec![0; window]);
    loop {
        match std::future::poll_fn(|cx| body.poll_fill(cx, &mut buffer)).await {
            Ok(Fill { bytes, end }) => {
                got.extend_from_slice(&buffer[..bytes]);
                if end {
                    return (got, Ok(body.rest().map(|rest| rest.to_vec())));
                }
                assert!(bytes > 0, "ready with nothing, and not at the end");
            }
            Err(why) => return (got, Err(why)),
        }
    }
}

/// The same through the kernel, to one client, for whom the last bytes of a known length are held back
/// until it is said that they may be shown, and nothing of chunks is (spec §8).
async fn poured(body: SocketBody<'_>) -> Read {
    let known = matches!(body.framing, Framing::Length(left) if left > 0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let (mut lane, _hold) = lane(Way::socket(near.into_std().unwrap().into()));
    let (bell, pipes) = (std::sync::Arc::new(Bell::default()), Pipes::new(4).unwrap());
    lane.hang(bell.clone());
    lane.start(bytes::Bytes::new(), Out::Plain, None).unwrap();
    let mut fanout = Fanout::new(body, vec![lane], bell, 64 << 10, false, None).poured(&pipes);
    let end = loop {
        match std::future::poll_fn(|cx| fanout.poll_next(cx)).await {
            Event::BodyComplete => {
                assert_eq!(fanout.delivered() < fanout.total(), known, "what is held back");
                fanout.release();
            }
            Event::Finished => break Ok(()),
            Event::Failed(why) => break Err(why),
            other => panic!("{other:?}"),
        }
    };
    let rest = fanout.into_source().rest();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    (got, end.map(|()| rest.map(|rest| rest.to_vec())))
}

fn pieces_of(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
    bytes.chunks(step).map(<[u8]>::to_vec).collect()
}

#[test]
fn what_follows_a_body_is_left_for_the_next_request() {
    for road in ROADS {
        let wire = b"5\r\nhello\r\n3;x=y\r\n wo\r\n0\r\nT: x\r\n\r\nGET /".to_vec();
        let (body, rest) = read(BodyKind::Stream, vec![wire], road);
        assert_eq!((body, rest), (b"hello wo".to_vec(), Ok(Some(b"GET /".to_vec()))));
        let (body, rest) = read(BodyKind::Length(5), vec![b"helloGET /".to_vec()], road);
        assert_eq!((body, rest), (b"hello".to_vec(), Ok(Some(b"GET /".to_vec()))));
        let (body, rest) = read(BodyKind::Empty, vec![b"GET /".to_vec()], road);
        assert_eq!((body, rest), (Vec::new(), Ok(Some(b"GET /".to_vec()))));
    }
}

#[test]
fn a_body_cut_short_is_lost_after_what_came() {
    for road in ROADS {
        for wire in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "9\r\nhello", "5\r\nhello\r\nx"] {
            let (body, end) = read(BodyKind::Stream, pieces_of(wire.as_bytes(), 4), road);
            assert_eq!((body, end), (b"hello".to_vec(), Err(Failure::SenderLost)), "{wire:?}");
        }
        let (body, end) = read(BodyKind::Length(6), pieces_of(b"hello", 2), road);
        assert_eq!((body, end), (b"hello".to_vec(), Err(Failure::SenderLost)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_chunked_body_comes_out_whole_however_it_is_cut(
        chunks in proptest::collection::vec(1usize..5000, 0..8),
        step in 1usize..3000,
        window in 1usize..6000,
    ) {
        let (mut wire, mut body) = (Vec::new(), Vec::new());
        for (i, len) in chunks.into_iter().enumerate() {
            let data: Vec<u8> = (0..len).map(|at| (at * 7 + i) as u8).collect();
            wire.extend_from_slice(format!("{len:x}\r\n").as_bytes());
            wire.extend_from_slice(&data);
            wire.extend_from_slice(b"\r\n");
            body.extend_from_slice(&data);
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        for road in [Road::Filled(window), Road::Poured] {
            let (got, end) = read(BodyKind::Stream, pieces_of(&wire, step), road);
            prop_assert_eq!(end, Ok(Some(Vec::new())));
            prop_assert!(got == body);
        }
    }
}
