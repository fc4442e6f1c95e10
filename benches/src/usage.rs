//! What a server uses, seen from outside through `/proc`, so that any server can be judged. Knows
//! nothing of what it serves.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::pause;

/// Ticks of a second in `/proc/PID/stat`: fixed by the interface for user space.
const TICKS: u64 = 100;

/// How long memory must not change to count as settled, and how long that may take.
const SETTLED: Duration = Duration::from_millis(600);
const SETTLES_WITHIN: Duration = Duration::from_secs(8);

/// Processor time of some processes up to a moment.
#[derive(Debug, Default)]
pub struct Usage {
    /// Of the processes, with threads that have ended; in steps of 10 ms.
    ticks: Duration,
    /// Of each thread, in nanoseconds.
    threads: HashMap<u32, u64>,
}

impl Usage {
    /// Up to now. What cannot be read counts as nothing.
    pub fn of(pids: &[u32]) -> Self {
        let mut usage = Self::default();
        for pid in pids {
            usage.ticks += ticks(*pid).unwrap_or_default();
            usage.threads.extend(threads(*pid));
        }
        usage
    }

    /// What was used since `before`: exact as long as no thread has ended.
    pub fn since(&self, before: &Self) -> Duration {
        if before.threads.keys().any(|thread| !self.threads.contains_key(thread)) {
            return self.ticks.saturating_sub(before.ticks);
        }
        let used = |(thread, now): (&u32, &u64)| {
            now.saturating_sub(*before.threads.get(thread).unwrap_or(&0))
        };
        Duration::from_nanos(self.threads.iter().map(used).sum())
    }
}

fn ticks(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * 1000 / TICKS))
}

fn threads(pid: u32) -> Vec<(u32, u64)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let read = |task: fs::DirEntry| {
        let used = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let used = used.split_whitespace().next()?.parse().ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, used))
    };
    tasks.flatten().filter_map(read).collect()
}

/// Seconds that all cores of the machine were busy since it started.
pub fn machine() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, irq, softirq; idle and iowait are between them.
    [0, 1, 2, 5, 6].iter().filter_map(|&at| fields.get(at)).sum::<f64>() / TICKS as f64
}

/// Resident memory of these processes, in bytes.
pub fn resident(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum::<u64>() * 1024
}

/// The same once it stays as it is, or after a few seconds.
pub fn resident_settled(pids: &[u32]) -> u64 {
    let end = Instant::now() + SETTLES_WITHIN;
    let (mut last, mut since) = (resident(pids), Instant::now());
    while since.elapsed() < SETTLED && Instant::now() < end {
        pause(Duration::from_millis(50));
        let now = resident(pids);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// The processes of this machine that listen on the port of `address`, as far as we may know them.
pub fn listeners(address: SocketAddr) -> Vec<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| inodes(table, address.port()))
        .collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| holds(*pid, &sockets)).collect()
}

/// The inodes of sockets that listen on `port`, as `/proc/PID/fd` spells them.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let table = fs::read_to_string(table).unwrap_or_default();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        // 0A: listening.
        let ours = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == "0A";
        ours.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    table.lines().filter_map(of).collect()
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_process_is_found_by_where_it_listens_and_its_work_is_seen() {
        let me = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listeners(listener.local_addr().unwrap()), [me]);
        let (before, busy) = (Usage::of(&[me]), machine());
        let end = Instant::now() + Duration::from_secs(30);
        while Usage::of(&[me]).since(&before) < Duration::from_millis(20) || machine() <= busy {
            assert!(Instant::now() < end, "its work is not seen");
            std::hint::black_box(crate::pattern::Pattern::new());
        }
        assert!(resident(&[me]) > 1 << 20);
    }
}
