//! The request target: which page, endpoint or pipe a request is about (spec §3).
//! Knows no methods and no query keys.

use std::borrow::Cow;

use crate::pipe::PipePath;
use crate::pipe::path::{BadPath, TooLong, canonical};

use super::Refusal;

/// The longest request target, in bytes (spec §20).
pub const TARGET_MAX: usize = 65_534;

/// Prefixes that may stand before a name, longest first (spec §3, step 5).
pub(super) const API_PREFIX: &str = "/api/v1/pipe";
const SHORT_PREFIX: &str = "/pipe";

/// Reserved pages, with and without a prefix, as they fold.
pub(super) const PAGES: [(&str, Page); 5] = [
    ("help", Page::Help),
    ("noscript", Page::NoScript),
    ("new", Page::New),
    ("favicon.ico", Page::Favicon),
    ("robots.txt", Page::Robots),
];

/// Endpoints under the API prefix, as they fold.
pub(super) const ENDPOINTS: [(&str, Endpoint); 3] = [
    ("health", Endpoint::Health),
    ("metrics", Endpoint::Metrics),
    ("openapi.json", Endpoint::OpenApi),
];

/// A request target, taken apart. It has no `Debug`: the query is a secret of the client.
pub struct Target {
    /// What the path stands for.
    pub route: Route,
    /// Everything after the first `?`, still escaped; bytes that are not UTF-8 are replaced.
    pub query: String,
}

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A name.
    Pipe(PipePath),
    /// A reserved page.
    Page {
        /// Which one.
        page: Page,
        /// Its folded spelling, with the leading `/`, as error texts print it.
        spelled: String,
    },
    /// An endpoint at its place under the API prefix.
    Endpoint(Endpoint),
    /// The folded word of an endpoint at a place where there is none.
    Misplaced(String),
    /// `*`, the server as a whole.
    Asterisk,
}

/// The reserved pages, and the one that is at every name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/`
    Root,
    /// `/help`
    Help,
    /// `/noscript`
    NoScript,
    /// `/new`
    New,
    /// `/favicon.ico`
    Favicon,
    /// `/robots.txt`
    Robots,
    /// The page of `?progress`, at any name.
    Progress,
}

/// The endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `health`
    Health,
    /// `metrics`
    Metrics,
    /// `openapi.json`
    OpenApi,
}

impl Target {
    /// Takes a target apart: a path, or `*`. An absolute target must have lost its authority:
    /// [`split_authority`].
    ///
    /// # Errors
    /// [`Refusal::BadPath`], or [`Refusal::PathTooLong`] for a target over [`TARGET_MAX`] bytes or
    /// a name over its own limit.
    pub fn parse(raw: &[u8]) -> Result<Target, Refusal> {
        if raw.len() > TARGET_MAX {
            return Err(Refusal::PathTooLong);
        }
        if raw == b"*" {
            return Ok(Target { route: Route::Asterisk, query: String::new() });
        }
        if !raw.starts_with(b"/") {
            return Err(Refusal::BadPath);
        }
        let (path, query) = split_query(raw);
        Ok(Target { route: route(path)?, query: String::from_utf8_lossy(query).into_owned() })
    }
}

/// Takes `scheme://authority` off an absolute target, of whatever scheme: nothing is proxied. The
/// authority is not judged here. What is left begins with `/`; any other target is left as it is.
pub fn split_authority(raw: &[u8]) -> (Option<&[u8]>, Cow<'_, [u8]>) {
    let scheme = raw.windows(3).position(|w| w == b"://").filter(|&end| is_scheme(&raw[..end]));
    let Some(scheme) = scheme else { return (None, raw.into()) };
    let rest = &raw[scheme + 3..];
    let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
    let (authority, local) = rest.split_at(end);
    match local.first() {
        Some(b'/') => (Some(authority), local.into()),
        // It may end with its authority: that is the root.
        _ => (Some(authority), [b"/", local].concat().into()),
    }
}

fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
}

/// The path and the raw query of a target without authority.
pub(super) fn split_query(local: &[u8]) -> (&[u8], &[u8]) {
    match local.iter().position(|&b| b == b'?') {
        Some(mark) => (&local[..mark], &local[mark + 1..]),
        None => (local, b""),
    }
}

/// Steps 2 to 6 of spec §3, in their order: the reserved test comes before the length.
fn route(raw_path: &[u8]) -> Result<Route, Refusal> {
    let path = canonical(raw_path).map_err(|BadPath| Refusal::BadPath)?;
    let (rest, under_api) = strip_prefix(&path);
    let name = rest.strip_prefix('/').unwrap_or(rest);
    if name.is_empty() {
        return Ok(Route::Page { page: Page::Root, spelled: "/".to_owned() });
    }
    if name.starts_with('/') {
        return Err(Refusal::BadPath);
    }
    if let Some(reserved) = reserved(name, under_api) {
        return Ok(reserved);
    }
    PipePath::new(name).map(Route::Pipe).map_err(|TooLong| Refusal::PathTooLong)
}

/// Strips a prefix once; says whether it was the one that has endpoints.
fn strip_prefix(path: &str) -> (&str, bool) {
    if let Some(rest) = strip_segments(path, API_PREFIX) {
        (rest, true)
    } else {
        (strip_segments(path, SHORT_PREFIX).unwrap_or(path), false)
    }
}

/// Strips whole segments only: `/pipes` does not start with `/pipe`.
fn strip_segments<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn reserved(name: &str, under_api: bool) -> Option<Route> {
    let bare = name.strip_suffix('/').unwrap_or(name);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if let Some((word, page)) = PAGES.iter().find(|(word, _)| word.eq_ignore_ascii_case(bare)) {
        return Some(Route::Page { page: *page, spelled: format!("/{word}") });
    }
    let (word, endpoint) = ENDPOINTS.iter().find(|(word, _)| word.eq_ignore_ascii_case(bare))?;
    Some(match under_api {
        true => Route::Endpoint(*endpoint),
        false => Route::Misplaced((*word).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<Route, Refusal> {
        Target::parse(&split_authority(raw.as_bytes()).1).map(|target| target.route)
    }

    fn pipe(name: &str) -> Result<Route, Refusal> {
        Ok(Route::Pipe(PipePath::new(name).unwrap()))
    }

    fn page(page: Page, spelled: &str) -> Result<Route, Refusal> {
        Ok(Route::Page { page, spelled: spelled.to_owned() })
    }

    #[test]
    fn names_have_three_spellings() {
        for (raw, name) in [
            ("/x", "x"),
            ("/pipe/x", "x"),
            ("/api/v1/pipe/x", "x"),
            ("/api/v1/pipe/pipe/x", "pipe/x"),
            ("/pipe/api/v1/pipe/x", "api/v1/pipe/x"),
            ("/pipe/pipe/x", "pipe/x"),
            ("/api/v1/pipe/pipe", "pipe"),
            ("/pipes/x", "pipes/x"),
            ("/api/v1/pipe.", "api/v1/pipe."),
            ("/api/v1/pipes", "api/v1/pipes"),
            ("/PIPE/x", "PIPE/x"),
            ("/API/v1/pipe/x", "API/v1/pipe/x"),
            ("/%70ipe/%41", "A"),
            ("/x?n=3", "x"),
            ("/x?a/../b?c", "x"),
            ("/a//b", "a//b"),
            ("/a/", "a/"),
            ("/api/v1", "api/v1"),
            ("/version", "version"),
            ("/help..", "help.."),
            ("/metrics..", "metrics.."),
            ("/help//", "help//"),
            ("/help.//", "help.//"),
            ("/help/x", "help/x"),
            ("/x/help", "x/help"),
            ("/api/v1/pipe/pipe/health", "pipe/health"),
            ("/api/v1/pipe/pipe/help", "pipe/help"),
            ("/_internal/x", "_internal/x"),
        ] {
            assert_eq!(parse(raw), pipe(name), "{raw}");
        }
    }

    #[test]
    fn reserved_pages_fold() {
        for raw in [
            "/help",
            "/Help",
            "/HELP",
            "/help/",
            "/help.",
            "/help./",
            "/help%2e",
            "/hel%70",
            "/api/v1/pipe/help",
            "/pipe/help",
            "/pipe/HELP./",
        ] {
            assert_eq!(parse(raw), page(Page::Help, "/help"), "{raw}");
        }
        for raw in ["/", "/pipe", "/pipe/", "/api/v1/pipe", "/api/v1/pipe/", "/?x=1", "/pipe?x"] {
            assert_eq!(parse(raw), page(Page::Root, "/"), "{raw}");
        }
        for (raw, expected, spelled) in [
            ("/NoScript", Page::NoScript, "/noscript"),
            ("/new/", Page::New, "/new"),
            ("/favicon.ico.", Page::Favicon, "/favicon.ico"),
            ("/pipe/robots.txt", Page::Robots, "/robots.txt"),
        ] {
            assert_eq!(parse(raw), page(expected, spelled), "{raw}");
        }
    }

    #[test]
    fn endpoints_have_one_place() {
        for (raw, expected) in [
            ("/api/v1/pipe/health", Endpoint::Health),
            ("/api/v1/pipe/Health./", Endpoint::Health),
            ("/api/v1/pipe/metrics", Endpoint::Metrics),
            ("/api/v1/pipe/openapi.json", Endpoint::OpenApi),
        ] {
            assert_eq!(parse(raw), Ok(Route::Endpoint(expected)), "{raw}");
        }
        for (raw, word) in [
            ("/health", "health"),
            ("/pipe/health", "health"),
            ("/Metrics/", "metrics"),
            ("/Metrics.", "metrics"),
            ("/openapi.json", "openapi.json"),
            ("/pipe/openapi%2Ejson", "openapi.json"),
        ] {
            assert_eq!(parse(raw), Ok(Route::Misplaced(word.to_owned())), "{raw}");
        }
    }

    #[test]
    fn forbidden_paths_are_refused() {
        for raw in [
            "",
            "x",
            "host:443",
            "//x",
            "//",
            "/pipe//x",
            "/pipe//",
            "/api/v1/pipe//x",
            "/./x",
            "/../x",
            "/a/%2e%2e/b",
            "/a%00b",
            "/a%0d%0aX:y",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a\u{1}",
            "/é",
            "/%c0%af",
            "/%",
            "/%zz",
            "/a#b?c",
            "**",
            "*?x",
            "://x/y",
            "1http://x/y",
            "ht tp://x/y",
            "http:/x",
            "http://x//y",
            "http://x#y",
        ] {
            assert_eq!(parse(raw), Err(Refusal::BadPath), "{raw}");
        }
    }

    #[test]
    fn absolute_targets_lose_scheme_and_authority() {
        for (raw, authority, name) in [
            ("http://example.com/x", "example.com", "x"),
            ("HTTPS://Example.com:8443/pipe/x?n=2", "Example.com:8443", "x"),
            ("http://[::1]:80/a//b", "[::1]:80", "a//b"),
            ("http:///x", "", "x"),
        ] {
            assert_eq!(parse(raw), pipe(name), "{raw}");
            assert_eq!(split_authority(raw.as_bytes()).0, Some(authority.as_bytes()), "{raw}");
        }
        for raw in ["http://host", "http://host/", "http://host?x=1"] {
            assert_eq!(parse(raw), page(Page::Root, "/"), "{raw}");
        }
    }

    #[test]
    fn the_query_is_what_follows_the_first_question_mark() {
        for (raw, query) in
            [("/x", ""), ("/x?", ""), ("/x?n=3&a=b?c", "n=3&a=b?c"), ("http://h?q", "q"), ("*", "")]
        {
            assert_eq!(
                Target::parse(&split_authority(raw.as_bytes()).1).ok().unwrap().query,
                query,
                "{raw}"
            );
        }
        assert_eq!(Target::parse(b"/x?a=\xff").ok().unwrap().query, "a=\u{fffd}");
    }

    #[test]
    fn asterisk_is_the_server() {
        assert_eq!(parse("*"), Ok(Route::Asterisk));
    }

    #[test]
    fn long_names_and_targets_are_refused() {
        let name = "a".repeat(1024);
        assert_eq!(parse(&format!("/api/v1/pipe/{name}")), pipe(&name));
        assert_eq!(parse(&format!("/{name}b")), Err(Refusal::PathTooLong));
        // Three bytes of the target can be one character of the name, and the other way round.
        assert_eq!(parse(&format!("/{}", "%61".repeat(1024))), pipe(&name));
        assert_eq!(parse(&format!("/{}", "{".repeat(342))), Err(Refusal::PathTooLong));
        let query = "q".repeat(TARGET_MAX - 3);
        assert_eq!(parse(&format!("/x?{query}")), pipe("x"));
        assert_eq!(parse(&format!("/x?{query}q")), Err(Refusal::PathTooLong));
    }

    proptest! {
        #[test]
        fn never_panics(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Target::parse(&raw);
        }

        #[test]
        fn the_full_spelling_of_a_name_is_stable(
            raw in "(/pipe|/api/v1/pipe)?(/[a-c.%{!]{0,3}|/%41|/%c3%a9|/pipe|/help){1,4}",
        ) {
            if let Ok(Route::Pipe(path)) = parse(&raw) {
                let full = format!("{API_PREFIX}/{}", path.as_str());
                prop_assert_eq!(parse(&full), Ok(Route::Pipe(path)));
            }
        }
    }
}
