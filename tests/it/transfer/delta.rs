//! Passes until the source stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use kstate::transfer::{DeltaOptions, Error, Report, SyncOptions, delta_sync};

use super::odd::{Odd, calls};
use super::{Shared, memory, only, put, remove, store, tree};

async fn run(from: &Shared, to: &Shared, options: DeltaOptions) -> Result<Report, Error> {
    delta_sync(from, to, options, Arc::new(())).await
}

/// A target in front of which the source changes with each of the first so many copies.
fn busy(source: &Shared, target: &Shared, times: u64) -> Odd {
    let mut odd = Odd::new(target);
    let (source, done) = (Arc::clone(source), AtomicU64::new(0));
    odd.before_copy = Arc::new(move |key| {
        let number = done.fetch_add(1, Ordering::Relaxed);
        if number < times && key.as_str().starts_with("backups/") {
            let name = format!("backups/{:03}", number + 1);
            put(&source, &name, "backup").now_or_never().unwrap();
        }
        None
    });
    odd
}

#[tokio::test]
async fn passes_go_on_until_nothing_is_left() {
    let source = store("a", &[("backups/000", "x"), ("k", "x")]).await;
    let target = memory("b");
    let odd = busy(&source, &target, 3).share();
    let report = run(&source, &odd, DeltaOptions::default()).await.unwrap();
    assert!(report.passes >= 2, "{}", report.passes);
    assert_eq!(report.copied, report.objects);
    assert_eq!(report.unchanged, report.objects);
    assert_eq!(tree(&target).await, tree(&source).await);
    let report = run(&source, &odd, DeltaOptions::default()).await.unwrap();
    assert_eq!((report.passes, report.copied), (1, 0));
}

#[tokio::test]
async fn a_source_that_never_stands_still_is_named() {
    let source = store("a", &[("backups/000", "x")]).await;
    let target = memory("b");
    let odd = busy(&source, &target, u64::MAX).share();
    let options = DeltaOptions {
        passes: 4,
        ..DeltaOptions::default()
    };
    let error = run(&source, &odd, options).await.unwrap_err();
    assert_eq!((error.report.passes, error.report.copied), (4, 4));
    assert!(
        error.to_string().contains("after 4 passes: backups/003"),
        "{error}"
    );
}

#[tokio::test]
async fn what_goes_first_is_complete_before_the_next_begins() {
    let objects = ["a", "control/created", "control/spec", "m", "z"].map(|key| (key, "x"));
    let source = store("a", &objects).await;
    let odd = Odd::new(&memory("b"));
    let counted = odd.calls.clone();
    let options = DeltaOptions {
        sync: SyncOptions {
            first: vec![only(&["control/*"]), only(&["z", "control/spec"])],
            concurrency: 1,
            ..SyncOptions::default()
        },
        ..DeltaOptions::default()
    };
    let report = run(&source, &odd.share(), options).await.unwrap();
    let order = counted.order.lock().unwrap().clone();
    assert_eq!(order, ["control/created", "control/spec", "z", "a", "m"]);
    assert_eq!((report.passes, report.objects), (2, 5));
}

#[tokio::test]
async fn what_is_held_back_is_not_copied() {
    let source = store("a", &[("config", "x"), ("k", "x")]).await;
    let target = memory("b");
    let options = DeltaOptions {
        sync: SyncOptions {
            hold_back: Some(only(&["config"])),
            ..SyncOptions::default()
        },
        ..DeltaOptions::default()
    };
    let report = run(&source, &target, options).await.unwrap();
    assert_eq!((report.copied, report.objects), (1, 1));
    assert!(!tree(&target).await.contains_key("config"));
}

#[tokio::test]
async fn a_conflict_is_not_overwritten_by_a_later_pass() {
    let source = store("a", &[("k", "mine"), ("l", "mine")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    let (theirs, times) = (Arc::clone(&target), AtomicU64::new(0));
    odd.before_copy = Arc::new(move |key| {
        if key.as_str() == "k" && times.fetch_add(1, Ordering::Relaxed) == 0 {
            put(&theirs, "k", "theirs").now_or_never().unwrap();
        }
        None
    });
    let report = run(&source, &odd.share(), DeltaOptions::default())
        .await
        .unwrap();
    assert_eq!((report.passes, report.conflicts.count), (1, 1));
    assert_eq!(tree(&target).await["k"], "theirs");
}

#[tokio::test]
async fn deletion_comes_after_the_last_pass() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("old", "x")]).await;
    let options = DeltaOptions {
        sync: SyncOptions {
            delete: true,
            ..SyncOptions::default()
        },
        ..DeltaOptions::default()
    };
    let report = run(&source, &target, options.clone()).await.unwrap();
    assert_eq!((report.passes, report.deleted), (2, 1));
    put(&target, "old", "x").await;
    remove(&source, "k").await;
    run(&source, &target, options).await.unwrap_err();
    assert_eq!(tree(&target).await.len(), 2);
}

#[tokio::test]
async fn what_was_just_proven_is_not_read_again() {
    let source = store("a", &[("k", "x"), ("l", "y")]).await;
    let (from, to) = (Odd::like_files(&source), Odd::like_files(&memory("b")));
    let (reads, reads_back) = (from.calls.clone(), to.calls.clone());
    let (from, to) = (from.share(), to.share());
    let report = run(&from, &to, DeltaOptions::default()).await.unwrap();
    assert_eq!((report.passes, report.copied), (2, 2));
    assert_eq!((calls(&reads.read), calls(&reads_back.read)), (2, 2));
}
