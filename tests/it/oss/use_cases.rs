//! Copies, what is seen of objects that others made, and the whole program.

use futures::TryStreamExt;
use kstate::store::{
    Algorithm, Body, Entry, ListOptions, Precondition, ReadOptions, Tag, WriteOptions,
};

use super::{ENVIRONMENT, clients, key, noise, open, open_with, put, scene};
use crate::oss_double;
use crate::scripts::assert_comes_back;
use crate::support::{Desk, Ended, sample};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_went_up_in_one_request_has_an_md5() {
    let (_double, store) = scene();
    let small = put(&store, "a", "x").await.expect("a write");
    let large = put(&store, "b", noise(300 << 10)).await.expect("a write");
    let algorithm = |meta: &kstate::store::Meta| meta.checksum.as_ref().map(|sum| sum.algorithm);
    let (md5, crc) = (Some(Algorithm::Md5), Some(Algorithm::Crc64Ecma));
    assert_eq!(algorithm(&small), md5);
    assert_eq!(algorithm(&large), crc);
    let entries: Vec<Entry> = store
        .list(ListOptions::default())
        .try_collect()
        .await
        .expect("a list");
    let listed = entries.iter().map(|entry| match entry {
        Entry::Object(meta) => algorithm(meta),
        other => panic!("{other:?}"),
    });
    assert_eq!(listed.collect::<Vec<_>>(), [md5, None]);
    for (name, wanted) in [("a", md5), ("b", crc)] {
        let stat = store.stat(&key(name)).await.expect("an object");
        let read = store.read(&key(name), ReadOptions::default()).await;
        assert_eq!(algorithm(&stat), wanted);
        assert_eq!(algorithm(&read.expect("an object").meta), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_of_ours_is_shown() {
    let (double, store) = scene();
    for name in ["state/a", "state/a//b", "state/folder/", "state2/x"] {
        let mut service = double.service();
        let bucket = service.buckets.get_mut("bucket").expect("a bucket");
        bucket.put(name, oss_double::Object::normal("x"), String::new());
    }
    let entries: Vec<Entry> = store
        .list(ListOptions::default())
        .try_collect()
        .await
        .expect("a list");
    let names: Vec<_> = entries.iter().map(Entry::name).collect();
    assert_eq!(names, ["a", "a//b", "folder/"]);
    assert!(matches!(
        &entries[1..],
        [Entry::Foreign { .. }, Entry::Foreign { .. }]
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_versions_are_refused_and_said_so() {
    let (double, store) = scene();
    let tag = Tag("0".repeat(32));
    let options = WriteOptions::if_match(tag.clone());
    let swap = store.write(&key("k"), Body::from("x"), options).await;
    let delete = store.delete(&key("k"), Precondition::IfMatch(tag)).await;
    for error in [swap.map(drop), delete].map(|done| done.expect_err("refused")) {
        assert_eq!(error.kind().name(), "unsupported");
        assert!(
            error.to_string().contains("has no compare-and-swap"),
            "{error}"
        );
    }
    assert_eq!(double.requests(), [""; 0], "it need not be asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_run_on_the_server_within_a_region_or_not_at_all() {
    let (double, _) = scene();
    let clients = clients();
    let store = open_with(&clients, &double, "oss://bucket/state");
    let other = open_with(&clients, &double, "oss://other");
    let options = WriteOptions {
        content_type: Some("text/plain".into()),
        user: [("a".to_owned(), "b".to_owned())].into(),
        ..WriteOptions::default()
    };
    // The larger one goes in parts, since the service copies no more at once.
    for (name, size) in [("small", 10), ("large", 600 << 10)] {
        let bytes = noise(size);
        let body = bytes.clone().into();
        let written = store.write(&key(name), body, options.clone()).await;
        let from = written.expect("a write");
        double.requests();
        let copied = other
            .copy_from(&store, &from, &key(name), &WriteOptions::if_absent())
            .await;
        let copied = copied.expect("a copy").expect("on the server");
        let requests = double.requests();
        assert!(
            !requests.iter().any(|line| line.starts_with("GET /bucket/")),
            "{requests:?}"
        );
        let there = other.read(&key(name), ReadOptions::default()).await;
        let there = there.expect("an object");
        assert_eq!(
            (&there.meta.tag, there.meta.size),
            (&copied.tag, copied.size)
        );
        assert_eq!(there.meta.content_type.as_deref(), Some("text/plain"));
        assert_eq!(there.meta.user, options.user);
        assert!(there.body.collect(u64::MAX).await.expect("bytes") == bytes);
        let again = other
            .copy_from(&store, &from, &key(name), &WriteOptions::if_absent())
            .await;
        assert_eq!(
            again.expect_err("it exists").kind().name(),
            "already_exists"
        );
        put(&store, name, "new").await.expect("a write");
        let stale = other
            .copy_from(&store, &from, &key("stale"), &WriteOptions::default())
            .await;
        let stale = stale.expect_err("another version");
        assert_eq!(stale.kind().name(), "precondition_failed");
        assert_eq!(stale.store(), "oss://bucket/state");
    }
    assert_eq!(double.service().unfinished_uploads(), 0);
    let from = store.stat(&key("small")).await.expect("an object");
    double.service().refuses_copies = true;
    let copied = other
        .copy_from(&store, &from, &key("second"), &WriteOptions::default())
        .await;
    assert!(copied.expect("no failure").is_none());
    let foreign = open(&double, "oss://other");
    let copied = foreign
        .copy_from(&store, &from, &key("third"), &WriteOptions::default())
        .await;
    assert!(copied.expect("no failure").is_none(), "another account's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_answer_was_lost_is_found_again() {
    use crate::http_double::Fault;
    let (double, store) = scene();
    let from = put(&store, "from", "x").await.expect("a write");
    double.once(
        |request| request.headers.contains_key("x-oss-copy-source"),
        Fault::LoseAnswer,
    );
    let copied = store
        .copy_from(&store, &from, &key("to"), &WriteOptions::if_absent())
        .await;
    assert_eq!(copied.expect("ours").expect("on the server").size, 1);
}

#[test]
fn a_store_moves_there_and_back() {
    let double = oss_double::start();
    let desk = Desk::new();
    let store = format!("oss://bucket/state?endpoint={}", double.endpoint());
    assert_comes_back(&desk, &sample(), &[&store], &ENVIRONMENT);
    let mut status = desk.kstate(&["lock", "status", &store]);
    status.envs(ENVIRONMENT);
    let status = Ended::of(status).with(0);
    assert!(!status.stdout.contains("atomic"), "{}", status.stdout);
}
