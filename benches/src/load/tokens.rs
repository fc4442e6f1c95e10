//! Short lines at a steady pace, as a language model writes them: how long each one takes to each
//! receiver.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Client, Meeting, Target};
use crate::pattern::Pattern;
use crate::usage::Usage;

/// Bytes of one token.
const TOKEN: usize = 50;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// Receivers, 1 to 256.
    pub receivers: usize,
    /// How many tokens.
    pub count: usize,
    /// Between two of them.
    pub every: Duration,
}

/// How long it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From the write of a token to its last byte at a receiver, over all tokens and receivers.
    pub median: Duration,
    /// 99 % were faster.
    pub p99: Duration,
    /// CPU time of the server for each token at each receiver.
    pub cpu: Duration,
}

/// Carries them once, and compares them.
///
/// # Errors
/// As for [`super::bulk::carry`].
pub fn carry(target: &Target, tokens: Tokens, pattern: &Pattern) -> Result<Took> {
    let meeting = Meeting::open(target, tokens.receivers, None)?;
    let before = Usage::of(&target.pids);
    let sent = Vec::with_capacity(tokens.count);
    let took = Vec::with_capacity(tokens.count * tokens.receivers);
    let mut run = Run { meeting, pattern, buffer: Client::buffer(), sent, took };
    run.all(tokens)?;
    let cpu = Usage::of(&target.pids).since(&before);
    let mut took = run.took;
    ensure!(took.len() == tokens.count * tokens.receivers, "{} tokens arrived", took.len());
    took.sort_unstable();
    let rank = |share: f64| took[((took.len() as f64 * share) as usize).min(took.len() - 1)];
    Ok(Took { median: rank(0.5), p99: rank(0.99), cpu: cpu / took.len() as u32 })
}

struct Run<'a> {
    meeting: Meeting,
    pattern: &'a Pattern,
    buffer: Vec<u8>,
    /// When each token was written.
    sent: Vec<Instant>,
    /// How long each took to each receiver.
    took: Vec<Duration>,
}

impl Run<'_> {
    fn all(&mut self, tokens: Tokens) -> Result<()> {
        let mut due = Instant::now() + tokens.every;
        while self.sent.len() < tokens.count {
            self.listen(due.saturating_duration_since(Instant::now()))?;
            if Instant::now() >= due {
                self.send()?;
                due += tokens.every;
            }
        }
        self.meeting.sender.say(b"0\r\n\r\n")?;
        while !self.meeting.receivers.iter().all(|receiver| receiver.answer.is_done()) {
            self.listen(Duration::from_secs(1))?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let offset = (self.sent.len() * TOKEN) as u64;
        let mut chunk = format!("{TOKEN:x}\r\n").into_bytes();
        chunk.extend_from_slice(self.pattern.at(offset, TOKEN));
        chunk.extend_from_slice(b"\r\n");
        self.sent.push(Instant::now());
        self.meeting.sender.say(&chunk)
    }

    /// Reads what comes until something came, or for so long.
    fn listen(&mut self, limit: Duration) -> Result<()> {
        self.meeting.check_time()?;
        let mut ready = Vec::new();
        self.meeting.poller.wait(limit, &mut ready)?;
        for socket in ready {
            match self.meeting.receivers.get_mut(socket.id as usize) {
                Some(_) => self.receive(socket.id as usize)?,
                None => {
                    self.meeting.sender.read(&mut self.buffer, false, &mut |_, _| {})?;
                    if self.meeting.sender.answer.is_done() {
                        self.meeting.poller.remove(&self.meeting.sender.socket)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) -> Result<()> {
        let receiver = &mut self.meeting.receivers[at];
        let (had, pattern, mut wrong) = (receiver.answer.body, self.pattern, None);
        receiver.read(&mut self.buffer, false, &mut |at, bytes| {
            wrong = wrong.or(pattern.first_wrong(at, bytes));
        })?;
        let now = Instant::now();
        if let Some(wrong) = wrong {
            bail!("wrong byte at {wrong} of receiver {at}");
        }
        let whole = |bytes: u64| bytes as usize / TOKEN;
        let arrived = whole(had)..whole(receiver.answer.body);
        ensure!(arrived.end <= self.sent.len(), "more tokens than were sent");
        self.took.extend(self.sent[arrived].iter().map(|sent| now - *sent));
        if receiver.answer.is_done() {
            self.meeting.poller.remove(&receiver.socket)?;
        }
        Ok(())
    }
}
