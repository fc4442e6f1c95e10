//! A JSON object as it came: its fields in their order. Knows nothing of what they say.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::console::printable;

/// The fields of an object, in the order in which they came.
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The same with another field before all.
    pub fn led_by(mut self, key: &str, value: &str) -> Self {
        self.0.insert(0, (key.to_owned(), Value::from(value)));
        self
    }

    /// As JSON, on one line or indented. What could steer a terminal is left out.
    pub fn text(&self, pretty: bool) -> String {
        let text = match pretty {
            true => serde_json::to_string_pretty(self),
            false => serde_json::to_string(self),
        };
        let text = text.expect("an object with textual keys is JSON");
        text.lines().map(printable).collect::<Vec<_>>().join("\n")
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_steer_no_terminal() {
        let text = r#"{"state":"idle","kind":null,"a":{"b":[1]},"reason":"x\u009b1m\n"}"#;
        let fields: Fields = serde_json::from_str(text).unwrap();
        let line = r#"{"state":"idle","kind":null,"a":{"b":[1]},"reason":"x1m\n"}"#;
        assert_eq!(fields.text(false), line);
        let led = serde_json::from_str::<Fields>("{}").unwrap().led_by("event", "a\"b");
        assert_eq!(led.text(false), r#"{"event":"a\"b"}"#);
        let pretty = fields.text(true);
        assert!(pretty.starts_with("{\n  \"state\": \"idle\",\n  \"kind\": null,\n"), "{pretty}");
        assert!(serde_json::from_str::<Fields>("[1]").is_err());
    }
}
