//! What somebody else puts into a page stays text; and the page fits small screens and readers.

use serde_json::json;

use crate::browser::{Browser, Upload};
use crate::common::{Curl, Server, unique};

/// Would run as markup, as an attribute, or in a script.
const PAYLOAD: &str = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>";

/// How far a page can be scrolled sideways.
const SIDEWAYS: &str =
    "document.documentElement.scrollWidth - document.documentElement.clientWidth";

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_payload_in_link_name_or_file_name_never_runs() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let payload = escaped(PAYLOAD);
    browser.open(&server.url(&format!("/?name={payload}&text={payload}&filename={payload}")));
    for field in ["#name", "#text", "#filename"] {
        assert_eq!(browser.text(field), PAYLOAD);
    }
    let receiver = Curl::start(&["-fsSN", &browser.text("#link")]);
    browser.click("#send");
    assert_eq!(receiver.ended().expect(0).text(), PAYLOAD);
    browser.until_text("#headline", "Delivered");
    // A file name may have all of it but the slash.
    let upload = Upload::new("<img src=x onerror=alert(1)>", b"x");
    browser.open(&server.url("/"));
    browser.type_into("#file", upload.path());
    browser.until_text("#file-name", "<img src=x onerror=alert(1)>");
    browser.assert_quiet();
}

#[test]
fn the_servers_words_never_run_either() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?text=x"));
    browser.click("#send");
    browser.until_text("#log", "[INFO] Waiting");
    let reason = escaped("<img src=x onerror=alert(1)>");
    let target = format!("{}?reason={reason}", browser.text("#link"));
    Curl::run(&["-fsS", "-X", "DELETE", &target]).expect(0);
    browser.until_text("#reason", "Cancelled: <img src=x onerror=alert(1)>.");
    browser.assert_quiet_but_for("Failed to load resource");
    for page in ["/noscript?path=", "/x"] {
        let end = if page == "/x" { "?progress" } else { "" };
        browser
            .open(&server.url(&format!("{page}{}{end}", escaped("<img src=x onerror=alert(1)>"))));
        browser.assert_quiet();
    }
}

#[test]
fn no_page_scrolls_sideways_at_320_pixels() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.resize(320, 640);
    let long = "x".repeat(300);
    let file = Upload::new(&"y".repeat(200), b"x");
    for page in [
        "/".to_owned(),
        format!("/?name={long}&text={long}&mode=text"),
        "/noscript".to_owned(),
        format!("/noscript?path={long}"),
        format!("/{long}?progress"),
    ] {
        browser.open(&server.url(&page));
        assert_eq!(browser.get(SIDEWAYS), json!(0), "{page:.40}");
    }
    browser.open(&server.url("/"));
    browser.type_into("#file", file.path());
    browser.click("#send");
    browser.until_text("#headline", "Waiting");
    assert_eq!(browser.get(SIDEWAYS), json!(0));
}

#[test]
fn every_control_has_a_name_and_every_page_its_landmarks() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    for page in ["/".to_owned(), "/noscript?path=x".to_owned(), format!("{name}?progress")] {
        browser.open(&server.url(&page));
        let unnamed = browser.get(
            "[...document.querySelectorAll('input:not([type=hidden]), textarea, button, a, progress')]
             .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
             .map((e) => e.outerHTML)",
        );
        assert_eq!(unnamed, json!([]), "{page}");
        let landmarks = browser.get(
            "['main', 'h1', 'html[lang=en]', 'title', 'meta[name=viewport]']
             .filter((css) => document.querySelectorAll(css).length !== 1)",
        );
        assert_eq!(landmarks, json!([]), "{page}");
        let handlers = browser.get(
            "[...document.querySelectorAll('*')].filter((e) =>
             [...e.attributes].some((a) => a.name === 'style' || a.name.startsWith('on'))).length",
        );
        assert_eq!(handlers, json!(0), "{page}");
    }
}
