//! What happens to a pipe, as told to the sender; how it ends. Plain data: the texts are in `http`.

use serde::{Deserialize, Serialize};

/// One event told to the sender, in the order of spec §9.
#[allow(missing_docs, reason = "the fields are named in the line above each variant")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Admitted; waits for `n` receivers.
    Waiting { n: u16 },
    /// `k` >= 1 receivers were already there.
    AlreadyConnected { k: u16 },
    /// A receiver joined while waiting.
    Connected,
    /// A receiver left or timed out, waiting or streaming.
    Disconnected,
    /// 25 s since the last line: `k` of `n` are there, `left_s` whole seconds left (rounded up).
    StillWaiting { k: u16, n: u16, left_s: u64 },
    /// Commit.
    Streaming { n: u16 },
    /// A receiver was cut because it took nothing for `limit_s` seconds.
    Dropped { limit_s: u64 },
    /// No receiver is left.
    AllGone,
    /// The request body was read completely.
    UploadComplete,
    /// The SHA-256 of the forwarded bytes, 64 lower-case hex digits.
    Digest(String),
    /// How much went to how many.
    Sent(Sum),
    /// Always the last line of a transfer that is complete.
    Complete,
    /// Always the last line of a transfer that failed.
    Failed(Failure),
}

/// The sum of a complete transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Body bytes forwarded (counted once).
    pub bytes: u64,
    /// Receivers that got everything.
    pub whole: u16,
    /// Receivers the transfer began with.
    pub n: u16,
    /// Milliseconds since commit.
    pub elapsed_ms: u64,
}

/// Why a waiting party or a running transfer failed (spec §9, table of causes).
#[allow(missing_docs, reason = "the fields are named in the line above each variant")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A sender's own wait passed.
    SenderTimedOut,
    /// A receiver's own wait passed; was a sender there?
    ReceiverTimedOut { sender_there: bool },
    /// The upload was lost or malformed.
    SenderLost,
    /// No receiver is left.
    ReceiversGone,
    /// The body ended before its declared length.
    TooShort { got: u64, declared: u64 },
    /// The body went on after its declared length.
    TooLong { declared: u64 },
    /// The multipart envelope yielded nothing usable.
    Multipart(MultipartFault),
    /// The configured idle limit passed.
    Idle,
    /// The active cap was reached at the moment of the match.
    Capacity,
    /// Cancelled by a DELETE, with its reason.
    Cancelled(Option<String>),
    /// The node is stopping.
    ShuttingDown,
    /// The owner of the name could not be reached for 15 s.
    Unavailable,
    /// A defect of ours.
    Internal,
}

impl Failure {
    /// The kind of failure in one word, without anything that a client has said.
    pub fn class(&self) -> &'static str {
        match self {
            Self::SenderTimedOut | Self::ReceiverTimedOut { .. } => "timeout",
            Self::SenderLost => "sender_lost",
            Self::ReceiversGone => "receivers_gone",
            Self::TooShort { .. } | Self::TooLong { .. } => "length_mismatch",
            Self::Multipart(_) => "multipart",
            Self::Idle => "idle_timeout",
            Self::Capacity => "active_cap",
            Self::Cancelled(_) => "cancelled",
            Self::ShuttingDown => "draining",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// What was wrong with a multipart body (spec §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MultipartFault {
    /// No usable part, a limit was exceeded, or the body ended before the part's end.
    NoUsablePart,
    /// No part arrived within 30 s.
    Late,
    /// The text field is larger than 1 MiB.
    TextTooLarge,
}
