//! What a sender declares about its bytes, already sanitised. Knows no header names: the words of
//! HTTP are put on it in `http`.

use serde::{Deserialize, Serialize};

/// The sender's declaration, the same for every receiver (spec §10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Sanitised media type; absent if the sender sent none or it could not be parsed.
    pub media_type: Option<String>,
    /// Exact number of bytes, when declared. Never set for multipart.
    pub length: Option<u64>,
    /// Content coding, forwarded untouched; the bytes are never decoded.
    pub coding: Option<String>,
    /// What the sender said about disposition and file name.
    pub disposition: Option<Disposition>,
    /// `X-Piping` values in order, control characters removed.
    pub piping: Vec<Vec<u8>>,
    /// `X-Hoody-Pipe` values in order, control characters removed.
    pub hoody_pipe: Vec<Vec<u8>>,
}

/// The sender's Content-Disposition, taken apart (spec §10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// The value as it came, control characters removed.
    pub value: Vec<u8>,
    /// What the sender asked for.
    pub kind: Kind,
    /// The sanitised file name (`filename*` wins over `filename`); never empty.
    pub file_name: Option<String>,
}

/// How a disposition is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `inline`, as a header of the request.
    Inline,
    /// Any other value, as a header of the request.
    Attachment,
    /// The header of a multipart part.
    Part,
}
