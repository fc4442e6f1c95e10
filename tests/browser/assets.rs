//! Functions of the pages' scripts, called by themselves in a browser: QR codes against known
//! vectors, and names, links and shell words against tables.

use serde_json::{Value, json};

use crate::browser::Browser;

const QR: &str = include_str!("../../src/http/pages/qr.js");
const LINKS: &str = include_str!("../../src/http/pages/links.js");
const COMMON: &str = include_str!("../../src/http/pages/common.js");

fn blank() -> Browser {
    let browser = Browser::start();
    browser.open("data:text/html,<title>blank</title>");
    browser
}

#[test]
fn qr_codes_are_those_of_the_standard() {
    let browser = blank();
    let qr = |expression: &str| browser.run(&format!("{QR}; return {expression}"));
    // Bytes at level M, versions 1 to 20 (ISO/IEC 18004, table 7).
    let capacities = json!([
        14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560, 624,
        666
    ]);
    assert_eq!(qr("Array.from({ length: 20 }, (_, i) => qrCapacity(i + 1))"), capacities);
    // The check words of "HELLO WORLD", version 1-M.
    let words = "[32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17]";
    let checks = json!([196, 35, 39, 119, 235, 215, 231, 226, 93, 23]);
    assert_eq!(qr(&format!("qrCheck({words}, 10)")), checks);
    // Format of level M, mask 0 and 5; version information of 7 and 20; marks of 7 and 20.
    let protected = "[qrProtected(0, 10, 0x537) ^ 0x5412, qrProtected(5, 10, 0x537) ^ 0x5412,
        qrProtected(7, 12, 0x1f25), qrProtected(20, 12, 0x1f25)].map((n) => n.toString(2))";
    let known = ["101010000010010", "100000011001110", "111110010010100", "10100100110100110"];
    assert_eq!(qr(protected), json!(known));
    assert_eq!(qr("[qrMarks(7), qrMarks(20)]"), json!([[6, 22, 38], [6, 34, 62, 90]]));
}

#[test]
fn whole_qr_codes_are_those_that_readers_have_read() {
    let browser = blank();
    // Each of these was read back by zbarimg when it was written down here (FNV-1a of all rows).
    let hash = "(text) => { let hash = 0x811c9dc5;
        for (const on of qrCode(text).flat()) hash = Math.imul(hash ^ (on ? 1 : 0), 0x01000193) >>> 0;
        return [qrCode(text).length, hash]; }";
    for (length, size, sum) in [
        (14, 21, 932_633_159_u32),
        (49, 33, 2_455_138_060),
        (122, 45, 3_204_185_495),
        (300, 69, 2_120_614_229),
        (666, 97, 3_554_135_585),
    ] {
        let text =
            format!("'https://pipe.example.com/'.padEnd({length}, 'a/b-7').slice(0, {length})");
        let got = browser.run(&format!("{QR}; return ({hash})({text})"));
        assert_eq!(got, json!([size, sum]), "{length}");
    }
    assert_eq!(browser.run(&format!("{QR}; return qrCode('a'.repeat(667))")), Value::Null);
}

#[test]
fn words_come_out_as_they_should() {
    let browser = blank();
    names_become_urls_that_mean_the_same(&browser);
    names_that_the_server_refuses_are_refused_before(&browser);
    a_page_knows_its_ground(&browser);
    lines_hold_together_in_a_shell(&browser);
    numbers_are_said_as_people_say_them(&browser);
}

fn names_become_urls_that_mean_the_same(browser: &Browser) {
    for (typed, url) in [
        ("run-42/tokens", json!("run-42/tokens")),
        ("//a b/", json!("a%20b/")),
        ("café ☕", json!("caf%C3%A9%20%E2%98%95")),
        ("a?b#c%d[e]", json!("a%3Fb%23c%25d%5Be%5D")),
        ("!$&'()*+,;=:@~", json!("!$&'()*+,;=:@~")),
        ("", Value::Null),
        ("/", Value::Null),
        ("a/./b", Value::Null),
        ("..", Value::Null),
        ("a\\b", Value::Null),
        ("a\u{7f}b", Value::Null),
    ] {
        let got = browser.run(&format!("{LINKS}; return encodedName({})", json!(typed)));
        assert_eq!(got, url, "{typed}");
    }
    for (name, n, link) in [
        ("x", 1, "b/x"),
        ("x", 3, "b/x?n=3"),
        ("pipe", 1, "b/api/v1/pipe/pipe"),
        ("pipe/x", 1, "b/api/v1/pipe/pipe/x"),
        ("api/v1/pipe/x", 2, "b/api/v1/pipe/api/v1/pipe/x?n=2"),
        ("pipes", 1, "b/pipes"),
    ] {
        let got = browser.run(&format!("{LINKS}; return linkOf('b', '{name}', {n})"));
        assert_eq!(got, json!(link));
    }
}

fn names_that_the_server_refuses_are_refused_before(browser: &Browser) {
    let trouble = |typed: &str| {
        let found = browser.run(&format!("{LINKS}; return nameTrouble({})", json!(typed)));
        found.as_str().unwrap().to_owned()
    };
    let long = |length: usize| "a".repeat(length);
    for fine in ["a", "help..", "helpers", "x/help", "metrics//", "%2e%2e", "/a", &long(1_024)] {
        assert_eq!(trouble(fine), "", "{fine:.20}");
    }
    for (refused, text) in [
        ("", "Give it a name."),
        ("//", "Give it a name."),
        ("a/./b", "Not possible in a name"),
        ("HELP", "The server itself uses “help”"),
        ("/noscript/", "The server itself uses “noscript”"),
        ("Favicon.ICO.", "The server itself uses “favicon.ico”"),
        ("openapi.json./", "The server itself uses “openapi.json”"),
        (&long(1_025), "Too long by 1: 1,024 characters at most"),
        (&"é".repeat(171), "Too long by 2: 1,024 characters at most"),
    ] {
        assert!(trouble(refused).starts_with(text), "{refused:.20}: {}", trouble(refused));
    }
}

fn a_page_knows_its_ground(browser: &Browser) {
    for (page, base, ground) in [
        ("https://h/", "https://h", "https://h/"),
        ("https://h/relay", "https://h/relay", "https://h/relay/"),
        ("https://h/relay?n=2", "https://h/relay", "https://h/relay/?n=2"),
        ("https://h/relay/", "https://h/relay", "https://h/relay/"),
        ("https://h/pipe", "https://h", "https://h/pipe"),
    ] {
        let got = browser.run(&format!("{LINKS}; return groundOf('{page}', '{base}').href"));
        assert_eq!(got, json!(ground));
    }
}

fn lines_hold_together_in_a_shell(browser: &Browser) {
    let of = |call: &str| browser.run(&format!("{LINKS}; return {call}"));
    for (call, line) in [
        (r#"receiveLine("u/x", null)"#, r#"curl -fsSN "u/x""#),
        (r#"receiveLine("u/x", "../../.bashrc")"#, r#"curl -fsSN "u/x" > "bashrc""#),
        (r#"receiveLine("u/$x", "a'b$c")"#, r#"curl -fsSN 'u/$x' > 'a'\''b$c'"#),
        (r#"sendLine("u/x", "a b")"#, r#"curl -sS --fail-with-body -T "a b" "u/x""#),
        (r#"sendLine("u/x", "-[1]")"#, r#"curl -sS --fail-with-body -g -T "./-[1]" "u/x""#),
        (r#"sendLine("u/x/?n=2", "f")"#, r#"curl -sS --fail-with-body -T - "u/x/?n=2" < "f""#),
        (r#"sendLine("u/x", null)"#, r#"echo "Hello" | curl -sS --fail-with-body -T - "u/x""#),
        (r#"disposition("é'.txt")"#, "attachment; filename*=UTF-8''%C3%A9%27.txt"),
    ] {
        assert_eq!(of(call), json!(line), "{call}");
    }
}

fn numbers_are_said_as_people_say_them(browser: &Browser) {
    let of = |call: &str| browser.run(&format!("{COMMON}; return {call}"));
    for (call, said) in [
        ("sized(0)", "0 bytes"),
        ("sized(1)", "1 byte"),
        ("sized(999)", "999 bytes"),
        ("sized(1000)", "1.0 kB"),
        ("sized(999949)", "1.0 MB"),
        ("sized(123456789)", "123 MB"),
        ("lasting(0.4)", "0.4 s"),
        ("lasting(75)", "1 min 15 s"),
        ("lasting(7384.9)", "2 h 3 min"),
    ] {
        assert_eq!(of(call), json!(said), "{call}");
    }
}
