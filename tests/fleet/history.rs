//! What happened to the clients of one name, and whether it may have happened: every receiver has a
//! prefix of exactly one sender's bytes, a clean end only if it has all of them and that sender ended
//! cleanly, and a sender is told of success only in the words of spec §9. Knows no fleet.

use crate::common::curl::Ended;
use crate::common::{End, Raw, like};

/// Bytes of a sender: each depends on the seed and on its position, so that a prefix of one sender is
/// never taken for one of another, nor a hole for a prefix.
pub fn body(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut at = 0;
    while bytes.len() < len {
        bytes.extend_from_slice(&mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at).to_le_bytes());
        at += 1;
    }
    bytes.truncate(len);
    bytes
}

/// Spreads every bit (the finaliser of SplitMix64).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// One sender, as its client saw it.
#[derive(Debug)]
pub struct Sent {
    /// What it sent, or would have sent.
    pub body: Vec<u8>,
    /// For how many.
    pub n: usize,
    /// Whether it ended its body properly.
    pub finished: bool,
    /// The lines it was told, and whether the answer ended cleanly.
    pub lines: Vec<String>,
    /// Whether its client took the answer for complete.
    pub clean: bool,
}

/// One receiver, as its client saw it.
#[derive(Debug)]
pub struct Got {
    /// What it got.
    pub bytes: Vec<u8>,
    /// Whether its client took that for complete.
    pub clean: bool,
}

/// All clients of one name.
#[derive(Debug, Default)]
pub struct History {
    sent: Vec<Sent>,
    got: Vec<Got>,
}

impl Sent {
    /// A curl that was started with `--fail-with-body`.
    pub fn by_curl(ended: &Ended, body: &[u8], n: usize, finished: bool) -> Sent {
        let lines = ended.text().lines().map(str::to_owned).collect();
        Sent { body: body.to_vec(), n, finished, lines, clean: ended.code == Some(0) }
    }

    /// A raw client whose lines were not read yet; `before`: the lines that were.
    pub fn by_raw(raw: &mut Raw, before: &[&str], body: &[u8], n: usize) -> Sent {
        let (rest, end) = raw.lines();
        let lines = before.iter().map(|&line| line.to_owned()).chain(rest).collect();
        Sent { body: body.to_vec(), n, finished: true, lines, clean: end == End::Clean }
    }

    /// Whether its client may conclude that all is well (spec §9), and how many got everything.
    fn success(&self) -> Option<usize> {
        let complete = self.lines.last().is_some_and(|line| line == "[INFO] Transfer complete.");
        let bad = |line: &String| line.starts_with("[ERROR]") || line.starts_with("[INFO] All re");
        if !self.clean || !complete || self.lines.iter().any(bad) {
            return None;
        }
        let sent = &self.lines[self.lines.len() - 2];
        let whole = (0..=self.n).find(|k| {
            let said =
                format!("{} bytes to {k} of {} receiver(s) in * s.", self.body.len(), self.n);
            like(&format!("[INFO] Sent {said}"), sent)
        });
        assert!(whole.is_some(), "{sent:?} in {:#?}", self.lines);
        whole
    }
}

impl Got {
    /// A curl that was started with `-fsSN`.
    pub fn by_curl(ended: &Ended) -> Got {
        Got { bytes: ended.stdout.clone(), clean: ended.code == Some(0) }
    }

    /// The rest of a raw receiver's body, behind the bytes that were read `before`.
    pub fn by_raw(raw: &mut Raw, before: &[u8]) -> Got {
        let (rest, end) = raw.rest();
        Got { bytes: [before, &rest].concat(), clean: end == End::Clean }
    }
}

impl History {
    /// Adds a sender.
    pub fn sent(&mut self, sent: Sent) -> &mut History {
        self.sent.push(sent);
        self
    }

    /// Adds a receiver.
    pub fn got(&mut self, got: Got) -> &mut History {
        self.got.push(got);
        self
    }

    /// Fails unless all of this may have happened. Bodies must not be empty.
    #[track_caller]
    pub fn check(&self) {
        let mut whole = vec![0; self.sent.len()];
        let mut some = vec![0; self.sent.len()];
        for got in &self.got {
            if got.bytes.is_empty() {
                assert!(!got.clean, "a clean end of nothing");
                continue;
            }
            let from = self.sent.iter().position(|sent| sent.body.starts_with(&got.bytes));
            let count = got.bytes.len();
            let from = from.unwrap_or_else(|| panic!("{count} bytes are a prefix of no sender"));
            let sent = &self.sent[from];
            let is_all = sent.finished && sent.body.len() == count;
            assert!(is_all || !got.clean, "a clean end after {count} of {}", sent.body.len());
            some[from] += 1;
            whole[from] += usize::from(got.clean);
        }
        for ((sent, whole), some) in self.sent.iter().zip(whole).zip(some) {
            assert!(some <= sent.n, "{some} receivers of {}", sent.n);
            if let Some(told) = sent.success() {
                assert!(sent.finished, "success without an end: {:#?}", sent.lines);
                assert_eq!(told, whole, "{:#?}", sent.lines);
            }
        }
    }

    /// The same, and everybody must have succeeded.
    #[track_caller]
    pub fn check_all_well(&self) {
        self.check();
        assert!(self.is_all_well(), "{}", self.told());
    }

    /// Whether all senders and all their receivers succeeded.
    pub fn is_all_well(&self) -> bool {
        let wanted: usize = self.sent.iter().map(|sent| sent.n).sum();
        let whole = self.got.iter().filter(|got| got.clean).count();
        (whole, self.got.len()) == (wanted, wanted)
            && self.sent.iter().all(|sent| sent.success() == Some(sent.n))
    }

    /// What the clients were told, for whoever looks for a fault.
    pub fn told(&self) -> String {
        let got: Vec<_> = self.got.iter().map(|got| (got.bytes.len(), got.clean)).collect();
        let sent: Vec<_> = self.sent.iter().map(|sent| (&sent.lines, sent.clean)).collect();
        format!("senders (lines, clean): {sent:#?}, receivers (bytes, clean): {got:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(finished: bool, last: &str) -> Sent {
        let lines = ["[INFO] Sent 100 bytes to 1 of 2 receiver(s) in 0.1 s.", last];
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        Sent { body: body(1, 100), n: 2, finished, lines, clean: true }
    }

    fn fails(sent: Vec<Sent>, got: Vec<Got>) -> bool {
        let history = History { sent, got };
        std::panic::catch_unwind(|| history.check()).is_err()
    }

    #[test]
    fn the_checker_can_tell() {
        const WELL: &str = "[INFO] Transfer complete.";
        let got = |bytes: &[u8], clean| Got { bytes: bytes.to_vec(), clean };
        let (all, other) = (body(1, 100), body(2, 100));
        assert!(!fails(vec![sent(true, WELL)], vec![got(&all, true), got(&all[..7], false)]));
        assert!(fails(vec![sent(true, WELL)], vec![got(&all, true), got(&all, true)]), "one more");
        assert!(fails(vec![sent(true, WELL)], vec![got(&all[..7], true), got(&all, true)]), "cut");
        assert!(fails(vec![sent(true, WELL)], vec![got(&other[..7], false), got(&all, true)]));
        assert!(fails(vec![sent(false, "[ERROR] x")], vec![got(&all, true)]), "no end was sent");
        assert!(fails(vec![sent(true, WELL)], vec![got(b"", true), got(&all, true)]), "nothing");
        assert!(fails(
            vec![sent(true, "[ERROR] x")],
            (0..3).map(|_| got(&all[..7], false)).collect()
        ));
    }

    #[test]
    fn bodies_differ_from_their_first_bytes_on() {
        assert_eq!(body(3, 5), body(3, 100)[..5]);
        assert_ne!(body(3, 5), body(4, 5));
        assert_ne!(body(3, 64)[..32], body(3, 64)[32..]);
    }
}
