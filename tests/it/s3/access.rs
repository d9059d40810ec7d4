//! Credentials, regions and endpoints, as the environment gives them.

use kstate::store::s3::{Clients, Tuning};
use kstate::store::{Body, ErrorKind, StoreUrl, WriteOptions};

use super::{aws, clients, key, open, quick, text, write};
use crate::s3_double::S3Double;

#[tokio::test]
async fn two_buckets_in_two_regions_are_found_and_asked_once_each() {
    let double = S3Double::builder()
        .bucket_in("here-bucket", "us-east-1")
        .bucket_in("there-bucket", "eu-central-1")
        .start();
    let clients = clients(&double, &[], aws());
    for url in [
        "s3://here-bucket",
        "s3://there-bucket/x",
        "s3://there-bucket/y",
    ] {
        let store = open(&clients, url);
        write(&store, "a", "x").await;
        assert_eq!(text(&store, "a").await, "x");
    }
    assert!(double.count("GetBucketLocation") <= 2);
}

#[tokio::test]
async fn the_header_tells_the_region_to_whoever_may_not_ask() {
    let double = S3Double::builder()
        .bucket_in("there-bucket", "eu-central-1")
        .start();
    double.deny(double.access_key(), "GetBucketLocation", "there-bucket", "");
    let store = open(&clients(&double, &[], aws()), "s3://there-bucket");
    write(&store, "a", "x").await;
}

#[tokio::test]
async fn a_wrong_region_on_the_url_is_named_with_the_right_one() {
    let double = S3Double::builder()
        .bucket_in("there-bucket", "eu-central-1")
        .start();
    let store = open(
        &clients(&double, &[], aws()),
        "s3://there-bucket?region=us-west-2",
    );
    let error = store
        .write(&key("a"), Body::from("x"), WriteOptions::default())
        .await
        .expect_err("a redirect");
    assert_eq!(*error.kind(), ErrorKind::Invalid, "{error:?}");
    let hint = error.hint_text().expect("a hint");
    assert!(hint.contains("?region=eu-central-1"), "{hint}");
}

#[tokio::test]
async fn kops_variables_lead_to_a_service_of_their_own() {
    let double = S3Double::builder().bucket("bucket").start();
    let secret = double.secret_key();
    let env = [
        ("S3_ENDPOINT", double.endpoint()),
        ("S3_ACCESS_KEY_ID", double.access_key()),
        ("S3_SECRET_ACCESS_KEY", &secret),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let clients = Clients::with(env.into_iter().collect(), quick());
    for url in ["s3://bucket/a", "do://bucket/b", "linode://bucket/c"] {
        let store = open(&clients, url);
        write(&store, "k", "x").await;
        assert_eq!(text(&store, "k").await, "x");
    }
    assert_eq!(double.keys("bucket"), ["a/k", "b/k", "c/k"]);
}

#[tokio::test]
async fn profiles_come_from_the_files_of_the_environment() {
    use std::io::Write;
    let double = S3Double::builder()
        .account("other")
        .bucket("bucket")
        .start();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let endpoint = double.endpoint();
    write!(
        file,
        "[profile mine]\nregion = us-east-1\nendpoint_url = {endpoint}\n\
         aws_access_key_id = other\naws_secret_access_key = secret-of-other\n"
    )
    .expect("a written file");
    let path = file.path().to_str().expect("a path");
    let env = [
        ("AWS_CONFIG_FILE", path),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let clients = Clients::with(env.into_iter().collect(), quick());
    write(&open(&clients, "s3://bucket?profile=mine"), "a", "x").await;
    assert!(
        double
            .requests()
            .iter()
            .all(|request| request.access_key == "other")
    );
}

#[tokio::test]
async fn nobody_to_sign_as_says_what_to_do() {
    let double = S3Double::builder().bucket("bucket").start();
    let env = [
        ("AWS_ENDPOINT_URL", double.endpoint()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let store = open(
        &Clients::with(env.into_iter().collect(), quick()),
        "s3://bucket",
    );
    let error = store.stat(&key("a")).await.expect_err("no credentials");
    assert_eq!(error.kind().name(), "permission_denied", "{error:?}");
    let hint = error.hint_text().expect("a hint");
    assert!(hint.contains("AWS_ACCESS_KEY_ID"), "{hint}");
    assert!(double.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_secret_is_a_refusal() {
    let double = S3Double::builder().bucket("bucket").start();
    let clients = clients(&double, &[("AWS_SECRET_ACCESS_KEY", "wrong")], quick());
    let error = open(&clients, "s3://bucket")
        .stat(&key("a"))
        .await
        .expect_err("a refusal");
    assert_eq!(error.kind().name(), "permission_denied", "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_named() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its number").port()
    };
    let env = [
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let clients = Clients::with(env.into_iter().collect(), quick());
    let endpoint = format!("http://127.0.0.1:{port}");
    let store = open(&clients, &format!("s3://bucket?endpoint={endpoint}"));
    let error = store.stat(&key("a")).await.expect_err("nobody");
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&endpoint), "{error}");
}

#[test]
fn settings_that_cant_work_are_refused_on_open() {
    let clients = Clients::with(
        [("HOME", "/nonexistent")].into_iter().collect(),
        Tuning::default(),
    );
    for url in [
        "do://bucket",
        "s3://bucket?endpoint=nowhere",
        "s3://bucket?profile=missing",
        "s3://bucket?acl=everyone",
        "s3://bucket?sse=rot13",
        "s3://bucket?path_style=maybe",
        "s3://bucket?external_id=x",
    ] {
        let url = StoreUrl::parse(url).expect("a URL");
        let error = clients.open(&url).err().expect("a refusal");
        assert_eq!(*error.kind(), ErrorKind::Invalid, "{error}");
    }
}
