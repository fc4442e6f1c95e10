//! Runs the scripts in `testscripts/rendezvous`: calls in, answers and state out. Each file name is
//! the sentence that its script proves.
//!
//! Parties are `s1`, `s2`, … (senders) and `r1`, `r2`, … (receivers); matches are `x1`, `x2`, … in
//! the order of their making. `r1/2` is `r1` under its second attempt. All links are link 1 unless
//! `link=` says otherwise, and an answer to another link is marked `@2`. Spectators are `w1`, `w2`, …
//! `gone 2` is the loss of link 2, `wake` the moment that the machine has waited for.
//! The tags `[full]`, `[no-start]`, `[no-watch]` and `[label-taken]` say what the node has no room for,
//! `[expects]` that older parties may still be on their way; what it remembers is kept by the real [`Receipts`]. After `⇨` stands the state.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use std::time::{Duration, Instant};

use test_each_file::test_each_path;

use super::*;
use crate::pipe::receipts::Receipts;
use crate::pipe::{Attach, Outcome, PipePath, State};

test_each_path! { in "./src/pipe/testscripts/rendezvous" as scripts => run_script }

fn run_script(path: &Path) {
    goldenscript::run(&mut Script::default(), path).unwrap();
}

#[derive(goldenscript::Command)]
enum Command {
    /// The clock shows this many milliseconds from now on.
    Clock(Millis),
    /// A party asks for a place. Example: attach s1 n=2 attempt=2 age=100 label=a link=2
    Attach {
        who: String,
        #[arg(key)]
        n: Option<u16>,
        #[arg(key)]
        attempt: Option<u32>,
        #[arg(key)]
        age: Option<u64>,
        #[arg(key)]
        label: Option<String>,
        #[arg(key)]
        link: Option<u64>,
    },
    /// A party gives its place up, because its client has left or for a reason. Example:
    /// leave r1 attempt=2 ask=true why=timeout
    Leave {
        who: String,
        #[arg(key)]
        attempt: Option<u32>,
        #[arg(key, optional)]
        ask: bool,
        #[arg(key)]
        why: Option<String>,
    },
    /// A party takes its place elsewhere. Example: withdraw r1 attempt=2
    Withdraw {
        who: String,
        #[arg(key)]
        attempt: Option<u32>,
    },
    /// The sender's side has started. The roll is that of the match, unless one is given: the
    /// sender first, each with its attempt. Example: ready x1 s1/1 r1/2
    Ready {
        transfer: String,
        #[arg(optional, many)]
        roll: Vec<String>,
        #[arg(key)]
        link: Option<u64>,
        #[arg(key)]
        total: Option<u64>,
        #[arg(key)]
        label: Option<String>,
    },
    /// The transfer has come so far, with so many receivers left.
    Progress { transfer: String, bytes: u64, receivers: u16 },
    /// The sender's side gave the match up.
    Unready(String),
    /// The body is complete or the transfer has failed.
    Released(String),
    /// Nobody of the transfer is left: it is complete, or has failed for a reason.
    Ended {
        transfer: String,
        #[arg(key, optional)]
        bytes: u64,
        #[arg(key)]
        why: Option<String>,
        #[arg(key, optional)]
        hashed: bool,
    },
    /// `d1` asks what is at the name, or became of a transfer. Example: status label=a
    Status {
        #[arg(key)]
        label: Option<String>,
    },
    /// A spectator comes.
    Watch {
        who: String,
        #[arg(key)]
        link: Option<u64>,
    },
    /// A spectator leaves.
    Unwatch(String),
    /// `d1` ends whatever is there.
    Cancel {
        #[arg(key)]
        reason: Option<String>,
        #[arg(key)]
        link: Option<u64>,
    },
    /// The sender's side tells of its transfer again, `age` ms after its start. The roll as in `ready`.
    /// Example: resume x1 s1/1 r1/2 age=100 bytes=7 receivers=1 link=2 released=true
    Resume {
        transfer: String,
        #[arg(optional, many)]
        roll: Vec<String>,
        #[arg(key)]
        link: Option<u64>,
        #[arg(key)]
        total: Option<u64>,
        #[arg(key)]
        label: Option<String>,
        #[arg(key, optional)]
        age: u64,
        #[arg(key, optional)]
        bytes: u64,
        #[arg(key)]
        receivers: Option<u16>,
        #[arg(key, optional)]
        released: bool,
    },
    /// A link is lost.
    Gone(u64),
    /// The name lives elsewhere now.
    Evict,
    /// Older parties may be on their way.
    Collect,
    /// The moment has come that the machine has waited for.
    Wake,
    /// The machine is lost to a defect: what everyone is told. It is kept, to look at it.
    Wreck,
}

/// A machine, and what its sides were told.
#[derive(Default)]
struct Script {
    machine: Rendezvous,
    node: Node,
    /// Everyone in each match that has begun, the sender first, and the id that it chose.
    rolls: HashMap<TransferId, (Vec<Seat>, Option<PublicId>)>,
}

/// What a node has room for, and what it remembers.
struct Node {
    start: Instant,
    now: Millis,
    minted: u128,
    receipts: Receipts,
    path: PipePath,
    /// What there is no room for in this step.
    tags: BTreeSet<String>,
    /// What was remembered in this step.
    shelved: Vec<Past>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            now: 0,
            minted: 0,
            receipts: Receipts::new(10),
            path: PipePath::new("x").unwrap(),
            tags: BTreeSet::new(),
            shelved: Vec::new(),
        }
    }
}

impl Node {
    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn has_room(&self, tag: &str) -> bool {
        !self.tags.contains(tag)
    }
}

impl Room for Node {
    fn wait(&mut self) -> bool {
        self.has_room("full")
    }

    fn start(&mut self) -> bool {
        self.has_room("no-start")
    }

    fn watch(&mut self, _: usize) -> bool {
        self.has_room("no-watch")
    }

    fn expects(&mut self) -> bool {
        self.tags.contains("expects")
    }

    fn mint(&mut self) -> TransferId {
        self.minted += 1;
        TransferId::from_u128(self.minted)
    }

    fn take(&mut self, id: &PublicId, again: bool) -> bool {
        let held = !again && !self.has_room("label-taken");
        !held && self.receipts.take(self.instant(), id, again)
    }

    fn give_back(&mut self, id: &PublicId) {
        self.receipts.give_back(id);
    }

    fn shelve(&mut self, past: Past) {
        self.shelved.push(past.clone());
        self.receipts.add(self.instant(), &self.path, past);
    }

    fn forget(&mut self) {
        self.receipts.forget(&self.path);
    }

    fn recall(&mut self, id: Option<&PublicId>) -> Option<Snapshot> {
        self.receipts.recall(self.instant(), &self.path, id)
    }
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let outputs = match command {
            Command::Clock(now) => {
                self.node.now = *now;
                return Ok(String::new());
            }
            Command::Wreck => {
                let ruins = self.machine.ruins(self.node.now);
                ruins.into_iter().for_each(|past| self.node.shelve(past));
                self.machine.wreck()
            }
            Command::Wake => {
                self.node.tags.clone_from(&context.tags);
                self.machine.wake(self.node.now, &mut self.node)
            }
            _ => {
                let (link, call) = self.call(command)?;
                self.node.tags.clone_from(&context.tags);
                self.machine.step(self.node.now, ReplyTo(link), call, &mut self.node)
            }
        };
        let mut text = String::new();
        for past in self.node.shelved.drain(..) {
            let named = if past.named { ", shown" } else { "" };
            let kept = if past.kept { ", kept" } else { "" };
            writeln!(text, "over{named}{kept}: {}", show_snapshot(&past.last))?;
        }
        for output in outputs {
            self.note(&output.answer);
            writeln!(text, "{}", show(&output))?;
        }
        writeln!(text, "⇨ {}", state(&self.machine))?;
        Ok(text)
    }
}

impl Script {
    fn call(&self, command: &Command) -> Result<(u64, Call), Box<dyn Error>> {
        let one = |call| Ok((1, call));
        match command {
            Command::Attach { who, n, attempt, age, label, link } => {
                let seat = Seat { party: party(who)?, attempt: attempt.unwrap_or(1) };
                let role = role_of(seat.party);
                let (n, age_ms, label) = (n.unwrap_or(1), age.unwrap_or(0), chosen(label));
                let attach = Attach { seat, role, n, age_ms, label };
                Ok((link.unwrap_or(1), Call::Attach(attach)))
            }
            Command::Leave { who, attempt, ask, why } => {
                let seat = Seat { party: party(who)?, attempt: attempt.unwrap_or(1) };
                let why = why.as_deref().map(failure).transpose()?;
                one(Call::Leave { seat, ask: *ask, why })
            }
            Command::Withdraw { who, attempt } => one(Call::Withdraw {
                seat: Seat { party: party(who)?, attempt: attempt.unwrap_or(1) },
            }),
            Command::Ready { transfer: x, roll, link, total, label } => {
                let (transfer, total) = (transfer(x)?, *total);
                let (roll, label) = self.roll(transfer, roll, label)?;
                Ok((link.unwrap_or(1), Call::Ready { transfer, roll, total, label }))
            }
            Command::Resume { link, .. } => Ok((link.unwrap_or(1), self.resume(command)?)),
            Command::Gone(link) => one(Call::Gone { link: ReplyTo(*link) }),
            Command::Evict => one(Call::Evict),
            Command::Collect => one(Call::Collect),
            Command::Progress { transfer: x, bytes, receivers } => {
                let (transfer, bytes, receivers) = (transfer(x)?, *bytes, *receivers);
                one(Call::Progress { transfer, bytes, receivers })
            }
            Command::Unready(x) => one(Call::Unready { transfer: transfer(x)? }),
            Command::Released(x) => {
                one(Call::Released { transfer: transfer(x)?, sender: party("s1")? })
            }
            Command::Ended { transfer: x, bytes, why, hashed } => {
                let result = why.as_deref().map(failure).transpose()?.map_or(Ok(()), Err);
                let outcome = outcome(self.node.now, *bytes, result, *hashed);
                one(Call::Ended { transfer: transfer(x)?, sender: party("s1")?, outcome })
            }
            Command::Cancel { reason, link } => {
                let call = Call::Cancel { asker: party("d1")?, reason: reason.clone() };
                Ok((link.unwrap_or(1), call))
            }
            Command::Status { label } => {
                one(Call::Status { asker: party("d1")?, transfer: chosen(label) })
            }
            Command::Watch { who, link } => {
                Ok((link.unwrap_or(1), Call::Watch { watcher: party(who)? }))
            }
            Command::Unwatch(who) => one(Call::Unwatch { watcher: party(who)? }),
            Command::Clock(_) | Command::Wake | Command::Wreck => Err("not a call".into()),
        }
    }

    fn resume(&self, command: &Command) -> Result<Call, Box<dyn Error>> {
        let Command::Resume {
            transfer: x,
            roll,
            link: _,
            total,
            label,
            age,
            bytes,
            receivers,
            released,
        } = command
        else {
            return Err("not a resume".into());
        };
        let transfer = transfer(x)?;
        let (roll, label) = self.roll(transfer, roll, label)?;
        let receivers = receivers.unwrap_or(receivers_of(&roll));
        let (total, elapsed_ms, bytes, released) = (*total, *age, *bytes, *released);
        Ok(Call::Resume { transfer, roll, total, label, elapsed_ms, bytes, receivers, released })
    }

    /// Everyone in a transfer and the id that was chosen for it: as given, or as in its match.
    fn roll(
        &self,
        transfer: TransferId,
        given: &[String],
        label: &Option<String>,
    ) -> Result<(Vec<Seat>, Option<PublicId>), Box<dyn Error>> {
        let given = given.iter().map(|s| seat(s)).collect::<Result<Vec<_>, _>>()?;
        let known = self.rolls.get(&transfer).cloned();
        let (roll, known) = match given.is_empty() {
            true => known.ok_or("no such match")?,
            false => (given, None),
        };
        Ok((roll, chosen(label).or(known)))
    }

    /// The sender's side remembers who is in a match.
    fn note(&mut self, answer: &Answer) {
        if let Answer::Begin { transfer, sender, receivers, role: Role::Sender } = answer {
            let roll = std::iter::once(*sender).chain(receivers.iter().copied()).collect();
            let place = self.machine.places.iter().find(|p| p.seat == *sender);
            self.rolls.insert(*transfer, (roll, place.and_then(|p| p.label.clone())));
        }
    }
}

/// A chosen id, or `x1`: that of a match.
fn chosen(label: &Option<String>) -> Option<PublicId> {
    let label = label.as_deref()?;
    Some(transfer(label).map_or_else(|_| label.into(), PublicId::Uuid))
}

fn failure(word: &str) -> Result<Failure, Box<dyn Error>> {
    Ok(match word {
        "timeout" => Failure::SenderTimedOut,
        "late" => Failure::ReceiverTimedOut { sender_there: false },
        "lost" => Failure::SenderLost,
        "stopping" => Failure::ShuttingDown,
        _ => return Err("timeout, late, lost or stopping".into()),
    })
}

fn outcome(now: Millis, bytes: u64, result: Result<(), Failure>, hashed: bool) -> Outcome {
    let digest = (hashed && result.is_ok()).then(|| "d1ge57".to_owned());
    Outcome { result, bytes, whole: 1, n: 1, receivers: 0, elapsed_ms: now, hashed, digest }
}

/// What a simulation may look at.
impl Rendezvous {
    /// Everyone here who waits or is matched, and who was taken down.
    pub(crate) fn present(&self) -> Vec<Seat> {
        let held = self.collecting.iter().flat_map(|c| c.seats()).map(|(_, seat)| seat);
        self.places.iter().map(|p| p.seat).chain(held).collect()
    }

    /// Panics unless the state is one of those that well-behaved parties can bring about.
    pub(crate) fn check(&self) {
        let count = |role, newcomers: bool| {
            let places = self.places.iter().filter(|p| p.role == role);
            places.filter(|p| !newcomers || p.seat.attempt == 1).count()
        };
        assert!(count(Role::Sender, true) <= 1, "two newcomers send: {self:?}");
        let n = usize::from(self.n.unwrap_or(0));
        assert!(count(Role::Receiver, true) <= n, "more newcomers than slots: {self:?}");
        let idle = self.places.is_empty() && self.current.is_none();
        assert!(if idle { n == 0 } else { n > 0 || !self.is_waiting() }, "n is fixed: {self:?}");
        assert!(self.pairing().is_none(), "a pair is parked apart: {self:?}");
        let begun = self.current.as_ref().is_some_and(|m| !m.is_streaming());
        let matched = self.places.iter().filter(|p| p.phase == Phase::Matched).count();
        assert!(matched <= if begun { n + 1 } else { 0 }, "matched with nobody: {self:?}");
        let in_its_way = self.current.is_some() || self.collecting.is_some();
        assert!(in_its_way || self.held_back() == 0, "held back behind nobody: {self:?}");
    }
}

/// `s1` and the like; the letter is the origin, the number the count.
fn party(name: &str) -> Result<PartyId, Box<dyn Error>> {
    let letter = name.chars().next().ok_or("a party has a name")?;
    Ok(PartyId { origin: u64::from(letter), boot: 0, seq: name[1..].parse()? })
}

fn role_of(party: PartyId) -> Role {
    if party.origin == u64::from('s') { Role::Sender } else { Role::Receiver }
}

/// `s1/2`: a party and its attempt.
fn seat(text: &str) -> Result<Seat, Box<dyn Error>> {
    let (name, attempt) = text.split_once('/').unwrap_or((text, "1"));
    Ok(Seat { party: party(name)?, attempt: attempt.parse()? })
}

fn transfer(name: &str) -> Result<TransferId, Box<dyn Error>> {
    Ok(TransferId::from_u128(name.strip_prefix('x').ok_or("matches are x1, x2, …")?.parse()?))
}

fn show_party(party: PartyId) -> String {
    let letter = u32::try_from(party.origin).ok().and_then(char::from_u32).unwrap();
    format!("{letter}{}", party.seq)
}

fn show_seat(seat: &Seat) -> String {
    let name = show_party(seat.party);
    if seat.attempt == 1 { name } else { format!("{name}/{}", seat.attempt) }
}

fn show_transfer(id: TransferId) -> String {
    let number = (1..100).find(|&i| TransferId::from_u128(i) == id).unwrap();
    format!("x{number}")
}

fn show_id(id: &PublicId) -> String {
    let of_match = (1..100).find(|&i| PublicId::Uuid(TransferId::from_u128(i)) == *id);
    of_match.map_or_else(|| id.to_string(), |i| format!("x{i}"))
}

fn show_snapshot(snapshot: &Snapshot) -> String {
    let Snapshot { state, has_sender, receivers, n, bytes, total, elapsed_ms, digest, id } =
        snapshot;
    let mut parts = vec![match state {
        State::Failed(why) => format!("failed {why:?}"),
        state => format!("{state:?}").to_lowercase(),
    }];
    parts.extend(id.as_ref().map(show_id));
    parts.extend(has_sender.then(|| "sender".to_owned()));
    parts.extend(n.map(|n| format!("{receivers} of {n}")));
    let total = total.map(|total| format!(" of {total}")).unwrap_or_default();
    if !matches!(state, State::Idle | State::Waiting) {
        parts.push(format!("{bytes}{total} bytes in {elapsed_ms} ms"));
    }
    parts.extend(digest.clone());
    parts.join(", ")
}

fn show(Output { to, answer }: &Output) -> String {
    let text = match answer {
        Answer::Parked { seat, k } => format!("{} parked, {k} receivers here", show_seat(seat)),
        Answer::Reject { seat, why } => format!("{} refused: {why:?}", show_seat(seat)),
        Answer::Fail { seat, why } => format!("{} failed: {why:?}", show_seat(seat)),
        Answer::Lost { seat } => format!("{} lost", show_seat(seat)),
        Answer::Freed { transfer, .. } => format!("{} freed", show_transfer(*transfer)),
        Answer::Begin { transfer, sender, receivers, role } => {
            let receivers: Vec<String> = receivers.iter().map(show_seat).collect();
            let (x, s, r) = (show_transfer(*transfer), show_seat(sender), receivers.join(" "));
            match role {
                Role::Sender => format!("begin {x}: sender {s} gathers {r}"),
                Role::Receiver => format!("begin {x}: receivers {r} meet {s}"),
            }
        }
        Answer::Undo { transfer, sender } => {
            format!("undo {}, {}", show_transfer(*transfer), show_party(*sender))
        }
        Answer::Abort { transfer, sender, why } => {
            format!("abort {}, {}: {why:?}", show_transfer(*transfer), show_party(*sender))
        }
        Answer::Tell { party, notice } => format!("tell {}: {notice:?}", show_party(*party)),
        Answer::Left { seat, sender_there } => {
            let sender = if *sender_there { "a sender" } else { "no sender" };
            format!("{} left, {sender} there", show_seat(seat))
        }
        Answer::Cancelled { asker, found } => {
            let what = if *found { "somebody" } else { "nobody" };
            format!("{} hears: {what} was there", show_party(*asker))
        }
        Answer::Snapshot { watchers, snapshot } => {
            let shown = snapshot.as_deref().map_or("no such transfer".to_owned(), show_snapshot);
            let watchers: Vec<String> = watchers.iter().copied().map(show_party).collect();
            let see = if watchers.len() > 1 { "see" } else { "sees" };
            format!("{} {see}: {shown}", watchers.join(", "))
        }
    };
    if *to == ReplyTo(1) { text } else { format!("{text} @{}", to.0) }
}

fn state(machine: &Rendezvous) -> String {
    let mut parts: Vec<String> = machine.n.iter().map(|n| format!("n={n}")).collect();
    parts.extend(machine.places.iter().map(|place| {
        let phase = match place.phase {
            Phase::Parked => "parked",
            Phase::Behind { .. } => "behind",
            Phase::Matched => "matched",
            Phase::Expected { .. } => "expected",
        };
        format!("{} {phase}", show_seat(&place.seat))
    }));
    parts.extend(machine.current.iter().map(|m| {
        format!("{} {}", show_transfer(m.id), if m.is_streaming() { "streaming" } else { "begun" })
    }));
    parts.extend(machine.draining.iter().map(|m| format!("{} draining", show_transfer(m.id))));
    parts.extend(machine.doomed.iter().map(|d| format!("{} doomed", show_seat(&d.seat))));
    parts.extend(machine.aborted.iter().map(|a| format!("{} aborted", show_transfer(a.id))));
    let held = machine.collecting.iter().flat_map(|c| c.seats());
    parts.extend(held.map(|(_, seat)| format!("{} held", show_seat(&seat))));
    let askers = machine.collecting.iter().flat_map(|c| c.askers());
    parts.extend(askers.map(|(_, seat)| format!("{} held", show_party(seat.party))));
    parts.extend(machine.looks.iter().map(|look| format!("{} looks", show_party(look.who))));
    parts.extend(machine.collecting.iter().map(|c| format!("collecting until {}", c.until())));
    let labels = machine.ids().filter(|id| !show_id(id).starts_with('x'));
    parts.extend(labels.map(|label| format!("label {label}")));
    if machine.spectators() > 0 {
        parts.push(format!("{} watching", machine.spectators()));
    }
    if machine.is_idle() {
        parts.push("idle".to_owned());
    }
    parts.join(", ")
}
