//! Requests to other nodes, in which both sides prove themselves.
//!
//! Learns the clock of each listener from its answers, and asks once more when it did not know it.
//! What is asked is not known here.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, RequestBuilder, Response, Upgraded};
use tokio::time::timeout;

use crate::auth::{self, Moment, PEER_HEADER, PROOF_HEADER, Stamp};
use crate::client::client;
use crate::codec::VALUE_MAX;
use crate::settings::Secret;
use crate::view::NodeId;

/// Unused connections to one node that are kept.
const IDLE_MAX: usize = 8;

/// Most listeners whose clocks are remembered, well above the members of a fleet.
const CLOCKS_MAX: usize = 1024;

/// How often a request is made: once more when the listener's clock was not known.
const ATTEMPTS: usize = 2;

/// Talks to the other nodes. A cheap handle; belongs to the runtime that uses it first.
#[derive(Clone)]
pub(crate) struct Peers {
    http: Client,
    signer: Signer,
}

/// Signs requests and believes answers. A cheap handle, for any thread.
#[derive(Clone)]
pub(crate) struct Signer(Arc<Inner>);

struct Inner {
    me: NodeId,
    secret: Secret,
    /// By address: what its listener's clock was, and when it was learned.
    clocks: Mutex<HashMap<String, (Moment, Instant)>>,
}

/// A request that is signed. Use it once.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Host and port of the listener that is asked.
    pub addr: String,
    /// The header that proves it.
    pub header: (&'static str, String),
    /// Who is asked.
    pub(crate) to: NodeId,
    target: String,
    nonce: u128,
}

/// Why an answer counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The listener's clock was not known, and is now: sign again.
    #[error("the listener's clock was not known")]
    Stale,
    /// It does not come from a node that knows the secret.
    #[error("not an answer of a node of this fleet")]
    Forged,
}

/// Why a call to another node came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody listens there: its kernel said so.
    #[error("connection refused")]
    Refused,
    /// No connection, or no whole answer in time.
    #[error("not reachable")]
    Unreachable,
    /// Who answered does not know the secret, or thinks that we do not.
    #[error("not a node of this fleet, or one with another secret")]
    Forged,
}

impl Peers {
    /// For the node `me`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub(crate) fn new(me: NodeId, secret: Secret) -> anyhow::Result<Self> {
        let http = client(IDLE_MAX).context("cannot make the HTTP client for other nodes")?;
        Ok(Self { http, signer: Signer::new(me, secret) })
    }

    /// What signs the requests.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Posts `body` to the node `to` at `addr` (host and port), and gives status and body of what it
    /// answers. `to` is 0 where it is asked who it is.
    ///
    /// # Errors
    /// No answer within `limit`, or none that can be believed.
    pub(crate) async fn post(
        &self,
        to: NodeId,
        addr: &str,
        target: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<(u16, Bytes), CallError> {
        let body = Bytes::from(body);
        let call = async {
            for _ in 0..ATTEMPTS {
                let signed = self.signer.sign(to, addr, "POST", target, &body)?;
                let request = self.request(Method::POST, &signed).body(body.clone());
                let mut answer = request.send().await?;
                let whole = read(&mut answer).await?;
                match self.signer.verify(&signed, status(&answer), proof(&answer), &whole) {
                    Ok(()) => return Ok((status(&answer), whole)),
                    Err(Unproven::Stale) => {}
                    Err(Unproven::Forged) => return Err(CallError::Forged),
                }
            }
            Err(CallError::Unreachable)
        };
        timeout(limit, call).await.unwrap_or(Err(CallError::Unreachable))
    }

    /// Asks the node `to` at `addr` to turn a connection into something else.
    ///
    /// # Errors
    /// No agreement within `limit`, or none that can be believed.
    pub(crate) async fn upgrade(
        &self,
        to: NodeId,
        addr: &str,
        target: &str,
        protocol: &str,
        limit: Duration,
    ) -> Result<Upgraded, CallError> {
        let call = async {
            for _ in 0..ATTEMPTS {
                let signed = self.signer.sign(to, addr, "GET", target, b"")?;
                let request = self.request(Method::GET, &signed);
                let request = request.header("connection", "upgrade").header("upgrade", protocol);
                let answer = request.send().await?;
                match self.signer.verify(&signed, status(&answer), proof(&answer), b"") {
                    Ok(()) if status(&answer) == 101 => return Ok(answer.upgrade().await?),
                    Ok(()) => return Err(CallError::Unreachable),
                    Err(Unproven::Stale) => {}
                    Err(Unproven::Forged) => return Err(CallError::Forged),
                }
            }
            Err(CallError::Unreachable)
        };
        timeout(limit, call).await.unwrap_or(Err(CallError::Unreachable))
    }

    fn request(&self, method: Method, signed: &Signed) -> RequestBuilder {
        let Signed { addr, target, header: (name, value), .. } = signed;
        self.http.request(method, format!("http://{addr}{target}")).header(*name, value)
    }
}

fn status(answer: &Response) -> u16 {
    answer.status().as_u16()
}

fn proof(answer: &Response) -> Option<&str> {
    answer.headers().get(PROOF_HEADER)?.to_str().ok()
}

/// The whole body of an answer, within the bounds of what nodes say to each other.
async fn read(answer: &mut Response) -> Result<Bytes, CallError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if whole.len() + piece.len() > VALUE_MAX {
            return Err(CallError::Forged);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

impl Signer {
    /// For the node `me`.
    pub(crate) fn new(me: NodeId, secret: Secret) -> Self {
        Self(Arc::new(Inner { me, secret, clocks: Mutex::default() }))
    }

    /// Signs a request to the node `to` at `addr`. `body` is empty where it is a stream or the
    /// connection is upgraded.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub(crate) fn sign(
        &self,
        to: NodeId,
        addr: &str,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> io::Result<Signed> {
        let Inner { me, secret, .. } = &*self.0;
        let (nonce, when) = (nonce()?, self.time_at(addr));
        let stamp = Stamp { from: *me, to, when, nonce, body: auth::hash(body) };
        let header = (PEER_HEADER, stamp.sign(secret, method, target));
        Ok(Signed { addr: addr.to_owned(), header, to, target: target.to_owned(), nonce })
    }

    /// Believes an answer or not, and learns the listener's clock from it.
    ///
    /// # Errors
    /// The answer counts for nothing.
    pub(crate) fn verify(
        &self,
        signed: &Signed,
        status: u16,
        proof: Option<&str>,
        body: &[u8],
    ) -> Result<(), Unproven> {
        let secret = &self.0.secret;
        let proven =
            proof.and_then(|proof| auth::check_proof(secret, signed.nonce, status, body, proof));
        let now = proven.ok_or(Unproven::Forged)?;
        let mut clocks = self.clocks();
        if clocks.len() >= CLOCKS_MAX && !clocks.contains_key(&signed.addr) {
            clocks.clear();
        }
        clocks.insert(signed.addr.clone(), (now, Instant::now()));
        if status == 401 { Err(Unproven::Stale) } else { Ok(()) }
    }

    /// What the clock of the listener at `addr` shows now, if it is still the same life of it.
    fn time_at(&self, addr: &str) -> Moment {
        let known = self.clocks().get(addr).copied();
        known.map_or(Moment::default(), |(moment, learned)| {
            let passed = u64::try_from(learned.elapsed().as_millis()).unwrap_or(u64::MAX);
            Moment { at: moment.at.saturating_add(passed), ..moment }
        })
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn clocks(&self) -> MutexGuard<'_, HashMap<String, (Moment, Instant)>> {
        self.0.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("me", &self.0.me).finish_non_exhaustive()
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("me", &self.signer.0.me).finish_non_exhaustive()
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            cause = error.source();
        }
        Self::Unreachable
    }
}

impl From<io::Error> for CallError {
    fn from(_: io::Error) -> Self {
        Self::Unreachable
    }
}

/// A number that was never used before.
fn nonce() -> io::Result<u128> {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(u128::from_be_bytes(bytes)),
        Err(error) => Err(io::Error::other(format!("no random bytes: {error}"))),
    }
}
