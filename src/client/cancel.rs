//! `cancel`: one DELETE.

use reqwest::Method;

use super::console::Console;
use super::relay::{Relay, Target};
use super::{Exit, Fault, signalled};
use crate::config::errand::CancelFlags;

/// Cancels, and says how it ended.
pub async fn run(flags: CancelFlags) -> Exit {
    let console = Console::new(false);
    let (relay, target) = match asked(&flags) {
        Ok(asked) => asked,
        Err(fault) => return fault.tell(&console),
    };
    tokio::select! {
        answer = relay.answer(|| relay.request(Method::DELETE, &target), &console) => match answer {
            Ok(_) => Exit::Complete,
            // Not this request was cancelled or timed out, but it was not granted.
            Err(Exit::TimedOut | Exit::Cancelled) => Exit::Refused,
            Err(exit) => exit,
        },
        exit = signalled() => exit,
    }
}

fn asked(flags: &CancelFlags) -> Result<(Relay, Target), Fault> {
    let mut target = Target::new(&flags.url)?;
    target.pair("reason", flags.reason.as_deref());
    Ok((Relay::new(&flags.url, &flags.link)?, target))
}
