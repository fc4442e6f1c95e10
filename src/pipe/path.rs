//! The canonical name of a pipe: the one spelling used for placement, texts and status.
//! Knows nothing of requests, queries, prefixes or reserved pages.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// The longest canonical name, in characters (spec §20).
pub const NAME_MAX: usize = 1024;

/// A canonical name, without leading `/` (spec §3). Cheap to clone.
///
/// A name is a credential: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PipePath(Arc<str>);

impl PipePath {
    /// Takes a name that [`canonical`] has already spelled, without its leading `/`.
    ///
    /// # Errors
    /// The name has more than [`NAME_MAX`] characters.
    pub fn new(name: &str) -> Result<PipePath, TooLong> {
        // A canonical name is ASCII, so its bytes are its characters.
        if name.len() > NAME_MAX { Err(TooLong) } else { Ok(PipePath(name.into())) }
    }

    /// The canonical bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PipePath {
    type Error = TooLong;

    fn try_from(name: String) -> Result<Self, TooLong> {
        Self::new(&name)
    }
}

impl From<PipePath> for String {
    fn from(path: PipePath) -> Self {
        path.0.as_ref().into()
    }
}

impl fmt::Debug for PipePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipePath(hidden)")
    }
}

/// A path that no name can have (spec §3, steps 2 to 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// A name of more than [`NAME_MAX`] characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name of more than {NAME_MAX} characters")]
pub struct TooLong;

/// Spells a path, with its leading `/`, in the one canonical way (spec §3, steps 2 to 4).
/// Spelling a canonical path again changes nothing.
///
/// # Errors
/// The path does not start with `/` or starts with `//`, has forbidden bytes or escapes, or has a
/// `.` or `..` segment.
pub fn canonical(raw: &[u8]) -> Result<String, BadPath> {
    let mut path = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (escaped, tail) = escaped_byte(tail)?;
                push_escaped(&mut path, escaped);
                rest = tail;
            }
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => push_escape(&mut path, byte),
            _ if stays(byte) => path.push(char::from(byte)),
            _ => return Err(BadPath),
        }
    }
    check_utf8(&path)?;
    check_segments(&path)?;
    Ok(path)
}

/// Reads the two hex digits after a `%`; gives the byte and what follows.
fn escaped_byte(tail: &[u8]) -> Result<(u8, &[u8]), BadPath> {
    let (&[high, low], tail) = tail.split_first_chunk().ok_or(BadPath)?;
    let byte = hex(high)? << 4 | hex(low)?;
    match byte {
        // A separator or control character in disguise would mean something else further down.
        0x00..=0x1f | 0x7f | b'/' | b'\\' => Err(BadPath),
        _ => Ok((byte, tail)),
    }
}

fn hex(digit: u8) -> Result<u8, BadPath> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadPath),
    }
}

fn push_escaped(path: &mut String, byte: u8) {
    if unreserved(byte) { path.push(char::from(byte)) } else { push_escape(path, byte) }
}

fn push_escape(path: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    path.push('%');
    path.push(char::from(DIGITS[usize::from(byte >> 4)]));
    path.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Bytes that stay as they were sent. Square brackets are among them: the spec neither refuses
/// them nor turns them into escapes, and browsers send them as they are.
fn stays(byte: u8) -> bool {
    unreserved(byte) || b"/!$&'()*+,;=:@[]".contains(&byte)
}

/// Raw bytes are ASCII by now, so only the escapes can break UTF-8.
fn check_utf8(path: &str) -> Result<(), BadPath> {
    percent_decode_str(path).decode_utf8().map(drop).map_err(|_| BadPath)
}

/// Dots must not walk through the hierarchy of a proxy, and an empty first segment would read as
/// an authority. Empty segments elsewhere are part of the name.
fn check_segments(path: &str) -> Result<(), BadPath> {
    let rooted = path.starts_with('/') && !path.starts_with("//");
    let walks = path.split('/').any(|segment| segment == "." || segment == "..");
    if rooted && !walks { Ok(()) } else { Err(BadPath) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spells_every_path_in_one_way() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/%41", "/A"),
            ("/%7Euser%2dx%5f%2E1", "/~user-x_.1"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/caf%C3%a9", "/caf%C3%A9"),
            ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
            ("/%21%24%3a%40", "/%21%24%3A%40"),
            ("/[1]%5b1%5d", "/[1]%5B1%5D"),
            ("/%2541", "/%2541"),
            ("/a%20b%3fc%23d", "/a%20b%3Fc%23d"),
            ("/%c2%85", "/%C2%85"),
            ("/a//b", "/a//b"),
            ("/a/", "/a/"),
            ("/a//", "/a//"),
            ("/...", "/..."),
            ("/.a/b./..c", "/.a/b./..c"),
            ("/pipe/x", "/pipe/x"),
        ] {
            assert_eq!(canonical(raw.as_bytes()).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn refuses_what_no_name_can_have() {
        for raw in [
            &b""[..],
            b"a",
            b"*",
            b"//",
            b"//x",
            b"/.",
            b"/..",
            b"/./x",
            b"/../x",
            b"/a/.",
            b"/a/..",
            b"/a/%2e%2e/b",
            b"/%2E",
            b"/.%2e/b",
            b"/a%00b",
            b"/a%0d%0aX:y",
            b"/a%1f",
            b"/a%7f",
            b"/a%2fb",
            b"/a%2Fb",
            b"/a%5cb",
            b"/a%5Cb",
            b"/a\\b",
            b"/a#b",
            b"/a?b",
            b"/a b",
            b"/a\x00",
            b"/a\x1f",
            b"/a\x7f",
            b"/caf\xc3\xa9",
            b"/\xff",
            b"/%c0%af",
            b"/%c3",
            b"/%a9",
            b"/%c3x%a9",
            b"/%ed%a0%80",
            b"/%",
            b"/%4",
            b"/%zz",
            b"/%4g",
            b"/%+1",
            b"/%c3%",
        ] {
            assert_eq!(canonical(raw), Err(BadPath), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_name_has_at_most_1024_characters() {
        assert!(PipePath::new(&"a".repeat(1024)).is_ok());
        assert_eq!(PipePath::new(&"a".repeat(1025)), Err(TooLong));
    }

    #[test]
    fn debug_hides_the_name() {
        let shown = format!("{:?}", PipePath::new("secret").unwrap());
        assert!(!shown.contains("secret"));
    }

    /// Paths made of pieces that matter, so that a good share of them is accepted.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("/"),
            Just("a"),
            Just("Z9"),
            Just("."),
            Just("%2e"),
            Just("%41"),
            Just("%25"),
            Just("%c3%a9"),
            Just("%c3"),
            Just("%20"),
            Just("{"),
            Just("|"),
            Just("!"),
            Just("%21"),
            Just("["),
            Just("%2f"),
            Just("%"),
            Just("\\"),
        ];
        proptest::collection::vec(piece, 0..12)
            .prop_map(|pieces| format!("/a{}", pieces.concat()).into_bytes())
    }

    proptest! {
        #[test]
        fn never_panics(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = canonical(&raw);
        }

        #[test]
        fn spelling_twice_is_spelling_once(raw in pieces()) {
            if let Ok(path) = canonical(&raw) {
                prop_assert_eq!(canonical(path.as_bytes()), Ok(path.clone()));
                prop_assert!(path.bytes().all(|byte| stays(byte) || byte == b'%'));
                prop_assert!(path.starts_with('/') && !path.starts_with("//"));
            }
        }

        #[test]
        fn escapes_of_unreserved_characters_mean_the_character(
            name in "[A-Za-z0-9_~-]{1,20}",
        ) {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(canonical(format!("/{escaped}").as_bytes()), Ok(format!("/{name}")));
        }
    }
}
