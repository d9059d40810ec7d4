//! Any tree becomes any other, with no more work than needed.

use std::collections::BTreeMap;

use kstate::store::Entry;
use kstate::transfer::SyncOptions;
use proptest::prelude::*;

use super::odd::{Odd, calls};
use super::{Shared, memory, plain, put, run, tree};

type Tree = BTreeMap<String, String>;

fn any_tree() -> impl Strategy<Value = Tree> {
    let segment = prop_oneof!["[a-c]", "[a-c]-", "[a-c]0", "ü", r"\.kstate"];
    let key = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"));
    prop::collection::btree_map(key, "[xy]{0,2}", 0..40)
}

async fn fill(store: &Shared, objects: &Tree) {
    for (key, text) in objects {
        put(store, key, text).await;
    }
}

fn ours(key: &str) -> bool {
    key == ".kstate" || key.starts_with(".kstate/")
}

fn marker(name: &str) -> Entry {
    Entry::Foreign {
        name: name.to_owned(),
        size: Some(0),
        reason: "a key must not end with a slash".to_owned(),
    }
}

async fn check(source: &Tree, target: &Tree, like_files: bool) {
    let (from, to) = (memory("a"), memory("b"));
    fill(&from, source).await;
    fill(&to, target).await;
    let mut odd = Odd::new(&to);
    if like_files {
        odd = Odd::like_files(&to);
        odd.able = std::sync::Arc::new(|able| able.checksum = None);
    }
    let counted = odd.calls.clone();
    // What is no object must not hide the object beside it.
    odd.foreign = ["a/", "b-/", "c/b/"].map(marker).to_vec();
    let odd = odd.share();
    let mut from = Odd::new(&from);
    from.foreign = ["a-/", "b/", "c/b/"].map(marker).to_vec();
    let from = from.share();
    let options = SyncOptions {
        delete: true,
        allow_empty_source: true,
        concurrency: 3,
        ..SyncOptions::default()
    };
    let report = run(&from, &odd, options.clone()).await.unwrap();

    let mut wanted: Tree = source.clone().into_iter().filter(|o| !ours(&o.0)).collect();
    let differing = wanted.iter().filter(|(k, v)| target.get(*k) != Some(v));
    assert_eq!(report.copied, differing.count() as u64);
    assert_eq!(report.verified.total(), report.copied);
    wanted.extend(target.clone().into_iter().filter(|o| ours(&o.0)));
    assert_eq!(tree(&to).await, wanted);

    let written = calls(&counted.write) + calls(&counted.copy);
    let again = run(&from, &odd, options).await.unwrap();
    assert!(again.is_complete());
    assert_eq!((again.copied, again.deleted), (0, 0));
    assert_eq!(written, calls(&counted.write) + calls(&counted.copy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_tree_becomes_any_other(a in any_tree(), b in any_tree(), like_files: bool) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(check(&a, &b, like_files));
    }
}

#[tokio::test]
async fn a_first_copy_costs_one_request_an_object_and_a_second_run_two_listings() {
    let (source, target) = (memory("a"), memory("b"));
    for number in 0..2000 {
        put(&source, &format!("c/{number}"), "text").await;
    }
    let (from, to) = (Odd::new(&source), Odd::new(&target));
    let (reads, writes) = (from.calls.clone(), to.calls.clone());
    let (from, to) = (from.share(), to.share());
    let requests = || {
        let sum = |c: &super::odd::Calls| {
            calls(&c.list) + calls(&c.stat) + calls(&c.read) + calls(&c.write) + calls(&c.copy)
        };
        sum(&reads) + sum(&writes)
    };
    let report = plain(&from, &to).await;
    assert_eq!((report.copied, report.server_side), (2000, 2000));
    assert_eq!(report.verified.checksum, 2000);
    assert_eq!(
        requests(),
        2000 + 3,
        "two listings, and one that looks ahead"
    );
    let report = plain(&from, &to).await;
    assert_eq!((report.copied, report.unchanged), (0, 2000));
    assert_eq!(requests(), 2000 + 3 + 2);
}
