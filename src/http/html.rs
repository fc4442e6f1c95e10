//! What all HTML pages have in common: the template, escaping, the nonce and the headers (spec §17).
//! Knows none of the pages. Assets are plain files in `pages/`, put together for each answer.

use std::fmt::Write;

use ::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use super::target::split_query;
use super::{Refusal, Reply, pages};
use crate::pipe::Failure;

const STYLE: &str = include_str!("pages/page.css");
const LOGO: &str = include_str!("pages/logo.svg");

/// The icon of the tab, in the page itself: one request less, and right behind any prefix.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 \
    32'%3E%3Crect width='32' height='32' rx='8' fill='%231a5fd0'/%3E%3Cpath d='M6 16h18m-7-7 7 7-7 \
    7' fill='none' stroke='%23fff' stroke-width='3.5' stroke-linecap='round' \
    stroke-linejoin='round'/%3E%3C/svg%3E";

/// Random bytes in a nonce: 128 bits, as CSP asks for.
const NONCE_BYTES: usize = 16;

/// What a page may do, as its policy says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Powers {
    /// Its own script, which may speak to this server.
    Script,
    /// The same, and pages of any origin may show it in a frame.
    FramedScript,
    /// Forms that are sent to this server, and no script.
    Forms,
}

/// What stands in a place of a template.
pub(super) enum Value<'a> {
    /// Markup, style or script of our own, as it is.
    Own(&'static str),
    /// Anything else: it is escaped.
    Text(&'a str),
    /// Markup that was filled already.
    Filled(String),
}

/// A page: the template, filled, with a fresh nonce and all headers.
///
/// The places `nonce`, `style`, `icon` and `logo` are filled here, the others from `values`.
///
/// # Errors
/// [`Failure::Internal`] when the kernel gives no random bytes.
pub(super) fn page(
    powers: Powers,
    template: &'static str,
    values: Vec<(&str, Value<'_>)>,
) -> Result<Reply, Refusal> {
    let nonce = fresh_nonce()?;
    let mut places = values;
    places.extend([
        ("nonce", Value::Text(&nonce)),
        ("style", Value::Own(STYLE)),
        ("logo", Value::Own(LOGO)),
        ("icon", Value::Own(ICON)),
    ]);
    let policy = HeaderValue::try_from(policy(powers, &nonce));
    let policy = policy.map_err(|_| Refusal::Failed(Failure::Internal))?;
    Ok(pages::page("text/html; charset=utf-8", fill(template, &places))
        .with(CONTENT_SECURITY_POLICY, policy)
        .with(REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
}

/// Fills each `{{place}}` of a template. One pass: what is filled in is not looked at again, so a
/// value that looks like a place stays what it is. A place without a value becomes empty.
pub(super) fn fill(template: &str, values: &[(&str, Value<'_>)]) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(before);
        match values.iter().find(|(name, _)| *name == place) {
            Some((_, Value::Own(own))) => out.push_str(own),
            Some((_, Value::Text(text))) => escape(&mut out, text),
            Some((_, Value::Filled(markup))) => out.push_str(markup),
            None => {}
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The way from a page to the root of the server, as a relative URL.
///
/// It is right wherever a proxy puts the server, for it only counts the slashes of the page's own
/// path: `./` for `/help`, `../../` for `/api/v1/pipe`.
pub(super) fn way_to_root(target: &[u8]) -> String {
    let (path, _) = split_query(target);
    let slashes = path.iter().filter(|byte| **byte == b'/').count();
    if slashes <= 1 { "./".to_owned() } else { "../".repeat(slashes - 1) }
}

/// A word for a shell: in single quotes nothing means anything but their end.
pub(super) fn shell_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Escapes for the text of an element and for an attribute in double quotes.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
}

fn policy(powers: Powers, nonce: &str) -> String {
    let script = match powers {
        Powers::Script | Powers::FramedScript => format!("script-src 'nonce-{nonce}'; "),
        Powers::Forms => String::new(),
    };
    let forms = if powers == Powers::Forms { "'self'" } else { "'none'" };
    let frames = match powers {
        Powers::FramedScript => "",
        Powers::Script | Powers::Forms => "; frame-ancestors 'none'",
    };
    format!(
        "default-src 'none'; {script}style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action {forms}{frames}"
    )
}

fn fresh_nonce() -> Result<String, Refusal> {
    let mut random = [0; NONCE_BYTES];
    getrandom::fill(&mut random).map_err(|_| Refusal::Failed(Failure::Internal))?;
    Ok(random.iter().fold(String::new(), |mut nonce, byte| {
        // A String takes everything.
        let _ = write!(nonce, "{byte:02x}");
        nonce
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 5] = [
        include_str!("pages/common.js"),
        include_str!("pages/qr.js"),
        include_str!("pages/links.js"),
        include_str!("pages/send.js"),
        include_str!("pages/dashboard.js"),
    ];

    #[test]
    fn policies_are_those_of_the_specification() {
        let script = "default-src 'none'; script-src 'nonce-x'; style-src 'nonce-x'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";
        assert_eq!(policy(Powers::Script, "x"), format!("{script}; frame-ancestors 'none'"));
        assert_eq!(policy(Powers::FramedScript, "x"), script);
        assert_eq!(
            policy(Powers::Forms, "x"),
            "default-src 'none'; style-src 'nonce-x'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn every_page_has_its_headers_and_a_nonce_of_its_own() {
        let template = "<style nonce=\"{{nonce}}\">";
        let made = || page(Powers::Script, template, vec![]).unwrap();
        let (one, two) = (made(), made());
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(one.headers.get(name), Some(&HeaderValue::from_static(value)));
        }
        let policy = one.headers.get("content-security-policy").unwrap().to_str().unwrap();
        let body = std::str::from_utf8(&one.body).unwrap();
        let nonce = body.split('"').nth(1).unwrap();
        assert!(nonce.len() == 32 && policy.contains(&format!("script-src 'nonce-{nonce}'")));
        assert_ne!(one.body, two.body);
    }

    #[test]
    fn text_is_escaped_and_our_own_is_not() {
        let values = [("a", Value::Text("<b title=\"'&\">")), ("b", Value::Own("<i>"))];
        let filled = fill("{{a}} {{b}} {{c}}|", &values);
        assert_eq!(filled, "&lt;b title=&quot;&#39;&amp;&quot;&gt; <i> |");
    }

    #[test]
    fn a_value_that_looks_like_a_place_stays_what_it_is() {
        let values = [("a", Value::Text("{{nonce}}")), ("nonce", Value::Text("secret"))];
        assert_eq!(fill("{{a}}", &values), "{{nonce}}");
        assert_eq!(fill("x{{a", &values), "x{{nonce}}");
    }

    #[test]
    fn the_way_to_the_root_is_relative() {
        for (target, way) in [
            ("/", "./"),
            ("/?name=a/b", "./"),
            ("/noscript", "./"),
            ("/noscript/", "../"),
            ("/pipe", "./"),
            ("/pipe/", "../"),
            ("/api/v1/pipe", "../../"),
            ("/api/v1/pipe/noscript?x", "../../../"),
        ] {
            assert_eq!(way_to_root(target.as_bytes()), way, "{target}");
        }
    }

    #[test]
    fn a_word_ends_where_it_ends() {
        assert_eq!(shell_word("a$(id)"), "'a$(id)'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }

    #[test]
    fn scripts_take_no_text_for_markup_and_run_under_the_policy() {
        for file in FILES {
            for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
                assert!(!file.contains(word), "{word}");
            }
            for word in ["</script", "<!--", "localStorage", "sessionStorage", "cookie", ".style"] {
                assert!(!file.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn markup_has_no_inline_handlers_or_styles_and_loads_nothing() {
        for file in [
            include_str!("pages/send.html"),
            include_str!("pages/dashboard.html"),
            include_str!("pages/noscript.html"),
        ] {
            for word in [" on", " style=", "src=", "javascript:", "http:", "https:"] {
                let word = if word == " on" { " onclick=" } else { word };
                assert!(!file.contains(word), "{word}");
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains("</"));
    }

    /// The relative luminance of a colour written `#rgb` or `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let hex = colour.trim_start_matches('#');
        let wide: String =
            if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.into() };
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&wide[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    #[test]
    fn colours_can_be_read_in_light_and_dark() {
        let palettes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(palettes.len(), 2, "light, and dark");
        for palette in palettes {
            let colour = |name: &str| {
                let value = palette.split(&format!("--{name}: ")).nth(1).unwrap();
                luminance(value.split(';').next().unwrap())
            };
            let contrast = |one: &str, other: &str| {
                let (one, other) = (colour(one), colour(other));
                (one.max(other) + 0.05) / (one.min(other) + 0.05)
            };
            for (text, ground) in [
                ("ink", "ground"),
                ("ink", "card"),
                ("ink", "sunk"),
                ("ink", "raised"),
                ("soft", "ground"),
                ("soft", "card"),
                ("soft", "sunk"),
                ("soft", "tint"),
                ("accent", "card"),
                ("accent", "ground"),
                ("accent", "tint"),
                ("on-accent", "accent"),
                ("good", "card"),
                ("bad", "card"),
                ("warn", "card"),
            ] {
                let ratio = contrast(text, ground);
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
            assert!(contrast("edge", "card") >= 3.0, "borders of fields");
        }
    }
}
