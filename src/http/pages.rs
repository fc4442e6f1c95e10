//! The pages for people: help, a fresh name, and what browsers and robots ask for by themselves
//! (spec §17). Functions from plain values to replies; which page is asked for is decided elsewhere.

use std::time::Duration;

use ::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, VARY};
use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;

use super::send_page::send_page;
use super::{Refusal, Reply};
use crate::pipe::Failure;

/// The text of `/help`, with `{version}`, `{base}` and `{wait}` in it.
const HELP: &str = include_str!("help.txt");

/// A white arrow on blue, 16 x 16.
const ICON: &[u8] = include_bytes!("favicon.ico");

/// Characters of a fresh name: 32 of them, so that each carries 5 bits, none to be mixed up.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters in a fresh name: 130 bits, which nobody guesses.
const NAME_CHARACTERS: usize = 26;

/// `/`: the send page when `Accept` contains `text/html`, otherwise the help. `target` is path and
/// query, which fills the form of the page.
///
/// # Errors
/// As [`send_page`].
pub fn root(
    base: &str,
    wait: Duration,
    headers: &HeaderMap,
    target: &[u8],
) -> Result<Reply, Refusal> {
    match accepts(headers, "text/html") {
        true => send_page(base, target).map(negotiated),
        false => Ok(negotiated(help(base, wait))),
    }
}

/// `/help`: how to use this relay, with the caller's own URL.
///
/// `wait` is how long a client waits that does not say.
pub fn help(base: &str, wait: Duration) -> Reply {
    let text = HELP
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{wait}", &humantime::format_duration(wait).to_string())
        .replace("{base}", base);
    text_page(text)
}

/// `/new`: the URL of a fresh name, as a line or as JSON. Nothing is registered.
///
/// # Errors
/// [`Failure::Internal`] when the kernel gives no random bytes.
pub fn new(base: &str, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let name = fresh_name()?;
    let url = format!("{base}/{name}");
    let reply = if accepts(headers, "application/json") {
        let body = serde_json::to_vec(&Fresh { name, url }).expect("two texts are JSON");
        page("application/json", body)
    } else {
        text_page(url + "\n")
    };
    Ok(negotiated(reply))
}

/// `/robots.txt`: nothing here is for a search engine.
pub fn robots() -> Reply {
    text_page("User-agent: *\nDisallow: /\n".to_owned())
}

/// `/favicon.ico`, the only page that may be kept.
pub fn favicon() -> Reply {
    let mut reply = page("image/x-icon", ICON);
    let a_day = HeaderValue::from_static("public, max-age=86400");
    reply.headers.insert(CACHE_CONTROL, a_day);
    reply
}

/// Whether any `Accept` contains this media type, however it is weighted.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let contains = |value: &HeaderValue| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.windows(media_type.len()).any(|window| window == media_type.as_bytes())
    };
    headers.get_all(ACCEPT).iter().any(contains)
}

/// A page with the headers that all of them have.
pub(super) fn page(media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    Reply::body(StatusCode::OK, media_type, body)
}

/// Says that another `Accept` may get another page.
pub(super) fn negotiated(mut reply: Reply) -> Reply {
    reply.headers.insert(VARY, HeaderValue::from_static("Accept"));
    reply
}

fn text_page(text: String) -> Reply {
    page("text/plain; charset=utf-8", text)
}

/// The JSON of `/new`.
#[derive(serde::Serialize)]
struct Fresh {
    name: String,
    url: String,
}

fn fresh_name() -> Result<String, Refusal> {
    let mut random = [0; NAME_CHARACTERS];
    getrandom::fill(&mut random).map_err(|_| Refusal::Failed(Failure::Internal))?;
    // 256 is a multiple of 32: every character is equally likely.
    Ok(random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const BASE: &str = "https://pipe.example.com";

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
        reply.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn every_page_has_the_common_headers() {
        let pages = [
            help(BASE, Duration::from_secs(300)),
            new(BASE, &HeaderMap::new()).unwrap(),
            new(BASE, &accept("application/json")).unwrap(),
            robots(),
            favicon(),
        ];
        for reply in pages {
            assert_eq!(reply.status, 200);
            assert_eq!(header(&reply, "x-content-type-options"), "nosniff");
            assert_eq!(header(&reply, "access-control-allow-origin"), "*");
            let kept = header(&reply, "content-type") == "image/x-icon";
            let caching = if kept { "public, max-age=86400" } else { "no-store" };
            assert_eq!(header(&reply, "cache-control"), caching);
        }
    }

    #[test]
    fn the_root_is_the_help_but_for_browsers() {
        let wait = Duration::from_secs(300);
        let reply = root(BASE, wait, &accept("*/*"), b"/").unwrap();
        assert_eq!((reply.body.clone(), header(&reply, "vary")), (help(BASE, wait).body, "Accept"));
        let browser = root(BASE, wait, &accept("text/html,*/*;q=0.8"), b"/").unwrap();
        assert_eq!(header(&browser, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&browser, "vary"), "Accept");
    }

    #[test]
    fn help_begins_with_the_version_and_leaves_nothing_open() {
        let reply = help(BASE, Duration::from_secs(90));
        assert_eq!(header(&reply, "content-type"), "text/plain; charset=utf-8");
        let text = text(&reply);
        let first = format!("hoody-pipe {}\n", env!("CARGO_PKG_VERSION"));
        assert!(text.starts_with(&first) && text.ends_with('\n'));
        assert!(text.contains("up to 1m 30s"));
        assert!(!text.contains(['{', '}', '\t']), "an open place in:\n{text}");
    }

    #[test]
    fn help_says_everything_the_specification_asks_for() {
        let reply = help(BASE, Duration::from_secs(300));
        for word in [
            "-T file \"",
            "echo \"Hello\" |",
            "tar -cz directory |",
            "?n=3\"",
            "-H \"X-Pipe-N: 3\"",
            "/new\"",
            "-X DELETE",
            "?reason=",
            "?download\"",
            "?filename=",
            "X-Pipe-Length: ",
            "hoody-pipe send URL -- CMD",
            "?sha256\"",
            "age -p",
            "openssl enc -aes-256-ctr -pbkdf2",
            "EXIT CODES",
            "?wait=",
            "--retry 10",
            "?quiet",
            "?status\"",
            "?status&transfer=",
            "?progress\"",
        ] {
            assert!(text(&reply).contains(word), "{word:?} is missing");
        }
    }

    #[test]
    fn commands_of_help_quote_their_urls_and_do_not_buffer_pipes() {
        let reply = help(BASE, Duration::from_secs(300));
        let text = text(&reply).replace("\\\n", "");
        let commands: Vec<&str> = text.lines().filter(|line| line.contains(BASE)).collect();
        assert!(commands.len() > 20);
        for command in commands {
            assert!(command.starts_with("  ") && command.contains("curl -"), "{command}");
            let url = command.split('"').find(|part| part.starts_with(BASE));
            assert!(url.is_some(), "not quoted: {command}");
            assert_eq!(command.matches(BASE).count(), 1, "{command}");
            let after = command.split(BASE).nth(1).unwrap();
            if after.contains(['|', '>']) {
                assert!(command.contains("curl -fsSN"), "buffered: {command}");
            }
            let sends = command.contains(" -T ");
            assert_eq!(sends, command.contains("--fail-with-body"), "{command}");
        }
    }

    #[test]
    fn help_fits_a_terminal_and_promises_nothing_of_later() {
        let reply = help("http://localhost:8080", Duration::from_secs(300));
        for line in text(&reply).lines() {
            assert!(line.chars().count() <= 100, "too wide: {line}");
        }
        for later in ["?live", "?ws"] {
            assert!(!text(&reply).contains(later), "{later}");
        }
    }

    #[test]
    fn a_fresh_name_is_a_line_of_26_characters() {
        let reply = new(BASE, &accept("text/html, */*")).unwrap();
        assert_eq!(header(&reply, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&reply, "vary"), "Accept");
        let name = text(&reply).strip_prefix("https://pipe.example.com/").unwrap();
        let name = name.strip_suffix('\n').unwrap();
        assert_eq!(name.len(), 26);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)));
    }

    #[test]
    fn a_fresh_name_as_json_has_its_two_fields_in_order() {
        let reply = new(BASE, &accept("text/html;q=0.1, Application/JSON;q=0.9")).unwrap();
        assert_eq!(header(&reply, "content-type"), "application/json");
        let name = text(&reply).split('"').nth(3).unwrap();
        let want = format!(r#"{{"name":"{name}","url":"https://pipe.example.com/{name}"}}"#);
        assert_eq!(text(&reply), want);
    }

    #[test]
    fn fresh_names_use_every_character_and_never_repeat() {
        let names: HashSet<String> = (0..500).map(|_| fresh_name().unwrap()).collect();
        assert_eq!(names.len(), 500);
        let used: HashSet<char> = names.iter().flat_map(|name| name.chars()).collect();
        assert_eq!(used.len(), 32);
    }

    #[test]
    fn robots_are_told_to_leave() {
        assert_eq!(text(&robots()), "User-agent: *\nDisallow: /\n");
    }

    #[test]
    fn the_icon_is_an_icon() {
        let icon = favicon().body;
        assert_eq!(icon[..8], [0, 0, 1, 0, 1, 0, 16, 16]);
        let (size, at) = (&icon[14..18], &icon[18..22]);
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        assert_eq!(number(size) + number(at), icon.len());
    }
}
