//! The memory of one transfer, and what all of them hold together. Knows nothing of what is in it.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all windows of this process.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all windows of this process.
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// So many bytes that count as held for as long as this lives.
pub(super) struct Held(usize);

impl Held {
    pub(super) fn new(len: usize) -> Self {
        HELD.fetch_add(len, Ordering::Relaxed);
        Self(len)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A buffer that counts as held. It never shrinks.
pub(super) struct Window {
    bytes: Vec<u8>,
    held: Held,
}

impl Window {
    pub(super) fn new(len: usize) -> Self {
        Self { bytes: vec![0; len], held: Held::new(len) }
    }

    /// Makes it `len` bytes long, if that is longer. What it holds stays.
    pub(super) fn grow(&mut self, len: usize) {
        if len > self.bytes.len() {
            self.held = Held::new(len);
            self.bytes.resize(len, 0);
        }
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Window {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more than what the windows of other tests, which run beside this one, hold together.
    const MUCH: usize = 64 << 20;

    #[test]
    fn what_is_held_is_given_back() {
        let mut window = Window::new(16);
        window[15] = 7;
        window.grow(MUCH);
        window.grow(1);
        assert_eq!((window.len(), window[15], window[MUCH - 1]), (MUCH, 7, 0));
        assert!(held() >= MUCH);
        drop(window);
        assert!(held() < MUCH);
    }
}
