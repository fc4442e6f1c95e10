//! Where the bytes of an upload come from: a file, stdin, or a command. Knows how each of them ends
//! well and badly, and nothing of HTTP.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::body::Feeder;
use super::console::Console;
use super::digest::Digest;
use crate::config::errand::Origin;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// How long a command has between SIGTERM and SIGKILL (spec §23).
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A source and what was taken from it.
pub struct Source {
    from: Origin,
    file: Option<File>,
    child: Option<Child>,
    /// The number of bytes, when it is known beforehand.
    pub length: Option<u64>,
    /// Bytes handed on so far.
    pub sent: u64,
    digest: Digest,
    /// Whether anything may have been taken; from then on it cannot be sent again.
    pub begun: bool,
}

/// Why a source did not come to its end.
pub enum Fault {
    /// The command could not start, failed or was killed: a sentence about it.
    Command(String),
    /// It could not be read, or was not as long as it said.
    Unreadable(String),
    /// Nobody takes the bytes any more: the answer tells why.
    Unwanted,
}

impl Source {
    /// Opens a file; stdin and commands are not touched before [`Source::pump`].
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn open(from: Origin, hash: bool) -> io::Result<Self> {
        let mut length = None;
        let mut file = None;
        if let Origin::File(path) = &from {
            let opened = File::open(path).await?;
            let about = opened.metadata().await?;
            if about.is_dir() {
                return Err(io::Error::other("it is a directory"));
            }
            // Only of a regular file does the length say how much can be read.
            length = about.is_file().then_some(about.len());
            file = Some(opened);
        }
        let digest = Digest::new(hash);
        Ok(Self { from, file, child: None, length, sent: 0, digest, begun: false })
    }

    /// The path of a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.from {
            Origin::File(path) => Some(path),
            _ => None,
        }
    }

    /// Takes everything out of the source and into the body; ends the body only if the source has
    /// ended well.
    ///
    /// # Errors
    /// It has not; then the body is cut.
    pub async fn pump(&mut self, feeder: Feeder, console: &Console) -> Result<(), Fault> {
        self.begun = true;
        let mut reader = self.reader()?;
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = reader.read_buf(&mut piece).await;
            let count = read.map_err(|error| Fault::Unreadable(format!("reading: {error}")))?;
            if count == 0 {
                break;
            }
            self.digest.update(&piece);
            if !feeder.piece(piece.freeze()).await {
                return Err(Fault::Unwanted);
            }
            self.sent += count as u64;
            console.advance(count as u64);
        }
        self.ended_well().await?;
        match feeder.end().await {
            true => Ok(()),
            false => Err(Fault::Unwanted),
        }
    }

    /// The digest of the bytes so far, in hex, if it was asked for.
    pub fn digest(&self) -> Option<String> {
        self.digest.hex()
    }

    /// Makes a command that still runs stop: it is asked, then forced.
    pub async fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return };
        // It may have ended meanwhile, which is what we want.
        let _ = kill_process(pid, Signal::TERM);
        if timeout(LAST_WORDS, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }

    fn reader(&mut self) -> Result<Pin<Box<dyn AsyncRead>>, Fault> {
        Ok(match &self.from {
            Origin::Stdin => Box::pin(tokio::io::stdin()),
            Origin::File(_) => {
                let file = self.file.take().expect("a file is opened at first and pumped once");
                // One that grows meanwhile is sent as it was.
                Box::pin(file.take(self.length.unwrap_or(u64::MAX)))
            }
            Origin::Command(words) => {
                let (name, args) = words.split_first().expect("an empty command is stdin");
                let child = Command::new(name).args(args).stdout(Stdio::piped()).spawn();
                let mut child = child.map_err(|error| {
                    Fault::Command(format!("cannot start {}: {error}", name.to_string_lossy()))
                })?;
                let stdout = child.stdout.take().expect("its stdout is piped");
                self.child = Some(child);
                Box::pin(stdout)
            }
        })
    }

    /// After the last byte: whether these were all bytes.
    async fn ended_well(&mut self) -> Result<(), Fault> {
        if let Some(length) = self.length.filter(|length| *length != self.sent) {
            let sent = self.sent;
            let why = format!("the file has become shorter: {sent} of {length} bytes");
            return Err(Fault::Unreadable(why));
        }
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Fault::Command(format!("the command failed: {status}"))),
            Err(error) => Err(Fault::Command(format!("the command is lost: {error}"))),
        }
    }
}
