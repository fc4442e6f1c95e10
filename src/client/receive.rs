//! `receive`: a download that counts as complete only if its declared length was met, and that
//! never shows half a file under its final name.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use reqwest::header::HeaderMap;
use reqwest::{Client, Response};
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, Stdout};

use super::console::Console;
use super::wire::{self, Miss, Target};
use super::{Exit, failed, misused, signalled};
use crate::config::errand::ReceiveFlags;

const UNPROVEN: &str = "it ended cleanly, but without a declared length nothing proves that this \
                        was all (proof needs a sender with a file, or with --length)";

/// Receives, and says how it ended.
pub async fn run(flags: ReceiveFlags) -> Exit {
    // A progress line would run through the data.
    let console = Console::new(flags.output.is_some() || !io::stdout().is_terminal());
    let asked = Target::new(&flags.url).and_then(|mut target| {
        target.common(&flags.common);
        Ok((target, wire::headers(&flags.common.headers)?))
    });
    let (target, headers) = match asked {
        Ok(asked) => asked,
        Err(why) => return misused(&console, &why),
    };
    let exit = tokio::select! {
        exit = receive(&target, &headers, &flags, &console) => exit,
        exit = signalled() => exit,
    };
    console.close();
    exit
}

async fn receive(
    target: &Target,
    headers: &HeaderMap,
    flags: &ReceiveFlags,
    console: &Console,
) -> Exit {
    let client = match wire::client() {
        Ok(client) => client,
        Err(error) => return failed(console, &wire::why(&error)),
    };
    let mut tries = 0;
    loop {
        let miss = match ask(&client, target, headers, console).await {
            Ok(answer) => return keep(answer, flags.output.as_deref(), console).await,
            Err(miss) => miss,
        };
        if !miss.passing || tries >= flags.common.retry.0 {
            return miss.exit;
        }
        tries += 1;
        wire::pause(tries, miss.after, console).await;
    }
}

async fn ask(
    client: &Client,
    target: &Target,
    headers: &HeaderMap,
    console: &Console,
) -> Result<Response, Miss> {
    match client.get(target.url.clone()).headers(headers.clone()).send().await {
        Ok(answer) if answer.status().is_success() => Ok(answer),
        Ok(answer) => Err(Miss::refused(answer, console).await),
        Err(error) => Err(Miss::unanswered(&error, console)),
    }
}

/// Writes the body where it belongs.
async fn keep(mut answer: Response, output: Option<&Path>, console: &Console) -> Exit {
    let length = answer.content_length();
    console.expect(length);
    let mut sink = match Sink::open(output).await {
        Ok(sink) => sink,
        Err(error) => return failed(console, &format!("the output cannot be opened: {error}")),
    };
    let exit = match copy(&mut answer, &mut sink, console).await {
        Ok(()) if length.is_some() => Exit::Complete,
        Ok(()) => {
            console.say(UNPROVEN);
            Exit::Unproven
        }
        Err(why) => failed(console, &why),
    };
    match sink.close(exit == Exit::Complete, console).await {
        Ok(()) => exit,
        Err(error) => failed(console, &format!("the output cannot be completed: {error}")),
    }
}

/// Copies to the clean end of the body. That a declared length is met is part of a clean end.
async fn copy(answer: &mut Response, sink: &mut Sink, console: &Console) -> Result<(), String> {
    loop {
        let piece = answer.chunk().await;
        let piece = piece.map_err(|error| format!("the stream was cut: {}", wire::why(&error)))?;
        let Some(piece) = piece else { return Ok(()) };
        let written = sink.write(&piece).await;
        written.map_err(|error| format!("the output cannot be written: {error}"))?;
        console.advance(piece.len() as u64);
    }
}

/// Where the bytes go.
enum Sink {
    Stdout(Stdout),
    File { file: File, part: PathBuf, path: PathBuf },
}

impl Sink {
    async fn open(output: Option<&Path>) -> io::Result<Self> {
        let Some(path) = output else { return Ok(Self::Stdout(tokio::io::stdout())) };
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        Ok(Self::File { file: File::create(&part).await?, part, path: path.to_owned() })
    }

    /// Writes a piece; to stdout, at once.
    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(piece).await?;
                stdout.flush().await
            }
            Self::File { file, .. } => file.write_all(piece).await,
        }
    }

    /// Gives a file its name if it is `proven` to be whole; otherwise says where it is.
    async fn close(self, proven: bool, console: &Console) -> io::Result<()> {
        let Self::File { mut file, part, path } = self else { return Ok(()) };
        file.flush().await?;
        if !proven {
            console.say(&format!("what has come is in {}", part.display()));
            return Ok(());
        }
        // First the bytes, then the name: a crash in between must not show half a file.
        file.sync_all().await?;
        fs::rename(&part, &path).await
    }
}
