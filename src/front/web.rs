//! The actix-web app of the public listeners: everything over HTTP/1.x that is not pipe traffic, once
//! `front/h1` has read its head. Translates between actix-web and the values of `http`, no more; what
//! is replied is made in [`super::site`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpRequest, HttpResponse, web};

use super::accept::Parts;
use super::replay::Replay;
use super::site::Site;
use crate::http::admission::decide;
use crate::http::{BodyKind, Reply, RequestHead};

/// How long a client may take to accept a page, and to end its connection.
const CLIENT_MAX: Duration = Duration::from_secs(10);

/// What a handler knows.
#[derive(Clone)]
struct State {
    site: Site,
    /// Its listener speaks TLS.
    secure: bool,
}

/// The service of one worker for connections that are handed over. Each closes after its answer, so
/// that a pipe request always meets our own exchange.
pub async fn service(
    parts: &Parts,
    secure: bool,
) -> Result<impl Service<(Replay, Protocol, Option<SocketAddr>)> + use<>, ()> {
    let state = State { site: Site { parts: parts.clone() }, secure };
    let app = App::new().app_data(web::Data::new(state)).default_service(web::to(page));
    let http = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(CLIENT_MAX)
        .client_disconnect_timeout(CLIENT_MAX)
        .h1_allow_half_closed(false)
        .finish(map_config(app, |()| AppConfig::default()));
    http.new_service(()).await
}

async fn page(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let head = request_head(&request, state.secure);
    let decision = decide(&head, &state.site.parts.policy);
    respond(&state.site.reply(decision, &head))
}

/// The request as the rooms below know it. It was checked and rebuilt before it was handed over.
fn request_head(request: &HttpRequest, secure: bool) -> RequestHead {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    RequestHead {
        method: Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default(),
        target: request.uri().to_string().into_bytes(),
        version: Version::HTTP_11,
        headers,
        body: BodyKind::Empty,
        peer: request.peer_addr().map_or(nowhere, |peer| peer.ip()),
        secure,
    }
}

/// A reply as actix-web gives it.
pub(super) fn respond(reply: &Reply) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(reply.status.as_u16());
    let Ok(status) = status else { return HttpResponse::InternalServerError().finish() };
    let mut response = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.body(reply.body.clone())
}
