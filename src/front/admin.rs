//! The admin listener: probes, metrics, the fleet, and the drain (spec §19), on actix-web. For
//! operators and their tools on a network of their own; no pipe is ever served here.
//!
//! Runs on a thread of its own, so that it answers while the workers are busy, and until the very
//! end of a drain.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use ::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, ORIGIN};
use ::http::{HeaderValue, Method, StatusCode as S};
use actix_http::KeepAlive;
use actix_server::Server;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::accept::Parts;
use super::numbers;
use super::web::respond;
use crate::http::Reply;

/// How long a client may take to send a request or to accept an answer.
const CLIENT_MAX: Duration = Duration::from_secs(10);

/// At the end, answers that are on their way get so many seconds.
const LAST_ANSWERS_S: u64 = 1;

/// Connections at a time: probes and scrapers, not a crowd.
const CONNECTIONS_MAX: usize = 256;

const NOT_FOUND: &str =
    "[ERROR] There is only /livez, /readyz, /metrics, /cluster, and POST /drain here.\n";
const FROM_A_PAGE: &str = "[ERROR] A web page may not drain this node. Send no Origin header.\n";

/// Serves `listener` until the returned server is stopped.
///
/// # Errors
/// The listener cannot be registered with a reactor.
pub fn start(listener: TcpListener, parts: &Parts) -> io::Result<Server> {
    let parts = web::Data::new(parts.clone());
    let app = move || App::new().app_data(parts.clone()).default_service(web::to(serve));
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(CLIENT_MAX)
        .client_disconnect_timeout(CLIENT_MAX)
        .shutdown_timeout(LAST_ANSWERS_S)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

async fn serve(request: HttpRequest, parts: web::Data<Parts>) -> HttpResponse {
    let method = Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    let from_page = request.headers().contains_key(ORIGIN.as_str());
    let mut reply = answer(&method, request.path(), from_page, &parts);
    // Unlike the public answers these are for no page of another origin.
    reply.headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    respond(&reply)
}

fn answer(method: &Method, path: &str, from_page: bool, parts: &Parts) -> Reply {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/livez" | "/readyz" | "/metrics" | "/cluster" if !reads => not_allowed("GET, HEAD"),
        "/livez" => Reply::text(S::OK, "ok\n"),
        "/readyz" => ready(parts),
        "/metrics" => numbers::reply(parts),
        "/cluster" => {
            let shown = parts.fleet.shown(parts.edge.load());
            Reply::body(S::OK, "application/json", shown)
        }
        "/drain" if method != Method::POST => not_allowed("POST"),
        // A browser sends such a request for any page; it says so in this header.
        "/drain" if from_page => Reply::text(S::FORBIDDEN, FROM_A_PAGE),
        "/drain" => {
            parts.gate.ask_to_drain();
            Reply::text(S::ACCEPTED, "draining\n")
        }
        _ => Reply::text(S::NOT_FOUND, NOT_FOUND),
    }
}

/// Whether this node may have more clients, and if not, every reason on a line.
fn ready(parts: &Parts) -> Reply {
    let draining = parts.gate.is_draining().then_some("draining\n");
    let crowded = parts.gate.is_crowded().then_some("descriptors above 90 %\n");
    let reasons: String = parts.fleet.unready().chain(draining).chain(crowded).collect();
    match reasons.is_empty() {
        true => Reply::text(S::OK, "ready\n"),
        false => Reply::text(S::SERVICE_UNAVAILABLE, reasons),
    }
}

fn not_allowed(allowed: &'static str) -> Reply {
    let text = format!("[ERROR] This method is not allowed here. Use {allowed}.\n");
    Reply::text(S::METHOD_NOT_ALLOWED, text).with(ALLOW, HeaderValue::from_static(allowed))
}
