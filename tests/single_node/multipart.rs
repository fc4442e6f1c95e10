//! Spec §14: what a receiver gets of a multipart upload, and how bad ones end.

use std::time::Duration;

use crate::common::server::head;
use crate::common::{Curl, End, Raw, Server, pattern, timed, unique};
use crate::reading::{expect_complete, expect_error, expect_failure};

const NOTHING: &str = "[ERROR] Transfer failed — the multipart body has no usable part.";
const LATE: &str = "[ERROR] Transfer failed — no multipart part arrived within 30 s.";
const TOO_LARGE: &str = "[ERROR] Transfer failed — the text field is larger than 1 MiB.";
const FORM: &str = "Content-Type: Multipart/Form-Data; boundary=b";

/// A receiver, and a sender of a chunked multipart body that has not begun; both are matched.
fn matched(server: &Server) -> (Raw, Raw) {
    let name = unique();
    let receiver = server.waiting_receivers(&name, 1).remove(0);
    let mut sender = server.put_with(&name, &[FORM]);
    sender.head().expect(200);
    sender.line_until("[INFO] Streaming to 1 receiver(s)...");
    (sender, receiver)
}

/// One part with the given head lines.
fn part(headers: &str, body: &[u8]) -> Vec<u8> {
    [b"--b\r\n", headers.as_bytes(), b"\r\n\r\n", body, b"\r\n"].concat()
}

/// Sends a whole multipart body of `parts` and gives what the receiver got.
fn through(server: &Server, parts: &[Vec<u8>]) -> (crate::common::Head, Vec<u8>, String) {
    let (mut sender, mut receiver) = matched(server);
    let body = [parts.concat(), b"--b--\r\n".to_vec()].concat();
    sender.chunk(&body);
    sender.finish();
    let head = receiver.head();
    let (bytes, end) = receiver.rest();
    assert_eq!((head.status, end), (200, End::Clean));
    (head, bytes, expect_complete(&mut sender))
}

const FILE: &str = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"";
const FIELD: &str = "Content-Disposition: form-data; name=\"other\"";
const TEXT: &str = "Content-Disposition: form-data; name=\"input_text\"";

#[test]
fn the_first_file_part_is_streamed() {
    let server = Server::start(&[]);
    let typed = format!("{FILE}\r\nContent-Type: text/html; charset=utf-8");
    let parts = [
        part(FIELD, b"dropped"),
        part("Content-Disposition: form-data; name=\"e\"; filename=\"\"", b""),
        part(&typed, b"<p>\r\n--not the end\r\n-"),
        part(FILE, b"ignored"),
    ];
    let (head, bytes, sent) = through(&server, &parts);
    assert_eq!(bytes, b"<p>\r\n--not the end\r\n-");
    assert!(sent.starts_with("[INFO] Sent 21 bytes to 1 of 1"), "only the part counts: {sent}");
    head.expect_field("content-type", "text/plain; charset=utf-8");
    head.expect_field("content-disposition", "attachment; filename=\"a.txt\"");
    assert!(head.get("content-length").is_none());
}

#[test]
fn a_part_with_a_type_of_its_own_keeps_its_disposition() {
    let server = Server::start(&[]);
    let disposition = "form-data; name=\"input_data\"";
    let headers =
        format!("Content-Disposition: {disposition}\r\nContent-Type: application/octet-stream");
    let (head, bytes, _) = through(&server, &[part(&headers, b"\0\x01\xff")]);
    assert_eq!(bytes, b"\0\x01\xff");
    head.expect_field("content-type", "application/octet-stream");
    head.expect_field("content-disposition", disposition);
}

#[test]
fn a_text_field_is_sent_when_there_is_no_file() {
    let server = Server::start(&[]);
    let (head, bytes, _) =
        through(&server, &[part(FIELD, b"no"), part(TEXT, b"yes"), part(TEXT, b"second")]);
    assert_eq!(bytes, b"yes");
    head.expect_field("content-type", "text/plain; charset=utf-8");
    assert!(head.get("content-disposition").is_none());
    let (_, bytes, _) = through(&server, &[part(TEXT, b"text"), part(FILE, b"a file wins")]);
    assert_eq!(bytes, b"a file wins");
}

#[test]
fn the_part_flows_as_it_comes_and_is_hashed_alone() {
    let server = Server::start(&[]);
    let name = unique();
    let mut receiver = server.get(&name);
    let mut sender = server.put_with(&format!("{name}?sha256"), &[FORM]);
    sender.head().expect(200);
    sender.chunk(format!("--b\r\n{FILE}\r\n\r\n").as_bytes());
    receiver.head().expect(200);
    for piece in [&b"one"[..], b"two\r\n", b"\r\n--", b"b"] {
        sender.chunk(piece);
    }
    assert_eq!(receiver.body(6), b"onetwo");
    sender.chunk(b"x\r\n--b--\r\nepilogue");
    sender.finish();
    assert_eq!(receiver.rest(), (b"\r\n\r\n--bx".to_vec(), End::Clean));
    let digest = crate::common::sha256(b"onetwo\r\n\r\n--bx");
    sender.line_until(&format!("[INFO] SHA-256: {digest}"));
    expect_complete(&mut sender);
}

#[test]
fn curl_forms_work() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&name);
    let body = pattern(2 << 20);
    let file = std::env::temp_dir().join(format!("hoody-pipe-form{}", name.replace('/', "-")));
    std::fs::write(&file, &body).unwrap();
    let receiver = Curl::start(&["-fsSN", &url]);
    let field = format!("f=@{};filename=x.bin", file.display());
    let sender = Curl::run(&["-sS", "--fail-with-body", "-F", "note=hi", "-F", &field, &url]);
    let _ = std::fs::remove_file(&file);
    assert!(sender.expect(0).text().ends_with("[INFO] Transfer complete.\n"));
    assert!(receiver.ended().expect(0).stdout == body);

    let receiver = Curl::start(&["-fsSN", &url]);
    Curl::run(&["-fsS", "-F", "input_text=hello", &url]).expect(0);
    assert_eq!(receiver.ended().expect(0).text(), "hello");
}

#[test]
fn the_transfer_is_complete_at_the_end_of_the_part() {
    let server = Server::start(&[]);
    let (mut sender, mut receiver) = matched(&server);
    sender.chunk(&part(FILE, b"whole"));
    sender.chunk(b"--b\r\n");
    receiver.head().expect(200);
    assert_eq!(receiver.rest(), (b"whole".to_vec(), End::Clean));
    sender.line_until("[INFO] Transfer complete.");
}

/// Rows 25 and 27 of §27, as far as they need no patience.
#[test]
fn a_body_without_a_usable_part_fails() {
    let server = Server::start(&[]);
    let many = part(FIELD, b"small").repeat(1001);
    let long_head = format!("--b\r\nX: {}\r\n", "a".repeat(17 << 10)).into_bytes();
    let table: [(&str, Vec<u8>, &str); 7] = [
        ("empty", b"--b--\r\n".to_vec(), NOTHING),
        ("fields only", [part(FIELD, b"x"), b"--b--\r\n".to_vec()].concat(), NOTHING),
        ("no boundary", b"just text".to_vec(), NOTHING),
        ("preamble", vec![b'p'; 70 << 10], NOTHING),
        ("many parts", [many, part(FILE, b"x")].concat(), NOTHING),
        ("part head", long_head, NOTHING),
        ("text", part(TEXT, &vec![b't'; (1 << 20) + 1]), TOO_LARGE),
    ];
    for (what, body, text) in table {
        let (mut sender, mut receiver) = matched(&server);
        for piece in body.chunks(16 << 10) {
            if sender.try_chunk(piece).is_err() {
                break;
            }
        }
        let _ = sender.try_send("0\r\n\r\n");
        eprintln!("{what}");
        expect_failure(&mut sender, text);
        expect_error(&mut receiver, 500, "multipart", text);
    }
}

#[test]
fn a_body_that_ends_inside_its_part_is_a_cut() {
    let server = Server::start(&[]);
    let (mut sender, mut receiver) = matched(&server);
    sender.chunk(format!("--b\r\n{FILE}\r\n\r\nhalf").as_bytes());
    receiver.head().expect(200);
    sender.finish();
    expect_failure(&mut sender, NOTHING);
    let (bytes, end) = receiver.rest();
    assert!(b"half".starts_with(&bytes[..]) && end == End::Short);
}

#[test]
fn memory_stays_flat_under_an_endless_preamble() {
    let server = Server::start(&[]);
    let before = server.resident_kib();
    for _ in 0..4 {
        let (mut sender, mut receiver) = matched(&server);
        let piece = vec![b'-'; 64 << 10];
        for _ in 0..1024 {
            if sender.try_chunk(&piece).is_err() {
                break;
            }
        }
        receiver.head().expect(500);
    }
    assert!(server.peak_kib() < before + (30 << 10), "{} KiB", server.peak_kib());
}

#[test]
fn bad_boundaries_are_refused_before_anything_else() {
    let server = Server::start(&[]);
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for value in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "MULTIPART/form-data; boundary=\"a{b\"",
        &long,
    ] {
        let headers = [
            "Expect: 100-continue",
            "Transfer-Encoding: chunked",
            &format!("Content-Type: {value}"),
        ];
        let mut raw = server.request(head("POST", "/x", &headers));
        expect_error(&mut raw, 400, "bad_multipart", "[ERROR] Invalid multipart boundary.");
    }
    let text = "[ERROR] Content-Encoding is not supported with multipart/form-data.";
    let mut raw = server.put_with("/x", &[FORM, "Content-Encoding: gzip"]);
    expect_error(&mut raw, 400, "bad_multipart", text);
    let mut fine = server.put_with("/x", &[FORM, "Content-Encoding: identity"]);
    fine.head().expect(200);
}

#[test]
fn a_part_has_thirty_seconds_to_come() {
    let server = Server::start(&[]);
    let (mut sender, mut receiver) = matched(&server);
    let (line, time) = timed(|| sender.try_line(Duration::from_secs(50)).unwrap());
    assert_eq!(line, LATE);
    assert!(time > Duration::from_secs(28) && time < Duration::from_secs(35), "{time:?}");
    assert_ne!(sender.rest().1, End::Clean);
    expect_error(&mut receiver, 500, "multipart", LATE);
}
