//! The three settings of TLS, which go together or not at all.
//!
//! Knows no certificate: whether the files are good is found when they are read.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::settings::Settings;
use super::values::Address;

/// Where TLS is spoken, and with which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `--tls-listen`: at least one.
    pub listen: Vec<SocketAddr>,
    /// `--tls-cert`: PEM, the chain of certificates.
    pub cert: PathBuf,
    /// `--tls-key`: PEM, the private key.
    pub key: PathBuf,
}

impl Tls {
    /// What was said of TLS, if anything.
    ///
    /// # Errors
    /// A part is missing; the text says which flag to add.
    pub(super) fn of(said: &Settings) -> Result<Option<Self>, String> {
        let listen: Vec<SocketAddr> =
            said.tls_listen.iter().flatten().map(|Address(addr)| *addr).collect();
        match (listen.is_empty(), said.tls_cert.clone(), said.tls_key.clone()) {
            (true, None, None) => Ok(None),
            (false, Some(cert), Some(key)) => Ok(Some(Self { listen, cert, key })),
            (true, ..) => Err("there is a certificate or a key, but nothing listens for TLS; add \
                               --tls-listen ADDRESS:PORT, such as --tls-listen 0.0.0.0:8443"
                .to_owned()),
            (false, None, Some(_)) => Err(missing("--tls-cert", "certificate chain")),
            (false, Some(_), None) => Err(missing("--tls-key", "private key")),
            (false, None, None) => {
                Err("--tls-listen needs a certificate; add --tls-cert FILE and \
                                        --tls-key FILE, both PEM"
                    .to_owned())
            }
        }
    }
}

fn missing(flag: &str, what: &str) -> String {
    format!("--tls-listen needs a {what} too; add {flag} FILE, a PEM file")
}
