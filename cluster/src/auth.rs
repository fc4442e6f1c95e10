//! How nodes prove to each other that they know the fleet's secret, with every request and with
//! every answer.
//!
//! No wall clock is trusted. "When" is the listener's own monotonic clock since its start, and a
//! random number names that start: a caller learns both from any answer and puts them into its next
//! request. The listener refuses what is older than a moment, what was meant for an earlier life of
//! it, and what it has seen before. Pure: knows no clock, no socket, no HTTP beyond two values.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::settings::Secret;
use crate::view::NodeId;

/// The request header in which a caller proves itself.
pub const PEER_HEADER: &str = "x-hoody-pipe-peer";

/// The header of every answer in which the listener proves itself.
pub const PROOF_HEADER: &str = "x-hoody-pipe-proof";

/// A request may be so much older or newer than the listener's clock: many round trips, so that a
/// busy node is not refused, and few enough to remember all that was seen. In milliseconds.
pub const WINDOW_MS: u64 = 10_000;

/// Most requests that are remembered: 13,000 in each second of the window, a few megabytes. Only who
/// knows the secret can fill it; the next one is refused then.
const SEEN_MAX: usize = 1 << 17;

/// What stands first in both headers; another scheme would have another number.
const SCHEME: &str = "1";

/// The SHA-256 of a body.
pub type BodyHash = [u8; 32];

/// A moment on the clock of one life of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Which life: random. The default, 0, is what a caller says that knows none yet.
    pub boot: u64,
    /// Milliseconds since that life began.
    pub at: u64,
}

/// What a caller says about its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Who calls.
    pub from: NodeId,
    /// Who is called; 0 if that is not known.
    pub to: NodeId,
    /// When, on the clock of who is called, as far as the caller knows.
    pub when: Moment,
    /// Random, never used again.
    pub nonce: u128,
    /// Of the body that follows, of no bytes if the body is a stream.
    pub body: BodyHash,
}

/// Why a request that bears the right signature is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfresh {
    /// It is meant for another moment or life: the caller may learn the clock and repeat it.
    Stale,
    /// It was seen before.
    Replayed,
    /// No more can be remembered at the moment.
    Full,
}

/// The requests that one life of a listener has seen and could still be shown again.
#[derive(Debug)]
pub struct Seen {
    boot: u64,
    /// The newest moment that was ever given: two threads may ask in another order than their clocks.
    now: u64,
    requests: BTreeSet<(u64, u128)>,
}

/// The hash of a body.
pub fn hash(body: &[u8]) -> BodyHash {
    Sha256::digest(body).into()
}

impl Stamp {
    /// The value of [`PEER_HEADER`] for a request with this method and target.
    pub fn sign(&self, secret: &Secret, method: &str, target: &str) -> String {
        let Self { from, to, when, nonce, body } = self;
        let mac = self.mac(secret, method, target).finalize().into_bytes().into();
        format!(
            "{SCHEME} {:x} {:x} {:x} {:x} {nonce:x} {} {}",
            from.0,
            to.0,
            when.boot,
            when.at,
            hex(body),
            hex(&mac)
        )
    }

    /// What the header of a request says, if who wrote it knows the secret and meant this request.
    pub fn check(secret: &Secret, method: &str, target: &str, header: &str) -> Option<Self> {
        let mut words = header.strip_prefix(SCHEME)?.strip_prefix(' ')?.split(' ');
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        let (from, to) = (NodeId(number()?), NodeId(number()?));
        let when = Moment { boot: number()?, at: number()? };
        let nonce = u128::from_str_radix(words.next()?, 16).ok()?;
        let (body, mac) = (unhex(words.next()?)?, unhex(words.next()?)?);
        let stamp = Self { from, to, when, nonce, body };
        let right = stamp.mac(secret, method, target).verify_slice(&mac).is_ok();
        (right && words.next().is_none()).then_some(stamp)
    }

    fn mac(&self, secret: &Secret, method: &str, target: &str) -> Hmac<Sha256> {
        let Self { from, to, when, nonce, body } = self;
        let numbers = [from.0, to.0, when.boot, when.at].map(u64::to_be_bytes);
        let [from, to, boot, at] = &numbers;
        let (method, target) = (method.as_bytes(), target.as_bytes());
        signed(
            secret,
            &[b"request", method, target, from, to, boot, at, &nonce.to_be_bytes(), body],
        )
    }
}

/// The value of [`PROOF_HEADER`] for the answer to the request with that nonce.
pub fn prove(secret: &Secret, nonce: u128, status: u16, now: Moment, body: &[u8]) -> String {
    let mac = proof(secret, nonce, status, now, body).finalize().into_bytes().into();
    format!("{SCHEME} {:x} {:x} {}", now.boot, now.at, hex(&mac))
}

/// The listener's clock as its answer says, if who gave it knows the secret and answers this very
/// request.
pub fn check_proof(
    secret: &Secret,
    nonce: u128,
    status: u16,
    body: &[u8],
    header: &str,
) -> Option<Moment> {
    let mut words = header.strip_prefix(SCHEME)?.strip_prefix(' ')?.split(' ');
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let now = Moment { boot: number()?, at: number()? };
    let mac = unhex(words.next()?)?;
    let right = proof(secret, nonce, status, now, body).verify_slice(&mac).is_ok();
    (right && words.next().is_none()).then_some(now)
}

fn proof(secret: &Secret, nonce: u128, status: u16, now: Moment, body: &[u8]) -> Hmac<Sha256> {
    let (nonce, status) = (nonce.to_be_bytes(), status.to_be_bytes());
    let (boot, at) = (now.boot.to_be_bytes(), now.at.to_be_bytes());
    signed(secret, &[b"answer", &nonce, &status, &boot, &at, &hash(body)])
}

/// Each part with its length before it, so that no two lists of parts are the same bytes.
fn signed(secret: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

impl Seen {
    /// Nothing, in the life of that number.
    pub fn new(boot: u64) -> Self {
        Self { boot, now: 0, requests: BTreeSet::new() }
    }

    /// Takes note of a request, once. `now`: on the listener's clock.
    ///
    /// # Errors
    /// It is not to be served, and nothing was noted.
    pub fn admit(&mut self, now: u64, stamp: &Stamp) -> Result<(), Unfresh> {
        self.now = self.now.max(now);
        // What is older is stale from now on, however often it comes.
        let oldest = self.now.saturating_sub(WINDOW_MS);
        while self.requests.first().is_some_and(|(at, _)| *at < oldest) {
            self.requests.pop_first();
        }
        let Moment { boot, at } = stamp.when;
        if boot != self.boot || at.abs_diff(self.now) > WINDOW_MS {
            return Err(Unfresh::Stale);
        }
        // The signature covers both, so whoever shows a nonce again shows its moment again.
        let request = (at, stamp.nonce);
        if self.requests.contains(&request) {
            return Err(Unfresh::Replayed);
        }
        if self.requests.len() >= SEEN_MAX {
            return Err(Unfresh::Full);
        }
        self.requests.insert(request);
        Ok(())
    }
}

/// 64 hexadecimal digits.
fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (digits.len() == 64).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: u64 = 7;

    fn secret(bytes: &[u8]) -> Secret {
        Secret::new(bytes).unwrap()
    }

    fn ours() -> Secret {
        secret(b"the secret of the fleet")
    }

    fn stamps() -> impl Strategy<Value = Stamp> {
        any::<(u64, u64, u64, u64, u128, BodyHash)>().prop_map(
            |(from, to, boot, at, nonce, body)| Stamp {
                from: NodeId(from),
                to: NodeId(to),
                when: Moment { boot, at },
                nonce,
                body,
            },
        )
    }

    fn at(at: u64, nonce: u128) -> Stamp {
        let when = Moment { boot: BOOT, at };
        Stamp { from: NodeId(1), to: NodeId(2), when, nonce, body: hash(b"") }
    }

    #[test]
    fn requests_and_answers_are_signed_as_they_always_were() {
        // Computed by another implementation; nodes of two releases talk to each other.
        let header = at(1000, 0xabc).sign(&ours(), "POST", "/raft/vote");
        let body = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let mac = "8474c808cec794bfea59cb53f787f9829b8bfcf35d7ac5910ea2193db982fdb0";
        assert_eq!(header, format!("1 1 2 7 3e8 abc {body} {mac}"));
        let proof = prove(&ours(), 0xabc, 200, Moment { boot: 7, at: 1001 }, b"yes");
        let mac = "8da9077010ed7cd0f060fbfe93abaf5da01b77249d4fce34c760e77340dafa59";
        assert_eq!(proof, format!("1 7 3e9 {mac}"));
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read_back(stamp in stamps(), target in "/[a-z/]{0,20}") {
            let header = stamp.sign(&ours(), "POST", &target);
            prop_assert_eq!(Stamp::check(&ours(), "POST", &target, &header), Some(stamp));
        }

        #[test]
        fn another_secret_method_or_target_is_not_what_was_signed(
            stamp in stamps(), other in prop::collection::vec(any::<u8>(), 16..64),
        ) {
            prop_assume!(other != ours().bytes());
            let header = stamp.sign(&ours(), "POST", "/raft/vote");
            let check = |secret: &Secret, method, target| Stamp::check(secret, method, target, &header);
            prop_assert_eq!(check(&secret(&other), "POST", "/raft/vote"), None);
            for (method, target) in
                [("GET", "/raft/vote"), ("POST", "/raft/append"), ("POST/", "raft/vote"), ("", "")]
            {
                prop_assert_eq!(check(&ours(), method, target), None);
            }
        }

        #[test]
        fn nothing_in_a_header_can_be_altered(
            stamp in stamps(), place in any::<prop::sample::Index>(), by in any::<u8>(),
        ) {
            let mut header = stamp.sign(&ours(), "GET", "/link/1/1").into_bytes();
            let place = place.index(header.len());
            header[place] = by;
            let Ok(header) = String::from_utf8(header) else { return Ok(()) };
            // Another spelling of the same digits says the same.
            let read = Stamp::check(&ours(), "GET", "/link/1/1", &header);
            prop_assert!(read.is_none_or(|read| read == stamp), "{}", header);
        }

        #[test]
        fn nonsense_is_no_header(noise in ".{0,200}", tail in "1( [0-9a-fA-F]{0,70}){0,9}") {
            for header in [noise, tail] {
                prop_assert_eq!(Stamp::check(&ours(), "GET", "/", &header), None);
                prop_assert_eq!(check_proof(&ours(), 1, 200, b"", &header), None);
            }
        }

        #[test]
        fn a_proof_is_good_for_one_answer_to_one_request(
            nonce in any::<u128>(), boot in any::<u64>(), at in any::<u64>(), status in 100..600u16,
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let now = Moment { boot, at };
            let proof = prove(&ours(), nonce, status, now, &body);
            prop_assert_eq!(check_proof(&ours(), nonce, status, &body, &proof), Some(now));
            let longer = [&body[..], b"."].concat();
            let theirs = secret(b"the secret of another fleet");
            prop_assert_eq!(check_proof(&theirs, nonce, status, &body, &proof), None);
            prop_assert_eq!(check_proof(&ours(), nonce ^ 1, status, &body, &proof), None);
            prop_assert_eq!(check_proof(&ours(), nonce, status + 1, &body, &proof), None);
            prop_assert_eq!(check_proof(&ours(), nonce, status, &longer, &proof), None);
        }

        #[test]
        fn no_request_is_served_twice_however_threads_and_clocks_race(
            asked in prop::collection::vec((0..60_000u64, 0..60_000u64, 0..4u128), 1..200),
        ) {
            let mut seen = Seen::new(BOOT);
            let mut served = BTreeSet::new();
            for (now, moment, nonce) in asked {
                if seen.admit(now, &at(moment, nonce)).is_ok() {
                    prop_assert!(served.insert((moment, nonce)), "{} {} {}", now, moment, nonce);
                }
                let oldest = seen.now.saturating_sub(WINDOW_MS);
                prop_assert!(seen.requests.iter().all(|(at, _)| *at >= oldest));
            }
        }

        #[test]
        fn only_the_window_around_now_is_served(
            now in any::<u64>(), off in -20_000..20_000i64,
        ) {
            let moment = now.saturating_add_signed(off);
            let near = now.abs_diff(moment) <= WINDOW_MS;
            let got = Seen::new(BOOT).admit(now, &at(moment, 1));
            prop_assert_eq!(got, if near { Ok(()) } else { Err(Unfresh::Stale) });
        }
    }

    #[test]
    fn both_ends_of_the_window_count() {
        let served = |moment| Seen::new(BOOT).admit(50_000, &at(moment, 1)).is_ok();
        assert_eq!([39_999, 40_000, 60_000, 60_001].map(served), [false, true, true, false]);
    }

    #[test]
    fn a_request_for_an_earlier_life_is_stale() {
        let stamp = at(1000, 1);
        assert_eq!(Seen::new(BOOT).admit(1000, &stamp), Ok(()));
        assert_eq!(Seen::new(BOOT + 1).admit(1000, &stamp), Err(Unfresh::Stale));
    }

    #[test]
    fn a_full_memory_refuses_until_the_window_has_moved_on() {
        let mut seen = Seen::new(BOOT);
        for nonce in 0..SEEN_MAX {
            assert_eq!(seen.admit(1000, &at(1000, nonce as u128)), Ok(()));
        }
        assert_eq!(seen.admit(1000, &at(1000, u128::MAX)), Err(Unfresh::Full));
        assert_eq!(seen.admit(1000, &at(1000, 0)), Err(Unfresh::Replayed));
        let later = 1001 + WINDOW_MS;
        assert_eq!(seen.admit(later, &at(later, u128::MAX)), Ok(()));
        assert_eq!(seen.requests.len(), 1);
    }
}
