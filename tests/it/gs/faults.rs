//! What goes wrong between the service and us.

use bytes::Bytes;
use http::Method;
use kstate::store::{Algorithm, Body, Checksum, Precondition, ReadOptions, WriteOptions};

use super::{key, scene};
use crate::http_double::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_knows_itself() {
    for fault in [Fault::LoseAnswer, Fault::FailAfter(500)] {
        let (double, store) = scene();
        double.once(|request| request.method == Method::POST, fault);
        let wrote = store
            .write(&key("k"), Body::from("ours"), WriteOptions::if_absent())
            .await;
        let meta = wrote.expect("ours");
        assert!(meta.user.is_empty(), "the mark shows: {:?}", meta.user);
        let again = store
            .write(&key("k"), Body::from("ours"), WriteOptions::if_absent())
            .await;
        assert_eq!(
            again.expect_err("it exists").kind().name(),
            "already_exists"
        );
        let read = store
            .read(&key("k"), ReadOptions::default())
            .await
            .expect("an object");
        assert!(read.meta.user.is_empty());
        assert_eq!(read.meta.tag, meta.tag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_delete_whose_answer_was_lost_has_deleted() {
    let (double, store) = scene();
    let meta = store
        .write(&key("k"), Body::from("x"), WriteOptions::default())
        .await;
    let tag = meta.expect("a write").tag.expect("a tag");
    double.once(
        |request| request.method == Method::DELETE,
        Fault::LoseAnswer,
    );
    let deleted = store
        .delete(&key("k"), Precondition::IfMatch(tag.clone()))
        .await;
    deleted.expect("its own delete");
    let again = store.delete(&key("k"), Precondition::IfMatch(tag)).await;
    assert_eq!(
        again.expect_err("gone").kind().name(),
        "precondition_failed"
    );
}

fn noise(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_was_cut_off() {
    let large = noise((1 << 20) + 17);
    // Each request of the upload in turn, in every way.
    for nth in 0..6 {
        for fault in [
            Fault::Reset,
            Fault::LoseAnswer,
            Fault::FailAfter(503),
            Fault::Status(429),
        ] {
            let (double, store) = scene();
            let mut seen = 0;
            let scripted = fault.clone();
            double.script(move |request, _| {
                let is_upload = request.uri.path().starts_with("/upload/");
                seen += usize::from(is_upload);
                (is_upload && seen == nth + 1).then(|| scripted.clone())
            });
            let wrote = store
                .write(&key("k"), large.clone().into(), WriteOptions::if_absent())
                .await;
            let meta = wrote.unwrap_or_else(|error| panic!("request {nth}, {fault:?}: {error:?}"));
            assert_eq!(meta.size, large.len() as u64);
            let stored = double.service().buckets["bucket"]["state/k"].bytes.clone();
            assert!(stored == large, "request {nth}, {fault:?}");
            // An upload whose beginning was not answered is never used.
            assert!(double.service().unfinished_uploads() <= 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_keeps_less_of_a_chunk_gets_the_rest_again() {
    let (double, store) = scene();
    double.service().keeps_of_chunk = 256 << 10;
    let large = noise(900 << 10);
    let wrote = store
        .write(&key("k"), large.clone().into(), WriteOptions::default())
        .await;
    wrote.expect("a write");
    assert!(double.service().buckets["bucket"]["state/k"].bytes == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_leaves_nothing() {
    let (double, store) = scene();
    let broken = || kstate::store::Error::new(kstate::store::ErrorKind::Other, "read", "broke off");
    let chunks = vec![Ok(noise(600 << 10)), Err(broken())];
    let body = Body::stream(None, futures::stream::iter(chunks));
    let wrote = store.write(&key("k"), body, WriteOptions::default()).await;
    assert!(wrote.expect_err("broken").to_string().contains("broke off"));
    let wrong = WriteOptions {
        checksum: Some(Checksum::of(Algorithm::Sha256, b"other")),
        ..WriteOptions::default()
    };
    let wrote = store.write(&key("k"), noise(600 << 10).into(), wrong).await;
    assert_eq!(wrote.expect_err("other bytes").kind().name(), "corrupt");
    assert!(double.service().buckets["bucket"].is_empty());
    assert_eq!(double.service().unfinished_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_taken_up_again_and_only_of_the_same_version() {
    let (double, store) = scene();
    let bytes = noise(300 << 10);
    let write = store
        .write(&key("k"), bytes.clone().into(), WriteOptions::default())
        .await;
    write.expect("a write");
    double.once(
        |request| request.uri.path() == "/bucket/state/k",
        Fault::Cut(100_000),
    );
    let object = store
        .read(&key("k"), ReadOptions::default())
        .await
        .expect("an object");
    assert!(object.body.collect(u64::MAX).await.expect("the body") == bytes);
    double.once(
        |request| request.uri.path() == "/bucket/state/k",
        Fault::Cut(100_000),
    );
    let object = store
        .read(&key("k"), ReadOptions::default())
        .await
        .expect("an object");
    let write = store
        .write(&key("k"), Body::from("other"), WriteOptions::default())
        .await;
    write.expect("a write");
    let body = object.body.collect(u64::MAX).await.map(|bytes| bytes.len());
    assert_eq!(
        body.expect_err("another version").kind().name(),
        "precondition_failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_no_service() {
    let (double, store) = scene();
    double.script(|request, _| {
        let is_ours = request.uri.path().starts_with("/storage/");
        is_ours.then_some(Fault::Nonsense)
    });
    let error = store.stat(&key("k")).await.expect_err("nonsense");
    assert!(
        error
            .hint_text()
            .unwrap_or_default()
            .contains("Google Cloud Storage"),
        "{error}"
    );
}
