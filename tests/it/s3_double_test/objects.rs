//! Objects, conditions, copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, ObjectCannedAcl, ServerSideEncryption};
use futures::future::join_all;
use tokio::sync::Barrier;

use super::{client, refusal, text};
use crate::s3_double::{Attributes, Content, S3Double};

fn double() -> S3Double {
    S3Double::builder().bucket("one").bucket("two").start()
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

/// Creates `key` if nobody else has: even racers put, odd ones copy. True for the winner.
async fn race(client: Client, key: String, racer: u32, start: Arc<Barrier>) -> bool {
    start.wait().await;
    let lost = (412, "PreconditionFailed".to_owned());
    if racer % 2 == 1 {
        let copy = client
            .copy_object()
            .copy_source(format!("two/{racer}"))
            .bucket("one")
            .key(key);
        let copied = copy.if_none_match("*").send().await;
        return copied.is_ok() || {
            assert_eq!(refusal(copied), lost);
            false
        };
    }
    let put = client
        .put_object()
        .bucket("one")
        .key(key)
        .if_none_match("*");
    let put = put.body(racer.to_string().into_bytes().into()).send().await;
    put.is_ok() || {
        assert_eq!(refusal(put), lost);
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_32_racers_creates_an_object() {
    let double = double();
    let client = client(&double);
    for racer in 0..32 {
        double.put("two", &racer.to_string(), racer.to_string());
    }
    for round in 0..20 {
        let key = format!("lock-{round}");
        let start = Arc::new(Barrier::new(32));
        let racers =
            (0..32).map(|n| tokio::spawn(race(client.clone(), key.clone(), n, start.clone())));
        let won = join_all(racers).await.into_iter().map(Result::unwrap);
        let winners: Vec<usize> = won
            .enumerate()
            .filter(|(_, won)| *won)
            .map(|(n, _)| n)
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(double.get("one", &key).unwrap(), winners[0].to_string());
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
