//! Preflight replies: what a page of another origin may send (spec §18).
//! Knows no routes; every other reply carries its one CORS header from `reply`.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, HeaderMap,
    HeaderName,
};
use ::http::{HeaderValue, StatusCode};

use super::Reply;
use super::reply::{METHODS_OF_ENDPOINTS, METHODS_OF_NAMES, METHODS_WITH_STATUS};

/// Request headers that a name understands.
const HEADERS_OF_NAMES: HeaderValue = HeaderValue::from_static(
    "Content-Type, Content-Disposition, Authorization, X-Piping, X-Hoody-Pipe, X-Pipe-N, \
     X-Pipe-Length",
);
/// A day, in seconds: the answer never changes while the server runs.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: &str = "access-control-request-private-network";

/// Answers `OPTIONS` on a name, a reserved page or `*`.
///
/// `status` says whether `?status` is on. A private network may be entered only if `private`
/// (the policy) says so and the browser asked.
pub fn preflight(headers: &HeaderMap, status: bool, private: bool) -> Reply {
    let methods = if status { METHODS_WITH_STATUS } else { METHODS_OF_NAMES };
    let reply = allowing(StatusCode::OK, methods, HEADERS_OF_NAMES);
    let asked = headers.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true");
    if private && asked {
        reply.with(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"))
    } else {
        reply
    }
}

/// Answers `OPTIONS` on an endpoint, which is never opened to private networks.
pub fn preflight_of_endpoint() -> Reply {
    allowing(StatusCode::NO_CONTENT, METHODS_OF_ENDPOINTS, HeaderValue::from_static("Content-Type"))
}

fn allowing(status: StatusCode, methods: HeaderValue, headers: HeaderValue) -> Reply {
    Reply::empty(status)
        .with(ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with(ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .with(ACCESS_CONTROL_MAX_AGE, MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reply: &Reply) -> String {
        let mut lines: Vec<String> = reply
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or("?")))
            .collect();
        lines.sort();
        format!("{}\n{}", reply.status.as_u16(), lines.concat())
    }

    fn asking() -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(REQUEST_PRIVATE_NETWORK),
            HeaderValue::from_static("true"),
        )])
    }

    #[test]
    fn preflight_of_a_name() {
        let expected = "200\n\
            access-control-allow-headers: Content-Type, Content-Disposition, Authorization, \
            X-Piping, X-Hoody-Pipe, X-Pipe-N, X-Pipe-Length\n\
            access-control-allow-methods: GET, POST, PUT, DELETE, OPTIONS\n\
            access-control-allow-origin: *\n\
            access-control-max-age: 86400\n";
        let reply = preflight(&HeaderMap::new(), false, false);
        assert_eq!(shown(&reply), expected);
        assert!(reply.body.is_empty());
        let with_status = expected.replace("GET, POST", "GET, HEAD, POST");
        assert_eq!(shown(&preflight(&HeaderMap::new(), true, false)), with_status);
    }

    #[test]
    fn private_networks_need_both_the_policy_and_the_question() {
        for (headers, private, expected) in [
            (asking(), true, true),
            (asking(), false, false),
            (HeaderMap::new(), true, false),
            (HeaderMap::new(), false, false),
        ] {
            let reply = preflight(&headers, false, private);
            assert_eq!(reply.headers.contains_key(ALLOW_PRIVATE_NETWORK), expected);
        }
    }

    #[test]
    fn preflight_of_an_endpoint() {
        assert_eq!(
            shown(&preflight_of_endpoint()),
            "204\n\
            access-control-allow-headers: Content-Type\n\
            access-control-allow-methods: GET, HEAD, OPTIONS\n\
            access-control-allow-origin: *\n\
            access-control-max-age: 86400\n"
        );
    }
}
