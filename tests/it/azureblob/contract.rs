//! Every backend's suite.

use std::sync::Arc;

use kstate::store::Store;
use kstate::store::azureblob::Clients;
use kstate::store::contract::{self, Options, Outcome};
use kstate::store::rest::Tuning;

use super::{Opener, open_with, quick};
use crate::azure_double::{self, sas};

async fn assert_all_pass(store: Arc<dyn Store>) {
    let options = Options {
        large_size: 700 << 10,
        many: 150,
        racers: 32,
        swappers: 8,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    assert!(report.passed(), "{report}");
    let unclaimed = |outcome: &Outcome| matches!(outcome, Outcome::NotClaimed(_));
    assert!(
        !report.checks.iter().any(|check| unclaimed(&check.outcome)),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_and_everything_is_claimed() {
    let double = azure_double::start();
    double.service().page_size = 40;
    let store = Opener::new(&double, quick()).open("first", "container/state");
    assert_all_pass(store).await;
}

/// At the container's top, with copies in blocks.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_with_a_shared_access_signature() {
    let double = azure_double::start();
    double.service().page_size = 7;
    double.service().largest_copy = 30_000;
    let tuning = Tuning {
        largest_copy: Some(30_000),
        ..quick()
    };
    let env = [("AZURE_STORAGE_SAS_TOKEN", sas("container", "racwdl"))];
    let clients = Clients::with(env.into_iter().collect(), tuning);
    let url = format!("azureblob://first/container?endpoint={}", double.endpoint());
    assert_all_pass(open_with(&clients, &url)).await;
    assert_eq!(double.service().signed_by, ["signature"].into());
}
