//! Deletes, one by one and a thousand at once.

use kstate::store::{ErrorKind, Key, Precondition};

use super::{key, on_aws, quick, scene, write};
use crate::s3_double::{Action, Fault, Personality, S3Double};

fn filled(double: &S3Double, count: usize) -> Vec<Key> {
    let names: Vec<String> = (0..count).map(|n| format!("k{n:04}")).collect();
    for name in &names {
        double.put("bucket", &format!("state/{name}"), "x");
    }
    names.iter().map(|name| key(name)).collect()
}

#[tokio::test]
async fn many_go_by_the_thousand() {
    for (personality, tuning) in [
        (Personality::Aws, super::aws()),
        (Personality::Ceph, quick()),
    ] {
        let (double, store) = scene(personality, tuning);
        let mut keys = filled(&double, 1500);
        keys.push(key("was never there"));
        assert!(store.delete_many(keys).await.is_empty());
        assert!(double.keys("bucket").is_empty());
        assert_eq!(double.count("DeleteObjects"), 2);
        assert_eq!(double.count("DeleteObject"), 0);
    }
}

#[tokio::test]
async fn each_failure_names_its_key() {
    let (double, store) = on_aws();
    let keys = filled(&double, 3);
    double.deny(double.access_key(), "DeleteObject", "bucket", "state/k0001");
    let failures = store.delete_many(keys).await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].key(), Some("k0001"));
    assert_eq!(failures[0].kind().name(), "permission_denied");
    assert_eq!(double.keys("bucket"), ["state/k0001"]);
}

#[tokio::test]
async fn a_service_without_batches_gets_single_deletes() {
    let (double, store) = on_aws();
    let keys = filled(&double, 5);
    double.fault(
        Fault::on("DeleteObjects")
            .always()
            .then(Action::Status(501, "NotImplemented")),
    );
    assert!(store.delete_many(keys).await.is_empty());
    assert!(double.keys("bucket").is_empty());
}

#[tokio::test]
async fn an_outage_is_reported_for_every_key() {
    let (double, store) = on_aws();
    let keys = filled(&double, 3);
    double.fault(Fault::on("*").always().then(Action::slow_down()));
    let failures = store.delete_many(keys).await;
    let named: Vec<_> = failures.iter().filter_map(|error| error.key()).collect();
    assert_eq!(named, ["k0000", "k0001", "k0002"]);
}

#[tokio::test]
async fn a_conditional_delete_whose_answer_is_lost_counts() {
    let (double, store) = on_aws();
    let tag = write(&store, "a", "x").await.tag.expect("a tag");
    double.fault(Fault::on("DeleteObject").then(Action::ResetBeforeResponse));
    store
        .delete(&key("a"), Precondition::IfMatch(tag.clone()))
        .await
        .expect("the delete that got through");
    let error = store
        .delete(&key("a"), Precondition::IfMatch(tag))
        .await
        .expect_err("it is gone");
    assert_eq!(*error.kind(), ErrorKind::PreconditionFailed { found: None });
}
