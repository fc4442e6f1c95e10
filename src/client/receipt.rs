//! Proof from the relay's own account of a transfer (spec §16): for a download whose end alone
//! proves nothing, because its length was not declared or its digest is wanted.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::relay::{Relay, Target};

/// How long the relay is asked (spec §23). Slower receivers of the same transfer may take longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two questions: the first is short, because mostly one more is enough.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The longest account that is read, in bytes; a real one has some hundred.
const ACCOUNT_MAX: usize = 64 * 1024;

/// What a receiver knows of itself.
pub struct Got {
    /// Bytes that came.
    pub bytes: u64,
    /// Their digest, when it is to be compared.
    pub digest: Option<String>,
}

/// What the account says about a download that ended cleanly.
#[derive(Debug, PartialEq)]
pub enum Proof {
    /// It is whole.
    Whole,
    /// It is not: a sentence about it.
    Broken(String),
    /// It cannot be known: a sentence about it.
    Missing(String),
}

/// The part of an account that counts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    state: String,
    bytes_transferred: u64,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// One answer about a transfer.
enum Said {
    Account(Account),
    Status(StatusCode),
    Nothing,
}

/// Asks for the account of the transfer `id` until it proves something or [`PATIENCE`] ends.
pub async fn prove(relay: &Relay, target: &Target, id: &str, got: &Got) -> Proof {
    let mut target = target.clone();
    target.flag("status", true);
    target.pair("transfer", Some(id));
    let deadline = Instant::now() + PATIENCE;
    let mut pause = PAUSE;
    loop {
        let said = timeout_at(deadline, ask(relay, &target)).await.unwrap_or(Said::Nothing);
        let verdict = judge(&said, got);
        match verdict {
            Ok(proof) => return proof,
            Err(why) if Instant::now() + pause >= deadline => return Proof::Missing(why),
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn ask(relay: &Relay, target: &Target) -> Said {
    let Ok(mut answer) = relay.request(Method::GET, target).send().await else {
        return Said::Nothing;
    };
    if !answer.status().is_success() {
        return Said::Status(answer.status());
    }
    let mut text = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() > ACCOUNT_MAX {
            break;
        }
    }
    serde_json::from_slice(&text).map_or(Said::Nothing, Said::Account)
}

/// What one answer comes to; an error is what to say if no better one follows.
fn judge(said: &Said, got: &Got) -> Result<Proof, String> {
    let account = match said {
        Said::Account(account) => account,
        Said::Nothing => return Err("the relay could not be asked whether this was all".to_owned()),
        // Another node may be about to take its place.
        Said::Status(StatusCode::NOT_FOUND) => {
            return Err("the relay does not know the transfer any more".to_owned());
        }
        Said::Status(status) if status.is_server_error() && status.as_u16() != 501 => {
            return Err(format!("the relay could not tell whether this was all ({status})"));
        }
        Said::Status(status) => {
            let why = format!("the relay does not tell whether this was all ({status})");
            return Ok(Proof::Missing(why));
        }
    };
    let (ours, theirs) = (got.bytes, account.bytes_transferred);
    match account.state.as_str() {
        "failed" => {
            let reason = account.reason.as_deref().unwrap_or("no reason is known");
            Ok(Proof::Broken(format!("the transfer failed: {reason}")))
        }
        "complete" if ours == theirs => Ok(compared(account, got)),
        "complete" => Ok(Proof::Broken(format!(
            "the relay has passed on {theirs} bytes, but {ours} have come: the end was lost"
        ))),
        _ => Err(format!(
            "{ours} bytes have come, but to the relay the transfer still runs ({theirs} bytes so \
             far); slower receivers may hold up its end"
        )),
    }
}

fn compared(account: &Account, got: &Got) -> Proof {
    match (&got.digest, &account.sha256) {
        (None, _) => Proof::Whole,
        (Some(ours), Some(theirs)) if ours == theirs => Proof::Whole,
        (Some(_), Some(_)) => {
            Proof::Broken("these are not the bytes of the sender: the SHA-256 differs".to_owned())
        }
        (Some(_), None) => Proof::Missing("the relay has told no SHA-256".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: &str, theirs: u64, digests: (Option<&str>, Option<&str>)) -> String {
        let account = Account {
            state: state.to_owned(),
            bytes_transferred: theirs,
            sha256: digests.1.map(str::to_owned),
            reason: None,
        };
        let got = Got { bytes: 5, digest: digests.0.map(str::to_owned) };
        match judge(&Said::Account(account), &got) {
            Ok(Proof::Whole) => "whole",
            Ok(Proof::Broken(_)) => "broken",
            Ok(Proof::Missing(_)) => "missing",
            Err(_) => "ask again",
        }
        .to_owned()
    }

    #[test]
    fn only_a_complete_transfer_of_the_same_bytes_is_whole() {
        for (state, theirs, digests, want) in [
            ("complete", 5, (None, None), "whole"),
            ("complete", 5, (Some("a"), Some("a")), "whole"),
            ("complete", 5, (Some("a"), Some("b")), "broken"),
            ("complete", 5, (Some("a"), None), "missing"),
            ("complete", 6, (None, None), "broken"),
            ("complete", 4, (None, None), "broken"),
            ("failed", 5, (None, None), "broken"),
            ("streaming", 5, (None, None), "ask again"),
            ("streaming", 6, (None, None), "ask again"),
            ("waiting", 0, (None, None), "ask again"),
            ("new in a later version", 5, (None, None), "ask again"),
        ] {
            assert_eq!(judged(state, theirs, digests), want, "{state} {theirs} {digests:?}");
        }
    }

    #[test]
    fn a_relay_that_cannot_tell_is_asked_again_and_one_that_does_not_is_not() {
        let got = Got { bytes: 5, digest: None };
        for (status, again) in [(404, true), (502, true), (503, true), (501, false), (400, false)] {
            let said = Said::Status(StatusCode::from_u16(status).unwrap());
            assert_eq!(judge(&said, &got).is_err(), again, "{status}");
        }
        assert!(judge(&Said::Nothing, &got).is_err());
    }
}
