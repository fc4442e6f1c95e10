//! Stock curl as a child process. Knows how to start, feed, stop and read it; what its exit code
//! should be is said by the tests.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;
use super::capture::Capture;
use super::server::exit_within;

/// A running curl. Dropping it kills the process.
pub struct Curl {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

/// How a curl ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// Everything on stdout.
    pub stdout: Vec<u8>,
    /// Everything on stderr.
    pub stderr: String,
}

impl Curl {
    /// Starts `curl ARGS` with an open, silent stdin.
    pub fn start(args: &[&str]) -> Curl {
        Curl::start_with(args, Stdio::piped())
    }

    /// Starts `curl ARGS` reading `stdin`.
    pub fn start_with(args: &[&str], stdin: Stdio) -> Curl {
        let mut command = Command::new("curl");
        command.args(["-q", "--noproxy", "*"]).args(args);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("curl is installed");
        let stdin = child.stdin.take();
        let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
        Curl { child, stdin, stdout, stderr }
    }

    /// Runs `curl ARGS` to its end, with an empty stdin.
    #[track_caller]
    pub fn run(args: &[&str]) -> Ended {
        Curl::start_with(args, Stdio::null()).ended()
    }

    /// Writes to its stdin; an error means that curl has gone.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush())
    }

    /// Writes to its stdin.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).expect("curl reads its stdin");
    }

    /// Closes its stdin.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Takes its stdin, for another thread to write to.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// What it printed so far.
    pub fn output(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Waits until it printed `text`.
    #[track_caller]
    pub fn expect_output(&self, text: &str) {
        let found = self
            .stdout
            .wait_until(PATIENCE, |bytes| super::answer::find(bytes, text.as_bytes()).is_some());
        assert!(found, "no {text:?} in {:?}; {}", self.stdout.text(), self.stderr.text());
    }

    /// Waits until it printed at least `count` bytes.
    #[track_caller]
    pub fn expect_bytes(&self, count: usize) {
        let enough = self.stdout.wait_until(PATIENCE, |bytes| bytes.len() >= count);
        assert!(enough, "{} of {count} bytes; {}", self.output().len(), self.stderr.text());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).expect("curl is there");
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) -> Ended {
        let _ = self.child.kill();
        self.ended()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(self) -> Ended {
        self.ended_within(PATIENCE * 3)
    }

    /// Waits for its end for at most `limit`.
    #[track_caller]
    pub fn ended_within(mut self, limit: Duration) -> Ended {
        let Some(status) = exit_within(&mut self.child, limit) else {
            panic!("curl still runs; {:?} {}", self.stdout.text(), self.stderr.text());
        };
        self.stdout.wait_for_end(PATIENCE);
        self.stderr.wait_for_end(PATIENCE);
        Ended { code: status.code(), stdout: self.stdout.bytes(), stderr: self.stderr.text() }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Its stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "stdout {:?} stderr {:?}", self.text(), self.stderr);
        self
    }
}
