//! Create-if-absent and compare-and-swap, when answers get lost and services differ.

use futures::stream;
use kstate::store::{Body, ErrorKind, Precondition, Tag, WriteOptions};

use super::{key, on_aws, quick, scene, text, write};
use crate::s3_double::{Action, Fault, Personality};

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_still_ours() {
    for action in [
        Action::FailAfterCommit(500, "InternalError"),
        Action::ResetBeforeResponse,
    ] {
        let (double, store) = on_aws();
        double.fault(Fault::on("PutObject").then(action));
        let meta = store
            .write(&key("lock"), Body::from("me"), WriteOptions::if_absent())
            .await
            .expect("the write that got through");
        assert!(meta.tag.is_some());
        assert_eq!(double.count("PutObject"), 2);
    }
}

#[tokio::test]
async fn an_outage_before_somebody_elses_creation_is_no_victory() {
    let (double, store) = on_aws();
    double.fault(Fault::on("PutObject").then(Action::Status(500, "InternalError")));
    double.put("bucket", "state/lock", "somebody else");
    let error = store
        .write(&key("lock"), Body::from("me"), WriteOptions::if_absent())
        .await
        .expect_err("a defeat");
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(text(&store, "lock").await, "somebody else");
}

#[tokio::test]
async fn the_same_bytes_from_somebody_else_are_no_victory() {
    let (double, store) = on_aws();
    double.fault(Fault::on("PutObject").then(Action::Status(500, "InternalError")));
    double.put("bucket", "state/count", "1");
    let error = store
        .write(&key("count"), Body::from("1"), WriteOptions::if_absent())
        .await
        .expect_err("a defeat");
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn the_mark_of_a_conditional_write_is_never_shown() {
    let (_double, store) = on_aws();
    let written = store
        .write(&key("a"), Body::from("1"), WriteOptions::if_absent())
        .await
        .expect("a write");
    let told = store.stat(&key("a")).await.expect("a stat");
    let read = store
        .read(&key("a"), kstate::store::ReadOptions::default())
        .await;
    for meta in [written, told, read.expect("a read").meta] {
        assert!(meta.user.is_empty(), "{meta:?}");
    }
}

#[tokio::test]
async fn a_plain_defeat_asks_nothing_more() {
    let (double, store) = on_aws();
    double.put("bucket", "state/lock", "me");
    let error = store
        .write(&key("lock"), Body::from("me"), WriteOptions::if_absent())
        .await
        .expect_err("a defeat");
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(double.count("HeadObject"), 0);
}

#[tokio::test]
async fn a_raced_write_is_tried_again() {
    let (double, store) = on_aws();
    let conflict = Action::Status(409, "ConditionalRequestConflict");
    double.fault(Fault::on("PutObject").then(conflict));
    store
        .write(&key("lock"), Body::from("me"), WriteOptions::if_absent())
        .await
        .expect("the second attempt");
    assert_eq!(double.count("PutObject"), 2);
}

#[tokio::test]
async fn a_swap_whose_answer_is_lost_is_still_ours() {
    let (double, store) = on_aws();
    let tag = write(&store, "a", "old").await.tag.expect("a tag");
    double.fault(Fault::on("PutObject").then(Action::FailAfterCommit(500, "InternalError")));
    store
        .write(&key("a"), Body::from("new"), WriteOptions::if_match(tag))
        .await
        .expect("the write that got through");
    assert_eq!(text(&store, "a").await, "new");
}

#[tokio::test]
async fn a_lost_swap_says_what_is_there() {
    let (_double, store) = on_aws();
    let old = write(&store, "a", "old").await.tag.expect("a tag");
    let now = write(&store, "a", "newer").await.tag;
    let swap = |name, tag| store.write(name, Body::from("mine"), WriteOptions::if_match(tag));
    let name = key("a");
    let error = swap(&name, old.clone()).await.expect_err("a defeat");
    assert_eq!(*error.kind(), ErrorKind::PreconditionFailed { found: now });
    let name = key("missing");
    let error = swap(&name, old).await.expect_err("a defeat");
    assert_eq!(*error.kind(), ErrorKind::PreconditionFailed { found: None });
}

#[tokio::test]
async fn ceph_gets_its_tags_without_quotes_once_that_is_known() {
    let (double, store) = scene(Personality::Ceph, quick());
    let tag = write(&store, "a", "0").await.tag.expect("a tag");
    let swap = async |tag: Tag, text: &'static str| {
        let options = WriteOptions::if_match(tag);
        let meta = store.write(&key("a"), Body::from(text), options).await;
        meta.expect("a swap").tag.expect("a tag")
    };
    let tag = swap(tag, "1").await;
    double.reset_counts();
    swap(tag.clone(), "2").await;
    assert_eq!(double.requests().len(), 1);
    let stale = store
        .write(&key("a"), Body::from("3"), WriteOptions::if_match(tag))
        .await
        .expect_err("a defeat");
    assert!(stale.is_conflict());
    assert_eq!(text(&store, "a").await, "2");
}

#[tokio::test]
async fn what_a_service_cant_check_is_refused_and_not_done() {
    let (double, store) = scene(Personality::Spaces, quick());
    let error = store
        .write(&key("lock"), Body::from("me"), WriteOptions::if_absent())
        .await
        .expect_err("a refusal");
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    let tag = write(&store, "a", "x").await.tag.expect("a tag");
    let error = store
        .delete(&key("a"), Precondition::IfMatch(tag))
        .await
        .expect_err("a refusal");
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert_eq!(double.keys("bucket"), ["state/a"]);
}

#[tokio::test]
async fn large_conditional_writes_are_refused_where_parts_have_no_conditions() {
    let tuning = kstate::store::s3::Tuning {
        part_size: 5 << 20,
        largest_conditional: 6 << 20,
        ..quick()
    };
    let (double, store) = scene(Personality::Ceph, tuning);
    let write = async |size: usize| {
        let body = Body::from(vec![7; size]);
        store
            .write(&key("big"), body, WriteOptions::if_absent())
            .await
    };
    let error = write(7 << 20).await.expect_err("a refusal");
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert!(double.keys("bucket").is_empty());
    assert_eq!(store.capabilities().max_conditional, Some(6 << 20));
    let unread = Body::stream(Some(7 << 20), stream::poll_fn(|_| panic!("it was read")));
    let error = store
        .write(&key("big"), unread, WriteOptions::if_absent())
        .await
        .expect_err("a refusal");
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    write(6 << 20).await.expect("one request");
    assert_eq!(double.count("CreateMultipartUpload"), 0);
    assert!(write(6 << 20).await.expect_err("a defeat").is_conflict());
}
