//! Where a node is reached by others: a host and a port. Names are not looked up here.

use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest host name there is in DNS.
const HOST_MAX: usize = 253;

const SHAPE: &str = "write it as host:port, such as pipe-a.internal:7946, 10.0.0.1:7946 or \
                     [fd00::1]:7946";

/// A host and a port that somebody else can connect to. Equal places are written in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Place(pub String);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self::at(address);
        }
        let (host, port) = text.rsplit_once(':').ok_or(SHAPE)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let good = (1..=HOST_MAX).contains(&host.len()) && host.bytes().all(plain);
        match port.parse::<u16>() {
            Ok(port) if good && port > 0 => {
                Ok(Self(format!("{}:{port}", host.to_ascii_lowercase())))
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}

impl Place {
    fn at(address: SocketAddr) -> Result<Self, String> {
        match (address.ip().is_unspecified(), address.port()) {
            (true, _) => Err(format!(
                "{} is where a node listens, not where others reach it; name its host or address",
                address.ip()
            )),
            (false, 0) => Err(SHAPE.to_owned()),
            (false, _) => Ok(Self(address.to_string())),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port_in_one_spelling() {
        for (text, want) in [
            ("Pipe-A.internal:7946", Some("pipe-a.internal:7946")),
            ("10.0.0.1:07946", Some("10.0.0.1:7946")),
            ("[FD00:0:0::1]:1", Some("[fd00::1]:1")),
            ("node_a:65535", Some("node_a:65535")),
            ("a", None),
            ("a:", None),
            ("a:0", None),
            ("a:65536", None),
            (":7946", None),
            ("fd00::1:7946x", None),
            ("fd00::1:7946", None),
            ("10.0.0.1:0", None),
            ("a b:1", None),
            ("http://a:1", None),
            ("", None),
        ] {
            let got = text.parse::<Place>();
            assert_eq!(got.clone().ok().map(|place| place.0).as_deref(), want, "{text:?}");
            assert!(want.is_some() || got.unwrap_err().starts_with("write it as host:port"));
        }
        for everywhere in ["0.0.0.0:7946", "[::]:7946"] {
            assert!(everywhere.parse::<Place>().unwrap_err().contains("not where others reach it"));
        }
    }
}
