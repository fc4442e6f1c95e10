//! The actix-web app: everything that is not pipe traffic over HTTP/1.x. Today that is the pages
//! and the health endpoint. Translates between actix-web and the values of `http`, no more.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use ipnet::IpNet;

use super::accept::Parts;
use super::numbers;
use super::replay::Replay;
use crate::http::admission::{Decision, decide};
use crate::http::dashboard::dashboard;
use crate::http::health::Process;
use crate::http::noscript::noscript;
use crate::http::target::{Endpoint, Page};
use crate::http::{BodyKind, Refusal, Reply, RequestHead, forwarded, openapi, pages, reply};
use crate::pipe::Failure;

/// How long a client may take to accept a page.
const CLIENT_MAX: Duration = Duration::from_secs(10);

/// What the pages are made from.
#[derive(Clone)]
pub struct Pages {
    /// `--public-url`.
    pub public_url: Option<String>,
    /// Whose forwarded headers count.
    pub trusted: Vec<IpNet>,
    /// How long a party waits that does not say.
    pub wait: Duration,
    /// Facts of this process.
    pub process: Process,
    /// The text of `openapi.json`.
    pub openapi: Bytes,
}

/// The service of one worker for connections that are handed over. Each closes after its answer, so
/// that a pipe request always meets our own exchange.
pub async fn service(
    parts: &Parts,
) -> Result<impl Service<(Replay, Protocol, Option<SocketAddr>)> + use<>, ()> {
    let app = App::new().app_data(web::Data::new(parts.clone())).default_service(web::to(page));
    let http = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(CLIENT_MAX)
        .client_disconnect_timeout(CLIENT_MAX)
        .h1_allow_half_closed(false)
        .finish(map_config(app, |()| AppConfig::default()));
    http.new_service(()).await
}

async fn page(request: HttpRequest, parts: web::Data<Parts>) -> HttpResponse {
    let head = request_head(&request);
    let reply = match decide(&head, &parts.policy) {
        Ok(Decision::Page { page }) => parts.page(page, &head),
        Ok(Decision::Endpoint(endpoint)) => Ok(parts.endpoint(endpoint, &head)),
        Ok(Decision::Reply(reply)) => Ok(reply),
        // Pipe traffic never comes here.
        Ok(
            Decision::Send(_)
            | Decision::Receive(_)
            | Decision::Cancel(_)
            | Decision::Status(_)
            | Decision::Watch(_),
        ) => Err(Refusal::Failed(Failure::Internal)),
        Err(refusal) => Err(refusal),
    };
    respond(&reply.unwrap_or_else(|refusal| reply::refuse(&refusal)))
}

impl Parts {
    fn page(&self, page: Page, head: &RequestHead) -> Result<Reply, Refusal> {
        let trusted = forwarded::is_trusted(head.peer, &self.pages.trusted);
        let public_url = self.pages.public_url.as_deref();
        let base = forwarded::base_url(public_url, head.secure, &head.headers, trusted);
        match page {
            Page::Root => pages::root(&base, self.pages.wait, &head.headers, &head.target),
            Page::Help => Ok(pages::help(&base, self.pages.wait)),
            Page::New => pages::new(&base, &head.headers),
            Page::Robots => Ok(pages::robots()),
            Page::Favicon => Ok(pages::favicon()),
            Page::NoScript => noscript(&base, &head.target),
            Page::Progress => dashboard(&base, &head.target),
        }
    }

    fn endpoint(&self, endpoint: Endpoint, head: &RequestHead) -> Reply {
        match endpoint {
            Endpoint::Health => {
                let trusted = &self.pages.trusted;
                let client = forwarded::client_address(head.peer, &head.headers, trusted);
                self.pages.process.health(client, &head.headers)
            }
            Endpoint::Metrics => numbers::reply(self),
            Endpoint::OpenApi => openapi::reply(self.pages.openapi.clone()),
        }
    }
}

/// The request as the rooms below know it. It was checked and rebuilt before it was handed over.
fn request_head(request: &HttpRequest) -> RequestHead {
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
        secure: false,
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
