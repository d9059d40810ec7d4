//! Objects that go up, and are copied, in parts.

use std::sync::Arc;

use kstate::store::s3::Tuning;
use kstate::store::{Store, WriteOptions};

use super::{Service, assert_same, key, noise, run};
use crate::support::Desk;

const MIB: usize = 1 << 20;

/// There, on the server, and back.
async fn round_trip(service: Service, size: usize) {
    let [here, there] = [service.bucket().await, service.bucket().await];
    let desk = Desk::new();
    let bytes = noise(size);
    desk.write("object", &bytes);
    let [one, other] = [here, there].map(|bucket| service.url(&format!("{bucket}/object")));
    let [object, back] = [desk.arg("object"), desk.arg("back")];
    let copy = |from: &str, to: &str| run(&desk, &[&service], &["cp", from, to]).with(0);
    copy(&object, &one);
    copy(&one, &other).says("copied by the server");
    copy(&other, &back);
    assert_same(&desk.path("back"), &bytes);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_come_back_from_radosgw() {
    round_trip(Service::radosgw(), 20 * MIB).await;
    round_trip(Service::radosgw(), 70 * MIB + 1).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_come_back_from_moto() {
    round_trip(Service::moto(), 20 * MIB).await;
}

async fn copies_in_parts(service: Service) {
    let tuning = Tuning {
        part_size: 5 << 20,
        largest_copy: 6 << 20,
        copy_part_size: 5 << 20,
        ..Tuning::default()
    };
    let bucket = service.bucket().await;
    let store: Arc<dyn Store> = Arc::new(service.open(&bucket, tuning));
    let bytes = noise(12 * MIB);
    let options = WriteOptions {
        content_type: Some("text/x".to_owned()),
        user: [("who".to_owned(), "me".to_owned())].into(),
        ..WriteOptions::default()
    };
    let from = store
        .write(&key("a"), bytes.clone().into(), options)
        .await
        .expect("a write");
    let copied = store
        .copy_from(&store, &from, &key("b"), &WriteOptions::default())
        .await
        .expect("a copy")
        .expect("a copy on the server");
    assert_eq!(copied.size, from.size);
    let told = store.stat(&key("b")).await.expect("the copy");
    assert_eq!(told.content_type.as_deref(), Some("text/x"));
    assert_eq!(told.user["who"], "me");
    let copy = service.tree(&bucket).await.remove("b");
    assert!(copy == Some(bytes), "other bytes");
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn radosgw_copies_in_parts() {
    copies_in_parts(Service::radosgw()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn moto_copies_in_parts() {
    copies_in_parts(Service::moto()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_a_large_object_is_synced_and_no_object_is_overwritten() {
    let service = Service::radosgw();
    let bucket = service.bucket().await;
    let desk = Desk::new();
    let bytes = noise(70 * MIB);
    desk.write("tree/b", &bytes);
    desk.write("tree/a", "small");
    desk.write("tree/c", "small");
    let (tree, place) = (desk.arg("tree"), service.url(&bucket));
    let kstate = |args: &[&str]| run(&desk, &[&service], args);
    kstate(&["sync", &tree, &place]).with(0).says("3 objects");
    let there = service.tree(&bucket).await;
    assert!(there == desk.tree("tree"), "other objects");
    kstate(&["sync", &tree, &place]).with(0).says("0 objects");

    // Neither as a stream in parts, nor by the server, which takes no conditions.
    let (large, small) = (desk.arg("tree/b"), service.url(&format!("{bucket}/a")));
    for source in [&large, &service.url(&format!("{bucket}/c"))] {
        let refused = kstate(&["cp", "--no-clobber", source, &small]).with(4);
        refused.says("exists already");
    }
    assert!(service.tree(&bucket).await == there, "it was overwritten");
}
