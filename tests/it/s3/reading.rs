//! What comes down, whole and in ranges, when connections break.

use bytes::Bytes;
use kstate::store::{ErrorKind, ReadOptions, Result, Tag};

use super::{key, on_aws, scene, text, write};
use crate::s3_double::{Action, Fault, Personality};

const SIZE: usize = 300_000;

fn bytes() -> Bytes {
    (0..SIZE)
        .map(|n| u8::try_from(n % 251).unwrap_or(0))
        .collect()
}

async fn read(
    store: &std::sync::Arc<dyn kstate::store::Store>,
    options: ReadOptions,
) -> Result<Bytes> {
    let object = store.read(&key("a"), options).await?;
    object.body.collect(1 << 30).await
}

fn range(start: u64, end: u64) -> ReadOptions {
    ReadOptions {
        range: Some(start..end),
        if_match: None,
    }
}

#[tokio::test]
async fn a_broken_body_is_taken_up_where_it_broke_off() {
    let (double, store) = on_aws();
    double.put("bucket", "state/a", bytes());
    double.fault(Fault::on("GetObject").then(Action::ResetAfter(100_000)));
    double.fault(
        Fault::on("GetObject")
            .nth(2)
            .then(Action::ResetAfter(50_000)),
    );
    assert_eq!(
        read(&store, ReadOptions::default())
            .await
            .expect("all of it"),
        bytes()
    );
    let gets = double.requests();
    let gets: Vec<_> = gets.iter().filter(|r| r.op == "GetObject").collect();
    assert_eq!(gets.len(), 3);
    assert!(
        gets[1]
            .header("range")
            .is_some_and(|range| range.starts_with("bytes="))
    );
    assert!(gets[1].header("if-match").is_some());
}

#[tokio::test]
async fn a_body_never_comes_from_two_versions() {
    let (double, store) = on_aws();
    double.put("bucket", "state/a", bytes());
    double.fault(Fault::on("GetObject").then(Action::ResetAfter(100_000)));
    let object = store
        .read(&key("a"), ReadOptions::default())
        .await
        .expect("a read");
    double.put("bucket", "state/a", "something else entirely");
    let error = object.body.collect(1 << 30).await.expect_err("a change");
    assert!(error.is_conflict(), "{error}");
}

#[tokio::test]
async fn a_body_that_keeps_breaking_is_given_up() {
    let (double, store) = on_aws();
    double.put("bucket", "state/a", bytes());
    double.fault(Fault::on("GetObject").always().then(Action::ResetAfter(0)));
    let error = read(&store, ReadOptions::default())
        .await
        .expect_err("a failure");
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(error.key(), Some("a"));
}

#[tokio::test]
async fn damage_is_noticed_where_the_service_keeps_a_checksum() {
    let (double, store) = on_aws();
    write(&store, "a", "some text").await;
    for action in [Action::CorruptBody, Action::TruncateBody(4)] {
        double.fault(Fault::on("GetObject").then(action));
        let error = read(&store, ReadOptions::default())
            .await
            .expect_err("a mismatch");
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn ranges_give_their_bytes_and_the_whole_size() {
    let (double, store) = on_aws();
    double.put("bucket", "state/a", bytes());
    for (start, end) in [
        (0, 10),
        (1000, 2000),
        (299_990, 400_000),
        (300_000, 300_001),
        (5, 5),
    ] {
        let object = store
            .read(&key("a"), range(start, end))
            .await
            .expect("a read");
        assert_eq!(object.meta.size, SIZE as u64);
        let from = usize::try_from(start).unwrap_or(SIZE).min(SIZE);
        let to = usize::try_from(end).unwrap_or(SIZE).min(SIZE);
        let got = object.body.collect(1 << 30).await.expect("the body");
        assert_eq!(got, bytes().slice(from..to), "{start}..{end}");
    }
}

#[tokio::test]
async fn reads_of_another_version_are_refused() {
    let (_double, store) = on_aws();
    write(&store, "a", "x").await;
    for range in [None, Some(5..6)] {
        let options = ReadOptions {
            range,
            if_match: Some(Tag("00000000000000000000000000000000".into())),
        };
        assert!(
            read(&store, options)
                .await
                .is_err_and(|error| error.is_conflict())
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_told_apart() {
    let (double, store) = on_aws();
    let missing = store.stat(&key("a")).await.expect_err("nothing there");
    assert!(missing.is_missing_key());
    store.stat(&key("b")).await.expect_err("nothing there");
    assert_eq!(double.count("HeadBucket"), 1);
    let env = super::clients(&double, &[], super::aws());
    let nowhere = super::open(&env, "s3://nowhere/state");
    for error in [
        nowhere.stat(&key("a")).await.err(),
        nowhere.read(&key("a"), ReadOptions::default()).await.err(),
    ] {
        let error = error.expect("no bucket");
        assert_eq!(*error.kind(), ErrorKind::NotFound);
        assert!(!error.is_missing_key(), "{error}");
        assert!(
            error.to_string().contains("no such bucket 'nowhere'"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_captive_portal_is_no_object() {
    let (double, store) = scene(Personality::Aws, super::quick());
    double.put("bucket", "state/a", "x");
    double.fault(Fault::on("ListObjectsV2").then(Action::Nonsense));
    let mut listing = store.list(kstate::store::ListOptions::default());
    let item = futures::StreamExt::next(&mut listing)
        .await
        .expect("an item");
    let error = item.expect_err("nonsense");
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(
        error.to_string().contains("Welcome to the hotel"),
        "{error}"
    );
    assert_eq!(text(&store, "a").await, "x");
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let tuning = kstate::store::s3::Tuning {
        answer_timeout: std::time::Duration::from_millis(50),
        ..super::aws()
    };
    let (double, store) = scene(Personality::Aws, tuning);
    double.put("bucket", "state/a", "x");
    double.fault(Fault::on("GetObject").then(Action::Hang));
    assert_eq!(text(&store, "a").await, "x");
    assert_eq!(double.count("GetObject"), 2);
}
