//! The binary as a client: a child process that is fed, read, signalled and awaited.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::capture::Capture;
use crate::common::curl::Ended;
use crate::common::server::exit_within;
use crate::common::{PATIENCE, answer, eventually};

/// A running client. Dropping it kills the process.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

impl Client {
    /// Starts `hoody-pipe ARGS` with an open, silent stdin.
    pub fn start(args: &[&str]) -> Client {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoody-pipe"));
        command.args(args);
        Client::spawn(command)
    }

    /// Starts it on a terminal of 80 columns; what it shows there is its output.
    pub fn on_terminal(args: &[&str]) -> Client {
        let words = [&[env!("CARGO_BIN_EXE_hoody-pipe")], args].concat();
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let script = format!("stty cols 80 rows 24; exec {}", words.join(" "));
        let mut command = Command::new("script");
        command.args(["-qefc", &script, "/dev/null"]).env("TERM", "xterm");
        Client::spawn(command)
    }

    fn spawn(mut command: Command) -> Client {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be run");
        let stdin = child.stdin.take();
        let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
        Client { child, stdin, stdout, stderr }
    }

    /// Runs it to its end with an empty stdin.
    #[track_caller]
    pub fn run(args: &[&str]) -> Ended {
        let mut client = Client::start(args);
        client.close();
        client.ended()
    }

    /// Writes to its stdin.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("it reads its stdin");
    }

    /// Closes its stdin.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits until it printed `text` on stderr.
    #[track_caller]
    pub fn expect_line(&self, text: &str) {
        let found = self
            .stderr
            .wait_until(PATIENCE, |bytes| answer::find(bytes, text.as_bytes()).is_some());
        assert!(found, "no {text:?} in {:?}", self.stderr.text());
    }

    /// Waits until it printed `text` on stdout.
    #[track_caller]
    pub fn expect_output(&self, text: &str) {
        let found = self
            .stdout
            .wait_until(PATIENCE, |bytes| answer::find(bytes, text.as_bytes()).is_some());
        assert!(found, "no {text:?} in {:?}; {}", self.stdout.text(), self.stderr.text());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).expect("the client is there");
    }

    /// Waits for its end, but not for that of others who hold its stderr: so what it has said is there
    /// when this is, which it says `last`.
    #[track_caller]
    pub fn ended_alone(mut self, last: &str) -> Ended {
        let Some(status) = exit_within(&mut self.child, PATIENCE) else {
            panic!("it still runs; {:?} {}", self.stdout.text(), self.stderr.text());
        };
        eventually(last, PATIENCE, || self.stderr.text().contains(last));
        Ended { code: status.code(), stdout: self.stdout.bytes(), stderr: self.stderr.text() }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let Some(status) = exit_within(&mut self.child, PATIENCE) else {
            panic!("it still runs; {:?} {}", self.stdout.text(), self.stderr.text());
        };
        self.stdout.wait_for_end(PATIENCE);
        self.stderr.wait_for_end(PATIENCE);
        Ended { code: status.code(), stdout: self.stdout.bytes(), stderr: self.stderr.text() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed at the end of its test.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub fn new() -> Folder {
        let name = crate::common::unique().replace('/', "hoody-pipe-client-");
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file in it and gives its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What is in a file of it; `None` if there is none.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(name)).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
