//! Where the bytes of a transfer come from. Implemented by whoever knows the transport.

use std::task::{Context, Poll};

use super::Hub;

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Bytes put at the start of the buffer, or at the end of the pipe.
    pub bytes: usize,
    /// These were the last ones, and the body ended cleanly.
    pub end: bool,
}

/// A body that is read once, in order.
///
/// The end is said aloud with [`Fill::end`]; every other way to stop is an error, so a body that was
/// cut short can never pass for a complete one.
pub trait Source {
    /// Why a body could not be read to its end.
    type Error;

    /// Puts the next bytes at the start of `into` (never empty), as soon as there are any. Ready with
    /// no bytes only together with the end. Not called again after the end or an error.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>>;

    /// The same body as one that the kernel can move, if it is one.
    fn pour(&mut self) -> Option<&mut dyn Pour<Error = Self::Error>> {
        None
    }
}

/// A body whose bytes the kernel can move.
pub trait Pour {
    /// Why a body could not be read to its end.
    type Error;

    /// How many bytes come in one stretch: the rest of the body, or as many as its newest chunk had.
    fn stretch(&self) -> u64;

    /// Like [`Source::poll_fill`], into a pipe that is empty. May be called in turns with it.
    fn poll_pour(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Hub,
    ) -> Poll<Result<Fill, Self::Error>>;
}
