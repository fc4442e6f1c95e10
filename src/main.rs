//! The binary: parse, set up logs, serve, exit.

use std::io::IsTerminal;
use std::process::ExitCode;

use hoody_pipe::config::{self, Action, Config, LogFormat};
use hoody_pipe::node;
use tracing::Level;

fn main() -> ExitCode {
    let invocation = match config::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => return error.report(),
    };
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
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hoody-pipe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr: JSON unless a person is watching.
fn log(config: &Config) {
    let level = Level::from(config.log_level);
    let logs = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    let json = match config.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    if json { logs.json().init() } else { logs.init() }
}
