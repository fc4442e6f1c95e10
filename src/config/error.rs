//! Why there is no configuration, for a person at a terminal.

use std::fmt;
use std::process::ExitCode;

/// Something other than a configuration to go on with: a mistake, or a wish for help or version.
#[derive(Debug)]
pub struct Error {
    fault: Fault,
    text: String,
    /// With `--check` a bad value is the answer "no" (1), not a mistake of the command line (2).
    checking: bool,
}

/// What kind of ending it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `--help` or `--version`: not a mistake.
    Asked,
    /// A flag, subcommand or key that does not exist, or flags that do not go together.
    Unknown,
    /// A value that its flag, variable or key does not take, or a file that cannot be read.
    Value,
}

impl Error {
    /// An error of our own, worded like those of the command line.
    pub(super) fn new(fault: Fault, why: &str) -> Self {
        Self { fault, text: format!("error: {}\n", why.trim_end()), checking: false }
    }

    pub(super) fn when_checking(self, checking: bool) -> Self {
        Self { checking, ..self }
    }

    /// What kind of ending it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// 0 for help and version; 2 for mistakes (spec §23); 1 for bad values under `--check`.
    pub fn exit_code(&self) -> u8 {
        match self.fault {
            Fault::Asked => 0,
            Fault::Value if self.checking => 1,
            Fault::Value | Fault::Unknown => 2,
        }
    }

    /// Prints the text where it belongs and says how to exit.
    pub fn report(&self) -> ExitCode {
        match self.fault {
            Fault::Asked => print!("{self}"),
            _ => eprint!("{self}"),
        }
        ExitCode::from(self.exit_code())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<clap::Error> for Error {
    fn from(error: clap::Error) -> Self {
        use clap::error::ErrorKind;
        let fault = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Fault::Asked,
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => Fault::Value,
            _ => Fault::Unknown,
        };
        Self { fault, text: without_a_trap(error).to_string(), checking: false }
    }
}

/// No flag is meant as a URL or a file: the tip to put it behind `--` only leads astray.
fn without_a_trap(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<_> = tips
            .into_iter()
            .filter(|tip| !tip.to_string().contains("' as a value, use '"))
            .collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}
