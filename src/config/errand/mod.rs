//! What can be asked of the client commands (spec §23), and which flags go together.
//!
//! Knows nothing of how an errand is carried out. No environment variable and no file speaks here:
//! those are the relay's.

mod flags;
pub mod help;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use flags::{
    CancelFlags, Common, HealthFlags, Link, ProgressFlags, ReceiveFlags, SendFlags, StatusFlags,
};
pub use words::{HeaderLine, PipeUrl, TransferId};

use super::error::{Error, Fault};

/// One errand of a client.
#[derive(Debug)]
pub enum Errand {
    /// Upload.
    Send(Upload),
    /// Download.
    Receive(ReceiveFlags),
    /// A snapshot.
    Status(StatusFlags),
    /// A running account.
    Progress(ProgressFlags),
    /// DELETE.
    Cancel(CancelFlags),
    /// Whether a node wants clients.
    Health(HealthFlags),
}

/// A `send` whose words go together.
#[derive(Debug)]
pub struct Upload {
    /// Where to.
    pub url: PipeUrl,
    /// What.
    pub from: Origin,
    /// How; its `place` and `command` are spent.
    pub flags: SendFlags,
}

/// Where the bytes of an upload come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The standard output of a command: its name, then its arguments.
    Command(Vec<OsString>),
}

impl Errand {
    /// Refuses flags that do not go together with each other or with the URL.
    pub(super) fn checked(self) -> Result<Self, Error> {
        let (url, link) = match &self {
            Self::Send(upload) => (&upload.url, &upload.flags.link),
            Self::Receive(flags) => (&flags.url, &flags.link),
            Self::Status(flags) => (&flags.url, &flags.link),
            Self::Progress(flags) => (&flags.url, &flags.link),
            Self::Cancel(flags) => (&flags.url, &flags.link),
            Self::Health(flags) => (&flags.url, &flags.link),
        };
        link.suits(url)?;
        match &self {
            Self::Send(upload) => upload.is_sensible()?,
            Self::Receive(flags) => flags.is_sensible()?,
            Self::Progress(flags) => leads_to(&flags.url, &["status"])?,
            Self::Status(_) | Self::Cancel(_) | Self::Health(_) => {}
        }
        Ok(self)
    }
}

impl Link {
    fn suits(&self, url: &PipeUrl) -> Result<(), Error> {
        if url.is_secure() {
            return Ok(());
        }
        match (&self.cacert, self.insecure) {
            (Some(_), _) => wrong("--cacert is for https:// URLs; http:// has no certificates"),
            (None, true) => wrong("--insecure is for https:// URLs; http:// is never secure"),
            (None, false) => Ok(()),
        }
    }
}

impl Common {
    /// The relay refuses what is said twice.
    fn suits(&self, url: &PipeUrl) -> Result<(), Error> {
        let said = [("n", self.n.is_some()), ("wait", self.wait.is_some())];
        let said = said.into_iter().chain([("stall", self.stall.is_some())]);
        match said.into_iter().find(|(key, flag)| *flag && asks(url, key)) {
            Some((key, _)) => wrong(&format!(
                "'{key}' is in the URL and in the flags; say it once, here or there"
            )),
            None => Ok(()),
        }
    }
}

impl ReceiveFlags {
    fn is_sensible(&self) -> Result<(), Error> {
        self.common.suits(&self.url)?;
        leads_to(&self.url, &["status", "progress"])?;
        let Some(path) = self.file() else { return Ok(()) };
        if path.file_name().is_none() || path.is_dir() {
            return wrong("-o names a folder; name a file in it");
        }
        match path.parent() {
            Some(folder) if folder != Path::new("") && !folder.is_dir() => {
                wrong("-o names a file in a folder that does not exist; make it first")
            }
            _ => Ok(()),
        }
    }

    /// The file to write to; `None` is stdout.
    pub fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

impl Upload {
    fn is_sensible(&self) -> Result<(), Error> {
        let flags = &self.flags;
        flags.common.suits(&self.url)?;
        if flags.transfer_id.is_some() && asks(&self.url, "transfer") {
            return wrong("'transfer' is in the URL and in the flags; say it once, here or there");
        }
        if flags.length.is_some() && matches!(self.from, Origin::File(_)) {
            return wrong("--length is for stdin and commands; a file has its own length");
        }
        let media_type = flags.media_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        if media_type.trim_start().starts_with("multipart/form-data") {
            return wrong(
                "the relay takes multipart/form-data apart, and its bytes could not be counted; \
                 send the file by itself",
            );
        }
        let names = |line: &HeaderLine| line.name.eq_ignore_ascii_case("content-disposition");
        if flags.filename.is_some() && flags.link.headers.iter().any(names) {
            return wrong("--filename and --header 'Content-Disposition: ...' exclude each other");
        }
        Ok(())
    }
}

impl SendFlags {
    /// Tells FILE from URL.
    ///
    /// # Errors
    /// There are more words than these two, a FILE as well as a command, or the URL is none.
    pub(super) fn sorted(mut self) -> Result<Upload, Error> {
        let mut words = std::mem::take(&mut self.place);
        let command = std::mem::take(&mut self.command);
        let url = words.pop().map(OsString::into_string);
        let from = match (words.pop(), command.is_empty()) {
            (Some(_), false) => return wrong("give either FILE or a command, not both"),
            (None, false) => Origin::Command(command),
            (None, true) => Origin::Stdin,
            (Some(file), true) if file == "-" => Origin::Stdin,
            (Some(file), true) => Origin::File(file.into()),
        };
        if !words.is_empty() {
            return wrong("give FILE and URL, or URL alone, and a command behind `--`");
        }
        let url = match url {
            Some(Ok(url)) => url.parse(),
            _ => Err("it is not UTF-8".to_owned()),
        };
        let url = url.map_err(|why| Error::new(Fault::Value, &format!("no good URL: {why}")))?;
        Ok(Upload { url, from, flags: self })
    }
}

/// Whether the query of a URL has this key.
fn asks(url: &PipeUrl, key: &str) -> bool {
    let query = url.0.split_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some(key))
}

/// Refuses a query that asks for something else.
fn leads_to(url: &PipeUrl, others: &[&str]) -> Result<(), Error> {
    match others.iter().find(|key| asks(url, key)) {
        Some(key) => wrong(&format!(
            "'{key}' in the URL asks for something else; leave it out, or use `hoody-pipe {key}`"
        )),
        None => Ok(()),
    }
}

fn wrong<T>(why: &str) -> Result<T, Error> {
    Err(Error::new(Fault::Unknown, why))
}
