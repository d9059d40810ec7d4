//! The transfer engine on memory stores, and on stores that misbehave.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod compare;
mod delete;
mod delta;
mod faults;
mod flow;
mod keys;
mod odd;
mod trees;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use kstate::store::{
    Body, Key, ListOptions, Precondition, ReadOptions, Store, StoreUrl, WriteOptions, mem,
};
use kstate::transfer::{Error, Filter, Report, SyncOptions, sync};

type Shared = Arc<dyn Store>;

fn memory(name: &str) -> Shared {
    let url = StoreUrl::parse(&format!("memfs://{name}")).unwrap();
    Arc::new(mem::Buckets::default().open(&url))
}

async fn store(name: &str, objects: &[(&str, &str)]) -> Shared {
    let store = memory(name);
    for (key, text) in objects {
        put(&store, key, text).await;
    }
    store
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn put(store: &Shared, name: &str, text: &str) {
    let body = Body::from(text.as_bytes().to_vec());
    let written = store.write(&key(name), body, WriteOptions::default()).await;
    written.unwrap();
}

async fn remove(store: &Shared, name: &str) {
    store.delete(&key(name), Precondition::None).await.unwrap();
}

async fn get(store: &Shared, name: &str) -> Option<String> {
    let object = store.read(&key(name), ReadOptions::default()).await.ok()?;
    let bytes = object.body.collect(u64::MAX).await.unwrap();
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

/// All objects of a store.
async fn tree(store: &Shared) -> BTreeMap<String, String> {
    let mut listing = store.list(ListOptions::default());
    let mut tree = BTreeMap::new();
    while let Some(entry) = listing.next().await {
        let name = entry.unwrap().name().to_owned();
        let text = get(store, &name).await.unwrap();
        tree.insert(name, text);
    }
    tree
}

async fn run(source: &Shared, target: &Shared, options: SyncOptions) -> Result<Report, Error> {
    sync(source, target, options, Arc::new(())).await
}

async fn plain(source: &Shared, target: &Shared) -> Report {
    run(source, target, SyncOptions::default()).await.unwrap()
}

fn only(patterns: &[&str]) -> Filter {
    Filter::only(patterns).unwrap()
}
