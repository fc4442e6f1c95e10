//! The page of `?progress`: what happens at a name, live (spec §17). Knows no transfer: its script
//! listens to the event stream at the same address.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::html::{Powers, Value, page, shell_word, way_to_root};
use super::target::{Route, Target};
use super::{Refusal, Reply, pages::negotiated};

const TEMPLATE: &str = include_str!("pages/dashboard.html");
const SCRIPT: &str = concat!(include_str!("pages/common.js"), include_str!("pages/dashboard.js"));

/// The page for whoever asked for `target` (path and query), which is about a name.
///
/// # Errors
/// Those of [`Target::parse`]; [`Refusal::NoPage`] for a target that is no name;
/// [`crate::pipe::Failure::Internal`] when the kernel gives no random bytes.
pub fn dashboard(base: &str, target: &[u8]) -> Result<Reply, Refusal> {
    let Route::Pipe(name) = Target::parse(target)?.route else { return Err(Refusal::NoPage) };
    let link = format!("{base}/api/v1/pipe/{}?progress", name.as_str());
    let page = page(
        Powers::FramedScript,
        TEMPLATE,
        vec![
            ("script", Value::Own(SCRIPT)),
            ("root", Value::Text(&way_to_root(target))),
            ("name", Value::Text(&readable(name.as_str()))),
            ("line", Value::Text(&line(&link))),
        ],
    );
    page.map(negotiated)
}

/// The line that shows the events in a terminal. curl reads brackets as patterns unless told not to.
fn line(link: &str) -> String {
    let raw = if link.contains('[') { " -g" } else { "" };
    format!("curl -fsSN{raw} {}", shell_word(link))
}

/// A name as people write it. One stays as it is if it is not UTF-8, or would hide or reorder what
/// stands there.
fn readable(name: &str) -> Cow<'_, str> {
    match percent_decode_str(name).decode_utf8() {
        Ok(readable) if !readable.contains(unseen) => readable,
        _ => name.into(),
    }
}

/// Control characters, and those that only change the direction or the width of others.
fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_what_it_watches_and_may_be_framed() {
        let reply = dashboard("https://p.example", b"/pipe/a'b%3c?progress&n=2").unwrap();
        let html = std::str::from_utf8(&reply.body).unwrap();
        assert!(html.contains("<title>hoody-pipe \u{2014} Transfer progress</title>"));
        assert!(html.contains("<span class=\"mono name\">a&#39;b&lt;</span>"));
        let line =
            r"curl -fsSN &#39;https://p.example/api/v1/pipe/a&#39;\&#39;&#39;b%3C?progress&#39;";
        assert!(html.contains(line));
        assert!(html.contains("href=\"../help\"") && !html.contains("{{"));
        let policy = reply.headers.get("content-security-policy").unwrap().to_str().unwrap();
        assert!(!policy.contains("frame-ancestors") && policy.contains("script-src 'nonce-"));
        assert_eq!(reply.headers.get("vary").unwrap(), "Accept");
    }

    #[test]
    fn no_name_writes_a_line_of_its_own() {
        assert_eq!(line("h/a$(id)`id`?progress"), "curl -fsSN 'h/a$(id)`id`?progress'");
        assert_eq!(line("h/a'b?progress"), r"curl -fsSN 'h/a'\''b?progress'");
        assert_eq!(line("h/a[1]?progress"), "curl -fsSN -g 'h/a[1]?progress'");
    }

    #[test]
    fn names_are_shown_as_people_write_them() {
        for (name, shown) in [
            ("run-42/tokens", "run-42/tokens"),
            ("caf%C3%A9%20%26%25", "café &%"),
            ("a%FFb%20c", "a%FFb%20c"),
            ("a%E2%80%AEb", "a%E2%80%AEb"),
            ("a%C2%85b", "a%C2%85b"),
        ] {
            assert_eq!(readable(name), shown);
        }
    }

    #[test]
    fn only_names_are_watched() {
        assert_eq!(dashboard("b", b"/help?progress").err(), Some(Refusal::NoPage));
        assert_eq!(dashboard("b", b"//?progress").err(), Some(Refusal::BadPath));
    }
}
