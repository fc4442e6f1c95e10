//! The small syntax that header fields share: tokens, parameters, control characters.
//!
//! Knows no field by name and gives no value a meaning.

use std::borrow::Cow;

/// What stands before the first `;`, without the white space around it.
pub fn first_word(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The first parameter of that name (any case), unquoted. A name without `=` is not a parameter.
pub fn parameter<'a>(value: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    parameters(value).find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map(|(_, it)| it)
}

/// All `name=value` pairs after the first `;`, in order, names as sent, values unquoted.
///
/// Deliberately lenient, because people's tools are: values need not be tokens, a missing closing
/// quote ends at the end, and what follows a closing quote is skipped up to the next `;`.
pub fn parameters(value: &[u8]) -> Parameters<'_> {
    Parameters { rest: after_semicolon(value) }
}

/// Whether these bytes are a token: one or more `tchar` of HTTP.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The value without control characters: C0 and DEL, and C1 where the bytes are UTF-8.
pub fn without_controls(value: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(text) => text.chars().filter(|c| !c.is_control()).collect::<String>().into_bytes(),
        Err(_) => value.iter().copied().filter(|byte| !byte.is_ascii_control()).collect(),
    }
}

/// See [`parameters`].
#[derive(Debug)]
pub struct Parameters<'a> {
    /// What follows the last `;` that was passed; `None` once there is no further one.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest?;
            let end = rest.iter().position(|b| matches!(b, b'=' | b';')).unwrap_or(rest.len());
            if rest.get(end) == Some(&b'=') {
                let (value, after) = parameter_value(rest[end + 1..].trim_ascii_start());
                self.rest = after_semicolon(after);
                return Some((rest[..end].trim_ascii(), value));
            }
            self.rest = rest.get(end + 1..);
        }
    }
}

/// Takes a value, quoted or not, from the front; gives the rest too.
fn parameter_value(input: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    if let Some((b'"', quoted)) = input.split_first() {
        return unquoted(quoted);
    }
    let end = input.iter().position(|&byte| byte == b';').unwrap_or(input.len());
    (Cow::Borrowed(input[..end].trim_ascii()), &input[end..])
}

/// Reads a quoted string whose opening quote is already taken. `\x` stands for `x`.
fn unquoted(input: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let mut value = Vec::new();
    let mut bytes = input.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            _ => value.push(byte),
        }
    }
    (Cow::Owned(value), bytes.as_slice())
}

fn after_semicolon(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&byte| byte == b';').map(|at| &bytes[at + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(value: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parameters(value.as_bytes()).map(|(name, value)| (text(name), text(&value))).collect()
    }

    #[test]
    fn parameters_are_split_outside_quotes() {
        let table: [(&str, &[(&str, &str)]); 10] = [
            ("a", &[]),
            ("a;", &[]),
            ("a;b", &[]),
            ("a;b=c", &[("b", "c")]),
            ("a ; b = c ;; d=e ", &[("b", "c"), ("d", "e")]),
            (r#"a; b="c; d=e"; f=g"#, &[("b", "c; d=e"), ("f", "g")]),
            (r#"a; b="c\"d\\e"x=y; f=g"#, &[("b", r#"c"d\e"#), ("f", "g")]),
            (r#"a; b="c; d=e"#, &[("b", "c; d=e")]),
            (r#"a; b="c\"#, &[("b", "c")]),
            ("a; b=c=d; e=", &[("b", "c=d"), ("e", "")]),
        ];
        for (value, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(pairs(value), expected, "{value}");
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        assert_eq!(parameter(b"x; A=1; a=2", "a").as_deref(), Some(b"1".as_slice()));
        assert_eq!(parameter(b"x; ab=1", "a"), None);
        assert_eq!(first_word(b" inline ; a=b"), b"inline");
        assert_eq!(first_word(b""), b"");
    }

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(without_controls(b"a\tb\x00c\x7fd"), b"abcd");
        assert_eq!(without_controls("é\u{85}€".as_bytes()), "é€".as_bytes());
        assert_eq!(without_controls(b"\xff\x01\x85"), b"\xff\x85");
    }

    #[test]
    fn tokens() {
        assert!(is_token(b"x-gzip") && is_token(b"a.b+c") && is_token(b"0"));
        assert!(!is_token(b"") && !is_token(b"a b") && !is_token(b"a/b") && !is_token(b"\xc3"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let found = parameters(&value).count();
            prop_assert!(found <= value.len());
        }
    }
}
