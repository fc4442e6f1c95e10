//! The configuration file: TOML with the keys of [`Settings`], unknown keys refused with a
//! suggestion. Knows nothing of flags and defaults.

use std::path::Path;

use toml::de::DeTable;

use super::error::{Error, Fault};
use super::settings::Settings;

/// How alike two words must be to be taken for a slip of the pen (0 to 1); clap uses the same.
const ALIKE: f64 = 0.7;

/// Reads the settings of a file.
///
/// # Errors
/// The file cannot be read, is not TOML, has an unknown key or a value that does not fit its key.
pub fn read(path: &Path) -> Result<Settings, Error> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(Fault::Value, &format!("the file {name} of --config cannot be read: {error}"))
    })?;
    settings(&text).map_err(|(fault, why)| Error::new(fault, &format!("in the file {name}: {why}")))
}

/// Reads the settings of a file's text.
fn settings(text: &str) -> Result<Settings, (Fault, String)> {
    let keys = DeTable::parse(text).map_err(|error| (Fault::Value, error.to_string()))?;
    let known = Settings::keys();
    for key in keys.get_ref().keys() {
        if !known.iter().any(|name| name == key.get_ref()) {
            let line = 1 + text[..key.span().start].matches('\n').count();
            return Err((Fault::Unknown, unknown_key(key.get_ref(), line, &known)));
        }
    }
    toml::from_str(text).map_err(|error| (Fault::Value, error.to_string()))
}

/// Says what to write instead of an unknown key.
fn unknown_key(key: &str, line: usize, known: &[String]) -> String {
    let advice = match nearest(key, known) {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("the keys are {}", known.join(", ")),
    };
    format!("unknown key '{key}' in line {line}; {advice}")
}

/// The one of `known` that is most like `word`, if it may be what was meant.
pub(super) fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    let likeness = known.iter().map(|name| (strsim::jaro(word, name), name.as_str()));
    let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::{LogFormat, Seconds, Size};

    #[test]
    fn keys_have_underscores_and_lists_are_arrays() {
        let file = r#"
            listen = ["127.0.0.1:1", "[::1]:2"]
            trusted_proxies = []
            wait = "5m"
            stall = 0
            window = "64KiB"
            allow_private_network = true
            log_format = "json"
        "#;
        let read = settings(file).unwrap();
        assert_eq!(read.listen.unwrap().len(), 2);
        assert!(read.trusted_proxies.unwrap().0.is_empty());
        assert_eq!((read.wait, read.stall), (Some(Seconds(300)), Some(Seconds(0))));
        assert_eq!((read.window, read.workers), (Some(Size(65536)), None));
        assert_eq!(read.allow_private_network, Some(true));
        assert_eq!(read.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        for (file, want) in [
            ("wiat = 5", "unknown key 'wiat' in line 1; did you mean 'wait'?"),
            ("\nwait = 5\nmax-pending = 1", "'max-pending' in line 3; did you mean 'max_pending'?"),
            (
                "zzz = 1",
                "unknown key 'zzz' in line 1; the keys are listen, tls_listen, tls_cert, tls_key, \
                 admin_listen, ",
            ),
            ("[wait]\nx = 1\n[serve]", "unknown key 'serve' in line 3"),
            ("check = true", "unknown key 'check' in line 1"),
        ] {
            let (fault, why) = settings(file).unwrap_err();
            assert!(matches!(fault, Fault::Unknown) && why.contains(want), "{file:?}: {why}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused_with_their_place() {
        for (file, want) in [
            ("wait = 0", "it must be from 1 to 3600 seconds"),
            ("wait = -1", "write it as seconds"),
            ("wait = true", "expected a number or a text"),
            ("window = \"1KiB\"", "it must be from 16KiB to 8MiB"),
            ("listen = []", "give at least one address"),
            ("listen = \"0.0.0.0:80\"", "expected a sequence"),
            ("listen = [\"nowhere\"]", "write it as address:port"),
            ("trusted_proxies = [\"x\"]", "'x' is not a network"),
            ("log_format = \"xml\"", "unknown variant `xml`, expected one of `auto`"),
        ] {
            let (fault, why) = settings(file).unwrap_err();
            assert!(matches!(fault, Fault::Value) && why.contains(want), "{file:?}: {why}");
            assert!(why.contains("line 1"), "{file:?}: {why}");
        }
        assert!(settings("wait = ").unwrap_err().1.contains("line 1"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/pipe.toml")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/pipe.toml"), "{error}");
    }
}
