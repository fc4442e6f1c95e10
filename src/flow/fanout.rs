//! One source, `n` lanes, one window: every lane gets every byte, at the pace of the slowest.
//!
//! Runs on one thread, the sender's: waking another thread costs more than copying a block. Knows
//! neither who the receivers are nor what the bytes mean.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::time::Sleep;

use super::store::Store;
use super::{Bell, Lane, Loss, Pipes, Source};

/// Output of one turn: a fast sender with fast receivers must not keep the thread for itself. About
/// a third of a millisecond at memory speed.
const TURN: u64 = 1 << 20;

/// What happened in a fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<E> {
    /// A receiver's connection failed or its client left. Said for each one behind a lane.
    LaneLost,
    /// A receiver took nothing for this long while bytes waited for it, and was cut.
    LaneStalled(Duration),
    /// No lane is left; nothing more will happen.
    AllGone,
    /// The source came to its end. The last bytes (all of the last read) and the end marker are
    /// held back until [`Fanout::release`].
    BodyComplete,
    /// The source failed; nothing more will happen. Dropping the fan-out cuts every lane.
    Failed(E),
    /// The source was silent for the idle limit with every lane caught up.
    Idle,
    /// Every lane left has everything.
    Finished,
}

/// A transfer's bytes on their way. Dropping it before [`Event::Finished`] cuts every lane left.
pub struct Fanout<S: Source> {
    source: S,
    /// One window for all lanes. Filled from the start; starts anew when all lanes are even.
    store: Store,
    filled: usize,
    /// What the lanes may take: all that is filled, but the last read only after the release.
    shown: usize,
    lanes: Vec<Lane>,
    phase: Phase,
    events: VecDeque<Event<S::Error>>,
    bell: Arc<Bell>,
    total: u64,
    /// What lanes that are gone have taken.
    taken_before: u64,
    /// Where the window begins in the body.
    begins_at: u64,
    whole: u16,
    digest: Option<Sha256>,
    idle: Idle,
    timer: Pin<Box<Sleep>>,
}

/// Comes back after the reactor was asked for news. A plain wake would be served up to 61 times
/// before that.
fn yield_turn<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

/// The limit on silence of the source.
struct Idle {
    limit: Option<Duration>,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    Ended,
    Draining,
    Over,
}

impl<S: Source> Fanout<S> {
    /// A fan-out over lanes that are started and hung on `bell`. `window` bytes are the most the
    /// source is ever ahead of the slowest lane.
    pub fn new(
        source: S,
        lanes: Vec<Lane>,
        bell: Arc<Bell>,
        window: usize,
        hash: bool,
        idle: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        Self {
            source,
            store: Store::new(window),
            filled: 0,
            shown: 0,
            lanes,
            phase: Phase::Reading,
            events: VecDeque::new(),
            bell,
            total: 0,
            taken_before: 0,
            begins_at: 0,
            whole: 0,
            digest: hash.then(Sha256::new),
            idle: Idle { limit: idle, since: now },
            timer: Box::pin(tokio::time::sleep_until(now.into())),
        }
    }

    /// Lets the kernel move the bytes, in these pipes, where that pays and can be had. Bytes that are
    /// hashed have to be seen, and are copied.
    pub fn through(mut self, pipes: Option<Pipes>) -> Self {
        if let (Some(pipes), None) = (pipes, &self.digest) {
            self.store.allow(pipes);
        }
        self
    }

    /// Lets the kernel move the bytes from the first one on.
    #[cfg(test)]
    pub(crate) fn poured(mut self, pipes: &Pipes) -> Self {
        self.store.pour(pipes, self.lanes.len());
        self
    }

    /// Lets go of the last bytes after [`Event::BodyComplete`].
    pub fn release(&mut self) {
        if self.phase == Phase::Ended {
            self.phase = Phase::Draining;
            self.shown = self.filled;
        }
    }

    /// The window is full: the source is not read until the slowest lane goes on.
    pub fn is_held_up(&self) -> bool {
        self.phase == Phase::Reading && self.store.is_full(self.filled)
    }

    /// Body bytes read so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Body bytes written to all receivers together; of one that was lost within a window, those up to
    /// the last piece that its lane took whole.
    pub fn delivered(&self) -> u64 {
        let taken =
            |lane: &Lane| (self.begins_at + lane.taken() as u64) * u64::from(lane.receivers());
        self.taken_before + self.lanes.iter().map(taken).sum::<u64>()
    }

    /// Receivers that have everything, the end marker included.
    pub fn whole(&self) -> u16 {
        self.whole
    }

    /// Receivers that are still to get bytes.
    pub fn receivers(&self) -> u16 {
        self.lanes.iter().map(Lane::receivers).sum()
    }

    /// The SHA-256 of all bytes in lower-case hex, once the source has ended and if it was asked for.
    pub fn digest(&mut self) -> Option<String> {
        let digest = self.digest.take()?.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The source, for watching it once it has ended: the fan-out reads it no more.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Ends the fan-out and gives the source back. Lanes that are left are cut.
    pub fn into_source(self) -> S {
        self.source
    }

    /// The next event. Nothing is lost between two polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<S::Error>> {
        let begun = self.total;
        loop {
            let moved = (self.total - begun).saturating_mul(self.lanes.len() as u64);
            if moved >= TURN {
                return yield_turn(cx);
            }
            if self.bell.poll_heard(cx).is_ready() {
                self.drop_gone();
                // Registered again only when nothing was heard.
                continue;
            }
            self.write_lanes(cx);
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            let progress = match self.phase {
                Phase::Reading if self.lanes.is_empty() => self.over(Event::AllGone),
                Phase::Draining if self.lanes.is_empty() => self.close(),
                Phase::Reading => self.read(cx),
                Phase::Ended | Phase::Draining | Phase::Over => false,
            };
            if !progress && self.poll_limits(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// All lanes are done: whole if any got everything, otherwise nobody was left.
    fn close(&mut self) -> bool {
        let event = if self.whole > 0 { Event::Finished } else { Event::AllGone };
        self.over(event)
    }

    fn over(&mut self, event: Event<S::Error>) -> bool {
        self.phase = Phase::Over;
        self.events.push_back(event);
        true
    }

    fn drop_gone(&mut self) {
        let (begins_at, taken_before) = (self.begins_at, &mut self.taken_before);
        let events = &mut self.events;
        self.lanes.retain_mut(|lane| {
            while let Some(loss) = lane.next_loss() {
                *taken_before += begins_at + lane.taken() as u64;
                events.push_back(match loss {
                    Loss::Left => Event::LaneLost,
                    Loss::Stalled(limit) => Event::LaneStalled(limit),
                });
            }
            lane.receivers() > 0
        });
    }

    /// Writes to every lane what it lacks; starts the window anew when all are even.
    fn write_lanes(&mut self, cx: &mut Context<'_>) {
        let end = self.phase == Phase::Draining;
        let mut shown = self.store.shown(self.shown, self.lanes.len());
        let mut i = 0;
        while let Some(lane) = self.lanes.get_mut(i) {
            match lane.poll_write(cx, &mut shown, end) {
                Poll::Ready(Ok(())) if end && lane.is_settled() => {
                    self.whole += lane.receivers();
                    let taken = self.begins_at + lane.taken() as u64;
                    self.taken_before += taken * u64::from(lane.receivers());
                    self.lanes.swap_remove(i).finish();
                }
                // What a crowd said last may still be on its way; then its hold is dropped.
                Poll::Ready(Err(_)) if lane.is_crowd() => i += 1,
                Poll::Ready(Err(_)) => {
                    self.taken_before += self.begins_at + lane.taken() as u64;
                    self.lanes.swap_remove(i);
                    self.events.push_back(Event::LaneLost);
                }
                Poll::Ready(Ok(())) | Poll::Pending => i += 1,
            }
        }
        let even = self.lanes.iter().all(|lane| lane.is_even(self.shown, end));
        // Without lanes it is over, and no window is made for nobody.
        if even && self.phase == Phase::Reading && self.shown > 0 && !self.lanes.is_empty() {
            self.store.renew(self.filled, &mut self.source, &self.lanes);
            self.begins_at += self.filled as u64;
            (self.filled, self.shown) = (0, 0);
            self.lanes.iter_mut().for_each(Lane::rewind);
            self.idle.since = Instant::now();
        }
    }

    /// Reads once if there is room. True if anything came of it.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.store.is_full(self.filled) {
            return false;
        }
        let fill = match self.store.poll_fill(cx, self.filled, &mut self.source) {
            Poll::Pending => return false,
            Poll::Ready(Err(e)) => return self.over(Event::Failed(e)),
            Poll::Ready(Ok(fill)) => fill,
        };
        if let Some(digest) = &mut self.digest {
            digest.update(self.store.bytes(self.filled, fill.bytes));
        }
        self.total += fill.bytes as u64;
        self.filled += fill.bytes;
        if fill.end {
            self.phase = Phase::Ended;
            self.events.push_back(Event::BodyComplete);
        } else {
            self.shown = self.filled;
        }
        true
    }

    /// Watches the stall limits and the idle limit. Ready if one has passed.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle_ends();
        let stalls = self.lanes.iter().filter_map(Lane::stalls_at).map(|(at, _)| at);
        let Some(first) = stalls.chain(idle).min() else { return Poll::Pending };
        if self.timer.deadline() != first.into() {
            self.timer.as_mut().reset(first.into());
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.enforce(Instant::now());
        Poll::Ready(())
    }

    fn enforce(&mut self, now: Instant) {
        let mut i = 0;
        while let Some(lane) = self.lanes.get(i) {
            match lane.stalls_at() {
                Some((at, limit)) if at <= now => {
                    self.taken_before += self.begins_at + lane.taken() as u64;
                    self.lanes.swap_remove(i);
                    self.events.push_back(Event::LaneStalled(limit));
                }
                _ => i += 1,
            }
        }
        if self.idle_ends().is_some_and(|at| at <= now) {
            self.over(Event::Idle);
        }
    }

    /// The source has the idle limit only while it reads and every lane is caught up.
    fn idle_ends(&self) -> Option<Instant> {
        let waits = self.phase == Phase::Reading && self.shown == 0;
        self.idle.limit.filter(|_| waits).map(|limit| self.idle.since + limit)
    }
}

#[cfg(test)]
mod tests;
