//! Certificates: whom the client trusts, and what it says when it does not.

use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, date_time_ymd};

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::tls::{Authority, Front};
use crate::common::{SOON, Server, timed};
use crate::send::closed_port;

const ID: &str = "0123456789abcdef";

#[test]
fn nobody_is_trusted_without_reason() {
    let canned = Canned::start(&[Act::whole(ID, "all")]);
    let authority = Authority::new();
    let front = Front::start(authority.acceptor("127.0.0.1", &[]), canned.address());
    let url = front.url("/x");
    let (ours, others) = (authority.path(), Authority::new());
    for command in ["receive", "status", "progress", "cancel"] {
        for flags in [&[][..], &["--cacert", others.path()]] {
            let ended = Client::run(&[&[command, &url][..], flags].concat());
            let said = &ended.expect(4).stderr;
            assert!(said.starts_with("hoody-pipe: nobody known to this system vouches"), "{said}");
            assert!(said.contains("--cacert FILE") && said.lines().count() == 1, "{said}");
        }
    }
    Client::run(&["send", &url, "--retry", "3", "--", "echo", "hi"]).expect(4);
    assert_eq!(canned.heads(), [] as [&str; 0], "nobody untrusted is told anything");
    for flags in [&["--cacert", ours][..], &["--insecure"]] {
        let ended = Client::run(&[&["receive", &url][..], flags].concat());
        assert_eq!(ended.expect(0).text(), "all");
    }
}

#[test]
fn a_wrong_certificate_is_named() {
    let canned = Canned::start(&[Act::whole(ID, "all")]);
    let authority = Authority::new();
    let params = || CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let mut expired = params();
    expired.not_after = date_time_ymd(2001, 1, 1);
    let mut early = params();
    early.not_before = date_time_ymd(4000, 1, 1);
    let foreign = CertificateParams::new(["other.example".to_owned()]).unwrap();
    for (params, want) in [
        (expired, "has expired; it has to be renewed there"),
        (early, "is not valid yet; check the clock"),
        (foreign, "is for another host name; check the URL"),
    ] {
        let front = Front::start(authority.acceptor_of(params, &[]), canned.address());
        let ended = Client::run(&["receive", &front.url("/x"), "--cacert", authority.path()]);
        assert!(ended.expect(4).stderr.contains(want), "{want}: {}", ended.stderr);
    }
}

#[test]
fn what_is_no_certificate_is_a_mistake_of_usage() {
    let folder = Folder::new();
    let empty = folder.file("empty.pem", b"nothing here");
    let broken = folder
        .file("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for path in ["/nonexistent.pem", &empty, &broken] {
        let ended = Client::run(&["receive", "https://127.0.0.1:1/x", "--cacert", path]);
        let said = &ended.expect(2).stderr;
        assert!(said.contains(path) && said.contains("--cacert"), "{said}");
    }
}

#[test]
fn no_connection_is_explained() {
    let plain = Server::start(&[]);
    let nobody = closed_port();
    for (url, want) in [
        (format!("http://{nobody}/x"), format!("nobody listens at {nobody}; check host and port")),
        (format!("https://u:secret@{nobody}/x"), format!("nobody listens at {nobody};")),
        ("http://nonexistent.invalid/x".to_owned(), "cannot find the address of".to_owned()),
        (format!("https://{}/x", plain.address()), "write http://".to_owned()),
    ] {
        let ended = Client::run(&["receive", &url]);
        let said = &ended.expect(4).stderr;
        assert!(said.contains(&want) && !said.contains("secret"), "{url}: {said}");
    }
}

#[test]
fn a_server_that_keeps_silent_is_given_up_after_ten_seconds() {
    let canned = Canned::start(&[Act::Hold(String::new())]);
    let url = format!("https://{}/x", canned.address());
    let (ended, time) = timed(|| Client::run(&["receive", &url]));
    assert!(ended.expect(4).stderr.contains("within 10 s; check host, port"), "{ended:?}");
    assert!((Duration::from_secs(9)..Duration::from_secs(10) + SOON).contains(&time), "{time:?}");
}

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let canned = Canned::start(&[Act::whole(ID, "all")]);
    let nobody = format!("http://{}", closed_port());
    let output = Command::new(env!("CARGO_BIN_EXE_hoody-pipe"))
        .args(["receive", &canned.url("/x")])
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, &nobody)))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"all"[..]), "{output:?}");
}
