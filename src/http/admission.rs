//! Admission: everything that can be judged from a request head alone (spec §7, steps 1 to 7).
//!
//! Decides what a request is and whether it is fit to be tried. Knows nothing of who waits where,
//! of load, of draining or of sockets: steps 8 to 10 come later.

use std::fmt;
use std::time::Duration;

use ::http::header::{CONTENT_RANGE, HOST, HeaderMap};
use ::http::{Method, Version};

use crate::pipe::{PipePath, PublicId};

use super::declared::{
    PIPE_LENGTH, PIPE_N, expects_continue, multipart_boundary, pipe_length, receivers,
    refuse_repeated,
};
use super::pages::accepts;
use super::query::Query;
use super::target::{Endpoint, Page, Route, Target};
use super::{Refusal, Reply, RequestHead, cors};

/// The longest part of an unknown method that an error text repeats, in characters (spec §15).
const METHOD_MAX: usize = 32;

/// What the operator decided about requests.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a party waits that does not say.
    pub default_wait: Duration,
    /// Hosts served here, without ports, in any case; empty means any.
    pub allowed_hosts: Vec<String>,
    /// Whether pages of public origins may reach this server in a private network.
    pub allow_private_network: bool,
    /// Whether anybody may read the metrics.
    pub public_metrics: bool,
}

/// What is to be done for a request that passed steps 1 to 7.
///
/// There is no `Debug` here or below: requests hold parts of the client's query.
pub enum Decision {
    /// Send to a name.
    Send(SendRequest),
    /// Receive from a name.
    Receive(ReceiveRequest),
    /// Cancel the pipe at a name.
    Cancel(CancelRequest),
    /// Tell what is at a name, or became of a transfer.
    Status(StatusRequest),
    /// Tell what happens at a name, as it happens.
    Watch(WatchRequest),
    /// `GET` or `HEAD` of a reserved page that there is.
    Page {
        /// Which one.
        page: Page,
    },
    /// `GET` or `HEAD` of an endpoint that there is.
    Endpoint(Endpoint),
    /// The answer is known already: a preflight.
    Reply(Reply),
}

/// A sender's wish.
pub struct SendRequest {
    /// The name.
    pub path: PipePath,
    /// Receivers of the pipe, 1 to 256.
    pub n: u16,
    /// How long it waits for them, from its arrival.
    pub wait: Duration,
    /// When a receiver that takes nothing is cut, if the sender says so.
    pub stall: Option<Duration>,
    /// Hash the forwarded bytes.
    pub sha256: bool,
    /// The sender's own id of the transfer.
    pub transfer: Option<PublicId>,
    /// One final answer instead of status lines; always so over HTTP/1.0.
    pub quiet: bool,
    /// `X-Pipe-Length`: the exact number of body bytes. Never with multipart.
    pub pipe_length: Option<u64>,
    /// Set if the body is `multipart/form-data`.
    pub multipart_boundary: Option<String>,
    /// The body comes after `100 Continue` only. Never over HTTP/1.0, which has no 1xx.
    pub expects_continue: bool,
}

/// A receiver's wish.
pub struct ReceiveRequest {
    /// The name.
    pub path: PipePath,
    /// Receivers of the pipe, 1 to 256.
    pub n: u16,
    /// How long it waits for the sender and the others, from its arrival.
    pub wait: Duration,
    /// When it is cut for taking nothing, if it says so and the sender does not.
    pub stall: Option<Duration>,
    /// Hash the forwarded bytes.
    pub sha256: bool,
    /// How it wants the bytes to be presented.
    pub asked: Asked,
}

/// What a receiver asked for about Content-Disposition (spec §10).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// `download`: on, off or not given.
    pub download: Option<bool>,
    /// `filename`, at most 255 characters, not sanitised; may be empty.
    pub filename: Option<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("download", &self.download).finish_non_exhaustive()
    }
}

/// A wish to end the pipe at a name.
pub struct CancelRequest {
    /// The name.
    pub path: PipePath,
    /// Why, as the parties will read it: at most 200 printable characters, never empty.
    pub reason: Option<String>,
}

/// A question: `?status`.
pub struct StatusRequest {
    /// The name.
    pub path: PipePath,
    /// Of this transfer only.
    pub transfer: Option<PublicId>,
}

/// A spectator's wish: `?progress`.
pub struct WatchRequest {
    /// The name.
    pub path: PipePath,
    /// It has watched before (`Last-Event-ID`), so an end that lingers is no news to it.
    pub resumed: bool,
}

/// Judges a request head, check by check in the order of spec §7.
///
/// # Errors
/// The refusal of the first check that fails. Nothing has happened then.
pub fn decide(head: &RequestHead, policy: &Policy) -> Result<Decision, Refusal> {
    check_host(&head.headers, policy)?;
    if head.method == Method::CONNECT {
        // Its target is an authority, and there is no tunnel to anywhere.
        return Err(not_for_names(&head.method, false));
    }
    let target = Target::parse(&head.target)?;
    let query = Query::parse(&target.query);
    match target.route {
        Route::Pipe(path) => of_name(head, policy, path, &query),
        Route::Page { page, spelled } => of_page(head, policy, page, spelled, &query),
        Route::Endpoint(endpoint) => of_endpoint(&head.method, endpoint, policy),
        Route::Misplaced(word) => Err(Refusal::NotAPath(word)),
        Route::Asterisk if head.method == Method::OPTIONS => Ok(preflight(head, policy, &query)),
        Route::Asterisk => Err(Refusal::BadPath),
    }
}

/// Step 1, as far as it is not syntax.
fn check_host(headers: &HeaderMap, policy: &Policy) -> Result<(), Refusal> {
    if policy.allowed_hosts.is_empty() {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).map(without_port);
    let served = host.is_some_and(|host| {
        policy.allowed_hosts.iter().any(|allowed| without_port(allowed).eq_ignore_ascii_case(host))
    });
    if served { Ok(()) } else { Err(Refusal::Misdirected) }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; a bare IPv6 address stays whole.
fn without_port(authority: &str) -> &str {
    if let Some((v6, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return v6;
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

fn of_page(
    head: &RequestHead,
    policy: &Policy,
    page: Page,
    spelled: String,
    query: &Query,
) -> Result<Decision, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => Ok(Decision::Page { page }),
        Method::OPTIONS => Ok(preflight(head, policy, query)),
        Method::POST | Method::PUT => Err(Refusal::Reserved(spelled)),
        _ => Err(Refusal::PageMethod(cut(&head.method))),
    }
}

fn of_endpoint(method: &Method, which: Endpoint, policy: &Policy) -> Result<Decision, Refusal> {
    let hidden = which == Endpoint::Metrics && !policy.public_metrics;
    match *method {
        Method::GET | Method::HEAD if hidden => Err(Refusal::NoPage),
        Method::GET | Method::HEAD => Ok(Decision::Endpoint(which)),
        Method::OPTIONS => Ok(Decision::Reply(cors::preflight_of_endpoint())),
        _ => Err(Refusal::PageMethod(cut(method))),
    }
}

fn of_name(
    head: &RequestHead,
    policy: &Policy,
    path: PipePath,
    query: &Query,
) -> Result<Decision, Refusal> {
    match head.method {
        Method::POST | Method::PUT => send(head, policy, path, query).map(Decision::Send),
        Method::GET | Method::HEAD if query.status() => {
            let transfer = query.asked_transfer()?;
            Ok(Decision::Status(StatusRequest { path, transfer }))
        }
        Method::GET => get(head, policy, path, query),
        Method::DELETE => Ok(Decision::Cancel(CancelRequest { path, reason: query.reason()? })),
        Method::OPTIONS => Ok(preflight(head, policy, query)),
        _ => Err(not_for_names(&head.method, query.status())),
    }
}

fn preflight(head: &RequestHead, policy: &Policy, query: &Query) -> Decision {
    let private = policy.allow_private_network;
    Decision::Reply(cors::preflight(&head.headers, query.status(), private))
}

/// Steps 5 to 7 for a sender; `?status` and `?progress` mean nothing to it.
fn send(
    head: &RequestHead,
    policy: &Policy,
    path: PipePath,
    query: &Query,
) -> Result<SendRequest, Refusal> {
    let headers = &head.headers;
    check_switches(query)?;
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Refusal::ContentRange);
    }
    query.refuse_repeated()?;
    refuse_repeated(headers, PIPE_N)?;
    refuse_repeated(headers, PIPE_LENGTH)?;
    // Fields are evaluated in the order in which they are written, and that is the spec's.
    Ok(SendRequest {
        path,
        n: receivers(query, headers)?,
        wait: query.wait()?.unwrap_or(policy.default_wait),
        stall: query.stall()?,
        transfer: query.transfer()?,
        pipe_length: pipe_length(head)?,
        multipart_boundary: multipart_boundary(headers)?,
        expects_continue: expects_continue(headers)? && head.version != Version::HTTP_10,
        sha256: query.sha256(),
        quiet: query.quiet() || head.version == Version::HTTP_10,
    })
}

/// Step 5 of a GET; what is neither a page nor a spectator is a receiver.
fn get(
    head: &RequestHead,
    policy: &Policy,
    path: PipePath,
    query: &Query,
) -> Result<Decision, Refusal> {
    let headers = &head.headers;
    check_switches(query)?;
    if query.page() && accepts(headers, "text/html") {
        return Err(Refusal::NoSuchPage);
    }
    if query.progress() && accepts(headers, "text/html") {
        return Ok(Decision::Page { page: Page::Progress });
    }
    if query.progress() {
        let resumed = headers.contains_key(LAST_EVENT_ID);
        return Ok(Decision::Watch(WatchRequest { path, resumed }));
    }
    receive(head, policy, path, query).map(Decision::Receive)
}

/// Steps 6 and 7 for a receiver.
fn receive(
    head: &RequestHead,
    policy: &Policy,
    path: PipePath,
    query: &Query,
) -> Result<ReceiveRequest, Refusal> {
    let headers = &head.headers;
    if headers.get_all(SERVICE_WORKER).iter().any(|v| v.as_bytes().eq_ignore_ascii_case(b"script"))
    {
        return Err(Refusal::ServiceWorker);
    }
    query.refuse_repeated()?;
    refuse_repeated(headers, PIPE_N)?;
    Ok(ReceiveRequest {
        path,
        n: receivers(query, headers)?,
        wait: query.wait()?.unwrap_or(policy.default_wait),
        stall: query.stall()?,
        sha256: query.sha256(),
        asked: Asked { download: query.download(), filename: query.filename() },
    })
}

const SERVICE_WORKER: &str = "Service-Worker";
const LAST_EVENT_ID: &str = "Last-Event-ID";

fn check_switches(query: &Query) -> Result<(), Refusal> {
    if query.ws() {
        Err(Refusal::NoWebSocket)
    } else if query.live() {
        Err(Refusal::NoLive)
    } else {
        Ok(())
    }
}

fn not_for_names(method: &Method, status: bool) -> Refusal {
    Refusal::Method(cut(method), status)
}

fn cut(method: &Method) -> String {
    method.as_str().chars().take(METHOD_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{IpAddr, Ipv4Addr};

    use ::http::{HeaderName, HeaderValue, StatusCode};

    use super::super::target::ENDPOINTS;
    use super::*;
    use crate::http::BodyKind;

    fn policy() -> Policy {
        Policy {
            default_wait: Duration::from_secs(300),
            allowed_hosts: vec!["pipe.example.com".into(), "::1".into()],
            allow_private_network: false,
            public_metrics: true,
        }
    }

    fn request(method: &str, target: &str) -> RequestHead {
        let head = RequestHead {
            method: method.parse().unwrap(),
            target: target.as_bytes().to_vec(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: BodyKind::Empty,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            secure: false,
        };
        with(head, "Host", "pipe.example.com")
    }

    fn with(mut head: RequestHead, name: &'static str, value: &str) -> RequestHead {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        head.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        head
    }

    fn refusal(head: &RequestHead) -> Option<Refusal> {
        decide(head, &policy()).err()
    }

    fn sending(head: &RequestHead) -> SendRequest {
        match decide(head, &policy()) {
            Ok(Decision::Send(request)) => request,
            Ok(_) => panic!("another decision"),
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    fn receiving(head: &RequestHead) -> ReceiveRequest {
        match decide(head, &policy()) {
            Ok(Decision::Receive(request)) => request,
            Ok(_) => panic!("another decision"),
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    /// One thing that is wrong with a request.
    struct Fault {
        spoil: fn(&mut RequestHead),
        refusal: Refusal,
    }

    fn header(head: &mut RequestHead, name: &'static str, value: &'static str) {
        head.headers.append(name, HeaderValue::from_static(value));
    }

    fn fault(refusal: Refusal, spoil: fn(&mut RequestHead)) -> Fault {
        Fault { spoil, refusal }
    }

    /// Adds a parameter; the requests below all have a query.
    fn parameter(head: &mut RequestHead, parameter: &str) {
        head.target.extend_from_slice(b"&");
        head.target.extend_from_slice(parameter.as_bytes());
    }

    fn path(head: &mut RequestHead, segment: &str) {
        head.target = [format!("/{segment}").as_bytes(), &head.target].concat();
    }

    /// Faults of any request to a name, in the order of the checks.
    fn early_faults() -> Vec<Fault> {
        vec![
            fault(Refusal::Misdirected, |head| {
                head.headers.insert(HOST, HeaderValue::from_static("evil.example.com"));
            }),
            fault(Refusal::BadPath, |head| path(head, "%zz")),
            fault(Refusal::PathTooLong, |head| path(head, &"a".repeat(1025))),
        ]
    }

    fn faults_of_senders() -> Vec<Fault> {
        let mut faults = early_faults();
        faults.extend([
            fault(Refusal::Method("PATCH".into(), false), |head| head.method = Method::PATCH),
            fault(Refusal::NoWebSocket, |head| parameter(head, "ws")),
            fault(Refusal::NoLive, |head| parameter(head, "live")),
            fault(Refusal::ContentRange, |head| header(head, "content-range", "")),
            fault(Refusal::Duplicate("sha256"), |head| parameter(head, "sha256&sha256")),
            fault(Refusal::BadCount, |head| parameter(head, "n=0")),
            fault(Refusal::BadSeconds("wait"), |head| parameter(head, "wait=030")),
            fault(Refusal::BadSeconds("stall"), |head| parameter(head, "stall")),
            fault(Refusal::BadTransfer, |head| parameter(head, "transfer=short")),
            fault(Refusal::BadLength, |head| header(head, "x-pipe-length", "+5")),
            fault(Refusal::BadBoundary, |head| {
                header(head, "content-type", "multipart/form-data");
            }),
            fault(Refusal::Expectation, |head| header(head, "expect", "200-ok")),
        ]);
        faults
    }

    fn faults_of_receivers() -> Vec<Fault> {
        let mut faults = early_faults();
        faults.extend([
            fault(Refusal::Method("get".into(), false), |head| {
                head.method = Method::from_bytes(b"get").unwrap();
            }),
            fault(Refusal::NoWebSocket, |head| parameter(head, "ws=1")),
            fault(Refusal::NoLive, |head| parameter(head, "live=yes")),
            fault(Refusal::NoSuchPage, |head| {
                parameter(head, "video");
                header(head, "accept", "application/xml, Text/HTML;q=0.9");
            }),
            fault(Refusal::ServiceWorker, |head| header(head, "service-worker", "script")),
            fault(Refusal::Duplicate("wait"), |head| parameter(head, "wait=1&wait=1")),
            fault(Refusal::CountRange(Some("257".into())), |head| parameter(head, "n=257")),
            fault(Refusal::SecondsRange("stall", "3601".into()), |head| {
                parameter(head, "stall=3601");
            }),
        ]);
        faults
    }

    fn check_order(method: &str, faults: &[Fault]) {
        assert_eq!(refusal(&request(method, "/x?")), None);
        for (i, first) in faults.iter().enumerate() {
            let mut head = request(method, "/x?");
            (first.spoil)(&mut head);
            assert_eq!(refusal(&head).as_ref(), Some(&first.refusal));
            for second in &faults[i + 1..] {
                // Spoiled in the wrong order, so that the order of arrival does not decide.
                let mut head = request(method, "/x?");
                (second.spoil)(&mut head);
                (first.spoil)(&mut head);
                assert_eq!(refusal(&head).as_ref(), Some(&first.refusal), "{:?}", second.refusal);
            }
        }
    }

    #[test]
    fn the_first_fault_of_a_sender_answers() {
        check_order("PUT", &faults_of_senders());
        check_order("POST", &faults_of_senders());
    }

    #[test]
    fn the_first_fault_of_a_receiver_answers() {
        check_order("GET", &faults_of_receivers());
    }

    fn asking(method: &str, target: &str) -> Result<(String, Option<PublicId>), Refusal> {
        match decide(&request(method, target), &policy())? {
            Decision::Status(asked) => Ok((asked.path.as_str().to_owned(), asked.transfer)),
            _ => panic!("another decision"),
        }
    }

    #[test]
    fn status_comes_before_all_other_parameters() {
        for method in ["GET", "HEAD"] {
            for query in ["status", "ws&status&n=0&n=0", "progress&status=1", "wait&status=on"] {
                let asked = asking(method, &format!("/x?{query}"));
                assert_eq!(asked, Ok(("x".into(), None)), "{method} {query}");
            }
        }
        assert_eq!(refusal(&request("GET", "/x?status=0")), None);
        assert_eq!(refusal(&request("PUT", "/x?status&progress")), None);
        assert!(matches!(refusal(&request("HEAD", "/x?status=no")), Some(Refusal::Method(..))));
    }

    #[test]
    fn status_can_ask_for_a_transfer() {
        let id = "abcdefghij-_0123";
        let asked = asking("GET", &format!("/x?status&n=0&transfer={id}"));
        assert_eq!(asked, Ok(("x".into(), Some(id.into()))));
        for (value, wanted) in [
            ("short", Refusal::BadTransferId),
            ("", Refusal::BadTransferId),
            ("abcdefghij-_012%20", Refusal::BadTransferId),
            (&format!("{id}&transfer={id}"), Refusal::Duplicate("transfer")),
        ] {
            assert_eq!(asking("GET", &format!("/x?status&transfer={value}")), Err(wanted));
        }
    }

    #[test]
    fn a_spectator_takes_no_other_parameter() {
        let watching = |head: &RequestHead| match decide(head, &policy()) {
            Ok(Decision::Watch(asked)) => (asked.path.as_str().to_owned(), asked.resumed),
            _ => panic!("another decision"),
        };
        for query in ["progress", "n=0&n=0&progress=yes&wait", "progress&status=0&transfer=short"] {
            let head = request("GET", &format!("/x?{query}"));
            assert_eq!(watching(&head), ("x".into(), false), "{query}");
        }
        let back = with(request("GET", "/x?progress"), "Last-Event-ID", "7");
        assert_eq!(watching(&back), ("x".into(), true));
        assert_eq!(refusal(&request("GET", "/x?progress=0")), None);
        assert_eq!(refusal(&request("GET", "/x?progress&ws")), Some(Refusal::NoWebSocket));
        let head = request("HEAD", "/x?progress");
        assert_eq!(refusal(&head), Some(Refusal::Method("HEAD".into(), false)));
    }

    #[test]
    fn hosts_outside_the_list_are_refused() {
        let refused = |host: Option<&str>| {
            let mut head = request("GET", "/x");
            head.headers.clear();
            match host {
                Some(host) => refusal(&with(head, "Host", host)),
                None => refusal(&head),
            }
        };
        for host in ["pipe.example.com", "PIPE.example.com:8080", "[::1]", "[::1]:80"] {
            assert_eq!(refused(Some(host)), None, "{host}");
        }
        for host in ["example.com", "xpipe.example.com", "pipe.example.com.evil", "", "[::2]", "é"]
        {
            assert_eq!(refused(Some(host)), Some(Refusal::Misdirected), "{host}");
        }
        assert_eq!(refused(None), Some(Refusal::Misdirected));
        let any = Policy { allowed_hosts: Vec::new(), ..policy() };
        assert!(decide(&with(request("GET", "/x"), "Host", "evil"), &any).is_ok());
    }

    #[test]
    fn other_methods_are_refused() {
        let named = |method: &str, status| Some(Refusal::Method(method.into(), status));
        for method in ["PATCH", "TRACE", "PROPFIND", "get", "HEAD"] {
            assert_eq!(refusal(&request(method, "/x")), named(method, false), "{method}");
        }
        assert_eq!(refusal(&request("PATCH", "/x?status")), named("PATCH", true));
        assert_eq!(refusal(&request("CONNECT", "host:443")), named("CONNECT", false));
        assert_eq!(refusal(&request(&"M".repeat(40), "/x")), named(&"M".repeat(32), false));
        for target in ["/help", "/", "/api/v1/pipe/health", "/api/v1/pipe/metrics"] {
            for method in ["DELETE", "PATCH", "get"] {
                let expected = Some(Refusal::PageMethod(method.into()));
                assert_eq!(refusal(&request(method, target)), expected, "{method} {target}");
            }
        }
    }

    #[test]
    fn reserved_pages_are_read_but_not_sent_to() {
        for (target, page, spelled) in [
            ("/?n=0&n=0", Page::Root, "/"),
            ("/pipe", Page::Root, "/"),
            ("/HELP", Page::Help, "/help"),
            ("/help%2e/?status&ws", Page::Help, "/help"),
            ("/api/v1/pipe/new", Page::New, "/new"),
            ("/favicon.ico", Page::Favicon, "/favicon.ico"),
            ("/pipe/robots.txt", Page::Robots, "/robots.txt"),
            ("/NoScript.?path=x", Page::NoScript, "/noscript"),
        ] {
            for method in ["GET", "HEAD"] {
                let decision = decide(&request(method, target), &policy()).ok();
                let found = matches!(decision, Some(Decision::Page { page: p }) if p == page);
                assert!(found, "{method} {target}");
            }
            for method in ["PUT", "POST"] {
                let head = with(request(method, target), "Content-Range", "bytes 0-1/2");
                assert_eq!(refusal(&head), Some(Refusal::Reserved(spelled.into())), "{target}");
            }
        }
        let reserved = Some(Refusal::Reserved("/noscript".into()));
        assert_eq!(refusal(&request("PUT", "/NoScript.")), reserved);
    }

    #[test]
    fn a_browser_watches_on_a_page() {
        let get = |target: &str| with(request("GET", target), "Accept", "text/html,*/*;q=0.8");
        let of = |head| decide(&head, &policy());
        let page = of(get("/a/b?progress&n=0"));
        assert!(matches!(page, Ok(Decision::Page { page: Page::Progress })));
        // A later switch comes first, and off is off.
        for (query, refusal) in [("ws", Refusal::NoWebSocket), ("video", Refusal::NoSuchPage)] {
            let target = format!("/x?progress&{query}");
            assert_eq!(of(get(&target)).err(), Some(refusal));
        }
        assert!(matches!(of(get("/x?progress=no")), Ok(Decision::Receive(_))));
        let other = with(request("GET", "/x?progress"), "Accept", "text/event-stream");
        assert!(!matches!(of(other), Ok(Decision::Page { .. })));
    }

    #[test]
    fn endpoints_are_read_at_their_place() {
        for method in ["GET", "HEAD"] {
            for (word, endpoint) in ENDPOINTS {
                let head = request(method, &format!("/api/v1/pipe/{word}"));
                let decision = decide(&head, &policy()).ok();
                let found = matches!(decision, Some(Decision::Endpoint(e)) if e == endpoint);
                assert!(found, "{method} {word}");
                let hidden = decide(&head, &Policy { public_metrics: false, ..policy() }).err();
                let want = (endpoint == Endpoint::Metrics).then_some(Refusal::NoPage);
                assert_eq!(hidden, want, "{method} {word}");
            }
        }
        for method in ["PUT", "POST"] {
            let expected = Some(Refusal::PageMethod(method.into()));
            assert_eq!(refusal(&request(method, "/api/v1/pipe/health")), expected);
        }
        for (target, word) in [
            ("/health", "health"),
            ("/Metrics/", "metrics"),
            ("/pipe/openapi.json", "openapi.json"),
        ] {
            for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
                let expected = Some(Refusal::NotAPath(word.into()));
                assert_eq!(refusal(&request(method, target)), expected, "{method} {target}");
            }
        }
    }

    #[test]
    fn preflights_are_answered_for_every_valid_path() {
        let reply = |target: &str, allow_private_network| {
            let head = request("OPTIONS", target);
            let head = with(head, "Access-Control-Request-Private-Network", "true");
            match decide(&head, &Policy { allow_private_network, ..policy() }) {
                Ok(Decision::Reply(reply)) => reply,
                _ => panic!("no preflight: {target}"),
            }
        };
        let private = "access-control-allow-private-network";
        for target in ["/x", "/x?n=0&n=0&ws", "/help", "/", "/noscript", "*"] {
            let refused = reply(target, false);
            assert_eq!(refused.status, StatusCode::OK, "{target}");
            assert!(!refused.headers.contains_key(private), "{target}");
            assert!(reply(target, true).headers.contains_key(private), "{target}");
        }
        for target in ["/api/v1/pipe/health", "/api/v1/pipe/metrics"] {
            assert_eq!(reply(target, true).status, StatusCode::NO_CONTENT, "{target}");
            assert!(!reply(target, true).headers.contains_key(private), "{target}");
        }
        let methods = reply("/x?status", false).headers["access-control-allow-methods"].clone();
        assert_eq!(methods, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        assert_eq!(refusal(&request("OPTIONS", "//x")), Some(Refusal::BadPath));
        assert_eq!(refusal(&request("GET", "*")), Some(Refusal::BadPath));
        let long = format!("/{}", "a".repeat(1025));
        assert_eq!(refusal(&request("OPTIONS", &long)), Some(Refusal::PathTooLong));
    }

    #[test]
    fn n_and_its_header_agree() {
        for method in ["PUT", "GET"] {
            let n = |target: &str, values: &[&str]| {
                let head = values
                    .iter()
                    .fold(request(method, target), |head, value| with(head, "X-Pipe-N", value));
                match decide(&head, &policy()) {
                    Ok(Decision::Send(request)) => Ok(request.n),
                    Ok(Decision::Receive(request)) => Ok(request.n),
                    Ok(_) => panic!("another decision"),
                    Err(refusal) => Err(refusal),
                }
            };
            assert_eq!(n("/x", &[]), Ok(1));
            assert_eq!(n("/x?n=3", &[]), Ok(3));
            assert_eq!(n("/x", &["30"]), Ok(30));
            assert_eq!(n("/x?n=30", &["30"]), Ok(30));
            let conflict = Refusal::CountConflict { query: 3, header: 4 };
            assert_eq!(n("/x?n=3", &["4"]), Err(conflict));
            assert_eq!(n("/x", &["2", "2"]), Err(Refusal::Duplicate("X-Pipe-N")));
            assert_eq!(n("/x?n=2&n=2", &["2", "2"]), Err(Refusal::Duplicate("n")));
            assert_eq!(n("/x?n=1", &["+1"]), Err(Refusal::BadCount));
            assert_eq!(n("/x", &["é"]), Err(Refusal::BadCount));
            assert_eq!(n("/x", &[""]), Err(Refusal::BadCount));
            assert_eq!(n("/x", &["257"]), Err(Refusal::CountRange(Some("257".into()))));
        }
    }

    #[test]
    fn x_pipe_length_is_a_plain_number() {
        let length = |values: &[&str], body, content_type: &str| {
            let head = with(request("PUT", "/x"), "Content-Type", content_type);
            let head = values.iter().fold(head, |head, value| with(head, "X-Pipe-Length", value));
            decide(&RequestHead { body, ..head }, &policy()).map(|decision| match decision {
                Decision::Send(request) => request.pipe_length,
                _ => panic!("another decision"),
            })
        };
        let (stream, form) = (BodyKind::Stream, "multipart/form-data; boundary=b");
        assert_eq!(length(&[], stream, "x/y"), Ok(None));
        for (value, expected) in [("0", 0), ("007", 7), ("9223372036854775807", i64::MAX as u64)] {
            assert_eq!(length(&[value], stream, "x/y"), Ok(Some(expected)), "{value}");
        }
        for bad in ["", "+5", "-1", "0x5", "5,5", "1_0", "5 ", "9223372036854775808", "é"] {
            assert_eq!(length(&[bad], stream, "x/y"), Err(Refusal::BadLength), "{bad}");
        }
        let twenty_digits = "00000000000000000001";
        assert_eq!(length(&[twenty_digits], stream, "x/y"), Err(Refusal::BadLength));
        assert_eq!(length(&["5"], BodyKind::Length(5), "x/y"), Ok(Some(5)));
        assert_eq!(length(&["5"], BodyKind::Length(6), form), Err(Refusal::LengthConflict));
        assert_eq!(length(&["5"], stream, form), Err(Refusal::LengthMultipart));
        let twice = Err(Refusal::Duplicate("X-Pipe-Length"));
        assert_eq!(length(&["5", "5"], stream, "x/y"), twice);
    }

    #[test]
    fn multipart_needs_a_boundary_and_no_coding() {
        let boundary = |content_type: &str, codings: &[&str]| {
            let head = with(request("POST", "/x"), "Content-Type", content_type);
            let head =
                codings.iter().fold(head, |head, value| with(head, "Content-Encoding", value));
            decide(&head, &policy()).map(|decision| match decision {
                Decision::Send(request) => request.multipart_boundary,
                _ => panic!("another decision"),
            })
        };
        let form = "Multipart/Form-Data; boundary=\"a b\"";
        assert_eq!(boundary(form, &[]), Ok(Some("a b".into())));
        assert_eq!(boundary(form, &["Identity"]), Ok(Some("a b".into())));
        assert_eq!(boundary(form, &["gzip"]), Err(Refusal::EncodedMultipart));
        assert_eq!(boundary(form, &["identity", "br"]), Err(Refusal::EncodedMultipart));
        assert_eq!(boundary("multipart/form-data", &["gzip"]), Err(Refusal::BadBoundary));
        assert_eq!(boundary("text/plain", &["gzip"]), Ok(None));
        assert_eq!(boundary("multipart/mixed", &[]), Ok(None));
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        let expects = |values: &[&str], version| {
            let head = RequestHead { version, ..request("PUT", "/x") };
            let head = values.iter().fold(head, |head, value| with(head, "Expect", value));
            decide(&head, &policy()).map(|decision| match decision {
                Decision::Send(request) => request.expects_continue,
                _ => panic!("another decision"),
            })
        };
        let new = Version::HTTP_11;
        assert_eq!(expects(&[], new), Ok(false));
        assert_eq!(expects(&["100-continue"], new), Ok(true));
        assert_eq!(expects(&["100-Continue"], Version::HTTP_2), Ok(true));
        assert_eq!(expects(&["100-continue"], Version::HTTP_10), Ok(false));
        for bad in [&["200-ok"][..], &[""], &["100-continue, x"], &["100-continue", "x"]] {
            assert_eq!(expects(bad, new), Err(Refusal::Expectation), "{bad:?}");
        }
        assert_eq!(refusal(&with(request("GET", "/x"), "Expect", "200-ok")), None);
    }

    #[test]
    fn a_sender_says_what_it_wants() {
        let target = "/pipe/%41?n=3&wait=7&stall=9&sha256&quiet=1&transfer=abcdefghij-_0123&video";
        let wish = sending(&with(request("PUT", target), "Accept", "text/html"));
        assert_eq!((wish.path.as_str(), wish.n, wish.sha256, wish.quiet), ("A", 3, true, true));
        assert_eq!(wish.wait, Duration::from_secs(7));
        assert_eq!(wish.stall, Some(Duration::from_secs(9)));
        assert_eq!(wish.transfer, Some("abcdefghij-_0123".into()));
        let wish = sending(&request("POST", "/x?unknown=1&unknown=2"));
        assert_eq!((wish.n, wish.sha256, wish.quiet, wish.stall), (1, false, false, None));
        assert_eq!((wish.wait, wish.transfer), (Duration::from_secs(300), None));
        let old = RequestHead { version: Version::HTTP_10, ..request("PUT", "/x?quiet=0") };
        assert!(sending(&old).quiet);
    }

    #[test]
    fn a_receiver_says_what_it_wants() {
        let target = "/x?n=2&wait=1&stall=2&sha256=no&download=0&filename=a+b&transfer=short&video";
        let head = with(request("GET", target), "Range", "bytes=0-");
        let wish = receiving(&with(with(head, "If-None-Match", "*"), "X-Pipe-Length", "bad"));
        assert_eq!((wish.path.as_str(), wish.n, wish.sha256), ("x", 2, false));
        assert_eq!(wish.wait, Duration::from_secs(1));
        assert_eq!(wish.stall, Some(Duration::from_secs(2)));
        let asked = Asked { download: Some(false), filename: Some("a b".into()) };
        assert_eq!(wish.asked, asked);
        let wish = receiving(&with(request("GET", "/x"), "Upgrade", "websocket"));
        assert_eq!((wish.n, wish.wait, wish.stall), (1, Duration::from_secs(300), None));
        assert_eq!(wish.asked, Asked::default());
    }

    #[test]
    fn cancelling_reads_only_the_reason() {
        let reason = |target: &str| match decide(&request("DELETE", target), &policy()) {
            Ok(Decision::Cancel(request)) => Ok((request.path, request.reason)),
            Ok(_) => panic!("another decision"),
            Err(refusal) => Err(refusal),
        };
        let x = || PipePath::new("x").unwrap();
        assert_eq!(reason("/x"), Ok((x(), None)));
        assert_eq!(reason("/x?n=0&n=0&ws&status&reason=drift."), Ok((x(), Some("drift".into()))));
        assert_eq!(reason("/x?reason=a%0ab"), Err(Refusal::BadReason));
        assert_eq!(reason("/x?reason=a&reason=b"), Err(Refusal::Duplicate("reason")));
        assert_eq!(reason("/health"), Err(Refusal::NotAPath("health".into())));
    }

    #[test]
    fn debug_hides_what_a_receiver_asked_for() {
        let asked = Asked { download: None, filename: Some("secret".into()) };
        assert!(!format!("{asked:?}").contains("secret"));
    }
}
