//! What goes wrong between the service and us.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use http::Method;
use kstate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Precondition, ReadOptions, Store, WriteOptions,
};

use super::{clients, key, names, noise, open, scene, write};
use crate::http_double::Fault;

fn believed_new() -> WriteOptions {
    WriteOptions {
        believed: Precondition::IfAbsent,
        ..WriteOptions::default()
    }
}

async fn put(store: &Arc<dyn Store>, name: &str, text: &'static str) {
    let wrote = write(store, name, Body::from(text), WriteOptions::default());
    wrote.await.expect("a write");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_token_expires_one_of_many_signs_in_anew() {
    let (double, store) = scene();
    put(&store, "k", "x").await;
    for round in 2..5 {
        double.service().expire();
        let stats = join_all((0..32).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.stat(&key("k")).await })
        }));
        for told in stats.await {
            told.expect("no panic").expect("an object");
        }
        assert_eq!(double.service().signed_in, round);
    }
    // A token that is refused at first, as by a cache that doesn't know it yet.
    double.once(|request| request.method == Method::HEAD, Fault::Status(401));
    store.stat(&key("k")).await.expect("an object");
    assert_eq!(double.service().signed_in, 5);
    // One that is always refused.
    double.script(|request, _| (request.method == Method::HEAD).then_some(Fault::Status(401)));
    let error = store.stat(&key("k")).await.expect_err("nobody");
    assert_eq!(error.kind().name(), "permission_denied");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("doesn't know who asks"), "{hint}");
    assert_eq!(double.service().signed_in, 6);
    // No call makes a new one then.
    for _ in 0..3 {
        let error = store.stat(&key("k")).await.expect_err("nobody");
        assert_eq!(error.kind().name(), "permission_denied");
        assert!(error.to_string().contains("takes no token"), "{error}");
    }
    assert_eq!(double.service().signed_in, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once() {
    let (double, _) = scene();
    let mut env = super::variables(&double);
    env[2].1 = "wrong".to_owned();
    let clients = kstate::store::swift::Clients::with(env.into_iter().collect(), super::quick());
    let store = open(&clients, "swift://container");
    for told in join_all((0..8).map(|_| async { store.stat(&key("k")).await }))
        .await
        .into_iter()
        .collect::<Vec<_>>()
    {
        assert_eq!(told.expect_err("nobody").kind().name(), "permission_denied");
    }
    let asked = double.requests();
    assert_eq!(asked, ["POST /v3/auth/tokens"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_tokens_may_fail_for_a_while() {
    for fault in [
        Fault::Status(503),
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::FailAfter(500),
    ] {
        let (double, store) = scene();
        double.once(|request| request.uri.path() == "/v3/auth/tokens", fault);
        put(&store, "k", "x").await;
    }
    let (double, store) = scene();
    double.script(|_, _| Some(Fault::Reset));
    let error = store.stat(&key("k")).await.expect_err("nobody there");
    assert_eq!(error.kind().name(), "unavailable");
    let host = double.endpoint().trim_start_matches("http://").to_owned();
    assert!(
        error.message().contains(&format!("Keystone at {host}")),
        "{error}"
    );
    // Whoever waited for one that fails is told so, and doesn't ask after it.
    double.requests();
    let stats = join_all((0..32).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.stat(&key("k")).await })
    }));
    for told in stats.await {
        told.expect("no panic").expect_err("nobody there");
    }
    let asked = double.requests().len();
    assert!(asked < 64, "{asked} of 128");
}

/// Swift answers 202 where it has a newer version, by the clock of another of its servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_came_to_nothing_is_none() {
    for (size, kept_size) in [
        (3, 3),
        (150 << 10, 3),
        (3, 300 << 10),
        (300 << 10, 300 << 10),
    ] {
        let (double, store) = scene();
        double.service().max_file_size = 200 << 10;
        let (old, new) = (noise(kept_size), noise(size + 1));
        let put = async |bytes: &Bytes| {
            let body = Body::from(bytes.clone());
            write(&store, "k", body, WriteOptions::default()).await
        };
        let read = async || {
            let read = store.read(&key("k"), ReadOptions::default()).await;
            let body = read.expect("an object").body.collect(u64::MAX).await;
            body.expect("all of it")
        };
        put(&old).await.expect("a write");
        double.service().behind = usize::MAX;
        let error = put(&new).await.expect_err("nothing was stored");
        assert_eq!(error.kind().name(), "unavailable", "{error}");
        assert!(error.to_string().contains("a newer version"), "{error}");
        assert!(read().await == old, "{size} over {kept_size}");
        double.service().behind = 1;
        put(&new).await.expect("a write");
        assert!(read().await == new, "{size} over {kept_size}");

        let from = write(&store, "from", Body::from("x"), WriteOptions::default());
        let from = from.await.expect("a write");
        double.service().behind = usize::MAX;
        let options = WriteOptions::default();
        let to = key("k");
        let copied = store.copy_from(&store, &from, &to, &options);
        let error = copied.await.expect_err("nothing was copied");
        assert_eq!(error.kind().name(), "unavailable", "{error}");
        assert!(read().await == new, "{size} over {kept_size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_given_up_at_its_end_takes_nothing_away() {
    let (double, store) = scene();
    double.service().max_file_size = 100 << 10;
    let large = noise(300 << 10);
    double.script(|request, _| {
        let is_manifest = request.uri.query() == Some("multipart-manifest=put");
        is_manifest.then_some(Fault::Hang)
    });
    let writing = tokio::spawn({
        let (store, large) = (Arc::clone(&store), large.clone());
        async move { write(&store, "k", large, WriteOptions::default()).await }
    });
    while !names(&double).contains(&"state/k".to_owned()) {
        tokio::task::yield_now().await;
    }
    writing.abort();
    assert!(writing.await.expect_err("given up").is_cancelled());
    // Time enough for whoever would clear away.
    for _ in 0..20 {
        let read = store.read(&key("k"), ReadOptions::default()).await;
        let body = read.expect("an object").body.collect(u64::MAX).await;
        assert!(body.expect("all of it") == large);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_says_means_the_same_everywhere() {
    for (status, kind) in [
        (403, "permission_denied"),
        (413, "other"),
        (422, "corrupt"),
        (429, "throttled"),
        (498, "throttled"),
        (500, "unavailable"),
        (503, "throttled"),
        (507, "other"),
    ] {
        let (double, store) = scene();
        double.script(move |request, _| {
            (request.method == Method::PUT).then_some(Fault::Status(status))
        });
        let wrote = write(&store, "k", Body::from("x"), WriteOptions::default());
        let error = wrote.await.expect_err("refused");
        assert_eq!(error.kind().name(), kind, "{status}: {error}");
        assert!(
            error.message().contains(&format!("(HTTP {status})")),
            "{error}"
        );
        let hint = error.hint_text().unwrap_or_default();
        let tells = match status {
            403 => hint.contains("X-Container-Write"),
            413 | 507 => hint.contains("no more room"),
            _ => true,
        };
        assert!(tells, "{status}: {hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_refused_and_what_was_believed_absent_is_not_overwritten() {
    let (_double, store) = scene();
    for options in [
        WriteOptions::if_absent(),
        WriteOptions::if_match(kstate::store::Tag("x".into())),
    ] {
        let wrote = write(&store, "k", Body::from("x"), options).await;
        let error = wrote.expect_err("no conditions");
        assert_eq!(error.kind().name(), "unsupported", "{error}");
    }
    put(&store, "k", "old").await;
    for large in [false, true] {
        let body = if large {
            noise(150 << 10).into()
        } else {
            Body::from("new")
        };
        let wrote = write(&store, "k", body, believed_new()).await;
        let error = wrote.expect_err("it exists");
        assert_eq!(error.kind().name(), "already_exists", "{error}");
    }
    let read = store.read(&key("k"), ReadOptions::default()).await;
    let body = read.expect("an object").body;
    assert_eq!(body.collect(10).await.expect("the body"), "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_knows_itself() {
    for fault in [Fault::LoseAnswer, Fault::FailAfter(500)] {
        let (double, store) = scene();
        double.once(|request| request.method == Method::PUT, fault);
        let wrote = write(&store, "k", Body::from("ours"), believed_new());
        let meta = wrote.await.expect("ours");
        assert_eq!(
            meta.tag,
            store.stat(&key("k")).await.expect("an object").tag
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_segments_survives_a_fault_at_each_of_its_requests() {
    let large = noise((128 << 10) + 17);
    for (max_file_size, stay) in [(5 << 30, 1), (100 << 10, 4)] {
        let (double, store) = scene();
        double.service().max_file_size = max_file_size;
        let mut nth = 0;
        let mut was_met = true;
        while was_met {
            nth += 1;
            for fault in [
                Fault::Reset,
                Fault::LoseAnswer,
                Fault::FailAfter(503),
                Fault::Status(429),
                Fault::Status(401),
            ] {
                let seen = Arc::new(AtomicUsize::new(0));
                let (counted, scripted) = (Arc::clone(&seen), fault.clone());
                double.script(move |request, _| {
                    // Nobody else looks at tokens.
                    let is_meant = request.uri.path().starts_with("/v1/")
                        && counted.fetch_add(1, Ordering::Relaxed) + 1 == nth;
                    is_meant.then(|| scripted.clone())
                });
                let wrote = write(&store, "k", large.clone(), WriteOptions::default()).await;
                let meta =
                    wrote.unwrap_or_else(|error| panic!("request {nth}, {fault:?}: {error:?}"));
                assert_eq!(meta.size, large.len() as u64);
                was_met = seen.load(Ordering::Relaxed) >= nth;
                let read = store.read(&key("k"), ReadOptions::default()).await;
                let body = read.expect("an object").body.collect(u64::MAX).await;
                assert!(body.expect("the body") == large, "request {nth}, {fault:?}");
                let left = names(&double);
                assert_eq!(left.len(), stay, "request {nth}, {fault:?}: {left:?}");
            }
        }
        assert!(nth > 6, "{nth} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_asked_for_until_they_are_told() {
    for (fault, stay) in [
        (Fault::Reset, 6),
        (Fault::Status(503), 6),
        // As Swift comes, it takes all in one.
        (Fault::Status(404), 1),
    ] {
        let (double, store) = scene();
        let is_told = stay == 6;
        double.service().max_file_size = if is_told { 128 << 10 } else { 5 << 30 };
        double.once(|request| request.uri.path() == "/info", fault);
        let wrote = write(
            &store,
            "k",
            noise((256 << 10) + 17),
            WriteOptions::default(),
        );
        wrote.await.expect("a write");
        assert_eq!(names(&double).len(), stay);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_the_middle_leaves_nothing() {
    let broken = || Error::new(ErrorKind::Other, "read", "broke off");
    let streamed = || {
        let chunks = vec![Ok(noise(150 << 10)), Err(broken())];
        Body::stream(None, stream::iter(chunks))
    };
    let wrong = WriteOptions {
        checksum: Some(Checksum::of(Algorithm::Sha256, b"other")),
        ..WriteOptions::default()
    };
    let (double, store) = scene();
    let wrote = write(&store, "k", streamed(), WriteOptions::default());
    assert!(
        wrote
            .await
            .expect_err("broken")
            .to_string()
            .contains("broke off")
    );
    let wrote = write(&store, "k", noise(150 << 10), wrong).await;
    assert_eq!(wrote.expect_err("other bytes").kind().name(), "corrupt");
    double.script(|request, _| {
        let is_last = request.uri.path().ends_with("/00002");
        is_last.then_some(Fault::Status(403))
    });
    let wrote = write(&store, "k", noise(225 << 10), WriteOptions::default());
    assert_eq!(
        wrote.await.expect_err("refused").kind().name(),
        "permission_denied"
    );
    assert_eq!(names(&double), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_given_up_clears_away_what_it_sent() {
    let (double, store) = scene();
    let chunks = stream::iter([Ok(noise(150 << 10))]);
    let body = Body::stream(None, futures::StreamExt::chain(chunks, stream::pending()));
    let write = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { write(&store, "k", body, WriteOptions::default()).await })
    };
    let until = async |wanted: usize| {
        while names(&double).len() != wanted {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, until(2))
        .await
        .expect("segments");
    write.abort();
    tokio::time::timeout(patience, until(0))
        .await
        .expect("none");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_knows_whether_a_manifest_is_there_its_segments_stay() {
    let (double, store) = scene();
    double.service().max_file_size = 128 << 10;
    let is_manifest = |uri: &http::Uri| uri.query() == Some("multipart-manifest=put");
    double.script(move |request, _| is_manifest(&request.uri).then_some(Fault::LoseAnswer));
    let wrote = write(&store, "k", noise(256 << 10), WriteOptions::default());
    assert_eq!(
        wrote.await.expect_err("no answer").kind().name(),
        "unavailable"
    );
    let read = store.read(&key("k"), ReadOptions::default()).await;
    let body = read.expect("it is there").body.collect(u64::MAX).await;
    assert!(body.expect("the body") == noise(256 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_taken_up_again_and_only_of_the_same_version() {
    let (double, store) = scene();
    let bytes = noise(200 << 10);
    let wrote = write(&store, "k", bytes.clone(), WriteOptions::default());
    wrote.await.expect("a write");
    let cut = || double.once(|request| request.method == Method::GET, Fault::Cut(100_000));
    cut();
    let read = store.read(&key("k"), ReadOptions::default()).await;
    let body = read.expect("an object").body.collect(u64::MAX).await;
    assert!(body.expect("the body") == bytes);
    cut();
    let read = store.read(&key("k"), ReadOptions::default()).await;
    let object = read.expect("an object");
    put(&store, "k", "other").await;
    let body = object.body.collect(u64::MAX).await.map(|bytes| bytes.len());
    assert_eq!(
        body.expect_err("another version").kind().name(),
        "precondition_failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_looked_for_again() {
    let (double, store) = scene();
    put(&store, "k", "x").await;
    for method in [Method::HEAD, Method::GET] {
        double.once(move |request| request.method == method, Fault::Status(404));
        store.stat(&key("k")).await.expect("an object");
        let read = store.read(&key("k"), ReadOptions::default()).await;
        read.expect("an object");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_hang_on_the_newest_version() {
    let (double, store) = scene();
    put(&store, "k", "old").await;
    put(&store, ".kstate/locks/x", "old").await;
    double.service().lags = true;
    let wrote = write(&store, "k", Body::from("new"), WriteOptions::default());
    let tag = wrote.await.expect("a write").tag;
    put(&store, ".kstate/locks/x", "new").await;
    assert_eq!(store.stat(&key("k")).await.expect("an object").tag, tag);
    let read = async |name: &str, if_match| {
        let options = ReadOptions {
            range: None,
            if_match,
        };
        let body = store
            .read(&key(name), options)
            .await
            .expect("an object")
            .body;
        body.collect(10).await.expect("the body")
    };
    assert_eq!(read("k", None).await, "new");
    assert_eq!(read("k", tag).await, "new");
    assert_eq!(read(".kstate/locks/x", None).await, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_no_end_of_a_listing() {
    let (double, store) = scene();
    put(&store, "k", "x").await;
    double.script(|request, _| (request.method == Method::GET).then_some(Fault::Status(200)));
    let listing = store.list(kstate::store::ListOptions::default());
    let listed: Vec<_> = futures::StreamExt::collect(listing).await;
    assert!(matches!(&listed[..], [Err(_)]), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_is_no_service() {
    let (double, store) = scene();
    put(&store, "k", "x").await;
    double.script(|_, _| Some(Fault::Nonsense));
    let listing = store.list(kstate::store::ListOptions::default());
    let listed: Vec<_> = futures::StreamExt::collect(listing).await;
    let error = listed
        .into_iter()
        .next()
        .expect("an item")
        .expect_err("nonsense");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("OpenStack Swift"), "{error}");
    // One that signs in is told of too.
    let other = open(&clients(&double), "swift://container");
    let error = other.stat(&key("k")).await.expect_err("nonsense");
    assert!(error.message().contains("is it Keystone"), "{error}");
}
