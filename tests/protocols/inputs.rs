//! Spec §27: bad inputs get the same answer over every protocol.

use crate::common::unique;
use crate::kit::{ALL, Relay};

#[test]
fn what_is_refused_is_refused_alike() {
    let relay = Relay::start(&["--allowed-hosts", "127.0.0.1"]);
    let long = format!("/{}", "n".repeat(1025));
    let (send, x) = (&["-T", "/dev/null"][..], "/x");
    for (args, target, status) in [
        (&[][..], "/x?n=0", "400"),
        (&[], "/x?n=257", "400"),
        (&[], "/x?n=2&n=2", "400"),
        (&["-H", "X-Pipe-N: 4"], "/x?n=3", "400"),
        (send, "/help", "400"),
        (send, "/Help.", "400"),
        (send, "/api/v1/pipe/health", "405"),
        (&[], "/health", "404"),
        (&[], &*long, "414"),
        (&["--path-as-is"], "/a/../b", "400"),
        (&["--path-as-is"], "//x", "400"),
        (&[], "/a%00b", "400"),
        (&[], "/a%2fb", "400"),
        (&[], "/%zz", "400"),
        (&["-X", "PATCH"], x, "405"),
        (&["-I"], x, "405"),
        (&["-T", "/dev/null", "-H", "Content-Range: bytes 0-1/2"], x, "400"),
        (&["-H", "Service-Worker: script"], x, "400"),
        (&["-T", "/dev/null", "-H", "X-Pipe-Length: +5"], x, "400"),
        (&["-H", "Host: elsewhere"], x, "421"),
        (&["-T", "/dev/null", "-H", "Content-Type: multipart/form-data"], x, "400"),
        (&[], "/x?wait=0", "400"),
        (&[], "/x?stall=1.5", "400"),
        (&["-T", "/dev/null"], "/x?transfer=short", "400"),
        (&["-X", "DELETE"], "/nobody", "404"),
        (&["-X", "DELETE"], "/help", "405"),
        (&["-X", "OPTIONS"], x, "200"),
        (&["-X", "OPTIONS"], "/api/v1/pipe/health", "204"),
        (&[], "/", "200"),
        (&["-I"], "/help", "200"),
        (&[], "/api/v1/pipe/health", "200"),
    ] {
        for protocol in ALL {
            let got = relay.status(protocol, args, target);
            assert_eq!(got, status, "{protocol:?} {args:?} {target}");
        }
    }
}

#[test]
fn an_error_says_the_same_everywhere() {
    let relay = Relay::start(&[]);
    let texts = ALL.map(|protocol| {
        let text = relay.run(protocol, &["-sS", "-i"], "/x?n=0").expect(0).text();
        let lines = text.lines().skip(1).filter(|line| !line.starts_with("Connection"));
        let mut lines: Vec<String> = lines.map(|l| l.trim().to_ascii_lowercase()).collect();
        lines.sort();
        lines
    });
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
    assert!(texts[0].contains(&"x-pipe-error: bad_n".to_owned()));
}

#[test]
fn receivers_get_the_same_head_everywhere() {
    let relay = Relay::start(&[]);
    let heads = ALL.map(|protocol| {
        let name = unique();
        let receiver = relay.curl(protocol, &["-sSN", "-i"], &format!("{name}?filename=a.txt"));
        let args = ["-sS", "-H", "Content-Type: audio/ogg", "-H", "X-Piping: v", "-d", "x"];
        relay.run(protocol, &args, &name).expect(0);
        let text = receiver.ended().expect(0).text();
        let lines = text.split("\r\n\r\n").next().unwrap().lines().skip(1);
        let lines = lines.filter(|line| !line.to_ascii_lowercase().contains("transfer-id"));
        let mut lines: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
        lines.sort();
        lines
    });
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:#?}");
    assert!(heads[0].contains(&"content-length: 1".to_owned()), "{heads:#?}");
}

/// Known limits of the crates (docs/architecture.md): over HTTP/2 we never see these.
#[test]
fn what_the_crates_decide_about_literal_paths() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        for target in
            ["/a<b?status", "/a>b?status", "/a`b?status", "/a?status&q=<", "/a?status&q=\""]
        {
            let asked = relay.run(protocol, &["-gsS", "-w", "%{http_code}"], target);
            if protocol.is_two() {
                assert_eq!(asked.code, Some(92), "{protocol:?} {target}");
            } else {
                assert_ne!(asked.code, Some(92), "{protocol:?} {target}");
            }
        }
        let args = ["--request-target", "/help#x"];
        let status = relay.status(protocol, &args, "/");
        assert_eq!(status, if protocol.is_two() { "200" } else { "400" }, "{protocol:?}");
    }
}
