//! Spec §17 to §19 and §21: the pages of this build, preflights, health, and connections that are
//! used more than once.

use std::time::Duration;

use crate::common::server::{head, run_to_end};
use crate::common::{End, Raw, SOON, Server, timed, unique};

/// Reads a whole page as text.
#[track_caller]
fn page(raw: &mut Raw) -> (crate::common::Head, String) {
    let head = raw.head();
    let (body, end) = raw.rest();
    assert_eq!(end, End::Clean);
    (head, String::from_utf8(body).expect("pages are UTF-8"))
}

const PREFIXES: [&str; 3] = ["", "/pipe", "/api/v1/pipe"];

#[test]
fn help_has_copy_paste_lines_with_the_callers_address() {
    let server = Server::start(&[]);
    for target in
        ["/help", "/pipe/help", "/api/v1/pipe/help", "/Help./", "/", "/pipe", "/api/v1/pipe/"]
    {
        let mut raw =
            server.request(format!("GET {target} HTTP/1.1\r\nHost: my.example:81\r\n\r\n"));
        let (head, text) = page(&mut raw);
        head.expect(200)
            .expect_field("content-type", "text/plain; charset=utf-8")
            .expect_field("access-control-allow-origin", "*")
            .expect_field("x-content-type-options", "nosniff");
        let first = text.lines().next().unwrap();
        assert_eq!(first, format!("hoody-pipe {}", env!("CARGO_PKG_VERSION")));
        assert!(text.contains("http://my.example:81/"), "{text}");
        for word in ["curl", "-N", "X-Pipe-N", "/new", "DELETE", "sha256", "age -p"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }
}

#[test]
fn the_base_can_be_configured() {
    let server = Server::start(&["--public-url", "https://pipe.example.com"]);
    let (_, url) = page(&mut server.get("/new"));
    assert!(url.starts_with("https://pipe.example.com/"), "{url}");
    assert!(page(&mut server.get("/help")).1.contains("https://pipe.example.com/"));
}

#[test]
fn forwarded_headers_count_from_trusted_proxies_only() {
    let fields = ["X-Forwarded-Proto: https", "X-Forwarded-Host: pipe.example.com"];
    let server = Server::start(&[]);
    let (_, url) = page(&mut server.get_with("/new", &fields));
    assert!(url.starts_with("https://pipe.example.com/"), "loopback is trusted: {url}");
    let server = Server::start(&["--trusted-proxies", "10.0.0.0/8"]);
    let (_, url) = page(&mut server.get_with("/new", &fields));
    assert!(url.starts_with("http://localhost/"), "{url}");
}

#[test]
fn new_names_are_fresh() {
    let server = Server::start(&[]);
    let mut names = Vec::new();
    for prefix in PREFIXES {
        let (head, text) = page(&mut server.get(&format!("{prefix}/new")));
        head.expect(200).expect_field("cache-control", "no-store");
        assert!(head.get("content-type").unwrap().starts_with("text/plain"));
        let name = text.strip_prefix("http://localhost/").and_then(|rest| rest.strip_suffix('\n'));
        names.push(name.expect(&text).to_owned());
    }
    let (head, text) = page(&mut server.get_with("/new", &["Accept: application/json"]));
    assert!(head.get("content-type").unwrap().starts_with("application/json"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let name = json["name"].as_str().unwrap().to_owned();
    assert_eq!(json["url"], format!("http://localhost/{name}"));
    assert_eq!(json.as_object().unwrap().len(), 2);
    names.push(name);
    for name in &names {
        let valid = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
        assert!(name.len() == 26 && name.bytes().all(valid), "{name}");
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4);
}

#[test]
fn negotiated_answers_say_so() {
    let server = Server::start(&[]);
    for target in ["/", "/new"] {
        let head = server.get(target).head();
        let vary = head.get("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.split(',').any(|name| name.trim() == "accept"), "{target}: {head:?}");
    }
}

#[test]
fn robots_and_icon() {
    let server = Server::start(&[]);
    for prefix in PREFIXES {
        let (head, text) = page(&mut server.get(&format!("{prefix}/robots.txt")));
        assert!(head.expect(200).get("content-type").unwrap().starts_with("text/plain"));
        assert_eq!(text, "User-agent: *\nDisallow: /\n");
        let mut raw = server.get(&format!("{prefix}/favicon.ico"));
        let head = raw.head();
        head.expect(200)
            .expect_field("content-type", "image/x-icon")
            .expect_field("cache-control", "public, max-age=86400");
        let (icon, end) = raw.rest();
        assert!(icon.starts_with(&[0, 0, 1, 0]) && icon.len() < 32768 && end == End::Clean);
    }
}

#[test]
fn health_has_exactly_nine_fields() {
    let server = Server::start(&[]);
    for target in ["/api/v1/pipe/health", "/api/v1/pipe/Health/", "/api/v1/pipe/health."] {
        let (head, text) = page(&mut server.get_with(target, &["User-Agent: test/1"]));
        head.expect(200);
        assert!(head.get("content-type").unwrap().starts_with("application/json"));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let wanted =
            ["built", "fds", "ip", "memory", "pid", "service", "started", "status", "userAgent"];
        assert_eq!(keys, wanted);
        assert_eq!(json["status"], "ok");
        assert_eq!(json["service"], "hoody-pipe");
        assert_eq!(json["userAgent"], "test/1");
        assert_eq!(json["ip"], "127.0.0.1");
        assert!(json["memory"]["rss"].as_u64().unwrap() > 0 && json["memory"]["heap"].is_null());
        assert!(json["fds"].as_u64().unwrap() > 0 && json["pid"].as_u64().unwrap() > 0);
        for time in ["built", "started"] {
            let text = json[time].as_str().unwrap();
            assert!(text.len() >= 20 && text.contains('T') && text.ends_with('Z'), "{text}");
        }
    }
    let (_, text) = page(&mut server.get("/api/v1/pipe/health"));
    assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["userAgent"].is_null());
}

#[test]
fn head_gives_the_headers_of_get() {
    let server = Server::start(&[]);
    let targets =
        ["/", "/help", "/noscript", "/new", "/robots.txt", "/favicon.ico", "/api/v1/pipe/health"];
    for target in targets {
        let get = server.get(target).head();
        let mut raw = server.ask("HEAD", target);
        let head = raw.head();
        assert_eq!((head.status, head.names()), (200, get.names()), "{target}");
        assert_eq!(head.get("content-type"), get.get("content-type"));
        raw.half_close();
        raw.expect_no_more();
    }
}

/// What a browser says that it wants.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";

#[test]
fn browsers_get_pages_that_load_and_run_nothing_foreign() {
    let server = Server::start(&[]);
    for (target, script, rest) in [
        ("/", true, "; form-action 'none'; frame-ancestors 'none'"),
        ("/api/v1/pipe/", true, "; form-action 'none'; frame-ancestors 'none'"),
        ("/noscript", false, "; form-action 'self'; frame-ancestors 'none'"),
        ("/pipe/NoScript/?path=x", false, "; form-action 'self'; frame-ancestors 'none'"),
        ("/some/name?progress", true, "; form-action 'none'"),
    ] {
        let (head, html) = page(&mut server.get_with(target, &[BROWSER]));
        head.expect(200)
            .expect_field("content-type", "text/html; charset=utf-8")
            .expect_field("x-content-type-options", "nosniff")
            .expect_field("referrer-policy", "no-referrer")
            .expect_field("cache-control", "no-store")
            .expect_field("access-control-allow-origin", "*");
        assert_eq!(head.get("set-cookie"), None);
        let nonce = html.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let script = if script { format!("script-src 'nonce-{nonce}'; ") } else { String::new() };
        let policy = format!(
            "default-src 'none'; {script}style-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'{rest}"
        );
        assert_eq!(head.get("content-security-policy"), Some(policy.as_str()), "{target}");
        assert_eq!(html.contains("<script"), !script.is_empty(), "{target}");
        assert_eq!(head.get("vary").is_some(), !target.to_ascii_lowercase().contains("noscript"));
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && !html.contains("{{"));
    }
    let nonce =
        || page(&mut server.get("/noscript")).0.get("content-security-policy").unwrap().to_owned();
    assert_ne!(nonce(), nonce(), "each answer has a nonce of its own");
}

#[test]
fn head_of_a_negotiated_page_is_that_of_its_get() {
    let server = Server::start(&[]);
    let get = server.get_with("/", &[BROWSER]).head();
    let mut raw = server.request(head("HEAD", "/", &[BROWSER]));
    let head = raw.head();
    assert_eq!((head.status, head.names()), (200, get.names()));
    assert_eq!(head.get("content-type"), get.get("content-type"));
    raw.expect_no_more();
}

#[test]
fn the_query_fills_the_send_page_as_text() {
    let server = Server::start(&["--public-url", "https://pipe.example.com/relay"]);
    let target = "/?name=%22%3E%3Cscript%3E&n=999&text=%3C/textarea%3E&filename=a'b&autostart=1";
    let (_, html) = page(&mut server.get_with(target, &[BROWSER]));
    for part in [
        "id=\"name\" value=\"&quot;&gt;&lt;script&gt;\"",
        "id=\"n\" value=\"1\"",
        "\n&lt;/textarea&gt;</textarea>",
        "value=\"a&#39;b\"",
        "data-base=\"https://pipe.example.com/relay\"",
        "data-autostart=\"yes\"",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn flags_that_say_too_little_and_misspelt_flags_are_refused() {
    for flag in ["--cluster-listen", "--tls-listen", "--max-actve", "--nonsense"] {
        let code = run_to_end(&[flag, "127.0.0.1:0"]);
        assert_eq!(code, Some(2), "{flag}");
    }
}

#[test]
fn preflights() {
    let server = Server::start(&[]);
    let methods = "GET, POST, PUT, DELETE, OPTIONS";
    let with_head = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
    let allowed = "Content-Type, Content-Disposition, Authorization, X-Piping, X-Hoody-Pipe, X-Pipe-N, X-Pipe-Length";
    for (target, methods) in [
        ("/any/name", methods),
        ("/help", methods),
        ("/", methods),
        ("*", methods),
        ("/x?n=0&ws", methods),
        ("/x?status", with_head),
        ("/x?status=0", methods),
    ] {
        let fields = ["Origin: https://a.example", "Access-Control-Request-Private-Network: true"];
        let mut raw = server.request(head("OPTIONS", target, &fields));
        let head = raw.head();
        head.expect(200)
            .expect_field("content-length", "0")
            .expect_field("access-control-allow-origin", "*")
            .expect_field("access-control-allow-methods", methods)
            .expect_field("access-control-allow-headers", allowed)
            .expect_field("access-control-max-age", "86400");
        assert!(head.get("access-control-allow-private-network").is_none());
        assert!(head.get("access-control-allow-credentials").is_none());
    }
    for target in ["/api/v1/pipe/health", "/api/v1/pipe/Health."] {
        let head = server.ask("OPTIONS", target).head();
        head.expect(204)
            .expect_field("access-control-allow-methods", "GET, HEAD, OPTIONS")
            .expect_field("access-control-allow-headers", "Content-Type");
    }
    let long = format!("/{}", "a".repeat(1025));
    for (target, status) in [("/a//../b", 400), ("/health", 404), (long.as_str(), 414)] {
        server.ask("OPTIONS", target).head().expect(status);
    }
}

#[test]
fn private_networks_are_allowed_only_when_switched_on_and_asked_for() {
    let server = Server::start(&["--allow-private-network"]);
    let name = "access-control-allow-private-network";
    let ask = ["Access-Control-Request-Private-Network: true"];
    let asked = server.request(head("OPTIONS", "/x", &ask)).head();
    assert_eq!(asked.get(name), Some("true"));
    assert_eq!(server.ask("OPTIONS", "/x").head().get(name), None);
    assert_eq!(server.request(head("OPTIONS", "/api/v1/pipe/health", &ask)).head().get(name), None);
}

#[test]
fn a_connection_is_used_again_after_a_clean_end() {
    let server = Server::start(&[]);
    let (mut one, mut two) = (server.connect(), server.connect());
    for round in 0..3 {
        let name = unique();
        one.send(head("PUT", &name, &["Content-Length: 3"]));
        two.send(head("GET", &name, &[]));
        one.head().expect(200);
        one.send("abc");
        two.head().expect(200);
        assert_eq!(two.rest(), (b"abc".to_vec(), End::Clean), "round {round}");
        assert_eq!(one.lines().1, End::Clean);
        // Also after a refusal whose body was read, and with the roles changed.
        one.send(head("GET", "/x?n=0", &[]));
        one.head().expect(400);
        let _ = one.rest();
        std::mem::swap(&mut one, &mut two);
    }
}

#[test]
fn pipelined_requests_are_served_in_order() {
    let server = Server::start(&[]);
    let name = unique();
    let both = head("GET", &format!("{name}?wait=3"), &[]) + &head("GET", "/x?n=0", &[]);
    let mut receiver = server.request(both);
    receiver.expect_silence(Duration::from_millis(200));
    let mut sender = server.put_sized(&name, 5);
    sender.send("first");
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"first".to_vec(), End::Clean));
    receiver.head().expect(400);
    let _ = receiver.rest();

    let twice = format!(
        "{}hello{}",
        head("PUT", &name, &["Content-Length: 5"]),
        head("DELETE", "/none", &[])
    );
    let mut sender = server.request(twice);
    sender.head().expect(200);
    assert_eq!(server.get(&name).head().status, 200);
    assert_eq!(sender.lines().1, End::Clean);
    sender.head().expect(404);
}

/// Whatever else a request for a page says or announces, the page is the one answer.
#[test]
fn a_connection_that_asked_for_a_page_closes_after_it() {
    let server = Server::start(&[]);
    let table: [(&str, &[&str]); 8] = [
        ("/robots.txt", &[]),
        ("/help", &["Connection: keep-alive"]),
        (
            "/help",
            &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"],
        ),
        ("/new", &["Expect: 100-continue"]),
        ("/new", &["Expect: 100-continue", "Content-Length: 5"]),
        ("/api/v1/pipe/health", &["Content-Length: 5"]),
        ("/help", &["Transfer-Encoding: chunked"]),
        ("/new?a=\"<>{}", &[]),
    ];
    for (target, headers) in table {
        let mut raw = server.get_with(target, headers);
        let (_, time) = timed(|| {
            let (head, text) = page(&mut raw);
            head.expect(200).expect_field("connection", "close");
            assert!(!text.is_empty(), "{target} {headers:?}");
            raw.expect_no_more();
        });
        assert!(time < SOON, "{target} {headers:?}: {time:?}");
    }
}

#[test]
fn a_request_behind_a_page_is_not_answered() {
    let server = Server::start(&[]);
    let name = unique();
    let mut sender = server.waiting_sender(&name, 1);
    for behind in [head("GET", &name, &[]), head("DELETE", &name, &[]), head("GET", "/help", &[])] {
        let mut raw = server.request(head("GET", "/robots.txt", &[]) + &behind);
        let (head, text) = page(&mut raw);
        head.expect(200).expect_field("connection", "close");
        assert_eq!(text, "User-agent: *\nDisallow: /\n");
        // A FIN, not a reset, which could overtake the page.
        raw.expect_no_more();
    }
    sender.expect_silence(Duration::from_millis(200));
}

#[test]
fn close_is_obeyed() {
    let server = Server::start(&[]);
    let mut raw = server.get_with("/x?n=0", &["Connection: close"]);
    raw.head().expect(400).expect_field("connection", "close");
    let _ = raw.rest();
    assert_ne!(raw.closed_within(SOON), End::Reset);
}

#[test]
fn the_server_says_where_it_listens() {
    let server = Server::start(&[]);
    let first = format!("listening on http://{}\n", server.address());
    assert!(server.stdout().starts_with(&first), "{}", server.stdout());
}
