//! The shapes of the bodies: texts, JSON, events. Knows no paths and no statuses.

use serde_json::{Value, json};

use super::super::Code;

/// A reference to one of [`all`].
pub(super) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every shape, by name.
pub(super) fn all() -> Value {
    json!({
        "ErrorText": { "type": "string", "pattern": "^\\[ERROR\\] .+\\n$",
            "description": "one line" },
        "ErrorCode": error_code(),
        "StatusLines": { "type": "string",
            "description": "lines that begin with `[INFO]` or `[ERROR]`, each flushed when it \
                happens. Success: the last line is `[INFO] Transfer complete.` and the answer ends \
                cleanly. With `quiet` only the result." },
        "Bytes": { "description": "what the sender sends, as it comes" },
        "Fresh": fresh(),
        "Health": health(),
        "Snapshot": snapshot(),
        "Event": event(),
        "StateEvent": state_event(),
        "ProgressEvent": progress_event(),
        "DoneEvent": done_event(),
        "Fleet": fleet(),
    })
}

fn error_code() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let line = |code: &Code| {
        format!("* `{}` ({}): {}", code.as_str(), code.status().as_u16(), code.when())
    };
    let lines: Vec<String> = Code::ALL.iter().map(line).collect();
    json!({ "type": "string", "enum": codes,
        "description": format!("Every value of `X-Pipe-Error`.\n\n{}", lines.join("\n")) })
}

/// An object with exactly these fields.
fn exact(fields: Value) -> Value {
    let required: Vec<&String> =
        fields.as_object().into_iter().flat_map(|map| map.keys()).collect();
    json!({ "type": "object", "required": required, "properties": fields,
        "additionalProperties": false })
}

fn fresh() -> Value {
    exact(json!({
        "name": { "type": "string", "pattern": "^[a-z2-7]{26}$" },
        "url": { "type": "string", "format": "uri" },
    }))
}

fn health() -> Value {
    exact(json!({
        "status": { "const": "ok" },
        "service": { "const": "hoody-pipe" },
        "built": { "type": ["string", "null"], "format": "date-time" },
        "started": { "type": "string", "format": "date-time" },
        "memory": { "type": ["object", "null"], "required": ["rss", "heap"],
            "properties": { "rss": count(), "heap": { "type": "null" } } },
        "fds": { "type": ["integer", "null"], "minimum": 0 },
        "pid": count(),
        "ip": { "type": "string", "description": "the client's address, as the relay sees it" },
        "userAgent": { "type": ["string", "null"] },
    }))
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn count_or_null() -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0 })
}

fn text_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

fn seconds() -> Value {
    json!({ "type": "number", "minimum": 0, "description": "seconds, one decimal" })
}

fn digest() -> Value {
    json!({ "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" })
}

fn snapshot() -> Value {
    exact(json!({
        "state": { "enum": ["idle", "waiting", "streaming", "complete", "failed"] },
        "kind": { "enum": ["pipe", null] },
        "peers": { "type": "null" },
        "transferId": text_or_null(),
        "hasSender": { "type": "boolean" },
        "activeReceivers": count(),
        "totalReceivers": count_or_null(),
        "bytesTransferred": count(),
        "totalBytes": count_or_null(),
        "speed": count(),
        "eta": count_or_null(),
        "elapsed": seconds(),
        "reason": text_or_null(),
        "sha256": digest(),
    }))
}

/// One event of the stream, taken apart as clients do.
fn event() -> Value {
    json!({
        "type": "object",
        "description": "One of many: `state` (data: StateEvent) at first and on every change, \
            `progress` (ProgressEvent) up to four times a second, `done` (DoneEvent) at the end. \
            Comments in between keep the connection alive.",
        "required": ["event", "id", "data"],
        "properties": {
            "event": { "enum": ["state", "progress", "done"] },
            "id": { "type": "string" },
            "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": {
                "oneOf": [of("StateEvent"), of("ProgressEvent"), of("DoneEvent")] } },
        },
    })
}

fn state_event() -> Value {
    exact(json!({
        "state": { "enum": ["idle", "waiting", "streaming"] },
        "hasSender": { "type": "boolean" },
        "activeReceivers": count(),
        "totalReceivers": count(),
    }))
}

fn progress_event() -> Value {
    exact(json!({
        "bytesTransferred": count(),
        "totalBytes": count_or_null(),
        "speed": count(),
        "eta": count_or_null(),
        "activeReceivers": count(),
        "elapsed": seconds(),
    }))
}

fn done_event() -> Value {
    exact(json!({
        "state": { "enum": ["complete", "failed"] },
        "bytesTransferred": count(),
        "duration": seconds(),
        "avgSpeed": count(),
        "reason": text_or_null(),
        "sha256": digest(),
        "transferId": text_or_null(),
    }))
}

fn fleet() -> Value {
    let text = || json!({ "type": "string" });
    exact(json!({
        "node": text(),
        "region": text(),
        "state": { "enum": ["leader", "follower", "candidate", "learner", "joining", "stopped"] },
        "leader": text_or_null(),
        "term": count(),
        "epoch": count(),
        "members": { "type": "array", "items": exact(json!({
            "id": text(),
            "addr": text_or_null(),
            "region": text(),
            "health": { "enum": ["joining", "up", "draining", "down"] },
            "voter": { "type": "boolean" },
            "share": { "type": "number", "minimum": 0, "maximum": 1 },
        })) },
        "pipes": exact(json!({ "waiting": count(), "streaming": count() })),
    }))
}
