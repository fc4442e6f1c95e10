//! Content-Disposition: a sender's taken apart, a receiver's built (spec §10).
//!
//! No byte of a sender's file name reaches a receiver unsanitised. Knows no other header, and does
//! not know whether a receiver is local.

use ::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::admission::Asked;
use super::field::{first_word, parameter, without_controls};
use crate::pipe::{Disposition, Kind, PipePath};

/// Longest file name, in characters (spec §10).
pub const FILE_NAME_MAX: usize = 255;

/// What RFC 5987 wants escaped: all but its `attr-char`.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Reads the field of a request head. An empty value counts as none.
pub fn of_request(value: &[u8]) -> Option<Disposition> {
    let inline = first_word(value).eq_ignore_ascii_case(b"inline");
    parsed(value, if inline { Kind::Inline } else { Kind::Attachment })
}

/// Reads the field of a multipart part. An empty value counts as none.
///
/// A part that names a file by nothing usable (empty, undecodable, only dots) is an `Attachment`
/// without file name, because the value of a `Part` without one is passed on byte for byte.
pub fn of_part(value: &[u8]) -> Option<Disposition> {
    let found = parsed(value, Kind::Part)?;
    let unusable = found.file_name.is_none() && names_a_file(&found.value);
    Some(if unusable { Disposition { kind: Kind::Attachment, ..found } } else { found })
}

/// Whether a value without control characters has a `filename` or `filename*` parameter, whatever
/// is in it.
pub fn names_a_file(value: &[u8]) -> bool {
    parameter(value, "filename").is_some() || parameter(value, "filename*").is_some()
}

/// The Content-Disposition of one receiver's answer: the table of spec §10, row by row.
///
/// `media_type` is the sanitised type that the receiver is going to see.
pub fn for_receiver(
    asked: &Asked,
    sent: Option<&Disposition>,
    media_type: Option<&str>,
    path: &PipePath,
) -> Option<HeaderValue> {
    let sent_name = || sent.and_then(|sent| sent.file_name.clone());
    let value = match (asked.download, &asked.filename, sent) {
        (Some(false), ..) => return None,
        (_, Some(name), _) => with_file_name("attachment", sanitise_file_name(name)),
        (Some(true), None, _) => {
            with_file_name("attachment", sent_name().or_else(|| last_segment(path)))
        }
        (None, None, None) => return None,
        (None, None, Some(Disposition { kind: Kind::Part, file_name: None, value })) => {
            value.clone()
        }
        (None, None, Some(Disposition { kind: Kind::Inline, .. })) if may_be_inline(media_type) => {
            with_file_name("inline", sent_name())
        }
        (None, None, Some(_)) => with_file_name("attachment", sent_name()),
    };
    HeaderValue::from_bytes(&value).ok()
}

/// Makes a file name harmless: no control characters, no separators, no leading dots, at most 255
/// characters. `None` if nothing is left.
pub fn sanitise_file_name(name: &str) -> Option<String> {
    let kept: String = name.chars().filter(|&c| !c.is_control() && c != '/' && c != '\\').collect();
    let cut: String = kept.trim_start_matches('.').chars().take(FILE_NAME_MAX).collect();
    Some(cut).filter(|name| !name.is_empty())
}

/// Control characters go before anything is read: what is passed on is exactly what was looked at.
fn parsed(value: &[u8], kind: Kind) -> Option<Disposition> {
    let value = without_controls(value);
    let file_name = file_name(&value);
    if value.is_empty() { None } else { Some(Disposition { value, kind, file_name }) }
}

/// The sanitised file name: `filename*` if it is of any use, else `filename`.
fn file_name(value: &[u8]) -> Option<String> {
    let extended = || extended_text(&parameter(value, "filename*")?);
    let plain = || String::from_utf8(parameter(value, "filename")?.into_owned()).ok();
    let extended = extended().and_then(|name| sanitise_file_name(&name));
    extended.or_else(|| sanitise_file_name(&plain()?))
}

/// Decodes `charset'language'escaped` (RFC 5987); UTF-8 and ISO-8859-1 are known.
fn extended_text(value: &[u8]) -> Option<String> {
    let mut pieces = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, escaped) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let bytes = unescaped(escaped)?;
    if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

/// Percent-decodes; a malformed escape or a raw non-ASCII byte makes the whole undecodable.
fn unescaped(escaped: &[u8]) -> Option<Vec<u8>> {
    let is_hex = |at: usize| escaped.get(at).is_some_and(u8::is_ascii_hexdigit);
    let sound = escaped.iter().enumerate().all(|(at, &byte)| match byte {
        b'%' => is_hex(at + 1) && is_hex(at + 2),
        _ => byte.is_ascii(),
    });
    sound.then(|| percent_decode(escaped).collect())
}

/// The last non-empty segment of the name as a file name.
fn last_segment(path: &PipePath) -> Option<String> {
    let segment = path.as_str().rsplit('/').find(|segment| !segment.is_empty())?;
    sanitise_file_name(&percent_decode(segment.as_bytes()).decode_utf8_lossy())
}

/// Types that no browser runs, and that are of use when shown in place. SVG can carry scripts.
fn may_be_inline(media_type: Option<&str>) -> bool {
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    match essence.split_once('/') {
        Some(("image", subtype)) => !subtype.starts_with("svg"),
        Some(("audio" | "video", _)) => true,
        _ => matches!(essence, "text/plain" | "application/pdf"),
    }
}

/// Writes `kind; filename="name"`, with `filename*` beside it when the name is not ASCII.
fn with_file_name(kind: &str, name: Option<String>) -> Vec<u8> {
    let Some(name) = name else { return kind.into() };
    let ascii: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut value = format!("{kind}; filename=\"{}\"", ascii.replace('"', "\\\""));
    if !name.is_ascii() {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(&name, NOT_ATTR_CHAR));
    }
    value.into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn ask(download: Option<bool>, filename: Option<&str>) -> Asked {
        Asked { download, filename: filename.map(str::to_owned) }
    }

    fn answer(asked: &Asked, sent: Option<Disposition>, media_type: &str) -> Option<String> {
        let path = PipePath::new("a/caf%C3%A9//").unwrap();
        let value = for_receiver(asked, sent.as_ref(), Some(media_type), &path)?;
        Some(String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    /// What a receiver that asks for nothing gets when the sender's head has this value.
    fn passed(value: &str) -> Option<String> {
        answer(&Asked::default(), of_request(value.as_bytes()), "text/plain")
    }

    /// The same for the value of a part.
    fn passed_part(value: &str) -> Option<String> {
        answer(&Asked::default(), of_part(value.as_bytes()), "text/plain")
    }

    #[test]
    fn the_table_row_by_row() {
        let sent = r#"inline; filename="s.txt""#;
        let part = r#"form-data; name="f"; filename="s.txt""#;
        let field = r#"form-data; name="f""#;
        let from_path = r#"attachment; filename="caf_"; filename*=UTF-8''caf%C3%A9"#;
        let sent_name = r#"attachment; filename="s.txt""#;
        let asked_name = r#"attachment; filename="v""#;
        let (off, on) = (Some(false), Some(true));
        let table = [
            (ask(off, None), of_request(sent.as_bytes()), None),
            (ask(off, Some("v")), of_request(sent.as_bytes()), None),
            (ask(off, None), of_part(field.as_bytes()), None),
            (ask(None, Some("v")), None, Some(asked_name)),
            (ask(on, Some("v")), of_request(sent.as_bytes()), Some(asked_name)),
            (ask(None, Some("v")), of_part(part.as_bytes()), Some(asked_name)),
            (ask(None, Some("../.")), of_request(sent.as_bytes()), Some("attachment")),
            (ask(on, Some("")), None, Some("attachment")),
            (ask(on, None), None, Some(from_path)),
            (ask(on, None), of_request(sent.as_bytes()), Some(sent_name)),
            (ask(on, None), of_request(b"inline"), Some(from_path)),
            (ask(on, None), of_part(part.as_bytes()), Some(sent_name)),
            (ask(on, None), of_part(field.as_bytes()), Some(from_path)),
            (ask(None, None), of_part(part.as_bytes()), Some(sent_name)),
            (ask(None, None), of_part(field.as_bytes()), Some(field)),
            (ask(None, None), of_request(sent.as_bytes()), Some(sent)),
            (ask(None, None), of_request(part.as_bytes()), Some(sent_name)),
            (ask(None, None), of_request(field.as_bytes()), Some("attachment")),
            (ask(None, None), None, None),
        ];
        for (asked, sent, expected) in table {
            let got = answer(&asked, sent.clone(), "text/plain");
            assert_eq!(got.as_deref(), expected, "{asked:?} {sent:?}");
        }
    }

    #[test]
    fn inline_is_for_harmless_types() {
        let table = [
            ("image/png", "inline"),
            ("image/svg", "attachment"),
            ("audio/ogg", "inline"),
            ("video/webm", "inline"),
            ("text/plain", "inline"),
            ("text/plain; charset=utf-8", "inline"),
            ("application/pdf", "inline"),
            ("application/pdfx", "attachment"),
            ("application/octet-stream", "attachment"),
            ("text/css", "attachment"),
            ("", "attachment"),
        ];
        for (media_type, expected) in table {
            let got = answer(&Asked::default(), of_request(b"INLINE ; x=y"), media_type);
            assert_eq!(got.as_deref(), Some(expected), "{media_type}");
        }
        let path = PipePath::new("x").unwrap();
        let untyped = for_receiver(&Asked::default(), of_request(b"inline").as_ref(), None, &path);
        assert_eq!(untyped.unwrap(), "attachment");
    }

    #[test]
    fn file_names_are_sanitised() {
        let long = "x".repeat(5 * 1024);
        let table = [
            (r#"attachment; filename="a.txt""#.into(), r#"attachment; filename="a.txt""#.into()),
            (r#"attachment; filename="../../etc/passwd""#.into(), r#"attachment; filename="etcpasswd""#.into()),
            ("attachment; filename=\"a\0b\r\nX: y\x7f\u{9b}\"".into(), r#"attachment; filename="abX: y""#.into()),
            (format!("attachment; filename=\"{long}\""), format!("attachment; filename=\"{}\"", &long[..255])),
            (r#"attachment; filename="a\"b.txt""#.into(), r#"attachment; filename="a\"b.txt""#.into()),
            (r#"attachment; filename="C:\\x\\y.txt""#.into(), r#"attachment; filename="C:xy.txt""#.into()),
            ("ATTACHMENT;FILENAME=a.txt".into(), r#"attachment; filename="a.txt""#.into()),
            ("attachment; filename=my file.txt".into(), r#"attachment; filename="my file.txt""#.into()),
            ("attachment; filename=\"...\"".into(), "attachment".into()),
            ("attachment; filename=\"\"".into(), "attachment".into()),
            ("weird".into(), "attachment".into()),
            (
                "attachment; filename=\"naïve \\\"€\\\".txt\"".into(),
                "attachment; filename=\"na_ve \\\"_\\\".txt\"; filename*=UTF-8''na%C3%AFve%20%22%E2%82%AC%22.txt".into(),
            ),
        ] as [(String, String); 12];
        for (value, expected) in table {
            assert_eq!(passed(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn extended_names_win_when_they_can_be_decoded() {
        let euro = "attachment; filename=\"_.txt\"; filename*=UTF-8''%E2%82%AC.txt";
        let table = [
            ("attachment; filename=a; filename*=utf-8'en'%e2%82%ac.txt", euro),
            ("attachment; filename*=UTF-8''%E2%82%AC.txt; filename=a", euro),
            ("attachment; filename*=\"UTF-8''%E2%82%AC.txt\"", euro),
            (
                "attachment; filename*=ISO-8859-1''na%EFve",
                "attachment; filename=\"na_ve\"; filename*=UTF-8''na%C3%AFve",
            ),
            ("attachment; filename=a; filename*=UTF-16''b", "attachment; filename=\"a\""),
            ("attachment; filename=a; filename*=UTF-8''%ff", "attachment; filename=\"a\""),
            ("attachment; filename=a; filename*=UTF-8''b%zz", "attachment; filename=\"a\""),
            ("attachment; filename=a; filename*=UTF-8''b%4", "attachment; filename=\"a\""),
            ("attachment; filename=a; filename*=b", "attachment; filename=\"a\""),
            ("attachment; filename=a; filename*=UTF-8''..", "attachment; filename=\"a\""),
            ("attachment; filename*=UTF-8''%00%2e%2E%2fx%0d%0aY", "attachment; filename=\"xY\""),
            ("attachment; filename*=UTF-16''b", "attachment"),
        ];
        for (value, expected) in table {
            assert_eq!(passed(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn undecodable_plain_names_are_ignored() {
        let found = of_request(b"attachment; filename=\"\xff.txt\"").unwrap();
        assert_eq!(found.file_name, None);
    }

    #[test]
    fn a_part_that_names_no_usable_file_leaks_nothing() {
        let table = [
            ("form-data; name=\"a\tb\"", "form-data; name=\"ab\""),
            ("form-data; name=\"filename=../x\"", "form-data; name=\"filename=../x\""),
            ("form-data; filename=\"\"", "attachment"),
            ("form-data; filename=\"../..\"", "attachment"),
            ("form-data; filename*=UTF-16''..%2fx", "attachment"),
            ("form-data; file\0name=\"../x\"", "attachment; filename=\"x\""),
            ("form-data; file\0name=\"..\"", "attachment"),
        ];
        for (value, expected) in table {
            assert_eq!(passed_part(value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!((of_part(b"\t"), of_request(b"")), (None, None));
    }

    #[test]
    fn the_name_of_the_pipe_is_sanitised_too() {
        for (path, expected) in [
            ("x", r#"attachment; filename="x""#),
            ("a/b.tar/", r#"attachment; filename="b.tar""#),
            ("a/.hidden", r#"attachment; filename="hidden""#),
            ("a/%22q%22", r#"attachment; filename="\"q\"""#),
            ("...", "attachment"),
        ] {
            let path = PipePath::new(path).unwrap();
            let got = for_receiver(&ask(Some(true), None), None, None, &path).unwrap();
            assert_eq!(got, expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_a_file_name_goes_out_safe(
            name in prop::collection::vec(prop::sample::select(b"ab.\"\\/;='%2\0\r\n\x7f\xc3\xa9\xff ".as_slice()), 0..40),
            extended in any::<bool>(),
        ) {
            let parameter: &[u8] = if extended { b"filename*=utf-8''" } else { b"filename=\"" };
            let value = [b"attachment; ", parameter, &name].concat();
            let sent = of_request(&value);
            if let Some(name) = sent.as_ref().and_then(|sent| sent.file_name.as_deref()) {
                prop_assert!(!name.is_empty() && !name.starts_with('.'));
                prop_assert!(!name.contains(|c: char| c.is_control() || c == '/' || c == '\\'));
                prop_assert_eq!(sanitise_file_name(name), Some(name.to_owned()));
            }
            // What we wrote, read again, is the same name: it cannot be misread.
            let path = PipePath::new("x").unwrap();
            let written = for_receiver(&Asked::default(), sent.as_ref(), None, &path);
            let again = written.as_ref().and_then(|value| of_request(value.as_bytes()));
            prop_assert_eq!(again.and_then(|it| it.file_name), sent.and_then(|it| it.file_name));
        }
    }
}
