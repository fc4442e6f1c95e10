//! Connections over loopback sockets, plain and through TLS: what is written is read, what is
//! flushed is with the kernel, and an end is told from a cut.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::front::presence;

/// What a client sees: bytes, and how they ended.
trait Client: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Client for T {}

async fn sockets() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (Socket::new(listener.accept().await.unwrap().0), client)
}

async fn pair(secure: bool) -> (Transport, Box<dyn Client>) {
    let (socket, client) = sockets().await;
    if !secure {
        return (Transport::plain(socket), Box::new(client));
    }
    let (config, connector, name) = parties();
    let (server, client) =
        tokio::join!(TlsAcceptor::from(config).accept(socket), connector.connect(name, client));
    (Transport::secure(server.unwrap()), Box::new(client.unwrap()))
}

/// Both ends of TLS, and the name of the server.
fn parties() -> (Arc<ServerConfig>, TlsConnector, ServerName<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trust = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (Arc::new(config), TlsConnector::from(Arc::new(trust)), name)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn what_is_written_is_read_on_either_side() {
    for secure in [false, true] {
        run(async {
            let (io, mut client) = pair(secure).await;
            assert_eq!(io.is_secure(), secure);
            client.write_all(b"ping").await.unwrap();
            client.flush().await.unwrap();
            let mut got = [0; 9];
            assert_eq!(poll_fn(|cx| io.poll_read(cx, &mut got)).await.unwrap(), 4);
            assert_eq!(&got[..4], b"ping");
            io.write_all(b"pong").await.unwrap();
            client.read_exact(&mut got[..4]).await.unwrap();
            assert_eq!(&got[..4], b"pong");
            assert!(io.socket().sent() >= 4);
        });
    }
}

#[test]
fn a_clean_end_is_told_from_a_cut() {
    for (secure, clean) in [(false, true), (true, true), (true, false)] {
        run(async {
            let (io, mut client) = pair(secure).await;
            io.write_all(b"x").await.unwrap();
            if clean {
                io.half_close().await;
            }
            drop(io);
            let mut got = Vec::new();
            let end = client.read_to_end(&mut got).await;
            assert_eq!((got.as_slice(), end.is_ok()), (&b"x"[..], clean), "secure: {secure}");
        });
    }
}

#[test]
fn little_is_held_for_a_client_that_reads_nothing() {
    run(async {
        let (io, _client) = pair(true).await;
        let block = vec![0; 1 << 20];
        let mut taken = 0;
        let mut cx = Context::from_waker(Waker::noop());
        // The kernel takes what its buffers hold; behind them TLS takes one record and no more.
        loop {
            match io.poll_write(&mut cx, &block) {
                Poll::Ready(n) => taken += n.unwrap() as u64,
                Poll::Pending => {
                    // The reactor may have news of room.
                    tokio::task::yield_now().await;
                    if io.poll_write(&mut cx, &block).is_pending() {
                        break;
                    }
                }
            }
        }
        assert!(io.poll_flush(&mut cx).is_pending());
        let held = taken.saturating_sub(io.socket().sent());
        assert!(held <= socket::TLS_UNSENT_MAX as u64 + 1024, "{held}");
    });
}

#[test]
fn what_other_streams_write_does_not_hide_that_the_client_lives() {
    run(async {
        let (io, _client) = pair(false).await;
        let socket = io.socket().clone();
        io.write_all(b"a line").await.unwrap();
        let mut alive = Box::pin(presence::acknowledged(&socket));
        let mut cx = Context::from_waker(Waker::noop());
        if alive.as_mut().poll(&mut cx).is_pending() {
            // From now on the connection is never empty again, since its client reads nothing.
            while io.poll_write(&mut cx, &[0; 65536]).is_ready() {}
            alive.await.unwrap();
        }
    });
}

#[test]
fn a_client_that_ends_its_direction_is_gone_and_what_it_sent_before_is_not_lost() {
    for (secure, early) in [(false, false), (true, false), (true, true)] {
        run(async {
            let (io, mut client) = pair(secure).await;
            let mut cx = Context::from_waker(Waker::noop());
            let mut gone = Box::pin(io.gone());
            assert!(gone.as_mut().poll(&mut cx).is_pending());
            if early {
                client.write_all(b"next").await.unwrap();
                client.flush().await.unwrap();
                io.socket().stream().readable().await.unwrap();
                assert!(gone.as_mut().poll(&mut cx).is_pending());
            }
            client.shutdown().await.unwrap();
            gone.await;
            let (mut got, expected) = ([0; 9], if early { 4 } else { 0 });
            assert_eq!(poll_fn(|cx| io.poll_read(cx, &mut got)).await.unwrap(), expected);
            assert_eq!(&got[..expected], &b"next"[..expected]);
        });
    }
}

/// close_notify alone: the socket stays open in both directions.
#[test]
fn a_client_that_ends_tls_but_not_its_socket_is_gone() {
    run(async {
        let (socket, mut client) = sockets().await;
        let (config, connector, name) = parties();
        let (server, tls) = tokio::join!(
            TlsAcceptor::from(config).accept(socket),
            connector.connect(name, &mut client),
        );
        let (io, mut tls) = (Transport::secure(server.unwrap()), tls.unwrap());
        let mut gone = Box::pin(io.gone());
        assert!(gone.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tls.get_mut().1.send_close_notify();
        tls.flush().await.unwrap();
        gone.await;
    });
}

/// TLS writes it in one attempt, behind records that wait to be written too.
#[test]
fn a_handshake_that_fails_says_why() {
    run(async {
        let (socket, client) = sockets().await;
        let (config, connector, name) = parties();
        let (mut config, mut trust) = ((*config).clone(), (**connector.config()).clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        trust.alpn_protocols = vec![b"spdy/1".to_vec()];
        let connector = TlsConnector::from(Arc::new(trust));
        let (server, client) = tokio::join!(
            TlsAcceptor::from(Arc::new(config)).accept(socket),
            connector.connect(name, client),
        );
        assert!(server.is_err());
        let why = client.err().unwrap().to_string();
        assert!(why.contains("NoApplicationProtocol") || why.contains("no application"), "{why}");
    });
}
