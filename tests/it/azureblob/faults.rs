//! What goes wrong between the service and us.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Method;
use kstate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, ListOptions, Precondition, ReadOptions,
    WriteOptions,
};

use super::{key, noise, put, scene, streamed, write};
use crate::http_double::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_knows_itself() {
    // In one request, and in blocks.
    for body in [noise(4), noise(200 << 10)] {
        for fault in [Fault::LoseAnswer, Fault::FailAfter(500)] {
            let (double, store) = scene();
            let is_commit = |request: &http::request::Parts| {
                let query = request.uri.query().unwrap_or_default();
                request.method == Method::PUT && !query.contains("comp=block&")
            };
            double.once(is_commit, fault);
            let wrote = write(&store, "k", streamed(&body), WriteOptions::if_absent()).await;
            let meta = wrote.expect("ours");
            assert!(meta.user.is_empty(), "the mark shows: {:?}", meta.user);
            let again = write(&store, "k", streamed(&body), WriteOptions::if_absent()).await;
            let error = again.expect_err("it exists");
            assert_eq!(error.kind().name(), "already_exists");
            let told = store.stat(&key("k")).await.expect("an object");
            assert!(told.user.is_empty());
            assert_eq!(told.tag, meta.tag);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_whose_answer_was_lost_knows_itself_and_no_other() {
    let (double, store) = scene();
    let first = put(&store, "k", "one").await;
    let stale = WriteOptions::if_match(first.tag.expect("a tag"));
    let lose = || double.once(|request| request.method == Method::PUT, Fault::LoseAnswer);
    lose();
    let second = write(&store, "k", "two", stale.clone()).await;
    let second = second.expect("its own write");
    lose();
    // The same bytes, so that only the mark can tell.
    let third = write(&store, "k", "two", stale).await;
    match third.expect_err("beaten by itself").kind() {
        ErrorKind::PreconditionFailed { found } => assert_eq!(*found, second.tag),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_delete_whose_answer_was_lost_has_deleted() {
    let (double, store) = scene();
    let tag = put(&store, "k", "x").await.tag.expect("a tag");
    let precondition = Precondition::IfMatch(tag);
    double.once(
        |request| request.method == Method::DELETE,
        Fault::LoseAnswer,
    );
    let deleted = store.delete(&key("k"), precondition.clone()).await;
    deleted.expect("its own delete");
    let error = store
        .delete(&key("k"), precondition)
        .await
        .expect_err("gone");
    assert_eq!(error.kind().name(), "precondition_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_an_upload_is_sent_again() {
    let large = noise((200 << 10) + 17);
    // Four blocks and the list of them, in every way.
    for nth in 1..=5 {
        for fault in [
            Fault::Reset,
            Fault::LoseAnswer,
            Fault::FailAfter(500),
            Fault::Status(503),
        ] {
            let (double, store) = scene();
            let (mut seen, scripted) = (0, fault.clone());
            double.script(move |_, _| {
                seen += 1;
                (seen == nth).then(|| scripted.clone())
            });
            let wrote = write(&store, "k", streamed(&large), WriteOptions::if_absent()).await;
            let meta = wrote.unwrap_or_else(|error| panic!("request {nth}, {fault:?}: {error:?}"));
            assert_eq!(meta.size, large.len() as u64);
            let stored = double.service().of_first("container")["state/k"].clone();
            assert!(stored.bytes == large, "request {nth}, {fault:?}");
            assert_eq!(double.service().pending_blocks(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_during_an_upload_wins_and_the_upload_says_so() {
    let (double, store) = scene();
    let theirs = store.clone();
    // By the time the body ends, most of its blocks are there.
    let end = stream::once(async move {
        put(&theirs, "k", "theirs").await;
        Ok(Bytes::from_static(b"the end"))
    });
    let body = stream::iter([Ok(noise(600 << 10))]).chain(end);
    let wrote = write(
        &store,
        "k",
        Body::stream(None, body),
        WriteOptions::default(),
    )
    .await;
    let error = wrote.expect_err("a conflict");
    assert!(error.is_conflict(), "{error}");
    let told = error.to_string();
    assert!(told.contains("somebody else wrote the object"), "{told}");
    let stored = double.service().of_first("container")["state/k"].clone();
    assert_eq!(stored.bytes, "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_another_program_left_are_explained() {
    let (double, store) = scene();
    double.service().leave_block("state/k");
    let large = noise(200 << 10);
    let wrote = write(&store, "k", streamed(&large), WriteOptions::default()).await;
    let error = wrote.expect_err("ids of two lengths");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("left unfinished"), "{error}: {hint}");
    put(&store, "k", "short").await;
    let wrote = write(&store, "k", streamed(&large), WriteOptions::default()).await;
    wrote.expect("a write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_leaves_nothing() {
    let (double, store) = scene();
    let broken = || Error::new(ErrorKind::Other, "read", "broke off");
    let chunks = vec![Ok(noise(200 << 10)), Err(broken())];
    let body = Body::stream(None, stream::iter(chunks));
    let wrote = write(&store, "k", body, WriteOptions::default()).await;
    let error = wrote.expect_err("broken");
    assert!(error.to_string().contains("broke off"), "{error}");
    let wrong = WriteOptions {
        checksum: Some(Checksum::of(Algorithm::Sha256, b"other")),
        ..WriteOptions::default()
    };
    let wrote = write(&store, "k", streamed(&noise(200 << 10)), wrong).await;
    assert_eq!(wrote.expect_err("other bytes").kind().name(), "corrupt");
    assert!(double.service().of_first("container").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_taken_up_again_and_only_of_the_same_version() {
    let (double, store) = scene();
    let bytes = noise(300 << 10);
    put(&store, "k", bytes.clone()).await;
    let read = async || {
        double.once(|request| request.method == Method::GET, Fault::Cut(100_000));
        let object = store.read(&key("k"), ReadOptions::default()).await;
        object.expect("an object").body
    };
    let whole = read().await.collect(u64::MAX).await;
    assert!(whole.expect("the body") == bytes);
    let cut = read().await;
    put(&store, "k", "other").await;
    let error = cut.collect(u64::MAX).await.expect_err("another version");
    assert_eq!(error.kind().name(), "precondition_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_no_service() {
    let (double, store) = scene();
    double.script(|_, _| Some(Fault::Nonsense));
    let error = store.stat(&key("k")).await.expect_err("no ETag");
    assert_eq!(error.kind().name(), "corrupt", "{error}");
    let listed = store.list(ListOptions::default()).next().await;
    let error = listed.expect("an item").expect_err("nonsense");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("Azure Blob Storage"), "{error}: {hint}");
}
