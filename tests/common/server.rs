//! One running server: the real binary on a port of its own, ended when the value is dropped.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::capture::Capture;
use super::raw::{Raw, first_answered};
use super::{End, Head, Numbers, PATIENCE};

/// A server process. Dropping it kills the process.
pub struct Server {
    child: Child,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    stdout: Capture,
    stderr: Capture,
}

impl Server {
    /// Starts the binary with `flags` on a free port and waits until it listens.
    pub fn start(flags: &[&str]) -> Server {
        Server::run(Command::new(binary()), "127.0.0.1", flags)
    }

    /// Starts it where all of the machine's interfaces can reach it.
    pub fn start_public(flags: &[&str]) -> Server {
        Server::run(Command::new(binary()), "0.0.0.0", flags)
    }

    /// Starts it with at most `descriptors` open files.
    pub fn start_limited(descriptors: u32, flags: &[&str]) -> Server {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, &binary()]);
        Server::run(command, "127.0.0.1", flags)
    }

    /// Starts it with `flags` that say where it listens, in the named network namespace if there is
    /// one.
    pub fn start_at(network: Option<&str>, flags: &[&str]) -> Server {
        let Some(network) = network else { return Server::spawn(Command::new(binary()), flags) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", network, &binary()]);
        Server::spawn(command, flags)
    }

    fn run(mut command: Command, host: &str, flags: &[&str]) -> Server {
        command.args(["--listen", &format!("{host}:0")]);
        Server::spawn(command, flags)
    }

    fn spawn(mut command: Command, flags: &[&str]) -> Server {
        command.args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--admin-listen")) {
            command.args(["--admin-listen", ""]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server binary can be run");
        let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
        // The greeting ends with this line, and tells the ports before it.
        stdout.wait_until(PATIENCE, |bytes| {
            String::from_utf8_lossy(bytes).lines().any(|line| line.starts_with("More: "))
        });
        let greeting = stdout.text();
        let (address, admin) = (printed(&greeting, "listening on"), printed(&greeting, ADMIN));
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("no `listening on` line; stdout: {} stderr: {}", stdout.text(), stderr.text());
        };
        Server { child, address, admin, stdout, stderr }
    }

    /// Where probes and metrics are, if `flags` had an `--admin-listen`.
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("it was started with --admin-listen")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of `target` (with its leading `/`).
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// A request to the admin listener, without a body: its answer, complete.
    #[track_caller]
    pub fn admin_answers(&self, method: &str, path: &str, headers: &[&str]) -> (Head, String) {
        let mut raw = Raw::connect(self.admin());
        raw.send(head(method, path, headers));
        raw.answers_head(method == "HEAD");
        let head = raw.head();
        let (body, end) = raw.rest();
        assert_eq!(end, End::Clean, "{method} {path}");
        (head, String::from_utf8(body).expect("texts are UTF-8"))
    }

    /// All numbers, from the admin listener.
    #[track_caller]
    pub fn numbers(&self) -> Numbers {
        Numbers::parse(&self.admin_answers("GET", "/metrics", &[]).1)
    }

    /// What it printed on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the server is there");
    }

    /// The exit code, awaited for at most `limit`; `None` when it was killed by a signal.
    #[track_caller]
    pub fn exit_code(&mut self, limit: Duration) -> Option<i32> {
        exit_within(&mut self.child, limit).expect("the server did not exit in time").code()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_field("VmRSS:")
    }

    /// The largest resident memory so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_field("VmHWM:")
    }

    /// Ends of pipes that are open, among them those of its own output.
    pub fn pipe_ends(&self) -> usize {
        let links = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        let paths = links.flatten().filter_map(|link| fs::read_link(link.path()).ok());
        paths.filter(|path| path.to_string_lossy().starts_with("pipe:")).count()
    }

    /// Number of open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Processor time used so far, in clock ticks (1/100 s).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    fn status_field(&self, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).expect("the field is there");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap()
    }

    fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).expect("a pid is never 0")
    }
}

/// Requests, as sentences.
impl Server {
    /// A bare connection.
    pub fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// A connection on which `bytes` were sent.
    pub fn request(&self, bytes: impl AsRef<[u8]>) -> Raw {
        let mut raw = self.connect();
        raw.send(bytes.as_ref());
        raw
    }

    /// A receiver (or any GET).
    pub fn get(&self, target: &str) -> Raw {
        self.get_with(target, &[])
    }

    /// A GET with more header lines.
    pub fn get_with(&self, target: &str, headers: &[&str]) -> Raw {
        self.request(head("GET", target, headers))
    }

    /// A request of any method without a body.
    pub fn ask(&self, method: &str, target: &str) -> Raw {
        let mut raw = self.request(head(method, target, &[]));
        raw.answers_head(method == "HEAD");
        raw
    }

    /// A sender with a chunked body that has not begun.
    pub fn put(&self, target: &str) -> Raw {
        self.put_with(target, &[])
    }

    /// The same with more header lines.
    pub fn put_with(&self, target: &str, headers: &[&str]) -> Raw {
        let mut all = vec!["Transfer-Encoding: chunked"];
        all.extend_from_slice(headers);
        self.request(head("PUT", target, &all))
    }

    /// A sender that declares `length` and has sent nothing yet.
    pub fn put_sized(&self, target: &str, length: usize) -> Raw {
        self.request(head("PUT", target, &[&format!("Content-Length: {length}")]))
    }

    /// A sender that has been answered 200 and told to wait for `n`.
    #[track_caller]
    pub fn waiting_sender(&self, target: &str, n: u16) -> Raw {
        let mut sender = self.put(target);
        sender.head().expect(200);
        sender.expect_line(&format!("[INFO] Waiting for {n} receiver(s) to connect..."));
        sender
    }

    /// `n` receivers that are known to be attached. Nothing tells a receiver so; therefore one more
    /// than fits is sent, and whoever comes last is refused.
    #[track_caller]
    pub fn waiting_receivers(&self, target: &str, n: usize) -> Vec<Raw> {
        let mark = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{mark}n={n}");
        let mut all: Vec<Raw> = (0..=n).map(|_| self.get(&target)).collect();
        let refused = first_answered(&mut all, PATIENCE).expect("one of them is refused");
        let mut surplus = all.remove(refused);
        let answer = surplus.head();
        assert_eq!(answer.get("x-pipe-error"), Some("slots_full"), "{answer:?}");
        all
    }

    /// A sender and its `n` receivers, streaming; all heads are read.
    #[track_caller]
    pub fn streaming(&self, target: &str, n: u16) -> (Raw, Vec<Raw>) {
        let mark = if target.contains('?') { '&' } else { '?' };
        let mut sender = self.put(&format!("{target}{mark}n={n}"));
        sender.head().expect(200);
        let path = target.split('?').next().unwrap_or(target);
        let mut receivers: Vec<Raw> = (0..n).map(|_| self.get(&format!("{path}?n={n}"))).collect();
        sender.line_until(&format!("[INFO] Streaming to {n} receiver(s)..."));
        for receiver in &mut receivers {
            receiver.head().expect(200);
        }
        (sender, receivers)
    }

    /// Waits until so many requests wait, as its numbers say.
    #[track_caller]
    pub fn assert_waiting(&self, count: usize) {
        super::eventually("so many wait", PATIENCE, || {
            let numbers = self.numbers();
            let roles = ["sender", "receiver"].map(|role| format!("{{role=\"{role}\"}}"));
            let all = roles.map(|role| numbers.get(&format!("waiting_connections{role}")));
            all.iter().sum::<f64>() == count as f64
        });
    }

    /// Whether a party with another `n` may start a new pipe here, so that nobody is left.
    pub fn is_idle(&self, target: &str) -> bool {
        self.put(&format!("{target}?n=77")).head().status == 200
    }

    /// Proves that the name can be used at once, by sending a few bytes through it.
    #[track_caller]
    pub fn assert_usable(&self, target: &str) {
        let (mut sender, mut receivers) = self.streaming(target, 1);
        sender.chunk(b"still here");
        sender.finish();
        assert_eq!(receivers[0].rest(), (b"still here".to_vec(), End::Clean));
        let (lines, end) = sender.lines();
        assert_eq!(lines.last().map(String::as_str), Some("[INFO] Transfer complete."));
        assert_eq!(end, End::Clean);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.stderr.text());
            return;
        }
        // After every test, whatever it did: names are credentials and stand in no log (spec §25).
        let names = format!("t{}-", std::process::id());
        assert!(!self.stderr.text().contains(&names), "a name is in the log: {}", self.log());
    }
}

/// A request head with a Host.
pub fn head(method: &str, target: &str, headers: &[&str]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

/// Waits for the end of `child` for at most `limit`.
pub fn exit_within(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs the binary with flags that should make it exit by itself, and gives its exit code.
#[track_caller]
pub fn run_to_end(flags: &[&str]) -> Option<i32> {
    let mut command = Command::new(binary());
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the server binary can be run");
    let status = exit_within(&mut child, PATIENCE);
    let _ = child.kill();
    let _ = child.wait();
    status.expect("it exits by itself").code()
}

/// The same, with what it said on both streams.
#[track_caller]
pub fn said_at_end(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the server binary can be run");
    let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
    let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
    let status = exit_within(&mut child, PATIENCE);
    let _ = child.kill();
    let _ = child.wait();
    // The last words may still be on their way through the pipes.
    stdout.wait_for_end(PATIENCE);
    stderr.wait_for_end(PATIENCE);
    (status.expect("it exits by itself").code(), stdout.text() + &stderr.text())
}

/// The binary under test; `HOODY_PIPE_BIN` names another build of it.
fn binary() -> String {
    std::env::var("HOODY_PIPE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hoody-pipe").into())
}

/// What the greeting says before the URL of the admin listener.
const ADMIN: &str = "probes and metrics on";

/// Where this machine reaches the first URL that the greeting tells after `what`.
fn printed(greeting: &str, what: &str) -> Option<SocketAddr> {
    let mut urls = greeting.lines().filter_map(|line| line.strip_prefix(what));
    let mut address: SocketAddr = urls.next()?.rsplit('/').next()?.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Some(address)
}
