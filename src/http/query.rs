//! The query of a request: known parameters, decoded once and read by type (spec §5).
//! Knows no methods: which parameter counts where is decided in `admission`.

use std::ops::RangeInclusive;
use std::time::Duration;

use percent_encoding::percent_decode;

use crate::pipe::{PublicId, RECEIVERS_MAX};

use super::Refusal;
use super::disposition::FILE_NAME_MAX;

/// Every parameter with a meaning; all others are ignored.
pub(super) const KNOWN: [&str; 16] = [
    "n", "wait", "stall", "sha256", "transfer", "quiet", "download", "filename", "status",
    "progress", "reason", "live", "ws", "video", "receive", "share",
];

/// The longest `wait` and `stall`, in seconds.
pub(super) const SECONDS_MAX: u64 = 3600;
/// The longest reason of a DELETE, in characters.
pub(super) const REASON_MAX: usize = 200;
/// The length of a sender's own transfer id, in characters.
pub(super) const TRANSFER_LEN: RangeInclusive<usize> = 16..=64;
/// Characters that a reason must not have beside control characters: line and paragraph separators,
/// bidirectional controls. Any of them could forge a status line or hide its meaning.
pub(super) const UNPRINTABLE: [RangeInclusive<char>; 5] = [
    '\u{61c}'..='\u{61c}',
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{2029}',
    '\u{202a}'..='\u{202e}',
    '\u{2066}'..='\u{2069}',
];
/// The longest number that an error text repeats, in characters (spec §27, row 2).
pub(super) const ECHO_MAX: usize = 20;

/// The known parameters of one request. It has no `Debug`: a query is a secret of the client.
pub struct Query {
    /// In order of first appearance, so at most one entry for each of [`KNOWN`].
    known: Vec<Parameter>,
}

struct Parameter {
    key: &'static str,
    /// Decoded; the first one, if it is given more than once.
    value: String,
    repeated: bool,
}

impl Query {
    /// Splits and decodes a raw query (without `?`). Nothing is judged yet.
    pub fn parse(raw: &str) -> Query {
        let mut query = Query { known: Vec::new() };
        for pair in raw.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.add(key, value);
        }
        query
    }

    fn add(&mut self, raw_key: &str, raw_value: &str) {
        let key = percent_decode(raw_key.as_bytes()).decode_utf8_lossy();
        let Some(&key) = KNOWN.iter().find(|known| **known == key) else { return };
        match self.known.iter_mut().find(|given| given.key == key) {
            Some(given) => given.repeated = true,
            None => {
                self.known.push(Parameter { key, value: decode(raw_value), repeated: false });
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.known.iter().find(|given| given.key == key).map(|given| given.value.as_str())
    }

    /// Refuses if any known parameter is given twice.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`] with the first such parameter.
    pub fn refuse_repeated(&self) -> Result<(), Refusal> {
        match self.known.iter().find(|given| given.repeated) {
            Some(given) => Err(Refusal::Duplicate(given.key)),
            None => Ok(()),
        }
    }

    /// `n`, 1 to 256.
    ///
    /// # Errors
    /// As [`count`].
    pub fn n(&self) -> Result<Option<u16>, Refusal> {
        self.get("n").map(count).transpose()
    }

    /// `wait`, 1 to 3600 seconds.
    ///
    /// # Errors
    /// [`Refusal::BadSeconds`] or [`Refusal::SecondsRange`].
    pub fn wait(&self) -> Result<Option<Duration>, Refusal> {
        self.seconds("wait")
    }

    /// `stall`, 1 to 3600 seconds.
    ///
    /// # Errors
    /// [`Refusal::BadSeconds`] or [`Refusal::SecondsRange`].
    pub fn stall(&self) -> Result<Option<Duration>, Refusal> {
        self.seconds("stall")
    }

    fn seconds(&self, key: &'static str) -> Result<Option<Duration>, Refusal> {
        let Some(value) = self.get(key) else { return Ok(None) };
        // A lone zero is a number like any other, only too small.
        if value != "0" && !is_positive_integer(value) {
            return Err(Refusal::BadSeconds(key));
        }
        match value.parse() {
            Ok(seconds @ 1..=SECONDS_MAX) => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Refusal::SecondsRange(key, value.to_owned())),
        }
    }

    /// `transfer`, the sender's own id of the transfer.
    ///
    /// # Errors
    /// [`Refusal::BadTransfer`] unless it is 16 to 64 of `A-Z a-z 0-9 _ -`.
    pub fn transfer(&self) -> Result<Option<PublicId>, Refusal> {
        self.id().map_err(|()| Refusal::BadTransfer)
    }

    /// The `transfer` that a `?status` asks for.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`], or [`Refusal::BadTransferId`] if no transfer can have that id.
    pub fn asked_transfer(&self) -> Result<Option<PublicId>, Refusal> {
        match self.known.iter().find(|given| given.key == "transfer" && given.repeated) {
            Some(given) => Err(Refusal::Duplicate(given.key)),
            None => self.id().map_err(|()| Refusal::BadTransferId),
        }
    }

    fn id(&self) -> Result<Option<PublicId>, ()> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match self.get("transfer") {
            Some(id) if !TRANSFER_LEN.contains(&id.len()) || !id.bytes().all(allowed) => Err(()),
            id => Ok(id.map(PublicId::from)),
        }
    }

    /// `filename`, cut to 255 characters and not yet sanitised; may be empty.
    pub fn filename(&self) -> Option<String> {
        self.get("filename").map(|name| name.chars().take(FILE_NAME_MAX).collect())
    }

    /// `reason`, without one trailing `.`; one that is empty then counts as none.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`], or [`Refusal::BadReason`] over 200 characters or if one of them is
    /// not printable.
    pub fn reason(&self) -> Result<Option<String>, Refusal> {
        let Some(given) = self.known.iter().find(|given| given.key == "reason") else {
            return Ok(None);
        };
        if given.repeated {
            return Err(Refusal::Duplicate("reason"));
        }
        let reason = given.value.as_str();
        if reason.chars().count() > REASON_MAX || !reason.chars().all(is_printable) {
            return Err(Refusal::BadReason);
        }
        let reason = reason.strip_suffix('.').unwrap_or(reason);
        Ok(if reason.is_empty() { None } else { Some(reason.to_owned()) })
    }

    /// `download`: on, off, or not given.
    pub fn download(&self) -> Option<bool> {
        self.get("download").map(is_on)
    }

    /// `sha256`: hash the forwarded bytes.
    pub fn sha256(&self) -> bool {
        self.flag("sha256")
    }

    /// `quiet`: one final answer instead of status lines.
    pub fn quiet(&self) -> bool {
        self.flag("quiet")
    }

    /// `status`: a snapshot instead of the bytes.
    pub fn status(&self) -> bool {
        self.flag("status")
    }

    /// `progress`: watch instead of receive.
    pub fn progress(&self) -> bool {
        self.flag("progress")
    }

    /// `ws`, a switch of phase 2.
    pub fn ws(&self) -> bool {
        self.flag("ws")
    }

    /// `live`, a switch of phase 2.
    pub fn live(&self) -> bool {
        self.flag("live")
    }

    /// `video`, `receive` or `share`, the page switches of phase 2.
    pub fn page(&self) -> bool {
        ["video", "receive", "share"].iter().any(|key| self.flag(key))
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(is_on)
    }
}

/// Reads a number of receivers, from `n` or `X-Pipe-N`: `[1-9][0-9]*`, at most 256.
///
/// # Errors
/// [`Refusal::BadCount`] or [`Refusal::CountRange`].
pub fn count(value: &str) -> Result<u16, Refusal> {
    if !is_positive_integer(value) {
        return Err(Refusal::BadCount);
    }
    match value.parse() {
        Ok(n @ 1..=RECEIVERS_MAX) => Ok(n),
        _ => Err(Refusal::CountRange((value.len() <= ECHO_MAX).then(|| value.to_owned()))),
    }
}

fn is_positive_integer(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() && !value.starts_with('0')
}

/// The decoded value of any key of a raw query, known or not; the first one, if it is given more
/// than once. For pages, which fill their forms with it.
pub(super) fn value(raw: &str, wanted: &str) -> Option<String> {
    raw.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = percent_decode(key.as_bytes()).decode_utf8_lossy();
        (key == wanted).then(|| decode(value))
    })
}

/// Everything is on that is not plainly off, also a bare key.
pub(super) fn is_on(value: &str) -> bool {
    !["false", "no", "0"].iter().any(|off| off.eq_ignore_ascii_case(value))
}

/// Neither a control character nor one of [`UNPRINTABLE`].
fn is_printable(c: char) -> bool {
    !c.is_control() && !UNPRINTABLE.iter().any(|range| range.contains(&c))
}

/// A malformed escape stays as it is; an escaped `+` stays a plus.
fn decode(raw_value: &str) -> String {
    let spaced = raw_value.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn n(raw: &str) -> Result<Option<u16>, Refusal> {
        Query::parse(raw).n()
    }

    #[test]
    fn n_is_a_positive_integer() {
        for (raw, expected) in
            [("", None), ("n=1", Some(1)), ("n=30", Some(30)), ("n=256", Some(256))]
        {
            assert_eq!(n(raw), Ok(expected), "{raw}");
        }
        // `n=%2B3` is the plus sign itself, `n=+3` a space before the three.
        for value in [
            "0",
            "-1",
            "abc",
            "3abc",
            "1e2",
            "",
            "+3",
            "%2B3",
            "03",
            "1.0",
            "%EF%BC%93",
            "３",
            "2..3",
            "3+",
            "any",
            "0x10",
            "00",
            "%zz",
            "1_0",
        ] {
            assert_eq!(n(&format!("n={value}")), Err(Refusal::BadCount), "{value}");
        }
        assert_eq!(n("n"), Err(Refusal::BadCount));
    }

    #[test]
    fn n_is_at_most_256_and_long_numbers_are_not_echoed() {
        for value in ["257", "65536", "65793", "99999999999999999999"] {
            let expected = Refusal::CountRange(Some(value.to_owned()));
            assert_eq!(n(&format!("n={value}")), Err(expected), "{value}");
        }
        assert_eq!(n("n=999999999999999999999"), Err(Refusal::CountRange(None)));
    }

    #[test]
    fn wait_and_stall_are_seconds() {
        for key in ["wait", "stall"] {
            let read = |raw: &str| Query::parse(raw).seconds(key);
            let range = |value: &str| Err(Refusal::SecondsRange(key, value.to_owned()));
            assert_eq!(read(""), Ok(None));
            assert_eq!(read(&format!("{key}=1")), Ok(Some(Duration::from_secs(1))));
            assert_eq!(read(&format!("{key}=3600")), Ok(Some(Duration::from_secs(3600))));
            assert_eq!(read(&format!("{key}=0")), range("0"));
            assert_eq!(read(&format!("{key}=3601")), range("3601"));
            assert_eq!(read(&format!("{key}={}", "9".repeat(40))), range(&"9".repeat(40)));
            for bad in ["=1.5", "", "=", "=030", "=00", "=-1", "=+5", "=5s", "=5m", "=%20"] {
                assert_eq!(read(&format!("{key}{bad}")), Err(Refusal::BadSeconds(key)), "{bad}");
            }
        }
        assert_eq!(Query::parse("wait=7&stall=9").wait(), Ok(Some(Duration::from_secs(7))));
        assert_eq!(Query::parse("wait=7&stall=9").stall(), Ok(Some(Duration::from_secs(9))));
    }

    #[test]
    fn flags_are_on_unless_plainly_off() {
        for on in ["", "=", "=1", "=true", "=YES", "=on", "=2", "=off", "=%00", "=nope"] {
            assert!(Query::parse(&format!("quiet{on}")).quiet(), "{on}");
        }
        for off in ["=0", "=false", "=No", "=FALSE", "=%30"] {
            assert!(!Query::parse(&format!("quiet{off}")).quiet(), "{off}");
        }
        assert!(!Query::parse("").quiet());
        assert_eq!(Query::parse("").download(), None);
        assert_eq!(Query::parse("download").download(), Some(true));
        assert_eq!(Query::parse("download=no").download(), Some(false));
    }

    #[test]
    fn each_flag_has_its_own_key() {
        let keys =
            ["sha256", "quiet", "status", "progress", "ws", "live", "video", "receive", "share"];
        for (i, key) in keys.iter().enumerate() {
            let q = Query::parse(key);
            let read =
                [q.sha256(), q.quiet(), q.status(), q.progress(), q.ws(), q.live(), q.page()];
            // The last three keys are the pages.
            let expected: Vec<bool> = (0..read.len()).map(|j| j == i.min(6)).collect();
            assert_eq!(read[..], expected, "{key}");
        }
    }

    #[test]
    fn known_parameters_are_given_once() {
        for (raw, twice) in [
            ("n=2&n=3", "n"),
            ("n=2&n=2", "n"),
            ("x&wait=1&stall=1&w%61it=2&stall=2", "wait"),
            ("quiet&quiet=0", "quiet"),
            ("video&video", "video"),
            ("transfer=a&x=1&transfer=b", "transfer"),
        ] {
            let refused = Query::parse(raw).refuse_repeated();
            assert_eq!(refused, Err(Refusal::Duplicate(twice)), "{raw}");
        }
        for raw in ["", "x=1&x=2", "N=1&n=1", "n=2&&wait=3&", "=n&=n", "_=1&_=2"] {
            assert_eq!(Query::parse(raw).refuse_repeated(), Ok(()), "{raw}");
        }
    }

    #[test]
    fn keys_and_values_are_decoded_once() {
        let filename = |raw: &str| Query::parse(raw).filename();
        for (raw, expected) in [
            ("filename=a+b%2Bc", "a b+c"),
            ("file%6eame=caf%C3%A9=x", "café=x"),
            ("filename=100%25", "100%"),
            ("filename=%2541", "%41"),
            ("filename=100%", "100%"),
            ("filename=%zz", "%zz"),
            ("filename=%ff", "\u{fffd}"),
            ("filename", ""),
            ("filename=", ""),
        ] {
            assert_eq!(filename(raw).as_deref(), Some(expected), "{raw}");
        }
        assert_eq!(filename("Filename=a"), None);
        assert_eq!(filename(&format!("filename={}", "é".repeat(256))), Some("é".repeat(255)));
    }

    #[test]
    fn transfer_is_16_to_64_safe_characters() {
        for good in ["abcdefghij-_0123", &"Z".repeat(64)] {
            let read = Query::parse(&format!("transfer={good}")).transfer();
            assert_eq!(read, Ok(Some(PublicId::from(good))));
        }
        for bad in ["short", "", "abcdefghij-_012", &"Z".repeat(65), "abcdefghijklmno.", "éééééééé"]
        {
            let read = Query::parse(&format!("transfer={bad}")).transfer();
            assert_eq!(read, Err(Refusal::BadTransfer), "{bad}");
        }
        assert_eq!(Query::parse("").transfer(), Ok(None));
    }

    #[test]
    fn reason_is_short_and_printable() {
        let reason = |raw: &str| Query::parse(raw).reason();
        let given = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(reason(""), Ok(None));
        assert_eq!(reason("reason"), Ok(None));
        assert_eq!(reason("reason=."), Ok(None));
        assert_eq!(reason("reason=drift"), given("drift"));
        assert_eq!(reason("reason=drift."), given("drift"));
        assert_eq!(reason("reason=hm.."), given("hm."));
        assert_eq!(reason("n=2&n=3&reason=too+late%21"), given("too late!"));
        assert_eq!(reason(&format!("reason={}", "é".repeat(200))), given(&"é".repeat(200)));
        assert_eq!(reason(&format!("reason={}", "a".repeat(201))), Err(Refusal::BadReason));
        assert_eq!(reason("reason=a&reason=b"), Err(Refusal::Duplicate("reason")));
        for bad in [
            "%0a",
            "a%0Db",
            "%00",
            "%7f",
            "%c2%85",
            "%e2%80%a8",
            "%e2%80%a9",
            "%e2%80%ae",
            "%d8%9c",
            "%e2%81%a6",
            "%e2%80%8f",
        ] {
            assert_eq!(reason(&format!("reason={bad}")), Err(Refusal::BadReason), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_read(raw in "\\PC{0,80}") {
            let query = Query::parse(&raw);
            let _ = (query.refuse_repeated(), query.n(), query.wait(), query.transfer());
            prop_assert!(query.known.len() <= KNOWN.len());
        }

        #[test]
        fn counts_are_read_as_written(n in 1..=RECEIVERS_MAX) {
            prop_assert_eq!(count(&n.to_string()), Ok(n));
        }
    }
}
