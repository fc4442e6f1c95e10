//! Every refusal there is, as data. Its status and text are given in `reply`, in one match.

use crate::pipe::{Failure, PipePath, Reject};

/// Why a request is answered with an error (spec §15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The HTTP parser could not accept the head; the text says what was wrong with it.
    Malformed(&'static str),
    /// The head is over 128 KiB or 96 fields.
    HeadTooLarge,
    /// The head did not arrive within 10 s.
    HeadTimeout,
    /// Forbidden characters in the path.
    BadPath,
    /// The canonical name is longer than 1,024 characters, or the target too long.
    PathTooLong,
    /// A reserved page cannot be sent to; the folded spelling, with its leading `/`.
    Reserved(String),
    /// `health`, `metrics` or `openapi.json` outside the prefix; the bare folded word.
    NotAPath(String),
    /// `n` is not a positive integer.
    BadCount,
    /// `n` is over 256; the value as given, if it is at most 20 characters.
    CountRange(Option<String>),
    /// `n` and `X-Pipe-N` differ.
    CountConflict {
        /// The parameter.
        query: u16,
        /// The header.
        header: u16,
    },
    /// A known parameter (or `X-Pipe-N`, `X-Pipe-Length`) is given twice; its name.
    Duplicate(&'static str),
    /// `wait` or `stall` (its name) is malformed.
    BadSeconds(&'static str),
    /// `wait` or `stall` (its name) is out of range; the value as given.
    SecondsRange(&'static str, String),
    /// The sender's `transfer` is malformed.
    BadTransfer,
    /// The `transfer` of a `?status` is malformed.
    BadTransferId,
    /// There is no such transfer at this name, or not any more.
    UnknownTransfer,
    /// `X-Pipe-Length` is malformed.
    BadLength,
    /// `X-Pipe-Length` and `Content-Length` differ.
    LengthConflict,
    /// `X-Pipe-Length` came with multipart.
    LengthMultipart,
    /// No valid multipart boundary.
    BadBoundary,
    /// An encoded multipart body.
    EncodedMultipart,
    /// `Content-Range` on a send.
    ContentRange,
    /// `Service-Worker: script` on a GET.
    ServiceWorker,
    /// The reason of a DELETE is too long or not printable.
    BadReason,
    /// DELETE where nobody is; the canonical name.
    NoPipe(PipePath),
    /// This page is not there (yet).
    NoPage,
    /// A method that names do not know, cut to 32 characters; whether `?status` is on.
    Method(String, bool),
    /// A method that reserved pages and endpoints do not know, cut to 32 characters.
    PageMethod(String),
    /// An unknown `Expect`.
    Expectation,
    /// A host that is not served here.
    Misdirected,
    /// Too many waiting requests of one client address.
    AddressCap,
    /// `?ws` before phase 2.
    NoWebSocket,
    /// `?live` before phase 2.
    NoLive,
    /// A page switch of a later phase.
    NoSuchPage,
    /// Descriptors are nearly used up.
    NoDescriptors,
    /// The owner refused; with the canonical name.
    Rejected(Reject, PipePath),
    /// The wait of an admitted party ended badly, before any 200.
    Failed(Failure),
}
