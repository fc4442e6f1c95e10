//! `receive`: a download that counts as complete only if its declared length was met or the relay's
//! account of the transfer proves it, and that never shows half a file under its final name.

use std::io::{self, IsTerminal};

use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, Response, StatusCode};

use super::connect::innermost;
use super::console::Console;
use super::digest::Digest;
use super::receipt::{self, Got, Proof};
use super::relay::{Relay, Target};
use super::sink::Sink;
use super::{Exit, Fault, failed, signalled};
use crate::config::errand::ReceiveFlags;

/// Where the relay names the transfer (spec §10).
const TRANSFER_ID: &str = "x-hoody-pipe-transfer-id";

/// Receives, and says how it ended.
pub async fn run(flags: ReceiveFlags) -> Exit {
    // A progress line would run through the data.
    let watched = flags.file().is_some() || !io::stdout().is_terminal();
    let console = Console::new(watched && !flags.quiet);
    let exit = match Download::new(flags) {
        Ok(download) => tokio::select! {
            exit = download.run(&console) => exit,
            exit = signalled() => exit,
        },
        Err(fault) => fault.tell(&console),
    };
    console.close();
    exit
}

/// What is asked, of whom, and where it goes.
struct Download {
    relay: Relay,
    target: Target,
    /// Where its account is: the URL as it was given.
    account: Target,
    flags: ReceiveFlags,
}

impl Download {
    fn new(flags: ReceiveFlags) -> Result<Self, Fault> {
        let account = Target::new(&flags.url)?;
        let mut target = account.clone();
        target.common(&flags.common);
        target.flag("sha256", flags.sha256);
        Ok(Self { relay: Relay::new(&flags.url, &flags.link)?, target, account, flags })
    }

    async fn run(&self, console: &Console) -> Exit {
        // First: what cannot be kept must not be taken from the sender.
        let sink = match Sink::open(self.flags.file()).await {
            Ok(sink) => sink,
            Err(why) => return Fault(Exit::Usage, why).tell(console),
        };
        let request = || self.relay.request(Method::GET, &self.target);
        match self.relay.answer(request, console).await {
            Ok(answer) => self.keep(answer, sink, console).await,
            Err(exit) => exit,
        }
    }

    /// Writes the body where it belongs.
    async fn keep(&self, mut answer: Response, mut sink: Sink, console: &Console) -> Exit {
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let length = header(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        let id = header(TRANSFER_ID).map(str::to_owned);
        // Any web server has pages of a declared length.
        let Some(id) = id.filter(|_| answer.status() == StatusCode::OK) else {
            let why = "this is no transfer: is this a relay, and does the URL have a name?";
            return failed(console, why);
        };
        if let Err(why) = sink.begin().await {
            return failed(console, &why);
        }
        console.expect(length);
        let mut digest = Digest::new(self.flags.sha256);
        let proof = match copy(&mut answer, &mut sink, &mut digest, console).await {
            Ok(bytes) => {
                let got = Got { bytes, digest: digest.hex() };
                self.proof(length, &id, &got).await
            }
            Err(why) => Proof::Broken(why),
        };
        console.close();
        settle(proof, sink, console).await
    }

    /// What a clean end is worth. That a declared length is met is looked at here too: over HTTP/2
    /// some resets look like a clean end.
    async fn proof(&self, length: Option<u64>, id: &str, got: &Got) -> Proof {
        match length {
            Some(length) if length != got.bytes => {
                let bytes = got.bytes;
                Proof::Broken(format!(
                    "the stream was cut: {bytes} of {length} bytes have come; have it sent again"
                ))
            }
            Some(_) if got.digest.is_none() => Proof::Whole,
            Some(_) | None => receipt::prove(&self.relay, &self.account, id, got).await,
        }
    }
}

/// Copies to the clean end of the body, and gives the number of bytes.
async fn copy(
    answer: &mut Response,
    sink: &mut Sink,
    digest: &mut Digest,
    console: &Console,
) -> Result<u64, String> {
    let mut bytes = 0;
    loop {
        let piece = answer.chunk().await.map_err(|error| {
            let why = innermost(&error);
            format!("the stream was cut after {bytes} bytes: {why}; have it sent again")
        })?;
        let Some(piece) = piece else { return Ok(bytes) };
        digest.update(&piece);
        sink.write(&piece).await?;
        bytes += piece.len() as u64;
        console.begin();
        console.advance(piece.len() as u64);
    }
}

/// Makes the output what the proof says it is.
async fn settle(proof: Proof, sink: Sink, console: &Console) -> Exit {
    let (exit, why) = match proof {
        Proof::Whole => match sink.finish().await {
            Ok(()) => return Exit::Complete,
            Err(why) => return failed(console, &why),
        },
        Proof::Broken(why) => (Exit::Failed, why),
        Proof::Missing(why) => (
            Exit::Unproven,
            format!(
                "it ended cleanly, but nothing proves that this was all: {why}; a sender with a \
                 file or with --length would"
            ),
        ),
    };
    match sink.leave().await {
        Ok(None) => console.say(&why),
        Ok(Some(part)) => console.say(&format!("{why}; what has come is in {}", part.display())),
        Err(worse) => return failed(console, &format!("{why}; {worse}")),
    }
    exit
}
