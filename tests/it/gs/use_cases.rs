//! Buckets, credentials, copies, and the whole program.

use futures::TryStreamExt;
use kstate::store::{Algorithm, Body, Entry, ListOptions, ReadOptions, Store, WriteOptions};

use super::{key, open, scene};
use crate::gs_double::{self, Object};
use crate::scripts::assert_comes_back;
use crate::support::{Desk, sample};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named() {
    let double = gs_double::start();
    let store = open(&double, "gs://nowhere/state");
    let listed = store
        .list(ListOptions::default())
        .try_collect::<Vec<_>>()
        .await;
    for error in [
        store.stat(&key("k")).await.expect_err("no bucket"),
        store
            .read(&key("k"), ReadOptions::default())
            .await
            .err()
            .expect("no bucket"),
        listed.expect_err("no bucket"),
    ] {
        assert_eq!(error.kind().name(), "not_found");
        assert!(!error.is_missing_key(), "{error}");
        assert!(
            error.to_string().contains("no such bucket 'nowhere'"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_of_several_has_a_crc_and_odd_names_are_told() {
    let (double, store) = scene();
    {
        let mut service = double.service();
        for (name, is_composite) in [("state/a", true), ("state/b", false), ("state/c//d", false)] {
            let object = Object {
                bytes: "bytes".into(),
                is_composite,
                ..Object::default()
            };
            service.put("bucket", name, object);
        }
    }
    let entries: Vec<Entry> = store
        .list(ListOptions::default())
        .try_collect()
        .await
        .expect("a list");
    let algorithm = |entry: &Entry| match entry {
        Entry::Object(meta) => meta.checksum.as_ref().map(|sum| sum.algorithm),
        _ => None,
    };
    assert_eq!(algorithm(&entries[0]), Some(Algorithm::Crc32c));
    assert_eq!(algorithm(&entries[1]), Some(Algorithm::Md5));
    assert!(matches!(&entries[2], Entry::Foreign { name, .. } if name == "c//d"));
    double.requests();
    let read = store
        .read(&key("a"), ReadOptions::default())
        .await
        .expect("an object");
    assert_eq!(
        read.meta.checksum.map(|sum| sum.algorithm),
        Some(Algorithm::Crc32c)
    );
    assert_eq!(double.requests().len(), 1, "a read is one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_between_buckets_run_on_the_server_or_not_at_all() {
    let (double, store) = scene();
    let write = store
        .write(&key("k"), Body::from("bytes"), WriteOptions::default())
        .await;
    let from = write.expect("a write");
    // Of the same account: the double's clients are those of one process.
    let other = {
        let endpoint = double.endpoint();
        let host = endpoint.trim_start_matches("http://").to_owned();
        let env = [("GCE_METADATA_HOST", host)].into_iter().collect();
        let clients = kstate::store::gs::Clients::with(env, super::quick());
        let at = |url: &str| {
            let url = kstate::store::StoreUrl::parse(&format!("{url}?endpoint={endpoint}"));
            let store: std::sync::Arc<dyn Store> =
                std::sync::Arc::new(clients.open(&url.expect("a URL")).expect("a store"));
            store
        };
        (at("gs://bucket/state"), at("gs://other"))
    };
    let options = WriteOptions::default();
    let copied = other
        .1
        .copy_from(&other.0, &from, &key("copy"), &options)
        .await;
    assert_eq!(copied.expect("a copy").expect("on the server").size, 5);
    double.service().refuses_rewrites = true;
    let copied = other
        .1
        .copy_from(&other.0, &from, &key("second"), &options)
        .await;
    assert!(copied.expect("no failure").is_none());
    let foreign = open(&double, "gs://other");
    let copied = foreign
        .copy_from(&store, &from, &key("third"), &options)
        .await;
    assert!(copied.expect("no failure").is_none(), "another account's");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_error_says_how_to_get_some() {
    let double = gs_double::start();
    let url = format!("gs://bucket?endpoint={}", double.endpoint());
    let env = [("AWS_EC2_METADATA_DISABLED", "true")]
        .into_iter()
        .collect();
    let clients = kstate::store::gs::Clients::with(env, super::quick());
    let store = clients.open(&kstate::store::StoreUrl::parse(&url).expect("a URL"));
    let error = store
        .expect("a store")
        .stat(&key("k"))
        .await
        .expect_err("nobody");
    assert_eq!(error.kind().name(), "permission_denied", "{error}");
    let hint = error.hint_text().unwrap_or_default();
    assert!(
        hint.contains("gcloud auth application-default login"),
        "{hint}"
    );
}

#[test]
fn a_store_moves_there_and_back() {
    let double = gs_double::start();
    double.service().checks_token = false;
    let env = [("STORAGE_EMULATOR_HOST", double.endpoint())];
    assert_comes_back(&Desk::new(), &sample(), &["gs://bucket/state"], &env);
}
