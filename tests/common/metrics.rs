//! The Prometheus text format 0.0.4, read strictly: what a scraper would only tolerate fails here.
//! Knows no series by name.

use std::collections::BTreeMap;

/// All samples of one scrape.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// Samples by their name and labels, as they were written.
    pub samples: BTreeMap<String, f64>,
    /// The kind of each family: `counter` or `gauge`.
    pub kinds: BTreeMap<String, String>,
}

impl Numbers {
    /// Reads a whole scrape: families one after the other, each with HELP, TYPE and its samples.
    #[track_caller]
    pub fn parse(text: &str) -> Numbers {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut numbers = Numbers { samples: BTreeMap::new(), kinds: BTreeMap::new() };
        let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
        while let Some(help) = lines.next() {
            let family = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
            let (family, words) = family.unwrap_or_else(|| panic!("no HELP: {help:?}"));
            assert!(is_name(family) && !words.trim().is_empty(), "{help:?}");
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
            let kind = kind.and_then(|rest| rest.strip_prefix(family)).map(str::trim);
            let kind = kind.unwrap_or_else(|| panic!("no TYPE behind {help:?}"));
            assert!(matches!(kind, "counter" | "gauge"), "{kind:?}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{family} is a {kind}");
            let before = numbers.kinds.insert(family.to_owned(), kind.to_owned());
            assert_eq!(before, None, "{family} comes twice");
            let mut count = 0;
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                numbers.add(family, line);
                count += 1;
            }
            assert!(count > 0, "{family} has no sample");
        }
        numbers
    }

    #[track_caller]
    fn add(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert_eq!(name, family, "{line:?}");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line:?}"));
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let plain = |value: &str| !value.contains(['"', '\\', '\n']) && !value.is_empty();
            assert!(is_name(key) && value.is_some_and(plain), "{line:?}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
        assert!(value.is_finite() && value >= 0.0, "{line:?}");
        assert_eq!(self.samples.insert(series.to_owned(), value), None, "twice: {line:?}");
    }

    /// The value of a series, named without the prefix of the product.
    #[track_caller]
    pub fn get(&self, series: &str) -> f64 {
        let value = self.samples.get(&format!("hoody_pipe_{series}"));
        *value.unwrap_or_else(|| panic!("no series {series} in {:#?}", self.samples))
    }
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(good) && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
}
