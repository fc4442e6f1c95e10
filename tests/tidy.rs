//! Keeps the house in order: who may import whom, how long a function may be, what may not be left
//! lying about. An ordinary test over the text of all source files; it compiles and runs nothing,
//! and knows no more of the language than comments, literals and braces.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines before its tests.
const FILE_LINES_MAX: usize = 400;
/// Longest function, in lines from `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Each room (`src/<room>.rs` or `src/<room>/`) and the rooms below it that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("pipe", &[]),
    ("flow", &[]),
    ("meter", &[]),
    ("config", &[]),
    ("client", &["config"]),
    ("edge", &["pipe", "flow", "meter"]),
    ("http", &["edge", "pipe", "flow"]),
    ("front", &["http", "edge", "pipe", "flow", "meter", "config"]),
    ("node", &["front", "http", "edge", "pipe", "flow", "meter", "config"]),
];

/// Each crate that has its place, and the only files under `src` and `cluster/src` that name it.
const CRATES: &[(&str, &[&str])] = &[
    ("actix", &["src/pipe/actor.rs", "src/pipe/registry.rs"]),
    ("actix_http", &["src/front/"]),
    ("actix_server", &["src/front/"]),
    ("actix_web", &["src/front/"]),
    ("bincode", &["cluster/src/codec.rs"]),
    ("h2", &["src/front/h2/"]),
    ("hoody_pipe", &["src/main.rs"]),
    ("hoody_pipe_cluster", &["src/edge/", "src/front/", "src/node.rs", "src/node/"]),
    ("http", &["src/config/", "src/front/", "src/http/"]),
    ("http_body_util", &["src/edge/trunk/connect.rs"]),
    ("hyper", &["src/edge/trunk/connect.rs"]),
    ("hyper_util", &["src/edge/trunk/connect.rs"]),
    ("metrics", &["src/meter.rs"]),
    ("metrics_exporter_prometheus", &["src/meter.rs"]),
    ("openraft", &["cluster/src/raft/"]),
    (
        "rustls",
        &[
            "cluster/src/client.rs",
            "src/client/connect.rs",
            "src/front/tls.rs",
            "src/front/transport/tests.rs",
        ],
    ),
    ("tokio_rustls", &["src/front/tls.rs", "src/front/transport.rs", "src/front/transport/"]),
    ("reqwest", &["src/client/", "cluster/src/"]),
];

/// The only file that may be unsafe: two ioctls that nobody wraps.
const UNSAFE: &str = "src/front/kernel.rs";

/// Notes that say a thing is not done. Written in halves, so that this file passes its own test.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];

/// Macros that stand for what is not done.
const HOLES: &[&str] = &["todo!", "unimplemented!"];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = source_files(root);
    assert!(files.len() > 10, "there is more to this house: look at source_files()");
    let mut report = String::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let path = file.strip_prefix(root).expect("it was found below the root");
        for breach in breaches(&path.to_string_lossy().replace('\\', "/"), &text) {
            writeln!(report, "{breach}").expect("a String takes everything");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// All Rust files of the workspace, without what tools have put there.
fn source_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of the tree can be read") {
        let entry = entry.expect("a folder of the tree can be read").path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made_by_tools = name.starts_with('.') || entry.join("CACHEDIR.TAG").exists();
        if entry.is_dir() && !made_by_tools {
            files.extend(source_files(&entry));
        } else if name.ends_with(".rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// Everything that is wrong with one file, each as `path:line: what; what to do`.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let source = Source { path, text, code: code_of(text) };
    let rules = [opening, length, functions, imports, crates, unsafety, unwraps, leftovers];
    rules.iter().flat_map(|rule| rule(&source)).collect()
}

/// One file: as it is, and with the same lines but comments and literals taken out.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    code: String,
}

impl Source<'_> {
    /// Whether it becomes part of the product (or of its unit tests).
    fn ships(&self) -> bool {
        self.path.starts_with("src/") || self.path.starts_with("cluster/src/")
    }

    /// The number of lines before the tests; none in a file that only has tests.
    fn lines_before_tests(&self) -> usize {
        if !self.ships() || self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return 0;
        }
        let lines: Vec<&str> = self.code.lines().collect();
        let is_tests = |pair: &[&str]| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ")
        };
        lines.windows(2).position(is_tests).unwrap_or(lines.len())
    }

    /// The name of the room this file is in.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|room| room.trim_end_matches(".rs"))
    }

    fn breach(&self, at: usize, message: &str) -> String {
        let line = 1 + self.code[..at].matches('\n').count();
        format!("{}:{line}: {message}", self.path)
    }
}

fn opening(source: &Source) -> Vec<String> {
    match source.text.starts_with("//!") {
        true => vec![],
        false => vec![source.breach(
            0,
            "no module comment; open the file with `//!`: what it is and what it knows nothing of",
        )],
    }
}

fn length(source: &Source) -> Vec<String> {
    match source.lines_before_tests() {
        lines if lines > FILE_LINES_MAX => vec![source.breach(
            0,
            &format!("{lines} lines before the tests; split it, {FILE_LINES_MAX} are the most"),
        )],
        _ => vec![],
    }
}

fn functions(source: &Source) -> Vec<String> {
    let starts = words(&source.code, "fn").filter(|at| {
        let after = source.code[at + 2..].trim_start().as_bytes();
        after.first().is_some_and(|b| is_word(*b))
    });
    let lines =
        |at: usize| body_end(&source.code[at..]).map(|end| (at, line_count(source, at, end)));
    let long = starts.filter_map(lines).filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
    long.map(|(at, lines)| {
        let advice = "give a part of it a name of its own";
        source.breach(
            at,
            &format!("a function of {lines} lines; {advice}, {FUNCTION_LINES_MAX} are the most"),
        )
    })
    .collect()
}

fn line_count(source: &Source, at: usize, length: usize) -> usize {
    1 + source.code[at..at + length].matches('\n').count()
}

/// The length of a function up to the brace that closes it; `None` if it has no body.
fn body_end(function: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0, 0);
    for (at, byte) in function.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if braces == 0 && brackets == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces == 1 && brackets == 0 => return Some(at),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

fn imports(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return vec![] };
    let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else { return vec![] };
    let allowed = |name: &str| name == room || below.contains(&name);
    let is_room = |name: &str| ROOMS.iter().any(|(room, _)| *room == name);
    let wrong =
        imported(&source.code).into_iter().filter(|(_, name)| is_room(name) && !allowed(name));
    wrong
        .map(|(at, name)| {
            let below = below.join(", ");
            let advice = "arrows only point down: pass a plain value, or move the code";
            source.breach(
                at,
                &format!("`{room}` imports `{name}` but may import [{below}]; {advice}"),
            )
        })
        .collect()
}

/// The first names after each `crate::` or `super::`, also within braces, and where they are.
fn imported(code: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for root in ["crate", "super"] {
        for at in words(code, root) {
            let Some(rest) = code[at + root.len()..].trim_start().strip_prefix("::") else {
                continue;
            };
            match rest.trim_start().strip_prefix('{') {
                Some(group) => names.extend(heads_of(group).into_iter().map(|name| (at, name))),
                None => names.push((at, first_word(rest))),
            }
        }
    }
    names
}

/// The first word of each item of a group such as `a::b, c::{d, e}, f}`.
fn heads_of(group: &str) -> Vec<&str> {
    let (mut depth, mut item, mut heads) = (0, 0, Vec::new());
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b',' | b'}' if depth == 0 => {
                heads.push(first_word(&group[item..at]));
                item = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn first_word(code: &str) -> &str {
    let code = code.trim_start();
    &code[..code.bytes().position(|b| !is_word(b)).unwrap_or(code.len())]
}

fn crates(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, places) in CRATES.iter().filter(|_| source.ships()) {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for at in words(&source.code, name).filter(|at| is_crate(&source.code, *at, name)) {
            let places = places.join(", ");
            let message = format!("`{name}` is named only in [{places}]; put the code there");
            wrong.push(source.breach(at, &message));
        }
    }
    wrong
}

/// Whether the name at this place begins a path, rather than being a module or a variable.
fn is_crate(code: &str, at: usize, name: &str) -> bool {
    let before = code[..at].trim_end();
    let statement = &before[before.rfind(';').map_or(0, |end| end + 1)..];
    let in_group = words(statement, "use").last().is_some_and(|at| statement[at..].contains("::{"));
    let in_path =
        before.strip_suffix("::").is_some_and(|path| path.bytes().last().is_some_and(is_word));
    let leads = code[at + name.len()..].trim_start().starts_with("::");
    let imports = before.ends_with("use") || before.ends_with("extern crate");
    !in_group && !in_path && (leads || imports)
}

fn unsafety(source: &Source) -> Vec<String> {
    let here = words(&source.code, "unsafe").filter(|_| source.path != UNSAFE);
    here.map(|at| source.breach(at, &format!("unsafe code; it lives in {UNSAFE} alone"))).collect()
}

fn unwraps(source: &Source) -> Vec<String> {
    let product = source.lines_before_tests();
    let at = |line: usize| source.code.lines().take(line).map(|line| line.len() + 1).sum();
    let lines = source.code.lines().take(product).enumerate();
    lines
        .filter(|(_, line)| line.contains(".unwrap()"))
        .map(|(line, _)| {
            source.breach(at(line), "`.unwrap()`; return the error, or `expect` why there is none")
        })
        .collect()
}

fn leftovers(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, text) in source.text.lines().enumerate() {
        for note in NOTES.iter().filter(|note| words(text, note).next().is_some()) {
            let line = line + 1;
            wrong
                .push(format!("{}:{line}: a {note} note; do it now, or leave it out", source.path));
        }
    }
    for hole in HOLES {
        let found = words(&source.code, hole.trim_end_matches('!'));
        let found = found.filter(|at| source.code[*at..].starts_with(hole));
        wrong.extend(
            found.map(|at| source.breach(at, &format!("`{hole}`; write it, or leave it out"))),
        );
    }
    wrong
}

/// Where a word stands by itself.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].bytes().last();
        let after = text.as_bytes().get(at + word.len()).copied();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The text with each comment and literal replaced by a space and its own line ends.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after_word = code.bytes().last().is_some_and(is_word);
        match comment_or_literal(rest, after_word) {
            Some(length) => {
                code.push(' ');
                code.extend(rest[..length].chars().filter(|c| *c == '\n'));
                rest = &rest[length..];
            }
            None => {
                code.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    code
}

/// The length of the comment or literal that `rest` begins with, if it does.
fn comment_or_literal(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        // A quote that is not closed after one character begins a lifetime.
        let is_char = inside.starts_with('\\') || inside.chars().nth(1) == Some('\'');
        return is_char.then(|| quoted(rest, '\''));
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !after_word)?;
    let hashes = raw.bytes().take_while(|b| *b == b'#').count();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + length)
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The length of a literal in quotes, in which `\` escapes the next character.
fn quoted(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The breaches of a file that opens as it should.
    fn check(path: &str, rest: &str) -> Vec<String> {
        breaches(path, &format!("//! A file.\n{rest}"))
    }

    #[track_caller]
    fn passes(path: &str, rest: &str) {
        assert_eq!(check(path, rest), [] as [String; 0], "{path}: {rest}");
    }

    #[track_caller]
    fn fails(path: &str, rest: &str, want: &str) {
        let got = check(path, rest);
        assert!(got.len() == 1 && got[0].contains(want), "{path}: {rest}\n{got:?}");
    }

    #[test]
    fn arrows_point_down() {
        passes("src/edge/wire.rs", "use crate::pipe::Head;\nuse crate::{edge, flow::{http, x}};");
        passes("src/node.rs", "use crate::front::x; use crate::config::Config;");
        passes("src/lib.rs", "pub mod pipe; pub use crate::front::x;");
        passes("src/http/a.rs", "use super::Refusal; mod b { use super::super::request; }");
        for (path, code, want) in [
            ("src/pipe/path.rs", "use crate::flow::Lane;", ":2: `pipe` imports `flow`"),
            ("src/pipe/path.rs", "\nfn f() { crate::http::g() }", ":3: `pipe` imports `http`"),
            ("src/edge/party.rs", "use crate::{pipe, http::Reply};", "imports `http`"),
            ("src/edge/party.rs", "use crate::{\n    pipe::{a, b},\n    front,\n};", "`front`"),
            ("src/http/pages.rs", "use crate::config::Config;", "may import [edge, pipe, flow]"),
            ("src/http/pages.rs", "use super::super::front::x;", "imports `front`"),
            ("src/front/h1.rs", "use crate::node;", "imports `node`"),
            ("src/config/mod.rs", "use crate::pipe;", "imports `pipe`"),
        ] {
            fails(path, code, want);
        }
    }

    #[test]
    fn crates_have_their_place() {
        passes("src/front/web.rs", "use actix_web::App; use actix_server::Server;");
        passes("src/pipe/actor.rs", "use actix::prelude::*;");
        passes("src/node.rs", "actix_rt::spawn(x); use hoody_pipe_cluster::Cluster;");
        passes("src/http/reply.rs", "use ::http::StatusCode;");
        passes("tests/single_node/main.rs", "use hoody_pipe::config; use actix_web::App;");
        passes("src/flow/lane.rs", "let http = 1; x.http(); s::http::y();");
        for (path, code, want) in [
            (
                "src/http/reply.rs",
                "use actix_web::App;",
                "`actix_web` is named only in [src/front/]",
            ),
            ("src/node.rs", "use ::actix_server::Server;", "`actix_server` is named only"),
            ("src/front/web.rs", "#[actix::main] async fn f() {}", "`actix` is named only"),
            (
                "src/pipe/rendezvous.rs",
                "use actix as a;",
                "[src/pipe/actor.rs, src/pipe/registry.rs]",
            ),
            ("src/pipe/head.rs", "use ::http::HeaderMap;", "`http` is named only"),
            ("src/flow/lane.rs", "use a::{b, c}; fn f(x: http::Uri) {}", "`http` is named only"),
            ("src/flow/lane.rs", "use hyper::Body;", "`hyper` is named only in [src/edge/"),
            ("cluster/src/view.rs", "use hoody_pipe::pipe;", "`hoody_pipe` is named only"),
            ("src/pipe/registry.rs", "use hoody_pipe_cluster::View;", "`hoody_pipe_cluster`"),
        ] {
            fails(path, code, want);
        }
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        passes("src/pipe/head.rs", "// use crate::http;\n/* actix_web:: /* x */ unsafe */");
        passes(
            "src/pipe/head.rs",
            "/// See [`crate::http`].\nfn f() { g(\"crate::http \\\" todo!\"); }",
        );
        passes(
            "src/pipe/head.rs",
            "const A: &str = r#\"\" .unwrap() unsafe\"#; const B: char = '\"';",
        );
        passes("src/pipe/head.rs", "fn f<'a>(x: &'a str) { x.strip_prefix('\\''); /* todo!() */ }");
        assert_eq!(code_of("a\"\n\"b'\\n''a /*\n*/c//d\ne"), "a \nb 'a  \nc \ne");
        fails("src/pipe/head.rs", "const A: &str = \"//\"; use crate::http;", "imports `http`");
        fails("src/pipe/head.rs", "const A: char = '\"'; use crate::http; // \"", "imports `http`");
    }

    #[test]
    fn files_open_with_a_comment_and_end_in_time() {
        assert!(
            breaches("src/a.rs", "use x;\n//! late").concat().contains(":1: no module comment")
        );
        assert!(breaches("build.rs", "")[0].contains("open the file with `//!`"));
        let lines = |count: usize| "const A: u8 = 1;\n".repeat(count);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}", lines(500));
        passes("src/a.rs", &(lines(399) + &tests));
        fails("src/a.rs", &(lines(400) + &tests), "401 lines before the tests; split it");
        passes("src/a/tests.rs", &lines(500));
    }

    #[test]
    fn functions_end_in_time() {
        let function =
            |lines: usize| format!("fn f(x: [u8; 2]) {{\n{}}}\n", "{}\n".repeat(lines - 2));
        passes("src/a.rs", &function(70).repeat(3));
        fails(
            "src/a.rs",
            &(function(9) + &function(71)),
            ":11: a function of 71 lines; give a part",
        );
        let signature =
            format!("trait T {{ fn f();\n fn g(h: fn() -> u8); }}\n{}", "\n".repeat(90));
        passes("src/a.rs", &signature);
        fails("tests/a.rs", &function(71), "70 are the most");
    }

    #[test]
    fn nothing_is_unsafe_unwrapped_or_left_over() {
        passes("src/front/kernel.rs", "unsafe fn f() {}");
        passes("src/a.rs", "#![deny(unsafe_code)]");
        passes("src/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }");
        passes("tests/a.rs", "fn f() { x.unwrap(); }");
        passes("src/a.rs", "fn f() { x.unwrap_or(1); } // a HACKSAW, MASTODONS");
        fails("src/front/h1.rs", "unsafe { x }", "it lives in src/front/kernel.rs alone");
        fails("src/a.rs", "\nfn f() { x.unwrap(); }", ":3: `.unwrap()`; return the error");
        fails("src/a.rs", "#[cfg(test)]\nfn g() {}\nfn f() { x.unwrap(); }", ":4: `.unwrap()`");
        for note in NOTES {
            fails("tests/a.rs", &format!("\n// {note}: later"), &format!(":3: a {note} note"));
        }
        fails("src/a.rs", "fn f() { todo!() }", "`todo!`; write it");
        fails("cluster/src/a.rs", "fn f() { unimplemented!(\"x\") }", "`unimplemented!`; write it");
    }
}
