//! Listings: order, pages, folders, encodings, a million keys.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::EncodingType;

use super::{client, refusal};
use crate::s3_double::S3Double;

/// All keys and common prefixes, page by page, and how many pages it took.
async fn walk(
    client: &Client,
    bucket: &str,
    prefix: &str,
    delimiter: Option<&str>,
) -> (Vec<String>, usize) {
    let (mut names, mut pages, mut token) = (Vec::new(), 0, None);
    loop {
        let list = client.list_objects_v2().bucket(bucket).prefix(prefix);
        let list = list
            .set_delimiter(delimiter.map(str::to_owned))
            .set_continuation_token(token);
        let page = list.send().await.unwrap();
        pages += 1;
        let mut of_page: Vec<String> = page
            .contents()
            .iter()
            .map(|o| o.key().unwrap().to_owned())
            .collect();
        of_page.extend(
            page.common_prefixes()
                .iter()
                .map(|p| p.prefix().unwrap().to_owned()),
        );
        assert_eq!(page.key_count(), i32::try_from(of_page.len()).ok());
        of_page.sort();
        names.extend(of_page);
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            return (names, pages);
        }
    }
}

const KEYS: [&str; 8] = ["a", "a/", "a/b/c", "a/b/d", "a0", "b+ %/x", "b/y", "ü"];

fn double() -> S3Double {
    let double = S3Double::builder().bucket("one").page_size(3).start();
    for key in KEYS {
        double.put("one", key, "x");
    }
    double
}

#[tokio::test]
async fn pages_hold_every_key_once_in_byte_order() {
    let double = double();
    assert_eq!(
        walk(&client(&double), "one", "", None).await,
        (KEYS.map(str::to_owned).to_vec(), 3)
    );
    assert_eq!(double.keys("one"), KEYS);
    let (under, _) = walk(&client(&double), "one", "a/", None).await;
    assert_eq!(under, ["a/", "a/b/c", "a/b/d"]);
}

#[tokio::test]
async fn folders_are_shown_once_even_across_pages() {
    for page_size in [1, 2, 1000] {
        let double = S3Double::builder()
            .bucket("one")
            .page_size(page_size)
            .start();
        for key in KEYS {
            double.put("one", key, "x");
        }
        let (names, _) = walk(&client(&double), "one", "", Some("/")).await;
        assert_eq!(
            names,
            ["a", "a/", "a0", "b+ %/", "b/", "ü"],
            "pages of {page_size}"
        );
        let (names, _) = walk(&client(&double), "one", "a/", Some("/")).await;
        assert_eq!(names, ["a/", "a/b/"], "pages of {page_size}");
    }
}

#[tokio::test]
async fn a_listing_starts_after_a_key_and_refuses_a_made_up_token() {
    let double = double();
    let after = client(&double)
        .list_objects_v2()
        .bucket("one")
        .start_after("a/b/c")
        .max_keys(1);
    let page = after.send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("a/b/d"));
    assert_eq!(page.is_truncated(), Some(true));
    let token = client(&double)
        .list_objects_v2()
        .bucket("one")
        .continuation_token("!")
        .send()
        .await;
    assert_eq!(refusal(token), (400, "InvalidArgument".into()));
    let missing = client(&double)
        .list_objects_v2()
        .bucket("none")
        .send()
        .await;
    assert_eq!(refusal(missing), (404, "NoSuchBucket".into()));
}

#[tokio::test]
async fn names_are_url_encoded_on_demand() {
    let double = double();
    let list = client(&double)
        .list_objects_v2()
        .bucket("one")
        .encoding_type(EncodingType::Url);
    let page = list.start_after("b").prefix("b+ ").send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("b%2B+%25/x"));
    assert_eq!(page.prefix(), Some("b%2B+"));
}

#[tokio::test]
async fn the_first_version_of_the_api_goes_on_from_a_marker() {
    let double = double();
    let list = client(&double).list_objects().bucket("one").delimiter("/");
    let page = list.clone().send().await.unwrap();
    assert_eq!(page.next_marker(), Some("a0"));
    let page = list.marker("b+ %/").send().await.unwrap();
    assert_eq!(page.common_prefixes()[0].prefix(), Some("b/"));
    assert_eq!(page.contents()[0].key(), Some("ü"));
    assert_eq!(page.is_truncated(), Some(false));
}

#[tokio::test]
async fn uploads_are_listed_in_pages() {
    let double = double();
    let client = client(&double);
    for key in ["x", "x", "y", "z"] {
        client
            .create_multipart_upload()
            .bucket("one")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let page = client
        .list_multipart_uploads()
        .bucket("one")
        .send()
        .await
        .unwrap();
    assert_eq!((page.uploads().len(), page.is_truncated()), (3, Some(true)));
    let rest = client.list_multipart_uploads().bucket("one");
    let rest = rest
        .set_key_marker(page.next_key_marker)
        .set_upload_id_marker(page.next_upload_id_marker);
    let rest = rest.send().await.unwrap();
    assert_eq!(rest.uploads()[0].key(), Some("z"));
    assert_eq!(
        (rest.uploads().len(), rest.is_truncated()),
        (1, Some(false))
    );
}

#[tokio::test]
async fn a_million_generated_keys_take_no_memory() {
    let double = S3Double::start();
    double.synthetic_bucket("many", 1_000_000);
    double.put("many", "synthetic/999999", "real");
    let client = client(&double);
    let (folders, pages) = walk(&client, "many", "synthetic/", Some("/")).await;
    assert_eq!((folders.len(), pages), (1001, 2));
    let (last, _) = walk(&client, "many", "synthetic/000999/", None).await;
    assert_eq!(last.len(), 1000);
    assert_eq!(last[999], "synthetic/000999/999");
    let page = client
        .list_objects_v2()
        .bucket("many")
        .start_after("synthetic/000999/998");
    let page = page.send().await.unwrap();
    let keys: Vec<_> = page
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(keys, ["synthetic/000999/999", "synthetic/999999"]);
    let listed = page.contents()[0].e_tag().map(str::to_owned);
    let read = client
        .get_object()
        .bucket("many")
        .key(keys[0])
        .send()
        .await
        .unwrap();
    assert_eq!(
        (read.content_length(), read.e_tag.clone()),
        (Some(64), listed)
    );
    assert_eq!(read.body.collect().await.unwrap().into_bytes().len(), 64);
}
