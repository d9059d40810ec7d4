//! Backends written in Lua: a table of functions as a store like any other.
//!
//! What a file says of itself is read without running it (`literal`, `definition`). The registry
//! opens its stores through [`Plugin`]; the functions run in a VM of their own on a thread of its
//! own (`home`), many calls at a time as coroutines (`serve`), and each call is bounded in time
//! and memory (`instance`). `store` is the side of the contract: what the backend can't do itself
//! is derived here, and what its functions return is believed only after a look (`values`).

mod config;
mod definition;
mod failure;
mod home;
mod instance;
mod listing;
mod literal;
mod object;
mod paging;
mod plugin;
mod reading;
mod sending;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod values;
mod writing;

use super::error::ScriptError;
use crate::store::{Store, registry};

pub use definition::{Definition, Kind, StoreOption};
pub use instance::Limits;
pub(super) use object::{BackendObject, CLASS};
pub use plugin::{Plugin, Served};
pub(super) use sending::{Chunk, Part, Sending};
pub(super) use serve::Clock;

/// Whether a file says of itself what a backend must, without running it.
///
/// # Errors
/// `invalid`, with the line, for what is no backend.
pub(super) fn describe(name: &str, text: &str) -> Result<(), ScriptError> {
    Definition::of_text(name, text).map(drop)
}

/// What an object of a store has beside its bytes, content type and user metadata, whoever wrote
/// the store: no copy to another kind takes it along.
pub(super) fn beside(store: &dyn Store) -> Vec<String> {
    if let Some(store) = store.backend().downcast_ref::<store::LuaStore>() {
        return store.beside();
    }
    let (scheme, _) = store.url().split_once("://").unwrap_or(("file", ""));
    let kind = registry::Kind::of(scheme);
    let names = kind.map_or(&[][..], |kind| kind.beside);
    names.iter().map(|&name| name.to_owned()).collect()
}
