//! Objects, conditions, copies, multipart uploads, versions, settings, accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, MetadataDirective, ObjectCannedAcl,
    ObjectIdentifier, ServerSideEncryption,
};
use futures::future::join_all;
use tokio::sync::Barrier;

use super::{client, client_of, refusal, text};
use crate::s3_double::{Attributes, Content, S3Double};

fn double() -> S3Double {
    S3Double::builder()
        .min_part(4)
        .bucket("one")
        .bucket("two")
        .start()
}

#[tokio::test]
async fn what_was_put_comes_back_with_all_it_carries() {
    let double = double();
    let put = client(&double)
        .put_object()
        .bucket("one")
        .key("a b/ü+%")
        .body(ByteStream::from_static(b"hello"))
        .content_type("text/plain")
        .metadata("who", "me")
        .acl(ObjectCannedAcl::BucketOwnerFullControl)
        .tagging("x=1&y=a%20b")
        .server_side_encryption(ServerSideEncryption::Aes256)
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let object = double.object("one", "a b/ü+%").unwrap();
    assert_eq!(object.bytes(), "hello");
    assert_eq!(
        object.attributes,
        Attributes {
            content_type: Some("text/plain".into()),
            metadata: [("who".to_owned(), "me".to_owned())].into(),
            tags: BTreeMap::from([("x".into(), "1".into()), ("y".into(), "a b".into())]),
            sse: Some("AES256".into()),
            acl: Some("bucket-owner-full-control".into()),
            ..Attributes::default()
        }
    );
    let get = client(&double)
        .get_object()
        .bucket("one")
        .key("a b/ü+%")
        .send()
        .await
        .unwrap();
    assert_eq!(get.content_type(), Some("text/plain"));
    assert_eq!(get.metadata().unwrap()["who"], "me");
    assert_eq!(get.tag_count(), Some(2));
    assert_eq!(text(get).await, "hello");
    let range = client(&double)
        .get_object()
        .bucket("one")
        .key("a b/ü+%")
        .range("bytes=1-2");
    let range = range.send().await.unwrap();
    assert_eq!(range.content_range(), Some("bytes 1-2/5"));
    assert_eq!(text(range).await, "el");
    let beyond = client(&double)
        .get_object()
        .bucket("one")
        .key("a b/ü+%")
        .range("bytes=9-");
    assert_eq!(refusal(beyond.send().await), (416, "InvalidRange".into()));
}

#[tokio::test]
async fn one_of_32_racers_creates_an_object() {
    let double = double();
    let client = client(&double);
    for round in 0..20 {
        let key = format!("lock-{round}");
        let barrier = Arc::new(Barrier::new(32));
        let racers = (0..32).map(|n| {
            let (client, key, barrier) = (client.clone(), key.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let body = ByteStream::from(format!("{n}").into_bytes());
                let put = client
                    .put_object()
                    .bucket("one")
                    .key(key)
                    .if_none_match("*")
                    .body(body);
                put.send().await.map(|_| n)
            })
        });
        let results: Vec<_> = join_all(racers)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winners: Vec<i32> = results
            .iter()
            .filter_map(|result| result.as_ref().ok().copied())
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(double.get("one", &key).unwrap(), winners[0].to_string());
        let losers = results.into_iter().filter(Result::is_err).map(refusal);
        assert!(
            losers
                .into_iter()
                .all(|lost| lost == (412, "PreconditionFailed".into()))
        );
    }
}

#[tokio::test]
async fn conditions_hold_on_puts_and_deletes() {
    let double = double();
    let client = client(&double);
    let old = double.put("one", "k", "old");
    let new = double.put("one", "k", "new");
    let put = |tag: &str| {
        client
            .put_object()
            .bucket("one")
            .key("k")
            .if_match(tag)
            .send()
    };
    assert_eq!(refusal(put(&old).await), (412, "PreconditionFailed".into()));
    assert_eq!(double.get("one", "k").unwrap(), "new");
    let put = put(&format!("\"{new}\"")).await.unwrap();
    let missing = client
        .put_object()
        .bucket("one")
        .key("gone")
        .if_match(&new)
        .send()
        .await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".into()));
    let delete = |tag: &str| {
        client
            .delete_object()
            .bucket("one")
            .key("k")
            .if_match(tag)
            .send()
    };
    assert_eq!(
        refusal(delete(&new).await),
        (412, "PreconditionFailed".into())
    );
    delete(put.e_tag().unwrap()).await.unwrap();
    assert!(double.get("one", "k").is_none());
}

#[tokio::test]
async fn conditions_hold_on_reads() {
    let double = double();
    let client = client(&double);
    let tag = double.put("one", "k", "x");
    let get = || client.get_object().bucket("one").key("k");
    assert_eq!(
        refusal(get().if_match("\"other\"").send().await),
        (412, "PreconditionFailed".into())
    );
    assert_eq!(refusal(get().if_none_match(&tag).send().await).0, 304);
    get().if_match(&tag).send().await.unwrap();
    let head = client
        .head_object()
        .bucket("one")
        .key("k")
        .if_none_match(&tag);
    assert_eq!(refusal(head.send().await).0, 304);
    let missing = client.head_object().bucket("one").key("none").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
}

#[tokio::test]
async fn nothing_is_stored_when_a_checksum_is_wrong() {
    let double = double();
    let put = || {
        client(&double)
            .put_object()
            .bucket("one")
            .key("k")
            .body(ByteStream::from_static(b"x"))
    };
    let md5 = put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await;
    assert_eq!(refusal(md5), (400, "BadDigest".into()));
    let crc = put().checksum_crc32_c("AAAAAA==").send().await;
    assert_eq!(refusal(crc), (400, "BadDigest".into()));
    let sha = put()
        .checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
        .send()
        .await;
    assert_eq!(refusal(sha), (400, "BadDigest".into()));
    assert!(double.keys("one").is_empty());
}

#[tokio::test]
async fn a_streamed_body_with_a_trailing_checksum_is_stored() {
    use std::io::Write;
    let double = double();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 300_000]).unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    client(&double)
        .put_object()
        .bucket("one")
        .key("k")
        .body(body)
        .send()
        .await
        .unwrap();
    let request = double.requests().pop().unwrap();
    assert_eq!(
        request.header("x-amz-trailer"),
        Some("x-amz-checksum-crc32")
    );
    let object = double.object("one", "k").unwrap();
    assert_eq!(object.bytes(), vec![7; 300_000]);
    assert!(object.checksum.checksum_crc32.is_some());
    assert_eq!(object.attributes.content_encoding, None);
}

#[tokio::test]
async fn copies_keep_what_s3_keeps() {
    let double = double();
    let attributes = Attributes {
        content_type: Some("a/b".into()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        tags: [("t".to_owned(), "1".to_owned())].into(),
        acl: Some("public-read".into()),
        sse: Some("aws:kms".into()),
        ..Attributes::default()
    };
    let tag = double.put_with(
        "one",
        "a b",
        Content::from(bytes::Bytes::from("x")),
        attributes.clone(),
    );
    let client = client(&double);
    let copy = || {
        client
            .copy_object()
            .copy_source("one/a%20b")
            .bucket("two")
            .key("k")
    };
    copy().send().await.unwrap();
    let copied = double.object("two", "k").unwrap();
    assert_eq!(copied.etag, tag);
    // neither the ACL nor the encryption goes along
    let expected = Attributes {
        acl: None,
        sse: Some("AES256".into()),
        ..attributes
    };
    assert_eq!(copied.attributes, expected);
    copy()
        .metadata_directive(MetadataDirective::Replace)
        .content_type("c/d")
        .send()
        .await
        .unwrap();
    let replaced = &double.object("two", "k").unwrap().attributes;
    assert_eq!(replaced.content_type.as_deref(), Some("c/d"));
    assert!(replaced.metadata.is_empty());
    assert_eq!(replaced.tags.len(), 1);
    let exists = copy().if_none_match("*").send().await;
    assert_eq!(refusal(exists), (412, "PreconditionFailed".into()));
    let changed = copy().copy_source_if_match("other").send().await;
    assert_eq!(refusal(changed), (412, "PreconditionFailed".into()));
    let itself = client
        .copy_object()
        .copy_source("one/a%20b")
        .bucket("one")
        .key("a b")
        .send()
        .await;
    assert_eq!(refusal(itself), (400, "InvalidRequest".into()));
}

#[tokio::test]
async fn a_multipart_upload_becomes_an_object_when_it_is_completed() {
    let double = double();
    let client = client(&double);
    let create = client
        .create_multipart_upload()
        .bucket("one")
        .key("k")
        .content_type("a/b");
    let id = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for (n, body) in [(1, "aaaa"), (2, "bb")] {
        let part = client
            .upload_part()
            .bucket("one")
            .key("k")
            .upload_id(&id)
            .part_number(n);
        let part = part
            .body(body.as_bytes().to_vec().into())
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder()
                .part_number(n)
                .e_tag(part.e_tag.unwrap())
                .build(),
        );
    }
    assert_eq!(double.uploads("one").len(), 1);
    assert!(double.keys("one").is_empty());
    let listed = client
        .list_parts()
        .bucket("one")
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.parts().len(), 2);
    let complete = |parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let complete = client
            .complete_multipart_upload()
            .bucket("one")
            .key("k")
            .upload_id(&id);
        complete.multipart_upload(parts)
    };
    let reversed = parts.iter().rev().cloned().collect();
    assert_eq!(
        refusal(complete(reversed).send().await),
        (400, "InvalidPartOrder".into())
    );
    double.put("one", "k", "there");
    let exists = complete(parts.clone()).if_none_match("*").send().await;
    assert_eq!(refusal(exists), (412, "PreconditionFailed".into()));
    let done = complete(parts).send().await.unwrap();
    // MD5 of the MD5s of "aaaa" and "bb"
    assert!(done.e_tag().unwrap().ends_with("-2\""));
    assert_eq!(double.get("one", "k").unwrap(), "aaaabb");
    assert!(double.uploads("one").is_empty());
}

#[tokio::test]
async fn small_parts_and_unknown_uploads_are_refused() {
    let double = double();
    let client = client(&double);
    let id = client
        .create_multipart_upload()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap()
        .upload_id
        .unwrap();
    let mut parts = Vec::new();
    for n in 1..=2 {
        let part = client
            .upload_part()
            .bucket("one")
            .key("k")
            .upload_id(&id)
            .part_number(n);
        let part = part
            .body(ByteStream::from_static(b"abc"))
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder()
                .part_number(n)
                .e_tag(part.e_tag.unwrap())
                .build(),
        );
    }
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket("one")
        .key("k")
        .upload_id(&id);
    assert_eq!(
        refusal(complete.multipart_upload(parts).send().await),
        (400, "EntityTooSmall".into())
    );
    let abort = || {
        client
            .abort_multipart_upload()
            .bucket("one")
            .key("k")
            .upload_id(&id)
            .send()
    };
    abort().await.unwrap();
    assert_eq!(refusal(abort().await), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn large_objects_are_read_and_copied_without_being_held() {
    const SIZE: u64 = 6 * 1024 * 1024 * 1024;
    let double = double();
    let client = client(&double);
    double.put_synthetic("one", "big", SIZE, 7);
    let tail = client
        .get_object()
        .bucket("one")
        .key("big")
        .range("bytes=6442450900-")
        .send()
        .await
        .unwrap();
    let tail = tail.body.collect().await.unwrap().into_bytes();
    assert_eq!(
        tail,
        Content::synthetic(SIZE, 7).slice(SIZE - 44..SIZE).bytes()
    );
    let whole = client
        .copy_object()
        .copy_source("one/big")
        .bucket("two")
        .key("big")
        .send()
        .await;
    assert_eq!(refusal(whole), (400, "InvalidRequest".into()));
    let create = client
        .create_multipart_upload()
        .bucket("two")
        .key("big")
        .send()
        .await
        .unwrap();
    let id = create.upload_id.unwrap();
    let half = SIZE / 2;
    let mut parts = Vec::new();
    for (n, range) in [(1, (0, half - 1)), (2, (half, SIZE - 1))] {
        let part = client
            .upload_part_copy()
            .bucket("two")
            .key("big")
            .upload_id(&id)
            .part_number(n);
        let part = part
            .copy_source("one/big")
            .copy_source_range(format!("bytes={}-{}", range.0, range.1));
        let tag = part
            .send()
            .await
            .unwrap()
            .copy_part_result
            .unwrap()
            .e_tag
            .unwrap();
        parts.push(CompletedPart::builder().part_number(n).e_tag(tag).build());
    }
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket("two")
        .key("big")
        .upload_id(&id);
    complete.multipart_upload(parts).send().await.unwrap();
    let copied = &double.object("two", "big").unwrap().content;
    assert_eq!(copied.len(), SIZE);
    let middle = half - 5..half + 5;
    assert_eq!(
        copied.slice(middle.clone()).bytes(),
        Content::synthetic(SIZE, 7).slice(middle).bytes()
    );
}

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
    let message = denied.into_service_error().to_string();
    assert!(message.contains("AccessDenied"), "{message}");
    get("main", "secret-of-main").await.unwrap();
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
