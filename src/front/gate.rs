//! What this node still has room for: waiting requests of each client address, descriptors, and
//! whether it takes new requests at all. Knows nothing of names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::edge::{Descriptor, Descriptors};
use crate::http::Refusal;
use crate::meter::{self, Rejection};
use crate::pipe::{Failure, Role};

/// The gate of this node. A cheap handle.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    /// The node has begun to stop.
    draining: AtomicBool,
    /// Somebody asks for the drain.
    wanted: Notify,
    /// No new parties: the node is stopping (spec §22, drain).
    closed: AtomicBool,
    /// Told when it is closed.
    closing: Notify,
    /// Requests waiting for a match, by client address.
    waiting: Mutex<HashMap<IpAddr, usize>>,
    waiting_max: usize,
    /// The same requests by role: senders, receivers.
    roles: [AtomicUsize; 2],
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Those of them that only watch.
    spectators: AtomicUsize,
    descriptors: Descriptors,
}

impl Gate {
    /// A gate that is open.
    pub fn new(waiting_max: usize, descriptors: Descriptors) -> Self {
        Self(Arc::new(Inner {
            draining: AtomicBool::new(false),
            wanted: Notify::new(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            waiting: Mutex::default(),
            waiting_max,
            roles: Default::default(),
            busy: AtomicUsize::new(0),
            spectators: AtomicUsize::new(0),
            descriptors,
        }))
    }

    /// Asks for the drain, as a signal does. Asking again changes nothing.
    pub fn ask_to_drain(&self) {
        self.0.wanted.notify_one();
    }

    /// Waits until somebody asks for the drain. Cancel-safe.
    pub async fn asked_to_drain(&self) {
        self.0.wanted.notified().await;
    }

    /// The node begins to stop; newcomers are still welcome.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Has the node begun to stop?
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// No new parties from now on.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.closing.notify_waiters();
    }

    /// Is the node stopping?
    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Waits until the node is stopping. Cancel-safe.
    pub async fn closed(&self) {
        let closing = self.0.closing.notified();
        // Created before the look, it hears a close that comes after it.
        if !self.is_closed() {
            closing.await;
        }
    }

    /// Counts one waiting request of `client`, if the node takes new ones at all (spec §7, steps 8
    /// and 9).
    ///
    /// # Errors
    /// The node stops, or too many requests of this address wait.
    pub fn wait(&self, client: IpAddr, role: Role) -> Result<Waiting, Refusal> {
        self.must_be_open()?;
        let client = cap_key(client);
        let mut waiting = lock(&self.0.waiting);
        let count = waiting.entry(client).or_default();
        if *count >= self.0.waiting_max {
            meter::rejected(Rejection::AddressCap);
            return Err(Refusal::AddressCap);
        }
        *count += 1;
        self.role(role).fetch_add(1, Ordering::AcqRel);
        Ok(Waiting { gate: self.clone(), client, role, counts: AtomicBool::new(true) })
    }

    fn must_be_open(&self) -> Result<(), Refusal> {
        if !self.is_closed() {
            return Ok(());
        }
        meter::rejected(Rejection::Draining);
        Err(Refusal::Failed(Failure::ShuttingDown))
    }

    /// Requests in that role that wait now.
    pub fn waiting(&self, role: Role) -> usize {
        self.role(role).load(Ordering::Acquire)
    }

    fn role(&self, role: Role) -> &AtomicUsize {
        match role {
            Role::Sender => &self.0.roles[0],
            Role::Receiver => &self.0.roles[1],
        }
    }

    /// Counts one request that is being answered.
    pub fn serve(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Requests that are being answered now.
    pub fn busy(&self) -> usize {
        self.0.busy.load(Ordering::Acquire)
    }

    /// Counts one request that is being answered as one that only watches.
    ///
    /// # Errors
    /// The node stops.
    pub fn spectate(&self) -> Result<Spectator, Refusal> {
        self.must_be_open()?;
        self.0.spectators.fetch_add(1, Ordering::AcqRel);
        Ok(Spectator(self.clone()))
    }

    /// Requests that a drain waits for: all but those that only watch.
    pub fn working(&self) -> usize {
        self.busy().saturating_sub(self.0.spectators.load(Ordering::Acquire))
    }

    /// Counts one descriptor of a client; the second part is false above 95 % of all there are.
    pub fn open(&self) -> (Descriptor, bool) {
        self.0.descriptors.open(1)
    }

    /// Are more than 90 % of all descriptors in use? Load balancers should look elsewhere.
    pub fn is_crowded(&self) -> bool {
        self.0.descriptors.is_crowded()
    }
}

/// One request while it is answered.
pub struct Busy(Gate);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request that only watches.
pub struct Spectator(Gate);

impl Drop for Spectator {
    fn drop(&mut self) {
        self.0.0.spectators.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One waiting request; it stops counting when it is matched or dropped.
pub struct Waiting {
    gate: Gate,
    client: IpAddr,
    role: Role,
    counts: AtomicBool,
}

impl Waiting {
    /// The request waits no more. Safe to say twice.
    pub fn over(&self) {
        if !self.counts.swap(false, Ordering::AcqRel) {
            return;
        }
        self.gate.role(self.role).fetch_sub(1, Ordering::AcqRel);
        let mut waiting = lock(&self.gate.0.waiting);
        if let Some(count) = waiting.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.client);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.over();
    }
}

/// What shares a cap: one IPv4 address, or one IPv6 /64 (spec §20).
fn cap_key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let mut network = v6.octets();
            network[8..].fill(0);
            IpAddr::from(network)
        }
        v4 => v4,
    }
}

/// The map holds plain counts that are consistent between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gate(waiting_max: usize) -> Gate {
        let cluster = hoody_pipe_cluster::Cluster::alone("a", 1).unwrap();
        Gate::new(waiting_max, Descriptors::new(cluster))
    }

    #[test]
    fn waiting_requests_are_counted_per_address() {
        let gate = gate(2);
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let wait = |client| gate.wait(client, Role::Sender);
        let (one, _two) = (wait(a).unwrap(), wait(a).unwrap());
        assert_eq!(wait(a).err(), Some(Refusal::AddressCap));
        assert!(wait(b).is_ok(), "others are not hit");
        one.over();
        one.over();
        let _three = wait(a).unwrap();
        assert!(wait(a).is_err(), "over counts once");
        drop(one);
        assert_eq!(wait(a).err(), Some(Refusal::AddressCap));
    }

    #[test]
    fn waiting_requests_are_counted_by_role() {
        let gate = gate(9);
        let a = "10.0.0.1".parse().unwrap();
        let (sender, receiver) = (gate.wait(a, Role::Sender), gate.wait(a, Role::Receiver));
        let second = gate.wait(a, Role::Receiver);
        assert_eq!((gate.waiting(Role::Sender), gate.waiting(Role::Receiver)), (1, 2));
        receiver.unwrap().over();
        drop((sender, second));
        assert_eq!((gate.waiting(Role::Sender), gate.waiting(Role::Receiver)), (0, 0));
        gate.close();
        assert_eq!(gate.wait(a, Role::Sender).err(), Some(Refusal::Failed(Failure::ShuttingDown)));
    }

    #[test]
    fn an_ipv6_network_shares_its_cap() {
        let key = |s: &str| cap_key(s.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
