//! Spec §10: how Content-Type and Content-Disposition of the sender look at the receiver.

use crate::common::{Head, Server, unique};

/// The receiver's head when the sender sends `headers` and the receiver asks with `query`.
fn forwarded(server: &Server, query: &str, headers: &[&str]) -> Head {
    through(server, &unique(), query, headers)
}

fn through(server: &Server, name: &str, query: &str, headers: &[&str]) -> Head {
    let mut receiver = server.get(&format!("{name}{query}"));
    let mut sender = server.put_with(name, headers);
    sender.head().expect(200);
    let head = receiver.head();
    head.expect(200);
    head
}

#[test]
fn content_types_are_kept_relabelled_or_dropped() {
    let server = Server::start(&[]);
    let table: [(&str, Option<&str>); 18] = [
        ("text/plain", Some("text/plain")),
        ("application/octet-stream", Some("application/octet-stream")),
        ("audio/ogg", Some("audio/ogg")),
        ("Image/PNG; q=1", Some("image/png")),
        ("text/plain; charset=UTF-8", Some("text/plain; charset=utf-8")),
        ("text/csv;charset=\"utf-8\"; header=present", Some("text/csv; charset=utf-8")),
        ("text/csv; charset=utf-16", Some("text/csv")),
        ("text/html", Some("text/plain")),
        ("TEXT/HTML ;x", Some("text/plain")),
        ("text/html; charset=iso-8859-1", Some("text/plain; charset=iso-8859-1")),
        ("image/svg+xml", Some("text/plain")),
        ("application/atom+xml", Some("text/plain")),
        ("application/xml", Some("text/plain")),
        ("text/javascript1.5", Some("text/plain")),
        ("application/x-ecmascript", Some("text/plain")),
        ("no slash", None),
        ("text/", None),
        ("text/plain\u{e9}", None),
    ];
    for (sent, wanted) in table {
        let head = forwarded(&server, "", &[&format!("Content-Type: {sent}")]);
        assert_eq!(head.get("content-type"), wanted, "{sent:?}");
    }
    let long = format!("Content-Type: text/plain; x={}", "a".repeat(9 << 10));
    assert_eq!(forwarded(&server, "", &[&long]).get("content-type"), None);
    assert_eq!(forwarded(&server, "", &[]).get("content-type"), None);
}

#[test]
fn dispositions_follow_the_first_matching_row() {
    let server = Server::start(&[]);
    const TXT: &str = "attachment; filename=\"a.txt\"";
    let table: [(&str, &[&str], Option<&str>); 14] = [
        ("?download=0&filename=b", &["Content-Disposition: attachment; filename=\"a.txt\""], None),
        (
            "?filename=b.bin",
            &["Content-Disposition: inline"],
            Some("attachment; filename=\"b.bin\""),
        ),
        ("?filename=%2F..", &[], Some("attachment")),
        ("?filename=a%22b", &[], Some("attachment; filename=\"a\\\"b\"")),
        ("?download", &["Content-Disposition: inline; filename=a.txt"], Some(TXT)),
        ("", &["Content-Disposition: attachment; filename=\"a.txt\""], Some(TXT)),
        ("", &["Content-Disposition: anything; filename=a.txt"], Some(TXT)),
        ("", &["Content-Disposition: attachment"], Some("attachment")),
        (
            "",
            &["Content-Type: audio/ogg", "Content-Disposition: inline; filename=a.txt"],
            Some("inline; filename=\"a.txt\""),
        ),
        ("", &["Content-Type: image/png", "Content-Disposition: inline"], Some("inline")),
        (
            "",
            &["Content-Type: application/zip", "Content-Disposition: inline; filename=a.txt"],
            Some(TXT),
        ),
        ("", &["Content-Disposition: inline; filename=a.txt"], Some(TXT)),
        ("", &[], None),
        (
            "",
            &["Content-Disposition: attachment; filename=\"x\"; filename*=UTF-8''na%C3%AFve.txt"],
            Some("attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ),
    ];
    for (query, sent, wanted) in table {
        let head = forwarded(&server, query, sent);
        assert_eq!(head.get("content-disposition"), wanted, "{query:?} {sent:?}");
    }
}

#[test]
fn a_download_without_a_file_name_is_called_like_the_pipe() {
    let server = Server::start(&[]);
    let head = through(&server, "/some/caf%C3%A9.txt", "?download", &[]);
    let wanted = "attachment; filename=\"caf_.txt\"; filename*=UTF-8''caf%C3%A9.txt";
    assert_eq!(head.get("content-disposition"), Some(wanted));
}

/// Row 26 of §27.
#[test]
fn file_names_are_sanitised() {
    let server = Server::start(&[]);
    let table = [
        ("filename=\"../../etc/passwd\"", "attachment; filename=\"etcpasswd\""),
        ("filename=\"a\\\"b\"", "attachment; filename=\"a\\\"b\""),
        ("filename=\"ok\"; filename*=klingon''x%FF", "attachment; filename=\"ok\""),
        ("filename=\"ok\"; filename*=UTF-8''%FF", "attachment; filename=\"ok\""),
    ];
    for (sent, wanted) in table {
        let sent = format!("Content-Disposition: attachment; {sent}");
        let head = forwarded(&server, "", &[&sent]);
        assert_eq!(head.get("content-disposition"), Some(wanted), "{sent}");
    }
    let long = format!("Content-Disposition: attachment; filename=\"{}\"", "n".repeat(5 << 10));
    let wanted = format!("attachment; filename=\"{}\"", "n".repeat(255));
    let head = forwarded(&server, "", &[&long]);
    assert_eq!(head.get("content-disposition"), Some(wanted.as_str()));
}

#[test]
fn metadata_over_8192_bytes_is_dropped_by_name() {
    let server = Server::start(&[]);
    let half = "v".repeat(5000);
    let head = forwarded(
        &server,
        "",
        &[
            &format!("X-Piping: {half}"),
            &format!("X-Piping: {half}"),
            &format!("X-Hoody-Pipe: {half}"),
        ],
    );
    assert!(head.get("x-piping").is_none());
    assert_eq!(head.get("x-hoody-pipe"), Some(half.as_str()));
}

#[test]
fn an_unusable_content_encoding_is_dropped() {
    let server = Server::start(&[]);
    let head = forwarded(&server, "", &["Content-Encoding: gzip, br"]);
    assert_eq!(head.get("content-encoding"), Some("gzip, br"));
    let head = forwarded(&server, "", &["Content-Encoding: gz(ip"]);
    assert_eq!(head.get("content-encoding"), None);
}
