//! Runs the scripts in `testscripts/progress`: snapshots and time in, events out. The name of each file
//! is the sentence that its script proves. After `⇨` stands when the feed wants to be asked again, or how long a change is kept.

#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::path::Path;

use test_each_file::test_each_path;

use super::*;
use crate::pipe::Failure;

test_each_path! { in "./src/http/testscripts/progress" as scripts => run_script }

fn run_script(path: &Path) {
    goldenscript::run(&mut Script::default(), path).unwrap();
}

#[derive(goldenscript::Command)]
enum Command {
    /// The clock shows this many milliseconds from now on.
    Clock(u64),
    /// The owner says what is there.
    Idle,
    Waiting {
        #[arg(key, optional)]
        sender: bool,
        #[arg(key, optional)]
        receivers: u16,
        #[arg(key)]
        n: Option<u16>,
    },
    Streaming {
        bytes: u64,
        #[arg(key)]
        total: Option<u64>,
        #[arg(key)]
        receivers: Option<u16>,
        #[arg(key, optional)]
        elapsed: u64,
    },
    Complete {
        bytes: u64,
        #[arg(key, optional)]
        elapsed: u64,
        #[arg(key)]
        digest: Option<String>,
    },
    Failed {
        #[arg(key, optional)]
        bytes: u64,
        #[arg(key, optional)]
        elapsed: u64,
        #[arg(key)]
        reason: Option<String>,
    },
    /// Time has come.
    Tick,
}

#[derive(Default)]
struct Script {
    feed: Option<Feed>,
    now: u64,
    /// What has changed while the feed rests.
    kept: Vec<Arc<Snapshot>>,
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        if let Command::Clock(now) = command {
            self.now = *now;
            return Ok(String::new());
        }
        let now = Duration::from_millis(self.now);
        let news = snapshot(command).map(Arc::new);
        let urgent = news.as_ref().is_none_or(|news| news.is_over());
        let feed = match (&mut self.feed, &news) {
            (Some(feed), _) => feed,
            (none, Some(first)) => none.insert(Feed::new(first.clone())),
            (None, None) => return Err("say what is there first".into()),
        };
        self.kept.extend(news);
        if now < feed.rest && !urgent {
            return Ok(format!("⇨ kept until {} ms\n", feed.rest.as_millis()));
        }
        let mut text = String::new();
        let next = feed.step(now, std::mem::take(&mut self.kept), &mut text);
        let at = |next: Next| format!("again at {} ms", next.wake.as_millis());
        let next = next.map_or("over".to_owned(), at);
        Ok(format!("{}⇨ {next}\n", text.replace("\n\n", "\n")))
    }
}

fn snapshot(command: &Command) -> Option<Snapshot> {
    let id = Some("the-id-of-a-transfer".into());
    let idle = Snapshot::idle();
    Some(match command {
        Command::Clock(_) | Command::Tick => return None,
        Command::Idle => idle,
        Command::Waiting { sender, receivers, n } => Snapshot {
            state: State::Waiting,
            has_sender: *sender,
            receivers: *receivers,
            n: n.or(Some(1)),
            ..idle
        },
        Command::Streaming { bytes, total, receivers, elapsed } => Snapshot {
            state: State::Streaming,
            has_sender: true,
            receivers: receivers.unwrap_or(1),
            n: Some(2),
            bytes: *bytes,
            total: *total,
            elapsed_ms: *elapsed,
            id,
            ..idle
        },
        Command::Complete { bytes, elapsed, digest } => Snapshot {
            state: State::Complete,
            n: Some(2),
            bytes: *bytes,
            elapsed_ms: *elapsed,
            digest: digest.clone(),
            id,
            ..idle
        },
        Command::Failed { bytes, elapsed, reason } => Snapshot {
            state: State::Failed(Failure::Cancelled(reason.clone())),
            n: Some(2),
            bytes: *bytes,
            elapsed_ms: *elapsed,
            ..idle
        },
    })
}
