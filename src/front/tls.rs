//! TLS of the public listeners: the certificate and its key, and their reloading while the node runs.
//!
//! Connections that are open keep what they began with. Knows nothing of what is said through TLS.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::h1::linger;
use super::transport::{Socket, Transport};

/// A handshake is over within this (spec §12).
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How often the files are looked at. A change counts when two looks agree, so that two files that
/// are replaced one after the other are read together; that is well within 5 s (spec §21).
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What clients may choose by ALPN, the best first. curl asks for HTTP/1.0 in this way too.
const PROTOCOLS: [&[u8]; 3] = [HTTP2, b"http/1.1", b"http/1.0"];

const HTTP2: &[u8] = b"h2";

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `--tls-cert`: the chain, the server's own certificate first.
    pub cert: PathBuf,
    /// `--tls-key`.
    pub key: PathBuf,
}

/// Why there is no certificate to serve with. The text says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {0} ({1}): {2}")]
    Unreadable(PathBuf, &'static str, std::io::Error),
    /// A file holds no section of the kind that is wanted.
    #[error("{0} ({1}) holds no {2}; it must be PEM text with a line -----BEGIN {3}-----")]
    Empty(PathBuf, &'static str, &'static str, &'static str),
    /// A file is not PEM.
    #[error("{0} ({1}) is not PEM text: {2}")]
    NotPem(PathBuf, &'static str, String),
    /// Both were read and do not work.
    #[error("{0} (--tls-cert) and {1} (--tls-key) cannot be used together: {2}")]
    Unusable(PathBuf, PathBuf, String),
}

/// TLS as it is spoken now. A cheap handle.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    /// How the files looked before they were first read.
    first: [Look; 2],
    now: RwLock<Arc<ServerConfig>>,
}

/// What tells one state of a file from another, also when it is replaced by renaming.
type Look = Option<(SystemTime, u64, u64)>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read, hold no PEM, or do not belong together.
    pub fn load(files: Files) -> Result<Self, Error> {
        let first = [look(&files.cert), look(&files.key)];
        let now = RwLock::new(Arc::new(read(&files)?));
        Ok(Self(Arc::new(Inner { files, first, now })))
    }

    /// Answers the handshake of a new connection; `None` if it fails or takes too long.
    pub async fn accept(&self, socket: Socket) -> Option<TlsStream<Socket>> {
        let config = self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone();
        let accept = TlsAcceptor::from(config).accept(socket).into_fallible();
        match timeout(HANDSHAKE_MAX, accept).await.ok()? {
            Ok(tls) => Some(tls),
            Err((_, socket)) => {
                // What is unread would reset the connection, and a reset could overtake the alert.
                linger(&Transport::plain(socket)).await;
                None
            }
        }
    }

    /// Reads the files again on SIGHUP and when they have changed, for ever. A pair that does not
    /// work is reported once, and the old one stays.
    ///
    /// The signal is heard from the call on, not from the first poll: without that it would end the
    /// process.
    pub fn watch(self) -> impl Future<Output = ()> {
        let hangup = signal(SignalKind::hangup()).ok();
        self.watch_with(hangup)
    }

    async fn watch_with(self, mut hangup: Option<Signal>) {
        let mut looks = interval(LOOK_EVERY);
        let (mut used, mut last) = (self.0.first, self.0.first);
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    let now = self.look();
                    let settled = now == std::mem::replace(&mut last, now);
                    if settled && now != used {
                        used = now;
                        self.reload();
                    }
                }
                Some(()) = async { hangup.as_mut()?.recv().await } => {
                    used = self.look();
                    self.reload();
                }
            }
        }
    }

    fn reload(&self) {
        match read(&self.0.files) {
            Ok(config) => {
                *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                info!("certificate reloaded");
            }
            Err(error) => warn!(%error, "the old certificate stays"),
        }
    }

    fn look(&self) -> [Look; 2] {
        [look(&self.0.files.cert), look(&self.0.files.key)]
    }
}

/// Did the client choose HTTP/2?
pub fn is_http2(tls: &TlsStream<Socket>) -> bool {
    tls.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn look(file: &Path) -> Look {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len(), about.ino()))
}

fn read(files: &Files) -> Result<ServerConfig, Error> {
    let Files { cert, key } = files;
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unread(cert, CERT, error))?;
    if chain.is_empty() {
        return Err(unread(cert, CERT, pem::Error::NoItemsFound));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, KEY, error))?;
    let unusable = |error: rustls::Error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => {
                "the key is not the one that the certificate was made for".to_owned()
            }
            other => other.to_string(),
        };
        Error::Unusable(cert.clone(), key.clone(), why)
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(unusable)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

/// A flag, what its file has to hold, and how that begins.
type Wanted = (&'static str, &'static str, &'static str);

const CERT: Wanted = ("--tls-cert", "certificate", "CERTIFICATE");
const KEY: Wanted = ("--tls-key", "private key", "PRIVATE KEY");

fn unread(file: &Path, (flag, what, begin): Wanted, error: pem::Error) -> Error {
    let file = file.to_owned();
    match error {
        pem::Error::Io(error) => Error::Unreadable(file, flag, error),
        pem::Error::NoItemsFound => Error::Empty(file, flag, what, begin),
        error => Error::NotPem(file, flag, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A folder that is removed at the end of its test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("hoody-tls-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn why(cert: PathBuf, key: PathBuf) -> String {
        Tls::load(Files { cert, key }).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_said_with_the_flag_that_mends_it() {
        let folder = Folder::new("wrong");
        let ((cert, key), (_, other)) = (pair(), pair());
        let good = folder.file("cert.pem", &cert);
        let good_key = folder.file("key.pem", &key);
        assert_eq!(why(good.clone(), good_key.clone()), "");
        let missing = folder.0.join("missing.pem");
        assert!(
            why(missing.clone(), good_key.clone()).contains("missing.pem (--tls-cert): No such")
        );
        assert!(why(good.clone(), missing).contains("missing.pem (--tls-key): No such"));
        assert!(why(good_key.clone(), good_key).contains("(--tls-cert) holds no certificate"));
        assert!(why(good.clone(), good.clone()).contains("(--tls-key) holds no private key"));
        let other = folder.file("other.pem", &other);
        assert!(why(good, other).contains("not the one that the certificate was made for"));
    }

    #[test]
    fn a_broken_pair_leaves_the_old_one() {
        let folder = Folder::new("broken");
        let (cert, key) = pair();
        let files = Files { cert: folder.file("c.pem", &cert), key: folder.file("k.pem", &key) };
        let tls = Tls::load(files).unwrap();
        let before = tls.0.now.read().unwrap().clone();
        folder.file("c.pem", "nothing");
        tls.reload();
        assert!(Arc::ptr_eq(&before, &tls.0.now.read().unwrap()));
        let (cert, key) = pair();
        let seen = tls.look();
        folder.file("c.pem", &cert);
        folder.file("k.pem", &key);
        assert!(seen != tls.look(), "a change is seen");
        tls.reload();
        assert!(!Arc::ptr_eq(&before, &tls.0.now.read().unwrap()));
    }
}
