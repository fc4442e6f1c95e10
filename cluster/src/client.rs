//! Connections and HTTP clients for talking to other nodes: how they connect, and nothing of what is
//! said.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use rustls::crypto::ring;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::names::Names;

/// A node of the same fleet takes a connection within this, or it is not to be had.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Less than what the listener waits, so that it is never the listener who closes first.
const IDLE_FOR: Duration = Duration::from_secs(20);

/// One memory for the process: all clients look the same hosts up.
static NAMES: LazyLock<Names> = LazyLock::new(Names::default);

/// A client for requests to other nodes that keeps `idle` unused connections to each. It belongs to
/// the runtime that uses it first.
///
/// Plain HTTP/1.1, one request at a time on a connection; no proxy, no redirects, and no limit of time
/// but for the connection: a paused stream is not a broken one.
///
/// # Errors
/// It cannot be made; the cause is no setting of ours.
pub(crate) fn client(idle: usize) -> reqwest::Result<Client> {
    // The library wants to know one, although nothing here speaks TLS. Only a second call could fail.
    let _ = ring::default_provider().install_default();
    Client::builder()
        .http1_only()
        // No certificate is ever looked at: so a system without any will do.
        .tls_certs_only([])
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .tcp_user_timeout(None::<Duration>)
        .connect_timeout(CONNECT_MAX)
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_FOR)
        .dns_resolver(Arc::new(NAMES.clone()))
        .build()
}

/// A connection to `addr` (host and port) whose receive buffer is asked for with `receive` bytes, of
/// which the kernel makes twice as many, its bookkeeping included, and never more: Linux lets it grow
/// no longer. Belongs to the runtime of the caller. Cancel-safe.
///
/// All addresses of the host are tried in turn, within [`CONNECT_MAX`] together.
///
/// # Errors
/// None of them takes a connection in time, or none is known.
pub(crate) async fn connect(addr: &str, receive: u32) -> io::Result<TcpStream> {
    let addrs = resolve(addr).await?;
    let share = CONNECT_MAX / u32::try_from(addrs.len().max(1)).unwrap_or(u32::MAX);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "no address is known for this host");
    for addr in addrs {
        match timeout(share, connect_to(addr, receive)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(late) => failed = late.into(),
        }
    }
    Err(failed)
}

async fn connect_to(addr: SocketAddr, receive: u32) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Before the connection: the scale of the window that is offered is settled with the first segment.
    socket.set_recv_buffer_size(receive)?;
    socket.set_nodelay(true)?;
    socket.connect(addr).await
}

/// The addresses of `addr`, which is a host and a port.
async fn resolve(addr: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(addr) = addr.parse() {
        return Ok(vec![addr]);
    }
    let no_address = || io::Error::new(io::ErrorKind::InvalidInput, "not a host and a port");
    let (host, port) = addr.rsplit_once(':').ok_or_else(no_address)?;
    let port = port.parse().map_err(|_| no_address())?;
    let found = NAMES.addrs(host).await;
    Ok(found.into_iter().map(|found| SocketAddr::new(found.ip(), port)).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_made_by_address_or_name_and_nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let stream = connect(&format!("{host}:{port}"), 64 << 10).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
            assert!(stream.nodelay().unwrap());
        }
        drop(listener);
        for nobody in [format!("127.0.0.1:{port}"), "127.0.0.1".into(), "a:b".into()] {
            assert!(connect(&nobody, 64 << 10).await.is_err(), "{nobody}");
        }
    }
}
