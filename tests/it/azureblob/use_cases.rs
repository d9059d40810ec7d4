//! Containers, names, folders, and the whole program.

use futures::TryStreamExt;
use kstate::store::{Entry, ListOptions, Precondition, ReadOptions, StoreUrl, WriteOptions};

use super::{Opener, key, quick, scene, write};
use crate::azure_double::{self, Blob, key_of};
use crate::scripts::assert_comes_back;
use crate::support::{Desk, sample};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_container_is_named() {
    let double = azure_double::start();
    let store = Opener::new(&double, quick()).open("first", "nowhere/state");
    let listed = store.list(ListOptions::default());
    let listed = listed.try_collect::<Vec<_>>().await;
    let wrote = write(&store, "k", "x", WriteOptions::default()).await;
    for error in [
        store.stat(&key("k")).await.expect_err("no container"),
        store
            .read(&key("k"), ReadOptions::default())
            .await
            .err()
            .expect("no container"),
        listed.expect_err("no container"),
        wrote.expect_err("no container"),
    ] {
        assert_eq!(error.kind().name(), "not_found");
        assert!(!error.is_missing_key(), "{error}");
        let told = error.to_string();
        assert!(told.contains("no such container 'nowhere'"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_c1_has_nothing_of_c10_and_no_folders() {
    let (double, store) = scene();
    let folder = Blob {
        metadata: [("hdi_isfolder".to_owned(), "true".to_owned())].into(),
        ..Blob::default()
    };
    for (name, blob) in [
        ("state/c1", folder.clone()),
        ("state/c1/config", Blob::default()),
        ("state/c1/empty", folder),
        ("state/c1//odd", Blob::default()),
        ("state/c1/\u{ffff} &", Blob::default()),
        ("state/c1/marker/", Blob::default()),
        ("state/c10/config", Blob::default()),
        ("state2/c1/config", Blob::default()),
    ] {
        double
            .service()
            .of_first("container")
            .insert(name.to_owned(), blob);
    }
    let list = async |options: ListOptions| {
        let entries: Vec<Entry> = store.list(options).try_collect().await.expect("a list");
        let names = entries.iter().map(|entry| match entry {
            Entry::Object(meta) => format!("object {}", meta.key),
            Entry::Prefix(name) => format!("prefix {name}"),
            Entry::Foreign { name, .. } => format!("foreign {name}"),
        });
        names.collect::<Vec<_>>()
    };
    let all = list(ListOptions::recursive("c1")).await;
    assert_eq!(
        all,
        [
            "foreign c1//odd",
            "object c1/config",
            "foreign c1/marker/",
            "object c1/\u{ffff} &"
        ]
    );
    let level = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    assert_eq!(list(level).await, ["prefix c1/", "prefix c10/"]);
    for missing in [
        store.stat(&key("c1")).await.expect_err("a folder"),
        store
            .read(&key("c1/empty"), ReadOptions::default())
            .await
            .err()
            .expect("a folder"),
    ] {
        assert!(missing.is_missing_key(), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_azure_would_change_are_refused() {
    let (double, store) = scene();
    for name in [
        "a.",
        "a./b",
        "a\\b",
        "a\u{1}b",
        "a\u{ffff}",
        &"n".repeat(1019),
        &"s/".repeat(254),
    ] {
        let name = name.trim_end_matches('/');
        assert!(store.refuses(&key(name)).is_some(), "{name}");
        let wrote = write(&store, name, "x", WriteOptions::default()).await;
        assert_eq!(wrote.expect_err(name).kind().name(), "invalid_key");
    }
    // Characters are counted, not bytes.
    let longest = &"ü".repeat(1018);
    let wrote = write(&store, longest, "x", WriteOptions::default()).await;
    wrote.expect("1,024 characters");
    assert_eq!(double.service().of_first("container").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_header_can_hold_is_told_or_kept_otherwise() {
    let (_double, store) = scene();
    let options = |content_type: &str| WriteOptions {
        content_type: Some(content_type.to_owned()),
        user: [("Größe".to_owned(), "zwei  Worte\n".to_owned())].into(),
        ..WriteOptions::default()
    };
    let wrote = write(&store, "k", "x", options("text/plain;  charset=x ")).await;
    let meta = wrote.expect("a write");
    let told = store.stat(&key("k")).await.expect("an object");
    assert_eq!(told.user, options("").user);
    assert_eq!(meta.content_type, told.content_type);
    for bad in ["text/ü", "text/\n"] {
        let wrote = write(&store, "k", "x", options(bad)).await;
        let kind = wrote
            .map(|meta| meta.content_type)
            .map_err(|error| error.kind().name());
        assert!(
            matches!(kind, Err("invalid") | Ok(Some(_))),
            "{bad:?}: {kind:?}"
        );
    }
    // A tag may come from a plan that somebody has edited.
    let tag = kstate::store::Tag("ü".to_owned());
    let deleted = store.delete(&key("k"), Precondition::IfMatch(tag)).await;
    assert_eq!(deleted.expect_err("no tag").kind().name(), "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_stats_are_one_request() {
    let (double, store) = scene();
    let wrote = write(&store, "k", "0123456789", WriteOptions::default()).await;
    let meta = wrote.expect("a write");
    double.requests();
    let options = ReadOptions {
        range: Some(2..5),
        if_match: None,
    };
    let object = store.read(&key("k"), options).await.expect("an object");
    assert_eq!(
        (object.meta.size, &object.meta.checksum),
        (10, &meta.checksum)
    );
    assert_eq!(object.body.collect(9).await.expect("bytes"), "234");
    store.stat(&key("k")).await.expect("an object");
    assert_eq!(double.requests().len(), 2);
}

#[test]
fn the_older_form_of_the_url_is_told_from_todays() {
    let desk = Desk::new();
    let ended = desk
        .run(&["ls", "azureblob://my-container/clusters"])
        .with(2);
    ended.says("azureblob://ACCOUNT/CONTAINER/PREFIX");
    let ended = desk.run(&["ls", "azureblob://first/container?sv=1&sig=s3cr3t"]);
    ended.says("sas_token_env");
    assert!(!format!("{ended:?}").contains("s3cr3t"));
    assert!(StoreUrl::parse("azureblob://first/container/state").is_ok());
}

#[test]
fn a_store_moves_there_and_back() {
    let double = azure_double::start();
    let connection = format!(
        "AccountName=first;AccountKey={};BlobEndpoint={}/first",
        key_of("first"),
        double.endpoint()
    );
    let env = [("AZURE_STORAGE_CONNECTION_STRING", connection)];
    let there = "azureblob://first/container/state";
    assert_comes_back(&Desk::new(), &sample(), &[there], &env);
    for (name, blob) in double.service().of_first("container").iter() {
        if name.ends_with("/config") {
            let text = String::from_utf8_lossy(&blob.bytes).into_owned();
            assert!(text.contains(&format!("{there}/")), "{name}: {text}");
        }
    }
}
