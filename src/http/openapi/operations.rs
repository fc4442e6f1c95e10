//! The paths and their operations, put together from parameters, answers and shapes.

use serde_json::{Value, json};

use super::super::target::{API_PREFIX, ENDPOINTS, Endpoint, PAGES, Page};
use super::Defaults;
use super::answers::{Body, Op, header, responses, text};
use super::parameters;
use super::schemas::of;

/// Every path.
pub(super) fn paths(defaults: &Defaults) -> Value {
    let mut all =
        json!({ format!("{API_PREFIX}/{{name}}"): pipe(defaults), "/": page("/", Page::Root) });
    for (word, which) in PAGES {
        all[format!("/{word}")] = page(word, which);
    }
    for (word, which) in ENDPOINTS {
        all[format!("{API_PREFIX}/{word}")] = endpoint(word, which);
    }
    for (path, item) in admin() {
        all[path] = item;
    }
    all
}

fn pipe(defaults: &Defaults) -> Value {
    json!({
        "parameters": [{ "$ref": "#/components/parameters/name" }],
        "put": send("put", defaults),
        "post": send("post", defaults),
        "get": receive(defaults),
        "head": operation("pipes", "look", "The headers of a snapshot; only with `status`",
            parameters::query(Op::Look, defaults),
            responses(Op::Look, Body::Bare, json!({ "200": { "description": "there is a snapshot",
                "headers": common() } }))),
        "delete": operation("pipes", "cancel", "End what waits or runs at this name",
            parameters::query(Op::Cancel, defaults),
            responses(Op::Cancel, Body::Full, json!({ "204": { "description": "cancelled",
                "headers": { "Access-Control-Allow-Origin": header("AnyOrigin") } } }))),
        "options": preflight("preflight", "pipes", "200"),
    })
}

fn send(method: &str, defaults: &Defaults) -> Value {
    let mut all = parameters::query(Op::Send, defaults);
    all.extend(parameters::headers(Op::Send));
    let about = "Send. Answers at once, then with a line for each thing that happens; the answer \
        ends when the transfer has. A failure after the 200 cuts the answer. With `quiet`, and over \
        HTTP/1.0, there is one final answer. PUT and POST do the same.";
    let mut headers = common();
    headers["X-Accel-Buffering"] = header("Unbuffered");
    let done = json!({ "200": { "description": "admitted; with `quiet`: complete",
        "headers": headers, "content": text("StatusLines") } });
    let mut send = operation(
        "pipes",
        &format!("send_{method}"),
        about,
        all,
        responses(Op::Send, Body::Full, done),
    );
    send["requestBody"] = json!({
        "description": "Any bytes of any media type; no limit. Of multipart the first file is sent, \
            without one the field `input_text`.",
        "content": {
            "application/octet-stream": {},
            "multipart/form-data": { "schema": { "type": "object", "properties": {
                    "file": { "type": "string", "contentMediaType": "application/octet-stream" },
                    "input_text": { "type": "string" } } } },
            "*/*": {},
        },
    });
    send
}

fn receive(defaults: &Defaults) -> Value {
    let mut all = parameters::query(Op::Receive, defaults);
    all.extend(parameters::headers(Op::Receive));
    let about = "Receive. Nothing is answered before the sender and all receivers are there. A \
        stream that fails is cut, it never ends cleanly. With `status`: a snapshot, at once; its \
        body is a Snapshot. With `progress`: events, or a page if Accept contains `text/html`.";
    let mut headers = common();
    for (name, which) in [
        ("X-Hoody-Pipe-Transfer-Id", "TransferId"),
        ("Content-Disposition", "Disposition"),
        ("X-Piping", "Metadata"),
        ("X-Hoody-Pipe", "Metadata"),
        ("Referrer-Policy", "NoReferrer"),
        // Of events and of the page that shows them.
        ("Vary", "Negotiated"),
        ("X-Accel-Buffering", "Unbuffered"),
        ("Content-Security-Policy", "Policy"),
    ] {
        headers[name] = header(which);
    }
    let done = json!({
        "200": { "description": "the bytes, in the sanitised media type of the sender",
            "headers": headers,
            "content": {
                "*/*": { "schema": of("Bytes") },
                "application/json": { "schema": of("Snapshot") },
                "text/event-stream": { "schema": of("Event") },
                "text/html": { "schema": { "type": "string" } },
            } },
        "204": { "description": "with `progress` and `Last-Event-ID`: it is over" },
    });
    operation("pipes", "receive", about, all, responses(Op::Receive, Body::Full, done))
}

fn page(word: &str, page: Page) -> Value {
    let (about, content) = match page {
        Page::Root => ("Send from a browser; for others the help", both("text/html", "text/plain")),
        Page::Help => ("How to use this relay with curl", one("text/plain")),
        Page::NoScript => ("Send from a browser without scripts", one("text/html")),
        Page::New => ("The URL of a fresh name that nobody guesses", fresh()),
        Page::Favicon => ("An icon", json!({ "image/x-icon": {} })),
        Page::Robots => ("Nothing is for search engines", one("text/plain")),
        Page::Progress => ("What happens at a name, live", one("text/html")),
    };
    let id = match page {
        Page::Root => "root",
        _ => word.split('.').next().unwrap_or(word),
    };
    let refused = |method: &str| {
        let about = "Refused: this path is reserved";
        operation(
            "pages",
            &format!("{id}_refuses_{method}"),
            about,
            vec![],
            responses(Op::SendToPage, Body::Full, json!({})),
        )
    };
    let with_headers = |mut read: Value| {
        for (name, which) in page_headers(page) {
            read["responses"]["200"]["headers"][name] = header(which);
        }
        read
    };
    json!({
        "get": with_headers(read("pages", id, about, Op::Page, Some(content))),
        "head": with_headers(read("pages", &format!("{id}_head"), about, Op::Page, None)),
        "put": refused("put"),
        "post": refused("post"),
        "options": preflight(&format!("{id}_preflight"), "pages", "200"),
    })
}

/// What a page has beside the common headers.
fn page_headers(page: Page) -> impl Iterator<Item = (&'static str, &'static str)> {
    let negotiated = matches!(page, Page::Root | Page::New | Page::Progress);
    let html = matches!(page, Page::Root | Page::NoScript | Page::Progress);
    let all = [
        (negotiated, ("Vary", "Negotiated")),
        (html, ("Content-Security-Policy", "Policy")),
        (html, ("Referrer-Policy", "NoReferrer")),
    ];
    all.into_iter().filter_map(|(has, header)| has.then_some(header))
}

fn endpoint(word: &str, endpoint: Endpoint) -> Value {
    let (about, op, content) = match endpoint {
        Endpoint::Health => ("Nine facts about this process", Op::Endpoint, json("Health")),
        Endpoint::Metrics => ("Numbers for Prometheus", Op::Metrics, one("text/plain")),
        Endpoint::OpenApi => ("This description", Op::Endpoint, json!({ "application/json": {} })),
    };
    let id = word.split('.').next().unwrap_or(word);
    json!({
        "get": read("endpoints", id, about, op, Some(content)),
        "head": read("endpoints", &format!("{id}_head"), about, op, None),
        "options": preflight(&format!("{id}_preflight"), "endpoints", "204"),
    })
}

/// The paths of the admin listener.
fn admin() -> [(&'static str, Value); 5] {
    let servers = json!([{ "url": "http://127.0.0.1:9090", "description": "--admin-listen" }]);
    let get = |id: &str, about: &str, answers: Value| {
        let head = |answers: &Value| {
            let mut bare = answers.clone();
            for answer in bare.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
                answer.as_object_mut().map(|answer| answer.remove("content"));
            }
            bare
        };
        let (id_of_head, without) = (format!("admin_{id}_head"), head(&answers));
        json!({
            "servers": servers,
            "get": operation("admin", &format!("admin_{id}"), about, vec![], answers),
            "head": operation("admin", &id_of_head, about, vec![], without),
        })
    };
    let says = |what: &str, content: Value| json!({ "description": what, "content": content });
    [
        (
            "/livez",
            get(
                "livez",
                "Does the process run?",
                json!({
            "200": says("it does", one("text/plain")) }),
            ),
        ),
        (
            "/readyz",
            get(
                "readyz",
                "May it have more clients?",
                json!({
            "200": says("it may", one("text/plain")),
            "503": says("one reason a line", one("text/plain")) }),
            ),
        ),
        (
            "/metrics",
            get(
                "metrics",
                "Numbers for Prometheus",
                json!({
            "200": says("all of them", one("text/plain")) }),
            ),
        ),
        (
            "/cluster",
            get(
                "cluster",
                "The fleet as this node sees it",
                json!({
            "200": says("now", json("Fleet")) }),
            ),
        ),
        (
            "/drain",
            json!({
                "servers": servers,
                "post": operation("admin", "admin_drain", "Stop politely, as after SIGTERM", vec![], json!({
                    "202": says("it has begun, or had before", one("text/plain")),
                    "403": says("asked by a web page", one("text/plain")) })),
            }),
        ),
    ]
}

fn read(tag: &str, id: &str, about: &str, op: Op, content: Option<Value>) -> Value {
    let mut done = json!({ "description": "here it is", "headers": common() });
    if let Some(content) = &content {
        done["content"] = content.clone();
    }
    let body = if content.is_some() { Body::Full } else { Body::Bare };
    let answers = responses(op, body, json!({ "200": done }));
    operation(tag, id, about, vec![], answers)
}

fn preflight(id: &str, tag: &str, status: &str) -> Value {
    let done = json!({ status: { "description": "what pages of other origins may do", "headers": {
        "Access-Control-Allow-Origin": header("AnyOrigin"),
        "Access-Control-Allow-Methods": header("Methods"),
        "Access-Control-Allow-Headers": header("AllowedHeaders"),
        "Access-Control-Max-Age": header("MaxAge") } } });
    operation(tag, id, "CORS preflight", vec![], responses(Op::Preflight, Body::Full, done))
}

fn operation(tag: &str, id: &str, about: &str, parameters: Vec<Value>, answers: Value) -> Value {
    let summary = about.split_once(['.', ';', ':']).map_or(about, |(first, _)| first);
    let mut operation = json!({ "tags": [tag], "operationId": id, "summary": summary,
        "description": about, "responses": answers });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

/// The headers of most answers that are a success.
fn common() -> Value {
    json!({
        "Access-Control-Allow-Origin": header("AnyOrigin"),
        "Cache-Control": header("NotKept"),
        "X-Content-Type-Options": header("NoSniff"),
    })
}

fn one(media_type: &str) -> Value {
    json!({ media_type: { "schema": { "type": "string" } } })
}

fn both(one: &str, other: &str) -> Value {
    json!({ one: { "schema": { "type": "string" } }, other: { "schema": { "type": "string" } } })
}

fn json(schema: &str) -> Value {
    json!({ "application/json": { "schema": of(schema) } })
}

fn fresh() -> Value {
    json!({ "text/plain": { "schema": { "type": "string" } },
        "application/json": { "schema": of("Fresh") } })
}
