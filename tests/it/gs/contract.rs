//! Every backend's suite.

use kstate::store::contract::{self, Options, Outcome};

use super::scene;

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_and_everything_is_claimed() {
    let (double, store) = scene();
    double.service().page_size = 40;
    double.service().rewrite_size = 700 << 10;
    let options = Options {
        large_size: 3 << 20,
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
    assert_eq!(double.service().unfinished_uploads(), 0);
}
