//! What sets the vendors apart.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, ObjectCannedAcl,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, Tag, Tagging, VersioningConfiguration,
};

use super::{client, refusal};
use crate::s3_double::{Personality, S3Double};

const ALL: [Personality; 8] = [
    Personality::Aws,
    Personality::Versioned,
    Personality::Ceph,
    Personality::Garage,
    Personality::Moto,
    Personality::Spaces,
    Personality::Linode,
    Personality::Scaleway,
];

fn double(personality: Personality) -> S3Double {
    let double = S3Double::builder()
        .personality(personality)
        .bucket("one")
        .bucket_in("far", "us-east-2");
    let double = double.start();
    double.put("one", "k", "old");
    double
}

/// A client that adds no checksums of its own, as some services need it.
fn plain(double: &S3Double) -> Client {
    let config = client(double)
        .config()
        .to_builder()
        .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired);
    Client::from_conf(config.build())
}

/// The status that a request ends with.
fn status<T, E>(result: Result<T, aws_sdk_s3::error::SdkError<E, super::HttpResponse>>) -> u16 {
    result.err().map_or(200, |error| {
        error.raw_response().map_or(0, |r| r.status().as_u16())
    })
}

async fn create_over(client: &Client) -> u16 {
    let put = client
        .put_object()
        .bucket("one")
        .key("k")
        .if_none_match("*");
    status(put.body(ByteStream::from_static(b"new")).send().await)
}

async fn copy_over(client: &Client) -> u16 {
    let copy = client
        .copy_object()
        .copy_source("one/k")
        .bucket("one")
        .key("k2");
    copy.clone().send().await.unwrap();
    status(copy.if_none_match("*").send().await)
}

async fn complete_over(client: &Client) -> u16 {
    let id = client
        .create_multipart_upload()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap()
        .upload_id
        .unwrap();
    let part = client
        .upload_part()
        .bucket("one")
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let part = part
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .e_tag(part.e_tag.unwrap())
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket("one")
        .key("k")
        .upload_id(id);
    let complete =
        complete.multipart_upload(CompletedMultipartUpload::builder().parts(part).build());
    status(complete.if_none_match("*").send().await)
}

async fn delete_wrong(client: &Client) -> u16 {
    status(
        client
            .delete_object()
            .bucket("one")
            .key("k")
            .if_match("other")
            .send()
            .await,
    )
}

/// A policy that AWS takes.
const LIST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": ["s3:ListBucket"], "Resource": "arn:aws:s3:::one"}]}"#;

#[tokio::test]
async fn conditional_writes_differ() {
    for personality in ALL {
        let double = double(personality);
        let client = plain(&double);
        let got = [
            create_over(&client).await,
            copy_over(&client).await,
            complete_over(&client).await,
            delete_wrong(&client).await,
        ];
        let expected = match personality {
            Personality::Aws | Personality::Versioned => [412, 412, 412, 412],
            Personality::Ceph | Personality::Linode | Personality::Scaleway => [412, 200, 200, 200],
            Personality::Garage => [200, 200, 200, 200],
            Personality::Moto => [412, 200, 412, 412],
            Personality::Spaces => [501, 501, 501, 501],
        };
        assert_eq!(got, expected, "{personality:?}");
    }
}

#[tokio::test]
async fn an_ignored_condition_overwrites() {
    let double = double(Personality::Garage);
    assert_eq!(create_over(&client(&double)).await, 200);
    assert_eq!(double.get("one", "k").unwrap(), "new");
}

#[tokio::test]
async fn ceph_wants_its_tags_unquoted() {
    for (personality, quoted, bare) in [(Personality::Ceph, 412, 200), (Personality::Aws, 200, 200)]
    {
        let double = double(personality);
        let put = |tag: String| {
            plain(&double)
                .put_object()
                .bucket("one")
                .key("k")
                .if_match(tag)
                .send()
        };
        let tag = double.object("one", "k").unwrap().etag.clone();
        assert_eq!(
            status(put(format!("\"{tag}\"")).await),
            quoted,
            "{personality:?}"
        );
        let tag = double.object("one", "k").unwrap().etag.clone();
        assert_eq!(status(put(tag).await), bare, "{personality:?}");
    }
}

#[tokio::test]
async fn chunked_uploads_and_checksums_are_not_for_all() {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"streamed").unwrap();
    for personality in ALL {
        let double = double(personality);
        let body = ByteStream::from_path(file.path()).await.unwrap();
        let chunked = client(&double)
            .put_object()
            .bucket("one")
            .key("s")
            .body(body)
            .send()
            .await;
        let header = client(&double)
            .put_object()
            .bucket("one")
            .key("h")
            .body(ByteStream::from_static(b"x"));
        let header = header.send().await;
        let answered = header
            .as_ref()
            .is_ok_and(|put| put.checksum_crc32().is_some());
        let got = (status(chunked), status(header), answered);
        let expected = match personality {
            Personality::Ceph => (400, 200, false),
            Personality::Linode => (400, 400, false),
            Personality::Moto | Personality::Spaces => (200, 200, false),
            _ => (200, 200, true),
        };
        assert_eq!(got, expected, "{personality:?}");
    }
}

#[tokio::test]
async fn moto_believes_any_checksum_and_copies_whatever_is_there() {
    let double = double(Personality::Moto);
    let put = client(&double)
        .put_object()
        .bucket("one")
        .key("k")
        .checksum_crc32("AAAAAA==");
    put.body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    let copy = client(&double)
        .copy_object()
        .copy_source("one/k")
        .bucket("one")
        .key("k2");
    copy.copy_source_if_match("other").send().await.unwrap();
}

#[tokio::test]
async fn copies_between_regions_are_not_for_all() {
    for personality in ALL {
        let double = double(personality);
        double.put("far", "k", "x");
        let copy = client(&double)
            .copy_object()
            .copy_source("far/k")
            .bucket("one")
            .key("copy");
        let refused = matches!(
            personality,
            Personality::Spaces | Personality::Linode | Personality::Scaleway
        );
        assert_eq!(
            status(copy.send().await),
            if refused { 501 } else { 200 },
            "{personality:?}"
        );
    }
}

#[tokio::test]
async fn encryption_acls_tags_and_policies_are_not_for_all() {
    for personality in ALL {
        let double = double(personality);
        let client = plain(&double);
        let object = || client.put_object().bucket("one").key("k");
        let tags = Tagging::builder().tag_set(Tag::builder().key("a").value("b").build().unwrap());
        let tags = client
            .put_object_tagging()
            .bucket("one")
            .key("k")
            .tagging(tags.build().unwrap());
        let acl = client
            .put_object_acl()
            .bucket("one")
            .key("k")
            .acl(ObjectCannedAcl::PublicRead);
        let got = [
            status(client.get_bucket_encryption().bucket("one").send().await),
            status(
                object()
                    .server_side_encryption(ServerSideEncryption::Aes256)
                    .send()
                    .await,
            ),
            status(object().acl(ObjectCannedAcl::Private).send().await),
            status(acl.send().await),
            status(tags.send().await),
            status(
                client
                    .put_bucket_policy()
                    .bucket("one")
                    .policy(LIST)
                    .send()
                    .await,
            ),
        ];
        let expected = match personality {
            Personality::Aws | Personality::Versioned | Personality::Moto => [200; 6],
            Personality::Ceph | Personality::Scaleway => [404, 200, 200, 200, 200, 200],
            Personality::Spaces => [501, 200, 200, 200, 200, 200],
            Personality::Linode => [404, 400, 200, 200, 200, 200],
            Personality::Garage => [501, 200, 501, 501, 501, 501],
        };
        assert_eq!(got, expected, "{personality:?}");
    }
}

#[tokio::test]
async fn versioning_is_on_off_or_missing() {
    let double = double(Personality::Versioned);
    let put = client(&double)
        .put_object()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    assert!(put.version_id().is_some());
    let enable = |client: Client| {
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        client
            .put_bucket_versioning()
            .bucket("one")
            .versioning_configuration(enabled.build())
            .send()
    };
    let garage = self::double(Personality::Garage);
    assert_eq!(
        refusal(enable(client(&garage)).await),
        (501, "NotImplemented".into())
    );
    let aws = self::double(Personality::Aws);
    enable(client(&aws)).await.unwrap();
    let put = client(&aws)
        .put_object()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    assert!(put.version_id().is_some());
}

#[tokio::test]
async fn a_default_encryption_is_remembered_and_applied() {
    let double = double(Personality::Aws);
    let client = client(&double);
    let kms = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms);
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(kms.build().unwrap());
    let config = ServerSideEncryptionConfiguration::builder()
        .rules(rule.build())
        .build()
        .unwrap();
    let put = client.put_bucket_encryption().bucket("one");
    put.server_side_encryption_configuration(config.clone())
        .send()
        .await
        .unwrap();
    let got = client
        .get_bucket_encryption()
        .bucket("one")
        .send()
        .await
        .unwrap();
    let rule = &got.server_side_encryption_configuration().unwrap().rules()[0];
    assert_eq!(
        rule.apply_server_side_encryption_by_default()
            .unwrap()
            .sse_algorithm()
            .as_str(),
        "aws:kms"
    );
    client
        .put_object()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        double.object("one", "k").unwrap().attributes.sse.as_deref(),
        Some("aws:kms")
    );
}

#[tokio::test]
async fn what_is_no_policy_of_the_bucket_is_refused() {
    let double = double(Personality::Aws);
    let client = client(&double);
    let long = LIST.replace("one", &"x".repeat(20 << 10));
    for refused in [
        "{}",
        "no JSON",
        &LIST.replace("Allow", "allow"),
        &LIST.replace("Action", "Actions"),
        &LIST.replace(":::one", ":::two"),
        &LIST.replace(":::one", ":::one/*"),
        &LIST.replace("123456789012", "123"),
        &long,
    ] {
        let put = client.put_bucket_policy().bucket("one").policy(refused);
        let answer = refusal(put.send().await);
        assert_eq!(answer, (400, "MalformedPolicy".into()), "{refused:.200}");
    }
}

#[tokio::test]
async fn policies_acls_and_tags_are_remembered() {
    let double = double(Personality::Aws);
    let client = client(&double);
    let policy = || client.get_bucket_policy().bucket("one").send();
    assert_eq!(refusal(policy().await), (404, "NoSuchBucketPolicy".into()));
    client
        .put_bucket_policy()
        .bucket("one")
        .policy(LIST)
        .send()
        .await
        .unwrap();
    // It comes back without blanks, and one alone is no list.
    let kept = LIST.replace("[\"s3:ListBucket\"]", "\"s3:ListBucket\"");
    assert_eq!(
        policy().await.unwrap().policy(),
        Some(&*kept.replace(' ', ""))
    );
    client
        .delete_bucket_policy()
        .bucket("one")
        .send()
        .await
        .unwrap();
    assert_eq!(status(policy().await), 404);

    let acl = client
        .put_object_acl()
        .bucket("one")
        .key("k")
        .acl(ObjectCannedAcl::PublicRead);
    acl.send().await.unwrap();
    let acl = client
        .get_object_acl()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    let grant = &acl.grants()[1];
    let group = grant.grantee().unwrap().uri();
    assert_eq!(
        group,
        Some("http://acs.amazonaws.com/groups/global/AllUsers")
    );
    let tags = Tagging::builder().tag_set(Tag::builder().key("a").value("b").build().unwrap());
    let tags = client
        .put_object_tagging()
        .bucket("one")
        .key("k")
        .tagging(tags.build().unwrap());
    tags.send().await.unwrap();
    let tags = client
        .get_object_tagging()
        .bucket("one")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (tags.tag_set()[0].key(), tags.tag_set()[0].value()),
        ("a", "b")
    );
}

#[tokio::test]
async fn buckets_come_and_go() {
    let double = S3Double::builder().region("us-east-1").start();
    double.create_bucket("made", "eu-west-1");
    let client = client(&double);
    client.create_bucket().bucket("asked").send().await.unwrap();
    let again = client.create_bucket().bucket("asked").send().await;
    assert_eq!(refusal(again), (409, "BucketAlreadyOwnedByYou".into()));
    let listed = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, ["asked", "made"]);
    double.put("asked", "k", "x");
    let delete = || client.delete_bucket().bucket("asked").send();
    assert_eq!(refusal(delete().await), (409, "BucketNotEmpty".into()));
    double.remove("asked", "k");
    delete().await.unwrap();
    assert_eq!(
        status(client.head_bucket().bucket("asked").send().await),
        404
    );
}

#[tokio::test]
async fn the_environment_leads_a_client_to_it() {
    let double = S3Double::builder()
        .region("eu-west-1")
        .bucket("one")
        .account("bob")
        .start();
    let of = |env: Vec<(String, String)>, name: &str| {
        env.into_iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
            .unwrap()
    };
    assert_eq!(of(double.env(), "AWS_ENDPOINT_URL"), double.endpoint());
    assert_eq!(of(double.env(), "AWS_EC2_METADATA_DISABLED"), "true");
    let key = of(double.env_of("bob"), "AWS_ACCESS_KEY_ID");
    let secret = of(double.env_of("bob"), "AWS_SECRET_ACCESS_KEY");
    let bob = super::client_of(&double, &key, &secret, &of(double.env(), "AWS_REGION"));
    bob.list_objects_v2()
        .bucket("one")
        .max_keys(7)
        .send()
        .await
        .unwrap();
    let request = double.requests().pop().unwrap();
    assert_eq!(request.access_key, "bob");
    assert!(request.query.contains("max-keys=7"));
}
