//! The kinds of value a setting can have, as people write them: `5m`, `256KiB`, `10.0.0.0/8`.
//!
//! Each kind is read the same way from a flag, a variable and the file, and refuses what it does
//! not take with a sentence that says how to write it. Knows no setting by name.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

/// Whole seconds from `MIN` to `MAX`, written as a number or as a time such as `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Seconds<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> FromStr for Seconds<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match text.parse() {
            Ok(seconds) => seconds,
            Err(_) => whole_seconds(text)?,
        };
        if !(MIN..=MAX).contains(&seconds) {
            return Err(format!("it must be from {MIN} to {MAX} seconds"));
        }
        Ok(Self(seconds))
    }
}

/// Reads a time with units; anything finer than a second is refused, not rounded.
fn whole_seconds(text: &str) -> Result<u64, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.subsec_nanos() == 0 => Ok(time.as_secs()),
        Ok(_) => Err("use whole seconds".to_owned()),
        Err(_) => Err("write it as seconds, such as 300, or as a time, such as 5m".to_owned()),
    }
}

/// Bytes from `MIN` to `MAX`, written as a number or as a size such as `256KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Size<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> FromStr for Size<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: bytesize::ByteSize = text
            .parse()
            .map_err(|_| "write it as bytes, such as 262144, or as a size, such as 256KiB")?;
        if !(MIN..=MAX).contains(&size.as_u64()) {
            return Err(format!("it must be from {} to {}", short(MIN), short(MAX)));
        }
        Ok(Self(size.as_u64()))
    }
}

/// A size as the flags' texts write it; the limits are whole KiB or MiB.
fn short(bytes: u64) -> String {
    match bytes % (1 << 20) {
        0 => format!("{}MiB", bytes >> 20),
        _ => format!("{}KiB", bytes >> 10),
    }
}

/// A count from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Count<const MIN: usize, const MAX: usize>(pub usize);

impl<const MIN: usize, const MAX: usize> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) if (MIN..=MAX).contains(&count) => Ok(Self(count)),
            _ => Err(format!("it must be a whole number from {MIN} to {MAX}")),
        }
    }
}

/// Where to listen: an address and a port. Names are not looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            "write it as address:port, such as 0.0.0.0:8080, 127.0.0.1:8080 or [::]:8080".to_owned()
        })
    }
}

/// An address to listen on that may be left empty: then there is no such listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaybeAddress(pub Option<SocketAddr>);

impl FromStr for MaybeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Ok(Self(None)),
            text => match text.parse() {
                Ok(Address(address)) => Ok(Self(Some(address))),
                Err(advice) => Err(format!("{advice}, or '' for none")),
            },
        }
    }
}

/// A short name that stands in logs and JSON: 1 to 63 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Label(pub String);

impl Label {
    /// The longest label: that of a host name.
    const CHARACTERS_MAX: usize = 63;
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        match (1..=Self::CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("use 1 to {} of A-Z a-z 0-9 . _ -", Self::CHARACTERS_MAX)),
        }
    }
}

/// Networks in CIDR notation, separated by commas. Empty means none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Networks(pub Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        split(text).map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// Reads one network; a bare address is the network of that address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<std::net::IpAddr>().map(IpNet::from).ok();
    text.parse().ok().or_else(alone).ok_or_else(|| {
        format!("'{text}' is not a network; write it as 10.0.0.0/8, fd00::/8 or 192.0.2.7")
    })
}

/// Host names without ports, separated by commas, in lower case. Empty means any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Hosts(pub Vec<String>);

impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        split(text).map(host).collect::<Result<_, _>>().map(Self)
    }
}

/// Reads one host name or address; IPv6 addresses stand in brackets, as in a URL.
fn host(text: &str) -> Result<String, String> {
    let name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = match bracketed {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name(text),
    };
    if text.is_empty() || !good {
        return Err(format!(
            "'{text}' is not a host name; write it as pipe.example.com, 192.0.2.7 or [2001:db8::7], \
             without scheme, port or path"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// The items of a list written on one line.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.trim().is_empty())
}

/// A base URL without trailing `/`, safe to print inside quotes of a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(pub String);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = text.trim_end_matches('/');
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b);
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let authority = host.parse::<::http::uri::Authority>();
        match authority.is_ok() && url.bytes().all(plain) {
            true => Ok(Self(url.to_owned())),
            false => Err("write it as https://pipe.example.com, without query".to_owned()),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    Auto,
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}

/// The least important log lines that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What we must mend.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And the life of the node: start, stop, drain.
    Info,
    /// And details for finding a fault.
    Debug,
    /// And all other details.
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// A list in the file that has at least one item when it is there.
pub fn at_least_one<'de, T, D>(file: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let addresses = Vec::deserialize(file)?;
    match addresses.is_empty() {
        true => Err(serde::de::Error::custom("give at least one address, such as 10.0.0.1:8080")),
        false => Ok(Some(addresses)),
    }
}

/// A number or a text of the file, before it is known what it shall be.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
enum Written {
    Number(i64),
    Text(String),
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<Written> for Seconds<MIN, MAX> {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.to_string().parse()
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<Written> for Size<MIN, MAX> {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.to_string().parse()
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<Written> for Count<MIN, MAX> {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.to_string().parse()
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for MaybeAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MaybeAddress> for String {
    fn from(address: MaybeAddress) -> Self {
        address.0.map_or_else(String::new, |address| address.to_string())
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = String;

    fn try_from(items: Vec<String>) -> Result<Self, String> {
        items.iter().map(|item| network(item)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(IpNet::to_string).collect()
    }
}

impl TryFrom<Vec<String>> for Hosts {
    type Error = String;

    fn try_from(items: Vec<String>) -> Result<Self, String> {
        items.iter().map(|item| host(item)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Hosts> for Vec<String> {
    fn from(hosts: Hosts) -> Self {
        hosts.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_or_times_in_range() {
        for (text, want) in [
            ("1", Some(1)),
            ("3600", Some(3600)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("1m 30s", Some(90)),
            ("2000ms", Some(2)),
            ("0", None),
            ("3601", None),
            ("61m", None),
            ("1500ms", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            let got = text.parse::<Seconds<1, 3600>>();
            assert_eq!(got.ok().map(|s| s.0), want, "{text:?}");
        }
        assert_eq!("0".parse(), Ok(Seconds::<0, 3600>(0)));
        let too_fine = "1500ms".parse::<Seconds<1, 3600>>();
        assert_eq!(too_fine, Err("use whole seconds".to_owned()));
    }

    #[test]
    fn sizes_are_numbers_or_binary_sizes_in_range() {
        for (text, want) in [
            ("16384", Some(16384)),
            ("256KiB", Some(262_144)),
            ("256 kib", Some(262_144)),
            ("8MiB", Some(8 << 20)),
            ("100kB", Some(100_000)),
            ("16383", None),
            ("9MiB", None),
            ("-1", None),
            ("big", None),
            ("", None),
        ] {
            let got = text.parse::<Size<16384, 8_388_608>>();
            assert_eq!(got.ok().map(|s| s.0), want, "{text:?}");
        }
        let error = "1".parse::<Size<16384, 8_388_608>>();
        assert_eq!(error, Err("it must be from 16KiB to 8MiB".to_owned()));
    }

    #[test]
    fn counts_are_whole_numbers_in_range() {
        assert_eq!("4".parse(), Ok(Count::<1, 8>(4)));
        for text in ["0", "9", "-1", "", "x", "1.0"] {
            assert!(text.parse::<Count<1, 8>>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_need_a_port() {
        assert!("[::1]:80".parse::<Address>().is_ok());
        for text in ["", ":8080", "8080", "localhost:80", "0.0.0.0", "::1:80x"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_may_be_left_empty() {
        let read = |text: &str| text.parse::<MaybeAddress>();
        assert_eq!(read("127.0.0.1:9090").unwrap().0, "127.0.0.1:9090".parse().ok());
        assert_eq!((read("").unwrap().0, read(" ").unwrap().0), (None, None));
        assert!(read("9090").unwrap_err().ends_with(", or '' for none"));
        assert_eq!(String::from(read("[::1]:9").unwrap()), "[::1]:9");
    }

    #[test]
    fn labels_are_short_and_plain() {
        for (text, good) in [
            ("node-a.example_1", true),
            ("", false),
            ("a b", false),
            ("a\"", false),
            ("ü", false),
            (&"x".repeat(63), true),
            (&"x".repeat(64), false),
        ] {
            assert_eq!(text.parse::<Label>().is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn networks_are_cidrs_or_single_addresses() {
        let nets = |text: &str| text.parse::<Networks>().map(Vec::from);
        assert_eq!(nets("10.0.0.0/8, ::1"), Ok(vec!["10.0.0.0/8".into(), "::1/128".into()]));
        assert_eq!(nets(""), Ok(Vec::new()));
        assert!(nets("10.0.0.0/33").is_err() && nets("10.0.0.0/8,,::1").is_err());
    }

    #[test]
    fn hosts_are_lower_case_and_have_no_port() {
        let hosts = |text: &str| text.parse::<Hosts>().map(Vec::from);
        assert_eq!(
            hosts("Pipe.Example.com,[::1]"),
            Ok(vec!["pipe.example.com".into(), "[::1]".into()])
        );
        assert_eq!(hosts(" "), Ok(Vec::new()));
        for text in ["a:80", "http://a", "a/b", "::1", "[::1", "a,,b", "ü"] {
            assert!(hosts(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn base_urls_are_absolute_and_lose_their_trailing_slash() {
        for (text, want) in [
            ("https://pipe.example.com/", Some("https://pipe.example.com")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("https://example.com/relay/", Some("https://example.com/relay")),
            ("pipe.example.com", None),
            ("ftp://example.com", None),
            ("https://", None),
            ("https:///x", None),
            ("https://a b", None),
            ("https://a/?x=1", None),
            ("https://a/$(reboot)", None),
            ("https://me@a", None),
        ] {
            let got = text.parse::<BaseUrl>();
            assert_eq!(got.ok().map(|url| url.0).as_deref(), want, "{text:?}");
        }
    }
}
