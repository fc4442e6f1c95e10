//! HTTP/2, chosen by ALPN: both directions stream at once, and no reset ever looks like success. The
//! server is scripted, because a relay does not misbehave on demand.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::tls::{Authority, Front};
use crate::common::{PATIENCE, SOON, timed};

const WAITING: &str = "[INFO] Waiting for 1 receiver(s) to connect...\n";
const STREAMING: &str = "[INFO] Streaming to 1 receiver(s)...\n";
const SENT: &str = "[INFO] Sent 6 bytes to 1 of 1 receiver(s) in 0.1 s.\n";
const DONE: &str = "[INFO] Transfer complete.\n";

/// A server of HTTP/2 whose answers are made by a function.
struct Http2 {
    authority: Authority,
    front: Front,
}

impl Http2 {
    fn start<F, Answered>(answer: F) -> Http2
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Answered + Clone + Send + 'static,
        Answered: Future<Output = ()> + 'static,
    {
        let authority = Authority::new();
        let acceptor = authority.acceptor("127.0.0.1", &["h2", "http/1.1"]);
        let front = Front::serve(move |stream| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::task::spawn_local(answer(request, respond));
                }
            }
        });
        Http2 { authority, front }
    }

    fn client(&self, args: &[&str]) -> Client {
        let url = self.front.url("/x");
        let args = args.iter().map(|arg| if *arg == "URL" { url.as_str() } else { arg });
        let mut args: Vec<&str> = args.collect();
        args.splice(1..1, ["--cacert", self.authority.path()]);
        Client::start(&args)
    }
}

fn ok(respond: &mut SendResponse<Bytes>, headers: &[(&str, &str)]) -> SendStream<Bytes> {
    let answer =
        headers.iter().fold(Response::builder(), |a, (name, value)| a.header(*name, *value));
    respond.send_response(answer.body(()).unwrap(), false).unwrap()
}

/// Sends a piece, and lets it out before what follows.
async fn say(answer: &mut SendStream<Bytes>, text: &'static str) {
    answer.send_data(Bytes::from_static(text.as_bytes()), false).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// The body of a request, and how it ended.
async fn heard(mut body: RecvStream, tell: &SyncSender<Result<Bytes, h2::Error>>) {
    while let Some(piece) = body.data().await {
        if let Ok(piece) = &piece {
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        let failed = piece.is_err();
        tell.send(piece).unwrap();
        if failed {
            return;
        }
    }
    tell.send(Ok(Bytes::new())).unwrap();
}

fn next(told: &Receiver<Result<Bytes, h2::Error>>) -> Result<Bytes, h2::Error> {
    told.recv_timeout(PATIENCE).expect("the upload goes on")
}

#[test]
fn lines_come_while_the_upload_runs() {
    let (tell, told) = sync_channel(100);
    let server = Http2::start(move |request, mut respond| {
        let tell = tell.clone();
        async move {
            assert_eq!(request.method(), "PUT");
            let mut answer = ok(&mut respond, &[("content-type", "text/plain")]);
            say(&mut answer, WAITING).await;
            heard(request.into_body(), &tell).await;
            say(&mut answer, SENT).await;
            answer.send_data(Bytes::from_static(DONE.as_bytes()), true).unwrap();
        }
    });
    let mut sender = server.client(&["send", "URL"]);
    sender.expect_line(WAITING);
    for piece in ["one", "two"] {
        sender.write(piece.as_bytes());
        assert_eq!(next(&told).unwrap(), piece);
    }
    sender.close();
    assert_eq!(next(&told).unwrap(), "");
    sender.ended().expect(0);
}

#[test]
fn a_reset_of_the_answer_is_never_success() {
    for (reason, said, code) in [
        (Reason::INTERNAL_ERROR, STREAMING, 1),
        (Reason::INTERNAL_ERROR, DONE, 1),
        (Reason::CANCEL, DONE, 1),
        (Reason::NO_ERROR, STREAMING, 8),
        (Reason::NO_ERROR, DONE, 8),
    ] {
        let server = Http2::start(move |request, mut respond| async move {
            let mut answer = ok(&mut respond, &[]);
            say(&mut answer, said).await;
            answer.send_reset(reason);
            drop(request);
        });
        let mut sender = server.client(&["send", "URL", "--", "echo", "hello"]);
        sender.close();
        let ended = sender.ended();
        assert_eq!(ended.code, Some(code), "{reason:?} after {said:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("hoody-pipe: "), "{ended:?}");
    }
}

#[test]
fn the_end_of_the_connection_is_never_success() {
    let server = Http2::start(|_, mut respond| async move {
        let mut answer = ok(&mut respond, &[]);
        say(&mut answer, "half").await;
        // The whole server goes with it.
        panic!("this connection ends here");
    });
    server.client(&["receive", "URL"]).ended().expect(1);
}

#[test]
fn a_refusal_is_heard_while_stdin_is_silent() {
    let server = Http2::start(|_, mut respond| async move {
        let refusal = Response::builder().status(400).body(()).unwrap();
        let mut answer = respond.send_response(refusal, false).unwrap();
        answer.send_data(Bytes::from_static(b"[ERROR] No.\n"), true).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        respond.send_reset(Reason::NO_ERROR);
    });
    let (ended, time) = timed(|| server.client(&["send", "URL"]).ended());
    assert_eq!(ended.expect(3).stderr, "[ERROR] No.\n");
    assert!(time < SOON, "{time:?}");
}

#[test]
fn a_failing_command_resets_the_upload() {
    let (tell, told) = sync_channel(100);
    let server = Http2::start(move |request, mut respond| {
        let tell = tell.clone();
        async move {
            let mut answer = ok(&mut respond, &[]);
            say(&mut answer, WAITING).await;
            heard(request.into_body(), &tell).await;
        }
    });
    let mut sender =
        server.client(&["send", "URL", "--", "sh", "-c", "printf half; read x; exit 1"]);
    assert_eq!(next(&told).unwrap(), "half");
    sender.write(b"\n");
    sender.ended().expect(7);
    assert!(next(&told).is_err(), "the upload is cut, not ended");
}

#[test]
fn a_download_that_is_reset_is_never_success() {
    const ID: (&str, &str) = ("x-hoody-pipe-transfer-id", "0123456789abcdef");
    const LENGTH: (&str, &str) = ("content-length", "9");
    let folder = Folder::new();
    let output = folder.path("out");
    for (headers, reason, status, code) in [
        (&[LENGTH, ID][..], Reason::INTERNAL_ERROR, None, 1),
        (&[LENGTH, ID], Reason::CANCEL, None, 1),
        (&[LENGTH, ID], Reason::NO_ERROR, Some(r#"{"state":"complete","bytesTransferred":4}"#), 1),
        (&[ID], Reason::INTERNAL_ERROR, None, 1),
        (&[ID], Reason::NO_ERROR, Some(r#"{"state":"complete","bytesTransferred":9}"#), 1),
        (&[ID], Reason::NO_ERROR, Some(r#"{"state":"failed","bytesTransferred":4}"#), 1),
        (&[ID], Reason::NO_ERROR, None, 8),
    ] {
        let server = Http2::start(move |request, mut respond| async move {
            if request.uri().query().is_some_and(|query| query.contains("status")) {
                let code = if status.is_some() { 200 } else { 501 };
                let head = Response::builder().status(code).body(()).unwrap();
                let mut answer = respond.send_response(head, false).unwrap();
                let text = status.unwrap_or("not here").as_bytes();
                return answer.send_data(Bytes::from_static(text), true).unwrap();
            }
            let mut answer = ok(&mut respond, headers);
            say(&mut answer, "half").await;
            answer.send_reset(reason);
        });
        let ended = server.client(&["receive", "URL", "-o", &output]).ended();
        assert_eq!(ended.code, Some(code), "{reason:?} {headers:?} {status:?}: {}", ended.stderr);
        assert_eq!((folder.read("out"), folder.read("out.part")), (None, Some(b"half".to_vec())));
    }
}

#[test]
fn http1_is_spoken_when_asked_for() {
    let canned = Canned::start(&[Act::whole("0123456789abcdef", "all of it")]);
    let authority = Authority::new();
    // This front passes on what it gets: HTTP/2 would not be understood behind it.
    let both = authority.acceptor("127.0.0.1", &["h2", "http/1.1"]);
    let front = Front::start(both, canned.address());
    let (url, trust) = (front.url("/x"), ["--cacert", authority.path()]);
    let ended = Client::run(&[&["receive", &url, "--http1"][..], &trust].concat());
    assert_eq!(ended.expect(0).text(), "all of it");
    Client::run(&[&["receive", &url][..], &trust].concat()).expect(1);
}
