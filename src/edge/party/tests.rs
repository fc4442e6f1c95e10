//! Runs the scripts in `testscripts/party`: inputs in, acts and state out. Each file name is the
//! sentence that its script proves. The party is `s1` or `r1`; matches are `x1`, `x2`, …; owners are
//! `a`, `b` and `c`, and where none is named it is `a`, who owns the name in view 1 and to whom link 1
//! stands. The clock stands still unless it is told.

#![allow(clippy::unwrap_used)]

mod meeting;
mod world;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use test_each_file::test_each_path;

use super::*;
use crate::pipe::{Notice, PartyId, Reject};

test_each_path! { in "./src/edge/testscripts/party" as scripts => run_script }

fn run_script(path: &Path) {
    let (now, links) = (Instant::now(), BTreeMap::from([(A, 1)]));
    goldenscript::run(&mut Script { party: None, now, links }, path).unwrap();
}

#[derive(goldenscript::Command)]
enum Command {
    /// A new party, which has heard of view 1 if there is one.
    New {
        party: String,
        #[arg(key, optional)]
        viewless: bool,
    },
    /// It begins to ask for a place.
    Arrive,
    /// A view in which this owner has the name, or nobody.
    View {
        epoch: u64,
        #[arg(optional)]
        owner: String,
    },
    /// This link stands now.
    Up { owner: String, link: u64 },
    /// This link is lost; its owner has been silent for so long.
    Down {
        owner: String,
        link: u64,
        #[arg(key, optional)]
        silent_s: u64,
    },
    /// Links are lost, and the party has not heard of it.
    Unlink { owner: String },
    /// So much time passes.
    Wait { seconds: u64 },
    /// The owner says that the name lives elsewhere as of that view.
    Moved {
        attempt: u32,
        #[arg(key)]
        epoch: u64,
        #[arg(key, optional)]
        from: String,
    },
    /// The owner parks this attempt.
    Parked {
        attempt: u32,
        #[arg(key, optional)]
        k: u16,
        #[arg(key, optional)]
        from: String,
    },
    /// The owner refuses this attempt.
    Refuse {
        attempt: u32,
        #[arg(key, optional)]
        from: String,
    },
    /// The owner ends the wait of this attempt.
    Fail { attempt: u32 },
    /// The owner is lost under this attempt.
    Lost { attempt: u32 },
    /// The owner matches this attempt.
    Begin {
        transfer: String,
        attempt: u32,
        #[arg(key, optional)]
        from: String,
    },
    /// The owner says that a lane of the match will not come.
    OwnerUndoes(String),
    /// The owner says whether a sender is there.
    Left {
        #[arg(key, optional)]
        sender: bool,
    },
    /// The owner tells a waiting sender something, which is not for the machine.
    Tell,
    /// The sender's side gave the match up.
    Undone(String),
    /// The transfer is on.
    Started(String),
    /// The wait has passed.
    Deadline,
    /// The client has left, or something ended the wait.
    Gone {
        #[arg(key, optional)]
        stopping: bool,
    },
    /// Who hears of the end of the transfer.
    Told,
}

struct Script {
    party: Option<Party>,
    now: Instant,
    /// The links that stand, by owner.
    links: BTreeMap<u64, u64>,
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        match command {
            Command::New { party, viewless } => {
                let role = if party.starts_with('s') { Role::Sender } else { Role::Receiver };
                let mut party = Party::new(seat(role, 0), role);
                if !viewless {
                    party.step(self.now, Input::View { epoch: 1, owner: Some(A) });
                }
                self.party = Some(party);
                return Ok(String::new());
            }
            Command::Unlink { owner } => {
                self.links.remove(&number(owner)?);
                return Ok(String::new());
            }
            Command::Wait { seconds } => self.now += Duration::from_secs(*seconds),
            Command::Up { owner, link } => {
                self.links.insert(number(owner)?, *link);
            }
            Command::Down { owner, link, .. } => {
                self.links.retain(|o, l| (*o, *l) != (number(owner).unwrap_or(0), *link));
            }
            Command::Told => {
                let party = self.party.as_ref().ok_or("make a party first")?;
                return Ok(party.told().map(name).collect::<Vec<_>>().join(" "));
            }
            _ => {}
        }
        let Some(party) = self.party.as_mut() else { return Ok(String::new()) };
        let input = input(party.role, self.now, command)?;
        let mut text = String::new();
        for act in party.step(self.now, input) {
            writeln!(text, "{}", show(&act))?;
            if let Act::Attach { owner, .. } = act {
                let link = self.links.get(&owner).copied();
                if link.is_none() {
                    writeln!(text, "there is no link")?;
                }
                assert_eq!(party.step(self.now, Input::Sent { link }), []);
            }
        }
        writeln!(text, "⇨ {}", state(party))?;
        Ok(text)
    }
}

const A: u64 = 1;

fn number(owner: &str) -> Result<u64, Box<dyn Error>> {
    match owner {
        "" | "a" => Ok(A),
        "b" => Ok(2),
        "c" => Ok(3),
        _ => Err("owners are a, b and c".into()),
    }
}

fn name(owner: u64) -> &'static str {
    ["", "a", "b", "c"][usize::try_from(owner).unwrap()]
}

/// Says which owner, if it is not `a`.
fn at(word: &str, owner: u64) -> String {
    if owner == A { String::new() } else { format!(" {word} {}", name(owner)) }
}

fn input(role: Role, now: Instant, command: &Command) -> Result<Input, Box<dyn Error>> {
    let seat = |attempt: &u32| seat(role, *attempt);
    Ok(match command {
        Command::New { .. } | Command::Unlink { .. } | Command::Told => {
            return Err("not an input".into());
        }
        Command::Arrive => Input::Arrive,
        Command::View { epoch, owner } => {
            let owner = if owner.is_empty() { None } else { Some(number(owner)?) };
            Input::View { epoch: *epoch, owner }
        }
        Command::Up { owner, link } => Input::LinkUp { owner: number(owner)?, link: *link },
        Command::Down { owner, link, silent_s } => {
            let silent = now - Duration::from_secs(*silent_s);
            Input::LinkDown { owner: number(owner)?, link: *link, silent }
        }
        Command::Wait { .. } => Input::Hopeless,
        Command::Moved { attempt, epoch, from } => {
            Input::Moved { from: number(from)?, seat: seat(attempt), epoch: *epoch }
        }
        Command::Undone(x) => Input::Undone(transfer(x)?),
        Command::Started(x) => Input::Started(transfer(x)?),
        Command::Deadline => Input::Deadline,
        Command::Gone { stopping } => Input::Gone(stopping.then_some(Failure::ShuttingDown)),
        answer => {
            let (from, answer) = said(role, answer)?;
            Input::Owner { from: number(from)?, answer }
        }
    })
}

/// What an owner says, and which one.
fn said(role: Role, command: &Command) -> Result<(&str, Answer), Box<dyn Error>> {
    let seat = |attempt: &u32| seat(role, *attempt);
    Ok(match command {
        Command::Parked { attempt, k, from } => {
            (from, Answer::Parked { seat: seat(attempt), k: *k })
        }
        Command::Refuse { attempt, from } => {
            (from, Answer::Reject { seat: seat(attempt), why: Reject::PendingCap })
        }
        Command::Fail { attempt } => {
            ("", Answer::Fail { seat: seat(attempt), why: Failure::Capacity })
        }
        Command::Lost { attempt } => ("", Answer::Lost { seat: seat(attempt) }),
        Command::Begin { transfer: x, attempt, from } => {
            (from, begin(role, transfer(x)?, *attempt))
        }
        Command::OwnerUndoes(x) => {
            ("", Answer::Undo { transfer: transfer(x)?, sender: seat(&1).party })
        }
        Command::Left { sender } => ("", Answer::Left { seat: seat(&1), sender_there: *sender }),
        _ => ("", Answer::Tell { party: seat(&1).party, notice: Notice::Connected }),
    })
}

/// A match of `s1` with `r1`, in which the party of this role is under this attempt.
fn begin(role: Role, transfer: TransferId, attempt: u32) -> Answer {
    let of = |r| seat(r, if r == role { attempt } else { 1 });
    Answer::Begin { transfer, sender: of(Role::Sender), receivers: vec![of(Role::Receiver)], role }
}

fn seat(role: Role, attempt: u32) -> Seat {
    let seq = if role == Role::Sender { 1 } else { 2 };
    Seat { party: PartyId { origin: 0, boot: 0, seq }, attempt }
}

fn transfer(name: &str) -> Result<TransferId, Box<dyn Error>> {
    Ok(TransferId::from_u128(name.strip_prefix('x').ok_or("matches are x1, x2, …")?.parse()?))
}

fn show_transfer(id: TransferId) -> String {
    let number = (1..100).find(|&i| TransferId::from_u128(i) == id).unwrap();
    format!("x{number}")
}

fn show(act: &Act) -> String {
    match act {
        Act::Attach { owner, seat, undone } => {
            let undone =
                if *undone == 0 { String::new() } else { format!(", undone {undone} times") };
            format!("attach{}, attempt {}{undone}", at("at", *owner), seat.attempt)
        }
        Act::Leave { owner, seat, ask, why } => {
            let (ask, why) = (if *ask { " and ask" } else { "" }, show_why(why.as_ref()));
            format!("leave{}{ask}, attempt {}{why}", at("", *owner), seat.attempt)
        }
        Act::Withdraw { owner, seat } => {
            format!("withdraw from {}, attempt {}", name(*owner), seat.attempt)
        }
        Act::Admitted { k } => format!("admitted, {k} receivers there"),
        Act::Counted { k } => format!("{k} receivers there"),
        Act::Meet { transfer, sender, receivers } => {
            let (x, s, r) = (show_transfer(*transfer), sender.attempt, receivers[0].attempt);
            format!("meet in {x}: s1/{s} with r1/{r}")
        }
        Act::Unready { owner, transfer } => {
            format!("unready {}{}", show_transfer(*transfer), at("to", *owner))
        }
        Act::Ready { owner, transfer } => {
            format!("ready {}{}", show_transfer(*transfer), at("to", *owner))
        }
        Act::Resume { owner, transfer } => {
            format!("resume {}{}", show_transfer(*transfer), at("to", *owner))
        }
        Act::LetGo => "let go".to_owned(),
        Act::Refused(why) => format!("refused: {why:?}"),
        Act::Failed(why) => format!("failed: {why:?}"),
    }
}

fn show_why(why: Option<&Failure>) -> String {
    why.map(|why| format!(", {why:?}")).unwrap_or_default()
}

fn state(party: &Party) -> String {
    let state = match party.state {
        State::Pinned(x) => format!("pinned {}", show_transfer(x)),
        State::Streaming(_) => "streaming".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let late = if party.late { ", late" } else { "" };
    format!("{state}, attempt {}{late}", party.seat.attempt)
}
