//! Black-box tests of the pages: the real binary, real headless Chromium, stock curl on the other
//! side. They know spec §17 and what a page looks like, and nothing of how it is built.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "the harness polls what has no event to await, within a deadline"
)]

#[path = "../common/mod.rs"]
mod common;

#[path = "../protocols/kit.rs"]
#[allow(dead_code, reason = "a browser speaks one of its protocols")]
mod kit;

mod assets;
mod browser;
mod failing;
mod looks;
mod noscript;
mod progress;
mod safety;
mod secure;
mod sending;
