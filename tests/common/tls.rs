//! TLS for tests: a certificate authority of our own, and a listener that ends TLS in front of any
//! address, byte for byte. Knows nothing of HTTP beyond the name of a version.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A certificate authority, and its certificate in a file that is removed with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    path: PathBuf,
}

impl Authority {
    /// A new one that nobody else trusts.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let name = super::unique().replace('/', "hoody-pipe-ca-");
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, issuer.as_ref().pem()).unwrap();
        Authority { issuer, path }
    }

    /// Where its certificate is, as PEM.
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// What a server needs that is called `host`, and offers these versions of HTTP.
    pub fn acceptor(&self, host: &str, versions: &[&str]) -> TlsAcceptor {
        self.acceptor_of(CertificateParams::new([host.to_owned()]).unwrap(), versions)
    }

    /// The same with a certificate of one's own making.
    pub fn acceptor_of(&self, params: CertificateParams, versions: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = versions.iter().map(|version| version.as_bytes().into()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Authority {
    /// A certificate of `host` and its key, in files that are removed with this value.
    pub fn files(&self, host: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        [("crt", certificate.pem()), ("key", key.serialize_pem())].map(|(extension, text)| {
            let path = self.path.with_extension(extension);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        for path in
            [self.path.clone(), self.path.with_extension("crt"), self.path.with_extension("key")]
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A thread that serves a listener until the value is dropped.
pub struct Front {
    address: SocketAddr,
    /// Dropping it is the signal.
    _stop: oneshot::Sender<()>,
}

impl Front {
    /// Ends TLS in front of `target`.
    pub fn start(acceptor: TlsAcceptor, target: SocketAddr) -> Front {
        Front::serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let Ok(mut inside) = TcpStream::connect(target).await else { return };
                inside.set_nodelay(true).unwrap();
                let _ = copy_bidirectional(&mut client, &mut inside).await;
            }
        })
    }

    /// Gives each connection to `serve`.
    pub fn serve<F, Served>(serve: F) -> Front
    where
        F: Fn(TcpStream) -> Served + Send + 'static,
        Served: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let all = tokio::task::LocalSet::new();
            all.spawn_local(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    tokio::task::spawn_local(serve(stream));
                }
            });
            let _ = runtime.block_on(all.run_until(stopped));
        });
        Front { address, _stop: stop }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The https URL of `target` (with its leading `/`).
    pub fn url(&self, target: &str) -> String {
        format!("https://{}{target}", self.address)
    }
}
