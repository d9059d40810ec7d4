//! The backends in Lua that ship with kstate, as stores of this process.

use std::sync::Arc;

use futures::StreamExt;
use kstate::lua::backend::Plugin;
use kstate::session::permissions::Grants;
use kstate::store::contract::Report;
use kstate::store::registry::{Env, Registry};
use kstate::store::{
    Body, Entry, Error, Key, ListOptions, Meta, ReadOptions, Store, StoreUrl, WriteOptions,
};
use tokio::runtime::Handle;

use crate::support::assert_verdict;

/// A store with this environment and none of the user's configuration.
pub(crate) fn open<const N: usize>(env: [(&str, &str); N], url: &str) -> Arc<dyn Store> {
    let env: Env = env.into_iter().collect();
    let registry = Registry::new(env.clone());
    for (source, _) in kstate::scripts::backends() {
        let plugin = Plugin::new(
            source,
            env.clone(),
            |_| Grants::default(),
            Handle::current(),
        );
        let plugin = plugin.expect("a backend");
        plugin.register(&registry).expect("a scheme of its own");
    }
    let url = StoreUrl::parse(url).expect("a URL");
    registry.open(&url).expect("a store")
}

/// That a store passed all of the suite but what backends over plain HTTP don't have.
#[track_caller]
pub(crate) fn assert_passed(report: &Report) {
    let not_claimed = [
        "a copy within the store has the same bytes",
        "a copy is of the version that was asked for",
        "a copy keeps its preconditions",
        "content type and user metadata are kept",
    ];
    assert_verdict(report, &[], &not_claimed);
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

pub(crate) async fn write(store: &Arc<dyn Store>, name: &str, text: &'static str) -> Meta {
    let how = WriteOptions::default();
    let written = store.write(&key(name), Body::from(text), how).await;
    written.expect("a write")
}

pub(crate) async fn read(store: &Arc<dyn Store>, name: &str) -> Result<String, Error> {
    let object = store.read(&key(name), ReadOptions::default()).await?;
    let bytes = object.body.collect(u64::MAX).await?;
    Ok(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// The names of a listing, of what is no object with the reason.
pub(crate) async fn names(store: &Arc<dyn Store>, options: ListOptions) -> Vec<String> {
    let entries = store
        .list(options)
        .map(|entry| match entry.expect("an entry") {
            Entry::Foreign { name, reason, .. } => format!("{name}: {reason}"),
            entry => entry.name().to_owned(),
        });
    entries.collect().await
}
