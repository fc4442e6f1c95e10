//! `receive -o`: what a file is, who may write it, and that it can be written before anything comes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::{PATIENCE, Server, eventually, unique};

const ID: &str = "0123456789abcdef";

/// Runs `receive` against a transfer of `all`.
#[track_caller]
fn receives(output: &str, code: i32) -> String {
    let canned = Canned::start(&[Act::whole(ID, "all")]);
    let ended = Client::run(&["receive", &canned.url("/x"), "-o", output]);
    assert_eq!(ended.code, Some(code), "{output}: {}", ended.stderr);
    let asked = canned.heads().len();
    assert_eq!(asked, usize::from(code == 0), "what cannot be kept is not asked for");
    ended.stderr
}

#[test]
fn two_never_write_the_same_part() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let (name, output) = (unique(), folder.path("out"));
    let first = Client::start(&["receive", &server.url(&name), "-o", &output]);
    eventually("it is there", PATIENCE, || folder.read("out.part").is_some());
    let said = receives(&output, 2);
    assert!(said.contains("another receive writes") && said.contains("out.part"), "{said}");
    let mut sender = server.put_sized(&name, 5);
    sender.send(b"first");
    first.ended().expect(0);
    assert_eq!((folder.read("out"), folder.read("out.part")), (Some(b"first".to_vec()), None));
    // Now it is free.
    receives(&output, 0);
    assert_eq!(folder.read("out"), Some(b"all".to_vec()));
}

#[test]
fn what_is_no_file_is_written_to_as_it_is() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo).unwrap()
    });
    receives(&fifo, 0);
    assert_eq!(reader.join().unwrap(), b"all");
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    // A name of our own for the device: nobody loses the real one.
    let null = folder.path("null");
    symlink("/dev/null", &null).unwrap();
    receives(&null, 0);
    assert!(fs::metadata(&null).unwrap().file_type().is_char_device());
    assert_eq!((folder.read("fifo.part"), folder.read("null.part")), (None, None));
}

#[test]
fn the_target_of_a_link_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("far")).unwrap();
    let target = folder.file("far/file", b"old");
    symlink("far/file", folder.path("link")).unwrap();
    symlink("link", folder.path("again")).unwrap();
    symlink("far/new", folder.path("nowhere")).unwrap();
    symlink("loop", folder.path("loop")).unwrap();
    receives(&folder.path("again"), 0);
    assert_eq!(fs::read(&target).unwrap(), b"all");
    receives(&folder.path("nowhere"), 0);
    assert_eq!(folder.read("far/new"), Some(b"all".to_vec()));
    for name in ["link", "again", "nowhere"] {
        assert!(fs::symlink_metadata(folder.path(name)).unwrap().is_symlink(), "{name}");
    }
    receives(&folder.path("loop"), 2);
}

#[test]
fn a_planted_part_is_not_followed() {
    let folder = Folder::new();
    let precious = folder.file("precious", b"precious");
    symlink(&precious, folder.path("out.part")).unwrap();
    let said = receives(&folder.path("out"), 2);
    assert!(said.contains("out.part"), "{said}");
    assert_eq!((folder.read("precious"), folder.read("out")), (Some(b"precious".to_vec()), None));
    assert!(Command::new("mkfifo").arg(folder.path("two.part")).status().unwrap().success());
    receives(&folder.path("two"), 2);
    let linked = folder.path("three.part");
    fs::hard_link(&precious, linked).unwrap();
    receives(&folder.path("three"), 2);
    assert_eq!(folder.read("precious"), Some(b"precious".to_vec()));
}

#[test]
fn what_cannot_be_kept_is_not_asked_for() {
    let folder = Folder::new();
    let long = "x".repeat(252);
    for output in [folder.path(&long), "/proc/out".to_owned()] {
        let said = receives(&output, 2);
        assert!(said.contains(&output) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn nothing_leaves_nothing_and_an_older_part_stays() {
    let folder = Folder::new();
    let output = folder.path("out");
    for older in [None, Some(&b"older"[..])] {
        if let Some(older) = older {
            folder.file("out.part", older);
        }
        let canned = Canned::start(&[Act::status("404 Not Found")]);
        Client::run(&["receive", &canned.url("/x"), "-o", &output]).expect(3);
        let canned = Canned::start(&[Act::Hold(String::new())]);
        let client = Client::start(&["receive", &canned.url("/x"), "-o", &output]);
        eventually("it has asked", PATIENCE, || !canned.heads().is_empty());
        client.signal(rustix::process::Signal::INT);
        client.ended().expect(130);
        assert_eq!(folder.read("out.part").as_deref(), older);
    }
    // A shorter transfer than the older one is only itself.
    receives(&output, 0);
    assert_eq!((folder.read("out"), folder.read("out.part")), (Some(b"all".to_vec()), None));
    let nothing = format!("HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {ID}\r\n");
    let cut = Canned::start(&[Act::Say(format!("{nothing}Content-Length: 3\r\n\r\n"))]);
    let ended = Client::run(&["receive", &cut.url("/x"), "-o", &output]);
    assert!(!ended.expect(1).stderr.contains("what has come"), "{ended:?}");
    assert_eq!(folder.read("out.part"), None);
}

#[test]
fn what_is_no_transfer_is_never_a_success() {
    let folder = Folder::new();
    let output = folder.path("out");
    let partial = |status: &str| {
        Act::Say(format!(
            "HTTP/1.1 {status}\r\nX-Hoody-Pipe-Transfer-Id: {ID}\r\nContent-Length: 3\r\n\r\nall"
        ))
    };
    let nothing = Act::Say("HTTP/1.1 204 No Content\r\n\r\n".to_owned());
    for act in [Act::ok("<html>"), partial("206 Partial Content"), partial("203 Else"), nothing] {
        let canned = Canned::start(&[act]);
        for output in [&[][..], &["-o", &output]] {
            let ended = Client::run(&[&["receive", &canned.url("/x")], output].concat());
            let want = "this is no transfer: is this a relay, and does the URL have a name?";
            assert!(ended.expect(1).stderr.contains(want), "{ended:?}");
            assert_eq!(ended.text(), "");
        }
        assert_eq!((folder.read("out"), folder.read("out.part")), (None, None));
    }
    let server = Server::start(&[]);
    Client::run(&["receive", &server.url("/help")]).expect(1);
}
