//! `status`: one snapshot, printed as the relay gives it. Knows nothing of what it says.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use reqwest::Method;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::connect::innermost;
use super::console::Console;
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

/// The fields of an object, in the order in which they came.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn text(&self, pretty: bool) -> String {
        let text = match pretty {
            true => serde_json::to_string_pretty(self),
            false => serde_json::to_string(self),
        };
        let text = text.expect("an object with textual keys is JSON");
        // What could steer a terminal is left out.
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_steer_no_terminal() {
        let text = r#"{"state":"idle","kind":null,"a":{"b":[1]},"reason":"x\u009b1m\n"}"#;
        let fields: Fields = serde_json::from_str(text).unwrap();
        let line = r#"{"state":"idle","kind":null,"a":{"b":[1]},"reason":"x1m\n"}"#;
        assert_eq!(fields.text(false), line);
        let pretty = fields.text(true);
        assert!(pretty.starts_with("{\n  \"state\": \"idle\",\n  \"kind\": null,\n"), "{pretty}");
        assert!(serde_json::from_str::<Fields>("[1]").is_err());
    }
}
