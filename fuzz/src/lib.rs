//! The part of kstate that reads and merges what strangers wrote, by itself: it needs neither Lua
//! nor a store, and so is built in a minute with a sanitizer.

pub mod config;
#[path = "../../src/merge/mod.rs"]
pub mod merge;
#[path = "../../src/text.rs"]
pub mod text;

/// The parts of an input, with a NUL between them; empty where there are no more.
pub fn parts<const N: usize>(input: &str) -> [&str; N] {
    let mut parts = input.splitn(N, '\0');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
