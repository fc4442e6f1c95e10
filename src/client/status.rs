//! `status`: one snapshot, printed as the relay gives it. Knows nothing of what it says.

use std::io::{self, IsTerminal, Write};

use reqwest::Method;

use super::connect::innermost;
use super::console::Console;
use super::fields::Fields;
use super::relay::{Relay, Target};
use super::{Exit, Fault, failed, signalled};
use crate::config::errand::StatusFlags;

/// The longest snapshot that is taken, in bytes; a real one has some hundred.
const SNAPSHOT_MAX: usize = 64 * 1024;

/// Asks, prints, and says how it ended.
pub async fn run(flags: StatusFlags) -> Exit {
    let console = Console::new(false);
    match asked(&flags) {
        Ok((relay, target)) => tokio::select! {
            exit = print(&relay, &target, &console) => exit,
            exit = signalled() => exit,
        },
        Err(fault) => fault.tell(&console),
    }
}

fn asked(flags: &StatusFlags) -> Result<(Relay, Target), Fault> {
    let mut target = Target::new(&flags.url)?;
    target.flag("status", true);
    target.pair("transfer", flags.transfer_id.as_ref().map(|id| id.0.as_str()));
    Ok((Relay::new(&flags.url, &flags.link)?, target))
}

async fn print(relay: &Relay, target: &Target, console: &Console) -> Exit {
    let mut answer = match relay.answer(|| relay.request(Method::GET, target), console).await {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    let mut text = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) if text.len() + piece.len() <= SNAPSHOT_MAX => {
                text.extend_from_slice(&piece);
            }
            Ok(Some(_)) => return failed(console, "the answer is too long; is this a relay?"),
            Ok(None) => break,
            Err(error) => {
                return failed(console, &format!("the answer was cut: {}", innermost(&error)));
            }
        }
    }
    let Ok(fields) = serde_json::from_slice::<Fields>(&text) else {
        return failed(console, "the answer is no status; is this a relay?");
    };
    match writeln!(io::stdout(), "{}", fields.text(io::stdout().is_terminal())) {
        Ok(()) => Exit::Complete,
        Err(error) => failed(console, &format!("the output cannot be written: {error}")),
    }
}
