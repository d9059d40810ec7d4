//! What takes part, and what the target can't hold.

use kstate::store::{Entry, ErrorKind};
use kstate::transfer::{Filter, SyncOptions};

use super::odd::{Odd, calls};
use super::{memory, only, plain, put, run, store, tree};

fn foreign(name: &str, size: u64) -> Entry {
    Entry::Foreign {
        name: name.to_owned(),
        size: Some(size),
        reason: "a key must not contain an empty segment ('//')".to_owned(),
    }
}

#[tokio::test]
async fn all_names_that_a_file_system_cannot_hold_are_named_and_nothing_is_copied() {
    let objects = ["a", "a-b", "a/b", "a/b/c", "a0", "b", "c/d", "c/d/e"];
    let objects = objects.map(|key| (key, "x"));
    let source = store("a", &objects).await;
    let target = store("b", &[("c/d", "x")]).await;
    let error = run(
        &source,
        &Odd::like_files(&target).share(),
        SyncOptions::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(*error.cause.kind(), ErrorKind::InvalidKey);
    assert_eq!(error.report.refused.keys(9), "a/b, a/b/c, c/d/e");
    assert!(error.report.refused.first[0].reason.contains("'a'"));
    assert!(error.to_string().contains("3 objects"), "{error}");
    assert_eq!(tree(&target).await.len(), 1);
}

#[tokio::test]
async fn names_and_sizes_that_the_target_refuses_are_found_before_copying() {
    let source = store("a", &[("a", "x"), ("b", "xxxx"), ("c", "x")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.unholdable.insert("c".to_owned());
    odd.able = std::sync::Arc::new(|able| able.max_size = Some(3));
    let odd = odd.share();
    let error = run(&source, &odd, SyncOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.report.refused.keys(9), "b, c");
    assert_eq!(tree(&target).await.len(), 0);

    let options = SyncOptions {
        filter: Filter::new(&[], &["{b,c}"]).unwrap(),
        ..SyncOptions::default()
    };
    assert_eq!(run(&source, &odd, options).await.unwrap().copied, 1);
}

#[tokio::test]
async fn more_than_the_target_holds_in_all_is_refused_before_copying() {
    let source = store("a", &[("a", "xx"), ("b", "xx")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.capacity = Some(3);
    let error = run(&source, &odd.clone().share(), SyncOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("3 B is the most"), "{error}");
    assert_eq!(tree(&target).await.len(), 0);
    odd.capacity = Some(4);
    let report = run(&source, &odd.share(), SyncOptions::default()).await;
    assert_eq!(report.unwrap().copied, 2);
}

#[tokio::test]
async fn what_goes_first_is_not_copied_when_the_rest_does_not_fit() {
    let source = store("a", &[("a", "x"), ("z", "x")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.unholdable.insert("a".to_owned());
    let options = SyncOptions {
        first: vec![only(&["z"])],
        ..SyncOptions::default()
    };
    run(&source, &odd.share(), options).await.unwrap_err();
    assert_eq!(tree(&target).await.len(), 0);
}

#[tokio::test]
async fn folder_markers_are_skipped_and_other_foreign_names_refused() {
    let source = store("a", &[("a/x", "x")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&source);
    odd.foreign = vec![foreign("a/", 0)];
    let report = plain(&odd.clone().share(), &target).await;
    assert_eq!((report.copied, report.skipped.keys(9).as_str()), (1, "a/"));
    assert!(report.is_complete());

    odd.foreign = vec![foreign("a/", 0), foreign("b//c", 1), foreign("d/", 7)];
    let odd = odd.share();
    let error = run(&odd, &target, SyncOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.report.refused.keys(9), "b//c, d/");

    let options = SyncOptions {
        filter: only(&["a/**"]),
        ..SyncOptions::default()
    };
    assert!(run(&odd, &target, options).await.unwrap().is_complete());
}

#[tokio::test]
async fn our_own_objects_are_neither_copied_nor_deleted() {
    let source = store("a", &[(".kstate/lock", "s"), ("k", "x")]).await;
    let target = store("b", &[(".kstate/lock", "t"), (".kstate/journal/1", "j")]).await;
    let options = SyncOptions {
        delete: true,
        ..SyncOptions::default()
    };
    let report = run(&source, &target, options).await.unwrap();
    assert_eq!((report.objects, report.copied, report.deleted), (1, 1, 0));
    let after = tree(&target).await;
    assert_eq!((after.len(), after[".kstate/lock"].as_str()), (3, "t"));
}

#[tokio::test]
async fn only_the_folder_asked_for_takes_part() {
    let source = store("a", &[("c1/k", "x"), ("c10/k", "x"), ("c1/sub/k", "x")]).await;
    let target = store("b", &[("c1/old", "x"), ("c10/old", "x")]).await;
    let options = SyncOptions {
        below: "c1".to_owned(),
        filter: Filter::new(&[], &["sub/"]).unwrap(),
        delete: true,
        ..SyncOptions::default()
    };
    run(&source, &target, options.clone()).await.unwrap();
    let keys: Vec<_> = tree(&target).await.into_keys().collect();
    assert_eq!(keys, ["c1/k", "c10/old"]);

    let options = SyncOptions {
        below: "c1/".to_owned(),
        ..options
    };
    let error = run(&source, &target, options).await.unwrap_err();
    assert_eq!(*error.cause.kind(), ErrorKind::InvalidKey);
}

#[tokio::test]
async fn a_run_with_nothing_to_do_does_not_look_ahead() {
    let source = store("a", &[("k", "x")]).await;
    let target = store("b", &[("k", "x")]).await;
    let odd = Odd::new(&source);
    let counted = odd.calls.clone();
    let odd = odd.share();
    plain(&odd, &target).await;
    assert_eq!(calls(&counted.list), 1);
    put(&source, "l", "y").await;
    plain(&odd, &target).await;
    assert_eq!(calls(&counted.list), 3);
}

#[tokio::test]
async fn a_listing_out_of_order_is_refused() {
    let source = store("a", &[("a", "x"), ("b", "x")]).await;
    let mut odd = Odd::new(&source);
    odd.foreign = vec![foreign("b", 1)];
    let error = run(&odd.share(), &memory("b"), SyncOptions::default()).await;
    let error = error.unwrap_err();
    assert_eq!(*error.cause.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("byte order"), "{error}");
}

#[tokio::test]
async fn a_foreign_name_never_hides_an_object_on_the_other_side() {
    let source = store("a", &[("a", "x"), ("b", "x"), ("c", "x")]).await;
    let target = store("b", &[("a", "x"), ("c", "x")]).await;
    let mut odd = Odd::new(&target);
    odd.foreign = vec![foreign("a//", 1), foreign("b", 1), foreign("b//", 1)];
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.objects, report.copied, report.unchanged), (3, 1, 2));

    let mut odd = Odd::new(&source);
    odd.foreign = vec![foreign("0/", 0), foreign("b/", 0)];
    let report = plain(&odd.share(), &target).await;
    assert_eq!((report.unchanged, report.extraneous.count), (3, 0));
    assert_eq!((report.skipped.count, report.conflicts.count), (2, 0));
}
