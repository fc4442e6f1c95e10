//! How these tests look at a name: the JSON of `?status` and the events of `?progress`.

use serde_json::Value;

use crate::common::{End, PATIENCE, Raw, Server, eventually};

/// What `?status` says; `target` is the name, or the name with more of a query.
#[track_caller]
pub fn status(server: &Server, target: &str) -> Value {
    let mark = if target.contains('?') { '&' } else { '?' };
    let mut raw = server.get(&format!("{target}{mark}status"));
    raw.head().expect(200).expect_field("content-type", "application/json");
    let (body, end) = raw.rest();
    assert_eq!(end, End::Clean);
    serde_json::from_slice(&body).expect("a status is JSON")
}

/// Waits until `?status` has all of these values, and gives it.
#[track_caller]
pub fn status_until(server: &Server, target: &str, wanted: &Value) -> Value {
    let mut last = Value::Null;
    eventually(&format!("the status is {wanted}"), PATIENCE, || {
        last = status(server, target);
        has(&last, wanted)
    });
    last
}

/// Fails unless `value` has all of these values.
#[track_caller]
pub fn assert_has(value: &Value, wanted: &Value) {
    assert!(has(value, wanted), "{value} does not have {wanted}");
}

fn has(value: &Value, wanted: &Value) -> bool {
    wanted.as_object().expect("an object").iter().all(|(key, wanted)| value[key] == *wanted)
}

/// One spectator.
pub struct Spectator {
    raw: Raw,
    /// The id of the last event.
    id: u64,
}

/// A spectator whose stream has begun.
#[track_caller]
pub fn watch(server: &Server, name: &str) -> Spectator {
    let mut raw = server.get(&format!("{name}?progress"));
    raw.head().expect(200).expect_field("content-type", "text/event-stream; charset=utf-8");
    Spectator { raw, id: 0 }
}

impl Spectator {
    /// The next event: its name and data. Ids count from 1, and comments are passed over.
    #[track_caller]
    pub fn event(&mut self) -> (String, Value) {
        let mut line = self.raw.line();
        while line == ":keepalive" {
            assert_eq!(self.raw.line(), "");
            line = self.raw.line();
        }
        let name = line.strip_prefix("event: ");
        let name = name.unwrap_or_else(|| panic!("{line:?} is no event")).to_owned();
        self.id += 1;
        assert_eq!(self.field("id: "), self.id.to_string());
        let data = serde_json::from_str(&self.field("data: ")).expect("data is JSON");
        assert_eq!(self.raw.line(), "");
        (name, data)
    }

    #[track_caller]
    fn field(&mut self, name: &str) -> String {
        let line = self.raw.line();
        line.strip_prefix(name).unwrap_or_else(|| panic!("{line:?} is no {name}")).to_owned()
    }

    /// Fails unless the next event is a `state` with all of these values.
    #[track_caller]
    pub fn expect_state(&mut self, wanted: &Value) {
        let (event, data) = self.event();
        assert_eq!(event, "state", "{data}");
        assert_has(&data, wanted);
    }

    /// Reads `state` events until one with all of these values. What changes faster than it can be
    /// written is not said.
    #[track_caller]
    pub fn state_until(&mut self, wanted: &Value) {
        loop {
            let (event, data) = self.event();
            assert_eq!(event, "state", "{data} before {wanted}");
            if has(&data, wanted) {
                return;
            }
        }
    }

    /// Reads `state` events, which all have these values, until one of that state.
    #[track_caller]
    pub fn state_or(&mut self, wanted: &Value, last: &str) {
        loop {
            let (event, data) = self.event();
            assert_eq!(event, "state", "{data} before {last}");
            if data["state"] == last {
                return;
            }
            assert_has(&data, wanted);
        }
    }

    /// Reads events until a `progress` with all of these values, and gives it.
    #[track_caller]
    pub fn progress_until(&mut self, wanted: &Value) -> Value {
        loop {
            let (event, data) = self.event();
            assert_ne!(event, "done", "{data} before {wanted}");
            if event == "progress" && has(&data, wanted) {
                return data;
            }
        }
    }

    /// Reads events until `done`, behind which the stream ends.
    #[track_caller]
    pub fn done(&mut self) -> Value {
        loop {
            let (event, data) = self.event();
            if event == "done" {
                assert_eq!(self.raw.rest(), (vec![], End::Clean), "done is the last event");
                return data;
            }
        }
    }

    /// The connection, for what is not an event.
    pub fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }
}
