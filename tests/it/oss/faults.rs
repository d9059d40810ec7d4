//! What goes wrong between the service and us.

use http::Method;
use http::request::Parts;
use kstate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Precondition, ReadOptions, WriteOptions,
};

use super::{clients, create, key, noise, put, scene, scene_with};
use crate::http_double::Fault;

fn is_put(request: &Parts) -> bool {
    request.method == Method::PUT
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_knows_itself() {
    for fault in [Fault::LoseAnswer, Fault::FailAfter(500)] {
        let (double, store) = scene();
        double.once(is_put, fault);
        let meta = create(&store, "k", "ours").await.expect("ours");
        assert!(meta.user.is_empty(), "the mark shows: {:?}", meta.user);
        let again = create(&store, "k", "ours").await;
        assert_eq!(
            again.expect_err("it exists").kind().name(),
            "already_exists"
        );
        let read = store.read(&key("k"), ReadOptions::default()).await;
        let read = read.expect("an object");
        assert!(read.meta.user.is_empty());
        assert_eq!(read.meta.tag, meta.tag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_object_with_our_bytes_is_not_ours() {
    let (double, store) = scene();
    put(&store, "k", "same").await.expect("theirs");
    // The first attempt comes to nothing, and we can't know that.
    double.once(is_put, Fault::Reset);
    let created = create(&store, "k", "same").await;
    assert_eq!(created.expect_err("theirs").kind().name(), "already_exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_each_of_its_requests_failing() {
    let large = noise((256 << 10) + 17);
    // Making the clients takes longer than all else.
    let clients = clients();
    for options in [WriteOptions::if_absent(), WriteOptions::default()] {
        // Three parts between the begin and the end.
        for nth in 0..5 {
            for fault in [
                Fault::Reset,
                Fault::LoseAnswer,
                Fault::FailAfter(500),
                Fault::Status(503),
                Fault::Nonsense,
            ] {
                let (double, store) = scene_with(&clients);
                store.learn().await.expect("an answer");
                let (mut seen, scripted) = (0, fault.clone());
                double.script(move |_, _| {
                    seen += 1;
                    (seen == nth + 1).then(|| scripted.clone())
                });
                let body = Body::from(large.clone());
                let wrote = store.write(&key("k"), body, options.clone()).await;
                // A page of HTML is no passing trouble, but nothing may be left of it.
                if matches!(fault, Fault::Nonsense) {
                    assert_eq!(wrote.expect_err("nonsense").kind().name(), "corrupt");
                    assert!(double.service().bytes("state/k").is_none());
                } else {
                    let meta = wrote.unwrap_or_else(|error| panic!("{nth}, {fault:?}: {error:?}"));
                    assert_eq!(meta.size, large.len() as u64);
                    let stored = double.service().bytes("state/k");
                    assert!(stored.expect("an object") == large, "{nth}, {fault:?}");
                }
                // An upload whose beginning was not answered can't be aborted: nobody knows it.
                let left = double.service().unfinished_uploads();
                let lost = nth == 0 && matches!(fault, Fault::LoseAnswer | Fault::FailAfter(_));
                assert_eq!(left, usize::from(lost), "{nth}, {fault:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_or_is_dropped_leaves_nothing() {
    let (double, store) = scene();
    let broken = || Error::new(ErrorKind::Other, "read", "broke off");
    let chunks = vec![Ok(noise(300 << 10)), Err(broken())];
    let body = Body::stream(None, futures::stream::iter(chunks));
    let wrote = store.write(&key("k"), body, WriteOptions::default()).await;
    assert!(wrote.expect_err("broken").to_string().contains("broke off"));
    let wrong = WriteOptions {
        checksum: Some(Checksum::of(Algorithm::Sha256, b"other")),
        ..WriteOptions::default()
    };
    let wrote = store.write(&key("k"), noise(300 << 10).into(), wrong).await;
    assert_eq!(wrote.expect_err("other bytes").kind().name(), "corrupt");
    assert!(double.service().buckets["bucket"].is_empty());
    assert_eq!(double.service().unfinished_uploads(), 0);
    // A body that never ends, whose write is cancelled after some parts: not those of before.
    double.requests();
    let chunk = || async { Some((Ok(noise(128 << 10)), ())) };
    let endless = futures::stream::unfold((), move |()| chunk());
    let writing = tokio::spawn({
        let store = store.clone();
        let body = Body::stream(None, endless);
        async move { store.write(&key("k"), body, WriteOptions::default()).await }
    });
    // Until a part is there, we don't know the upload that is to be aborted.
    let has_part = |line: &String| line.contains("partNumber=");
    while !double.requests().iter().any(has_part) {
        tokio::task::yield_now().await;
    }
    writing.abort();
    while double.service().unfinished_uploads() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_taken_up_again_and_only_of_the_same_version() {
    let (double, store) = scene();
    let bytes = noise(300 << 10);
    put(&store, "k", bytes.clone()).await.expect("a write");
    let cut = |request: &Parts| request.method == Method::GET;
    double.once(cut, Fault::Cut(100_000));
    let read = || async { store.read(&key("k"), ReadOptions::default()).await };
    let object = read().await.expect("an object");
    assert!(object.body.collect(u64::MAX).await.expect("the body") == bytes);
    double.once(cut, Fault::Cut(100_000));
    let object = read().await.expect("an object");
    put(&store, "k", "other").await.expect("a write");
    let body = object.body.collect(u64::MAX).await.map(|bytes| bytes.len());
    assert_eq!(
        body.expect_err("another version").kind().name(),
        "precondition_failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_no_service_and_no_empty_listing() {
    use futures::TryStreamExt;
    let (double, store) = scene();
    double.script(|_, _| Some(Fault::Nonsense));
    let listed = store.list(kstate::store::ListOptions::default());
    let listed = listed.try_collect::<Vec<_>>().await;
    let created = create(&store, "k", "x").await;
    for error in [
        listed.expect_err("nonsense"),
        created.expect_err("nonsense"),
    ] {
        let hint = error.hint_text().unwrap_or_default();
        assert!(hint.contains("Alibaba Cloud OSS"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_of_a_thousand_is_told_by_its_name() {
    let (double, store) = scene();
    for name in ["a", "b c", "d&\u{1}"] {
        put(&store, name, "x").await.expect("a write");
    }
    double.service().undeletable = Some("state/b c".to_owned());
    let keys = ["a", "b c", "d&\u{1}", "never"].map(key).to_vec();
    let failures = store.delete_many(keys).await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].key(), Some("b c"));
    assert_eq!(failures[0].kind().name(), "permission_denied");
    assert!(double.service().bytes("state/a").is_none());
    assert!(double.service().bytes("state/d&\u{1}").is_none());
    let requests = double.requests();
    let batches = requests.iter().filter(|line| line.contains("?delete"));
    assert_eq!(batches.count(), 1);
    let refused = store.delete(&key("b c"), Precondition::None).await;
    assert_eq!(refused.expect_err("it stays").key(), Some("b c"));
}
