//! The canonical name of a pipe: the one spelling used for placement, texts and status.
//! Knows nothing of requests, queries or reserved pages.

use std::fmt;
use std::sync::Arc;

/// A canonical name, without leading `/` (spec §3). Cheap to clone.
///
/// A name is a credential: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipePath(Arc<str>);

impl PipePath {
    /// The canonical bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PipePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipePath(hidden)")
    }
}
