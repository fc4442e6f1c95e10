//! How URLs, headers and transfer ids are written on the command line. Knows nothing of what they
//! are used for.

use std::fmt;
use std::str::FromStr;

/// How a URL is written.
const SHAPE: &str = "write it as http://HOST:PORT/NAME or https://HOST/NAME";

/// What stands before a name, and is none (spec §3).
const NAMELESS: [&str; 3] = ["", "pipe", "api/v1/pipe"];

/// A URL of a pipe. It is a credential and does not show itself when debugged.
#[derive(Clone, PartialEq, Eq)]
pub struct PipeUrl(pub String);

impl PipeUrl {
    /// Whether it is spoken to over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

impl FromStr for PipeUrl {
    type Err = String;

    /// Refuses what a URL library would quietly turn into another name than the one typed.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() != text {
            return Err("it begins or ends with a space; leave that out, or write %20".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(SHAPE.to_owned());
        }
        let path = rest.split('?').next().unwrap_or_default();
        let (place, name) = path.split_once('/').unwrap_or((path, ""));
        if place.rsplit('@').next().is_none_or(|host| host.is_empty() || host.starts_with(':')) {
            return Err(format!("it names no host; {SHAPE}"));
        }
        if NAMELESS.contains(&name.trim_end_matches('/')) {
            return Err(format!("it has no name behind the host; {SHAPE}"));
        }
        let dots = |segment: &str| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain == "." || plain == ".."
        };
        if path.split('/').skip(1).any(dots) {
            return Err("a name has no segments '.' or '..'".to_owned());
        }
        if path.contains('\\') || text.contains('#') || text.contains(char::is_control) {
            let why = "write '#' as %23; '\\' and control characters have no place in a name";
            return Err(why.to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PipeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeUrl")
    }
}

/// The id of a transfer (spec §5, `transfer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferId(pub String);

impl FromStr for TransferId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match (16..=64).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err("it must be 16 to 64 characters A-Z a-z 0-9 _ -".to_owned()),
        }
    }
}

/// A header line, split at its colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// What stands before the colon.
    pub name: String,
    /// What stands behind it, without spaces around it.
    pub value: String,
}

impl FromStr for HeaderLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" | "transfer-encoding" | "connection" | "host" | "expect" => {
                Err(format!("{name} is written by this client itself"))
            }
            "content-type" => Err("use --type for the media type".to_owned()),
            "x-pipe-n" => Err("use -n for the number of receivers".to_owned()),
            "x-pipe-length" => Err("use --length for the length".to_owned()),
            _ => Ok(Self { name: name.to_owned(), value: value.trim().to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_as_typed_or_refused() {
        for text in
            ["http://h/x", "HTTPS://h:1/a/b?n=3&x=../y", "http://[::1]:80/a..b/...", "http://h/é"]
        {
            assert_eq!(text.parse::<PipeUrl>().unwrap().0, text);
        }
        for text in [
            "h:8080/x",
            "ftp://h/x",
            "",
            "http://h/../x",
            "http://h/a/%2E%2e",
            "http://h/./a",
            "http://h/a\\b",
            "http://h/a#b",
            "http://h/a?n=3#b",
            "http://h/a\tb",
            " http://h/x",
            "http://h/x ",
            "http://h/x\u{a0}",
            "http:///x",
            "http://u@/x",
            "http://:80/x",
            "http://h",
            "http://h/",
            "http://h?n=3",
            "http://h/?n=3",
            "http://h//",
            "http://h/pipe/",
            "https://h/api/v1/pipe?n=3",
        ] {
            assert!(text.parse::<PipeUrl>().is_err(), "{text:?}");
        }
        assert!("HTTPS://h/x".parse::<PipeUrl>().unwrap().is_secure());
        assert!(!"http://https:/x".parse::<PipeUrl>().unwrap().is_secure());
    }

    #[test]
    fn ids_and_headers_have_their_shape() {
        assert!("0123456789abcde_".parse::<TransferId>().is_ok());
        for text in ["0123456789abcde", "", &"x".repeat(65), "0123456789abcde."] {
            assert!(text.parse::<TransferId>().is_err(), "{text:?}");
        }
        let line = HeaderLine { name: "A".into(), value: "b: c".into() };
        assert_eq!("A:  b: c ".parse(), Ok(line));
        for text in ["A", "Host: x", "CONTENT-TYPE: x", "x-pipe-n: 3"] {
            assert!(text.parse::<HeaderLine>().is_err(), "{text:?}");
        }
    }
}
