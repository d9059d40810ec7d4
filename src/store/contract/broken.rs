//! The suite against stores that are broken on purpose: each fault must make its check fail,
//! for a suite that can't fail is worth nothing.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use super::super::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions, mem,
};
use super::{Options, Outcome, Report, run};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fault {
    None,
    IgnoresIfAbsent,
    ChecksThenCreates,
    ChecksThenSwaps,
    PretendsIfMatch,
    IgnoresDeleteIfMatch,
    TagIsTheSize,
    TearsWrites,
    KeepsHalfABody,
    IgnoresLength,
    IgnoresChecksum,
    IgnoresRange,
    ReadsAnyVersion,
    FailsToDeleteNothing,
    FailsWithoutKey,
    ListsBackwards,
    LosesAPage,
    RepeatsAPage,
    ListsWhatStartsAlike,
    StartsAtInsteadOfAfter,
    LosesFolders,
    DecodesNames,
    CopiesAnyVersion,
    CopiesOverAnything,
    DropsMetadata,
    DeletesAllButOne,
    Panics,
    Hangs,
}

#[derive(Clone)]
pub(in crate::store) struct Broken {
    inner: Arc<dyn Store>,
    fault: Fault,
    reads: Arc<AtomicU64>,
}

impl Broken {
    /// A memory store with a fault.
    pub(in crate::store) fn new(fault: Fault) -> Self {
        let url = StoreUrl::parse("memfs://suite/inner").expect("a literal URL");
        Self {
            inner: Arc::new(mem::Buckets::default().open(&url)),
            fault,
            reads: Arc::default(),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn retag(&self, mut meta: Meta) -> Meta {
        if self.is(Fault::TagIsTheSize) {
            meta.tag = Some(Tag(meta.size.to_string()));
        }
        meta
    }

    /// A write that looks first and writes later, with time for others in between.
    async fn check(&self, key: &Key, wanted: &Precondition) -> Result<()> {
        let found = self.stat(key).await.ok().and_then(|meta| meta.tag);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        match wanted {
            Precondition::IfAbsent if found.is_some() => {
                Err(Error::new(ErrorKind::AlreadyExists, "write", "it exists"))
            }
            Precondition::IfMatch(tag) if found.as_ref() != Some(tag) => {
                let kind = ErrorKind::PreconditionFailed { found };
                Err(Error::new(kind, "write", "it is another version"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Broken {
    fn url(&self) -> &str {
        self.inner.url()
    }

    fn place(&self) -> Place {
        self.inner.place()
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = self.inner.capabilities();
        can.if_match &= !self.is(Fault::PretendsIfMatch) && !self.is(Fault::TagIsTheSize);
        can.delete_if_match &= !self.is(Fault::TagIsTheSize);
        can
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            inner: self.inner.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        match self.fault {
            Fault::Panics => panic!("on purpose"),
            Fault::Hangs => std::future::pending().await,
            Fault::FailsWithoutKey => self.inner.stat(key).await.map_err(|error| {
                Error::new(error.kind().clone(), "stat", "no such thing").at(self.url(), None)
            }),
            _ => self.inner.stat(key).await.map(|meta| self.retag(meta)),
        }
    }

    async fn read(&self, key: &Key, mut options: ReadOptions) -> Result<Object> {
        if self.is(Fault::IgnoresRange) {
            options.range = None;
        }
        if self.is(Fault::ReadsAnyVersion) || self.is(Fault::TagIsTheSize) {
            options.if_match = None;
        }
        let object = self.inner.read(key, options).await?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(Object {
            meta: self.retag(object.meta),
            body: object.body,
        })
    }

    async fn write(&self, key: &Key, body: Body, mut options: WriteOptions) -> Result<Meta> {
        let conditional = options.precondition != Precondition::None;
        let is_create = options.precondition == Precondition::IfAbsent;
        let mut body = body;
        match self.fault {
            Fault::IgnoresIfAbsent if is_create => options.precondition = Precondition::None,
            Fault::ChecksThenCreates if is_create => {
                self.check(key, &options.precondition).await?;
                options.precondition = Precondition::None;
            }
            Fault::ChecksThenSwaps if conditional && !is_create => {
                self.check(key, &options.precondition).await?;
                options.precondition = Precondition::None;
            }
            Fault::TearsWrites => {
                let whole = body.collect(u64::MAX).await?;
                let half = whole.slice(..whole.len() / 2);
                let reads = self.reads.load(Ordering::SeqCst);
                self.inner
                    .write(key, half.into(), WriteOptions::default())
                    .await?;
                // Only the objects of that size have readers, who get the time to see it.
                let last = Instant::now() + Duration::from_millis(50);
                while whole.len() >= 30_000
                    && self.reads.load(Ordering::SeqCst) < reads + 2
                    && Instant::now() < last
                {
                    tokio::task::yield_now().await;
                }
                body = whole.into();
            }
            Fault::KeepsHalfABody => {
                let arrived = body.into_stream().take_while(|chunk| {
                    let arrived = chunk.is_ok();
                    async move { arrived }
                });
                body = Body::stream(None, arrived);
            }
            Fault::IgnoresLength => body = Body::stream(None, body.into_stream()),
            Fault::IgnoresChecksum => options.checksum = None,
            Fault::DropsMetadata => options.user.clear(),
            Fault::DecodesNames => {
                let decoded = percent_encoding::percent_decode_str(key.as_str());
                let decoded = Key::parse(&decoded.decode_utf8_lossy())?;
                let meta = self.inner.write(&decoded, body, options).await?;
                let key = key.clone();
                return Ok(Meta { key, ..meta });
            }
            _ => {}
        }
        let meta = self.inner.write(key, body, options).await?;
        Ok(self.retag(meta))
    }

    async fn delete(&self, key: &Key, mut precondition: Precondition) -> Result<()> {
        if self.is(Fault::IgnoresDeleteIfMatch) {
            precondition = Precondition::None;
        }
        if self.is(Fault::FailsToDeleteNothing) {
            self.inner.stat(key).await?;
        }
        self.inner.delete(key, precondition).await
    }

    async fn delete_many(&self, mut keys: Vec<Key>) -> Vec<Error> {
        if self.is(Fault::DeletesAllButOne) && keys.len() > 1 {
            keys.pop();
        }
        self.inner.delete_many(keys).await
    }

    fn list(&self, mut options: ListOptions) -> Listing {
        let one_level = options.one_level;
        let folder = std::mem::take(&mut options.below);
        let start = options.start_after.clone();
        match self.fault {
            Fault::ListsWhatStartsAlike => {
                return self
                    .inner
                    .list(options)
                    .try_filter(move |entry| {
                        std::future::ready(entry.name().starts_with(folder.as_str()))
                    })
                    .boxed();
            }
            Fault::StartsAtInsteadOfAfter => options.start_after = None,
            _ => {}
        }
        options.below = folder;
        let store = self.clone();
        let entries = self.inner.list(options).collect::<Vec<_>>();
        stream::once(async move {
            let mut entries: Vec<Result<Entry>> = entries.await;
            let name = |entry: &Result<Entry>| match entry {
                Ok(entry) => entry.name().to_owned(),
                Err(_) => String::new(),
            };
            match store.fault {
                Fault::ListsBackwards => entries.reverse(),
                Fault::LosesAPage if entries.len() > 20 => drop(entries.drain(10..20)),
                Fault::RepeatsAPage if entries.len() > 20 => {
                    let again: Vec<_> = entries[10..20].to_vec();
                    entries.splice(20..20, again);
                }
                Fault::StartsAtInsteadOfAfter => {
                    entries
                        .retain(|entry| start.as_ref().is_none_or(|start| name(entry) >= *start));
                }
                Fault::LosesFolders if one_level => {
                    entries.retain(|entry| !name(entry).ends_with('/'));
                }
                _ => {}
            }
            stream::iter(entries)
        })
        .flatten()
        .map_ok({
            let store = self.clone();
            move |entry| match entry {
                Entry::Object(meta) => Entry::Object(store.retag(meta)),
                other => other,
            }
        })
        .boxed()
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let mut from = from.clone();
        let mut options = options.clone();
        if self.is(Fault::CopiesAnyVersion) || self.is(Fault::TagIsTheSize) {
            from.tag = None;
        }
        if self.is(Fault::CopiesOverAnything) {
            options.precondition = Precondition::None;
        }
        let copied = self.inner.copy_from(source, &from, key, &options).await?;
        Ok(copied.map(|meta| self.retag(meta)))
    }

    fn backend(&self) -> &dyn Any {
        self.inner.backend()
    }
}

fn small() -> Options {
    Options {
        large_size: 3 << 20,
        many: 2100,
        patience: std::time::Duration::from_secs(20),
        ..Options::default()
    }
}

/// Enough to show a fault.
fn tiny() -> Options {
    Options {
        large_size: 256 << 10,
        many: 60,
        ..small()
    }
}

async fn report_on(fault: Fault, options: Options) -> Report {
    run(Arc::new(Broken::new(fault)), options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_passes_at_its_top_and_in_a_folder() {
    for url in ["memfs://top", "memfs://top/a/folder"] {
        let url = StoreUrl::parse(url).expect("a literal URL");
        let store = Arc::new(mem::Buckets::default().open(&url));
        let report = run(store, small()).await;
        assert!(report.passed(), "{report}");
        let skipped = report
            .checks
            .iter()
            .filter(|check| check.outcome != Outcome::Passed);
        assert_eq!(skipped.count(), 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_without_a_fault_passes() {
    let report = report_on(Fault::None, small()).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_fails_its_check() {
    use Fault::*;
    let faults = [
        (IgnoresIfAbsent, "if-absent leaves an existing object alone"),
        (
            ChecksThenCreates,
            "of many that create an object exactly one wins",
        ),
        (ChecksThenSwaps, "of many that swap none loses an update"),
        (PretendsIfMatch, "if-match replaces the version it names"),
        (
            IgnoresDeleteIfMatch,
            "delete-if-match leaves every other version alone",
        ),
        (
            TagIsTheSize,
            "a tag changes with the bytes, also at the same size",
        ),
        (
            TearsWrites,
            "a reader sees one version whole while it is overwritten",
        ),
        (KeepsHalfABody, "a body that breaks off writes nothing"),
        (
            IgnoresLength,
            "a body of another length than announced writes nothing",
        ),
        (IgnoresChecksum, "a wrong checksum writes nothing"),
        (IgnoresRange, "a read gives just the range asked for"),
        (ReadsAnyVersion, "a read gives just the version asked for"),
        (
            FailsToDeleteNothing,
            "a deleted object is gone, and can be deleted again",
        ),
        (FailsWithoutKey, "a missing key is told by its name"),
        (ListsBackwards, "a listing is in byte order"),
        (LosesAPage, "a long listing is complete"),
        (RepeatsAPage, "a long listing is complete"),
        (
            ListsWhatStartsAlike,
            "a folder holds nothing of a name that starts alike",
        ),
        (StartsAtInsteadOfAfter, "a listing starts after any name"),
        (LosesFolders, "a one-level listing folds what lies deeper"),
        (DecodesNames, "odd names are kept to the byte"),
        (
            CopiesAnyVersion,
            "a copy is of the version that was asked for",
        ),
        (CopiesOverAnything, "a copy keeps its preconditions"),
        (DropsMetadata, "content type and user metadata are kept"),
        (DeletesAllButOne, "many objects are deleted at once"),
        (Panics, "a read gives what was written"),
    ];
    for (fault, check) in faults {
        let report = report_on(fault, tiny()).await;
        let failed: Vec<_> = report.failures().map(|(name, _)| name).collect();
        assert!(
            failed.contains(&check),
            "{fault:?} passed '{check}':\n{report}"
        );
    }
}

#[tokio::test]
async fn a_store_that_hangs_fails_instead_of_hanging() {
    let options = Options {
        patience: std::time::Duration::from_millis(30),
        ..tiny()
    };
    let report = report_on(Fault::Hangs, options).await;
    let (_, why) = report.failures().next().expect("a failed check");
    assert_eq!(why, "no end after 30ms");
}

#[tokio::test]
async fn a_place_that_holds_anything_is_left_alone() {
    let url = StoreUrl::parse("memfs://precious").expect("a literal URL");
    let store = Arc::new(mem::Buckets::default().open(&url));
    let key = Key::parse("c/config").expect("a literal key");
    store
        .write(&key, "precious".into(), WriteOptions::default())
        .await
        .expect("a write");
    let report = run(Arc::clone(&store) as Arc<dyn Store>, small()).await;
    assert_eq!(report.checks.len(), 1);
    assert!(!report.passed());
    assert!(store.stat(&key).await.is_ok());
}
