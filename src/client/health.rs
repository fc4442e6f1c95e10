//! `health`: whether the node behind an admin listener wants clients. Knows nothing of why not: that is
//! the text of the answer.

use reqwest::Method;

use super::console::Console;
use super::relay::{Relay, Target};
use super::{Exit, Fault, signalled};
use crate::config::errand::HealthFlags;

/// Asks, and says how it ended.
pub async fn run(flags: HealthFlags) -> Exit {
    let console = Console::new(false);
    let (relay, target) = match asked(&flags) {
        Ok(asked) => asked,
        Err(fault) => return fault.tell(&console),
    };
    tokio::select! {
        answer = relay.answer(|| relay.request(Method::GET, &target), &console) => {
            answer.map_or_else(|exit| exit, |_| Exit::Complete)
        }
        exit = signalled() => exit,
    }
}

fn asked(flags: &HealthFlags) -> Result<(Relay, Target), Fault> {
    Ok((Relay::new(&flags.url, &flags.link)?, Target::new(&flags.url)?))
}
