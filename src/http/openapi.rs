//! `/api/v1/pipe/openapi.json`: what this relay takes and gives, for programs (OpenAPI 3.1; spec
//! §3 to §19).
//!
//! Made from the tables and limits that the parsers use and from the codes that the answers use, so
//! that it cannot tell another story. It is written with plain JSON values: nearly everything here
//! is text, statuses and headers, for which a builder of types would only be a second notation.

mod answers;
mod operations;
mod parameters;
mod schemas;

use std::time::Duration;

use ::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Reply;

/// What holds for a party that does not say.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// `--wait`.
    pub wait: Duration,
    /// `--stall`.
    pub stall: Option<Duration>,
}

/// The text of the description.
pub fn document(defaults: &Defaults) -> Bytes {
    serde_json::to_vec(&describe(defaults)).expect("a JSON value is JSON").into()
}

/// The answer with that text. It changes with the program only, but nothing is kept by caches here.
pub fn reply(document: Bytes) -> Reply {
    Reply::body(StatusCode::OK, "application/json", document)
}

fn describe(defaults: &Defaults) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hoody-pipe",
            "summary": "A relay for HTTP streams that stores nothing",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "wherever this description came from" }],
        "security": [],
        "tags": [
            { "name": "pipes", "description": "send, receive, watch, cancel" },
            { "name": "pages", "description": "for people" },
            { "name": "endpoints", "description": "for monitors and tools" },
            { "name": "admin", "description": "on a listener of its own, --admin-listen" },
        ],
        "paths": operations::paths(defaults),
        "components": {
            "schemas": schemas::all(),
            "responses": answers::shared(),
            "headers": answers::headers(),
            "parameters": { "name": parameters::name() },
        },
    })
}

const ABOUT: &str = "\
One client sends to a name with PUT or POST, 1 to 256 others GET the same name, and the bytes pass \
through memory from one to the others. Either side may come first.

A name has three spellings: `/api/v1/pipe/{name}`, `/pipe/{name}` and `/{name}`; only the first is \
listed. It may have slashes, which programs made from this description would escape: the relay \
refuses an escaped slash, so such programs are limited to names of one segment.

Whoever knows a name can use it; there are no accounts. Flags are on when bare and off when `false`, \
`no` or `0`. A known parameter given twice is refused; an unknown one is ignored.

Every path understands OPTIONS. HEAD is understood where it is listed; other methods are 405 with \
`Allow`. Errors are one line of text; `X-Pipe-Error` has a code for programs. 408, 429 and 503 come \
with `Retry-After`.";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::Code;
    use super::super::query::KNOWN;
    use super::*;

    fn described() -> Value {
        describe(&Defaults { wait: Duration::from_secs(300), stall: None })
    }

    /// All values under this key, wherever it stands.
    fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get(key));
                map.values().for_each(|value| all(value, key, found));
            }
            Value::Array(items) => items.iter().for_each(|value| all(value, key, found)),
            _ => {}
        }
    }

    #[test]
    fn every_code_is_listed_and_met_by_some_operation() {
        let document = described();
        let listed = &document["components"]["schemas"]["ErrorCode"]["enum"];
        assert_eq!(listed.as_array().unwrap().len(), Code::ALL.len());
        let mut enums = Vec::new();
        all(&document["components"]["responses"], "enum", &mut enums);
        let met: HashSet<&str> =
            enums.iter().flat_map(|e| e.as_array().unwrap()).filter_map(Value::as_str).collect();
        for code in Code::ALL {
            // At the root and under `/pipe` there is nothing that could be listed.
            let met = met.contains(code.as_str()) || *code == Code::NotAPath;
            assert!(met, "{code:?} is met nowhere");
        }
    }

    #[test]
    fn every_parameter_that_is_known_is_described() {
        let document = described();
        let path = &document["paths"]["/api/v1/pipe/{name}"];
        let mut names = HashSet::new();
        for operation in path.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "query" {
                    names.insert(parameter["name"].as_str().unwrap());
                }
            }
        }
        assert_eq!(names, HashSet::from(KNOWN));
    }

    #[test]
    fn a_target_can_be_too_long_for_every_operation_but_those_of_operators() {
        let document = described();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(answers) = operation.get("responses") else { continue };
                let admin = operation["tags"][0] == "admin";
                assert_eq!(answers.get("414").is_none(), admin, "{method} {path}");
            }
        }
    }

    #[test]
    fn pages_and_streams_list_the_headers_that_they_have() {
        let document = described();
        let has = |path: &str, method: &str, name: &str| {
            document["paths"][path][method]["responses"]["200"]["headers"].get(name).is_some()
        };
        let pipe = "/api/v1/pipe/{name}";
        for (path, method, name, want) in [
            ("/", "get", "Vary", true),
            ("/", "head", "Content-Security-Policy", true),
            ("/noscript", "get", "Referrer-Policy", true),
            ("/noscript", "get", "Vary", false),
            ("/help", "get", "Content-Security-Policy", false),
            (pipe, "put", "X-Accel-Buffering", true),
            (pipe, "get", "X-Accel-Buffering", true),
            (pipe, "get", "Vary", true),
            (pipe, "head", "Vary", false),
        ] {
            assert_eq!(has(path, method, name), want, "{method} {path}: {name}");
        }
    }

    #[test]
    fn references_lead_somewhere_and_operations_have_names_of_their_own() {
        let document = described();
        let (mut refs, mut ids) = (Vec::new(), Vec::new());
        all(&document, "$ref", &mut refs);
        let responses = document["components"]["responses"].as_object().unwrap();
        for name in responses.keys() {
            let used = Value::from(format!("#/components/responses/{name}"));
            assert!(
                refs.contains(&&used) || name.contains("Bare") || name.starts_with("Look"),
                "{name}"
            );
        }
        all(&document["paths"], "operationId", &mut ids);
        assert!(refs.len() > 20 && ids.len() > 20);
        for reference in refs {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let distinct: HashSet<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
