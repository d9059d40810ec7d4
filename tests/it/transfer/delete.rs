//! Deleting what only the target has.

use std::sync::Arc;

use kstate::store::{Entry, ErrorKind};
use kstate::transfer::SyncOptions;

use super::odd::{Odd, error};
use super::{only, plain, run, store, tree};

fn deleting() -> SyncOptions {
    SyncOptions {
        delete: true,
        ..SyncOptions::default()
    }
}

#[tokio::test]
async fn nothing_is_deleted_unless_asked() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("k", "x"), ("old", "x")]).await;
    let report = plain(&source, &target).await;
    assert_eq!((report.deleted, report.extraneous.count), (0, 1));
    assert!(report.is_complete());
    let report = run(&source, &target, deleting()).await.unwrap();
    assert_eq!(report.deleted, 1);
    assert_eq!(tree(&target).await, tree(&source).await);
}

#[tokio::test]
async fn nothing_is_deleted_after_a_failed_copy() {
    let source = store("a", &[("k", "x"), ("l", "x")]).await;
    let target = store("b", &[("old", "x")]).await;
    let mut odd = Odd::new(&target);
    odd.before_copy = Arc::new(|key| (key.as_str() == "k").then(|| error(ErrorKind::Other)));
    let report = run(&source, &odd.share(), deleting()).await.unwrap();
    assert_eq!((report.failures.count, report.deleted), (1, 0));
    assert!(tree(&target).await.contains_key("old"));
}

#[tokio::test]
async fn an_empty_source_deletes_nothing_unless_allowed() {
    let source = store("a", &[]).await;
    let target = store("b", &[("k", "x")]).await;
    let error = run(&source, &target, deleting()).await.unwrap_err();
    assert_eq!(*error.cause.kind(), ErrorKind::Invalid);
    assert_eq!(tree(&target).await.len(), 1);
    let options = SyncOptions {
        allow_empty_source: true,
        ..deleting()
    };
    assert_eq!(run(&source, &target, options).await.unwrap().deleted, 1);
}

#[tokio::test]
async fn more_than_allowed_is_not_begun() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("o1", "x"), ("o2", "x")]).await;
    for (most, left) in [(1, 3), (2, 1)] {
        let options = SyncOptions {
            max_delete: Some(most),
            ..deleting()
        };
        let outcome = run(&source, &target, options).await;
        assert_eq!(outcome.is_ok(), most == 2);
        assert_eq!(tree(&target).await.len(), left);
    }
}

#[tokio::test]
async fn what_does_not_take_part_stays() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("config", "x"), ("old", "x"), ("other/old", "x")]).await;
    let mut odd = Odd::new(&target);
    odd.foreign = vec![Entry::Foreign {
        name: "p//q".to_owned(),
        size: Some(1),
        reason: "no key".to_owned(),
    }];
    let options = SyncOptions {
        filter: only(&["*"]),
        hold_back: Some(only(&["config"])),
        ..deleting()
    };
    let report = run(&source, &odd.clone().share(), options).await.unwrap();
    assert_eq!(report.deleted, 1);
    let keys: Vec<_> = tree(&target).await.into_keys().collect();
    assert_eq!(keys, ["config", "k", "other/old"]);

    let report = run(&source, &odd.share(), SyncOptions::default())
        .await
        .unwrap();
    assert_eq!(report.skipped.keys(9), "p//q");
}

#[tokio::test]
async fn a_failed_deletion_is_reported() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("k", "x"), ("o1", "x"), ("o2", "x")]).await;
    let mut odd = Odd::new(&target);
    odd.before_write = Arc::new(|key| (key.as_str() == "o1").then(|| error(ErrorKind::Other)));
    let report = run(&source, &odd.share(), deleting()).await.unwrap();
    assert_eq!(
        (report.deleted, report.failures.keys(9).as_str()),
        (1, "o1")
    );

    let mut odd = Odd::new(&target);
    odd.fail_batch = true;
    let error = run(&source, &odd.share(), deleting()).await.unwrap_err();
    assert_eq!(error.report.deleted, 0);
}

#[tokio::test]
async fn a_place_within_the_other_is_refused() {
    let store = store("a", &[("c/k", "x"), ("d/k", "x")]).await;
    for (source, target) in [("", "c"), ("c", ""), ("c", "c")] {
        let (source, target) = (store.at(source), store.at(target));
        let error = run(&source, &target, deleting()).await.unwrap_err();
        assert_eq!(*error.cause.kind(), ErrorKind::Invalid);
    }
    assert_eq!(tree(&store).await.len(), 2);
    let report = plain(&store.at("c"), &store.at("e")).await;
    assert_eq!(report.copied, 1);
}
