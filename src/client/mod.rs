//! The client commands (spec §23): what curl does, and proof of success on top.
//!
//! Speaks to a relay over HTTP/1.1 or HTTP/2 like anybody else: knows nothing of how a relay is
//! built, only the words of spec §9, §15 and §16.

mod answer;
mod body;
mod cancel;
mod connect;
mod console;
mod digest;
mod events;
mod fields;
mod health;
mod part;
mod progress;
mod receipt;
mod receive;
mod relay;
mod send;
mod sink;
mod source;
mod status;
mod story;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::errand::Errand;

use console::Console;

/// How an errand ended (spec §23, exit codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Proven complete.
    Complete,
    /// Failed, cut, or not what was sent.
    Failed,
    /// It cannot be asked for like this.
    Usage,
    /// Answered with 4xx or 5xx.
    Refused,
    /// Nobody listens there.
    NoConnection,
    /// The others did not come in time.
    TimedOut,
    /// Somebody has cancelled the transfer.
    Cancelled,
    /// The command whose output was sent has failed.
    CommandFailed,
    /// Ended cleanly, but nothing proves that this was all.
    Unproven,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NoConnection => 4,
            Self::TimedOut => 5,
            Self::Cancelled => 6,
            Self::CommandFailed => 7,
            Self::Unproven => 8,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Why an errand cannot even begin: what it comes to, and a sentence about it.
struct Fault(Exit, String);

impl Fault {
    fn tell(&self, console: &Console) -> Exit {
        console.say(&self.1);
        self.0
    }
}

/// Does an errand to its end.
pub fn run(errand: Errand) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let exit = failed(&Console::new(false), &format!("cannot start: {error}"));
            return ExitCode::from(exit.code());
        }
    };
    let exit = runtime.block_on(async {
        match errand {
            Errand::Send(upload) => send::run(upload).await,
            Errand::Receive(flags) => receive::run(flags).await,
            Errand::Status(flags) => status::run(flags).await,
            Errand::Progress(flags) => progress::run(flags).await,
            Errand::Cancel(flags) => cancel::run(flags).await,
            Errand::Health(flags) => health::run(flags).await,
        }
    });
    // A thread may be blocked for ever in reading stdin.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// Waits for SIGINT or SIGTERM.
async fn signalled() -> Exit {
    let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = both else {
        // Without handlers, signals end the process as they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}

fn failed(console: &Console, why: &str) -> Exit {
    console.say(why);
    Exit::Failed
}
