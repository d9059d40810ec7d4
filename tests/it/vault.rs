//! The backend `vault` against a service in this process.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use kstate::store::contract::{self, Options};
use kstate::store::{Body, ListOptions, Precondition, ReadOptions, Store, WriteOptions};
use serde_json::json;

use crate::http_double::{Double, Fault};
use crate::scripts::{MOVE, assert_comes_back};
use crate::shipped::{self, key, names, read, write};
use crate::support::{Desk, Ended, clusters, sample};
use crate::vault_double::{self, TOKEN, Vault};

fn open(double: &Double<Vault>, place: &str, more: &str) -> Arc<dyn Store> {
    let host = double.endpoint().replace("http://", "");
    shipped::open(
        [("VAULT_TOKEN", TOKEN)],
        &format!("vault://{host}/{place}?tls=false{more}"),
    )
}

fn scene() -> (Double<Vault>, Arc<dyn Store>) {
    let double = vault_double::start();
    let store = open(&double, "secret/state", "");
    (double, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_where_check_and_set_is_required() {
    let (double, store) = scene();
    double.service().cas_required = true;
    let options = Options {
        many: 60,
        swappers: 8,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    shipped::assert_passed(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_have_the_format_of_kops() {
    let (double, store) = scene();
    double
        .service()
        .put("state/old", &json!({ "file": STANDARD.encode(b"\0\xff") }));
    let object = store.read(&key("old"), ReadOptions::default()).await;
    let object = object.expect("an object");
    assert!(object.meta.modified.is_some());
    assert_eq!(object.body.collect(9).await.expect("bytes"), b"\0\xff"[..]);
    write(&store, "new", "hello").await;
    let service = double.service();
    let written = serde_json::Value::from(service.newest("state/new").data.clone());
    assert_eq!(written, json!({ "file": "aGVsbG8=" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_is_absent_and_its_numbers_go_on() {
    let (double, store) = scene();
    let first = write(&store, "c/k", "one").await;
    store
        .delete(&key("c/k"), Precondition::None)
        .await
        .expect("deleted");
    assert!(
        read(&store, "c/k")
            .await
            .expect_err("deleted")
            .is_missing_key()
    );
    let one_level = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    for is_old in [false, true] {
        double.service().is_old = is_old;
        let all = names(&store, ListOptions::default()).await;
        assert_eq!(all, [""; 0]);
        let folders = names(&store, one_level.clone()).await;
        assert_eq!(folders, [""; 0], "a folder of deleted ones");
    }
    assert!(!double.service().newest("state/c/k").deleted.is_empty());
    // What `vault kv undelete -versions=1` would bring back is there.
    assert!(
        double.service().secrets["state/c/k"].versions[&1]
            .data
            .contains_key("file")
    );

    let how = WriteOptions::if_absent();
    let again = store.write(&key("c/k"), Body::from("two"), how).await;
    let again = again.expect("it was absent");
    assert_ne!(again.tag, first.tag);
    let stale = WriteOptions::if_match(first.tag.expect("a tag"));
    let stale = store.write(&key("c/k"), Body::from("three"), stale).await;
    assert!(stale.expect_err("another version").is_conflict());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_others_are_told_and_left_alone() {
    let (double, store) = scene();
    double
        .service()
        .put("state/db", &json!({ "password": "hunter2" }));
    double
        .service()
        .put("state/odd", &json!({ "file": "not base64!" }));
    let listed = names(&store, ListOptions::default()).await;
    let why = "a secret of somebody else's: it has no field `file` with base64";
    assert_eq!(listed, [format!("db: {why}"), format!("odd: {why}")]);
    for name in ["db", "odd"] {
        let how = WriteOptions::default();
        let error = store.write(&key(name), Body::from("x"), how).await;
        assert_eq!(error.expect_err("not ours").kind().name(), "unsupported");
        let error = store.delete(&key(name), Precondition::None).await;
        assert_eq!(error.expect_err("not ours").kind().name(), "unsupported");
        assert_eq!(
            double.service().secrets[&format!("state/{name}")].current,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask_and_where_is_told_in_words() {
    let double = vault_double::start();
    double.service().namespace = Some("team/a".to_owned());
    let there = open(&double, "secret/state", "&namespace=team/a");
    write(&there, "k", "x").await;
    assert_eq!(read(&there, "k").await.expect("an object"), "x");

    for store in [
        open(&double, "secret/state", ""),
        open(&double, "nowhere/state", "&namespace=team/a"),
    ] {
        let error = read(&store, "k").await.expect_err("no such mount");
        assert!(!error.is_missing_key(), "{error}");
        assert_eq!(error.kind().name(), "not_found");
        assert!(
            error.to_string().contains("no handler for route"),
            "{error}"
        );
    }
    let host = double.endpoint().replace("http://", "");
    let url = format!("vault://{host}/secret/state?tls=false&namespace=team/a");
    let stranger = shipped::open([("VAULT_TOKEN", "hvs.of-a-stranger")], &url);
    let error = read(&stranger, "k").await.expect_err("no right");
    assert_eq!(error.kind().name(), "permission_denied");
    assert!(!format!("{error:?}").contains("hvs."), "{error:?}");
    let hint = error.hint_text().expect("a hint");
    assert!(hint.contains("vault token lookup"), "{hint}");
    let bare = open(&double, "", "");
    let error = read(&bare, "k").await.expect_err("no mount");
    assert!(error.to_string().contains("names no mount"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_asked_again_and_a_change_that_nobody_answered_is_not() {
    let (double, store) = scene();
    write(&store, "k", "x").await;
    for fault in [Fault::Status(503), Fault::Reset] {
        double.once(|request| request.method == Method::GET, fault);
        assert_eq!(read(&store, "k").await.expect("the second time"), "x");
    }
    double.once(|request| request.method == Method::POST, Fault::LoseAnswer);
    let how = WriteOptions::if_absent();
    let error = store.write(&key("new"), Body::from("x"), how).await;
    assert_eq!(
        error.expect_err("nobody knows").kind().name(),
        "unavailable"
    );
    double.script(|_, _| Some(Fault::Nonsense));
    let error = read(&store, "k").await.expect_err("a page");
    assert_ne!(error.kind().name(), "not_found", "{error}");
}

#[test]
fn clusters_are_moved_there_and_back_unless_one_is_too_large() {
    let double = vault_double::start();
    let host = double.endpoint().replace("http://", "");
    let there = format!("vault://{host}/secret/state?tls=false");
    let env = [("VAULT_TOKEN", TOKEN)];
    let mut tree = sample();
    assert_comes_back(&Desk::new(), &tree, &[&there], &env);

    let names = clusters(&tree);
    let last = names.last().expect("a cluster");
    tree.insert(format!("{last}/addons/large.yaml"), vec![b'x'; 701 << 10]);
    let desk = Desk::new();
    desk.write_tree("old", &tree);
    double.service().secrets.clear();
    let from = desk.arg("old");
    let flags = ["--from", &from, "--to", &there, "--all-clusters", "--yes"];
    let mut moving = desk.kstate(&[&["run", MOVE], &flags[..]].concat());
    moving.envs(env);
    let refused = Ended::of(moving).with(3);
    refused.says("addons/large.yaml (it has 701.0 KiB, and 700.0 KiB is the most");
    // The lock was taken, and is given back.
    let service = double.service();
    let left = service
        .secrets
        .keys()
        .filter(|name| !name.contains(".kstate"));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
}
