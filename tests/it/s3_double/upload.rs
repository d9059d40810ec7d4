//! What arrives with an upload: its bytes, the checksums over them, and the attributes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::TryStreamExt;
use http::HeaderMap;
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumType, Metadata, StreamingBlob};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::content::Content;
use super::personality::{Checksums, Encryption};
use super::server::Shared;
use super::state::{Attributes, Bucket};

/// Reads a whole body and verifies it against every checksum that came with it, before anything
/// is stored.
pub(crate) async fn receive(
    shared: &Shared,
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    body: Option<StreamingBlob>,
) -> S3Result<(Content, Checksum)> {
    let mut bytes = Vec::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body
            .try_next()
            .await
            .map_err(|error| s3_error!(BadDigest, "the body is not what was signed: {error}"))?
        {
            bytes.extend_from_slice(&chunk);
        }
    }
    let bytes = Bytes::from(bytes);
    if let Some(expected) = headers.get("content-md5") {
        let got = BASE64_STANDARD.encode(Md5::digest(&bytes));
        if expected.as_bytes() != got.as_bytes() {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match"
            ));
        }
    }
    let content = Content::from(bytes);
    let mut expected = headers.clone();
    expected.extend(
        trailers
            .and_then(|trailers| trailers.take())
            .unwrap_or_default(),
    );
    let checksum = verify(shared, &content, &expected)?;
    Ok((content, checksum))
}

/// Compares `content` with the `x-amz-checksum-*` in `expected`; answers the ones to remember.
pub(crate) fn verify(
    shared: &Shared,
    content: &Content,
    expected: &HeaderMap,
) -> S3Result<Checksum> {
    if shared.quirks.checksums == Checksums::Unverified {
        return Ok(Checksum::default());
    }
    let header = |name: &str| expected.get(format!("x-amz-checksum-{name}"));
    let mut hasher = ChecksumHasher {
        crc32: header("crc32").map(|_| Crc32::new()),
        crc32c: header("crc32c").map(|_| Crc32c::new()),
        crc64nvme: header("crc64nvme").map(|_| Crc64Nvme::new()),
        sha1: header("sha1").map(|_| Sha1::new()),
        sha256: header("sha256").map(|_| Sha256::new()),
    };
    content.chunks().for_each(|chunk| hasher.update(&chunk));
    let got = hasher.finalize();
    let results = [
        ("crc32", &got.checksum_crc32),
        ("crc32c", &got.checksum_crc32c),
        ("crc64nvme", &got.checksum_crc64nvme),
        ("sha1", &got.checksum_sha1),
        ("sha256", &got.checksum_sha256),
    ];
    for (name, got) in results {
        let expected = header(name).map(http::HeaderValue::as_bytes);
        if expected != got.as_ref().map(String::as_bytes) {
            return Err(s3_error!(
                BadDigest,
                "The {name} you specified did not match what we received"
            ));
        }
    }
    if shared.quirks.checksums != Checksums::Full {
        return Ok(Checksum::default());
    }
    let any = results.iter().any(|(_, got)| got.is_some());
    Ok(Checksum {
        checksum_type: any.then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        ..got
    })
}

impl Attributes {
    /// What the headers of an upload say, with the bucket's default encryption.
    pub(crate) fn of(
        shared: &Shared,
        bucket: &Bucket,
        headers: &HeaderMap,
        metadata: Option<Metadata>,
    ) -> Self {
        let header = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Self {
            content_type: header("content-type"),
            content_encoding: header("content-encoding").and_then(|value| without_chunked(&value)),
            content_disposition: header("content-disposition"),
            content_language: header("content-language"),
            cache_control: header("cache-control"),
            storage_class: header("x-amz-storage-class"),
            metadata: metadata.into_iter().flatten().collect(),
            tags: parse_tags(&header("x-amz-tagging").unwrap_or_default()),
            sse: header("x-amz-server-side-encryption").or_else(|| default_sse(shared, bucket)),
            kms_key: header("x-amz-server-side-encryption-aws-kms-key-id"),
            acl: header("x-amz-acl"),
        }
    }
}

fn default_sse(shared: &Shared, bucket: &Bucket) -> Option<String> {
    if shared.quirks.encryption != Encryption::Always {
        return None;
    }
    let rule = bucket
        .encryption
        .as_ref()
        .and_then(|config| config.rules.first());
    let default = rule.and_then(|rule| rule.apply_server_side_encryption_by_default.as_ref());
    Some(
        default
            .map_or("AES256", |default| default.sse_algorithm.as_str())
            .to_owned(),
    )
}

/// `aws-chunked` describes the transfer, not the object.
fn without_chunked(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| *coding != "aws-chunked" && !coding.is_empty())
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn parse_tags(query: &str) -> std::collections::BTreeMap<String, String> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
