//! HTTP clients for talking to other nodes: how they connect, and nothing of what is said.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use rustls::crypto::ring;

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
pub fn client(idle: usize) -> reqwest::Result<Client> {
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
