//! Many small transfers, one after the other in each of some slots.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::poller::Poller;
use super::{Client, RUN_MAX, Target, get, put};
use crate::pattern::Pattern;
use crate::usage::Usage;

/// Bytes of each body.
const SIZE: usize = 1000;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub struct Small {
    /// Transfers in all.
    pub total: usize,
    /// How many of them at a time.
    pub slots: usize,
    /// The connections of a slot are used again; else each transfer makes two new ones.
    pub keep: bool,
}

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Transfers in a second.
    pub per_second: f64,
    /// CPU time of the server for each one.
    pub cpu: Duration,
}

/// Carries them once; every body is compared.
///
/// # Errors
/// As for [`super::bulk::carry`].
pub fn carry(target: &Target, small: Small, pattern: &Pattern) -> Result<Took> {
    let before = Usage::of(&target.pids);
    let slots = (0..small.slots).map(|_| Slot::default()).collect();
    let (poller, buffer) = (Poller::new()?, Client::buffer());
    let mut run = Run { target, small, pattern, poller, slots, buffer, begun: 0, done: 0 };
    let started = Instant::now();
    for slot in 0..small.slots.min(small.total) {
        run.begin(slot)?;
    }
    let mut ready = Vec::new();
    while run.done < small.total {
        ensure!(started.elapsed() < RUN_MAX, "nothing came of it within {RUN_MAX:?}");
        run.poller.wait(Duration::from_secs(1), &mut ready)?;
        for socket in &ready {
            run.read(socket.id as usize)?;
        }
    }
    let (wall, total) = (started.elapsed().as_secs_f64(), small.total);
    let cpu = Usage::of(&target.pids).since(&before) / total as u32;
    Ok(Took { per_second: total as f64 / wall, cpu })
}

/// One transfer at a time.
#[derive(Default)]
struct Slot {
    /// The receiver's connection and the sender's.
    sides: [Option<Client>; 2],
    /// Where in the pattern its body is.
    offset: u64,
}

impl Slot {
    fn is_done(&self) -> bool {
        self.sides.iter().flatten().all(|client| client.answer.is_done())
    }
}

struct Run<'a> {
    target: &'a Target,
    small: Small,
    pattern: &'a Pattern,
    poller: Poller,
    slots: Vec<Slot>,
    buffer: Vec<u8>,
    begun: usize,
    done: usize,
}

impl Run<'_> {
    /// Begins the next transfer in a slot: the receiver asks, and the sender says all it has.
    fn begin(&mut self, slot: usize) -> Result<()> {
        let pipe = self.target.pipe(1);
        let mut body = put(self.target, &pipe, Some(SIZE as u64)).into_bytes();
        self.slots[slot].offset = self.begun as u64;
        body.extend_from_slice(self.pattern.at(self.begun as u64, SIZE));
        self.say(slot, 0, get(self.target, &pipe).as_bytes())?;
        self.say(slot, 1, &body)?;
        self.begun += 1;
        Ok(())
    }

    /// Says something on the connection of one side, which is made if there is none.
    fn say(&mut self, slot: usize, side: usize, bytes: &[u8]) -> Result<()> {
        let address = [self.target.receivers, self.target.sender][side];
        let place = &mut self.slots[slot].sides[side];
        let mut client = match place
            .take()
            .filter(|client| self.small.keep && !client.answer.closes)
        {
            Some(Client { socket, .. }) => Client { socket, answer: crate::answer::Answer::new() },
            None => {
                let client = Client::connect(address)?;
                self.poller.add(&client.socket, (slot * 2 + side) as u64)?;
                client
            }
        };
        client.say(bytes)?;
        *place = Some(client);
        Ok(())
    }

    /// Reads from one connection; goes on with its slot when both sides are done.
    fn read(&mut self, id: usize) -> Result<()> {
        let (slot, side) = (id / 2, id % 2);
        let Slot { sides, offset } = &mut self.slots[slot];
        let Some(client) = &mut sides[side] else { return Ok(()) };
        if client.answer.is_done() {
            // The server has closed a connection that was done with.
            return self.poller.remove(&client.socket);
        }
        let (pattern, mut wrong) = (self.pattern, None);
        client.read(&mut self.buffer, false, &mut |at, bytes| {
            if side == 0 {
                wrong = wrong.or(pattern.first_wrong(*offset + at, bytes));
            }
        })?;
        ensure!(wrong.is_none(), "a wrong byte");
        let whole = side == 1 || client.answer.body == SIZE as u64;
        ensure!(whole || !client.answer.is_done(), "{} bytes of {SIZE}", client.answer.body);
        if self.slots[slot].is_done() {
            self.done += 1;
            if self.begun < self.small.total {
                self.begin(slot)?;
            } else {
                self.slots[slot] = Slot::default();
            }
        }
        Ok(())
    }
}
