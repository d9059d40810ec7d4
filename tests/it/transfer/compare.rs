//! Same or different: what is trusted, and what is read.

use std::sync::Arc;

use futures::StreamExt;
use kstate::store::{Algorithm, Checksum, Meta};
use kstate::transfer::{
    CompareOptions, Difference, Evidence, Kind, SyncOptions, TextDiff, TextOptions, diff,
    text_diff, verify_trees,
};

use super::odd::{Odd, calls};
use super::{get, key, memory, only, plain, run, store};

fn fake_md5(meta: &mut Meta) {
    let fake = format!("{:?}", meta.tag);
    meta.checksum = Some(Checksum::of(Algorithm::Md5, fake.as_bytes()));
}

#[tokio::test]
async fn a_false_checksum_in_a_listing_is_not_believed() {
    let objects = [("a", "1"), ("b", "22")];
    let source = store("a", &objects).await;
    let target = store("b", &objects).await;
    let mut kms = Odd::new(&target);
    kms.listed = Arc::new(fake_md5);
    kms.told = Arc::new(|meta| meta.checksum = None);
    let counted = kms.calls.clone();
    let report = plain(&source, &kms.clone().share()).await;
    assert_eq!((report.copied, report.unchanged), (0, 2));

    kms.told = Arc::new(|_| {});
    let report = plain(&source, &kms.share()).await;
    assert_eq!((report.copied, report.unchanged), (0, 2));
    assert_eq!(calls(&counted.write) + calls(&counted.copy), 0);
}

#[tokio::test]
async fn a_copy_of_an_object_with_a_false_listed_checksum_verifies() {
    let source = store("a", &[("a", "1")]).await;
    let target = memory("b");
    let mut kms = Odd::new(&source);
    kms.listed = Arc::new(fake_md5);
    kms.told = Arc::new(|meta| meta.checksum = None);
    let report = plain(&kms.share(), &target).await;
    assert_eq!((report.copied, report.failures.count), (1, 0));
    assert_eq!(report.verified.content, 1);
}

#[tokio::test]
async fn equal_sizes_with_different_bytes_are_different() {
    for like_files in [false, true] {
        let source = store("a", &[("a", "1")]).await;
        let target = store("b", &[("a", "2")]).await;
        let to = if like_files {
            Odd::like_files(&target)
        } else {
            Odd::new(&target)
        };
        let report = plain(&source, &to.share()).await;
        assert_eq!(report.copied, 1);
        assert_eq!(get(&target, "a").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn content_evidence_reads_both_sides() {
    let source = store("a", &[("a", "1")]).await;
    let target = memory("b");
    let (from, to) = (Odd::new(&source), Odd::new(&target));
    let (read, read_back) = (from.calls.clone(), to.calls.clone());
    let options = SyncOptions {
        verify: Evidence::Content,
        ..SyncOptions::default()
    };
    let report = run(&from.share(), &to.share(), options).await.unwrap();
    assert_eq!(report.verified.content, 1);
    assert_eq!((calls(&read.read), calls(&read_back.read)), (1, 1));
}

#[tokio::test]
async fn verification_names_what_differs() {
    let source = store("a", &[("c/a", "1"), ("c/b", "2"), ("c/c", "3"), ("d", "4")]).await;
    let target = store("b", &[("c/a", "1"), ("c/b", "x"), ("c/z", "9")]).await;
    let options = CompareOptions {
        below: "c".to_owned(),
        ..CompareOptions::default()
    };
    let observer = Arc::new(());
    let report = verify_trees(&source, &target, &options, observer)
        .await
        .unwrap();
    assert_eq!((report.objects, report.verified.checksum), (3, 1));
    assert_eq!(report.differences.keys(9), "c/b, c/c");
    assert_eq!(report.extraneous.keys(9), "c/z");
    assert!(!report.is_complete());
    assert!(report.into_result().is_err());
}

#[tokio::test]
async fn a_verification_that_cannot_list_is_no_verification() {
    let source = store("a", &[("a", "1"), ("b", "1")]).await;
    let target = store("b", &[("a", "1"), ("b", "1")]).await;
    let mut odd = Odd::new(&target);
    odd.break_list = Some(2);
    let options = CompareOptions::default();
    let error = verify_trees(&source, &odd.share(), &options, Arc::new(())).await;
    assert!(error.unwrap_err().to_string().contains("connection reset"));
}

#[tokio::test]
async fn diff_gives_added_removed_and_changed_in_order() {
    let a = store("a", &[("a", "1"), ("b", "2"), ("c", "3"), ("x/y", "0")]).await;
    let b = store("b", &[("a", "1"), ("b", "22"), ("d", "4")]).await;
    let options = CompareOptions {
        filter: only(&["*"]),
        ..CompareOptions::default()
    };
    let found: Vec<_> = diff(&a, &b, &options).map(Result::unwrap).collect().await;
    let difference = |key: &str, kind, size_a, size_b| Difference {
        key: key.to_owned(),
        kind,
        size_a,
        size_b,
    };
    assert_eq!(
        found,
        [
            difference("b", Kind::Changed, Some(1), Some(2)),
            difference("c", Kind::Removed, Some(1), None),
            difference("d", Kind::Added, None, Some(1)),
        ]
    );
}

#[tokio::test]
async fn text_differences_show_lines_and_hide_secrets() {
    let a = store("a", &[("t", "x: 1\npassword: old\n"), ("s", "=")]).await;
    let b = store(
        "b",
        &[("t", "x: 2\npassword: new\n"), ("s", "="), ("n", "\0")],
    )
    .await;
    let shown = async |name, options| text_diff(&*a, &*b, &key(name), options).await.unwrap();
    let plain = TextOptions::default();
    assert_eq!(shown("s", plain).await, TextDiff::Same);
    assert_eq!(shown("n", plain).await, TextDiff::Binary);
    assert_eq!(
        shown("t", TextOptions { limit: 3, ..plain }).await,
        TextDiff::TooLarge
    );

    let mask = |_: &_, text: &str| {
        let hide = |line: &str| match line.split_once("password: ") {
            Some(_) => "password: (hidden)\n".to_owned(),
            None => format!("{line}\n"),
        };
        text.lines().map(hide).collect()
    };
    let masked = TextOptions {
        mask: Some(&mask),
        ..plain
    };
    let TextDiff::Unified(text) = shown("t", masked).await else {
        panic!("the texts differ")
    };
    assert_eq!(
        text,
        "--- memfs://a/t\n+++ memfs://b/t\n@@ -1,2 +1,2 @@\n-x: 1\n+x: 2\n password: (hidden)\n"
    );
    let all = |_: &_, _: &str| String::new();
    let hidden = TextOptions {
        mask: Some(&all),
        ..plain
    };
    assert_eq!(shown("t", hidden).await, TextDiff::Masked);
}
