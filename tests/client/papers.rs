//! What is there to read: help, completions, manual pages, and what a terminal shows.

use std::process::Command;

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::{Server, pattern, unique};

const COMMANDS: [&str; 8] =
    ["send", "receive", "status", "progress", "cancel", "health", "completions", "man"];

/// Whether a program is installed; what needs it is left out otherwise.
fn installed(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn help_has_examples_exit_codes_and_fits_on_a_terminal() {
    let all = Client::run(&["--help"]).expect(0).text();
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in {all}");
        let help = Client::run(&[command, "--help"]).expect(0).text();
        assert!(help.contains(&format!("  hoody-pipe {command} ")), "no example in {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        if !["completions", "man"].contains(&command) {
            for want in ["Exit codes: 0", "--cacert", "--insecure", "--http1", "HTTP_PROXY"] {
                assert!(help.contains(want), "{command}: no {want} in {help}");
            }
        }
    }
}

#[test]
fn examples_of_the_help_are_understood() {
    let mut tried = 0;
    for command in COMMANDS {
        let help = Client::run(&[command, "--help"]).expect(0).text();
        let lines =
            help.lines().filter(|line| line.starts_with("  ") && line.contains("hoody-pipe "));
        for example in lines.filter(|line| !line.contains("[OPTIONS]")) {
            // Everything but the usage is understood: an unused port says so before anything else.
            let binary = env!("CARGO_BIN_EXE_hoody-pipe");
            let folder = Folder::new();
            let script = example
                .replace("hoody-pipe ", &format!("'{binary}' "))
                .replace(":8080", ":1")
                .replace("health   ", "health http://127.0.0.1:1/readyz   ")
                .replace(":9090", ":1")
                .replace("/etc/bash_completion.d/hoody-pipe", "one")
                .replace("/usr/local/share/zsh/site-functions/_hoody-pipe", "two")
                .replace("~/.config/fish/completions/hoody-pipe.fish", "three")
                .replace("/usr/local/share/man/man1", ".")
                .replace("| psql app", "; exit $?")
                .replace("| jq", "; exit $?; jq")
                .replace("pg_dump app", "echo hi")
                .replace("--retry 99", "");
            std::fs::write(folder.path("image.tar"), "x").unwrap();
            let output = Command::new("bash")
                .args(["-c", &script])
                .current_dir(folder.path("."))
                .output()
                .unwrap();
            let want = if ["completions", "man"].contains(&command) { 0 } else { 4 };
            assert_eq!(output.status.code(), Some(want), "{script}: {output:?}");
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} examples");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = Client::run(&["completions", shell]).expect(0).stdout.clone();
        let text = String::from_utf8(script).unwrap();
        for word in ["receive", "progress", "transfer-id", "cacert", "require-all"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
        let path = folder.file(shell, text.as_bytes());
        if installed(shell) {
            let output = Command::new(shell).args(["-n", &path]).output().unwrap();
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    // What a person would see after pressing Tab.
    for (words, want) in [
        ("rec", "receive"),
        ("send --tr", "--transfer-id"),
        ("receive --ca", "--cacert"),
        ("completions ", "bash zsh fish"),
    ] {
        let (before, last) = words.rsplit_once(' ').unwrap_or(("", words));
        let script = format!(
            "source '{}'; COMP_WORDS=(hoody-pipe {before} '{last}'); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _hoody__pipe hoody-pipe '{last}' \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; \
             echo \"${{COMPREPLY[@]}}\"",
            folder.path("bash")
        );
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let got = String::from_utf8_lossy(&output.stdout);
        assert!(got.trim_end().ends_with(want), "{words}: {output:?}");
    }
    Client::run(&["completions", "tcsh"]).expect(2);
}

#[test]
fn manual_pages_render() {
    let folder = Folder::new();
    Client::run(&["man", &folder.path(".")]).expect(0);
    let main = Client::run(&["man"]).expect(0).stdout.clone();
    assert_eq!(folder.read("hoody-pipe.1").as_ref(), Some(&main));
    let main = String::from_utf8(main).unwrap();
    assert!(main.contains("\nhoody\\-pipe \\- passes the body"), "{main}");
    let synopsis = main.split(".SH").find(|part| part.contains("SYNOPSIS")).unwrap();
    assert!(synopsis.contains("hoody\\-pipe [OPTIONS]\n"), "{synopsis}");
    assert!(!synopsis.contains("listen"), "{synopsis}");
    assert_eq!(folder.read("hoody-pipe-help.1"), None);
    for command in COMMANDS {
        let name = format!("hoody-pipe-{command}.1");
        let page = String::from_utf8(folder.read(&name).unwrap()).unwrap();
        assert!(page.contains(&format!("\n.TH hoody-pipe-{command} 1")), "{page}");
        let codes =
            if ["completions", "man"].contains(&command) { "OPTIONS" } else { "EXIT STATUS" };
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", codes, "EXAMPLES"] {
            let plain = page.replace('"', "");
            assert!(plain.contains(&format!("\n.SH {section}\n")), "{name}: no {section}");
        }
        if installed("man") {
            let output = Command::new("man")
                .args(["--warnings", "-l", &folder.path(&name)])
                .env("MANWIDTH", "80")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
            assert!(text.contains(&format!("hoody-pipe {command}")), "{name}: {text}");
        }
    }
    let ended = Client::run(&["man", "/nonexistent"]);
    assert!(ended.expect(1).stderr.contains("/nonexistent"), "{ended:?}");
}

#[test]
fn a_terminal_shows_progress_and_a_pipe_does_not() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let bytes = pattern(3_000_000);
    let (name, output) = (unique(), folder.path("out"));
    let receiver = Client::on_terminal(&["receive", &server.url(&name), "-o", &output]);
    let mut sender = server.put_sized(&name, bytes.len());
    sender.head().expect(200);
    sender.send(&bytes[..2_000_000]);
    receiver.expect_output("MiB of 2.86 MiB, ");
    sender.send(&bytes[2_000_000..]);
    receiver.ended().expect(0);
    assert_eq!(folder.read("out"), Some(bytes.clone()));

    let file = folder.file("file", &bytes);
    let mut slow = server.get(&name);
    let sender = Client::on_terminal(&["send", &file, &server.url(&name)]);
    slow.head().expect(200);
    sender.expect_output("[INFO] Streaming to 1 receiver(s)...");
    sender.expect_output("MiB of 2.86 MiB, ");
    assert_eq!(slow.rest().0, bytes);
    assert!(sender.ended().expect(0).text().contains("[INFO] Transfer complete."));

    // Neither a pipe nor --quiet has a line that moves.
    let url = server.url(&name);
    for quiet in [
        Client::on_terminal(&["receive", &url, "-n", "2", "-o", &output, "--quiet"]),
        Client::start(&["receive", &url, "-n", "2", "-o", &folder.path("other")]),
    ]
    .map(|receiver| std::thread::spawn(move || receiver.ended()))
    .into_iter()
    .chain([std::thread::spawn({
        let (file, url) = (file.clone(), url.clone());
        move || Client::run(&["send", &file, &url, "-n", "2"])
    })]) {
        let ended = quiet.join().unwrap();
        let shown = ended.expect(0).text() + &ended.stderr;
        assert!(!shown.contains("MiB"), "{shown}");
    }
}

#[test]
fn waiting_counts_neither_into_speed_nor_into_time() {
    let server = Server::start(&[]);
    let folder = Folder::new();
    let (name, output) = (unique(), folder.path("out"));
    let receiver = Client::on_terminal(&["receive", &server.url(&name), "-o", &output]);
    receiver.expect_output("waiting, 2s");
    let mut sender = server.put(&name);
    sender.head().expect(200);
    sender.chunk(b"five!");
    receiver.expect_output("5 B, ");
    receiver.expect_output(", 0s");
    sender.finish();
    let shown = receiver.ended().expect(0).text();
    assert!(!shown.contains(" left"), "{shown}");

    // A part of the file has been read long before somebody takes it.
    let file = folder.file("file", &pattern(3_000_000));
    let sender = Client::on_terminal(&["send", &file, &server.url(&name)]);
    sender.expect_output("waiting, 1s");
    let receiver = Client::start(&["receive", &server.url(&name), "-o", &output]);
    receiver.ended().expect(0);
    let shown = sender.ended().expect(0).text();
    let (before, _) = shown.split_once("[INFO] Streaming").unwrap();
    assert!(!before.contains(" left") && !before.contains("/s"), "{shown}");
}

#[test]
fn help_can_be_asked_for_by_a_word() {
    for (words, want) in [(&["help"][..], "First steps:"), (&["help", "send"], "--require-all")] {
        let text = Client::run(words).expect(0).text();
        assert!(text.contains(want), "{text}");
    }
    assert!(Client::run(&["help", "sned"]).expect(2).stderr.contains("sned"));
}

#[test]
fn a_terminal_is_told_in_words_and_a_program_in_json() {
    const STATUS: &str = r#"{"state":"idle","totalReceivers":null}"#;
    let canned = Canned::start(&[Act::ok(STATUS)]);
    let shown = Client::on_terminal(&["status", &canned.url("/x")]).ended();
    let lines: Vec<String> = shown.expect(0).text().lines().map(str::to_owned).collect();
    assert_eq!(lines, ["{", "  \"state\": \"idle\",", "  \"totalReceivers\": null", "}"]);
    let events = "event: state\ndata: {\"state\":\"waiting\",\"hasSender\":true,\
                  \"activeReceivers\":1,\"totalReceivers\":2}\n\n\
                  event: progress\ndata: {\"bytesTransferred\":1024,\"totalBytes\":null,\
                  \"speed\":512,\"eta\":null}\n\n\
                  event: progress\ndata: {\"bytesTransferred\":2048,\"totalBytes\":null,\
                  \"speed\":512,\"eta\":null}\n\n\
                  event: done\ndata: {\"state\":\"failed\",\"bytesTransferred\":2048,\
                  \"reason\":\"Cancelled: drift\"}\n\n";
    let canned = Canned::start(&[Act::events(events)]);
    let shown = Client::on_terminal(&["progress", &canned.url("/x")]).ended();
    // The running account is one line, and the end takes its place.
    assert_eq!(
        shown.expect(6).text(),
        "waiting: the sender is there, 1 of 2 receiver(s)\r\n\
         streaming: 1.00 KiB, 512 B/s\r\u{1b}[K\
         streaming: 2.00 KiB, 512 B/s\r\u{1b}[K\
         failed after 2.00 KiB: Cancelled: drift\r\n"
    );
}
