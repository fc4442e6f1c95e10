//! Runs the scripts in `testscripts/party`: inputs in, acts and state out. Each file name is the
//! sentence that its script proves. The party is `s1` or `r1`; matches are `x1`, `x2`, …

#![allow(clippy::unwrap_used)]

mod meeting;
mod world;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use test_each_file::test_each_path;

use super::*;
use crate::pipe::{Notice, PartyId};

test_each_path! { in "./src/edge/testscripts/party" as scripts => run_script }

fn run_script(path: &Path) {
    goldenscript::run(&mut Script(None), path).unwrap();
}

#[derive(goldenscript::Command)]
enum Command {
    /// A new party.
    New(String),
    /// It begins to ask for a place.
    Arrive,
    /// The owner parks this attempt.
    Parked {
        attempt: u32,
        #[arg(key, optional)]
        k: u16,
    },
    /// The owner refuses this attempt.
    Refuse { attempt: u32 },
    /// The owner ends the wait of this attempt.
    Fail { attempt: u32 },
    /// The owner is lost under this attempt.
    Lost { attempt: u32 },
    /// The owner matches this attempt.
    Begin { transfer: String, attempt: u32 },
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
}

struct Script(Option<Party>);

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        if let Command::New(name) = command {
            let role = if name.starts_with('s') { Role::Sender } else { Role::Receiver };
            self.0 = Some(Party::new(seat(role, 0), role));
            return Ok(String::new());
        }
        let party = self.0.as_mut().ok_or("make a party first")?;
        let input = input(party.role, command)?;
        let mut text = String::new();
        for act in party.step(input) {
            writeln!(text, "{}", show(&act))?;
        }
        writeln!(text, "⇨ {}", state(party))?;
        Ok(text)
    }
}

fn input(role: Role, command: &Command) -> Result<Input, Box<dyn Error>> {
    let seat = |attempt: &u32| seat(role, *attempt);
    Ok(match command {
        Command::New(_) => return Err("not an input".into()),
        Command::Arrive => Input::Arrive,
        Command::Undone(x) => Input::Undone(transfer(x)?),
        Command::Started(x) => Input::Started(transfer(x)?),
        Command::Deadline => Input::Deadline,
        Command::Gone { stopping } => Input::Gone(stopping.then_some(Failure::ShuttingDown)),
        answer => Input::Owner(match answer {
            Command::Parked { attempt, k } => Answer::Parked { seat: seat(attempt), k: *k },
            Command::Refuse { attempt } => {
                Answer::Reject { seat: seat(attempt), why: Reject::PendingCap }
            }
            Command::Fail { attempt } => {
                Answer::Fail { seat: seat(attempt), why: Failure::Capacity }
            }
            Command::Lost { attempt } => Answer::Lost { seat: seat(attempt) },
            Command::Begin { transfer: x, attempt } => begin(role, transfer(x)?, *attempt),
            Command::OwnerUndoes(x) => {
                Answer::Undo { transfer: transfer(x)?, sender: seat(&1).party }
            }
            Command::Left { sender } => Answer::Left { seat: seat(&1), sender_there: *sender },
            _ => Answer::Tell { party: seat(&1).party, notice: Notice::Connected },
        }),
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
        Act::Attach { seat, undone: 0 } => format!("attach, attempt {}", seat.attempt),
        Act::Attach { seat, undone } => {
            format!("attach, attempt {}, undone {undone} times", seat.attempt)
        }
        Act::Leave { seat, ask, why } => {
            let (ask, why) = (if *ask { " and ask" } else { "" }, show_why(why.as_ref()));
            format!("leave{ask}, attempt {}{why}", seat.attempt)
        }
        Act::Admitted { k } => format!("admitted, {k} receivers there"),
        Act::Meet { transfer, sender, receivers } => {
            let (x, s, r) = (show_transfer(*transfer), sender.attempt, receivers[0].attempt);
            format!("meet in {x}: s1/{s} with r1/{r}")
        }
        Act::Unready { transfer } => format!("unready {}", show_transfer(*transfer)),
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
        other => format!("{other:?}").to_lowercase(),
    };
    let late = if party.late { ", late" } else { "" };
    format!("{state}, attempt {}{late}", party.seat.attempt)
}
