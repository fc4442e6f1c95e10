//! The memory of one transfer, and what all of them hold together. Knows nothing of what is in it.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all windows of this process.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all windows of this process.
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// A buffer that counts as held for as long as it lives. It never shrinks.
pub(super) struct Window(Vec<u8>);

impl Window {
    pub(super) fn new(len: usize) -> Self {
        HELD.fetch_add(len, Ordering::Relaxed);
        Self(vec![0; len])
    }

    /// Makes it `len` bytes long, if that is longer. What it holds stays.
    pub(super) fn grow(&mut self, len: usize) {
        if len > self.0.len() {
            HELD.fetch_add(len - self.0.len(), Ordering::Relaxed);
            self.0.resize(len, 0);
        }
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Window {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0.len(), Ordering::Relaxed);
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
