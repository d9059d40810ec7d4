//! Every backend's suite.

use kstate::store::contract::{self, Options};

use super::{names, scene};
use crate::support::assert_verdict;

/// What Swift has nothing for.
pub(crate) const NOT_CLAIMED: [&str; 11] = [
    "if-absent creates a new object",
    "if-absent leaves an existing object alone",
    "if-match replaces the version it names",
    "if-match leaves every other version alone",
    "if-match creates nothing",
    "delete-if-match deletes the version it names",
    "delete-if-match leaves every other version alone",
    "of many that create an object exactly one wins",
    "of many that swap none loses an update",
    "of many that delete a version exactly one wins",
    "a copy keeps its preconditions",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_and_no_condition_is_claimed() {
    let (double, store) = scene();
    // Pages are shorter than the service says, and the largest objects keep their segments.
    double.service().page_size = 40;
    double.service().max_file_size = 700 << 10;
    let options = Options {
        large_size: 1 << 20,
        many: 150,
        racers: 32,
        swappers: 8,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    assert_verdict(&report, &[], &NOT_CLAIMED);
    assert_eq!(names(&double), [""; 0], "no segment stays");
}
