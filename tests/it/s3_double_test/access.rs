//! Signatures, accounts, regions; versions and deletes.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{client, client_of, refusal, text};
use crate::s3_double::S3Double;

#[tokio::test]
async fn versions_are_kept_listed_and_deleted_one_by_one() {
    let double = S3Double::builder().bucket("one").page_size(2).start();
    double.enable_versioning("one");
    let client = client(&double);
    let versioning = client
        .get_bucket_versioning()
        .bucket("one")
        .send()
        .await
        .unwrap();
    assert_eq!(versioning.status().unwrap().as_str(), "Enabled");
    let put = client
        .put_object()
        .bucket("one")
        .key("k")
        .body(ByteStream::from_static(b"1"));
    let first = put.send().await.unwrap().version_id.unwrap();
    double.put("one", "k", "2");
    let deleted = client
        .delete_object()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    assert!(double.keys("one").is_empty());
    let old = client
        .get_object()
        .bucket("one")
        .key("k")
        .version_id(&first)
        .send()
        .await
        .unwrap();
    assert_eq!(text(old).await, "1");
    let page = client
        .list_object_versions()
        .bucket("one")
        .send()
        .await
        .unwrap();
    assert_eq!((page.versions().len(), page.delete_markers().len()), (1, 1));
    assert_eq!(page.is_truncated(), Some(true));
    let rest = client.list_object_versions().bucket("one");
    let rest = rest.key_marker(page.next_key_marker().unwrap());
    let rest = rest
        .version_id_marker(page.next_version_id_marker().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.versions()[0].version_id(), Some(first.as_str()));
    let marker = deleted.version_id.unwrap();
    client
        .delete_object()
        .bucket("one")
        .key("k")
        .version_id(marker)
        .send()
        .await
        .unwrap();
    assert_eq!(double.get("one", "k").unwrap(), "2");
    assert_eq!(double.versions("one", "k").len(), 2);
    double.remove("one", "k");
    assert!(double.versions("one", "k").is_empty());
}

#[tokio::test]
async fn many_are_deleted_at_once_each_with_its_verdict() {
    let double = S3Double::builder().bucket("one").account("bob").start();
    double.put("one", "a", "x");
    double.put("one", "b", "x");
    double.put("one", "pki/c", "x");
    double.deny("bob", "DeleteObject", "one", "pki/");
    let one = |key: &str| ObjectIdentifier::builder().key(key);
    let objects = [
        one("a"),
        one("b").e_tag("other"),
        one("pki/c"),
        one("missing"),
    ];
    let objects = objects
        .into_iter()
        .map(|object| object.build().unwrap())
        .collect();
    let delete = Delete::builder()
        .set_objects(Some(objects))
        .build()
        .unwrap();
    let bob = client_of(&double, "bob", "secret-of-bob", "us-east-1");
    let done = bob
        .delete_objects()
        .bucket("one")
        .delete(delete)
        .send()
        .await
        .unwrap();
    let errors: Vec<_> = done
        .errors()
        .iter()
        .map(|e| (e.key().unwrap(), e.code().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [("b", "PreconditionFailed"), ("pki/c", "AccessDenied")]
    );
    assert_eq!(done.deleted().len(), 2);
    assert_eq!(double.keys("one"), ["b", "pki/c"]);
}

#[tokio::test]
async fn signatures_are_verified_and_rules_refuse() {
    let double = S3Double::builder().bucket("one").account("bob").start();
    double.put("one", "pki/key", "x");
    double.deny("bob", "GetObject", "one", "pki/");
    let get = |who, secret| {
        client_of(&double, who, secret, "us-east-1")
            .get_object()
            .bucket("one")
            .key("pki/key")
            .send()
    };
    assert_eq!(
        refusal(get("main", "guess").await),
        (403, "SignatureDoesNotMatch".into())
    );
    assert_eq!(refusal(get("eve", "guess").await).0, 403);
    assert_eq!(double.requests().last().unwrap().op, "");
    let denied = get("bob", "secret-of-bob").await.unwrap_err();
    let denied = denied.into_service_error();
    assert_eq!(denied.code(), Some("AccessDenied"));
    let message = denied.message().unwrap();
    assert!(
        message.contains("s3:GetObject on resource: \"arn:aws:s3:::one/pki/key\""),
        "{message}"
    );
    get("main", "secret-of-main").await.unwrap();
}

#[tokio::test]
async fn who_may_not_list_is_not_told_what_is_missing() {
    let double = S3Double::builder().bucket("one").account("bob").start();
    double.deny("bob", "ListBucket", "one", "");
    let get = |who: &str| {
        let client = client_of(&double, who, &format!("secret-of-{who}"), "us-east-1");
        client.get_object().bucket("one").key("missing").send()
    };
    assert_eq!(refusal(get("bob").await), (403, "AccessDenied".into()));
    assert_eq!(refusal(get("main").await), (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn a_request_signed_for_another_region_is_sent_there() {
    let double = S3Double::builder().bucket_in("west", "eu-west-1").start();
    let head = |region| {
        client_of(&double, "main", "secret-of-main", region)
            .head_bucket()
            .bucket("west")
            .send()
    };
    let error = head("us-east-1").await.unwrap_err();
    let response = error.raw_response().unwrap();
    assert_eq!(response.status().as_u16(), 301);
    assert_eq!(
        response.headers().get("x-amz-bucket-region"),
        Some("eu-west-1")
    );
    let list = client_of(&double, "main", "secret-of-main", "eu-north-1")
        .list_objects_v2()
        .bucket("west");
    assert_eq!(
        refusal(list.send().await),
        (400, "AuthorizationHeaderMalformed".into())
    );
    assert_eq!(
        head("eu-west-1").await.unwrap().bucket_region(),
        Some("eu-west-1")
    );
    let location = client(&double)
        .get_bucket_location()
        .bucket("west")
        .send()
        .await
        .unwrap();
    assert_eq!(
        location.location_constraint().unwrap().as_str(),
        "eu-west-1"
    );
}
