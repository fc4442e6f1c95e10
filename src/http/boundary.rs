//! The boundary of a multipart body, read from Content-Type (spec §14).
//! Knows nothing of the body; the parser of the envelope is elsewhere.

use std::borrow::Cow;

/// The longest boundary RFC 2046 allows, in characters.
const BOUNDARY_MAX: usize = 70;

/// Whether a Content-Type says `multipart/form-data`, in any case.
pub fn is_form_data(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
    content_type[..end].trim_ascii().eq_ignore_ascii_case(b"multipart/form-data")
}

/// The boundary parameter, unquoted: 1 to 70 characters of RFC 2046, the last one not a space.
/// None if it is absent, given twice or not valid, or if the parameters cannot be read.
pub fn boundary(content_type: &[u8]) -> Option<String> {
    let (_, mut rest) = std::str::from_utf8(content_type).ok()?.split_once(';')?;
    let mut found = None;
    while !rest.trim_matches(is_blank).is_empty() {
        let (name, value, tail) = parameter(rest)?;
        if name.eq_ignore_ascii_case("boundary") && found.replace(value).is_some() {
            return None;
        }
        rest = tail;
    }
    found.filter(|value| is_valid(value)).map(Cow::into_owned)
}

/// Takes one `name=value` and its `;` off the front: the name, the bare value, and what follows.
fn parameter(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let end = text.find(['=', ';']).unwrap_or(text.len());
    let (name, rest) = (text[..end].trim_matches(is_blank), &text[end..]);
    let Some(rest) = rest.strip_prefix('=') else {
        return Some((name, "".into(), rest.strip_prefix(';').unwrap_or(rest)));
    };
    let (value, rest) = match rest.trim_start_matches(is_blank).strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            (value.trim_matches(is_blank).into(), rest)
        }
    };
    let (gap, rest) = rest.split_once(';').unwrap_or((rest, ""));
    gap.trim_matches(is_blank).is_empty().then_some((name, value, rest))
}

/// Reads up to the closing quote; none if there is no such quote.
fn unquote(quoted: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value.into(), &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

fn is_valid(boundary: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    (1..=BOUNDARY_MAX).contains(&boundary.len())
        && boundary.bytes().all(allowed)
        && !boundary.ends_with(' ')
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_data_in_any_case() {
        for yes in
            ["multipart/form-data", "Multipart/FORM-data; boundary=x", " multipart/form-data ;"]
        {
            assert!(is_form_data(yes.as_bytes()), "{yes}");
        }
        for no in ["multipart/mixed", "multipart/form-datax", "", "x;multipart/form-data"] {
            assert!(!is_form_data(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn boundaries_quoted_or_not() {
        for (parameters, expected) in [
            ("boundary=abc", "abc"),
            ("BOUNDARY=abc", "abc"),
            ("boundary=\"abc\"", "abc"),
            ("charset=utf-8; boundary=abc", "abc"),
            ("boundary=abc ; charset=utf-8", "abc"),
            ("a=\"x; boundary=no\"; boundary=yes;", "yes"),
            ("flag; boundary = \t\"a b\" ;x", "a b"),
            ("boundary=\"a:b/c?d=e\"", "a:b/c?d=e"),
            ("boundary======1234==", "=====1234=="),
            ("boundary=\"\\a\\b\"", "ab"),
            ("boundary=----WebKitFormBoundary7MA4YWxk", "----WebKitFormBoundary7MA4YWxk"),
        ] {
            let value = format!("multipart/form-data; {parameters}");
            assert_eq!(boundary(value.as_bytes()).as_deref(), Some(expected), "{parameters}");
        }
        let longest = format!("multipart/form-data;boundary={}", "b".repeat(70));
        assert_eq!(boundary(longest.as_bytes()), Some("b".repeat(70)));
    }

    #[test]
    fn bad_boundaries() {
        for parameters in [
            "",
            ";",
            "; charset=utf-8",
            "; boundary",
            "; boundary=",
            "; boundary=\"\"",
            "; boundary=\"abc",
            "; boundary=\"abc\"d",
            "; boundary=\"abc \"",
            "; boundary=\"a\\",
            "; boundary=a*b",
            "; boundary=caf\u{e9}",
            "; boundary=a; boundary=a",
            "; xboundary=a",
            &format!("; boundary={}", "b".repeat(71)),
        ] {
            let value = format!("multipart/form-data{parameters}");
            assert_eq!(boundary(value.as_bytes()), None, "{parameters}");
        }
        assert_eq!(boundary(b"multipart/form-data; boundary=\xff"), None);
    }

    proptest! {
        #[test]
        fn never_panics(value in "(multipart/form-data)?[;= \"\\\\abé]{0,30}") {
            let _ = boundary(value.as_bytes());
        }

        #[test]
        fn quotes_do_not_matter(name in "[A-Za-z0-9'()+_,./:=?-]{1,70}") {
            let bare = format!("multipart/form-data; boundary={name}");
            let quoted = format!("multipart/form-data; boundary=\"{name}\"");
            prop_assert_eq!(boundary(bare.as_bytes()), Some(name.clone()));
            prop_assert_eq!(boundary(quoted.as_bytes()), Some(name));
        }
    }
}
