//! `/api/v1/pipe/health`: nine facts about this process, for people and monitors (spec §19).
//!
//! Says nothing about pipes, names or peers, so anybody may ask.

use std::fs;
use std::net::IpAddr;
use std::time::SystemTime;

use ::http::HeaderMap;
use ::http::header::USER_AGENT;
use serde::Serialize;

use super::Reply;
use super::pages::page;

/// What is known about the process from its start.
#[derive(Debug, Clone)]
pub struct Process {
    built: Option<String>,
    started: String,
}

impl Process {
    /// Remembers this moment as the start of the process.
    pub fn starts_now() -> Self {
        let built = std::env::current_exe().and_then(fs::metadata).and_then(|file| file.modified());
        Self { built: built.ok().map(iso_8601), started: iso_8601(SystemTime::now()) }
    }

    /// The answer to a client with that address.
    pub fn health(&self, client: IpAddr, headers: &HeaderMap) -> Reply {
        let user_agent = headers.get(USER_AGENT);
        let body = serde_json::to_vec(&Health {
            status: "ok",
            service: "hoody-pipe",
            built: self.built.as_deref(),
            started: &self.started,
            memory: resident_bytes().map(|rss| Memory { rss, heap: None }),
            fds: open_descriptors(),
            pid: std::process::id(),
            ip: client,
            user_agent: user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into()),
        });
        page("application/json", body.expect("plain facts are JSON"))
    }
}

/// The answer, in the order of the specification.
#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    service: &'a str,
    built: Option<&'a str>,
    started: &'a str,
    memory: Option<Memory>,
    fds: Option<u64>,
    pid: u32,
    ip: IpAddr,
    #[serde(rename = "userAgent")]
    user_agent: Option<String>,
}

#[derive(Serialize)]
struct Memory {
    /// Resident bytes.
    rss: u64,
    /// Always null: a Rust process has no heap of a runtime to report.
    heap: Option<u64>,
}

fn iso_8601(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The resident size of this process, where the kernel tells it.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many descriptors are open, where the kernel tells it.
fn open_descriptors() -> Option<u64> {
    // Since Linux 6.2 the size of the directory is the answer; counting 100,000 entries is slow.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        // Looking takes one more, which does not count.
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64 - 1),
        open => Some(open),
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;
    use serde_json::Value;

    use super::*;

    fn answer(headers: &HeaderMap) -> (String, Value) {
        let reply = Process::starts_now().health("192.0.2.7".parse().unwrap(), headers);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap();
        (text, json)
    }

    #[test]
    fn there_are_exactly_nine_fields_in_order() {
        let (text, json) = answer(&HeaderMap::new());
        let names =
            ["status", "service", "built", "started", "memory", "fds", "pid", "ip", "userAgent"];
        let places = names.map(|name| text.find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted(), "{text}");
        assert_eq!(json.as_object().unwrap().len(), 9);
    }

    #[test]
    fn the_facts_are_those_of_this_process() {
        let (_, json) = answer(&HeaderMap::new());
        assert_eq!((&json["status"], &json["service"]), (&"ok".into(), &"hoody-pipe".into()));
        assert_eq!(json["pid"], std::process::id());
        assert_eq!((&json["ip"], &json["userAgent"]), (&"192.0.2.7".into(), &Value::Null));
        let started = humantime::parse_rfc3339(json["started"].as_str().unwrap()).unwrap();
        let built = humantime::parse_rfc3339(json["built"].as_str().unwrap()).unwrap();
        assert!(built <= started && started <= SystemTime::now());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_memory_and_descriptors() {
        let (_, json) = answer(&HeaderMap::new());
        assert!(json["memory"]["rss"].as_u64().unwrap() > 100_000, "{json}");
        assert!(json["memory"].as_object().unwrap()["heap"].is_null());
        assert!(json["fds"].as_u64().unwrap() >= 3, "{json}");
    }

    #[test]
    fn a_user_agent_is_quoted_whatever_it_says() {
        let agent = HeaderValue::from_bytes(b"curl\"/8 \xff").unwrap();
        let (_, json) = answer(&HeaderMap::from_iter([(USER_AGENT, agent)]));
        assert_eq!(json["userAgent"], "curl\"/8 \u{fffd}");
    }
}
