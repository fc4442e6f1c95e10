//! Spec §15: every refusal with its status, code, text and headers. Those that need a full or
//! stopping server are in `overload` and `drain`, cancelled parties in `cancel`.

use crate::common::server::head;
use crate::common::{End, SOON, Server, unique};
use crate::reading::{assert_error_headers, expect_error};

/// Method, target, more header lines; status, code, text.
type Row = (&'static str, &'static str, &'static [&'static str], u16, &'static str, &'static str);

const BAD_N: &str = "[ERROR] Invalid receiver count — \"n\" must be a positive integer.";
const BAD_WAIT: &str =
    "[ERROR] Invalid wait — \"wait\" must be an integer number of seconds (1-3600).";
const BAD_STALL: &str =
    "[ERROR] Invalid stall — \"stall\" must be an integer number of seconds (1-3600).";
const BAD_TRANSFER: &str = "[ERROR] Invalid \"transfer\" — 16-64 characters A-Z a-z 0-9 _ -.";
const BAD_LENGTH: &str = "[ERROR] Invalid X-Pipe-Length — decimal digits only.";
const NO_RANGE: &str = "[ERROR] Content-Range headers are not supported.";
const NO_WORKER: &str = "[ERROR] Service Worker requests are not allowed.";
const NO_BOUNDARY: &str = "[ERROR] Invalid multipart boundary.";
const ENCODED: &str = "[ERROR] Content-Encoding is not supported with multipart/form-data.";
const NO_PAGE: &str = "[ERROR] This page is not enabled on this server.";
const NO_LIVE: &str = "[ERROR] Live streams are not enabled on this server.";
const NO_WS: &str = "[ERROR] WebSocket relay is not enabled on this server.";
const FORM: &str = "Content-Type: multipart/form-data; boundary=b";
const HTML: &str = "Accept: text/html,*/*";

/// What is refused whatever the state of the name.
const TABLE: &[Row] = &[
    ("GET", "/a%00b", &[], 400, "bad_path", "[ERROR] Path contains forbidden characters."),
    (
        "PUT",
        "/Help/",
        &[],
        400,
        "reserved",
        "[ERROR] '/help' is a reserved path. Use a custom path like '/myfile' or '/transfer123'.",
    ),
    ("GET", "/x?n=zero", &[], 400, "bad_n", BAD_N),
    ("PUT", "/x", &["X-Pipe-N: 0"], 400, "bad_n", BAD_N),
    ("GET", "/x?n=257", &[], 400, "bad_n", "[ERROR] Receiver count out of range (1-256, got 257)."),
    (
        "GET",
        "/x?n=3",
        &["X-Pipe-N: 4"],
        400,
        "bad_n",
        "[ERROR] Receiver count conflict — \"n\" is 3 but X-Pipe-N is 4.",
    ),
    (
        "GET",
        "/x?n=2&n=2",
        &[],
        400,
        "dup_param",
        "[ERROR] Parameter \"n\" is given more than once.",
    ),
    (
        "PUT",
        "/x?wait=2&wait=3",
        &[],
        400,
        "dup_param",
        "[ERROR] Parameter \"wait\" is given more than once.",
    ),
    (
        "PUT",
        "/x",
        &["X-Pipe-N: 2", "X-Pipe-N: 2"],
        400,
        "dup_param",
        "[ERROR] Parameter \"X-Pipe-N\" is given more than once.",
    ),
    (
        "PUT",
        "/x",
        &["X-Pipe-Length: 2", "X-Pipe-Length: 2"],
        400,
        "dup_param",
        "[ERROR] Parameter \"X-Pipe-Length\" is given more than once.",
    ),
    ("GET", "/x?wait", &[], 400, "bad_wait", BAD_WAIT),
    (
        "PUT",
        "/x?wait=0",
        &[],
        400,
        "bad_wait",
        "[ERROR] Wait out of range (1-3600 seconds, got 0).",
    ),
    ("PUT", "/x?stall=1.5", &[], 400, "bad_stall", BAD_STALL),
    (
        "GET",
        "/x?stall=3601",
        &[],
        400,
        "bad_stall",
        "[ERROR] Stall out of range (1-3600 seconds, got 3601).",
    ),
    ("PUT", "/x?transfer=short", &[], 400, "bad_transfer", BAD_TRANSFER),
    ("PUT", "/x", &["X-Pipe-Length: 1e3"], 400, "bad_length", BAD_LENGTH),
    (
        "PUT",
        "/x",
        &["X-Pipe-Length: 5", FORM],
        400,
        "bad_length",
        "[ERROR] X-Pipe-Length cannot be combined with multipart/form-data.",
    ),
    ("PUT", "/x", &["Content-Type: multipart/form-data"], 400, "bad_multipart", NO_BOUNDARY),
    ("PUT", "/x", &[FORM, "Content-Encoding: gzip"], 400, "bad_multipart", ENCODED),
    ("PUT", "/x", &["Content-Range: bytes 0-1/2"], 400, "content_range", NO_RANGE),
    ("GET", "/x", &["Service-Worker: script"], 400, "service_worker", NO_WORKER),
    (
        "DELETE",
        "/x?reason=a%0ab",
        &[],
        400,
        "bad_reason",
        "[ERROR] Invalid \"reason\" — at most 200 printable characters.",
    ),
    (
        "GET",
        "/health",
        &[],
        404,
        "not_a_path",
        "[ERROR] '/health' is not a valid path. Use '/api/v1/pipe/health'.",
    ),
    (
        "PUT",
        "/pipe/Metrics.",
        &[],
        404,
        "not_a_path",
        "[ERROR] '/metrics' is not a valid path. Use '/api/v1/pipe/metrics'.",
    ),
    (
        "OPTIONS",
        "/openapi.json",
        &[],
        404,
        "not_a_path",
        "[ERROR] '/openapi.json' is not a valid path. Use '/api/v1/pipe/openapi.json'.",
    ),
    ("DELETE", "/pipe/nobody", &[], 404, "no_pipe", "[ERROR] No pipe at '/nobody'."),
    (
        "PATCH",
        "/x",
        &[],
        405,
        "method",
        "[ERROR] Method PATCH is not allowed. Use GET, POST, PUT, or DELETE.",
    ),
    ("DELETE", "/help", &[], 405, "method", "[ERROR] Method DELETE is not allowed."),
    ("PUT", "/api/v1/pipe/health", &[], 405, "method", "[ERROR] Method PUT is not allowed."),
    ("PUT", "/x", &["Expect: 200-ok"], 417, "expectation", "[ERROR] Unsupported Expect header."),
    ("GET", "/x?ws", &[], 501, "not_enabled", NO_WS),
    ("GET", "/x?live=1", &[], 501, "not_enabled", NO_LIVE),
    ("PUT", "/x?live", &[], 501, "not_enabled", NO_LIVE),
    ("GET", "/x?video", &[HTML], 501, "not_enabled", NO_PAGE),
    ("GET", "/x?receive=yes", &[HTML], 501, "not_enabled", NO_PAGE),
    ("GET", "/x?share", &[HTML], 501, "not_enabled", NO_PAGE),
];

/// The order of the checks of §7: the earlier one answers.
const ORDER: &[Row] = &[
    ("PATCH", "/a/../b?n=0", &[], 400, "bad_path", "[ERROR] Path contains forbidden characters."),
    (
        "PATCH",
        "/x?ws&n=0",
        &[],
        405,
        "method",
        "[ERROR] Method PATCH is not allowed. Use GET, POST, PUT, or DELETE.",
    ),
    ("GET", "/x?ws&n=0", &["Service-Worker: script"], 501, "not_enabled", NO_WS),
    ("GET", "/x?n=0", &["Service-Worker: script"], 400, "service_worker", NO_WORKER),
    ("PUT", "/x?n=0", &["Content-Range: x", "Expect: 200-ok"], 400, "content_range", NO_RANGE),
    ("DELETE", "/x?n=0&wait=abc", &[], 404, "no_pipe", "[ERROR] No pipe at '/x'."),
];

#[test]
fn every_refusal_has_its_text() {
    let server = Server::start(&[]);
    for (method, target, headers, status, code, text) in TABLE.iter().chain(ORDER) {
        let mut all = headers.to_vec();
        if *method == "PUT" {
            all.push("Transfer-Encoding: chunked");
        }
        let mut raw = server.request(head(method, target, &all));
        let head = expect_error(&mut raw, *status, code, text);
        if *method == "PUT" {
            head.expect_field("connection", "close");
        }
    }
}

#[test]
fn a_declared_length_must_be_the_content_length() {
    let server = Server::start(&[]);
    let request = head("PUT", "/x", &["X-Pipe-Length: 5", "Content-Length: 6"]);
    let text = "[ERROR] X-Pipe-Length and Content-Length differ.";
    expect_error(&mut server.request(request), 400, "bad_length", text);
}

#[test]
fn long_names_are_refused_after_canonicalisation() {
    let server = Server::start(&[]);
    let text = "[ERROR] Path too long (max 1024 characters).";
    let long = "a".repeat(1025);
    expect_error(&mut server.get(&format!("/{long}")), 414, "path_too_long", text);
    expect_error(&mut server.get(&format!("/api/v1/pipe/{long}")), 414, "path_too_long", text);
    // 1,024 characters are fine, also when they come as three times as many bytes.
    server.assert_usable(&format!("/{}", &long[1..]));
    server.assert_usable(&format!("/{}", "%41".repeat(1024)));
}

#[test]
fn other_methods_learn_which_are_allowed() {
    let server = Server::start(&[]);
    let pipe = "GET, POST, PUT, DELETE, OPTIONS";
    let page = "GET, HEAD, OPTIONS";
    for method in ["PATCH", "TRACE", "PROPFIND", "get", "HEAD"] {
        let mut raw = server.ask(method, "/x");
        raw.head().expect(405).expect_field("allow", pipe);
    }
    for (method, target) in
        [("DELETE", "/new"), ("PATCH", "/robots.txt"), ("POST", "/api/v1/pipe/health")]
    {
        server.ask(method, target).head().expect(405).expect_field("allow", page);
    }
    let mut raw = server.ask(&"M".repeat(40), "/x");
    let text =
        format!("[ERROR] Method {} is not allowed. Use GET, POST, PUT, or DELETE.", "M".repeat(32));
    expect_error(&mut raw, 405, "method", &text);
}

#[test]
fn a_refused_head_has_no_body() {
    let server = Server::start(&[]);
    let mut raw = server.ask("HEAD", "/x");
    let head = raw.head();
    assert_error_headers(head.expect(405), "method");
    raw.half_close();
    assert_eq!(raw.rest(), (vec![], End::Clean));
    raw.expect_no_more();
}

#[test]
fn foreign_hosts_are_misdirected() {
    let server = Server::start(&["--allowed-hosts", "pipe.example.com"]);
    let text = "[ERROR] This host name is not served here.";
    for target in ["/x", "/help", "/api/v1/pipe/health"] {
        expect_error(&mut server.get(target), 421, "misdirected", text);
    }
    let mut raw = server.request("OPTIONS /x HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");
    expect_error(&mut raw, 421, "misdirected", text);
    // The authority of an absolute target replaces Host.
    for evil in ["http://evil.example.com/x", "http://evil.example.com/help", "ftp://evil/x"] {
        let request = format!("GET {evil} HTTP/1.1\r\nHost: pipe.example.com\r\n\r\n");
        expect_error(&mut server.request(request), 421, "misdirected", text);
    }
    for page in ["http://pipe.example.com/robots.txt", "ftp://pipe.example.com/robots.txt"] {
        let request = format!("GET {page} HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");
        server.request(request).head().expect(200);
    }
    let mut raw = server.request("GET /robots.txt HTTP/1.1\r\nHost: Pipe.Example.Com\r\n\r\n");
    raw.head().expect(200);
}

#[test]
fn a_transfer_id_can_be_used_once() {
    let server = Server::start(&[]);
    let id = "my-transfer_0123456789";
    let text = "[ERROR] Transfer id already in use.";
    let name = unique();
    let mut sender = server.put(&format!("{name}?transfer={id}"));
    sender.head().expect(200);
    let other = format!("{}?transfer={id}", unique());
    expect_error(&mut server.put(&other), 409, "transfer_taken", text);
    let mut receiver = server.get(&name);
    receiver.head().expect(200).expect_field("x-hoody-pipe-transfer-id", id);
    sender.finish();
    sender.line_until("[INFO] Transfer complete.");
    expect_error(&mut server.put(&other), 409, "transfer_taken", text);
}

#[test]
fn phase_two_switches_do_nothing_when_off_or_for_programs() {
    let server = Server::start(&[]);
    for query in ["?ws=0&live=false&video=no", "?video", "?receive=1", "?share", "?unknown=1"] {
        let name = unique();
        let mut receiver = server.get(&format!("{name}{query}"));
        let _sender = server.put(&name);
        receiver.head().expect(200);
    }
    let name = unique();
    let mut browser = server.get_with(&name, &[HTML]);
    let _sender = server.put(&name);
    browser.head().expect(200);
}

#[test]
fn a_refused_upload_may_go_on_for_a_while_and_the_text_survives() {
    let server = Server::start(&[]);
    let mut raw = server.put("/help");
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..16 {
        if raw.try_chunk(&piece).is_err() {
            break;
        }
    }
    raw.head().expect(400).expect_field("connection", "close");
    assert_eq!(raw.rest().1, End::Clean);
    raw.closed_within(SOON);
}
