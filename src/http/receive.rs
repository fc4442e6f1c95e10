//! The head of a receiver's answer (spec §10). Knows neither the socket nor how the body is framed:
//! the front adds Content-Length or Transfer-Encoding, and Connection.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_DISPOSITION,
    CONTENT_ENCODING, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::admission::Asked;
use super::disposition;
use super::headers::{X_HOODY_PIPE, X_PIPING};
use crate::pipe::{Head, PipePath};

/// Names the transfer to its receivers, so that they can ask for its receipt.
pub const TRANSFER_ID: HeaderName = HeaderName::from_static("x-hoody-pipe-transfer-id");

/// What every receiver gets, whatever the sender said.
const ALWAYS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store, no-transform"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("x-robots-tag"), "none"),
    (REFERRER_POLICY, "no-referrer"),
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        ACCESS_CONTROL_EXPOSE_HEADERS,
        "X-Hoody-Pipe-Transfer-Id, X-Piping, X-Hoody-Pipe, Content-Disposition",
    ),
];

/// The fields of a receiver's 200, in the order they are written. `head.length` is not among them.
pub fn opening(head: &Head, asked: &Asked, path: &PipePath, transfer_id: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    let media_type = head.media_type.as_deref();
    let disposition = disposition::for_receiver(asked, head.disposition.as_ref(), media_type, path);
    if let Some(media_type) = media_type {
        add(&mut map, CONTENT_TYPE, media_type.as_bytes());
    }
    if let Some(disposition) = disposition {
        map.append(CONTENT_DISPOSITION, disposition);
    }
    if let Some(coding) = &head.coding {
        add(&mut map, CONTENT_ENCODING, coding.as_bytes());
    }
    for value in &head.piping {
        add(&mut map, X_PIPING, value);
    }
    for value in &head.hoody_pipe {
        add(&mut map, X_HOODY_PIPE, value);
    }
    add(&mut map, TRANSFER_ID, transfer_id.as_bytes());
    for (name, value) in ALWAYS {
        map.append(name, HeaderValue::from_static(value));
    }
    map
}

/// Adds a field. A value that cannot stand in a header is left out; a sanitised `Head` has none.
fn add(map: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        map.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pipe::{Disposition, Kind};

    const ALWAYS_WRITTEN: &str = "\
        x-hoody-pipe-transfer-id: 0123456789abcdef\n\
        cache-control: no-store, no-transform\n\
        x-content-type-options: nosniff\n\
        x-robots-tag: none\n\
        referrer-policy: no-referrer\n\
        access-control-allow-origin: *\n\
        access-control-expose-headers: X-Hoody-Pipe-Transfer-Id, X-Piping, X-Hoody-Pipe, Content-Disposition\n";

    fn written(head: &Head, asked: &Asked) -> String {
        let path = PipePath::new("a/b.bin").unwrap();
        let map = opening(head, asked, &path, "0123456789abcdef");
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        };
        map.iter().map(line).collect()
    }

    #[test]
    fn a_sender_that_says_nothing_adds_nothing() {
        assert_eq!(written(&Head::default(), &Asked::default()), ALWAYS_WRITTEN);
    }

    #[test]
    fn everything_a_sender_says_is_passed_on_but_the_length() {
        let head = Head {
            media_type: Some("audio/ogg".into()),
            length: Some(7),
            coding: Some("gzip, br".into()),
            disposition: Some(Disposition {
                value: b"inline; filename=v".to_vec(),
                kind: Kind::Inline,
                file_name: Some("v".into()),
            }),
            piping: vec![b"one".to_vec(), b"two".to_vec()],
            hoody_pipe: vec!["drei €".into()],
        };
        let expected = "\
            content-type: audio/ogg\n\
            content-disposition: inline; filename=\"v\"\n\
            content-encoding: gzip, br\n\
            x-piping: one\n\
            x-piping: two\n\
            x-hoody-pipe: drei €\n";
        assert_eq!(written(&head, &Asked::default()), format!("{expected}{ALWAYS_WRITTEN}"));
    }

    #[test]
    fn a_receiver_can_ask_for_a_download() {
        let asked = Asked { download: Some(true), filename: None };
        let expected = "content-disposition: attachment; filename=\"b.bin\"\n";
        assert_eq!(written(&Head::default(), &asked), format!("{expected}{ALWAYS_WRITTEN}"));
    }

    #[test]
    fn values_that_cannot_be_written_are_left_out() {
        let head = Head { piping: vec![b"a\r\nb: c".to_vec()], ..Head::default() };
        assert_eq!(written(&head, &Asked::default()), ALWAYS_WRITTEN);
    }
}
