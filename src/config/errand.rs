//! What can be asked of the client commands `send`, `receive` and `cancel` (spec §23).
//!
//! Knows how the flags are written, and nothing of how they are carried out. No environment
//! variable and no file speaks here: those are the relay's.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::error::{Error, Fault};
use super::values::{Count, Seconds};

const EXIT_CODES: &str = "\
Exit codes: 0 proven complete; 1 failed or cut; 2 usage; 3 refused; 4 cannot connect; 5 timed out;
6 cancelled; 7 the command failed; 8 ended cleanly but without proof; 130, 143 on a signal.";

const AFTER_SEND: &str = "\
Examples:
  hoody-pipe send image.tar http://127.0.0.1:8080/build -n 30   # a file to 30 receivers
  pg_dump app | hoody-pipe send http://127.0.0.1:8080/dump      # stdin
  hoody-pipe send http://127.0.0.1:8080/dump -- pg_dump app     # safer: see below

In `pg_dump | send` nobody can see that pg_dump failed: its half output would be a whole stream.
With `-- CMD` the upload is ended only if CMD exits with 0; otherwise receivers see a cut, and the
exit code is 7. If the transfer fails, CMD gets SIGTERM, and 2 s later SIGKILL.";

const AFTER_RECEIVE: &str = "\
Examples:
  hoody-pipe receive http://127.0.0.1:8080/build -n 30 -o image.tar
  hoody-pipe receive http://127.0.0.1:8080/dump | psql app

Complete is proven by a declared length: the sender sends a FILE, or a stream with --length. A
stream of unknown length that ends cleanly gives exit code 8. With -o the bytes go to FILE.part,
which becomes FILE only when complete is proven; otherwise FILE.part is left as it is.";

const AFTER_CANCEL: &str = "\
Example:
  hoody-pipe cancel http://127.0.0.1:8080/build --reason 'wrong image'

Exit codes: 0 cancelled; 2 usage; 3 refused, also when nobody is there; 4 cannot connect.";

/// One errand of a client.
#[derive(Debug)]
pub enum Errand {
    /// Upload.
    Send(Upload),
    /// Download.
    Receive(ReceiveFlags),
    /// DELETE.
    Cancel(CancelFlags),
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

/// What both sides of a transfer can say.
#[derive(Debug, Args)]
pub struct Common {
    /// Number of receivers, 1 to 256; everybody must state the same [default: 1].
    #[arg(short, value_name = "N")]
    pub n: Option<Count<1, 256>>,
    /// How long to wait for the others: 1 s to 1 h [default: the relay's, mostly 300].
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Seconds<1, 3600>>,
    /// A receiver that takes no data for so long is dropped: 1 s to 1 h [default: the relay's].
    #[arg(long, value_name = "TIME")]
    pub stall: Option<Seconds<1, 3600>>,
    /// Send this header too; can be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<HeaderLine>,
    /// Try again up to so many times, as long as no byte of the transfer has moved.
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    pub retry: Count<0, 1000>,
}

/// The flags of `send`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_SEND.to_owned() + "\n\n" + EXIT_CODES, max_term_width = 100)]
#[command(override_usage = "hoody-pipe send [OPTIONS] [FILE|-] URL\n       \
                            hoody-pipe send [OPTIONS] URL -- CMD [ARGS]...")]
pub struct SendFlags {
    /// What to send (- or nothing: stdin), and the URL to send it to.
    #[arg(value_name = "[FILE|-] URL", required = true, num_args = 1..)]
    pub place: Vec<OsString>,
    /// Send what this command prints.
    #[arg(value_name = "CMD", last = true)]
    pub command: Vec<OsString>,
    /// What both sides can say.
    #[command(flatten)]
    pub common: Common,
    /// Have the relay hash the bytes, and compare with what was sent.
    #[arg(long)]
    pub sha256: bool,
    /// The id of the transfer: 16 to 64 of A-Z a-z 0-9 _ - [default: a random one].
    #[arg(long, value_name = "ID")]
    pub transfer_id: Option<String>,
    /// No status lines while it runs, only the result.
    #[arg(long)]
    pub quiet: bool,
    /// The media type, such as application/x-tar.
    #[arg(long = "type", value_name = "TYPE")]
    pub media_type: Option<String>,
    /// The file name told to receivers [default: that of FILE].
    #[arg(long, value_name = "NAME")]
    pub filename: Option<String>,
    /// The number of bytes that stdin or CMD will give; any other number is a failure.
    #[arg(long, value_name = "BYTES")]
    pub length: Option<u64>,
    /// Count it as complete only if every receiver got everything.
    #[arg(long)]
    pub require_all: bool,
}

/// The flags of `receive`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RECEIVE.to_owned() + "\n\n" + EXIT_CODES, max_term_width = 100)]
pub struct ReceiveFlags {
    /// The URL that is sent to.
    #[arg(value_name = "URL")]
    pub url: PipeUrl,
    /// Write to FILE, by way of FILE.part [default: stdout].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What both sides can say.
    #[command(flatten)]
    pub common: Common,
}

/// The flags of `cancel`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_CANCEL, max_term_width = 100)]
pub struct CancelFlags {
    /// The URL of the transfer.
    #[arg(value_name = "URL")]
    pub url: PipeUrl,
    /// Told to the sender and to waiting receivers: up to 200 characters.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A `http://` URL. It is a credential and does not show itself when debugged.
#[derive(Clone, PartialEq, Eq)]
pub struct PipeUrl(pub String);

impl FromStr for PipeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http") => Ok(Self(text.to_owned())),
            Some("https") => {
                Err("https:// is not supported by this client, only http://; use curl".to_owned())
            }
            _ => Err("write it as http://HOST:PORT/NAME".to_owned()),
        }
    }
}

impl fmt::Debug for PipeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeUrl")
    }
}

/// A header line, split at its colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// What stands before the colon.
    pub name: String,
    /// What stands behind it, without spaces around it.
    pub value: String,
}

impl FromStr for HeaderLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
        let ours = ["content-length", "transfer-encoding", "connection", "host", "expect"];
        if ours.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("{name} is written by this client itself"));
        }
        Ok(Self { name: name.to_owned(), value: value.trim().to_owned() })
    }
}

impl SendFlags {
    /// Tells FILE from URL.
    ///
    /// # Errors
    /// There are more words than these two, a FILE as well as a command, or the URL is none.
    pub(super) fn checked(mut self) -> Result<Upload, Error> {
        let wrong = |why: &str| Err(Error::new(Fault::Unknown, why));
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
            _ => Err("write it as http://HOST:PORT/NAME".to_owned()),
        };
        let url = url.map_err(|why| Error::new(Fault::Value, &format!("no good URL: {why}")))?;
        Ok(Upload { url, from, flags: self })
    }
}
