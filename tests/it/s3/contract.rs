//! Every backend's suite, on several services.

use kstate::store::contract::{self, Options};
use kstate::store::probe;
use kstate::store::s3::Tuning;

use super::{aws, clients, open, quick, scene};
use crate::s3_double::{Personality, S3Double};

async fn passes(personality: Personality, tuning: Tuning) {
    let double = S3Double::builder()
        .personality(personality)
        .page_size(40)
        .bucket("bucket")
        .start();
    let tuning = Tuning {
        part_size: 5 << 20,
        ..tuning
    };
    let store = open(&clients(&double, &[], tuning), "s3://bucket/state");
    let options = Options {
        large_size: 11 << 20,
        many: 150,
        racers: 16,
        swappers: 6,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_passes() {
    passes(Personality::Aws, aws()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_with_versions_passes() {
    passes(Personality::Versioned, aws()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ceph_passes() {
    passes(Personality::Ceph, quick()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn linode_passes() {
    passes(Personality::Linode, quick()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaleway_passes() {
    passes(Personality::Scaleway, quick()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_ignore_conditions_are_found_out() {
    let (_double, store) = scene(Personality::Garage, quick());
    let verdict = probe::probe(&*store).await.expect("a verdict");
    assert!(!verdict.if_absent && !verdict.if_match);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_refuse_conditions_are_found_out() {
    let (_double, store) = scene(Personality::Spaces, quick());
    let verdict = probe::probe(&*store).await.expect("a verdict");
    assert!(!verdict.if_absent && !verdict.if_match);
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_and_ceph_are_trusted() {
    for (personality, tuning) in [(Personality::Aws, aws()), (Personality::Ceph, quick())] {
        let (_double, store) = scene(personality, tuning);
        let verdict = probe::probe(&*store).await.expect("a verdict");
        assert!(verdict.if_absent && verdict.if_match, "{personality:?}");
    }
}
