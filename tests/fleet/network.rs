//! Network namespaces joined by a bridge: machines of a network whose cables can be cut. Needs root, `ip`
//! and `iptables`. Knows no fleet.
//!
//! Clients stand outside of all namespaces, at a port of the bridge: cutting nodes off from each other
//! does not cut off their clients.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::fleet::remark;

/// Some namespaces and their bridge. Dropping it removes them.
pub struct Network {
    /// Begins the name of everything that belongs to this network.
    tag: String,
    subnet: String,
    count: usize,
}

impl Network {
    /// `count` namespaces that reach each other; `None`, with the reason printed, where that is not
    /// possible.
    pub fn of(count: usize) -> Option<Network> {
        if !rustix::process::geteuid().is_root() {
            remark("SKIPPED: network namespaces need root");
            return None;
        }
        if !["ip -V", "iptables -V"].iter().all(|program| quietly(program)) {
            remark("SKIPPED: `ip` or `iptables` is not installed");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("hp{:x}x{next}", std::process::id());
        let at = std::process::id().wrapping_mul(31) + next;
        let subnet = format!("10.{}.{}", 64 + (at >> 8) % 128, at % 256);
        let network = Network { tag, subnet, count };
        if !quietly(&format!("ip netns add {}", network.switch())) {
            remark("SKIPPED: this kernel has no network namespaces");
            return None;
        }
        network.plug();
        Some(network)
    }

    fn plug(&self) {
        let Network { tag, subnet, count } = self;
        let switch = self.switch();
        run(&format!("ip -n {switch} link add name b type bridge"));
        run(&format!("ip -n {switch} link set dev b up"));
        run(&format!("ip link add {tag}c type veth peer name clients netns {switch}"));
        run(&format!("ip -n {switch} link set clients master b up"));
        run(&format!("ip addr add {subnet}.254/24 dev {tag}c"));
        run(&format!("ip link set {tag}c up"));
        for at in 0..*count {
            let (space, host) = (self.namespace(at), self.host(at));
            run(&format!("ip netns add {space}"));
            run(&format!(
                "ip -n {switch} link add name v{at} type veth peer name eth0 netns {space}"
            ));
            run(&format!("ip -n {switch} link set v{at} master b up"));
            run(&format!("ip -n {space} addr add {host}/24 dev eth0"));
            run(&format!("ip -n {space} link set eth0 up"));
            run(&format!("ip -n {space} link set lo up"));
        }
    }

    /// The bridge has a namespace of its own: what this machine does with packets that it passes on
    /// does not matter there.
    fn switch(&self) -> String {
        format!("{}s", self.tag)
    }

    /// The name of a namespace.
    pub fn namespace(&self, at: usize) -> String {
        format!("{}n{at}", self.tag)
    }

    /// Its address.
    pub fn host(&self, at: usize) -> String {
        format!("{}.{}", self.subnet, at + 1)
    }

    /// Lets nothing pass between two of them, in either direction; nobody is told.
    pub fn cut(&self, one: usize, other: usize) {
        self.filter("-A", one, other);
        self.filter("-A", other, one);
    }

    /// Undoes [`Network::cut`].
    pub fn heal(&self, one: usize, other: usize) {
        self.filter("-D", one, other);
        self.filter("-D", other, one);
    }

    /// Cuts one off from all others.
    pub fn isolate(&self, one: usize) {
        (0..self.count).filter(|&other| other != one).for_each(|other| self.cut(one, other));
    }

    /// Undoes [`Network::isolate`].
    pub fn rejoin(&self, one: usize) {
        (0..self.count).filter(|&other| other != one).for_each(|other| self.heal(one, other));
    }

    /// Lets nothing in that is for this port of one of them; nobody is told. What it asks of others is
    /// still answered.
    pub fn deafen(&self, at: usize, port: u16) {
        self.filter_port("-A", at, port);
    }

    /// Undoes [`Network::deafen`].
    pub fn undeafen(&self, at: usize, port: u16) {
        self.filter_port("-D", at, port);
    }

    fn filter_port(&self, change: &str, at: usize, port: u16) {
        let space = self.namespace(at);
        run(&format!(
            "ip netns exec {space} iptables -w {change} INPUT -p tcp --dport {port} -j DROP"
        ));
    }

    fn filter(&self, change: &str, at: usize, from: usize) {
        let (space, host) = (self.namespace(at), self.host(from));
        run(&format!("ip netns exec {space} iptables -w {change} INPUT -s {host} -j DROP"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for at in 0..self.count {
            quietly(&format!("ip netns del {}", self.namespace(at)));
        }
        quietly(&format!("ip netns del {}", self.switch()));
        // A namespace outlives its name for a moment, and so does what is in it.
        quietly(&format!("ip link del {}c", self.tag));
    }
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn quietly(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{Raw, Server};

    #[test]
    fn a_cut_cable_carries_nothing_and_a_mended_one_does() {
        let Some(network) = Network::of(2) else { return };
        let listen = format!("{}:8080", network.host(0));
        let space = network.namespace(0);
        let server = Server::start_at(Some(&space), &["--listen", &listen, "--admin-listen", ""]);
        let from_the_other = || {
            let space = network.namespace(1);
            let url = server.url("/help");
            quietly(&format!(
                "ip netns exec {space} curl -q -sS -m 1 --noproxy * -o /dev/null {url}"
            ))
        };
        assert!(from_the_other(), "they reach each other");
        network.isolate(0);
        assert!(!from_the_other(), "cut");
        Raw::connect(server.address());
        network.rejoin(0);
        assert!(from_the_other(), "mended");
    }
}
