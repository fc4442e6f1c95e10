//! `progress`: what happens at a name, until the transfer is done. Connects again when the
//! connection is lost, because a stream of events ends after 30 min (spec §16).

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::console::{Console, printable};
use super::events::{Event, Events};
use super::fields::Fields;
use super::relay::{Relay, Target, pause};
use super::story::{outcome, told};
use super::{Exit, failed, signalled};
use crate::config::errand::ProgressFlags;

/// A relay sends a comment every 15 s; after three times that it is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// Connections in a row that bring no event, after one that did, before it is given up: with their
/// pauses about a minute, in which a relay can be started anew.
const LOST_MAX: usize = 6;

/// Follows, and says how the transfer ended.
pub async fn run(flags: ProgressFlags) -> Exit {
    let console = Console::new(false);
    let asked = Target::new(&flags.url).and_then(|mut target| {
        target.flag("progress", true);
        Ok((Relay::new(&flags.url, &flags.link)?, target))
    });
    match asked {
        Ok((relay, target)) => {
            let mut watch = Watch {
                console: &console,
                human: io::stdout().is_terminal(),
                busy: false,
                open: false,
            };
            tokio::select! {
                exit = watch.run(&relay, &target) => exit,
                exit = signalled() => exit,
            }
        }
        Err(fault) => fault.tell(&console),
    }
}

/// What is known of the name so far.
struct Watch<'a> {
    console: &'a Console,
    human: bool,
    /// Whether somebody was there when the name was last seen.
    busy: bool,
    /// Whether the last line on the terminal is one that the next takes the place of.
    open: bool,
}

/// Puts the cursor at the beginning of an empty line, over the one that was there.
const ANEW: &str = "\r\u{1b}[K";

/// How one connection ended.
enum End {
    /// Nothing more is to come.
    Over(Exit),
    /// It was lost, after some events or none.
    Lost { heard: bool },
}

impl Watch<'_> {
    async fn run(&mut self, relay: &Relay, target: &Target) -> Exit {
        let (mut ever, mut lost) = (false, 0);
        loop {
            // Without the id of the last event: with it, an end just missed would be told by 204
            // alone, and not how it was.
            let request = || relay.request(Method::GET, target).header(ACCEPT, "text/event-stream");
            let end = match relay.answer(request, self.console).await {
                Ok(answer) => self.follow(answer).await,
                Err(_) if ever => End::Lost { heard: false },
                Err(exit) => End::Over(exit),
            };
            match end {
                End::Over(exit) => return exit,
                End::Lost { heard } => {
                    lost = if heard { 1 } else { lost + 1 };
                    ever |= heard;
                }
            }
            if lost > LOST_MAX {
                self.close();
                self.console.say("the connection is lost; see what became of it with `status`");
                return Exit::Unproven;
            }
            self.close();
            pause(lost, None, self.console).await;
        }
    }

    async fn follow(&mut self, mut answer: Response) -> End {
        let is_events = |value: &str| value.starts_with("text/event-stream");
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_events) {
            return End::Over(failed(self.console, "the answer has no events; is this a relay?"));
        }
        let (mut events, mut heard) = (Events::default(), false);
        loop {
            let Ok(Ok(Some(piece))) = timeout(SILENCE, answer.chunk()).await else {
                return End::Lost { heard };
            };
            let events = match events.take(&piece) {
                Ok(events) => events,
                Err(why) => return End::Over(failed(self.console, &why)),
            };
            for event in events {
                if let Some(exit) = self.event(&event, !heard) {
                    return End::Over(exit);
                }
                heard = true;
            }
        }
    }

    /// Tells one event; an exit code if it is the last.
    fn event(&mut self, event: &Event, first: bool) -> Option<Exit> {
        let Ok(fields) = serde_json::from_str::<Value>(&event.data) else {
            self.close();
            return Some(failed(self.console, "an event is no JSON; is this a relay?"));
        };
        if let Err(error) = self.print(event, &fields) {
            return Some(failed(self.console, &format!("the output cannot be written: {error}")));
        }
        match event.name.as_str() {
            "done" => Some(outcome(&fields)),
            "state" => {
                let busy = fields["state"] != "idle";
                if first && self.busy && !busy {
                    self.close();
                    self.console
                        .say("it has ended while the connection was lost, nobody knows how");
                    return Some(Exit::Unproven);
                }
                self.busy = busy;
                None
            }
            _ => None,
        }
    }

    /// On a terminal `progress` comes four times a second, and is one line that changes.
    fn print(&mut self, event: &Event, fields: &Value) -> io::Result<()> {
        let line = match self.human {
            true => told(&event.name, fields),
            false => {
                let fields = serde_json::from_str::<Fields>(&event.data).ok();
                fields.map(|fields| fields.led_by("event", &event.name).text(false))
            }
        };
        let Some(line) = line else { return Ok(()) };
        let mut out = io::stdout();
        write!(out, "{}{}", if self.open { ANEW } else { "" }, printable(&line))?;
        self.open = self.human && event.name == "progress";
        if !self.open {
            writeln!(out)?;
        }
        out.flush()
    }

    /// Leaves a line that would change as it is.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            // Who reads no more has been told before.
            let _ = writeln!(io::stdout());
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
