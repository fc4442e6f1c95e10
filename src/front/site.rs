//! Everything that is not pipe traffic, as whole replies: pages and endpoints. The same over every
//! protocol; knows no connection.

use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use super::accept::Parts;
use super::numbers;
use crate::http::admission::Decision;
use crate::http::dashboard::dashboard;
use crate::http::health::Process;
use crate::http::noscript::noscript;
use crate::http::target::{Endpoint, Page};
use crate::http::{Refusal, Reply, RequestHead, forwarded, openapi, pages, reply};
use crate::pipe::Failure;

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

/// The pages of this node.
#[derive(Clone)]
pub struct Site {
    /// What the pages are made from, and what the endpoints tell of.
    pub parts: Parts,
}

impl Site {
    /// The reply to a request that is no pipe traffic.
    pub fn reply(&self, decision: Result<Decision, Refusal>, head: &RequestHead) -> Reply {
        let reply = match decision {
            Ok(Decision::Page { page }) => self.page(page, head),
            Ok(Decision::Endpoint(endpoint)) => Ok(self.endpoint(endpoint, head)),
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
        reply.unwrap_or_else(|refusal| reply::refuse(&refusal))
    }

    fn page(&self, page: Page, head: &RequestHead) -> Result<Reply, Refusal> {
        let made = &self.parts.pages;
        let trusted = forwarded::is_trusted(head.peer, &made.trusted);
        let public_url = made.public_url.as_deref();
        let base = forwarded::base_url(public_url, head.secure, &head.headers, trusted);
        match page {
            Page::Root => pages::root(&base, made.wait, &head.headers, &head.target),
            Page::Help => Ok(pages::help(&base, made.wait)),
            Page::New => pages::new(&base, &head.headers),
            Page::Robots => Ok(pages::robots()),
            Page::Favicon => Ok(pages::favicon()),
            Page::NoScript => noscript(&base, &head.target),
            Page::Progress => dashboard(&base, &head.target),
        }
    }

    fn endpoint(&self, endpoint: Endpoint, head: &RequestHead) -> Reply {
        let pages = &self.parts.pages;
        match endpoint {
            Endpoint::Health => {
                let client = forwarded::client_address(head.peer, &head.headers, &pages.trusted);
                pages.process.health(client, &head.headers)
            }
            Endpoint::Metrics => numbers::reply(&self.parts),
            Endpoint::OpenApi => openapi::reply(pages.openapi.clone()),
        }
    }
}
