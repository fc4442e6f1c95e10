//! The parameters: each with its grammar and its limits, taken from the parsers. Knows no paths.

use serde_json::{Value, json};

use super::super::declared::LENGTH_MAX;
use super::super::disposition::FILE_NAME_MAX;
use super::super::query::{REASON_MAX, SECONDS_MAX, TRANSFER_LEN, UNPRINTABLE};
use super::Defaults;
use super::answers::Op;
use crate::pipe::RECEIVERS_MAX;
use crate::pipe::path::NAME_MAX;

/// The name in the path.
pub(super) fn name() -> Value {
    json!({
        "name": "name", "in": "path", "required": true,
        "description": format!(
            "One segment of up to {NAME_MAX} characters, counted as they stand in the URL. Neither \
             `.` nor `..`, nor one of the words of the other paths, whatever their case."),
        "schema": { "type": "string", "minLength": 1, "maxLength": NAME_MAX,
            "not": { "pattern": "[\\u0000-\\u001f\\u007f/\\\\]" } },
    })
}

/// The parameters of the query for this operation.
pub(super) fn query(op: Op, defaults: &Defaults) -> Vec<Value> {
    let party: &[Op] = &[Op::Send, Op::Receive];
    let (send, receive): (&[Op], &[Op]) = (&[Op::Send], &[Op::Receive]);
    let look: &[Op] = &[Op::Receive, Op::Look];
    let all = [
        ("n", party, count(), "how many receivers; everybody at a name says the same"),
        ("wait", party, seconds(Some(defaults.wait)), "how long this party waits for the others"),
        ("stall", party, seconds(defaults.stall), "when a receiver that takes nothing is cut"),
        (
            "sha256",
            party,
            flag(),
            "hash the bytes; the digest is told to the sender and in `?status`",
        ),
        (
            "transfer",
            &[Op::Send, Op::Receive, Op::Look],
            transfer(),
            "the sender's own id of the transfer; with `status`: the transfer that is asked for",
        ),
        ("quiet", send, flag(), "one final answer in place of status lines"),
        ("download", receive, flag(), "on: as an attachment; off: no Content-Disposition"),
        (
            "filename",
            receive,
            json!({ "type": "string" }),
            &*format!("the name of the download, cut to {FILE_NAME_MAX} characters and sanitised"),
        ),
        ("status", look, flag(), "a snapshot; wins over every other parameter, takes no place"),
        ("progress", receive, flag(), "server-sent events, or a page; takes no place"),
        ("reason", &[Op::Cancel], reason(), "told to everybody at the name"),
        ("live", party, later(), LATER),
        ("ws", party, later(), LATER),
        ("video", receive, flag(), "a page of a later version: 501 for browsers until then"),
        ("receive", receive, flag(), "a page of a later version: 501 for browsers until then"),
        ("share", receive, flag(), "a page of a later version: 501 for browsers until then"),
    ];
    let mine = all.into_iter().filter(|(_, ops, _, _)| ops.contains(&op));
    mine.map(|(name, _, schema, what)| parameter("query", name, schema, what)).collect()
}

/// The request headers for this operation that have a meaning of their own.
pub(super) fn headers(op: Op) -> Vec<Value> {
    let header = |name, schema, what| parameter("header", name, schema, what);
    let text = || json!({ "type": "string" });
    let length = json!({ "type": "integer", "minimum": 0, "maximum": LENGTH_MAX });
    let count = header("X-Pipe-N", count(), "the same as `n`; both must agree");
    match op {
        Op::Send => vec![
            count,
            header("X-Pipe-Length", length, "the exact length of a stream; not with multipart"),
            header("Content-Disposition", text(), "rebuilt for each receiver"),
            header("Content-Encoding", text(), "forwarded; bytes are never decoded"),
            header("X-Piping", text(), "free metadata, forwarded"),
            header("X-Hoody-Pipe", text(), "free metadata, forwarded"),
            header(
                "Expect",
                json!({ "type": "string", "const": "100-continue" }),
                "the upload is admitted or refused before any of it is sent",
            ),
        ],
        Op::Receive => vec![
            count,
            header(
                "Service-Worker",
                json!({ "type": "string", "not": { "const": "script" } }),
                "a stream is no service worker",
            ),
            header("Last-Event-ID", text(), "with `progress`: a watcher that comes back"),
        ],
        _ => vec![],
    }
}

const LATER: &str = "a switch of a later version: 501 when on";

fn parameter(place: &str, name: &str, schema: Value, what: &str) -> Value {
    json!({ "name": name, "in": place, "required": false, "description": what, "schema": schema })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": RECEIVERS_MAX, "default": 1 })
}

fn seconds(default: Option<std::time::Duration>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": 1, "maximum": SECONDS_MAX });
    if let Some(default) = default {
        schema["default"] = default.as_secs().into();
    }
    schema
}

/// Any text is a flag: it is on unless it is plainly off.
fn flag() -> Value {
    json!({ "type": "string", "examples": ["", "true", "false"] })
}

/// A switch that may only be off.
fn later() -> Value {
    json!({ "type": "string", "enum": ["false", "no", "0"] })
}

fn transfer() -> Value {
    let (min, max) = (TRANSFER_LEN.start(), TRANSFER_LEN.end());
    json!({ "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{{min},{max}}}$") })
}

/// Control characters, and those that could hide what a line says.
fn reason() -> Value {
    let unit = |c: &char| format!("\\u{:04x}", u32::from(*c));
    let ranges =
        UNPRINTABLE.iter().map(|range| format!("{}-{}", unit(range.start()), unit(range.end())));
    let forbidden: String = ranges.collect();
    json!({ "type": "string", "maxLength": REASON_MAX,
        "pattern": format!("^[^\\u0000-\\u001f\\u007f-\\u009f{forbidden}]*$") })
}
