//! What a node listens on: bound before anything else starts, and how it is reached. Knows nothing
//! of what is served there.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;

use crate::config::Config;
use crate::front::accept::{self, Public};
use crate::front::tls::{Files, Tls};

/// What clients and operators connect to.
pub(super) struct Listeners {
    /// For other nodes, and where they are told to connect to.
    pub(super) cluster: Option<(TcpListener, String)>,
    /// The plain ones first.
    pub(super) public: Vec<Public>,
    pub(super) admin: Option<TcpListener>,
    /// The certificate of the public ones that speak TLS.
    pub(super) tls: Option<Tls>,
}

/// Where that is.
pub(super) struct Places {
    pub(super) public: Vec<Url>,
    pub(super) admin: Option<Url>,
    /// Where other nodes connect to.
    pub(super) cluster: Option<String>,
}

/// A scheme and an address, written as the beginning of a URL.
#[derive(Clone, Copy)]
pub(super) struct Url {
    scheme: &'static str,
    addr: SocketAddr,
}

impl Listeners {
    /// Reads the certificate and binds everything.
    ///
    /// # Errors
    /// What cannot be bound or read, and which flag mends it.
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let fleet = config.fleet.as_ref();
        let cluster = fleet.map(|fleet| listen(fleet.listen, "--cluster-listen")).transpose()?;
        let mut public = Vec::new();
        for &addr in &config.listen {
            public.push(Public { listener: listen(addr, "--listen")?, tls: None });
        }
        let files = config.tls.as_ref();
        let files = files.map(|said| Files { cert: said.cert.clone(), key: said.key.clone() });
        let tls = files.map(Tls::load).transpose()?;
        for &addr in config.tls.iter().flat_map(|said| &said.listen) {
            public.push(Public { listener: listen(addr, "--tls-listen")?, tls: tls.clone() });
        }
        let admin = config.admin_listen.map(listen_for_operators).transpose()?;
        let advertise = fleet.map(|fleet| fleet.advertise.clone());
        Ok(Self { cluster: cluster.zip(advertise), public, admin, tls })
    }

    /// How they are reached.
    pub(super) fn places(&self) -> std::io::Result<Places> {
        let url =
            |listener: &TcpListener, scheme| listener.local_addr().map(|addr| Url { scheme, addr });
        let scheme = |public: &Public| if public.tls.is_some() { "https" } else { "http" };
        let public = self.public.iter().map(|public| url(&public.listener, scheme(public)));
        Ok(Places {
            public: public.collect::<Result<_, _>>()?,
            admin: self.admin.as_ref().map(|admin| url(admin, "http")).transpose()?,
            cluster: self.cluster.as_ref().map(|(_, advertise)| advertise.clone()),
        })
    }
}

fn listen(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    accept::bind(addr)
        .with_context(|| format!("cannot listen on {addr} (choose another address with {flag})"))
}

fn listen_for_operators(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    accept::bind(addr).with_context(|| {
        format!(
            "cannot listen on {addr} for probes and metrics (another node on this machine? \
             choose another port with --admin-listen, or none with --admin-listen '')"
        )
    })
}

impl Places {
    /// The public URLs in one text, for the log.
    pub(super) fn listen(&self) -> String {
        let all: Vec<String> = self.public.iter().map(Url::to_string).collect();
        all.join(", ")
    }

    /// Says where the node listens, and how to try it. To stdout: the rest is logged to stderr.
    pub(super) fn greet(&self, public_url: Option<&str>) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for url in &self.public {
            writeln!(out, "listening on {url}")?;
        }
        if let Some(url) = self.admin {
            writeln!(out, "probes and metrics on {url}")?;
        }
        if let Some(place) = &self.cluster {
            writeln!(out, "other nodes reach this one at {place}")?;
        }
        let first = || self.public.first().map(|url| url.reachable().to_string());
        if let Some(base) = public_url.map(str::to_owned).or_else(first) {
            writeln!(out, "\nReceive in one terminal, send in another, in any order:\n")?;
            writeln!(out, "  curl -fsSN '{base}/hello'")?;
            writeln!(out, "  echo 'it works' | curl -sS -T - '{base}/hello'\n")?;
            writeln!(out, "More: curl -sS '{base}/help'")?;
        }
        out.flush()?;
        Ok(())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.addr)
    }
}

impl Url {
    /// How a person on this machine reaches it.
    fn reachable(self) -> Self {
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        Self { addr: SocketAddr::new(ip, self.addr.port()), ..self }
    }
}
