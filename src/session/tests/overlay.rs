//! Rehearsals over stores.

use std::sync::Arc;

use futures::TryStreamExt;

use crate::session::layer::{Deed, Layer, Recorded};
use crate::session::overlay::Overlay;
use crate::store::{
    Body, Capabilities, Entry, Key, ListOptions, Listing, Meta, Object, Place, Precondition,
    ReadOptions, Result, Store, StoreUrl, WriteOptions, contract, mem,
};

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn write(store: &dyn Store, name: &str, text: &'static str) {
    let written = store
        .write(&key(name), Body::from(text), WriteOptions::default())
        .await;
    written.expect("nothing stands against the write");
}

async fn names(store: &dyn Store, below: &str, one_level: bool) -> Vec<String> {
    let options = ListOptions {
        below: below.into(),
        one_level,
        start_after: None,
    };
    let entries: Vec<Entry> = store.list(options).try_collect().await.expect("a listing");
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

/// A memory store with two objects, and the same store in a dry run.
async fn pair() -> (Arc<dyn Store>, Arc<dyn Store>, Arc<Layer>) {
    let url = StoreUrl::parse("memfs://b/top").expect("a literal URL");
    let base: Arc<dyn Store> = Arc::new(mem::Buckets::default().open(&url));
    write(&*base, "a/one", "1").await;
    write(&*base, "b/two", "2").await;
    let layer = Arc::<Layer>::default();
    let overlay = Arc::new(Overlay::new(
        Arc::clone(&base),
        &url,
        Arc::clone(&layer),
        Arc::default(),
    ));
    (base, overlay, layer)
}

#[tokio::test]
async fn a_dry_run_sees_its_own_changes_and_the_store_sees_none() {
    let (base, dry, layer) = pair().await;
    write(&*dry, "a/new", "n").await;
    write(&*dry, "b/two", "22").await;
    dry.delete(&key("a/one"), Precondition::None)
        .await
        .expect("a delete");
    assert_eq!(names(&*dry, "", false).await, ["a/new", "b/two"]);
    assert_eq!(names(&*dry.at("a"), "", false).await, ["new"]);
    assert_eq!(names(&*base, "", false).await, ["a/one", "b/two"]);
    let read = dry
        .read(&key("b/two"), ReadOptions::default())
        .await
        .expect("an object");
    assert_eq!(read.body.collect(9).await.expect("bytes"), "22");
    let told = |step: Recorded| {
        let sign = match (step.deed, step.before.size) {
            (Deed::Delete, _) => '-',
            (_, None) => '+',
            (_, Some(_)) => '~',
        };
        format!("{sign}{}", step.object.place.prefix)
    };
    let steps: Vec<_> = layer.steps().into_iter().map(told).collect();
    assert_eq!(steps, ["+top/a/new", "~top/b/two", "-top/a/one"]);
}

#[tokio::test]
async fn a_folder_whose_objects_are_all_deleted_is_gone_from_its_level() {
    let (_, dry, _) = pair().await;
    dry.delete(&key("a/one"), Precondition::None)
        .await
        .expect("a delete");
    assert_eq!(names(&*dry, "", true).await, ["b/"]);
}

#[tokio::test]
async fn a_copy_is_a_reference_that_later_changes_of_the_source_dont_reach() {
    let (base, dry, _) = pair().await;
    let from = dry.stat(&key("a/one")).await.expect("an object");
    let options = WriteOptions::if_absent();
    let copied = dry.copy_from(&dry, &from, &key("c/copy"), &options).await;
    assert_eq!(copied.expect("a copy").expect("always possible").size, 1);
    write(&*dry, "a/one", "changed").await;
    let read = dry
        .read(&key("c/copy"), ReadOptions::default())
        .await
        .expect("an object");
    assert_eq!(read.body.collect(9).await.expect("bytes"), "1");
    assert_eq!(names(&*base, "", false).await, ["a/one", "b/two"]);
}

/// A store that any write request fails, as it must not get one in a dry run.
struct ReadOnly(Arc<dyn Store>);

fn unexpected(operation: &'static str) -> crate::store::Error {
    crate::store::Error::new(
        crate::store::ErrorKind::Other,
        operation,
        "a dry run asked the store to change something",
    )
}

#[async_trait::async_trait]
impl Store for ReadOnly {
    fn url(&self) -> &str {
        self.0.url()
    }

    fn place(&self) -> Place {
        self.0.place()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self(self.0.at(folder)))
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.0.stat(key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.0.read(key, options).await
    }

    async fn write(&self, _: &Key, _: Body, _: WriteOptions) -> Result<Meta> {
        Err(unexpected("write"))
    }

    async fn delete(&self, _: &Key, _: Precondition) -> Result<()> {
        Err(unexpected("delete"))
    }

    fn list(&self, options: ListOptions) -> Listing {
        self.0.list(options)
    }

    async fn copy_from(
        &self,
        _: &Arc<dyn Store>,
        _: &Meta,
        _: &Key,
        _: &WriteOptions,
    ) -> Result<Option<Meta>> {
        Err(unexpected("copy"))
    }

    fn backend(&self) -> &dyn std::any::Any {
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_keeps_the_contract_and_the_store_gets_no_write() {
    for folder in ["", "deep/down"] {
        let url = StoreUrl::parse("memfs://b").expect("a literal URL");
        let base: Arc<dyn Store> = Arc::new(mem::Buckets::default().open(&url));
        let base = Arc::new(ReadOnly(base)).at(folder);
        let dry = Arc::new(Overlay::new(base, &url, Arc::default(), Arc::default()));
        let options = contract::Options {
            many: 300,
            large_size: 9 << 20,
            ..contract::Options::default()
        };
        let report = contract::run(dry, options).await;
        assert!(report.passed(), "{report}");
    }
}
