//! Containers, copies, deletes of many, locks, and the whole program.

use std::sync::Arc;

use futures::TryStreamExt;
use kstate::session::lock::{LockOptions, Strength};
use kstate::session::{Mode, Session};
use kstate::store::{Body, ListOptions, Precondition, ReadOptions, Store, StoreUrl, WriteOptions};

use super::{clients, key, names, noise, open, scene, variables, write};
use crate::http_double::Double;
use crate::scripts::assert_comes_back;
use crate::support::{Desk, Ended, sample};
use crate::swift_double::{self, Swift};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_container_is_named_and_never_made() {
    let double = swift_double::start();
    let store = open(&clients(&double), "swift://nowhere/state");
    let listed = store.list(ListOptions::default());
    let wrote = write(&store, "k", Body::from("x"), WriteOptions::default());
    for error in [
        store.stat(&key("k")).await.expect_err("no container"),
        store
            .read(&key("k"), ReadOptions::default())
            .await
            .err()
            .expect("no container"),
        wrote.await.expect_err("no container"),
        store
            .delete(&key("k"), Precondition::None)
            .await
            .expect_err("no container"),
        listed
            .try_collect::<Vec<_>>()
            .await
            .expect_err("no container"),
    ] {
        assert_eq!(error.kind().name(), "not_found");
        assert!(!error.is_missing_key(), "{error}");
        let words = "no such container 'nowhere'";
        assert!(error.to_string().contains(words), "{error}");
    }
    let store = open(&clients(&double), "swift://container");
    let missing = store.stat(&key("k")).await.expect_err("no object");
    assert!(missing.is_missing_key(), "{missing}");
    assert_eq!(double.service().accounts["AUTH_p1"].len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_take_one_request_each() {
    let (double, store) = scene();
    let believed = WriteOptions {
        believed: Precondition::IfAbsent,
        ..WriteOptions::default()
    };
    let wrote = write(&store, "a", Body::from("x"), believed.clone()).await;
    let from = wrote.expect("a write");
    double.requests();
    let copied = store.copy_from(&store, &from, &key("b"), &believed).await;
    assert!(copied.expect("a copy").is_some());
    store.stat(&key("b")).await.expect("an object");
    store
        .read(&key("b"), ReadOptions::default())
        .await
        .expect("an object");
    assert_eq!(
        double.requests(),
        [
            "PUT /v1/AUTH_p1/container/state/b",
            "HEAD /v1/AUTH_p1/container/state/b",
            "GET /v1/AUTH_p1/container/state/b",
        ]
    );
    // Whoever replaces something looks once whether there are segments at all.
    for _ in 0..2 {
        let wrote = write(&store, "a", Body::from("y"), WriteOptions::default());
        wrote.await.expect("a write");
    }
    assert_eq!(double.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_between_containers_run_on_the_server_or_not_at_all() {
    let (double, _) = scene();
    let clients_here = clients(&double);
    let here = open(&clients_here, "swift://container/state");
    let there = open(&clients_here, "swift://other");
    let written = WriteOptions {
        content_type: Some("text/x".to_owned()),
        user: [("who".to_owned(), "me".to_owned())].into(),
        ..WriteOptions::default()
    };
    let wrote = write(&here, "a b/ü+%", Body::from("bytes"), written).await;
    let from = wrote.expect("a write");
    let options = WriteOptions::default();
    let copied = there.copy_from(&here, &from, &key("copy"), &options).await;
    let copied = copied.expect("a copy").expect("on the server");
    assert_eq!((copied.size, &copied.tag), (5, &from.tag));
    let told = there.stat(&key("copy")).await.expect("the copy");
    assert_eq!(told.content_type.as_deref(), Some("text/x"));
    assert_eq!(told.user["who"], "me");

    let elsewhere = open(&clients(&double), "swift://other");
    let copied = elsewhere
        .copy_from(&here, &from, &key("third"), &options)
        .await;
    assert!(copied.expect("no failure").is_none(), "another account's");
    let copied = here.copy_from(&here, &from, &from.key, &options).await;
    assert!(copied.expect("no failure").is_none(), "onto itself");
    here.delete(&from.key, Precondition::None)
        .await
        .expect("a delete");
    let copied = there.copy_from(&here, &from, &key("late"), &options).await;
    assert!(copied.expect_err("gone").is_missing_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_deleted_in_few_requests() {
    for (most, requests) in [(Some(10_000), 2), (Some(10), 8), (None, 71)] {
        let (double, store) = scene();
        double.service().max_deletes = most;
        let keys: Vec<_> = (0..70)
            .map(|number| key(&format!("a b/ü+%/{number}")))
            .collect();
        for key in &keys {
            let believed = WriteOptions {
                believed: Precondition::IfAbsent,
                ..WriteOptions::default()
            };
            let wrote = store.write(key, Body::from("x"), believed).await;
            wrote.expect("a write");
        }
        double.requests();
        // Those that are missing are no failures.
        let mut all = keys.clone();
        all.push(key("missing"));
        assert!(store.delete_many(all).await.is_empty());
        assert_eq!(names(&double), [""; 0]);
        let asked = double.requests();
        let deletes = asked.iter().filter(|request| {
            request.starts_with("POST")
                || request.starts_with("DELETE")
                || request.contains("/info")
        });
        assert_eq!(
            deletes.count(),
            requests + usize::from(most != Some(10_000)),
            "{most:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bulk_delete_leaves_is_deleted_alone_or_told() {
    for misnames in [false, true] {
        let (double, store) = scene();
        double.service().misnames = misnames;
        leaves_one(&double, &store).await;
    }
}

async fn leaves_one(double: &Double<Swift>, store: &Arc<dyn Store>) {
    let keys = ["a", "b", "c"].map(key);
    for key in &keys {
        let wrote = store.write(key, Body::from("x"), WriteOptions::default());
        wrote.await.expect("a write");
    }
    double.service().protected = Some("state/b".to_owned());
    double.script(|request, _| {
        let is_it = request.method == http::Method::DELETE && request.uri.path().ends_with("/b");
        is_it.then_some(crate::http_double::Fault::Status(403))
    });
    let failures = store.delete_many(keys.to_vec()).await;
    let [failure] = &failures[..] else {
        panic!("{failures:?}");
    };
    assert_eq!(failure.key(), Some("b"));
    assert_eq!(failure.kind().name(), "permission_denied");
    assert_eq!(names(double), ["state/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_are_advisory() {
    let double = swift_double::start();
    let desk = Desk::new();
    let mut env = variables(&double);
    env.push(("HOME".to_owned(), desk.arg("")));
    let session = Session::new(env.into_iter().collect(), Mode::Direct);
    let url = StoreUrl::parse("swift://container/state").expect("a URL");
    let store = session.open(&url).expect("a store");
    let guard = session.lock(&store, "x", &LockOptions::default()).await;
    let guard = guard.expect("free");
    assert_eq!(guard.record().strength, Strength::Advisory);
    guard.release().await;
    let strict = LockOptions {
        min_strength: Strength::Atomic,
        ..LockOptions::default()
    };
    let refused = session.lock(&store, "x", &strict).await;
    let refused = refused.err().expect("too weak");
    assert_eq!(refused.kind().name(), "unsupported");
    assert_eq!(names(&double), [""; 0]);
}

#[test]
fn a_store_moves_there_and_back() {
    let double = swift_double::start();
    double.service().page_size = 100;
    let there = "swift://container/state";
    assert_comes_back(&Desk::new(), &sample(), &[there], &variables(&double));
}

/// An application credential doesn't tell its project: to the eye these are two places.
const TWO_WAYS: &str = "\
clouds:
  by_password:
    auth: {auth_url: '{}/v3', username: demo, password: demopass, project_id: p1,
      user_domain_name: Default}
    region_name: One
  by_credential:
    auth_type: v3applicationcredential
    auth: {auth_url: '{}/v3', application_credential_id: ac1,
      application_credential_secret: acsecret}
    region_name: One
";

#[test]
fn a_store_is_not_retired_in_favour_of_itself() {
    let double = swift_double::start();
    let desk = Desk::new();
    let clouds = TWO_WAYS.replace("{}", &double.endpoint());
    desk.write(".config/openstack/clouds.yaml", clouds);
    let (one, other) = ("by_password", "by_credential");
    let [one, other] = [one, other].map(|cloud| format!("swift://container/state?cloud={cloud}"));
    let copy = ["sync", "examples/state", &one];
    desk.run(&copy).with(0);
    let before = names(&double);
    let retire = ["run", "retire_bucket", "--from", &one, "--to", &other];
    let refused = desk.run(&[&retire[..], &["--all-clusters", "--yes"]].concat());
    refused.with(4).says("both lead to the same place");
    assert_eq!(names(&double), before);
}

#[test]
fn a_large_file_goes_there_and_back_by_command() {
    let double = swift_double::start();
    let desk = Desk::new();
    let run = |args: &[&str]| {
        let mut command = desk.kstate(args);
        command.envs(variables(&double));
        Ended::of(command)
    };
    let bytes = noise((8 << 20) + 17);
    desk.write("large", &bytes);
    let place = "swift://container/large";
    run(&["cp", &desk.arg("large"), place]).with(0);
    assert_eq!(names(&double), ["large"]);
    run(&["cp", place, &desk.arg("back")]).with(0);
    assert!(std::fs::read(desk.path("back")).expect("a file") == bytes);
    let refused = run(&["cp", "--no-clobber", &desk.arg("large"), place]).with(4);
    refused.says("exists already");
    run(&["rm", "--yes", place]).with(0);
    assert_eq!(names(&double), [""; 0]);
}
