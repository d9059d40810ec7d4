//! Every backend's suite.

use kstate::store::contract::{self, Options};
use kstate::store::k8s::Tuning;

use super::{NAMESPACE, chunks, open, quick};
use crate::k8s_double::K8sDouble;

/// With pieces so small that the suite's larger objects have chunks, and as in production.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_passes() {
    let production = Tuning {
        page: 40,
        piece: Tuning::default().piece,
        ..quick()
    };
    let small = Tuning {
        piece: 50_000,
        ..quick()
    };
    for (tuning, is_small) in [(small, true), (production, false)] {
        let double = K8sDouble::builder().namespace(NAMESPACE).start();
        let store = open(&double, "admin", tuning, "k8s:///state/some/prefix");
        let options = Options {
            large_size: if is_small { 300_000 } else { 3 << 20 },
            many: if is_small { 30 } else { 150 },
            racers: 32,
            swappers: 6,
            ..Options::default()
        };
        let report = contract::run(store, options).await;
        assert!(report.passed(), "{report}");
        assert_eq!(chunks(&double), Vec::<String>::new(), "nothing is left");
    }
}
