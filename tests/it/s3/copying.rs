//! Copies on the server: when they happen, what they carry over, and when bytes go through here.

use std::sync::Arc;

use kstate::store::s3::Tuning;
use kstate::store::{ErrorKind, Meta, Store, WriteOptions};

use super::{aws, clients, key, open, quick, write};
use crate::s3_double::{Action, Attributes, Content, Fault, Personality, S3Double};

struct Pair {
    double: S3Double,
    old: Arc<dyn Store>,
    new: Arc<dyn Store>,
}

fn pair(personality: Personality, tuning: Tuning) -> Pair {
    let double = S3Double::builder()
        .personality(personality)
        .bucket("old-bucket")
        .bucket("new-bucket")
        .start();
    let clients = clients(&double, &[("KOPS_STATE_S3_ACL", "public-read")], tuning);
    Pair {
        old: open(&clients, "s3://old-bucket/a"),
        new: open(&clients, "s3://new-bucket/b"),
        double,
    }
}

impl Pair {
    async fn copy(
        &self,
        from: &Meta,
        options: &WriteOptions,
    ) -> kstate::store::Result<Option<Meta>> {
        self.new
            .copy_from(&self.old, from, &key("c"), options)
            .await
    }
}

#[tokio::test]
async fn a_copy_takes_one_request_and_keeps_everything() {
    let pair = pair(Personality::Ceph, quick());
    let attributes = Attributes {
        content_type: Some("text/x".into()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        tags: [("team".to_owned(), "a&b".to_owned())].into(),
        ..Attributes::default()
    };
    let content = Content::from(bytes::Bytes::from_static(b"hello"));
    pair.double
        .put_with("old-bucket", "a/x y+z", content, attributes);
    let from = pair.old.stat(&key("x y+z")).await.expect("the source");
    let first = pair.copy(&from, &WriteOptions::default()).await;
    assert!(first.expect("the copy that learns the service").is_some());
    pair.double.reset_counts();
    let meta = pair
        .copy(&from, &WriteOptions::default())
        .await
        .expect("a copy");
    assert_eq!(meta.expect("a copy").size, 5);
    assert_eq!(pair.double.count("CopyObject"), 1);
    assert_eq!(pair.double.count("GetObject"), 0);
    let copy = pair.double.object("new-bucket", "b/c").expect("the copy");
    assert_eq!(copy.bytes(), "hello");
    assert_eq!(copy.attributes.content_type.as_deref(), Some("text/x"));
    assert_eq!(copy.attributes.metadata["who"], "me");
    assert_eq!(copy.attributes.tags["team"], "a&b");
    assert_eq!(copy.attributes.acl.as_deref(), Some("public-read"));
    assert_eq!(copy.attributes.sse.as_deref(), Some("AES256"));
}

#[tokio::test]
async fn many_first_copies_learn_the_service_once() {
    let pair = pair(Personality::Ceph, quick());
    write(&pair.old, "x", "hello").await;
    let from = pair.old.stat(&key("x")).await.expect("the source");
    pair.double.reset_counts();
    let options = WriteOptions::default();
    let copies = (0..8).map(|_| pair.copy(&from, &options));
    for copy in futures::future::join_all(copies).await {
        assert!(copy.expect("a copy").is_some());
    }
    assert_eq!(pair.double.count("HeadObject"), 1);
    assert_eq!(pair.double.count("CopyObject"), 9);
}

#[tokio::test]
async fn long_objects_are_copied_in_parts_with_all_that_belongs_to_them() {
    let tuning = Tuning {
        largest_copy: 6 << 20,
        copy_part_size: 5 << 20,
        ..aws()
    };
    let pair = pair(Personality::Aws, tuning);
    let attributes = Attributes {
        content_type: Some("text/x".into()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        tags: [("team".to_owned(), "a&b".to_owned())].into(),
        ..Attributes::default()
    };
    let content = Content::synthetic(12 << 20, 1);
    pair.double
        .put_with("old-bucket", "a/x", content, attributes);
    let from = pair.old.stat(&key("x")).await.expect("the source");
    let options = WriteOptions::if_absent();
    let meta = pair
        .copy(&from, &options)
        .await
        .expect("a copy")
        .expect("a copy");
    assert_eq!(meta.size, 12 << 20);
    assert_eq!(pair.double.count("UploadPartCopy"), 3);
    let copy = pair.double.object("new-bucket", "b/c").expect("the copy");
    assert_eq!(
        copy.bytes(),
        pair.double.get("old-bucket", "a/x").expect("the source")
    );
    assert_eq!(copy.attributes.content_type.as_deref(), Some("text/x"));
    assert_eq!(copy.attributes.metadata["who"], "me");
    assert_eq!(copy.attributes.tags["team"], "a&b");
    assert_eq!(copy.attributes.acl.as_deref(), Some("public-read"));
    let error = pair.copy(&from, &options).await.expect_err("it exists");
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert!(pair.double.uploads("new-bucket").is_empty());
}

#[tokio::test]
async fn a_source_that_changed_is_not_copied() {
    for largest_copy in [1, 1 << 20] {
        let tuning = Tuning {
            largest_copy,
            ..aws()
        };
        let pair = pair(Personality::Aws, tuning);
        let from = write(&pair.old, "x", "old").await;
        write(&pair.old, "x", "new").await;
        let error = pair
            .copy(&from, &WriteOptions::default())
            .await
            .expect_err("a change");
        assert!(
            matches!(error.kind(), ErrorKind::PreconditionFailed { .. }),
            "{error:?}"
        );
        assert_eq!(error.store(), "s3://old-bucket/a");
        assert!(pair.double.keys("new-bucket").is_empty());
    }
}

#[tokio::test]
async fn a_service_that_ignores_the_version_is_found_out() {
    let pair = pair(Personality::Moto, quick());
    let from = write(&pair.old, "x", "old").await;
    let now = write(&pair.old, "x", "new").await.tag;
    let error = pair
        .copy(&from, &WriteOptions::default())
        .await
        .expect_err("a change");
    assert_eq!(*error.kind(), ErrorKind::PreconditionFailed { found: now });
    assert!(pair.double.keys("new-bucket").is_empty());
}

#[tokio::test]
async fn conditions_on_the_target_hold_on_aws_and_elsewhere_nothing_is_copied() {
    let pair_on = async |personality, tuning| {
        let pair = pair(personality, tuning);
        let from = write(&pair.old, "x", "old").await;
        write(&pair.new, "c", "theirs").await;
        let result = pair.copy(&from, &WriteOptions::if_absent()).await;
        assert_eq!(
            pair.double.get("new-bucket", "b/c").expect("theirs"),
            "theirs"
        );
        result
    };
    let error = pair_on(Personality::Aws, aws())
        .await
        .expect_err("it exists");
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        pair_on(Personality::Ceph, quick()).await.expect("no copy"),
        None
    );
}

#[tokio::test]
async fn a_refused_copy_is_left_to_the_caller_and_not_asked_for_again() {
    for action in [
        Action::Status(403, "AccessDenied"),
        Action::Status(501, "NotImplemented"),
        Action::Status(400, "InvalidRequest"),
        Action::ErrorIn200("AccessDenied"),
    ] {
        let pair = pair(Personality::Aws, aws());
        let from = write(&pair.old, "x", "old").await;
        pair.double.fault(Fault::on("CopyObject").then(action));
        for _ in 0..2 {
            assert_eq!(
                pair.copy(&from, &WriteOptions::default())
                    .await
                    .expect("none"),
                None
            );
        }
        assert_eq!(pair.double.count("CopyObject"), 1);
    }
}

#[tokio::test]
async fn an_error_in_a_200_is_an_error() {
    let pair = pair(Personality::Aws, aws());
    let from = write(&pair.old, "x", "old").await;
    pair.double
        .fault(Fault::on("CopyObject").then(Action::ErrorIn200("InternalError")));
    let meta = pair
        .copy(&from, &WriteOptions::default())
        .await
        .expect("a copy");
    assert!(meta.is_some());
    assert_eq!(pair.double.count("CopyObject"), 2);
}

#[tokio::test]
async fn other_accounts_are_not_copied_from() {
    let double = S3Double::builder()
        .account("other")
        .bucket("bucket")
        .start();
    let here = clients(
        &double,
        &[("OTHER", "other"), ("SECRET", "secret-of-other")],
        aws(),
    );
    let old = open(
        &here,
        "s3://bucket/a?access_key_env=OTHER&secret_key_env=SECRET",
    );
    let new = open(&here, "s3://bucket/b");
    let from = write(&old, "x", "old").await;
    let copied = new
        .copy_from(&old, &from, &key("c"), &WriteOptions::default())
        .await;
    assert_eq!(copied.expect("no copy"), None);
}
