//! A running SHA-256 that may be switched off. Knows nothing of where the bytes come from.

use sha2::{Digest as _, Sha256};

/// The hash of the bytes so far, if it is wanted.
#[derive(Clone)]
pub struct Digest(Option<Sha256>);

impl Digest {
    /// Of no bytes yet.
    pub fn new(wanted: bool) -> Self {
        Self(wanted.then(Sha256::new))
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(bytes);
        }
    }

    /// In lower-case hex; `None` if it is not wanted.
    pub fn hex(&self) -> Option<String> {
        let digest = self.0.clone()?.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
