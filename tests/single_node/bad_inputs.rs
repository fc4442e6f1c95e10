//! Spec §27: requests that are wrong in their head. Each row is raw bytes and what must come back.
//! Rows about bodies, time and memory are in `bad_streams`.

use std::time::Duration;

use crate::common::server::head;
use crate::common::{End, Raw, Server, unique};
use crate::reading::{assert_error_headers, expect_error};

/// Reads an answer of the HTTP parser: one of `statuses`, then the end of the connection.
#[track_caller]
fn expect_rejected(raw: &mut Raw, statuses: &[u16], what: &str) {
    match raw.try_head() {
        Ok(head) => {
            assert!(statuses.contains(&head.status), "{what}: {head:?}");
            assert_eq!(head.get("connection"), Some("close"), "{what}");
            let _ = raw.rest();
        }
        // Zero in the list says that a close without an answer is fine too.
        Err(end) => assert!(statuses.contains(&0), "{what}: {end:?} without an answer"),
    }
    raw.closed_within(Duration::from_secs(5));
}

#[test]
fn rows_1_and_2_bad_counts() {
    let server = Server::start(&[]);
    let text = "[ERROR] Invalid receiver count — \"n\" must be a positive integer.";
    for n in ["0", "-1", "abc", "3abc", "1e2", "", "%2B3", "+3", "03", "1.0", "%EF%BC%93", "2..3"] {
        expect_error(&mut server.get(&format!("/x?n={n}")), 400, "bad_n", text);
        expect_error(&mut server.put(&format!("/x?n={n}")), 400, "bad_n", text);
    }
    expect_error(&mut server.get("/x?n"), 400, "bad_n", text);
    let text = "[ERROR] Receiver count out of range (1-256, got 257).";
    expect_error(&mut server.put("/x?n=257"), 400, "bad_n", text);
    let text = "[ERROR] Receiver count out of range (1-256, got 99999999999999999999).";
    expect_error(&mut server.get("/x?n=99999999999999999999"), 400, "bad_n", text);
    let text = "[ERROR] Receiver count out of range (1-256).";
    expect_error(&mut server.get("/x?n=999999999999999999999"), 400, "bad_n", text);
    server.put("/x?n=256").head().expect(200);
}

#[test]
fn row_6_reserved_pages_cannot_be_sent_to() {
    let server = Server::start(&[]);
    for (target, folded) in [
        ("/", "/"),
        ("/help", "/help"),
        ("/noscript", "/noscript"),
        ("/new", "/new"),
        ("/favicon.ico", "/favicon.ico"),
        ("/robots.txt", "/robots.txt"),
        ("/HELP", "/help"),
        ("/help/", "/help"),
        ("/help.", "/help"),
        ("/help./", "/help"),
        ("/help%2e", "/help"),
        ("/api/v1/pipe/help", "/help"),
        ("/pipe/help", "/help"),
        ("/api/v1/pipe", "/"),
        ("/pipe/", "/"),
    ] {
        let text = format!(
            "[ERROR] '{folded}' is a reserved path. Use a custom path like '/myfile' or '/transfer123'."
        );
        expect_error(&mut server.put(target), 400, "reserved", &text);
    }
    for pipe in
        ["/help..", "/metrics..", "/version", "/pipes/x", "/api/v1/pipe.", "/api/v1/pipe/pipe"]
    {
        server.put(pipe).head().expect(200);
    }
}

#[test]
fn row_7_endpoints_outside_their_prefix() {
    let server = Server::start(&[]);
    for (target, word) in [
        ("/health", "health"),
        ("/Metrics/", "metrics"),
        ("/pipe/health", "health"),
        ("/openapi.json", "openapi.json"),
    ] {
        let text = format!("[ERROR] '/{word}' is not a valid path. Use '/api/v1/pipe/{word}'.");
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            expect_error(&mut server.ask(method, target), 404, "not_a_path", &text);
        }
    }
}

#[test]
fn row_9_forbidden_paths() {
    let server = Server::start(&[]);
    let text = "[ERROR] Path contains forbidden characters.";
    for target in [
        "/./x",
        "/../x",
        "/x/..",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "//x",
        "/pipe//x",
        "/api/v1/pipe//x",
        "/a%00b",
        "/a%0d%0aX:y",
        "/a%1fb",
        "/a%7fb",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/%c0%af",
        "/%ff",
        "/%ed%a0%80",
        "/%",
        "/a%",
        "/a%4",
        "/%zz",
        "/a#b",
    ] {
        expect_error(&mut server.get(target), 400, "bad_path", text);
    }
    for raw in [&b"\x01"[..], b"\x1f", b"\x7f", b"\x80", b"\xff", "é".as_bytes(), b"\t"] {
        let request = [b"GET /a", raw, b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        let mut answer = server.request(request);
        // A parser that refuses such a target before the path is looked at is right as well.
        answer.head().expect(400);
    }
}

#[test]
fn row_11_nothing_is_ever_proxied() {
    let server = Server::start(&[]);
    let mut raw = server.request("CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n");
    expect_rejected(&mut raw, &[405], "CONNECT");
    let name = unique();
    let mut receiver =
        server.request(format!("GET http://elsewhere.example{name} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let _sender = server.put(&name);
    receiver.head().expect(200);
    // What replaces Host is what the texts of pages are made from.
    let mut page =
        server.request("GET http://other.example:99/new HTTP/1.1\r\nHost: a.example\r\n\r\n");
    page.head().expect(200);
    let url = String::from_utf8(page.rest().0).unwrap();
    assert!(url.starts_with("http://other.example:99/"), "{url}");
}

#[test]
fn row_11_no_scheme_goes_round_the_allowed_hosts() {
    let server = Server::start(&["--allowed-hosts", "pipe.example.com"]);
    let text = "[ERROR] This host name is not served here.";
    for scheme in ["http", "https", "ftp", "HTTP", "x+y-z.1"] {
        for target in ["/x", "/help", "/api/v1/pipe/health", ""] {
            let request =
                format!("GET {scheme}://evil{target} HTTP/1.1\r\nHost: pipe.example.com\r\n\r\n");
            expect_error(&mut server.request(request), 421, "misdirected", text);
        }
    }
}

#[test]
fn row_12_ranges_and_conditions_are_ignored() {
    let server = Server::start(&[]);
    let ranges = format!("Range: bytes={}", vec!["0-0"; 1000].join(","));
    for header in
        ["Range: bytes=0-", &ranges, "If-None-Match: *", "If-Modified-Since: x", "TE: trailers"]
    {
        let name = unique();
        let mut receiver = server.get_with(&name, &[header, "Accept-Encoding: gzip"]);
        let mut sender = server.put_sized(&name, 3);
        sender.send("abc");
        let head = receiver.head();
        head.expect(200);
        assert!(head.get("content-encoding").is_none() && head.get("content-range").is_none());
        assert_eq!(receiver.rest().0, b"abc");
    }
}

#[test]
fn rows_15_and_16_ambiguous_framing() {
    let server = Server::start(&[]);
    let too_long = "18446744073709551616";
    let lengths =
        ["+5", "-1", "0x5", "5,5", "5, 5", "1_0", "", "5 5", too_long, "99999999999999999999"];
    for length in lengths {
        let mut raw = server.request(head("PUT", "/x", &[&format!("Content-Length: {length}")]));
        expect_rejected(&mut raw, &[400], length);
    }
    let table: [&[&str]; 9] = [
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
        &["Content-Length: 5", "Content-Length: 5"],
        &["Content-Length: 5", "Content-Length: 6"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, gzip"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: chunked;q=1"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ];
    for headers in table {
        let mut raw = server.request(head("PUT", "/x", headers));
        expect_rejected(&mut raw, &[400, 501], &headers.join("; "));
    }
    let fields = [
        "Transfer-Encoding : chunked",
        "X: a\r\n folded",
        "X: a\0b",
        "Content-Length: 1\r\nTransfer-Encoding:\x0bchunked",
    ];
    for field in fields {
        for method in ["GET", "PUT"] {
            let mut raw = server.request(head(method, "/x", &[field]));
            expect_rejected(&mut raw, &[400, 501], field);
        }
    }
    for request in [
        "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /x HTTP/1.0\r\n\r\n",
        "PUT /x HTTP/1.0\r\nHost: h\r\n\r\n",
    ] {
        expect_rejected(&mut server.request(request), &[400, 501], request);
    }
}

#[test]
fn row_19_bad_hosts() {
    let server = Server::start(&[]);
    for hosts in
        ["", "Host: a\r\nHost: a\r\n", "Host: a@b\r\n", "Host: a/b\r\n", "Host:\r\n", "Host: \r\n"]
    {
        for target in ["/x", "/help"] {
            let mut raw = server.request(format!("GET {target} HTTP/1.1\r\n{hosts}\r\n"));
            expect_rejected(&mut raw, &[400], hosts);
        }
    }
}

#[test]
fn row_20_large_heads() {
    let server = Server::start(&[]);
    let fields = |count: usize| (0..count).map(|at| format!("X-{at}: v\r\n")).collect::<String>();
    let mut raw = server.request(format!("GET /help HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(95)));
    raw.head().expect(200);
    for head in [
        format!("GET /help HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(96)),
        format!("PUT /x HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(200)),
        format!("GET /x HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "v".repeat(128 << 10)),
        format!(
            "GET /x HTTP/1.1\r\nHost: h\r\n{}: {}\r\n\r\n",
            "n".repeat(100 << 10),
            "v".repeat(64 << 10)
        ),
    ] {
        let mut raw = server.connect();
        let _ = raw.try_send(&head);
        expect_rejected(&mut raw, &[431], &head[..40]);
    }
    let mut raw = server.connect();
    let _ =
        raw.try_send(format!("GET /x HTTP/1.1\r\nHost: h\r\n{}: v\r\n\r\n", "n".repeat(100 << 10)));
    expect_rejected(&mut raw, &[431], "a name of 100 KiB");
}

#[test]
fn row_21_what_is_not_http_is_ended_quickly_and_quietly() {
    let server = Server::start(&[]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz";
    let table: [(&str, &[u8]); 12] = [
        ("bare LF", b"GET /x HTTP/1.1\nHost: h\n\n"),
        ("one bare LF", b"GET /x HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
        ("bare CR", b"GET /x HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
        ("leading space", b" GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("no colon", b"GET /x HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"),
        ("space in a name", b"GET /x HTTP/1.1\r\nHost: h\r\nX y: z\r\n\r\n"),
        ("empty name", b"GET /x HTTP/1.1\r\nHost: h\r\n: z\r\n\r\n"),
        ("two spaces", b"GET  /x HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("no version", b"GET /x\r\n\r\n"),
        ("other version", b"GET /x HTTP/3.0\r\nHost: h\r\n\r\n"),
        ("garbage", b"\x00\x01\x02\x03\xff\xfe\r\n\r\n\r\n"),
        ("ClientHello", hello),
    ];
    for (what, bytes) in table {
        expect_rejected(&mut server.request(bytes), &[400, 505, 0], what);
    }
    let before = server.log().len();
    for _ in 0..300 {
        let _ = server.request(hello).closed_within(Duration::from_secs(5));
    }
    assert!(server.log().len() < before + (32 << 10), "no log flood");
}

#[test]
fn row_23_upgrades_are_ignored() {
    let server = Server::start(&[]);
    for upgrade in ["websocket", "h2c", "TLS/1.0"] {
        let name = unique();
        let fields =
            [&format!("Upgrade: {upgrade}"), "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
        let mut receiver = server.get_with(&name, &fields);
        let mut sender = server.put_sized(&name, 1);
        receiver.head().expect(200);
        sender.send("x");
        assert_eq!(receiver.rest().0, b"x");
    }
    // Bytes that come too early are never taken for a request of their own that is carried out.
    let victim = server.waiting_sender("/victim", 1);
    let mut raw = server
        .request("GET /up?wait=2 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n\x01\x05hello");
    raw.head().expect(408);
    drop(victim);
}

#[test]
fn row_28_seconds_out_of_their_domain() {
    let server = Server::start(&[]);
    for key in ["wait", "stall"] {
        let word = if key == "wait" { "Wait" } else { "Stall" };
        let code = format!("bad_{key}");
        for value in ["0", "3601", "99999"] {
            let text = format!("[ERROR] {word} out of range (1-3600 seconds, got {value}).");
            expect_error(&mut server.get(&format!("/x?{key}={value}")), 400, &code, &text);
        }
        let text = format!(
            "[ERROR] Invalid {key} — \"{key}\" must be an integer number of seconds (1-3600)."
        );
        for query in [
            format!("{key}=1.5"),
            key.to_owned(),
            format!("{key}="),
            format!("{key}=030"),
            format!("{key}=-1"),
            format!("{key}=1s"),
        ] {
            expect_error(&mut server.put(&format!("/x?{query}")), 400, &code, &text);
        }
        server.put(&format!("{}?{key}=3600", unique())).head().expect(200);
    }
    server.put(&format!("{}?colour=red&colour=blue", unique())).head().expect(200);
}

#[test]
fn row_32_internal_words_are_ordinary_names() {
    let server = Server::start(&[]);
    server.assert_usable("/_internal/raft");
    server.assert_usable("/trunk/x");
    let mut raw =
        server.request("OPTIONS /_internal/x HTTP/1.1\r\nHost: h\r\nX-Pipe-Hop: 1\r\n\r\n");
    raw.head().expect(200);
}

#[test]
fn a_parser_error_has_a_text_and_the_common_headers() {
    let server = Server::start(&[]);
    for (request, why) in [
        ("GET /x HTTP/1.1\r\n\r\n", "no Host"),
        ("GET /x HTTP/3.0\r\nHost: h\r\n\r\n", "only HTTP/1.0 and HTTP/1.1 are served here"),
        ("GET /x HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", "a header field is malformed"),
        ("GET /x HTTP/1.1\nHost: h\n\n", "a line ends without CR"),
    ] {
        let mut raw = server.request(request);
        let text = format!("[ERROR] Malformed HTTP request: {why}.");
        let head = expect_error(&mut raw, 400, "bad_request", &text);
        head.expect_field("connection", "close");
    }
    let many = (0..97).map(|at| format!("X-{at}: v\r\n")).collect::<String>();
    let mut raw = server.request(format!("GET /x HTTP/1.1\r\nHost: h\r\n{many}\r\n"));
    let head = raw.head();
    let (body, end) = raw.rest();
    assert!(body.starts_with(b"[ERROR] Request head too large") && body.ends_with(b"\n"));
    assert_eq!(end, End::Clean);
    assert_error_headers(head.expect(431).expect_field("connection", "close"), "head_too_large");
}
