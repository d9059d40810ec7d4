//! Large objects: chunks, and what is left of them.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use kstate::store::k8s::Tuning;
use kstate::store::{Body, Error, ErrorKind, Precondition, ReadOptions, WriteOptions};

use super::{chunks, key, noise, open, open_with, put, quick, read, scene, write};
use crate::k8s_double::{Action, Fault, K8sDouble};

#[tokio::test]
async fn the_object_is_written_last_and_names_its_chunks() {
    let (double, store) = scene();
    let bytes = noise(1, 35_000);
    write(&store, "k", bytes.clone()).await;
    assert_eq!(chunks(&double).len(), 4);
    let created: Vec<_> = double.requests();
    let created = created.iter().filter(|request| request.verb == "create");
    let names: Vec<_> = created.map(|request| request.name.clone()).collect();
    assert_eq!(names.len(), 5);
    assert!(names[..4].iter().all(|name| name.starts_with("ks-chunk-")));
    assert!(read(&store, "k").await.expect("the object") == bytes);
    // Of bytes that aren't compressed only the chunks that are asked for are read.
    double.reset_counts();
    let options = ReadOptions {
        range: Some(15_000..15_010),
        ..ReadOptions::default()
    };
    let part = store.read(&key("k"), options).await.expect("a part");
    assert_eq!(
        part.body.collect(100).await.expect("bytes"),
        bytes[15_000..15_010]
    );
    assert_eq!(double.count("get", "secrets"), 2);
}

#[tokio::test]
async fn a_large_text_is_compressed_into_fewer_chunks() {
    let (double, store) = scene();
    let lines: Vec<_> = (0..20_000).map(|number| format!("line {number}")).collect();
    let text = lines.join("\n");
    write(&store, "k", text.clone()).await;
    assert!(chunks(&double).len() * 10_000 < text.len() / 2);
    assert!(read(&store, "k").await.expect("the object") == text.as_bytes());
    let options = ReadOptions {
        range: Some(100_000..100_020),
        ..ReadOptions::default()
    };
    let part = store.read(&key("k"), options).await.expect("a part");
    let part = part.body.collect(100).await.expect("bytes");
    assert_eq!(part, &text.as_bytes()[100_000..100_020]);
}

#[tokio::test]
async fn what_fits_into_a_secret_once_it_is_compressed_has_no_chunks() {
    let (double, store) = scene();
    let text = b"again and again ".repeat(5000);
    write(&store, "k", text.clone()).await;
    assert_eq!(double.requests().len(), 1);
    assert!(read(&store, "k").await.expect("the object") == text);
}

#[tokio::test]
async fn an_overwrite_and_a_delete_take_the_chunks_along() {
    let (double, store) = scene();
    let first = write(&store, "k", noise(1, 25_000)).await;
    let before = chunks(&double);
    let options = WriteOptions::if_match(first.tag.expect("a tag"));
    put(&store, "k", noise(2, 25_000), options)
        .await
        .expect("a swap");
    let after = chunks(&double);
    assert_eq!(after.len(), 3);
    assert!(after.iter().all(|chunk| !before.contains(chunk)));
    let small = write(&store, "k", "small").await;
    assert_eq!(chunks(&double), Vec::<String>::new());
    let options = WriteOptions::if_match(small.tag.expect("a tag"));
    let large = put(&store, "k", noise(3, 25_000), options)
        .await
        .expect("a swap");
    let this = Precondition::IfMatch(large.tag.expect("a tag"));
    store.delete(&key("k"), this).await.expect("a delete");
    assert_eq!(chunks(&double), Vec::<String>::new());
    write(&store, "k", noise(4, 25_000)).await;
    assert_eq!(store.delete_many(vec![key("k")]).await.len(), 0);
    assert_eq!(double.objects("secrets", "state").len(), 0);
}

#[tokio::test]
async fn a_write_that_fails_takes_its_chunks_back() {
    let (double, store) = scene();
    write(&store, "k", noise(1, 25_000)).await;
    let kept = chunks(&double);
    let cut: kstate::store::Result<Bytes> = Err(Error::new(ErrorKind::Other, "read", "cut"));
    let parts = vec![Ok(Bytes::from(noise(2, 25_000))), cut];
    let broken = Body::stream(None, stream::iter(parts));
    let result = store
        .write(&key("k"), broken, WriteOptions::default())
        .await;
    result.expect_err("a broken body");
    assert_eq!(chunks(&double), kept);
    let refused = put(&store, "k", noise(3, 25_000), WriteOptions::if_absent()).await;
    assert!(refused.expect_err("it is there").is_conflict());
    assert_eq!(chunks(&double), kept);
    let forbidden = Action::Status(403, "Forbidden", "no");
    double.fault(
        Fault::on("create", "secrets")
            .named("ks-chunk-")
            .nth(2)
            .then(forbidden),
    );
    put(&store, "new", noise(4, 25_000), WriteOptions::default())
        .await
        .expect_err("refused");
    assert_eq!(chunks(&double), kept);
    assert!(read(&store, "k").await.expect("the object") == noise(1, 25_000));
}

/// A reader has the head of a version that is replaced before it has its chunks.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_object_is_replaced_gets_the_new_one_whole() {
    let (double, store) = scene();
    let old = write(&store, "k", noise(1, 35_000)).await;
    let replace = |seed: u64| {
        let config = double.kubeconfig("admin");
        move || {
            let config = config.clone();
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    let other = open_with(&config, quick(), "k8s:///state/x");
                    write(&other, "k", noise(seed, 45_000)).await;
                });
            });
            other.join().expect("a write");
        }
    };
    let chunk = || Fault::on("get", "secrets").named("ks-chunk-").nth(2);
    double.fault(chunk().then(Action::call(replace(2))));
    let found = read(&store, "k").await.expect("the object");
    assert!(found == noise(2, 45_000));
    // Whoever wants just the old one is told.
    double.fault(chunk().then(Action::call(replace(3))));
    let current = store.stat(&key("k")).await.expect("metadata").tag;
    assert_ne!(current, old.tag);
    let only = ReadOptions {
        if_match: current,
        ..ReadOptions::default()
    };
    let error = store
        .read(&key("k"), only)
        .await
        .map(|_| ())
        .expect_err("replaced");
    assert!(error.is_conflict(), "{error}");
}

#[tokio::test]
async fn a_read_that_began_is_not_broken_off_by_an_overwrite() {
    let (_double, store) = scene();
    write(&store, "k", noise(1, 35_000)).await;
    let object = store
        .read(&key("k"), ReadOptions::default())
        .await
        .expect("a read");
    let mut body = object.body.into_stream();
    let first = body.next().await.expect("a part").expect("bytes");
    write(&store, "k", noise(2, 35_000)).await;
    let mut whole = first.to_vec();
    while let Some(part) = body.next().await {
        whole.extend_from_slice(&part.expect("bytes"));
    }
    assert!(whole == noise(1, 35_000));
}

#[tokio::test]
async fn a_chunk_that_somebody_deleted_is_told() {
    let (double, store) = scene();
    write(&store, "k", noise(1, 25_000)).await;
    double.remove("secrets", "state", &chunks(&double)[1]);
    let error = read(&store, "k").await.expect_err("a chunk is gone");
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("chunks is gone"), "{error}");
}

/// Chunks of a write that ended without a word, as when its process was killed.
async fn interrupted(double: &K8sDouble, name: &str) {
    let store = open(double, "admin", quick(), "k8s:///state/x");
    let stalled = stream::iter([Ok(Bytes::from(noise(9, 25_000)))]).chain(stream::pending());
    let body = Body::stream(None, stalled);
    let before = chunks(double).len();
    let write = tokio::spawn({
        let key = key(name);
        async move { store.write(&key, body, WriteOptions::default()).await }
    });
    while chunks(double).len() < before + 2 {
        tokio::task::yield_now().await;
    }
    write.abort();
    let _ = write.await;
}

#[tokio::test]
async fn what_an_interrupted_write_left_goes_when_it_is_old_and_nothing_else() {
    let (double, _) = scene();
    interrupted(&double, "lost").await;
    let store = open(&double, "admin", quick(), "k8s:///state/x");
    write(&store, "old", noise(1, 25_000)).await;
    assert_eq!(chunks(&double).len(), 2 + 3, "too young to go");
    double.advance(Duration::from_hours(25));
    interrupted(&double, "young").await;
    // Once in a process.
    write(&store, "again", noise(2, 25_000)).await;
    assert_eq!(chunks(&double).len(), 2 + 3 + 2 + 3);
    let fresh = open(&double, "admin", quick(), "k8s:///state/y");
    write(&fresh, "new", noise(3, 25_000)).await;
    assert_eq!(
        chunks(&double).len(),
        3 + 2 + 3 + 3,
        "of the lost one nothing"
    );
    for (store, name, seed) in [(&store, "old", 1), (&store, "again", 2), (&fresh, "new", 3)] {
        assert!(read(store, name).await.expect("the object") == noise(seed, 25_000));
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_gives_up_before_its_chunks_go() {
    let double = K8sDouble::builder().namespace("state").start();
    let tuning = Tuning {
        write_within: Duration::ZERO,
        ..quick()
    };
    let store = open(&double, "admin", tuning, "k8s:///state");
    let error = put(&store, "k", noise(1, 25_000), WriteOptions::default()).await;
    let error = error.expect_err("too late");
    assert!(error.to_string().contains("took so long"), "{error}");
    assert_eq!(double.objects("secrets", "state").len(), 0);
}
