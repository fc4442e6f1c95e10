//! The send page: `/` as browsers see it, with its form filled from the query (spec §17).
//! Knows no transfer: the script in the page makes one.

use super::disposition::FILE_NAME_MAX;
use super::html::{Powers, Value, page, way_to_root};
use super::query::{count, is_on, value};
use super::target::split_query;
use super::{Refusal, Reply};

const TEMPLATE: &str = include_str!("pages/send.html");
const SCRIPT: &str = concat!(
    include_str!("pages/common.js"),
    include_str!("pages/qr.js"),
    include_str!("pages/links.js"),
    include_str!("pages/send.js"),
);

/// Longest name that a query fills in, in characters (spec §17).
pub const NAME_MAX: usize = 1_024;
/// Longest text that a query fills in, in characters (spec §17).
pub const TEXT_MAX: usize = 16_384;

/// The send page for whoever asked for `target` (path and query), with links that begin with `base`.
///
/// # Errors
/// [`crate::pipe::Failure::Internal`] when the kernel gives no random bytes.
pub fn send_page(base: &str, target: &[u8]) -> Result<Reply, Refusal> {
    let (_, query) = split_query(target);
    let prefill = Prefill::parse(&String::from_utf8_lossy(query));
    let checked = |on: bool| Value::Own(if on { " checked" } else { "" });
    page(
        Powers::Script,
        TEMPLATE,
        vec![
            ("script", Value::Own(SCRIPT)),
            ("root", Value::Text(&way_to_root(target))),
            ("base", Value::Text(base)),
            ("name", Value::Text(&prefill.name)),
            ("n", Value::Text(&prefill.n.to_string())),
            ("text", Value::Text(&prefill.text)),
            ("filename", Value::Text(&prefill.file_name)),
            ("file_checked", checked(!prefill.text_mode)),
            ("text_checked", checked(prefill.text_mode)),
            ("autostart", Value::Own(if prefill.autostart() { "yes" } else { "no" })),
            ("note", Value::Own(prefill.note())),
        ],
    )
}

/// What the query puts into the form. It has no `Debug`: a query is a secret of the client.
#[derive(Default, PartialEq, Eq)]
struct Prefill {
    /// Empty: the page makes one up.
    name: String,
    n: u16,
    text: String,
    file_name: String,
    text_mode: bool,
    wants_start: bool,
    /// Something was longer than it may be.
    cut: bool,
}

impl Prefill {
    /// Of a parameter given twice the first counts. What cannot be used is as good as not given.
    fn parse(raw: &str) -> Prefill {
        let get = |key| value(raw, key);
        let (name, long_name) = at_most(NAME_MAX, get("name"));
        let (text, long_text) = at_most(TEXT_MAX, get("text"));
        let (file_name, _) = at_most(FILE_NAME_MAX, get("filename"));
        Prefill {
            n: get("n").and_then(|n| count(&n).ok()).unwrap_or(1),
            text_mode: match get("mode").as_deref() {
                Some("text") => true,
                Some("file") => false,
                _ => !text.is_empty(),
            },
            wants_start: get("autostart").is_some_and(|value| is_on(&value)),
            cut: long_name || long_text,
            name,
            text,
            file_name,
        }
    }

    /// Only a whole text can start by itself: a browser gives no file away without its user.
    fn autostart(&self) -> bool {
        self.wants_start && self.text_mode && !self.text.is_empty() && !self.cut
    }

    /// A word to the user about what was filled in.
    fn note(&self) -> &'static str {
        if self.cut {
            "The link that brought you here says more than fits: look before you send."
        } else {
            ""
        }
    }
}

/// The first `max` characters, and whether there were more.
fn at_most(max: usize, value: Option<String>) -> (String, bool) {
    let mut value = value.unwrap_or_default();
    match value.char_indices().nth(max) {
        Some((end, _)) => {
            value.truncate(end);
            (value, true)
        }
        None => (value, false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::{ENDPOINTS, PAGES};
    use super::*;

    #[test]
    fn the_script_knows_every_reserved_name() {
        let list = SCRIPT.split("const RESERVED = [").nth(1).unwrap().split(']').next().unwrap();
        let known: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        let pages = PAGES.iter().map(|(word, _)| *word);
        let ours: Vec<_> = pages.chain(ENDPOINTS.iter().map(|(word, _)| *word)).collect();
        assert_eq!(known, ours);
    }

    fn html(target: &str) -> String {
        let reply = send_page("https://pipe.example.com", target.as_bytes()).unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn a_bare_page_sends_a_file_to_one_receiver_under_a_name_to_come() {
        let html = html("/");
        assert!(html.contains("data-base=\"https://pipe.example.com\" data-root=\"./\""));
        assert!(html.contains("id=\"mode-file\" value=\"file\" checked"));
        assert!(html.contains("id=\"name\" value=\"\"") && html.contains("id=\"n\" value=\"1\""));
        assert!(html.contains("data-autostart=\"no\""));
        assert!(!html.contains("{{"), "an open place");
    }

    #[test]
    fn the_query_fills_the_form() {
        let html = html("/pipe/?name=a+b%2Fc&n=3&text=Hi+there&filename=x.txt&mode=text");
        for part in [
            "value=\"a b/c\"",
            "id=\"n\" value=\"3\"",
            "\nHi there</textarea>",
            "value=\"x.txt\"",
            "value=\"text\" checked",
            "data-root=\"../\"",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn a_payload_in_the_query_stays_text() {
        let payload = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%3C/textarea%3E";
        let html = html(&format!("/?name={payload}&text={payload}&filename={payload}"));
        let escaped = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;/textarea&gt;";
        assert_eq!(html.matches(escaped).count(), 3);
        assert_eq!((html.matches("<script").count(), html.matches("</textarea>").count()), (1, 1));
    }

    #[test]
    fn limits_of_what_is_filled_in() {
        for (key, max) in [("name", NAME_MAX), ("text", TEXT_MAX), ("filename", FILE_NAME_MAX)] {
            let of = |length: usize| {
                let prefill = Prefill::parse(&format!("{key}={}", "%C3%A9".repeat(length)));
                let field = match key {
                    "name" => &prefill.name,
                    "text" => &prefill.text,
                    _ => &prefill.file_name,
                };
                (field.chars().count(), prefill.cut)
            };
            assert_eq!(of(max), (max, false), "{key}");
            assert_eq!(of(max + 1), (max, key != "filename"), "{key}");
        }
    }

    #[test]
    fn an_invalid_number_is_one() {
        for n in ["0", "257", "-1", "abc", "", "1.5", "03"] {
            assert_eq!(Prefill::parse(&format!("n={n}")).n, 1, "{n}");
        }
        assert_eq!(Prefill::parse("n=256").n, 256);
        assert_eq!(Prefill::parse("n=2&n=3").n, 2, "the first counts");
    }

    #[test]
    fn only_a_whole_text_starts_by_itself() {
        let long = format!("autostart=1&text={}", "a".repeat(TEXT_MAX + 1));
        for (query, starts) in [
            ("text=hi&autostart=1", true),
            ("text=hi&mode=text&autostart", true),
            ("text=hi&autostart=0", false),
            ("text=hi", false),
            ("text=hi&mode=file&autostart=1", false),
            ("mode=text&autostart=1", false),
            ("autostart=1", false),
            (long.as_str(), false),
        ] {
            assert_eq!(Prefill::parse(query).autostart(), starts, "{query:.40}");
        }
    }

    #[test]
    fn what_was_cut_is_said() {
        assert_eq!(Prefill::parse("name=a").note(), "");
        assert!(Prefill::parse(&format!("name={}", "a".repeat(1_025))).note().contains("look"));
    }
}
