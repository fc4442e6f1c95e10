//! `/noscript`: sending with two plain forms (spec §17). The first chooses the name and asks for
//! the page again; the second is sent to the pipe itself.

use super::html::{Powers, Value, fill, page, shell_word, way_to_root};
use super::query::{Query, value};
use super::target::{Route, Target, split_query};
use super::{Refusal, Reply, reply};

const TEMPLATE: &str = include_str!("pages/noscript.html");

/// The field of the second form: in text mode the one that the server reads as a text.
const FILE_FIELD: &str = "<div>\n<label for=\"input\">File</label>\n\
    <input type=\"file\" id=\"input\" name=\"input_file\" required>\n</div>";
const TEXT_FIELD: &str = "<div>\n<label for=\"input\">Text</label>\n\
    <textarea id=\"input\" name=\"input_text\" required></textarea>\n</div>";

const WHERE: &str = "<div>\n<p class=\"hint\">The receiver opens this link, or types this line:</p>\n\
    <pre>{{link}}</pre>\n<pre>curl -fsSN {{word}}{{into}}</pre>\n</div>";
const NOWHERE: &str = "<p class=\"hint\">Choose a name first, and apply it.</p>";

/// Longest name, in characters (spec §3); one more is kept, so that the server says it is too long.
const NAME_MAX: usize = 1_024;

/// The page for whoever asked for `target` (path and query), with links that begin with `base`.
///
/// # Errors
/// [`crate::pipe::Failure::Internal`] when the kernel gives no random bytes.
pub fn noscript(base: &str, target: &[u8]) -> Result<Reply, Refusal> {
    let (_, raw) = split_query(target);
    let raw = String::from_utf8_lossy(raw);
    let path = url_safe(&value(&raw, "path").unwrap_or_default());
    let text_mode = value(&raw, "mode").is_some_and(|mode| mode == "text");
    let carried = carried(&Query::parse(&raw));
    let root = way_to_root(target);
    let choice = Choice::of(&path);
    let (action, wrong) = match &choice {
        Choice::Name => (action(&root, &path, &carried), ""),
        Choice::Nothing => (String::new(), ""),
        Choice::Refused(text) => (String::new(), text.as_str()),
    };
    let when = |on: bool, word| Value::Own(if on { word } else { "" });
    page(
        Powers::Forms,
        TEMPLATE,
        vec![
            ("root", Value::Text(&root)),
            ("path", Value::Text(&path)),
            ("wrong", Value::Text(wrong)),
            ("file_checked", when(!text_mode, " checked")),
            ("text_checked", when(text_mode, " checked")),
            ("carried", Value::Filled(hidden_fields(&carried))),
            ("field", Value::Own(if text_mode { TEXT_FIELD } else { FILE_FIELD })),
            ("where", Value::Filled(whereabouts(&choice, &link(base, &path), text_mode))),
            ("action", Value::Text(&action)),
            ("disabled", when(choice != Choice::Name, " disabled")),
        ],
    )
}

/// What may stand in a path as it is (spec §3) and in the single quotes of a shell, without leading
/// slashes; everything else is left out.
fn url_safe(path: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || "-._~!$&()*+,;=:@/".contains(*c);
    let safe: String = path.chars().filter(safe).collect();
    safe.trim_start_matches('/').chars().take(NAME_MAX + 1).collect()
}

/// What was chosen as a name.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Nothing,
    /// One that can be sent to.
    Name,
    /// One that the server would refuse, and its words.
    Refused(String),
}

impl Choice {
    fn of(path: &str) -> Choice {
        if path.is_empty() {
            return Choice::Nothing;
        }
        let refusal = match Target::parse(format!("/api/v1/pipe/{path}").as_bytes()) {
            Ok(Target { route: Route::Pipe(_), .. }) => return Choice::Name,
            Ok(Target { route: Route::Page { spelled, .. }, .. }) => Refusal::Reserved(spelled),
            Ok(_) => return Choice::Refused("The server itself uses this name.".to_owned()),
            Err(refusal) => refusal,
        };
        let text = reply::refuse(&refusal).body;
        let text = String::from_utf8_lossy(&text);
        Choice::Refused(text.trim_end().trim_start_matches("[ERROR] ").to_owned())
    }
}

/// How the other side gets it.
fn whereabouts(choice: &Choice, link: &str, text_mode: bool) -> String {
    let into = Value::Own(if text_mode { "" } else { " > file" });
    let template = if *choice == Choice::Name { WHERE } else { NOWHERE };
    let word = shell_word(link);
    fill(template, &[("link", Value::Text(link)), ("word", Value::Text(&word)), ("into", into)])
}

/// `wait` and `sha256`, which the form does not show but does not lose either.
fn carried(query: &Query) -> Vec<(&'static str, String)> {
    let mut carried = Vec::new();
    if let Ok(Some(wait)) = query.wait() {
        carried.push(("wait", wait.as_secs().to_string()));
    }
    if query.sha256() {
        carried.push(("sha256", "1".to_owned()));
    }
    carried
}

fn hidden_fields(carried: &[(&str, String)]) -> String {
    let field = |(name, value): &(&str, String)| {
        let places = [("name", Value::Text(name)), ("value", Value::Text(value))];
        fill("<input type=\"hidden\" name=\"{{name}}\" value=\"{{value}}\">\n", &places)
    };
    carried.iter().map(field).collect()
}

fn action(root: &str, path: &str, carried: &[(&str, String)]) -> String {
    let query: Vec<_> = carried.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{root}api/v1/pipe/{path}{mark}{}", query.join("&"))
}

/// The receiver's link; a name that begins like a prefix needs one in front of it.
fn link(base: &str, path: &str) -> String {
    let first = path.strip_prefix("api/v1/").unwrap_or(path).split('/').next();
    let prefix = if first == Some("pipe") { "api/v1/pipe/" } else { "" };
    format!("{base}/{prefix}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(target: &str) -> String {
        let reply = noscript("https://pipe.example.com", target.as_bytes()).unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// Where the second form goes; none while its button is off.
    fn action_of(target: &str) -> Option<String> {
        let html = html(target);
        assert!(!html.contains("{{") && !html.contains("<script"), "{target}");
        let action = html.split(" action=\"").nth(1)?.split('"').next()?.to_owned();
        let disabled = html.contains("type=\"submit\" disabled");
        assert_eq!(action.is_empty(), disabled, "{target}");
        (!disabled).then_some(action)
    }

    #[test]
    fn a_name_enables_send() {
        for (target, action) in [
            ("/noscript", None),
            ("/noscript?path=", None),
            ("/noscript?path=my-file", Some("./api/v1/pipe/my-file")),
            ("/noscript?path=%2F%2Fa/b", Some("./api/v1/pipe/a/b")),
            ("/noscript/?path=x", Some("../api/v1/pipe/x")),
            ("/api/v1/pipe/noscript?path=x", Some("../../../api/v1/pipe/x")),
            ("/noscript?path=a%3Cb%3E%22c%3F%23%25%27d", Some("./api/v1/pipe/abcd")),
            ("/noscript?path=%C3%A9/x", Some("./api/v1/pipe/x")),
            ("/noscript?path=x&wait=600", Some("./api/v1/pipe/x?wait=600")),
            ("/noscript?path=x&sha256", Some("./api/v1/pipe/x?sha256=1")),
            ("/noscript?path=x&sha256&wait=9", Some("./api/v1/pipe/x?wait=9&amp;sha256=1")),
            ("/noscript?path=x&wait=0&sha256=no", Some("./api/v1/pipe/x")),
        ] {
            assert_eq!(action_of(target).as_deref(), action, "{target}");
        }
    }

    #[test]
    fn a_name_that_would_be_refused_is_refused_here() {
        for (path, text) in [
            ("help", "&#39;/help&#39; is a reserved path."),
            ("a/../b", "Path contains forbidden characters."),
            ("health", "The server itself uses this name."),
            (&"a".repeat(1_025), "Path too long"),
        ] {
            let target = format!("/noscript?path={path}");
            assert_eq!(action_of(&target), None, "{path:.20}");
            assert!(html(&target).contains(text), "{path:.20}");
        }
    }

    #[test]
    fn the_mode_decides_the_field_and_is_kept() {
        let file = html("/noscript?path=x");
        assert!(file.contains("type=\"file\"") && !file.contains("input_text"));
        assert!(file.contains("value=\"file\" checked"));
        let text = html("/noscript?path=x&mode=text&wait=5");
        assert!(text.contains("name=\"input_text\"") && !text.contains("type=\"file\""));
        assert!(text.contains("value=\"text\" checked"));
        assert!(text.contains("<input type=\"hidden\" name=\"wait\" value=\"5\">"));
    }

    #[test]
    fn the_receiver_gets_a_link_and_a_line() {
        let html = html("/noscript?path=a%26b");
        assert!(html.contains("<pre>https://pipe.example.com/a&amp;b</pre>"));
        assert!(html.contains("curl -fsSN &#39;https://pipe.example.com/a&amp;b&#39; > file"));
        assert_eq!(link("b", "pipe/x"), "b/api/v1/pipe/pipe/x");
        assert_eq!(link("b", "api/v1/pipe"), "b/api/v1/pipe/api/v1/pipe");
        assert_eq!(link("b", "pipes"), "b/pipes");
    }
}
