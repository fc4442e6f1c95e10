//! The flags of the client commands. Knows how they are written, and nothing of how they are carried
//! out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::help;
use super::words::{HeaderLine, PipeUrl, TransferId};
use crate::config::values::{Count, Seconds};

/// The most second tries: with the longest pauses more than half a day.
const RETRY_MAX: usize = 1000;

/// What every command can say about the connection.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection (no proxy is used, also if HTTP_PROXY names one)")]
pub struct Link {
    /// Trust the certificates of this PEM file too, beside those of the system.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cacert: Option<PathBuf>,
    /// Take any certificate of the server: whoever is in between can read and change everything.
    #[arg(long, conflicts_with = "cacert")]
    pub insecure: bool,
    /// Speak HTTP/1.1 over https too [default: HTTP/2 if the server offers it].
    #[arg(long)]
    pub http1: bool,
    /// Send this header too, written 'Name: value'; can be given several times.
    #[arg(long = "header", value_name = "HEADER")]
    pub headers: Vec<HeaderLine>,
    /// Try again up to so many times, as long as nothing of the transfer has moved: when nobody
    /// answers, and on 408, 429, 500, 502, 503 and 504, after the time of their Retry-After.
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    pub retry: Count<0, RETRY_MAX>,
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
}

/// The flags of `send`.
#[derive(Debug, Args)]
#[command(after_help = help::SEND, max_term_width = 100)]
#[command(override_usage = "hoody-pipe send [OPTIONS] [FILE|-] URL\n       \
                            hoody-pipe send [OPTIONS] URL -- CMD [ARGS]...")]
pub struct SendFlags {
    /// What to send (- or nothing: stdin), and the URL to send it to.
    #[arg(value_name = "[FILE|-] URL", required = true, num_args = 1..)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub place: Vec<OsString>,
    /// Send what this command prints.
    #[arg(value_name = "CMD", last = true, value_hint = ValueHint::CommandName)]
    pub command: Vec<OsString>,
    /// What both sides can say.
    #[command(flatten)]
    pub common: Common,
    /// Have the relay hash the bytes, and compare with what was sent.
    #[arg(long)]
    pub sha256: bool,
    /// The id of the transfer: 16 to 64 of A-Z a-z 0-9 _ - [default: a random one].
    #[arg(long, value_name = "ID")]
    pub transfer_id: Option<TransferId>,
    /// No status lines and no progress line while it runs, only the result.
    #[arg(long)]
    pub quiet: bool,
    /// The media type, such as application/x-tar.
    #[arg(long = "type", value_name = "TYPE")]
    pub media_type: Option<String>,
    /// The file name told to receivers [default: that of FILE].
    #[arg(long, value_name = "NAME")]
    pub filename: Option<String>,
    /// The number of bytes that stdin or CMD will give; any other number is a failure.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(..=LENGTH_MAX))]
    pub length: Option<u64>,
    /// Count it as complete only if every receiver got everything.
    #[arg(long)]
    pub require_all: bool,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}

/// The largest `X-Pipe-Length` (spec §6).
const LENGTH_MAX: u64 = i64::MAX as u64;

/// The flags of `receive`.
#[derive(Debug, Args)]
#[command(after_help = help::RECEIVE, max_term_width = 100)]
pub struct ReceiveFlags {
    /// The URL that is sent to.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: PipeUrl,
    /// Write to FILE, by way of FILE.part [default: -, stdout].
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// What both sides can say.
    #[command(flatten)]
    pub common: Common,
    /// Have the relay hash the bytes, and compare with what has come.
    #[arg(long)]
    pub sha256: bool,
    /// No progress line.
    #[arg(long)]
    pub quiet: bool,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}

/// The flags of `status`.
#[derive(Debug, Args)]
#[command(after_help = help::STATUS, max_term_width = 100)]
pub struct StatusFlags {
    /// The URL of the transfer.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: PipeUrl,
    /// Ask for the transfer of this id [default: the one that is there now, or was last].
    #[arg(long, value_name = "ID")]
    pub transfer_id: Option<TransferId>,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}

/// The flags of `progress`.
#[derive(Debug, Args)]
#[command(after_help = help::PROGRESS, max_term_width = 100)]
pub struct ProgressFlags {
    /// The URL of the transfer.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: PipeUrl,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}

/// The flags of `cancel`.
#[derive(Debug, Args)]
#[command(after_help = help::CANCEL, max_term_width = 100)]
pub struct CancelFlags {
    /// The URL of the transfer.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: PipeUrl,
    /// Told to the sender and to waiting receivers: up to 200 characters.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}

/// The flags of `health`.
#[derive(Debug, Args)]
#[command(after_help = help::HEALTH, max_term_width = 100)]
pub struct HealthFlags {
    /// Which probe of the admin listener to ask.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(default_value = "http://127.0.0.1:9090/readyz")]
    pub url: PipeUrl,
    /// What every command can say about the connection.
    #[command(flatten)]
    pub link: Link,
}
