//! The send page at work: what arrives, and what the page says about it.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::browser::{Browser, Upload};
use crate::common::{Curl, End, Server, eventually, pattern, sha256, unique};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const CONTROL_V: &str = "\u{e009}v";
const RIGHT: &str = "\u{e014}";

/// A receiver at the link that the page shows.
fn receiver(browser: &Browser) -> Curl {
    Curl::start(&["-fsSN", &browser.text("#link")])
}

#[test]
fn a_file_arrives_as_it_is() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let bytes = pattern(3_000_000);
    let upload = Upload::new("straße (1).bin", &bytes);
    browser.open(&server.url("/"));
    let name = browser.text("#name");
    let valid = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
    assert!(name.len() == 26 && name.bytes().all(valid), "{name}");
    assert_eq!(browser.text("#link"), server.url(&format!("/{name}")));
    browser.type_into("#file", upload.path());
    browser.until_text("#file-name", "straße (1).bin");
    browser.click("#send");
    browser.until_text("#headline", "Waiting for the receiver");
    let mut receiver = server.get(&format!("/{name}"));
    let head = receiver.head();
    let disposition = "attachment; filename=\"stra_e (1).bin\"; \
                       filename*=UTF-8''stra%C3%9Fe%20%281%29.bin";
    head.expect(200).expect_field("content-length", "3000000");
    assert!(head.get("content-type").unwrap().starts_with("application/"));
    assert_eq!(head.get("content-disposition"), Some(disposition));
    let (got, end) = receiver.rest();
    assert_eq!((sha256(&got), end), (sha256(&bytes), End::Clean));
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    assert!(browser.text("#log").ends_with("[INFO] Transfer complete.\n"));
    browser.assert_quiet();
}

#[test]
fn a_text_goes_to_receivers_that_came_before_and_after() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?mode=text&n=2&name=team/caf%C3%A9 %2B tea"));
    let link = browser.text("#link");
    assert_eq!(link, server.url("/team/caf%C3%A9%20+%20tea?n=2"));
    let before = receiver(&browser);
    browser.until_text("#presence", "1 of 2 receivers already waiting");
    browser.type_into("#text", "two lines\nand a smile 🙂");
    browser.click("#send");
    browser.until_text("#headline", "Waiting: 1 of 2 receivers here");
    let after = receiver(&browser);
    for receiver in [before, after] {
        assert_eq!(receiver.ended().expect(0).text(), "two lines\nand a smile 🙂");
    }
    browser.until_text("#headline", "Delivered to 2 of 2 receivers.");
    browser.assert_quiet();
}

#[test]
fn who_leaves_is_no_longer_counted() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("large", &vec![7; 24 << 20]);
    browser.open(&server.url("/?n=2"));
    let name = format!("/{}?n=2", browser.text("#name"));
    browser.type_into("#file", upload.path());
    browser.click("#send");
    let mut receivers = [server.get(&name), server.get(&name)];
    for receiver in &mut receivers {
        receiver.head().expect(200);
    }
    browser.until_text("#headline", "Sending to 2 receivers…");
    let [leaves, mut stays] = receivers;
    drop(leaves);
    browser.until_text("#headline", "Sending to 1 of 2 receivers; 1 has left.");
    assert_eq!(stays.rest().1, End::Clean);
    browser.until_text("#headline", "Delivered to 1 of 2 receivers.");
    browser.assert_quiet();
}

#[test]
fn receivers_that_wait_for_another_number_are_a_warning() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    let _one = server.get(&format!("{name}?n=2"));
    browser.open(&server.url(&format!("/?text=x&name={name}")));
    let warned = "document.getElementById('presence').classList.contains('warn')";
    browser.until_text("#presence", "1 of 2 receivers already waiting, so the number");
    assert_eq!(browser.get(warned), json!(true));
    assert_eq!(browser.get("document.getElementById('match').textContent"), "Set it to 2");
    browser.click("#match");
    assert_eq!(browser.text("#presence"), "1 of 2 receivers already waiting.");
    assert_eq!((browser.get(warned), browser.text("#n")), (json!(false), "2".to_owned()));
    assert_eq!(browser.get("document.getElementById('match').hidden"), json!(true));
    assert!(browser.text("#link").ends_with("?n=2"));
    browser.assert_quiet();
}

#[test]
fn a_page_at_a_prefix_without_its_slash_knows_where_it_is() {
    let flags = ["--public-url", "https://example.com/pipe"];
    let (server, browser) = (Server::start(&flags), Browser::start());
    // To the page this is a prefix, as its address and the base URL are all that it knows.
    browser.open(&server.url("/pipe"));
    let help = "document.querySelector('nav a').pathname";
    assert_eq!(browser.get(help), json!("/pipe/help"));
    let watch = browser.get("document.getElementById('watch').pathname");
    assert_eq!(watch, json!(format!("/pipe/api/v1/pipe/{}", browser.text("#name"))));
    browser.open(&server.url("/"));
    assert_eq!(browser.get(help), json!("/help"));
}

#[test]
fn the_lines_for_curl_work_as_they_are_copied() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    for name in ["plain", "it's/$HOME/`id`/!x/"] {
        browser.open(&server.url(&format!("/?mode=text&text=hi&name={name}")));
        let receives = shell(&browser.text("#receive-line"));
        browser.click("#send");
        assert_eq!(receives.wait_with_output().unwrap().stdout, b"hi", "{name}");
        browser.until_text("#headline", "Delivered");
        let receives = shell(&browser.text("#receive-line"));
        let sends = shell(&browser.text("#send-line")).wait_with_output().unwrap();
        assert!(sends.stdout.ends_with(b"[INFO] Transfer complete.\n"), "{sends:?}");
        assert_eq!(receives.wait_with_output().unwrap().stdout, b"Hello\n", "{name}");
    }
    browser.assert_quiet();
}

/// Starts a line as a person's shell would.
fn shell(line: &str) -> Child {
    let mut command = Command::new("bash");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn an_empty_file_is_a_file() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("empty", b"");
    browser.open(&server.url("/"));
    browser.type_into("#file", upload.path());
    let receiver = receiver(&browser);
    browser.click("#send");
    assert_eq!(receiver.ended().expect(0).text(), "");
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    browser.assert_quiet();
}

#[test]
fn a_text_starts_by_itself_when_the_link_says_so() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    let waiting = Curl::start(&["-fsSN", &server.url(&name)]);
    browser.open(&server.url(&format!("/?name={name}&text=by+itself&autostart=1")));
    assert_eq!(waiting.ended().expect(0).text(), "by itself");
    browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    browser.open(&server.url("/?mode=file&autostart=1"));
    assert_eq!(browser.get("document.getElementById('form').hidden"), json!(false));
    browser.assert_quiet();
}

#[test]
fn the_page_works_under_every_prefix() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    for root in ["/pipe", "/pipe/", "/api/v1/pipe", "/api/v1/pipe/"] {
        let name = format!("pipe{}", unique());
        browser.open(&server.url(&format!("{root}?name={name}&text=x")));
        assert_eq!(browser.text("#link"), server.url(&format!("/api/v1/pipe/{name}")), "{root}");
        let receiver = receiver(&browser);
        browser.click("#send");
        assert_eq!(receiver.ended().expect(0).text(), "x", "{root}");
        browser.until_text("#headline", "Delivered to 1 of 1 receivers.");
    }
    browser.assert_quiet();
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/"));
    let tab_to = |id: &str| {
        for _ in 0..20 {
            if browser.get("document.activeElement.id") == json!(id) {
                return;
            }
            let outlined = "getComputedStyle(document.activeElement).outlineStyle !== 'none' || \
                            document.activeElement.matches('.unseen, body')";
            assert_eq!(browser.get(outlined), json!(true), "the focus is seen on the way to {id}");
            browser.press(TAB);
        }
        panic!("no way to #{id}");
    };
    tab_to("mode-file");
    browser.press(RIGHT);
    tab_to("text");
    browser.press("typed");
    tab_to("send");
    browser.press(ENTER);
    browser.until_text("#headline", "Waiting");
    assert_eq!(browser.get("document.activeElement.id"), json!("cancel"));
    assert_eq!(receiver(&browser).ended().expect(0).text(), "typed");
    browser.until_text("#headline", "Delivered");
    assert_eq!(browser.get("document.activeElement.id"), json!("retry"));
    browser.press(ENTER);
    assert_eq!(browser.get("document.activeElement.id"), json!("text"));
    assert_eq!((browser.text("#text"), browser.text("#headline")), (String::new(), String::new()));
    browser.assert_quiet();
}

#[test]
fn images_are_pasted_and_files_are_dropped() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?mode=text"));
    let event = |kind: &str, data: &str, file: &str| {
        browser.run(&format!(
            "const data = new DataTransfer(); data.items.add({file}); document.body.dispatchEvent(
             new {kind}Event('{data}', {{ bubbles: true, cancelable: true, clipboardData: data,
             dataTransfer: data }}))"
        ));
    };
    event("Clipboard", "paste", "new File(['png'], 'image.png', { type: 'image/png' })");
    browser.until_text("#file-name", "pasted ");
    let mut receiver = server.get(&format!("/{}", browser.text("#name")));
    browser.click("#send");
    receiver.head().expect(200).expect_field("content-type", "image/png");
    assert_eq!(receiver.rest(), (b"png".to_vec(), End::Clean));
    browser.until_text("#headline", "Delivered");
    browser.click("#retry");
    event("Drag", "drop", "new File(['abc'], 'notes.txt')");
    browser.until_text("#file-name", "notes.txt");
    event("Drag", "drop", "'a text', 'text/plain'");
    assert_eq!(
        (browser.text("#text").as_str(), browser.text("#what-wrong").as_str()),
        ("a text", "")
    );
    browser.assert_quiet();
}

#[test]
fn leaving_while_it_sends_is_asked_about_and_ends_it() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?text=stay"));
    let asks = "(() => { const e = new Event('beforeunload', { cancelable: true });
                dispatchEvent(e); return e.defaultPrevented; })()";
    assert_eq!(browser.get(asks), json!(false), "nothing is lost yet");
    let name = format!("/{}", browser.text("#name"));
    browser.click("#send");
    browser.until_text("#log", "[INFO] Waiting for 1 receiver(s)");
    assert_eq!(browser.get(asks), json!(true));
    drop(browser);
    eventually("the name is free", crate::common::SOON, || server.is_idle(&name));
}

#[test]
fn what_is_copied_can_be_pasted() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.open(&server.url("/?mode=text"));
    for without_clipboard in [false, true] {
        if without_clipboard {
            // As on a page that came over plain HTTP from another host.
            browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
        }
        for source in ["link", "receive-line", "send-line"] {
            // The button says so for two seconds only, and a busy machine may look too late.
            browser.run(&format!(
                "window.copied = false;
                 const button = document.querySelector('[data-copy={source}]');
                 new MutationObserver(() => {{ window.copied ||= button.textContent === 'Copied'; }})
                   .observe(button, {{ childList: true }});"
            ));
            browser.click(&format!("[data-copy={source}]"));
            browser.until("window.copied");
            browser.run("document.getElementById('text').value = ''");
            browser.type_into("#text", CONTROL_V);
            assert_eq!(browser.text("#text"), browser.text(&format!("#{source}")));
        }
    }
    browser.assert_quiet();
}
