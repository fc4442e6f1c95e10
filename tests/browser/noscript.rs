//! The forms of `/noscript`, submitted as a browser submits them.

use crate::browser::{Browser, Upload};
use crate::common::{Curl, Server, unique};

#[test]
fn the_forms_send_a_text() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let name = unique();
    browser.open(&server.url("/noscript?sha256&wait=60"));
    assert_eq!(browser.get("document.querySelector('[method=post] button').disabled"), true);
    browser.type_into("#path", &name);
    browser.click("label[for=mode-text]");
    browser.click("[method=get] button");
    browser.until("location.search.includes('mode=text')");
    assert_eq!(browser.text("#path"), name.trim_start_matches('/'));
    let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
    browser.type_into("#input", "without a script");
    browser.assert_quiet();
    browser.click("[method=post] button");
    assert_eq!(receiver.ended().expect(0).text(), "without a script");
    browser.until("document.body.innerText.includes('[INFO] Transfer complete.')");
    assert_eq!(browser.get("location.search"), "?wait=60&sha256=1");
    assert_eq!(browser.get("document.body.innerText.includes('[INFO] SHA-256: ')"), true);
}

#[test]
fn the_forms_send_a_file_under_any_prefix() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    let upload = Upload::new("a.bin", &[0, 1, 2, 255]);
    for page in ["/noscript", "/pipe/noscript/", "/api/v1/pipe/noscript"] {
        let name = unique();
        browser.open(&server.url(&format!("{page}?path={name}")));
        let receiver = Curl::start(&["-fsSNi", &server.url(&name)]);
        browser.type_into("#input", upload.path());
        browser.assert_quiet();
        browser.click("[method=post] button");
        let got = receiver.ended().expect(0).stdout.clone();
        assert!(got.ends_with(&[b'\n', 0, 1, 2, 255]), "{page}");
        assert!(String::from_utf8_lossy(&got).contains("filename=\"a.bin\""), "{page}");
        browser.until("document.body.innerText.includes('[INFO] Transfer complete.')");
    }
}
