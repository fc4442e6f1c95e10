//! What can be told apart by eye where colours are the user's own.

use serde_json::json;

use crate::browser::Browser;
use crate::common::Server;

#[test]
fn the_chosen_tab_is_seen_without_our_colours() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    browser.emulate("forced-colors", "active");
    for page in ["/", "/noscript"] {
        browser.open(&server.url(page));
        let look = |mode: &str| {
            browser.get(&format!(
                "(({{ outlineStyle, backgroundColor }}) => [outlineStyle, backgroundColor])(
                 getComputedStyle(document.querySelector('label[for=mode-{mode}]')))"
            ))
        };
        let (chosen, other) = (look("file"), look("text"));
        assert_eq!((&chosen[0], &other[0]), (&json!("solid"), &json!("none")), "{page}");
        assert_ne!(chosen[1], other[1], "{page}");
    }
}

#[test]
fn a_page_has_one_left_edge() {
    let (server, browser) = (Server::start(&[]), Browser::start());
    for page in ["/", "/noscript", "/x?progress"] {
        browser.open(&server.url(page));
        let edges = browser.get(
            "new Set(['.brand', 'h1', '.card'].map((css) =>
             Math.round(document.querySelector(css).getBoundingClientRect().left))).size",
        );
        assert_eq!(edges, json!(1), "{page}");
    }
}
