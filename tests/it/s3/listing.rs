//! Listings: pages, order, odd names, and services that contradict themselves.

use std::sync::Arc;

use futures::StreamExt;
use kstate::store::{Entry, Error, ErrorKind, ListOptions, Store};

use super::{aws, clients, on_aws, open};
use crate::s3_double::{Action, Fault, S3Double};

fn paged(size: usize) -> (S3Double, Arc<dyn Store>) {
    let double = S3Double::builder().page_size(size).bucket("bucket").start();
    let store = open(&clients(&double, &[], aws()), "s3://bucket/state");
    (double, store)
}

async fn names(store: &Arc<dyn Store>, options: ListOptions) -> Result<Vec<String>, Error> {
    let mut listing = store.list(options);
    let mut names = Vec::new();
    while let Some(entry) = listing.next().await {
        names.push(match entry? {
            Entry::Foreign { name, .. } => format!("!{name}"),
            entry => entry.name().to_owned(),
        });
    }
    Ok(names)
}

fn one_level() -> ListOptions {
    ListOptions {
        one_level: true,
        ..ListOptions::default()
    }
}

#[tokio::test]
async fn all_pages_come_in_order() {
    let (double, store) = paged(3);
    let keys: Vec<String> = (0..10).map(|n| format!("k{n:02}")).collect();
    for key in &keys {
        double.put("bucket", &format!("state/{key}"), "x");
    }
    double.put("bucket", "state2/not-ours", "x");
    double.put("bucket", "statf", "x");
    assert_eq!(
        names(&store, ListOptions::default()).await.expect("all"),
        keys
    );
    assert_eq!(double.count("ListObjectsV2"), 4);
}

#[tokio::test]
async fn a_reader_that_stops_early_costs_few_pages() {
    let (double, store) = paged(2);
    for n in 0..100 {
        double.put("bucket", &format!("state/k{n:02}"), "x");
    }
    let mut listing = store.list(ListOptions::default());
    listing.next().await.expect("an entry").expect("an object");
    drop(listing);
    assert!(double.count("ListObjectsV2") <= 4);
}

#[tokio::test]
async fn odd_names_survive_and_what_is_no_key_is_foreign() {
    let (double, store) = paged(2);
    let odd = [
        "a b+c%25", "a\nb", "e\u{301}", "plain", "x&y<z>", "\u{e9}", "ü/ü",
    ];
    for name in odd {
        double.put("bucket", &format!("state/{name}"), "x");
    }
    for name in ["state/", "state/a//b", "state/folder/"] {
        double.put("bucket", name, "");
    }
    let mut wanted: Vec<String> = odd.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend([String::new(), "a//b".into(), "folder/".into()]);
    wanted.sort();
    let seen = names(&store, ListOptions::default()).await.expect("all");
    let bare: Vec<&str> = seen
        .iter()
        .map(|name| name.trim_start_matches('!'))
        .collect();
    assert_eq!(bare, wanted);
    let foreign: Vec<_> = seen.iter().filter(|name| name.starts_with('!')).collect();
    assert_eq!(foreign, ["!", "!a//b", "!folder/"]);
}

#[tokio::test]
async fn one_level_merges_folders_and_objects_across_pages() {
    for size in [1, 2, 3, 100] {
        let (double, store) = paged(size);
        for name in ["a/1", "a/2", "a-b", "a.b", "a0", "b", "c/d/e", "c/f", "d"] {
            double.put("bucket", &format!("state/{name}"), "x");
        }
        let seen = names(&store, one_level()).await.expect("all");
        assert_eq!(seen, ["a-b", "a.b", "a/", "a0", "b", "c/", "d"], "{size}");
        let below = ListOptions {
            below: "c".into(),
            ..one_level()
        };
        assert_eq!(names(&store, below).await.expect("all"), ["c/d/", "c/f"]);
    }
}

#[tokio::test]
async fn listings_start_where_they_are_told() {
    let (double, store) = paged(2);
    for name in ["a", "b/1", "b/2", "c", "d"] {
        double.put("bucket", &format!("state/{name}"), "x");
    }
    let after = |start: &str, one_level| ListOptions {
        start_after: Some(start.into()),
        one_level,
        ..ListOptions::default()
    };
    assert_eq!(
        names(&store, after("b/1", false)).await.expect("all"),
        ["b/2", "c", "d"]
    );
    assert_eq!(
        names(&store, after("bb", false)).await.expect("all"),
        ["c", "d"]
    );
    assert_eq!(
        names(&store, after("b/", true)).await.expect("all"),
        ["c", "d"]
    );
    assert_eq!(
        names(&store, after("a", true)).await.expect("all"),
        ["b/", "c", "d"]
    );
}

#[tokio::test]
async fn listed_objects_have_size_tag_checksum_and_time() {
    let (double, store) = on_aws();
    let etag = double.put("bucket", "state/a", "hello");
    let entry = store
        .list(ListOptions::default())
        .next()
        .await
        .expect("one");
    let Ok(Entry::Object(meta)) = entry else {
        panic!("{entry:?}");
    };
    assert_eq!(meta.size, 5);
    assert_eq!(
        meta.tag.map(|tag| tag.0),
        Some(etag.trim_matches('"').to_owned())
    );
    assert_eq!(
        meta.checksum.map(|sum| sum.hex()).as_deref(),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
    assert!(meta.modified.is_some());
}

#[tokio::test]
async fn a_failing_page_is_retried_and_then_an_error_at_the_end() {
    let (double, store) = paged(2);
    for name in ["a", "b", "c", "d", "e"] {
        double.put("bucket", &format!("state/{name}"), "x");
    }
    double.fault(Fault::on("ListObjectsV2").nth(2).then(Action::slow_down()));
    assert_eq!(
        names(&store, ListOptions::default())
            .await
            .expect("all")
            .len(),
        5
    );
    double.clear_faults();
    double.fault(
        Fault::on("ListObjectsV2")
            .nth(2)
            .always()
            .then(Action::slow_down()),
    );
    let items: Vec<_> = store.list(ListOptions::default()).collect().await;
    assert_eq!(items.len(), 3);
    let last = items.into_iter().next_back().expect("an item");
    assert_eq!(*last.expect_err("a failure").kind(), ErrorKind::Throttled);
}

#[tokio::test]
async fn contradictions_are_errors_and_never_a_shorter_list() {
    for action in [Action::TokenlessList, Action::UnorderedList] {
        let (double, store) = paged(3);
        for name in ["a", "b", "c", "d", "e"] {
            double.put("bucket", &format!("state/{name}"), "x");
        }
        double.fault(Fault::on("ListObjectsV2").then(action));
        let error = names(&store, ListOptions::default())
            .await
            .expect_err("a contradiction");
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn a_missing_bucket_and_a_refusal_are_told_apart() {
    let (double, store) = on_aws();
    let clients = clients(&double, &[], aws());
    let error = names(&open(&clients, "s3://nowhere"), ListOptions::default())
        .await
        .expect_err("no bucket");
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert_eq!(error.key(), None);
    assert!(error.hint_text().is_some());
    double.deny(double.access_key(), "ListBucket", "bucket", "");
    let error = names(&store, ListOptions::default())
        .await
        .expect_err("a refusal");
    assert_eq!(
        *error.kind(),
        ErrorKind::PermissionDenied {
            action: Some("s3:ListBucket".into()),
            resource: Some("arn:aws:s3:::bucket".into()),
        }
    );
}
