//! Every backend's suite.

use kstate::store::contract::{self, Options, Outcome};

use super::scene;
use crate::oss_double::{Oss, Versioning};

/// What the service can't do at all.
const NEVER: [&str; 7] = [
    "delete-if-match deletes the version it names",
    "delete-if-match leaves every other version alone",
    "if-match creates nothing",
    "if-match leaves every other version alone",
    "if-match replaces the version it names",
    "of many that delete a version exactly one wins",
    "of many that swap none loses an update",
];

/// What it can't where the bucket keeps versions, or may.
const WITH_VERSIONS: [&str; 3] = [
    "if-absent creates a new object",
    "if-absent leaves an existing object alone",
    "of many that create an object exactly one wins",
];

async fn unclaimed(prepare: impl FnOnce(&mut Oss)) -> Vec<&'static str> {
    let (double, store) = scene();
    double.service().page_size = 16;
    prepare(&mut double.service());
    let options = Options {
        large_size: 1 << 20,
        many: 60,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    assert!(report.passed(), "{report}");
    assert_eq!(double.service().unfinished_uploads(), 0);
    let unclaimed = |outcome: &Outcome| matches!(outcome, Outcome::NotClaimed(_));
    let checks = report.checks.iter();
    let mut names: Vec<_> = checks
        .filter(|check| unclaimed(&check.outcome))
        .map(|check| check.name)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_and_all_but_swaps_is_claimed() {
    assert_eq!(unclaimed(|_| {}).await, NEVER);
}

fn with_versions() -> Vec<&'static str> {
    let mut names = [&NEVER[..], &WITH_VERSIONS].concat();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_with_versions_cant_is_not_claimed() {
    let unclaimed = unclaimed(|service| {
        let bucket = service.buckets.get_mut("bucket").expect("a bucket");
        bucket.versioning = Versioning::Suspended;
    });
    assert_eq!(unclaimed.await, with_versions());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_may_not_be_asked_is_not_claimed() {
    let unclaimed = unclaimed(|service| service.hides_versioning = true);
    assert_eq!(unclaimed.await, with_versions());
}
