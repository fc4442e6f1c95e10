//! Where the bytes of an upload come from: a file, stdin, or a command. Knows how each of them ends
//! well and badly, and nothing of HTTP.

use std::future::pending;
use std::io::SeekFrom;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, ReadBuf, Stdin, Take};
use tokio::process::{Child, ChildStdout, Command};
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
    /// Kept from one try to the next: it may hold what was read and not handed on.
    reader: Option<Reader>,
    child: Option<Child>,
    /// The number of bytes, when it is known beforehand.
    pub length: Option<u64>,
    /// Bytes read so far.
    taken: u64,
    /// Bytes handed on so far.
    pub sent: u64,
    hash: bool,
    digest: Digest,
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
    /// A sentence: the file cannot be opened.
    pub async fn open(from: Origin, hash: bool) -> Result<Self, String> {
        let mut length = None;
        let mut reader = None;
        if let Origin::File(path) = &from {
            let wrong = |error| format!("{} cannot be read: {error}", path.display());
            let file = File::open(path).await.map_err(wrong)?;
            let about = file.metadata().await.map_err(wrong)?;
            if about.is_dir() {
                let path = path.display();
                return Err(format!("{path} is a folder; send a file, or: -- tar -c {path}"));
            }
            // Only of a regular file does the length say how much can be read.
            length = about.is_file().then_some(about.len());
            // One that grows meanwhile is sent as it was.
            reader = Some(Reader::File(file.take(length.unwrap_or(u64::MAX))));
        }
        let digest = Digest::new(hash);
        Ok(Self { from, reader, child: None, length, taken: 0, sent: 0, hash, digest })
    }

    /// The path of a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.from {
            Origin::File(path) => Some(path),
            _ => None,
        }
    }

    /// Whether nothing was taken from it yet.
    pub fn is_untouched(&self) -> bool {
        self.taken == 0
    }

    /// Goes back to its beginning; `false` if that cannot be: only a regular file can be read twice.
    pub async fn rewind(&mut self) -> bool {
        if self.is_untouched() {
            return true;
        }
        let (Some(Reader::File(file)), Some(length)) = (&mut self.reader, self.length) else {
            return false;
        };
        if file.get_mut().seek(SeekFrom::Start(0)).await.is_err() {
            return false;
        }
        file.set_limit(length);
        (self.taken, self.sent, self.digest) = (0, 0, Digest::new(self.hash));
        true
    }

    /// Takes everything out of the source and into the body; ends the body only if the source has
    /// ended well. Can be dropped and called again if nothing was taken.
    ///
    /// # Errors
    /// It has not; then the body is cut. A command that fails is one at once, even if others hold its
    /// output open.
    pub async fn pump(&mut self, feeder: Feeder, console: &Console) -> Result<(), Fault> {
        self.start()?;
        let name = self.name();
        let Self { reader: Some(reader), child, taken, sent, digest, .. } = self else {
            return Err(Fault::Unreadable(format!("{name} is gone")));
        };
        let copied = async {
            loop {
                let mut piece = BytesMut::with_capacity(PIECE);
                let read = reader.read_buf(&mut piece).await;
                let count = read.map_err(|error| {
                    Fault::Unreadable(format!("{name} cannot be read any more: {error}"))
                })?;
                if count == 0 {
                    return Ok(());
                }
                *taken += count as u64;
                digest.update(&piece);
                if !feeder.piece(piece.freeze()).await {
                    return Err(Fault::Unwanted);
                }
                *sent += count as u64;
                console.advance(count as u64);
            }
        };
        tokio::select! {
            biased;
            copied = copied => copied?,
            why = failure(child.as_mut()) => return Err(why),
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

    /// Makes a command that still runs stop: it is asked, then forced. What it has started itself is
    /// left alone: in a group of its own a command could not ask for a password on a terminal.
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

    fn name(&self) -> String {
        match &self.from {
            Origin::File(path) => path.display().to_string(),
            Origin::Stdin => "stdin".to_owned(),
            Origin::Command(_) => "the output of the command".to_owned(),
        }
    }

    /// Has something to read from.
    fn start(&mut self) -> Result<(), Fault> {
        if self.reader.is_some() {
            return Ok(());
        }
        let Origin::Command(words) = &self.from else {
            self.reader = Some(Reader::Stdin(tokio::io::stdin()));
            return Ok(());
        };
        let (name, args) = words.split_first().expect("an empty command is stdin");
        let child = Command::new(name).args(args).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| {
            Fault::Command(format!("cannot start {}: {error}", name.to_string_lossy()))
        })?;
        self.reader = Some(Reader::Command(child.stdout.take().expect("its stdout is piped")));
        self.child = Some(child);
        Ok(())
    }

    /// After the last byte: whether these were all bytes.
    async fn ended_well(&mut self) -> Result<(), Fault> {
        if let Some(length) = self.length.filter(|length| *length != self.sent) {
            let (name, sent) = (self.name(), self.sent);
            let why = format!("{name} has become shorter: {sent} of {length} bytes");
            return Err(Fault::Unreadable(why));
        }
        match &mut self.child {
            Some(child) => ended(child).await,
            None => Ok(()),
        }
    }
}

/// Waits until a command fails, for ever if it does not.
async fn failure(child: Option<&mut Child>) -> Fault {
    let Some(child) = child else { return pending().await };
    match ended(child).await {
        Ok(()) => pending().await,
        Err(fault) => fault,
    }
}

/// Waits until a command has ended.
async fn ended(child: &mut Child) -> Result<(), Fault> {
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Fault::Command(format!("the command failed: {status}"))),
        Err(error) => Err(Fault::Command(format!("the command is lost: {error}"))),
    }
}

/// What is read from.
enum Reader {
    Stdin(Stdin),
    File(Take<File>),
    Command(ChildStdout),
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Stdin(stdin) => Pin::new(stdin).poll_read(cx, buf),
            Self::File(file) => Pin::new(file).poll_read(cx, buf),
            Self::Command(output) => Pin::new(output).poll_read(cx, buf),
        }
    }
}
