//! `gs://` on gcp-storage-emulator.

use std::sync::Arc;

use kstate::store::contract::{self, Options};
use kstate::store::gs::Clients;
use kstate::store::registry::Env;
use kstate::store::rest::Tuning;
use kstate::store::{Store, StoreUrl};

use super::contract::options;
use super::{unique, variable};
use crate::support::assert_verdict;

/// It heeds no conditions.
const CONDITIONS: [&str; 9] = [
    "if-absent leaves an existing object alone",
    "if-match replaces the version it names",
    "if-match leaves every other version alone",
    "if-match creates nothing",
    "delete-if-match leaves every other version alone",
    "of many that create an object exactly one wins",
    "of many that swap none loses an update",
    "a copy is of the version that was asked for",
    "a copy keeps its preconditions",
];

const OVERWRITTEN: &str = "a reader sees one version whole while it is overwritten";

/// A store in a bucket of the test's own.
async fn store() -> Arc<dyn Store> {
    let endpoint = variable("KSTATE_GCS_ENDPOINT");
    let bucket = unique();
    let made = reqwest::Client::new()
        .post(format!("{endpoint}/storage/v1/b?project=p"))
        .header("content-type", "application/json")
        .body(format!("{{\"name\":\"{bucket}\"}}"))
        .send()
        .await;
    let made = made.unwrap_or_else(|error| panic!("{endpoint}: {error:?}"));
    assert!(made.status().is_success(), "{made:?}");
    let env: Env = [("STORAGE_EMULATOR_HOST", endpoint)].into_iter().collect();
    let url = StoreUrl::parse(&format!("gs://{bucket}/state")).expect("a URL");
    let tuning = Tuning {
        part_size: 5 << 20,
        ..Tuning::default()
    };
    Arc::new(Clients::with(env, tuning).open(&url).expect("a store"))
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_passes_but_for_what_it_ignores() {
    // It looks at everything that it has for each listing.
    let options = Options {
        large_size: 6 << 20,
        many: 50,
        ..options()
    };
    let mut report = contract::run(store().await, options).await;
    println!("{report}");
    // Its answers don't tell which version the bytes are of: sometimes it passes.
    report.checks.retain(|check| check.name != OVERWRITTEN);
    assert_verdict(&report, &CONDITIONS, &[]);
}
