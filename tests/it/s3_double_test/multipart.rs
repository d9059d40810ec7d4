//! Multipart uploads, and objects too large to hold.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{client, refusal};
use crate::s3_double::{Content, S3Double};

fn double() -> S3Double {
    S3Double::builder()
        .min_part(4)
        .bucket("one")
        .bucket("two")
        .start()
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
