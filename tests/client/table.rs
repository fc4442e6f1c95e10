//! The table of exit codes (spec §23): each row for each command that can end so, over HTTP/1.1 with
//! and without TLS and over HTTP/2. What no relay does is said by a canned server.

use std::cell::RefCell;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::client::{Client, Folder};
use crate::common::canned::{Act, Canned};
use crate::common::curl::Ended;
use crate::common::tls::{Authority, Front};
use crate::common::{Curl, Server, unique};
use crate::send::closed_port;

/// A relay that speaks everything.
pub struct Relay {
    /// The process.
    pub server: Server,
    authority: Authority,
    secure: String,
}

/// The versions of HTTP that a client can be made to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Plain,
    Tls1,
    Tls2,
}

/// How a client reaches a server.
pub struct Way<'a> {
    relay: &'a Relay,
    version: Version,
    fronts: RefCell<Vec<Front>>,
}

impl Relay {
    /// Starts it with a certificate of its own authority.
    pub fn start() -> Relay {
        let authority = Authority::new();
        let [cert, key] = authority.files("127.0.0.1");
        let flags = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        let server = Server::start(&flags);
        let said = server.stdout();
        let secure = said.lines().find_map(|line| line.strip_prefix("listening on https://"));
        let secure = secure.unwrap_or_else(|| panic!("no TLS in {said}")).to_owned();
        Relay { server, authority, secure }
    }

    /// Plain, HTTP/1.1 through TLS, and HTTP/2.
    pub fn ways(&self) -> [Way<'_>; 3] {
        [Version::Plain, Version::Tls1, Version::Tls2].map(|version| Way {
            relay: self,
            version,
            fronts: RefCell::default(),
        })
    }
}

impl Way<'_> {
    /// The URL of `target` at the relay.
    pub fn to(&self, target: &str) -> String {
        match self.version {
            Version::Plain => self.relay.server.url(target),
            Version::Tls1 | Version::Tls2 => format!("https://{}{target}", self.relay.secure),
        }
    }

    /// The URL of `target` at a canned server. Those speak HTTP/1.1, and so does a client that finds
    /// nothing else; a scripted server of HTTP/2 is in [`crate::http2`].
    pub fn url(&self, address: SocketAddr, target: &str) -> String {
        if self.version == Version::Plain {
            return format!("http://{address}{target}");
        }
        let acceptor = self.relay.authority.acceptor("127.0.0.1", &["http/1.1"]);
        let front = Front::start(acceptor, address);
        let url = front.url(target);
        self.fronts.borrow_mut().push(front);
        url
    }

    /// Starts a command with what it needs to trust the server.
    pub fn start(&self, args: &[&str]) -> Client {
        let trust = ["--cacert", self.relay.authority.path()];
        let more = match self.version {
            Version::Plain => vec![],
            Version::Tls1 => [&trust[..], &["--http1"]].concat(),
            Version::Tls2 => trust.to_vec(),
        };
        Client::start(&[&args[..1], &more, &args[1..]].concat())
    }

    /// Runs it to its end with an empty stdin.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ended {
        let mut client = self.start(args);
        client.close();
        client.ended()
    }
}

const ID: &str = "0123456789abcdef";

/// All but the last line.
const LINES: &str = "[INFO] Sent 3 bytes to 1 of 1 receiver(s) in 0.1 s.\n";

#[test]
fn send() {
    let relay = Relay::start();
    let server = &relay.server;
    for way in relay.ways() {
        let name = unique();
        let (url, plain) = (way.to(&name), server.url(&name));
        let receiver = Curl::start(&["-fsSN", &plain]);
        way.run(&["send", &url, "--", "echo", "hi"]).expect(0);
        assert_eq!(receiver.ended().expect(0).text(), "hi\n");

        let mut sender = way.start(&["send", &url]);
        let receiver = Curl::start(&["-fsSN", &plain]);
        sender.write(b"half");
        receiver.expect_output("half");
        receiver.kill();
        sender.ended().expect(1);

        way.run(&["send", "/nonexistent/file", &url]).expect(2);
        way.run(&["send", &format!("{url}?n=0"), "--", "echo", "hi"]).expect(3);
        way.run(&["send", &url, "--wait", "1"]).expect(5);
        let sender = way.start(&["send", &url]);
        sender.expect_line("[INFO] Waiting");
        way.run(&["cancel", &url]).expect(0);
        sender.ended().expect(6);
        way.run(&["send", &url, "--", "false"]).expect(7);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{LINES}", LINES.len());
        let canned = Canned::start(&[Act::Hear(answer)]);
        way.run(&["send", &way.url(canned.address(), "/x"), "--", "echo", "hi"]).expect(8);
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let sender = way.start(&["send", &url]);
            sender.expect_line("[INFO] Waiting");
            sender.signal(signal);
            sender.ended().expect(code);
        }
    }
    // Nobody has fallen back to something else.
    for protocol in ["HTTP/1.1", "HTTP/2"] {
        assert!(server.log().contains(protocol), "{protocol}: {}", server.log());
    }
    Client::run(&["send", &format!("http://{}/x", closed_port())]).expect(4);
    Client::run(&["send", &format!("https://{}/x", closed_port())]).expect(4);
}

#[test]
fn receive() {
    let relay = Relay::start();
    let server = &relay.server;
    let folder = Folder::new();
    for way in relay.ways() {
        let name = unique();
        let url = way.to(&name);
        let receiver = way.start(&["receive", &url]);
        let mut sender = server.put_sized(&name, 3);
        sender.send(b"all");
        assert_eq!(receiver.ended().expect(0).text(), "all");

        let receiver = way.start(&["receive", &url]);
        let mut sender = server.put(&name);
        sender.chunk(b"half");
        receiver.expect_output("half");
        drop(sender);
        let ended = receiver.ended();
        assert!(ended.expect(1).stderr.contains("hoody-pipe: the stream was cut"), "{ended:?}");

        way.run(&["receive", &url, "--transfer-id", "x"]).expect(2);
        way.run(&["receive", &format!("{url}?n=0")]).expect(3);
        way.run(&["receive", &url, "--wait", "1"]).expect(5);
        let receiver = way.start(&["receive", &url, "-n", "2"]);
        let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
        // Whichever came first: both are there now.
        let _ = sender.line();
        way.run(&["cancel", &url, "--reason", "drift"]).expect(0);
        assert_eq!(receiver.ended().expect(6).stderr, "[ERROR] Cancelled: drift.\n");

        let mute = Act::status("501 Not Implemented");
        let canned = Canned::start(&[Act::stream(ID, "x"), mute]);
        let (url, output) = (way.url(canned.address(), "/x"), folder.path("out"));
        let ended = way.run(&["receive", &url, "-o", &output]);
        assert!(ended.expect(8).stderr.contains("nothing proves that this was all"), "{ended:?}");
        assert_eq!((folder.read("out"), folder.read("out.part")), (None, Some(b"x".to_vec())));

        let half = "Content-Length: 9\r\n\r\nhalf";
        let half = format!("HTTP/1.1 200 OK\r\nX-Hoody-Pipe-Transfer-Id: {ID}\r\n{half}");
        let canned = Canned::start(&[Act::Hold(half)]);
        let url = way.url(canned.address(), "/x");
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let receiver = way.start(&["receive", &url]);
            receiver.expect_output("half");
            receiver.signal(signal);
            receiver.ended().expect(code);
        }
    }
    Client::run(&["receive", &format!("http://{}/x", closed_port())]).expect(4);
    Client::run(&["receive", &format!("https://{}/x", closed_port())]).expect(4);
}

#[test]
fn status() {
    const IDLE: &str = r#"{"state":"idle","kind":null,"reason":null}"#;
    let relay = Relay::start();
    for way in relay.ways() {
        let run = |act: Act| way.run(&["status", &way.url(Canned::start(&[act]).address(), "/x")]);
        let idle = run(Act::ok(IDLE));
        assert_eq!(idle.expect(0).text(), format!("{IDLE}\n"));
        assert!(run(Act::ok("hello")).expect(1).stderr.contains("is this a relay?"));
        run(Act::Say(String::new())).expect(1);
        run(Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned())).expect(1);
        way.run(&["status", "/x"]).expect(2);
        assert_eq!(
            run(Act::status("404 Not Found")).expect(3).stderr,
            "hoody-pipe: refused: 404 Not Found\n"
        );
        let canned = Canned::start(&[Act::Hold(String::new())]);
        let url = way.url(canned.address(), "/x");
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let asked = canned.heads().len();
            let client = way.start(&["status", &url]);
            crate::common::eventually("it has asked", crate::common::PATIENCE, || {
                canned.heads().len() > asked
            });
            client.signal(signal);
            client.ended().expect(code);
        }
    }
    Client::run(&["status", &format!("http://{}/x", closed_port())]).expect(4);
    Client::run(&["status", &format!("https://{}/x", closed_port())]).expect(4);
}

#[test]
fn progress() {
    const STATE: &str = "event: state\nid: 1\ndata: {\"state\":\"waiting\"}\n\n";
    let done = |state: &str, reason: &str| {
        let data = format!("{{\"state\":\"{state}\",\"reason\":{reason}}}");
        Act::events(&format!("{STATE}event: done\nid: 2\ndata: {data}\n\n"))
    };
    let relay = Relay::start();
    for way in relay.ways() {
        let run =
            |act: Act| way.run(&["progress", &way.url(Canned::start(&[act]).address(), "/x")]);
        let complete = run(done("complete", "null"));
        assert_eq!(
            complete.expect(0).text(),
            "{\"event\":\"state\",\"state\":\"waiting\"}\n\
             {\"event\":\"done\",\"state\":\"complete\",\"reason\":null}\n"
        );
        run(done("failed", "\"Sender disconnected\"")).expect(1);
        run(Act::ok("hello")).expect(1);
        run(Act::events("event: state\ndata: nonsense\n\n")).expect(1);
        way.run(&["progress", "x"]).expect(2);
        run(Act::status("429 Too Many Requests")).expect(3);
        run(done("failed", "\"Timed out waiting for receivers\"")).expect(5);
        run(done("failed", "\"Cancelled: drift\"")).expect(6);
        let hold = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let canned = Canned::start(&[Act::Hold(format!("{hold}{STATE}"))]);
        let url = way.url(canned.address(), "/x");
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let client = way.start(&["progress", &url]);
            client.expect_output("waiting");
            client.signal(signal);
            client.ended().expect(code);
        }
    }
    Client::run(&["progress", &format!("http://{}/x", closed_port())]).expect(4);
    Client::run(&["progress", &format!("https://{}/x", closed_port())]).expect(4);
}

#[test]
fn a_lost_progress_is_taken_up_again() {
    let state = |state: &str| format!("event: state\ndata: {{\"state\":\"{state}\"}}\n\n");
    let done = "event: done\ndata: {\"state\":\"complete\"}\n\n";
    let canned = Canned::start(&[
        Act::events(&state("waiting")),
        Act::Say(String::new()),
        Act::events(&format!("{}{done}", state("streaming"))),
    ]);
    let ended = Client::run(&["progress", &canned.url("/x")]);
    assert!(ended.expect(0).text().ends_with("{\"event\":\"done\",\"state\":\"complete\"}\n"));
    for head in canned.heads() {
        let head = head.to_lowercase();
        assert!(head.starts_with("get /x?progress http/1.1\r\n"), "{head}");
        assert!(
            head.contains("accept: text/event-stream") && !head.contains("last-event"),
            "{head}"
        );
    }
    // What happened in between is not made up.
    let canned = Canned::start(&[Act::events(&state("streaming")), Act::events(&state("idle"))]);
    let ended = Client::run(&["progress", &canned.url("/x")]);
    assert!(ended.expect(8).stderr.contains("it has ended while the connection was lost"));
}

#[test]
fn cancel() {
    let relay = Relay::start();
    let server = &relay.server;
    for way in relay.ways() {
        let name = unique();
        let url = way.to(&name);
        let _sender = server.waiting_sender(&name, 1);
        assert_eq!(way.run(&["cancel", &url]).expect(0).stderr, "");
        way.run(&["cancel", &way.url(Canned::start(&[Act::Say(String::new())]).address(), "/x")])
            .expect(1);
        way.run(&["cancel"]).expect(2);
        way.run(&["cancel", &url]).expect(3);
        let canned = Canned::start(&[Act::Hold(String::new())]);
        let url = way.url(canned.address(), "/x");
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let asked = canned.heads().len();
            let client = way.start(&["cancel", &url]);
            crate::common::eventually("it has asked", crate::common::PATIENCE, || {
                canned.heads().len() > asked
            });
            client.signal(signal);
            client.ended().expect(code);
        }
    }
    Client::run(&["cancel", &format!("https://{}/x", closed_port())]).expect(4);
}
