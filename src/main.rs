//! The binary: parse, set up logs, serve (or be a client), exit.

use std::io::IsTerminal;
use std::process::ExitCode;

use hoody_pipe::client;
use hoody_pipe::config::{self, Action, Asked, Config, Invocation, LogFormat};
use hoody_pipe::node;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, fmt, prelude::*};

fn main() -> ExitCode {
    match config::parse(std::env::args_os()) {
        Ok(Asked::Relay(invocation)) => relay(*invocation),
        Ok(Asked::Client(errand)) => client::run(*errand),
        Ok(Asked::Manual(manual)) => ended(manual.print().map_err(Into::into)),
        Err(error) => error.report(),
    }
}

fn relay(invocation: Invocation) -> ExitCode {
    let config = invocation.config;
    let done = match invocation.action {
        Action::PrintConfig => {
            print!("{}", config.to_toml());
            Ok(())
        }
        Action::Check => node::check(&config),
        Action::Serve => {
            log(&config);
            actix_rt::System::new().block_on(node::run(config))
        }
    };
    ended(done)
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hoody-pipe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr: JSON unless a person is watching. Libraries are heard when they warn, but for
/// two: one takes malformed requests for errors of ours, and anybody could fill the log with those; the
/// other repeats twice a second that a member cannot be reached, which the fleet has said once.
fn log(config: &Config) {
    let ours = Level::from(config.log_level);
    let noisy = if ours >= Level::DEBUG { LevelFilter::WARN } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_default(ours.min(Level::WARN))
        .with_target("actix_http", noisy)
        .with_target("openraft", noisy)
        .with_target("hoody_pipe", ours);
    let watched = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(watched);
    let json = match config.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !watched,
    };
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
