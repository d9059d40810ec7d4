//! Every store answers random sequences of operations as the memory store does.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures::TryStreamExt;
use kstate::session::{Mode, Session};
use kstate::store::file::FileStore;
use kstate::store::mem::Buckets;
use kstate::store::registry::Env;
use kstate::store::{
    Entry, Key, ListOptions, Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Names that no hierarchical store refuses together.
const KEYS: [&str; 12] = [
    "a!",
    "a-b/c",
    "a/b",
    "a/c/d",
    "a/c/e",
    "a0",
    "b",
    "c1/config",
    "c1/pki/x",
    "c10/config",
    "é",
    "z/\u{10ffff}",
];

#[derive(Clone, Debug)]
enum Operation {
    Put(usize, Vec<u8>),
    Create(usize, Vec<u8>),
    /// With the version that was current so many writes of this key ago.
    Swap(usize, usize, Vec<u8>),
    Delete(usize),
    DeleteVersion(usize, usize),
    Stat(usize),
    Read(usize, Option<Range<u64>>),
    ReadVersion(usize, usize),
    Copy(usize, usize),
    List(ListOptions),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let key = 0..KEYS.len();
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    let version = 0..3usize;
    let range = prop::option::of((0..25u64, 0..25u64).prop_map(|(a, b)| a.min(b)..a.max(b)));
    let one = prop_oneof![
        4 => (key.clone(), bytes.clone()).prop_map(|(k, b)| Operation::Put(k, b)),
        2 => (key.clone(), bytes.clone()).prop_map(|(k, b)| Operation::Create(k, b)),
        2 => (key.clone(), version.clone(), bytes).prop_map(|(k, v, b)| Operation::Swap(k, v, b)),
        2 => key.clone().prop_map(Operation::Delete),
        1 => (key.clone(), version.clone()).prop_map(|(k, v)| Operation::DeleteVersion(k, v)),
        1 => key.clone().prop_map(Operation::Stat),
        2 => (key.clone(), range).prop_map(|(k, r)| Operation::Read(k, r)),
        1 => (key.clone(), version).prop_map(|(k, v)| Operation::ReadVersion(k, v)),
        1 => (key.clone(), key).prop_map(|(a, b)| Operation::Copy(a, b)),
        3 => listings(prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned).boxed())
            .prop_map(Operation::List),
    ];
    prop::collection::vec(one, 1..40)
}

fn listings(start: BoxedStrategy<String>) -> impl Strategy<Value = ListOptions> {
    let below = prop::sample::select(vec!["", "a", "a/c", "c", "c1", "b", "z", "nothing"]);
    (below, any::<bool>(), prop::option::of(start)).prop_map(|(below, one_level, start_after)| {
        ListOptions {
            below: below.to_owned(),
            one_level,
            start_after,
        }
    })
}

/// A store, and the versions that its writes told of.
struct Side {
    store: Arc<dyn Store>,
    tags: HashMap<usize, Vec<Tag>>,
}

impl Side {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            tags: HashMap::new(),
        }
    }

    fn tag(&self, key: usize, back: usize) -> Tag {
        let tags = self.tags.get(&key).map_or(&[][..], Vec::as_slice);
        tags.iter()
            .rev()
            .nth(back)
            .cloned()
            .unwrap_or(Tag("never".into()))
    }

    async fn write(&mut self, at: usize, bytes: &[u8], options: WriteOptions) -> Result<String> {
        let meta = self
            .store
            .write(&key(at), bytes.to_vec().into(), options)
            .await?;
        self.tags.entry(at).or_default().extend(meta.tag);
        Ok(format!("{} {}", meta.key, meta.size))
    }

    async fn read(&self, at: usize, options: ReadOptions) -> Result<String> {
        let object = self.store.read(&key(at), options).await?;
        let size = object.meta.size;
        Ok(format!("{size} {:?}", object.body.collect(u64::MAX).await?))
    }

    async fn answer(&mut self, operation: &Operation) -> Result<String> {
        match operation {
            Operation::Put(at, bytes) => self.write(*at, bytes, WriteOptions::default()).await,
            Operation::Create(at, bytes) => self.write(*at, bytes, WriteOptions::if_absent()).await,
            Operation::Swap(at, back, bytes) => {
                let options = WriteOptions::if_match(self.tag(*at, *back));
                self.write(*at, bytes, options).await
            }
            Operation::Delete(at) => {
                self.store.delete(&key(*at), Precondition::None).await?;
                Ok("deleted".into())
            }
            Operation::DeleteVersion(at, back) => {
                let wanted = Precondition::IfMatch(self.tag(*at, *back));
                self.store.delete(&key(*at), wanted).await?;
                Ok("deleted".into())
            }
            Operation::Stat(at) => {
                let meta = self.store.stat(&key(*at)).await?;
                Ok(format!("{} {} {}", meta.key, meta.size, meta.tag.is_some()))
            }
            Operation::Read(at, range) => {
                let range = range.clone();
                self.read(
                    *at,
                    ReadOptions {
                        range,
                        if_match: None,
                    },
                )
                .await
            }
            Operation::ReadVersion(at, back) => {
                let if_match = Some(self.tag(*at, *back));
                self.read(
                    *at,
                    ReadOptions {
                        range: None,
                        if_match,
                    },
                )
                .await
            }
            Operation::Copy(from, to) => self.copy(*from, *to).await,
            Operation::List(options) => names(&self.store, options).await,
        }
    }

    async fn copy(&mut self, from: usize, to: usize) -> Result<String> {
        let meta = self.store.stat(&key(from)).await?;
        let options = WriteOptions::default();
        let copied = self
            .store
            .copy_from(&self.store, &meta, &key(to), &options)
            .await?;
        let size = copied.as_ref().map(|copied| copied.size);
        self.tags
            .entry(to)
            .or_default()
            .extend(copied.and_then(|copied| copied.tag));
        Ok(format!("copied {size:?}"))
    }
}

fn key(at: usize) -> Key {
    Key::parse(KEYS[at]).expect("a literal key")
}

async fn names(store: &Arc<dyn Store>, options: &ListOptions) -> Result<String> {
    let entries: Vec<_> = store.list(options.clone()).try_collect().await?;
    let shown = entries.iter().map(|entry| match entry {
        Entry::Object(meta) => format!("{} {}", meta.key, meta.size),
        other => format!("{other:?}"),
    });
    Ok(shown.collect::<Vec<_>>().join("\n"))
}

fn memory() -> Arc<dyn Store> {
    let url = StoreUrl::parse("memfs://model").expect("a literal URL");
    Arc::new(Buckets::default().open(&url))
}

/// A file store with the folder it lives in.
fn files() -> (Arc<dyn Store>, Box<dyn Any>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = StoreUrl::parse(folder.path().to_str().expect("UTF-8")).expect("a path");
    let store = FileStore::open_with(&url, false).expect("a store");
    (Arc::new(store), Box::new(folder))
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

/// An S3 store with the service it lives in.
fn s3() -> (Arc<dyn Store>, Box<dyn Any>) {
    let (double, store) = crate::s3::on_aws();
    (store, Box::new(double))
}

/// A memory store in a dry run.
fn dry_run() -> (Arc<dyn Store>, Box<dyn Any>) {
    let session = Session::new(Env::default(), Mode::DryRun);
    let url = StoreUrl::parse("memfs://model").expect("a literal URL");
    let store = session.open(&url).expect("a store");
    (store, Box::new(session))
}

/// Where a version is the MD5 of the content, writing the same bytes again brings an old version
/// back: only the newest is asked for.
fn newest_only(operation: Operation) -> Operation {
    match operation {
        Operation::Swap(at, _, bytes) => Operation::Swap(at, 0, bytes),
        Operation::DeleteVersion(at, _) => Operation::DeleteVersion(at, 0),
        Operation::ReadVersion(at, _) => Operation::ReadVersion(at, 0),
        // S3 doesn't copy an object onto itself.
        Operation::Copy(from, to) if from == to => Operation::Stat(from),
        other => other,
    }
}

/// Checks a store against the memory store; `open` gives an empty one and what keeps it alive.
fn agrees_with_memory(cases: u32, open: impl Fn() -> (Arc<dyn Store>, Box<dyn Any>)) {
    agrees_on(cases, &operations(), open);
}

fn agrees_on(
    cases: u32,
    operations: &impl Strategy<Value = Vec<Operation>>,
    open: impl Fn() -> (Arc<dyn Store>, Box<dyn Any>),
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let checked = runner(cases).run(operations, |operations| {
        let (store, _alive) = open();
        let mut real = Side::new(store);
        let mut model = Side::new(memory());
        for operation in &operations {
            let (found, wanted) = runtime
                .block_on(async { (real.answer(operation).await, model.answer(operation).await) });
            let said = |answer: Result<String>| answer.map_err(|error| error.kind().name());
            prop_assert_eq!(said(found), said(wanted), "{:?}", operation);
        }
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn memory_agrees_with_itself() {
    agrees_with_memory(50, || (memory(), Box::new(())));
}

#[test]
fn files_agree_with_memory() {
    agrees_with_memory(150, files);
}

#[test]
fn s3_agrees_with_memory() {
    let newest = operations().prop_map(|all| all.into_iter().map(newest_only).collect());
    agrees_on(25, &newest, s3);
}

#[test]
fn a_dry_run_agrees_with_memory() {
    agrees_with_memory(150, dry_run);
}

#[test]
fn files_list_any_names_as_memory_does() {
    let name = "[ab0!.-]{1,2}(/[ab0!é-]{1,2}){0,3}";
    let case = (
        prop::collection::btree_set(name, 0..30),
        prop::collection::vec(listings(name.boxed()), 5),
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let checked = runner(60).run(&case, |(names_, listings)| {
        let (real, _alive) = files();
        let model = memory();
        runtime.block_on(async {
            for name in &names_ {
                let Ok(key) = Key::parse(name) else { continue };
                // What can't be beside the others on a file system is left out of both.
                if real
                    .write(&key, "x".into(), WriteOptions::default())
                    .await
                    .is_ok()
                {
                    let written = model.write(&key, "x".into(), WriteOptions::default()).await;
                    prop_assert!(written.is_ok());
                }
            }
            for options in &listings {
                let found = names(&real, options).await;
                let wanted = names(&model, options).await;
                prop_assert_eq!(found.ok(), wanted.ok(), "{:?}", options);
            }
            Ok(())
        })
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
