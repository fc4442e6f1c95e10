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
            Self::Pages(None) => io::stdout().write_all(&page(NAME, built())?),
            Self::Pages(Some(dir)) => pages(dir).map_err(|error| {
                let dir = dir.display();
                io::Error::other(format!("{error}: is {dir} a folder that can be written to?"))
            }),
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
    match shell {
        Shell::Bash => mended(&script),
        Shell::Zsh | Shell::Fish => script,
    }
}

/// The generator for bash names the branch of a subcommand in two ways if there is a `-` in the name
/// of the program, so that none would ever be taken (clap_complete 4.6).
fn mended(script: &[u8]) -> Vec<u8> {
    let script = String::from_utf8_lossy(script);
    script.replace("hoody__subcmd__pipe__", "hoody__pipe__").into_bytes()
}

fn built() -> Command {
    let mut command = CommandLine::command();
    command.build();
    command
}

fn pages(dir: &Path) -> io::Result<()> {
    let command = built();
    // The generator's own `help` has nothing to tell.
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{NAME}-{}", sub.get_name());
        let sub = sub.clone().display_name(&name);
        std::fs::write(dir.join(format!("{name}.1")), page(&name, sub)?)?;
    }
    std::fs::write(dir.join(format!("{NAME}.1")), page(NAME, command)?)
}

fn page(name: &str, mut command: Command) -> io::Result<Vec<u8>> {
    let texts = (command.get_about(), command.get_after_help());
    let [about, after] = [texts.0, texts.1].map(|text| text.map(ToString::to_string));
    let (about, after) = (about.unwrap_or_default(), after.unwrap_or_default());
    // What follows the first paragraph would become part of the page's name.
    let (about, steps) = about.split_once("\n\n").unwrap_or((&about, ""));
    let short = about.strip_prefix(&format!("{NAME} ")).unwrap_or(about);
    let usage = command.render_usage().to_string();
    let with_subcommands = command.has_subcommands();
    let command = command.about(short.to_owned());
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).title(name).source(source);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend_from_slice(synopsis(&usage).as_bytes());
    let described = clap_mangen::Man::new(command.about(about.to_owned()));
    described.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if with_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(sections(&format!("{steps}\n\n{after}")).as_bytes());
    Ok(page)
}

/// The usage as the help shows it.
fn synopsis(usage: &str) -> String {
    let lines = usage.trim_start_matches("Usage: ").lines();
    let lines: Vec<String> = lines.map(|line| format!("  {}", line.trim())).collect();
    section("SYNOPSIS", &lines.join("\n"))
}

/// Each paragraph in the section in which a reader looks for it.
fn sections(text: &str) -> String {
    let (mut codes, mut notes, mut examples) = (vec![], vec![], vec![]);
    for paragraph in text.split("\n\n").map(|text| text.trim_matches('\n')) {
        let heading = ["Examples:\n", "Example:\n", "First steps:\n"].into_iter();
        if let Some(lines) = heading.filter_map(|text| paragraph.strip_prefix(text)).next() {
            examples.push(lines);
        } else if let Some(list) = paragraph.strip_prefix("Exit codes: ") {
            codes.push(list);
        } else if !paragraph.is_empty() {
            notes.push(paragraph);
        }
    }
    let all = [("EXIT STATUS", codes), ("NOTES", notes), ("EXAMPLES", examples)];
    let all = all.into_iter().filter(|(_, paragraphs)| !paragraphs.is_empty());
    all.map(|(title, paragraphs)| section(title, &paragraphs.join("\n\n"))).collect()
}

/// A section of paragraphs that are filled, and of indented lines that stay as they are.
fn section(title: &str, text: &str) -> String {
    let mut section = format!(".SH \"{title}\"\n");
    let mut as_is = false;
    for line in text.lines() {
        if as_is != line.starts_with("  ") {
            as_is = !as_is;
            section.push_str(if as_is { ".nf\n" } else { ".fi\n" });
        }
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        match line.is_empty() {
            true => section.push_str(".PP\n"),
            // So that no line is taken for an instruction.
            false => section.push_str(&format!("\\&{line}\n")),
        }
    }
    section.push_str(if as_is { ".fi\n" } else { "" });
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keep_examples_and_are_never_instructions() {
        let text = "\n\nFirst steps:\n  a -b \\\n  .c\n\n.Prose\n'more\n\nExit codes: 0 well";
        let want = ".SH \"EXIT STATUS\"\n\\&0 well\n\
                    .SH \"NOTES\"\n\\&.Prose\n\\&'more\n\
                    .SH \"EXAMPLES\"\n.nf\n\\&  a \\-b \\e\n\\&  .c\n.fi\n";
        assert_eq!(sections(text), want);
    }
}
