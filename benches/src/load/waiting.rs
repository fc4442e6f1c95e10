//! Clients that wait, each at a name of its own: what the server keeps for them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Client, Target, get, put};
use crate::pause;
use crate::usage::{Usage, resident_settled};

/// How long the server is watched while they wait.
const WATCHED: Duration = Duration::from_secs(2);

/// Clients that come and go first, so that what a server makes once is not counted for those.
const FIRST: usize = 64;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receivers without a sender.
    Receiver,
    /// Senders with a chunked body, without a receiver.
    Sender,
}

/// What they cost.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// Resident memory of the server for each one, in bytes.
    pub each: f64,
    /// What of it was kept when all had left, in bytes.
    pub kept: f64,
    /// What a second crowd needed beyond that of the first one, in bytes for each one: what is kept to
    /// be used again is no leak.
    pub second: f64,
    /// Part of one core that the server used while nothing happened.
    pub idle: f64,
}

/// Has so many wait for a moment and leave, twice.
///
/// # Errors
/// The server refuses one, or lets one go.
pub fn weigh(target: &Target, role: Role, count: usize) -> Result<Weight> {
    drop(come(target, role, FIRST)?);
    let before = resident_settled(&target.pids);
    let clients = come(target, role, count)?;
    let during = resident_settled(&target.pids);
    let (began, used) = (Instant::now(), Usage::of(&target.pids));
    pause(WATCHED);
    let used = Usage::of(&target.pids).since(&used).as_secs_f64() / began.elapsed().as_secs_f64();
    check(&clients, role)?;
    drop(clients);
    let after = resident_settled(&target.pids);
    let clients = come(target, role, count)?;
    let again = resident_settled(&target.pids);
    check(&clients, role)?;
    let each = |more: u64, than: u64| more.saturating_sub(than) as f64 / count as f64;
    let (kept, second) = (each(after, before), each(again, during));
    Ok(Weight { each: each(during, before), kept, second, idle: used })
}

/// Receivers that wait until it is dropped.
pub struct Crowd {
    _clients: Vec<Client>,
}

/// Has so many receivers wait, and the server come to rest.
///
/// # Errors
/// The server refuses one.
pub fn crowd(target: &Target, count: usize) -> Result<Crowd> {
    let clients = come(target, Role::Receiver, count)?;
    resident_settled(&target.pids);
    check(&clients, Role::Receiver)?;
    Ok(Crowd { _clients: clients })
}

/// All still wait.
fn check(clients: &[Client], role: Role) -> Result<()> {
    for (at, client) in clients.iter().enumerate() {
        let peek = recv(&client.socket, &mut [0; 1][..], RecvFlags::PEEK);
        let waits = match role {
            Role::Receiver => matches!(peek, Err(Errno::AGAIN)),
            Role::Sender => matches!(peek, Err(Errno::AGAIN) | Ok((_, 1))),
        };
        ensure!(waits, "client {at} of {} does not wait any more", clients.len());
    }
    Ok(())
}

fn come(target: &Target, role: Role, count: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let (pipe, address) = match role {
            Role::Receiver => (get(target, &target.pipe(1)), target.receivers),
            Role::Sender => (put(target, &target.pipe(1), None), target.sender),
        };
        let mut client = Client::connect(address)?;
        client.say(pipe.as_bytes())?;
        clients.push(client);
    }
    Ok(clients)
}
