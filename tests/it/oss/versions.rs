//! What depends on whether a bucket keeps versions.

use kstate::store::{Body, Error, ReadOptions, WriteOptions};

use super::{ENVIRONMENT, clients, create, key, noise, open_with, put, scene};
use crate::http_double::Double;
use crate::oss_double::{Oss, Versioning};
use crate::support::{Desk, Ended};

fn keep_versions(double: &Double<Oss>, versioning: Versioning) {
    let mut service = double.service();
    let bucket = service.buckets.get_mut("bucket").expect("a bucket");
    bucket.versioning = versioning;
}

fn is_unsupported(error: &Error, what: &str) {
    assert_eq!(error.kind().name(), "unsupported", "{error}");
    assert!(error.to_string().contains(what), "{error}");
    assert!(error.hint_text().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_is_refused_where_the_service_would_overwrite() {
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        let (double, store) = scene();
        keep_versions(&double, versioning);
        put(&store, "k", "theirs").await.expect("a write");
        assert!(store.capabilities().if_absent, "nobody has asked yet");
        for body in [Body::from("ours"), noise(300 << 10).into()] {
            let error = create(&store, "k", body).await;
            is_unsupported(&error.expect_err("refused"), "the bucket keeps versions");
        }
        assert!(!store.capabilities().if_absent);
        let from = store.stat(&key("k")).await.expect("an object");
        let copied = store
            .copy_from(&store, &from, &key("copy"), &WriteOptions::if_absent())
            .await;
        is_unsupported(&copied.expect_err("refused"), "the bucket keeps versions");
        assert_eq!(
            double.service().bytes("state/k").expect("an object"),
            "theirs"
        );
        assert_eq!(double.service().unfinished_uploads(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_is_told_what_to_allow() {
    let (double, store) = scene();
    double.service().hides_versioning = true;
    let error = create(&store, "k", "x").await.expect_err("refused");
    is_unsupported(&error, "can't be asked");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("oss:GetBucketVersioning"), "{hint}");
    assert!(double.service().bytes("state/k").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_asked_once_for_all_its_stores() {
    let (double, _) = scene();
    let clients = clients();
    for folder in ["a", "b"] {
        let store = open_with(&clients, &double, &format!("oss://bucket/{folder}"));
        for name in ["x", "y"] {
            create(&store, name, "x").await.expect("a new object");
        }
    }
    let asked = double.requests();
    let asked = asked.iter().filter(|line| line.ends_with("?versioning"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_kept_since_we_asked_show_in_the_answer() {
    let (double, store) = scene();
    create(&store, "a", "ours").await.expect("a new object");
    keep_versions(&double, Versioning::Enabled);
    is_unsupported(
        &create(&store, "b", "ours").await.expect_err("not believed"),
        "the bucket keeps versions by now",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_are_read_by_their_ids() {
    let (double, store) = scene();
    keep_versions(&double, Versioning::Enabled);
    let mut versions = Vec::new();
    for text in ["old", "new"] {
        put(&store, "k", text).await.expect("a write");
        let meta = store.stat(&key("k")).await.expect("an object");
        versions.push((meta.version.expect("a version"), text));
    }
    store
        .delete(&key("k"), kstate::store::Precondition::None)
        .await
        .expect("a delete");
    assert!(
        store
            .stat(&key("k"))
            .await
            .expect_err("gone")
            .is_missing_key()
    );
    for (version, text) in versions {
        let object = store.read_version(&key("k"), &version).await;
        let object = object.expect("an old version");
        assert_eq!(object.body.collect(99).await.expect("bytes"), text);
    }
    let never = store.read(&key("k"), ReadOptions::default()).await;
    assert!(never.err().expect("gone").is_missing_key());
}

#[test]
fn a_rehearsal_knows_what_the_bucket_cant() {
    let double = crate::oss_double::start();
    let desk = Desk::new();
    let store = format!("oss://bucket/state?endpoint={}", double.endpoint());
    let text = format!("kstate.store.open({store:?}):write('k', 'x', {{ if_absent = true }})");
    desk.write("script.lua", text);
    let run = |code| {
        let mut command = desk.kstate(&["run", &desk.arg("script.lua"), "--dry-run"]);
        command.envs(ENVIRONMENT);
        Ended::of(command).with(code)
    };
    run(0);
    keep_versions(&double, Versioning::Enabled);
    run(1).says("can't check this precondition");
}
