//! Runs the scripts in `testscripts/rendezvous`: calls in, answers and state out. Each file name is
//! the sentence that its script proves.
//!
//! Parties are `s1`, `s2`, … (senders) and `r1`, `r2`, … (receivers); matches are `x1`, `x2`, … in
//! the order of their making. `r1/2` is `r1` under its second attempt. All links are link 1 unless
//! `link=` says otherwise, and an answer to another link is marked `@2`. The tags `[full]`,
//! `[no-start]` and `[label-taken]` say what the node has no room for. After `⇨` stands the state.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use test_each_file::test_each_path;

use super::*;

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
    /// A party gives its place up. Example: leave r1 attempt=2 ask=true
    Leave {
        who: String,
        #[arg(key)]
        attempt: Option<u32>,
        #[arg(key, optional)]
        ask: bool,
    },
    /// The sender's side has started. The roll is that of the match, unless one is given: the
    /// sender first, each with its attempt. Example: ready x1 s1/1 r1/2
    Ready {
        transfer: String,
        #[arg(optional, many)]
        roll: Vec<String>,
        #[arg(key)]
        link: Option<u64>,
    },
    /// The sender's side gave the match up.
    Unready(String),
    /// The body is complete or the transfer has failed.
    Released(String),
    /// Nobody of the transfer is left.
    Ended(String),
    /// `d1` ends whatever is there.
    Cancel {
        #[arg(key)]
        reason: Option<String>,
        #[arg(key)]
        link: Option<u64>,
    },
    /// The machine is lost to a defect: what everyone is told. It is kept, to look at it.
    Wreck,
}

/// A machine, and what its sides were told.
#[derive(Default)]
struct Script {
    machine: Rendezvous,
    now: Millis,
    minted: u128,
    /// Everyone in each match that has begun, the sender first.
    rolls: HashMap<TransferId, Vec<Seat>>,
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
                self.now = *now;
                return Ok(String::new());
            }
            Command::Wreck => self.machine.wreck(),
            _ => {
                let (link, call) = self.call(command)?;
                self.step(link, call, context)
            }
        };
        let mut text = String::new();
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
        let call = match command {
            Command::Attach { who, n, attempt, age, label, link } => {
                let seat = Seat { party: party(who)?, attempt: attempt.unwrap_or(1) };
                let role = role_of(seat.party);
                let (n, age_ms, label) = (n.unwrap_or(1), age.unwrap_or(0), label.clone());
                let attach = Attach { seat, role, n, age_ms, label };
                return Ok((link.unwrap_or(1), Call::Attach(attach)));
            }
            Command::Leave { who, attempt, ask } => {
                let seat = Seat { party: party(who)?, attempt: attempt.unwrap_or(1) };
                Call::Leave { seat, ask: *ask }
            }
            Command::Ready { transfer: x, roll, link } => {
                let transfer = transfer(x)?;
                let given = roll.iter().map(|s| seat(s)).collect::<Result<Vec<_>, _>>()?;
                let known = || self.rolls.get(&transfer).cloned().ok_or("no such match");
                let roll = if given.is_empty() { known()? } else { given };
                return Ok((link.unwrap_or(1), Call::Ready { transfer, roll }));
            }
            Command::Unready(x) => Call::Unready { transfer: transfer(x)? },
            Command::Released(x) => Call::Released { transfer: transfer(x)? },
            Command::Ended(x) => Call::Ended { transfer: transfer(x)? },
            Command::Cancel { reason, link } => {
                let call = Call::Cancel { asker: party("d1")?, reason: reason.clone() };
                return Ok((link.unwrap_or(1), call));
            }
            Command::Clock(_) | Command::Wreck => return Err("not a call".into()),
        };
        Ok((1, call))
    }

    fn step(&mut self, link: u64, call: Call, context: &goldenscript::Context) -> Vec<Output> {
        let has_room = |tag: &str| !context.tags.contains(tag);
        let minted = &mut self.minted;
        let mut room = Room {
            wait: &mut || has_room("full"),
            start: &mut || has_room("no-start"),
            label: &mut || has_room("label-taken"),
            mint: &mut || {
                *minted += 1;
                TransferId::from_u128(*minted)
            },
        };
        self.machine.step(self.now, ReplyTo(link), call, &mut room)
    }

    /// The sender's side remembers who is in a match.
    fn note(&mut self, answer: &Answer) {
        if let Answer::Begin { transfer, sender, receivers, role: Role::Sender } = answer {
            let roll = std::iter::once(*sender).chain(receivers.iter().copied()).collect();
            self.rolls.insert(*transfer, roll);
        }
    }
}

/// What a simulation may look at.
impl Rendezvous {
    /// Everyone here who waits or is matched.
    pub(crate) fn present(&self) -> Vec<Seat> {
        self.places.iter().map(|p| p.seat).collect()
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
        let begun = self.current.as_ref().is_some_and(|m| !m.streaming);
        let matched = self.places.iter().filter(|p| p.phase == Phase::Matched).count();
        assert!(matched <= if begun { n + 1 } else { 0 }, "matched with nobody: {self:?}");
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

fn show(Output { to, answer }: &Output) -> String {
    let text = match answer {
        Answer::Parked { seat, k } => format!("{} parked, {k} receivers here", show_seat(seat)),
        Answer::Reject { seat, why } => format!("{} refused: {why:?}", show_seat(seat)),
        Answer::Fail { seat, why } => format!("{} failed: {why:?}", show_seat(seat)),
        Answer::Lost { seat } => format!("{} lost", show_seat(seat)),
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
    };
    if *to == ReplyTo(1) { text } else { format!("{text} @{}", to.0) }
}

fn state(machine: &Rendezvous) -> String {
    let mut parts: Vec<String> = machine.n.iter().map(|n| format!("n={n}")).collect();
    parts.extend(machine.places.iter().map(|place| {
        format!("{} {}", show_seat(&place.seat), format!("{:?}", place.phase).to_lowercase())
    }));
    parts.extend(machine.current.iter().map(|m| {
        format!("{} {}", show_transfer(m.id), if m.streaming { "streaming" } else { "begun" })
    }));
    parts.extend(machine.draining.iter().map(|m| format!("{} draining", show_transfer(m.id))));
    parts.extend(machine.doomed.iter().map(|(seat, _)| format!("{} doomed", show_seat(seat))));
    parts.extend(machine.labels().map(|label| format!("label {label}")));
    if machine.is_idle() {
        parts.push("idle".to_owned());
    }
    parts.join(", ")
}
