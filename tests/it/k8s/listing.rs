//! Listings: pages of one moment, in the order of the keys.

use futures::TryStreamExt;
use kstate::store::{Entry, ErrorKind, ListOptions};

use super::{NAMESPACE, names, scene, write};
use crate::k8s_double::{Action, Fault};

#[tokio::test]
async fn a_listing_whose_token_expires_begins_again() {
    let (double, store) = scene();
    let keys: Vec<_> = (0..40).map(|number| format!("k{number:02}")).collect();
    for key in &keys {
        write(&store, key, "x").await;
    }
    double.reset_counts();
    for page in [3, 5] {
        let weak = double.weak();
        let expire = Action::call(move || weak.expire_tokens());
        double.fault(Fault::on("list", "secrets").nth(page).then(expire));
    }
    assert_eq!(names(&store).await, keys);
    // Two pages and one that came too late, one and one, then all six.
    assert_eq!(double.count("list", "secrets"), 3 + 2 + 6);
    let weak = double.weak();
    let expire = Action::call(move || weak.expire_tokens());
    double.fault(Fault::on("list", "secrets").always().then(expire));
    let listing = store.list(ListOptions::default());
    let error = listing
        .try_collect::<Vec<_>>()
        .await
        .expect_err("it never ends");
    assert!(error.to_string().contains("too old"), "{error}");
}

#[tokio::test]
async fn writes_meanwhile_change_nothing_of_a_listing() {
    let (double, store) = scene();
    let keys: Vec<_> = (0..20).map(|number| format!("k{number:02}")).collect();
    for key in &keys {
        write(&store, key, "x").await;
    }
    let double = std::sync::Arc::new(double);
    let weak = std::sync::Arc::downgrade(&double);
    let remove = Action::call(move || {
        let Some(double) = weak.upgrade() else { return };
        for name in double.names("secrets", NAMESPACE, "ks-") {
            double.remove("secrets", NAMESPACE, &name);
        }
    });
    double.fault(Fault::on("list", "secrets").nth(2).then(remove));
    assert_eq!(names(&store).await, keys);
    assert_eq!(names(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_object_of_ours_is_listed_as_such() {
    let (double, store) = scene();
    write(&store, "a", "x").await;
    write(&store, "b", "x").await;
    let name = double.names("secrets", NAMESPACE, "ks-").remove(0);
    double.edit("secrets", NAMESPACE, &name, |secret| {
        secret["metadata"]["annotations"]["kstate.dev/size"] = "many".into();
    });
    let listing = store.list(ListOptions::default());
    let entries: Vec<_> = listing.try_collect().await.expect("a listing");
    let foreign = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Foreign { .. }));
    assert_eq!((entries.len(), foreign.count()), (2, 1), "{entries:?}");
}

#[tokio::test]
async fn a_listing_without_the_right_to_it_fails_whole() {
    let (double, store) = scene();
    for number in 0..10 {
        write(&store, &format!("k{number}"), "x").await;
    }
    let denied = Action::Status(
        403,
        "Forbidden",
        "User \"x\" cannot list resource \"secrets\"",
    );
    double.fault(Fault::on("list", "secrets").nth(2).then(denied));
    let listing = store.list(ListOptions::default());
    let error = listing
        .try_collect::<Vec<_>>()
        .await
        .expect_err("half of it");
    assert!(matches!(error.kind(), ErrorKind::PermissionDenied { .. }));
}
