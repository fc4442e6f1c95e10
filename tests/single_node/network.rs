//! Row 2 of §28 and the table of §12: a client's host vanishes without a word. It needs a network
//! namespace of its own, so it runs as root only and says so when it is skipped.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Curl, End, Server, timed, unique};

/// 65 seconds of the specification and some for the machine.
const GONE: Duration = Duration::from_secs(80);

/// Another host: a network namespace with a cable to this one. Dropping it removes both.
struct Host {
    name: String,
    near: String,
    address: String,
}

impl Host {
    /// Makes the namespace, or says why it cannot.
    fn new() -> Result<Host, String> {
        let id = std::process::id();
        let (high, low) = (id / 200 % 200, id % 200);
        let host = Host {
            name: format!("pipe{id}"),
            near: format!("pv{id}"),
            address: format!("10.{}.{}.1", 50 + high, 20 + low),
        };
        let far = format!("pw{id}");
        let other = format!("10.{}.{}.2/24", 50 + high, 20 + low);
        run(&["netns", "add", &host.name])?;
        run(&["link", "add", &host.near, "type", "veth", "peer", "name", &far])?;
        run(&["link", "set", &far, "netns", &host.name])?;
        run(&["addr", "add", &format!("{}/24", host.address), "dev", &host.near])?;
        run(&["link", "set", &host.near, "up"])?;
        run(&["-n", &host.name, "addr", "add", &other, "dev", &far])?;
        run(&["-n", &host.name, "link", "set", &far, "up"])?;
        Ok(host)
    }

    /// Starts curl on that host.
    fn curl(&self, args: &[&str]) -> std::process::Child {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "curl", "-q", "--noproxy", "*"]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("ip is installed")
    }

    /// Pulls the cable.
    fn vanish(&self) {
        run(&["link", "set", &self.near, "down"]).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = run(&["link", "del", &self.near]);
        let _ = run(&["netns", "del", &self.name]);
    }
}

fn run(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {text}", args.join(" "))) }
}

#[test]
fn row_2_hosts_vanish_without_a_word() {
    let host = match Host::new() {
        Ok(host) => host,
        Err(why) => return eprintln!("SKIPPED (needs root and ip): {why}"),
    };
    let server = Server::start_public(&[]);
    let there = |name: &str| format!("http://{}:{}{name}", host.address, server.address().port());

    // One sender over there, whose receiver is here; nothing is in flight.
    let name = unique();
    let receiver = Curl::start(&["-fsSN", &server.url(&name)]);
    let mut sender = host.curl(&["-sS", "-T", "-", &there(&name)]);
    use std::io::Write;
    sender.stdin.as_mut().unwrap().write_all(b"last words").unwrap();
    receiver.expect_output("last words");

    // One receiver over there, whose sender is here and goes on sending.
    let other = unique();
    let mut local = server.waiting_sender(&other, 1);
    let mut far = host.curl(&["-fsSN", &there(&other)]);
    local.line_until("[INFO] Streaming to 1 receiver(s)...");

    // And one that only waits.
    let third = unique();
    let mut alone = server.waiting_sender(&format!("{third}?n=2"), 2);
    let mut waiting = host.curl(&["-fsSN", &there(&format!("{third}?n=2"))]);
    alone.expect_line("[INFO] A receiver connected.");

    let start = Instant::now();
    host.vanish();
    let mut writer = local.writer();
    let feeding = std::thread::spawn(move || {
        while start.elapsed() < GONE && writer.write_all(b"5\r\nhello\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (ended, time) = timed(|| receiver.ended_within(GONE));
    assert_eq!(ended.expect(18).text(), "last words");
    eprintln!("the sender's host was missed after {time:?}");
    let line = local.try_line(GONE).unwrap();
    assert_eq!(line, "[INFO] A receiver disconnected.");
    let line = loop {
        let line = alone.try_line(GONE).unwrap();
        if !line.starts_with("[INFO] Still waiting") {
            break line;
        }
    };
    assert_eq!(line, "[INFO] A receiver disconnected.");
    assert!(start.elapsed() < GONE, "all three within 65 s, not {:?}", start.elapsed());
    assert_ne!(local.lines().1, End::Clean);
    feeding.join().unwrap();
    for child in [&mut sender, &mut far, &mut waiting] {
        let _ = child.kill();
        let _ = child.wait();
    }
    server.assert_usable(&name);
}
