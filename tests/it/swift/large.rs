//! Objects that go up in segments.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use kstate::store::{
    Algorithm, Body, Checksum, Entry, ListOptions, Meta, Precondition, ReadOptions, Store, Tag,
    WriteOptions,
};

use super::{clients, key, names, noise, open, scene, write};
use crate::http_double::Double;
use crate::swift_double::{self, Object, Segment, Swift};

const SEGMENTS: &str = ".kstate/segments/state/";

/// A service that keeps segments of what is larger than 128 KiB.
fn small_scene() -> (Double<Swift>, Arc<dyn Store>) {
    let double = swift_double::start();
    double.service().max_file_size = 128 << 10;
    let store = open(&clients(&double), "swift://container/state");
    (double, store)
}

async fn put(store: &Arc<dyn Store>, name: &str, bytes: Bytes) -> Meta {
    let wrote = write(store, name, bytes, WriteOptions::default());
    wrote.await.expect("a write")
}

async fn get(store: &Arc<dyn Store>, name: &str) -> Bytes {
    let read = store.read(&key(name), ReadOptions::default()).await;
    let body = read.expect("an object").body;
    body.collect(u64::MAX).await.expect("the body")
}

async fn listed(store: &Arc<dyn Store>) -> Vec<Entry> {
    let entries = store.list(ListOptions::default()).try_collect();
    entries.await.expect("a list")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_into_one_object_is_one_in_the_end() {
    let (double, store) = scene();
    let bytes = noise((256 << 10) + 17);
    let options = WriteOptions {
        content_type: Some("text/x".to_owned()),
        user: [("who".to_owned(), "mé".to_owned())].into(),
        ..WriteOptions::default()
    };
    for size in [None, Some(bytes.len() as u64)] {
        let body = Body::stream(size, futures::stream::iter([Ok(bytes.clone())]));
        let meta = write(&store, "k", body, options.clone()).await;
        let meta = meta.expect("a write");
        let sum = Checksum::of(Algorithm::Md5, &bytes);
        assert_eq!(meta.tag, Some(Tag(sum.hex())));
        assert_eq!(meta.checksum, Some(sum));
        let told = store.stat(&key("k")).await.expect("an object");
        assert_eq!((told.tag, told.checksum), (meta.tag, meta.checksum));
        assert_eq!(told.content_type.as_deref(), Some("text/x"));
        assert_eq!(told.user, options.user);
        assert_eq!(names(&double), ["state/k"]);
        let stored = double.service().objects("container")["state/k"].clone();
        assert!(stored.segments.is_none() && stored.bytes == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_doesnt_keeps_segments_that_nobody_sees() {
    let (double, store) = small_scene();
    let bytes = noise((256 << 10) + 17);
    let written = put(&store, "k", bytes.clone()).await;
    put(&store, "small", "x".into()).await;
    let stored = names(&double);
    let segments = stored.iter().filter(|name| name.starts_with(SEGMENTS));
    assert_eq!(segments.count(), 5, "{stored:?}");
    assert!(get(&store, "k").await == bytes);

    let entries = listed(&store).await;
    let [Entry::Object(large), Entry::Object(small)] = &entries[..] else {
        panic!("{entries:?}");
    };
    let told = store.stat(&key("k")).await.expect("an object");
    assert_eq!((large.size, &large.tag), (told.size, &told.tag));
    assert_eq!(written.tag, told.tag);
    // Its ETag is not the MD5 of its bytes, wherever it stands.
    assert_eq!(
        (&large.checksum, &told.checksum, &written.checksum),
        (&None, &None, &None)
    );
    assert!(small.checksum.is_some());

    let top = open(&clients(&double), "swift://container");
    let names = |options: ListOptions| {
        let listing = top.list(options).map_ok(|entry| entry.name().to_owned());
        listing.try_collect::<Vec<_>>()
    };
    let all = names(ListOptions::default()).await.expect("a list");
    assert_eq!(all, ["state/k", "state/small"]);
    let below = ListOptions {
        one_level: true,
        ..ListOptions::recursive(".kstate")
    };
    assert_eq!(names(below).await.expect("a list"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_with_the_object_that_needs_them() {
    let large = noise((256 << 10) + 17);
    for (what, stay) in [
        ("overwrite", 1),
        ("overwrite by a stream", 1),
        ("delete", 0),
        ("delete many", 1),
        ("copy", 2),
        ("overwrite as large", 6),
    ] {
        for same_process in [true, false] {
            let (double, store) = small_scene();
            put(&store, "k", large.clone()).await;
            // Another process finds out by itself.
            let other = open(&clients(&double), "swift://container/state");
            let store = if same_process { store } else { other };
            match what {
                "overwrite" => drop(put(&store, "k", "new".into()).await),
                "overwrite by a stream" => drop(put(&store, "k", noise(100 << 10)).await),
                "overwrite as large" => drop(put(&store, "k", noise((256 << 10) | 1)).await),
                "delete" => {
                    let deleted = store.delete(&key("k"), Precondition::None).await;
                    deleted.expect("a delete");
                }
                "delete many" => {
                    for name in ["a", "b", "c"] {
                        put(&store, name, "x".into()).await;
                    }
                    let keys = ["a", "k", "b"].map(key).to_vec();
                    assert!(store.delete_many(keys).await.is_empty());
                }
                _ => {
                    let from = put(&store, "from", "small".into()).await;
                    let options = WriteOptions::default();
                    let copied = store.copy_from(&store, &from, &key("k"), &options).await;
                    assert!(copied.expect("a copy").is_some());
                }
            }
            let left = names(&double);
            assert_eq!(left.len(), stay, "{what}, {same_process}: {left:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_copied_by_the_service_while_it_fits() {
    let (double, store) = small_scene();
    let large = noise((256 << 10) + 17);
    let from = put(&store, "from", large.clone()).await;
    let options = WriteOptions::default();
    let copied = store.copy_from(&store, &from, &key("to"), &options).await;
    assert!(copied.expect("no failure").is_none(), "it is too large");
    double.service().max_file_size = 2 << 20;
    // Another process asks anew what the service takes.
    let store = open(&clients(&double), "swift://container/state");
    let copied = store.copy_from(&store, &from, &key("to"), &options).await;
    let copied = copied.expect("a copy").expect("on the server");
    assert_eq!(copied.checksum, Some(Checksum::of(Algorithm::Md5, &large)));
    store
        .delete(&key("from"), Precondition::None)
        .await
        .expect("a delete");
    assert!(
        get(&store, "to").await == large,
        "it has nothing of the other's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_write_left_goes_and_nothing_else() {
    let (double, store) = small_scene();
    put(&store, "kept", noise((256 << 10) + 17)).await;
    {
        let mut service = double.service();
        for name in [
            "kept/1/00000",
            "kept/1/00001",
            "gone/2/00000",
            "now/3/00000",
        ] {
            let object = Object {
                bytes: "left".into(),
                ..Object::default()
            };
            let name = format!("{SEGMENTS}{name}");
            service.put(("AUTH_p1", "container", &name), object);
        }
        let day = 25 * 60 * 60 * 1_000_000;
        for (name, object) in service.objects("container") {
            if !name.contains("/now/") {
                object.timestamp -= day;
            }
        }
    }
    let before = names(&double).len();
    // Only who leaves segments itself looks for others'.
    let other = open(&clients(&double), "swift://container/state");
    put(&other, "small", "x".into()).await;
    assert_eq!(names(&double).len(), before + 1);
    put(&other, "second", noise((256 << 10) + 17)).await;
    let left = names(&double);
    let of = |name: &str| {
        let folder = format!("{SEGMENTS}{name}/");
        left.iter().filter(|name| name.starts_with(&folder)).count()
    };
    assert_eq!(
        (of("kept"), of("gone"), of("now"), of("second")),
        (5, 0, 1, 5)
    );
    assert!(get(&other, "kept").await.len() > 256 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_others_stay() {
    let (double, store) = small_scene();
    let mut theirs = Object::default();
    {
        let mut service = double.service();
        let segment = Object {
            bytes: "theirs".into(),
            ..Object::default()
        };
        service.put(("AUTH_p1", "other", "segment"), segment.clone());
        // One of ours, of a write that ended early.
        let left = format!("{SEGMENTS}k/1/00000");
        service.put(("AUTH_p1", "container", &left), segment);
        theirs.segments = Some(vec![Segment {
            name: "/other/segment".to_owned(),
            hash: Checksum::of(Algorithm::Md5, b"theirs").hex(),
            size: 6,
        }]);
        service.put(("AUTH_p1", "container", "state/k"), theirs);
    }
    assert_eq!(get(&store, "k").await, "theirs");
    let deleted = store.delete(&key("k"), Precondition::None).await;
    deleted.expect("a delete");
    assert!(!names(&double).contains(&"state/k".to_owned()));
    assert!(double.service().objects("other").contains_key("segment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_large_objects_says_so() {
    let (double, store) = scene();
    double.service().has_large_objects = false;
    store.learn().await.expect("an answer");
    assert_eq!(store.capabilities().max_size, Some(64 << 10));
    let wrote = write(&store, "k", noise(80 << 10), WriteOptions::default());
    let error = wrote.await.expect_err("too large");
    assert_eq!(error.kind().name(), "unsupported", "{error}");
    assert!(
        error.to_string().contains("no static large objects"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_replica_that_lags_gets_the_old_version_or_the_new() {
    let (double, store) = small_scene();
    let [old, new] = [noise(256 << 10), noise((256 << 10) + 17)];
    put(&store, "k", old).await;
    double.service().lags = true;
    put(&store, "k", new.clone()).await;
    assert!(
        get(&store, "k").await == new,
        "the old one's segments are gone"
    );
}
