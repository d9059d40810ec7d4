//! How much is held at once, what is carried along, and what is told.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use kstate::store::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, Tag, WriteOptions,
};
use kstate::transfer::{Observer, Outcome, SyncOptions, sync};

use super::odd::{Odd, calls};
use super::{Shared, key, memory, plain, run, store};

const MANY: u64 = 300_000;

/// Shared by a source that makes up its listing as it is read, and a target that only counts.
#[derive(Default)]
struct Gauge {
    lists: AtomicU64,
    listed: AtomicU64,
    copied: AtomicU64,
    most_alive: AtomicU64,
}

struct Endless {
    name: &'static str,
    keys: u64,
    gauge: Arc<Gauge>,
}

fn no<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "try",
        "only listed and copied",
    ))
}

#[async_trait]
impl Store for Endless {
    fn url(&self) -> &str {
        self.name
    }

    fn place(&self) -> Place {
        Place {
            root: self.name.to_owned(),
            prefix: String::new(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        memory("any").capabilities()
    }

    fn at(&self, _folder: &str) -> Shared {
        memory("any")
    }

    async fn stat(&self, _key: &Key) -> Result<Meta> {
        no()
    }

    async fn read(&self, _key: &Key, _options: ReadOptions) -> Result<Object> {
        no()
    }

    async fn write(&self, _key: &Key, _body: Body, _options: WriteOptions) -> Result<Meta> {
        no()
    }

    async fn delete(&self, _key: &Key, _precondition: Precondition) -> Result<()> {
        no()
    }

    fn list(&self, _options: ListOptions) -> Listing {
        let gauge = Arc::clone(&self.gauge);
        // The second listing of the source looks ahead and holds nothing back.
        let counts = self.keys > 0 && gauge.lists.fetch_add(1, Ordering::SeqCst) == 0;
        let entry = move |number| {
            if counts {
                let listed = gauge.listed.fetch_add(1, Ordering::SeqCst) + 1;
                let alive = listed - gauge.copied.load(Ordering::SeqCst);
                gauge.most_alive.fetch_max(alive, Ordering::SeqCst);
            }
            let mut meta = Meta::new(key(&format!("k{number:06}")), 1);
            meta.tag = Some(Tag("t".to_owned()));
            Ok(Entry::Object(meta))
        };
        stream::iter((0..self.keys).map(entry)).boxed()
    }

    async fn copy_from(
        &self,
        _source: &Shared,
        from: &Meta,
        _key: &Key,
        _options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.gauge.copied.fetch_add(1, Ordering::SeqCst);
        Ok(Some(from.clone()))
    }

    fn backend(&self) -> &dyn Any {
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_number_of_objects() {
    let gauge = Arc::new(Gauge::default());
    let end = |name, keys| -> Shared {
        Arc::new(Endless {
            name,
            keys,
            gauge: Arc::clone(&gauge),
        })
    };
    let report = plain(&end("endless://a", MANY), &end("endless://b", 0)).await;
    assert_eq!((report.copied, report.verified.size), (MANY, MANY));
    let alive = gauge.most_alive.load(Ordering::SeqCst);
    assert!(alive < 1200, "{alive} entries were held at once");
}

#[tokio::test]
async fn content_type_and_user_metadata_are_carried() {
    for opaque in [true, false] {
        let source = memory("a");
        let mut options = WriteOptions {
            content_type: Some("application/yaml".to_owned()),
            ..WriteOptions::default()
        };
        options.user.insert("owner".to_owned(), "ops".to_owned());
        let written = source.write(&key("k"), Body::from("x"), options).await;
        written.unwrap();
        let mut from = Odd::new(&source);
        from.opaque = opaque;
        from.listed = Arc::new(|meta| {
            meta.content_type = None;
            meta.user.clear();
        });
        let from = from.share();
        let target = memory("b");
        let report = plain(&from, &target).await;
        assert_eq!((report.streamed == 1, report.metadata_dropped), (opaque, 0));
        let meta = target.stat(&key("k")).await.unwrap();
        assert_eq!(meta.content_type.as_deref(), Some("application/yaml"));
        assert_eq!(meta.user["owner"], "ops");

        let files = Odd::like_files(&memory("c")).share();
        assert_eq!(plain(&from, &files).await.metadata_dropped, 1);
    }
}

#[derive(Default)]
struct Log {
    bytes: AtomicU64,
    ahead: Mutex<Option<(u64, u64)>>,
    done: Mutex<Vec<String>>,
}

impl Observer for Log {
    fn ahead(&self, objects: u64, bytes: u64) {
        *self.ahead.lock().unwrap() = Some((objects, bytes));
    }

    fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::SeqCst);
    }

    fn object_done(&self, key: &Key, outcome: &Outcome) {
        let word = match outcome {
            Outcome::Copied { .. } => "copied",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Deleted => "deleted",
            _ => "trouble",
        };
        self.done.lock().unwrap().push(format!("{key} {word}"));
    }
}

#[tokio::test]
async fn the_observer_hears_of_every_object_and_byte() {
    let source = store("a", &[("a", "1"), ("b", "22"), ("c", "333")]).await;
    let target = store("b", &[("a", "1"), ("d", "4")]).await;
    let log = Arc::new(Log::default());
    let options = SyncOptions {
        concurrency: 1,
        delete: true,
        ..SyncOptions::default()
    };
    let report = sync(&source, &target, options, log.clone()).await.unwrap();
    assert_eq!(log.bytes.load(Ordering::SeqCst), 5);
    assert_eq!(*log.ahead.lock().unwrap(), Some((3, 6)));
    let done = log.done.lock().unwrap().clone();
    assert_eq!(done, ["a unchanged", "b copied", "c copied", "d deleted"]);
    let json = report.to_json();
    assert_eq!(json["copied"], 2);
    assert_eq!(json["verified"]["checksum"], 2);
    assert_eq!(json["extraneous"]["first"][0]["key"], "d");
}

#[tokio::test]
async fn a_large_object_streams_and_is_verified() {
    let source = memory("a");
    let bytes = vec![7; (8 << 20) + 1];
    let body = Body::from(bytes);
    let options = WriteOptions::default();
    source.write(&key("k"), body, options).await.unwrap();
    let mut odd = Odd::new(&memory("b"));
    odd.opaque = true;
    let options = SyncOptions::default();
    let report = run(&source, &odd.share(), options).await.unwrap();
    assert_eq!((report.streamed, report.bytes), (1, (8 << 20) + 1));
    assert_eq!(report.verified.checksum, 1);
}

#[tokio::test]
async fn a_target_that_verifies_writes_is_not_read_back() {
    let source = Odd::like_files(&store("a", &[("k", "1")]).await).share();
    for verifies in [true, false] {
        let mut odd = Odd::like_files(&memory("b"));
        odd.able = Arc::new(move |able| able.verified_writes = verifies);
        let counted = odd.calls.clone();
        assert_eq!(plain(&source, &odd.share()).await.copied, 1);
        assert_eq!(calls(&counted.read), u64::from(!verifies));
    }
}
