//! Connections: whom to trust, which version to speak, how long to try; and, when there is none,
//! what to say about it. Knows nothing of what is asked over them.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};
use rustls::CertificateError;

use super::{Exit, Fault};
use crate::config::errand::Link;

/// Longer is no server that is merely far away. Names, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);

/// A peer whose host has vanished is missed after 30 + 3 * 10 s, also when no byte flows; the same
/// as the relay does (spec §12).
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// A client without pool, proxy, redirects, second tries or limits of time beyond the connection.
///
/// # Errors
/// The certificates of `--cacert` cannot be used, or the system has none.
pub fn client(secure: bool, link: &Link) -> Result<Client, Fault> {
    let builder = Client::builder()
        .user_agent(concat!("hoody-pipe/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE_AGAIN)
        .tcp_keepalive_retries(KEEPALIVE_PROBES)
        // A relay that waits for slow receivers closes its window, for as long as they stall.
        .tcp_user_timeout(None::<Duration>);
    let builder = if secure && !link.http1 { builder } else { builder.http1_only() };
    trusting(builder, secure, link)?.build().map_err(|error| untrusting(&error, link))
}

/// Why there is nobody to trust.
fn untrusting(error: &reqwest::Error, link: &Link) -> Fault {
    let why = innermost(error);
    if let Some(path) = &link.cacert {
        return unusable(path, &format!("cannot be understood: {why}"));
    }
    let why = format!(
        "the certificates of this system cannot be used: {why}; install its CA certificates \
         (mostly a package ca-certificates) or give the right one with --cacert"
    );
    Fault(Exit::NoConnection, why)
}

fn trusting(builder: ClientBuilder, secure: bool, link: &Link) -> Result<ClientBuilder, Fault> {
    // The library asks for the provider of this process. Only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if !secure {
        // No certificate is ever looked at: so a system without any will do.
        return Ok(builder.tls_certs_only([]));
    }
    let extra = link.cacert.as_deref().map(certificates).transpose()?;
    Ok(builder
        .tls_certs_merge(extra.unwrap_or_default())
        .tls_danger_accept_invalid_certs(link.insecure))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Fault> {
    let pem =
        std::fs::read(path).map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(all) if all.is_empty() => Err(unusable(path, "holds no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(path, &format!("cannot be understood: {}", innermost(&error)))),
    }
}

fn unusable(path: &Path, why: &str) -> Fault {
    let path = path.display();
    Fault(Exit::Usage, format!("{path} of --cacert {why}; give a file with PEM certificates"))
}

/// Whether another try may fare better: not if the other side is not who it should be.
pub fn may_pass(error: &reqwest::Error) -> bool {
    find::<rustls::Error>(error).is_none()
}

/// A sentence about a connection to `place` that did not come about.
pub fn unreachable(error: &reqwest::Error, place: &str) -> String {
    if let Some(error) = find::<rustls::Error>(error) {
        return untrusted(error, place);
    }
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if error.is_timeout() {
        let limit = CONNECT.as_secs();
        return format!(
            "cannot connect to {place} within {limit} s; check host, port, and firewalls in between"
        );
    }
    if error.is_dns() {
        return format!("cannot find the address of {place}; check the spelling of the host");
    }
    if find::<io::Error>(error).is_some_and(refused) {
        return format!(
            "nobody listens at {place}; check host and port, and whether the relay runs"
        );
    }
    format!("cannot connect to {place}: {}; check host and port", innermost(error))
}

fn untrusted(error: &rustls::Error, place: &str) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else {
        return format!(
            "no TLS with {place}: {error}; if the relay is not reached by https there, write http://"
        );
    };
    match fault {
        // A bad signature: the CA has the name of a known one, and is another.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "nobody known to this system vouches for the certificate of {place}; give the one of \
             its CA with --cacert FILE (or do without any check: --insecure)"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate of {place} is for another host name; check the URL")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate of {place} has expired; it has to be renewed there, unless the clock \
             of this machine is wrong"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {place} is not valid yet; check the clock of this machine")
        }
        other => format!("the certificate of {place} cannot be trusted: {other}"),
    }
}

/// The innermost cause: the others only say that something failed. Never names the URL.
pub fn innermost(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(cause) => cause.to_string(),
        None => "the request failed".to_owned(),
    }
}

/// The first cause of a kind.
fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// What is behind an error, from the outside in.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| behind(*cause))
}

fn behind<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // Such an error passes over the one that it holds.
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => cause.source(),
    }
}
