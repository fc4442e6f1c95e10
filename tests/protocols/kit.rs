//! A relay that speaks everything, and curl in each of the four ways to speak to it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::common::curl::Ended;
use crate::common::seeing::status_until;
use crate::common::{Curl, PATIENCE, Server, eventually};

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.1 through TLS.
    Tls1,
    /// HTTP/2 through TLS.
    Tls2,
    /// HTTP/2 with prior knowledge.
    Plain2,
}

pub use Protocol::{Http1, Plain2, Tls1, Tls2};

/// All of them.
pub const ALL: [Protocol; 4] = [Http1, Tls1, Tls2, Plain2];

impl Protocol {
    /// Is it HTTP/2?
    pub fn is_two(self) -> bool {
        matches!(self, Tls2 | Plain2)
    }

    /// The exit code of curl for a stream that was cut.
    pub fn cut(self) -> i32 {
        if self.is_two() { 92 } else { 18 }
    }

    fn flag(self) -> &'static str {
        match self {
            Http1 | Tls1 => "--http1.1",
            Tls2 => "--http2",
            Plain2 => "--http2-prior-knowledge",
        }
    }
}

/// A folder that is removed with its value.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty folder that nobody else uses.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("protocols-{}-{next}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Puts a fresh pair of certificate and key there, each replaced by renaming.
    pub fn make_pair(&self) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let texts = [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())];
        for (name, text) in texts {
            self.replace(name, &text);
        }
    }

    /// Replaces a file as careful programs do.
    pub fn replace(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A relay with a plain and a TLS listener.
pub struct Relay {
    /// The process.
    pub server: Server,
    /// Its certificate.
    pub folder: Folder,
    secure: String,
}

impl Relay {
    /// Starts it with more `flags`.
    pub fn start(flags: &[&str]) -> Self {
        let folder = Folder::new();
        folder.make_pair();
        let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
        let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        let server = Server::start(&[&tls, flags].concat());
        let mut secure = None;
        eventually("it says where it listens for TLS", PATIENCE, || {
            let said = server.stdout();
            let line = said.lines().find_map(|line| line.strip_prefix("listening on https://"));
            secure = line.map(str::to_owned);
            secure.is_some() && said.contains("More:")
        });
        Self { server, folder, secure: secure.unwrap() }
    }

    /// Where it listens for TLS.
    pub fn secure(&self) -> &str {
        &self.secure
    }

    /// The URL of `target`.
    pub fn url(&self, protocol: Protocol, target: &str) -> String {
        match protocol {
            Http1 | Plain2 => self.server.url(target),
            Tls1 | Tls2 => format!("https://{}{target}", self.secure),
        }
    }

    /// Starts `curl ARGS URL` with an open, silent stdin.
    pub fn curl(&self, protocol: Protocol, args: &[&str], target: &str) -> Curl {
        Curl::start(&self.all(protocol, args, target).iter().map(|s| &**s).collect::<Vec<_>>())
    }

    /// Runs `curl ARGS URL` to its end, with an empty stdin.
    #[track_caller]
    pub fn run(&self, protocol: Protocol, args: &[&str], target: &str) -> Ended {
        Curl::run(&self.all(protocol, args, target).iter().map(|s| &**s).collect::<Vec<_>>())
    }

    /// A receiver whose exit code tells.
    pub fn receiver(&self, protocol: Protocol, target: &str) -> Curl {
        self.curl(protocol, &["-fsSN"], target)
    }

    /// A sender that reads stdin as it comes, known to wait.
    #[track_caller]
    pub fn waiting_sender(&self, protocol: Protocol, target: &str) -> Curl {
        let sender = self.sender(protocol, target);
        sender.expect_output("[INFO] Waiting for ");
        sender
    }

    /// A sender that reads stdin as it comes.
    pub fn sender(&self, protocol: Protocol, target: &str) -> Curl {
        let args = ["-sSN", "--no-progress-meter", "--fail-with-body", "-T", "."];
        self.curl(protocol, &args, target)
    }

    /// The status code of a request that ends by itself.
    #[track_caller]
    pub fn status(&self, protocol: Protocol, args: &[&str], target: &str) -> String {
        let more = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
        self.run(protocol, &[&more, args].concat(), target).expect(0).text()
    }

    /// Waits until the relay knows of one receiver at a name.
    #[track_caller]
    pub fn until_a_receiver_waits(&self, target: &str) {
        status_until(&self.server, target, &json!({"activeReceivers": 1}));
    }

    /// Whether nobody is left at a name: a party with another `n` may start a new pipe there.
    pub fn is_idle(&self, target: &str) -> bool {
        self.server.is_idle(target)
    }

    fn all(&self, protocol: Protocol, args: &[&str], target: &str) -> Vec<String> {
        let mut all: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        all.extend([protocol.flag().to_owned(), "--cacert".to_owned()]);
        all.extend([self.folder.path("cert.pem"), self.url(protocol, target)]);
        all
    }
}

impl Relay {
    /// A receiver over HTTP/1.0.
    pub fn curl_with_http_1_0(&self, protocol: Protocol, target: &str) -> Curl {
        let (cert, url) = (self.folder.path("cert.pem"), self.url(protocol, target));
        Curl::start(&["-fsSN", "--http1.0", "--cacert", &cert, &url])
    }
}
