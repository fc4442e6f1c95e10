//! Shell completions and manual pages, made from the definition of the command line itself. Knows
//! nothing of what the commands do.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory, ValueEnum, ValueHint};

use super::errand::help;
use super::settings::CommandLine;

/// The name of the program.
const NAME: &str = "hoody-pipe";

/// The shells that get completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bourne-Again Shell.
    Bash,
    /// Z shell.
    Zsh,
    /// Friendly interactive shell.
    Fish,
}

/// The flags of `completions`.
#[derive(Debug, Args)]
#[command(after_help = help::COMPLETIONS, max_term_width = 100)]
pub struct CompletionFlags {
    /// For which shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The flags of `man`.
#[derive(Debug, Args)]
#[command(after_help = help::MAN, max_term_width = 100)]
pub struct ManFlags {
    /// Write all pages into this folder, which must exist [default: the main page, to stdout].
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// What is to be printed.
#[derive(Debug)]
pub enum Manual {
    /// Completions, to stdout.
    Completions(Shell),
    /// Manual pages, into a folder, or the main one to stdout.
    Pages(Option<PathBuf>),
}

impl Manual {
    /// Prints or writes it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn print(&self) -> io::Result<()> {
        match self {
            Self::Completions(shell) => io::stdout().write_all(&completions(*shell)),
            Self::Pages(None) => io::stdout().write_all(&page(built())?),
            Self::Pages(Some(dir)) => pages(dir),
        }
    }
}

fn completions(shell: Shell) -> Vec<u8> {
    use clap_complete::{Shell as To, generate};
    let to = match shell {
        Shell::Bash => To::Bash,
        Shell::Zsh => To::Zsh,
        Shell::Fish => To::Fish,
    };
    let mut script = Vec::new();
    generate(to, &mut CommandLine::command(), NAME, &mut script);
    script
}

fn built() -> Command {
    let mut command = CommandLine::command();
    command.build();
    command
}

fn pages(dir: &Path) -> io::Result<()> {
    let command = built();
    for sub in command.get_subcommands() {
        let name = format!("{NAME}-{}", sub.get_name());
        std::fs::write(dir.join(format!("{name}.1")), page(sub.clone().display_name(name))?)?;
    }
    std::fs::write(dir.join(format!("{NAME}.1")), page(command)?)
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
