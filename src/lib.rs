//! kstate: a Lua-extensible host for the state stores of Kubernetes clusters (kOps).
//!
//! Arrows point one way: `cli → lua → session → transfer → store`, with `config` and `merge`
//! beside. See `docs/architecture.md`.

pub mod cli;
pub mod config;
pub mod crypt;
#[cfg(test)]
mod fixture;
pub mod lua;
pub mod merge;
mod named_file;
pub mod repl;
pub mod scripts;
pub mod session;
pub mod store;
pub mod text;
pub mod transfer;
pub mod units;
