//! What a node of a fleet has to be told. Plain data; where it comes from is not known here.

use std::fmt;
use std::path::PathBuf;

/// What [`crate::Cluster::start`] needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What people call this node; unique in the fleet.
    pub name: String,
    /// Its label.
    pub region: String,
    /// Where other nodes reach it: host and port.
    pub advertise: String,
    /// All first members, host and port each, this node among them; the same list on every node.
    pub peers: Vec<String>,
    /// The first membership is formed when so many of them see each other.
    pub expect: usize,
    /// What every node of the fleet knows and nobody else.
    pub secret: Secret,
    /// Where the membership is kept: vote, log and snapshot.
    pub data_dir: PathBuf,
}

/// The secret of a fleet. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Fewer bytes than this can be guessed.
pub const SECRET_MIN: usize = 16;

impl Secret {
    /// A secret of these bytes; `None` if there are too few ([`SECRET_MIN`]).
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= SECRET_MIN).then_some(Self(bytes))
    }

    /// The bytes, for keying what is signed with them.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
