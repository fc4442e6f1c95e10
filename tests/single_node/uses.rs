//! Spec §1.1 to §1.3: the three flagship uses with real programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::server::exit_within;
use crate::common::uses::pass_tokens;
use crate::common::{Curl, PATIENCE, Server, pattern, unique};

/// A directory of this test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let path =
            std::env::temp_dir().join(format!("hoody-pipe-uses{}", unique().replace('/', "-")));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A shell pipeline in `directory`, whose failure in any part is its failure.
fn pipeline(directory: &Path, script: &str) -> Child {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -o pipefail; {script}")]).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("bash is installed")
}

/// One producer, three readers: each line is seen by all before the next is written.
#[test]
fn tokens_reach_every_reader_as_they_are_written() {
    let server = Server::start(&[]);
    let url = server.url(&format!("{}?n=3", unique()));
    let readers: Vec<Curl> = (0..3).map(|_| Curl::start(&["-fsSN", &url])).collect();
    let send = ["-sS", "--no-progress-meter", "--fail-with-body", "-T", ".", &url];
    pass_tokens(Curl::start(&send), readers, 100);
}

/// One builder, thirty runners: one upload, thirty identical copies.
#[test]
fn a_directory_reaches_thirty_runners() {
    let server = Server::start(&[]);
    let name = unique();
    let url = server.url(&format!("{name}?n=30"));
    let scratch = Scratch::new();
    let source = scratch.0.join("image");
    fs::create_dir_all(source.join("deep/er")).unwrap();
    for (at, file) in ["a", "deep/b", "deep/er/c"].iter().enumerate() {
        fs::write(source.join(file), pattern(300_000 * (at + 1))).unwrap();
    }
    let mut runners = Vec::new();
    for runner in 0..30 {
        let place = scratch.0.join(format!("runner{runner}"));
        fs::create_dir(&place).unwrap();
        let get = format!("curl -q --noproxy '*' -fsS --retry 10 --retry-connrefused '{url}'");
        let script = format!("{get} | tee image.tar | tar -x");
        runners.push((pipeline(&place, &script), place));
    }
    let count = format!(
        "tar -c image | curl -q --noproxy '*' -sS --fail-with-body -T - -H 'X-Pipe-N: 30' '{}'",
        server.url(&name)
    );
    let mut builder = pipeline(&scratch.0, &count);
    let status = exit_within(&mut builder, PATIENCE * 5).expect("the builder ends");
    assert!(status.success());
    let mut archives = Vec::new();
    for (mut runner, place) in runners {
        assert!(exit_within(&mut runner, PATIENCE).expect("the runner ends").success());
        archives.push(crate::common::sha256(&fs::read(place.join("image.tar")).unwrap()));
        for (at, file) in ["a", "deep/b", "deep/er/c"].iter().enumerate() {
            let copy = fs::read(place.join("image").join(file)).unwrap();
            assert!(copy == pattern(300_000 * (at + 1)), "{file} of {place:?}");
        }
    }
    archives.dedup();
    assert_eq!(archives.len(), 1, "thirty equal checksums");
    server.assert_usable(&name);
}

/// Voice: Opus in Ogg from a tone in real time; the listener can decode what it gets.
#[test]
fn a_voice_can_be_heard() {
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).spawn().is_err() {
        return eprintln!("SKIPPED: ffmpeg is not installed");
    }
    let server = Server::start(&[]);
    let url = server.url(&unique());
    let scratch = Scratch::new();
    let listener = Curl::start(&["-fsSN", "-D", scratch.0.join("head").to_str().unwrap(), &url]);
    let script = format!(
        "ffmpeg -nostdin -loglevel error -re -f lavfi -i sine=frequency=440:duration=4 \
         -c:a libopus -b:a 32k -f ogg -page_duration 20000 -flush_packets 1 - \
         | curl -q --noproxy '*' -sS --fail-with-body -T - -H 'Content-Type: audio/ogg' '{url}'"
    );
    let mut speaker = pipeline(&scratch.0, &script);
    // Sound arrives while it is still being made: half a second of it long before the end.
    listener.expect_bytes(2000);
    assert!(speaker.try_wait().unwrap().is_none(), "sound came only at the end");
    let status = exit_within(&mut speaker, Duration::from_secs(60)).expect("the speaker ends");
    assert!(status.success());
    let ended = listener.ended();
    let head = fs::read_to_string(scratch.0.join("head")).unwrap().to_lowercase();
    assert!(head.contains("content-type: audio/ogg\r\n"), "{head}");
    fs::write(scratch.0.join("heard.ogg"), &ended.expect(0).stdout).unwrap();
    let decode = "ffmpeg -nostdin -v error -xerror -i heard.ogg -f s16le -ar 48000 -ac 1 heard.pcm";
    let mut decoder = pipeline(&scratch.0, decode);
    assert!(exit_within(&mut decoder, PATIENCE * 3).expect("ffmpeg ends").success());
    let samples = fs::metadata(scratch.0.join("heard.pcm")).unwrap().len() / 2;
    assert!(samples > 48_000 * 3, "{samples} samples of four seconds");
}
