//! What goes up: in one piece or in parts, with which headers, and what happens on trouble.

use bytes::Bytes;
use futures::stream;
use kstate::store::s3::Tuning;
use kstate::store::{Algorithm, Body, Checksum, Error, ErrorKind, Store, WriteOptions};

use super::{aws, clients, key, on_aws, open, quick, scene, text, write};
use crate::s3_double::{Action, Fault, Personality, S3Double};

const MIB: usize = 1 << 20;

/// A store whose parts are as small as S3 allows.
fn in_parts() -> (S3Double, std::sync::Arc<dyn Store>) {
    let tuning = Tuning {
        part_size: 5 << 20,
        ..aws()
    };
    scene(Personality::Aws, tuning)
}

fn chunks(total: usize, announced: Option<u64>) -> Body {
    let mut left = total;
    let chunks = std::iter::from_fn(move || {
        let size = left.min(MIB + 17);
        left -= size;
        (size > 0).then(|| {
            Ok(Bytes::from(vec![
                u8::try_from(left % 251).unwrap_or(0);
                size
            ]))
        })
    });
    Body::stream(announced, stream::iter(chunks))
}

#[tokio::test]
async fn small_objects_take_one_request_and_nothing_before_it() {
    let (double, store) = scene(Personality::Linode, quick());
    write(&store, "a", "x").await;
    double.reset_counts();
    write(&store, "b", "y").await;
    let ops: Vec<String> = double.requests().iter().map(|r| r.op.clone()).collect();
    assert_eq!(ops, ["PutObject"]);
    assert_eq!(text(&store, "b").await, "y");
}

#[tokio::test]
async fn long_objects_go_up_in_parts_and_come_back_whole() {
    for announced in [true, false] {
        let (double, store) = in_parts();
        let size = 12 * MIB + 3;
        let body = chunks(size, announced.then_some(size as u64));
        let meta = store
            .write(&key("big"), body, WriteOptions::default())
            .await
            .expect("a write");
        assert_eq!(double.count("UploadPart"), 3);
        assert_eq!(meta.size, size as u64);
        assert!(meta.tag.is_some_and(|tag| tag.0.ends_with("-3")));
        assert_eq!(
            double.get("bucket", "state/big").map(|b| b.len()),
            Some(size)
        );
    }
}

#[tokio::test]
async fn uploads_that_share_too_little_memory_wait_for_each_other() {
    let tuning = Tuning {
        part_size: 5 << 20,
        memory: 6 << 20,
        ..aws()
    };
    let (double, store) = scene(Personality::Aws, tuning);
    let names = ["a", "b", "c", "d"].map(key);
    let writes = names.iter().map(|name| {
        let body = chunks(12 * MIB, None);
        store.write(name, body, WriteOptions::default())
    });
    for written in futures::future::join_all(writes).await {
        assert_eq!(written.expect("a write").size, 12 * MIB as u64);
    }
    assert_eq!(double.count("UploadPart"), 12);
}

#[tokio::test]
async fn a_body_of_the_wrong_length_writes_nothing() {
    let (double, store) = in_parts();
    for (real, announced) in [
        (10, 11),
        (11, 10),
        (12 * MIB, 13 * MIB),
        (13 * MIB, 12 * MIB),
    ] {
        let body = chunks(real, Some(announced as u64));
        let error = store
            .write(&key("big"), body, WriteOptions::default())
            .await
            .expect_err("a refusal");
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    }
    assert!(double.keys("bucket").is_empty());
    assert!(double.uploads("bucket").is_empty());
}

#[tokio::test]
async fn a_wrong_checksum_writes_nothing() {
    let (double, store) = in_parts();
    for size in [10, 12 * MIB] {
        let options = WriteOptions {
            checksum: Some(Checksum::of(Algorithm::Sha256, b"something else")),
            ..WriteOptions::default()
        };
        let error = store
            .write(&key("big"), chunks(size, None), options)
            .await
            .expect_err("a refusal");
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    }
    assert!(double.keys("bucket").is_empty());
    assert!(double.uploads("bucket").is_empty());
}

#[tokio::test]
async fn a_body_that_fails_leaves_no_upload_behind() {
    let (double, store) = in_parts();
    let broken = Error::new(ErrorKind::Unavailable, "read", "the source went away");
    let body = stream::iter(vec![
        Ok(Bytes::from(vec![1; 6 * MIB])),
        Ok(Bytes::from(vec![2; 6 * MIB])),
        Err(broken),
    ]);
    let error = store
        .write(
            &key("big"),
            Body::stream(None, body),
            WriteOptions::default(),
        )
        .await
        .expect_err("a failure");
    assert!(error.to_string().contains("the source went away"));
    assert_eq!(double.count("AbortMultipartUpload"), 1);
    assert!(double.uploads("bucket").is_empty());
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_upload_behind() {
    let (double, store) = in_parts();
    let (entered, reached) = tokio::sync::oneshot::channel();
    let body = stream::unfold((0, Some(entered)), |(n, mut entered)| async move {
        if n == 2 {
            let _ = entered.take().map(|entered| entered.send(()));
            std::future::pending::<()>().await;
        }
        Some((Ok(Bytes::from(vec![1; 6 * MIB])), (n + 1, entered)))
    });
    let task = tokio::spawn(async move {
        store
            .write(
                &key("big"),
                Body::stream(None, body),
                WriteOptions::default(),
            )
            .await
    });
    reached.await.expect("the upload under way");
    while double.uploads("bucket").is_empty() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    while !double.uploads("bucket").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(double.keys("bucket").is_empty());
}

#[tokio::test]
async fn each_part_is_retried_alone() {
    let (double, store) = in_parts();
    double.fault(Fault::on("UploadPart").nth(2).then(Action::slow_down()));
    double.fault(Fault::on("CompleteMultipartUpload").then(Action::ErrorIn200("InternalError")));
    let body = chunks(12 * MIB, None);
    store
        .write(&key("big"), body, WriteOptions::default())
        .await
        .expect("a write");
    assert_eq!(double.count("UploadPart"), 4);
    assert_eq!(double.count("CompleteMultipartUpload"), 2);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_counts() {
    let (double, store) = in_parts();
    double.fault(Fault::on("CompleteMultipartUpload").then(Action::ResetBeforeResponse));
    let body = chunks(12 * MIB, None);
    let meta = store
        .write(&key("big"), body, WriteOptions::if_absent())
        .await
        .expect("a write");
    assert!(meta.tag.is_some());
    assert_eq!(double.count("AbortMultipartUpload"), 0);
}

#[tokio::test]
async fn a_completion_whose_answer_makes_no_sense_is_looked_up() {
    let (double, store) = in_parts();
    double.fault(Fault::on("CompleteMultipartUpload").then(Action::TruncateBody(20)));
    let meta = store
        .write(&key("big"), chunks(12 * MIB, None), WriteOptions::default())
        .await
        .expect("a write");
    assert_eq!(meta.size, 12 * MIB as u64);
    assert_eq!(double.count("AbortMultipartUpload"), 0);
    double.fault(Fault::on("CompleteMultipartUpload").then(Action::Nonsense));
    let error = store
        .write(
            &key("lost"),
            chunks(12 * MIB, None),
            WriteOptions::default(),
        )
        .await
        .expect_err("nothing was written");
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    assert!(double.uploads("bucket").is_empty());
}

#[tokio::test]
async fn passing_troubles_are_retried_and_lasting_ones_reported() {
    let (double, store) = on_aws();
    for action in [
        Action::slow_down(),
        Action::Status(500, "InternalError"),
        Action::FailAfterCommit(500, "InternalError"),
        Action::ResetBeforeCommit,
        Action::ResetBeforeResponse,
    ] {
        double.fault(Fault::on("PutObject").then(action));
        write(&store, "a", "x").await;
    }
    double.fault(Fault::on("PutObject").always().then(Action::slow_down()));
    let error = store
        .write(&key("a"), Body::from("y"), WriteOptions::default())
        .await
        .expect_err("a failure");
    assert_eq!(*error.kind(), ErrorKind::Throttled);
    assert!(
        error
            .hint_text()
            .is_some_and(|hint| hint.contains("4 attempts"))
    );
}

#[tokio::test]
async fn other_bytes_than_were_sent_are_noticed() {
    let (double, store) = on_aws();
    double.fault(Fault::on("PutObject").then(Action::WrongEtag));
    let error = store
        .write(&key("a"), Body::from("x"), WriteOptions::default())
        .await
        .expect_err("a mismatch");
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn every_write_is_checked_by_the_service() {
    let (double, store) = on_aws();
    write(&store, "a", "x").await;
    let (ceph, other) = scene(Personality::Ceph, quick());
    write(&other, "a", "x").await;
    let put = |double: &S3Double| {
        let puts = double.requests();
        puts.into_iter()
            .find(|r| r.op == "PutObject")
            .expect("a put")
    };
    assert!(
        put(&double)
            .headers
            .keys()
            .any(|name| name.starts_with("x-amz-checksum-"))
    );
    let put = put(&ceph);
    assert!(put.header("content-md5").is_some());
    assert!(
        !put.headers
            .keys()
            .any(|name| name.starts_with("x-amz-checksum-"))
    );
}

#[tokio::test]
async fn encryption_follows_the_rule_of_kops() {
    // AWS buckets have a default of their own; asked once.
    let (double, store) = on_aws();
    write(&store, "a", "x").await;
    write(&store, "b", "x").await;
    assert_eq!(double.count("GetBucketEncryption"), 1);
    let sse = |double: &S3Double, op: &str| {
        let asked = double.requests().into_iter().rfind(|r| r.op == op);
        asked.and_then(|r| r.header("x-amz-server-side-encryption").map(str::to_owned))
    };
    assert_eq!(sse(&double, "PutObject"), None);
    // Without one it is AES256.
    let (double, store) = scene(Personality::Ceph, quick());
    write(&store, "a", "x").await;
    assert_eq!(sse(&double, "PutObject").as_deref(), Some("AES256"));
    // The URL decides otherwise, and other schemes send nothing.
    let env = [
        ("S3_ENDPOINT", double.endpoint()),
        ("S3_ACCESS_KEY_ID", double.access_key()),
        ("S3_SECRET_ACCESS_KEY", &double.secret_key()),
    ];
    let clients = clients(&double, &env, quick());
    for (url, wanted) in [
        ("s3://bucket?sse=none", None),
        ("do://bucket", None),
        ("do://bucket?sse=AES256", Some("AES256")),
        ("s3://bucket?sse_kms_key_id=k1", Some("aws:kms")),
    ] {
        write(&open(&clients, url), "c", "x").await;
        assert_eq!(sse(&double, "PutObject").as_deref(), wanted, "{url}");
    }
}

#[tokio::test]
async fn a_service_without_encryption_is_written_without_it_from_then_on() {
    let (double, store) = scene(Personality::Linode, quick());
    write(&store, "a", "x").await;
    assert_eq!(double.count("PutObject"), 2);
    write(&store, "b", "x").await;
    assert_eq!(double.count("PutObject"), 3);
}

#[tokio::test]
async fn acls_go_with_every_write() {
    let double = S3Double::builder().bucket("bucket").start();
    let tuning = Tuning {
        part_size: 5 << 20,
        ..aws()
    };
    let env = [("KOPS_STATE_S3_ACL", " bucket-owner-full-control ")];
    let store = open(&clients(&double, &env, tuning), "s3://bucket");
    write(&store, "a", "x").await;
    store
        .write(&key("big"), chunks(6 * MIB, None), WriteOptions::default())
        .await
        .expect("a write");
    for name in ["a", "big"] {
        let object = double.object("bucket", name).expect("the object");
        assert_eq!(
            object.attributes.acl.as_deref(),
            Some("bucket-owner-full-control")
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_allow() {
    let (double, store) = on_aws();
    double.deny(double.access_key(), "PutObject", "bucket", "");
    let error = store
        .write(&key("a"), Body::from("x"), WriteOptions::default())
        .await
        .expect_err("a refusal");
    assert_eq!(
        *error.kind(),
        ErrorKind::PermissionDenied {
            action: Some("s3:PutObject".into()),
            resource: Some("arn:aws:s3:::bucket/state/a".into()),
        }
    );
}
