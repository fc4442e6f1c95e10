//! What a party declares in the fields of its head (spec §6), read strictly. Knows no names and no
//! methods: which of it counts for whom is decided in [`super::admission`].

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap};

use super::boundary::{boundary, is_form_data};
use super::query::{Query, count};
use super::{BodyKind, Refusal, RequestHead};

/// The greatest `X-Pipe-Length`, in bytes.
pub(super) const LENGTH_MAX: u64 = i64::MAX as u64;

/// The field that says the number of receivers.
pub(super) const PIPE_N: &str = "X-Pipe-N";
/// The field that says the length of a body without Content-Length.
pub(super) const PIPE_LENGTH: &str = "X-Pipe-Length";

/// A field that decides something is given once.
pub(super) fn refuse_repeated(headers: &HeaderMap, name: &'static str) -> Result<(), Refusal> {
    match headers.get_all(name).iter().nth(1) {
        Some(_) => Err(Refusal::Duplicate(name)),
        None => Ok(()),
    }
}

/// `n` and `X-Pipe-N` say the same thing; who says both must mean it.
pub(super) fn receivers(query: &Query, headers: &HeaderMap) -> Result<u16, Refusal> {
    let in_query = query.n()?;
    let in_header = match headers.get(PIPE_N) {
        Some(value) => Some(count(value.to_str().map_err(|_| Refusal::BadCount)?)?),
        None => None,
    };
    match (in_query, in_header) {
        (Some(query), Some(header)) if query != header => {
            Err(Refusal::CountConflict { query, header })
        }
        (in_query, in_header) => Ok(in_query.or(in_header).unwrap_or(1)),
    }
}

/// `X-Pipe-Length`, which a Content-Length must not contradict.
pub(super) fn pipe_length(head: &RequestHead) -> Result<Option<u64>, Refusal> {
    let Some(value) = head.headers.get(PIPE_LENGTH) else { return Ok(None) };
    let length = length(value.as_bytes()).ok_or(Refusal::BadLength)?;
    match head.body {
        BodyKind::Length(declared) if declared != length => Err(Refusal::LengthConflict),
        _ if is_multipart(&head.headers) => Err(Refusal::LengthMultipart),
        _ => Ok(Some(length)),
    }
}

fn length(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (length <= LENGTH_MAX).then_some(length)
}

fn is_multipart(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| is_form_data(value.as_bytes()))
}

/// The envelope is the one thing we read, so it must be readable.
pub(super) fn multipart_boundary(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE).filter(|_| is_multipart(headers)) else {
        return Ok(None);
    };
    let boundary = boundary(value.as_bytes()).ok_or(Refusal::BadBoundary)?;
    let plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(|coding| plain(coding.as_bytes())) {
        Ok(Some(boundary))
    } else {
        Err(Refusal::EncodedMultipart)
    }
}

/// Does the body come after `100 Continue` only? Any other expectation is refused.
pub(super) fn expects_continue(headers: &HeaderMap) -> Result<bool, Refusal> {
    let known = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(EXPECT).iter().all(|value| known(value.as_bytes())) {
        Ok(headers.contains_key(EXPECT))
    } else {
        Err(Refusal::Expectation)
    }
}
