//! From a sender's fields to the `Head` its receivers get: every value is parsed and rebuilt, and
//! what is not on the list does not pass (spec §6, §10).
//!
//! Knows no receivers: what they ask for is put together with it in `receive`.

use ::http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName};

use super::disposition;
use super::field::{first_word, is_token, parameters, without_controls};
use crate::pipe::Head;

/// `X-Piping`, free metadata of nwtgck/piping-server.
pub const X_PIPING: HeaderName = HeaderName::from_static("x-piping");

/// `X-Hoody-Pipe`, the same under our own name.
pub const X_HOODY_PIPE: HeaderName = HeaderName::from_static("x-hoody-pipe");

/// Most bytes in all values of one metadata header together; beyond that the name is dropped
/// (spec §6).
pub const METADATA_MAX: usize = 8_192;

/// Longest Content-Type that is looked at (spec §10).
pub const MEDIA_TYPE_MAX: usize = 8_192;

/// The charsets that are kept, as they are written.
const CHARSETS: [&str; 3] = ["utf-8", "us-ascii", "iso-8859-1"];

/// Types that a browser might run as code of our origin. They are shown as plain text, and so is
/// everything that ends in `+xml`.
const SCRIPTABLE: [&str; 21] = [
    "text/html",
    "application/xhtml+xml",
    "application/xml",
    "text/xml",
    "text/xsl",
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

/// What a sender declares in its request head. `length` is its Content-Length or X-Pipe-Length,
/// already checked; `None` for multipart. Of fields that make sense once, the first line counts.
pub fn head_of(headers: &HeaderMap, length: Option<u64>) -> Head {
    let first = |name| headers.get(name).map(|value| value.as_bytes());
    Head {
        media_type: first(CONTENT_TYPE).and_then(sanitise_media_type),
        length,
        coding: coding(headers),
        disposition: first(CONTENT_DISPOSITION).and_then(disposition::of_request),
        piping: metadata(headers, X_PIPING),
        hoody_pipe: metadata(headers, X_HOODY_PIPE),
    }
}

/// What the sender of `request` declares about one part of its multipart body: type and disposition
/// are the part's own, metadata is the request's, and the length is never known.
pub fn part_head(request: &Head, content_type: Option<&[u8]>, disposition: Option<&[u8]>) -> Head {
    Head {
        media_type: content_type.and_then(sanitise_media_type),
        length: None,
        disposition: disposition.and_then(disposition::of_part),
        ..request.clone()
    }
}

/// Rebuilds a Content-Type: lower case, no parameter but a known charset, nothing that could run.
/// `None` if the value is over 8,192 bytes, has control or non-ASCII bytes, or cannot be parsed.
pub fn sanitise_media_type(value: &[u8]) -> Option<String> {
    if value.len() > MEDIA_TYPE_MAX || !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return None;
    }
    let essence = std::str::from_utf8(first_word(value)).ok()?.to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/')?;
    if !is_token(kind.as_bytes()) || !is_token(subtype.as_bytes()) {
        return None;
    }
    let scriptable = SCRIPTABLE.contains(&essence.as_str()) || subtype.ends_with("+xml");
    let shown = if scriptable { "text/plain" } else { &essence };
    Some(match charset(value) {
        Some(charset) => format!("{shown}; charset={charset}"),
        None => shown.to_owned(),
    })
}

/// The first charset among those that are kept.
fn charset(value: &[u8]) -> Option<&'static str> {
    parameters(value)
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"charset"))
        .find_map(|(_, it)| CHARSETS.into_iter().find(|k| it.eq_ignore_ascii_case(k.as_bytes())))
}

/// All Content-Encoding lines as one value, if they are a list of tokens.
fn coding(headers: &HeaderMap) -> Option<String> {
    let lines: Result<Vec<_>, _> =
        headers.get_all(CONTENT_ENCODING).iter().map(|line| line.to_str().map(str::trim)).collect();
    let joined = lines.ok()?.join(", ");
    let sound = joined.split(',').all(|coding| is_token(coding.trim().as_bytes()));
    sound.then_some(joined)
}

/// All values of a metadata header, in order; none if they are too much together.
fn metadata(headers: &HeaderMap, name: HeaderName) -> Vec<Vec<u8>> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| without_controls(value.as_bytes())).collect();
    let total: usize = values.iter().map(Vec::len).sum();
    if total > METADATA_MAX { Vec::new() } else { values }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ::http::HeaderValue;

    use super::*;
    use crate::pipe::Kind;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        let mut map = HeaderMap::new();
        lines.iter().map(pair).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    #[test]
    fn media_types_are_rebuilt() {
        let table = [
            ("text/plain", Some("text/plain")),
            ("application/octet-stream", Some("application/octet-stream")),
            ("application/vnd.a.b+json", Some("application/vnd.a.b+json")),
            ("Image/PNG", Some("image/png")),
            ("  text/css  ", Some("text/css")),
            ("text/plain; charset=utf-8", Some("text/plain; charset=utf-8")),
            ("text/plain;charset=\"UTF-8\"", Some("text/plain; charset=utf-8")),
            ("text/csv; header=present; CHARSET=US-ASCII;x", Some("text/csv; charset=us-ascii")),
            ("text/csv; charset=ISO-8859-1", Some("text/csv; charset=iso-8859-1")),
            ("text/plain; charset=utf-7", Some("text/plain")),
            ("text/plain; charset=utf-7; charset=utf-8", Some("text/plain; charset=utf-8")),
            ("text/plain; x=\"; charset=utf-8\"", Some("text/plain")),
            ("multipart/mixed; boundary=x", Some("multipart/mixed")),
            ("TEXT/HTML ;x", Some("text/plain")),
            ("text/html; charset=UTF-8", Some("text/plain; charset=utf-8")),
            ("text/html;charset=utf-16", Some("text/plain")),
            ("image/svg+xml", Some("text/plain")),
            ("Application/Atom+XML", Some("text/plain")),
            ("", None),
            (" ", None),
            ("text", None),
            ("text/", None),
            ("/plain", None),
            ("text/plain/x", None),
            ("text /plain", None),
            ("text/html, text/plain", None),
            ("text/html charset=utf-8", None),
            ("text/pl\u{e4}in", None),
            ("text/plain;\tcharset=utf-8", None),
            ("text/plain; x=\u{7f}", None),
        ];
        for (value, expected) in table {
            assert_eq!(sanitise_media_type(value.as_bytes()).as_deref(), expected, "{value:?}");
        }
        assert_eq!(sanitise_media_type(b"text/plain; x=\xff"), None);
    }

    #[test]
    fn every_scriptable_type_becomes_text() {
        for media_type in SCRIPTABLE {
            let upper = media_type.to_ascii_uppercase();
            assert_eq!(sanitise_media_type(upper.as_bytes()).as_deref(), Some("text/plain"));
        }
    }

    #[test]
    fn media_types_are_limited() {
        let of_length = |length: usize| format!("text/css;{}", "x".repeat(length - 9)).into_bytes();
        assert_eq!(sanitise_media_type(&of_length(MEDIA_TYPE_MAX)).as_deref(), Some("text/css"));
        assert_eq!(sanitise_media_type(&of_length(MEDIA_TYPE_MAX + 1)), None);
        assert_eq!(sanitise_media_type(&of_length(9 * 1024)), None);
    }

    #[test]
    fn codings_are_lists_of_tokens() {
        let table: [(&[&[u8]], Option<&str>); 11] = [
            (&[], None),
            (&[b"gzip"], Some("gzip")),
            (&[b"GZip,br"], Some("GZip,br")),
            (&[b"gzip , br"], Some("gzip , br")),
            (&[b"gzip", b"x-foo, br"], Some("gzip, x-foo, br")),
            (&[b"identity"], Some("identity")),
            (&[b""], None),
            (&[b"gzip,"], None),
            (&[b"gzip br"], None),
            (&[b"gzip;q=1"], None),
            (&[b"gzip", b"\xff"], None),
        ];
        for (lines, expected) in table {
            let lines: Vec<_> = lines.iter().map(|line| ("content-encoding", *line)).collect();
            assert_eq!(head_of(&headers(&lines), None).coding.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn metadata_is_kept_line_by_line() {
        let lines: [(&str, &[u8]); 4] = [
            ("x-piping", b"a"),
            ("x-hoody-pipe", b"x\ty"),
            ("x-piping", b""),
            ("x-piping", b"\xff"),
        ];
        let head = head_of(&headers(&lines), None);
        assert_eq!(head.piping, [b"a".to_vec(), b"".to_vec(), b"\xff".to_vec()]);
        assert_eq!(head.hoody_pipe, [b"xy".to_vec()]);
    }

    #[test]
    fn metadata_is_limited_per_name() {
        let (half, rest) = (vec![b'a'; METADATA_MAX / 2], vec![b'b'; METADATA_MAX / 2 + 1]);
        let kept = head_of(&headers(&[("x-piping", &half), ("x-piping", &half)]), None);
        assert_eq!(kept.piping.len(), 2);
        let lines: [(&str, &[u8]); 3] =
            [("x-piping", &half), ("x-piping", &rest), ("x-hoody-pipe", &half)];
        let dropped = head_of(&headers(&lines), None);
        assert_eq!((dropped.piping.len(), dropped.hoody_pipe.len()), (0, 1));
    }

    #[test]
    fn a_request_head_is_read() {
        let lines: [(&str, &[u8]); 3] = [
            ("content-type", b"Text/XML; charset=utf-8"),
            ("content-disposition", b"inline; filename=a"),
            ("x-other", b"never"),
        ];
        let head = head_of(&headers(&lines), Some(5));
        assert_eq!(head.media_type.as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(head.length, Some(5));
        let disposition = head.disposition.unwrap();
        assert_eq!(disposition.kind, Kind::Inline);
        assert_eq!(disposition.file_name.as_deref(), Some("a"));
        assert_eq!(head_of(&HeaderMap::new(), None), Head::default());
    }

    #[test]
    fn a_part_brings_its_own_type_and_disposition() {
        let lines: [(&str, &[u8]); 3] = [
            ("content-type", b"multipart/form-data; boundary=x"),
            ("content-disposition", b"attachment; filename=request"),
            ("x-piping", b"meta"),
        ];
        let request = head_of(&headers(&lines), None);
        let part = part_head(&request, Some(b"image/svg+xml"), Some(b"form-data; name=\"f\""));
        assert_eq!(part.media_type.as_deref(), Some("text/plain"));
        assert_eq!(part.piping, [b"meta".to_vec()]);
        let disposition = part.disposition.unwrap();
        assert_eq!((disposition.kind, disposition.file_name), (Kind::Part, None));
        assert_eq!(disposition.value, b"form-data; name=\"f\"");

        let bare = part_head(&request, None, None);
        assert_eq!((bare.media_type, bare.disposition, bare.length), (None, None, None));
    }
}
