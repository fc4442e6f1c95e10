//! The answers of each operation: which codes it can meet, grouped by status, and what success
//! looks like. Knows no paths.

use std::collections::BTreeMap;

use ::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::Code;
use super::schemas::of;

/// What is asked for, as far as it decides which errors can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Send,
    /// A receiver, and those who look or watch with the same method.
    Receive,
    /// HEAD of a name.
    Look,
    Cancel,
    Preflight,
    Page,
    /// An upload to a page.
    SendToPage,
    Endpoint,
    /// The metrics, which may be hidden.
    Metrics,
}

impl Op {
    const ALL: [Self; 9] = [
        Self::Send,
        Self::Receive,
        Self::Look,
        Self::Cancel,
        Self::Preflight,
        Self::Page,
        Self::SendToPage,
        Self::Endpoint,
        Self::Metrics,
    ];
}

/// Where a code can be met. A new code does not compile before it has its line here.
fn met_by(code: Code, op: Op) -> bool {
    use Code as C;
    let party = matches!(op, Op::Send | Op::Receive);
    let of_name = party || matches!(op, Op::Look | Op::Cancel);
    match code {
        // The whole target has a limit, whatever is asked for.
        C::BadRequest | C::HeadTooLarge | C::HeadTimeout | C::Misdirected | C::NoFds => true,
        C::PathTooLong => true,
        C::BadPath => of_name || op == Op::Preflight,
        C::NotAPath => false,
        C::Reserved => op == Op::SendToPage,
        C::NoPage => op == Op::Metrics,
        C::Method => op == Op::Look,
        C::DupParam => of_name,
        C::NotEnabled
        | C::BadN
        | C::BadWait
        | C::BadStall
        | C::Active
        | C::NMismatch
        | C::Timeout
        | C::Cancelled
        | C::PendingCap
        | C::ActiveCap
        | C::AddressCap
        | C::Draining => party,
        C::BadTransfer => party || op == Op::Look,
        C::UnknownTransfer => matches!(op, Op::Receive | Op::Look),
        C::SlotsFull | C::ServiceWorker | C::SpectatorCap => op == Op::Receive,
        C::ContentRange
        | C::BadLength
        | C::BadMultipart
        | C::Expectation
        | C::SenderTaken
        | C::TransferTaken
        | C::ReceiversGone
        | C::IdleTimeout => op == Op::Send,
        C::SenderLost | C::LengthMismatch | C::Multipart => party,
        C::BadReason | C::NoPipe => op == Op::Cancel,
        C::Internal => of_name || op == Op::Page,
        C::Unavailable => of_name,
    }
}

/// With or without a body: the answers to HEAD have the headers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Full,
    Bare,
}

/// The responses object: success as given, and every error that `op` can meet.
pub(super) fn responses(op: Op, body: Body, success: Value) -> Value {
    let mut all = success.as_object().cloned().unwrap_or_default();
    for status in by_status(op).keys() {
        let reference = format!("#/components/responses/{}", name(op, body, *status));
        all.insert(status.as_str().to_owned(), json!({ "$ref": reference }));
    }
    Value::Object(all)
}

/// Every error answer, as [`responses`] refers to it.
pub(super) fn shared() -> Value {
    let mut all = Map::new();
    for op in Op::ALL {
        for (status, codes) in by_status(op) {
            let full = error(status, &codes);
            let bare = full.as_object().into_iter().flatten().filter(|(key, _)| *key != "content");
            let bare = bare.map(|(key, value)| (key.clone(), value.clone())).collect();
            all.insert(name(op, Body::Bare, status), Value::Object(bare));
            all.insert(name(op, Body::Full, status), full);
        }
    }
    Value::Object(all)
}

fn name(op: Op, body: Body, status: StatusCode) -> String {
    let bare = if body == Body::Bare { "Bare" } else { "" };
    format!("{op:?}{bare}{}", status.as_u16())
}

fn by_status(op: Op) -> BTreeMap<StatusCode, Vec<Code>> {
    let mut all: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| met_by(**code, op)) {
        let status = if op == Op::Receive { code.status_of_waiter() } else { code.status() };
        all.entry(status).or_default().push(*code);
    }
    all
}

fn error(status: StatusCode, codes: &[Code]) -> Value {
    let list: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.when())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut headers = json!({
        "X-Pipe-Error": { "description": "why, for programs", "required": true,
            "schema": { "type": "string", "enum": names } },
        "Access-Control-Allow-Origin": header("AnyOrigin"),
        "Cache-Control": header("NotKept"),
        "X-Content-Type-Options": header("NoSniff"),
    });
    if matches!(status.as_u16(), 408 | 429 | 503) {
        headers["Retry-After"] = header("RetryAfter");
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers["Allow"] = header("Allow");
    }
    let list = list.join("; ");
    json!({ "description": list, "headers": headers, "content": text("ErrorText") })
}

/// A reference to one of [`headers`].
pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Content in plain text with that schema.
pub(super) fn text(schema: &str) -> Value {
    json!({ "text/plain": { "schema": of(schema) } })
}

/// The headers that several answers have.
pub(super) fn headers() -> Value {
    let fixed = |description: &str, value: &str| json!({ "description": description, "schema": { "type": "string", "const": value } });
    let free =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let mut all = Map::new();
    let mut add = |name: &str, value| all.insert(name.to_owned(), value);
    add("AnyOrigin", fixed("pages of any origin may read it", "*"));
    add("NoSniff", fixed("the type is not to be guessed", "nosniff"));
    add("NotKept", free("`no-store`: no cache keeps it"));
    add("RetryAfter", json!({ "description": "seconds", "schema": { "type": "integer" } }));
    add("Allow", free("the methods of this path"));
    add("TransferId", free("the id of the transfer, for `?status&transfer=`"));
    add("Disposition", free("as the sender said or this receiver asked, sanitised"));
    add("Metadata", free("what the sender said in a header of this name"));
    add("Negotiated", free("the request header that may lead to another answer"));
    add("Unbuffered", fixed("no proxy is to hold it back", "no"));
    add("Policy", free("what a page may load and do"));
    add("NoReferrer", fixed("names are told to nobody else", "no-referrer"));
    add("Methods", free("methods that pages may use"));
    add("AllowedHeaders", free("request headers that pages may set"));
    add("MaxAge", json!({ "description": "seconds", "schema": { "type": "integer" } }));
    Value::Object(all)
}
