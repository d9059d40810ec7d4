//! Operations on objects.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::conditions::Preconditions;
use super::personality::Checksums;
use super::server::{Shared, who};
use super::state::{Attributes, Object, State};
use super::upload::receive;

/// The largest object that can be copied at once, and the largest part: 5 GiB.
pub(crate) const COPY_LIMIT: u64 = 5 * 1024 * 1024 * 1024;

pub(crate) fn quoted(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(crate) async fn put(
    shared: &Shared,
    mut req: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    let body = req.input.body.take();
    let trailers = req.trailing_headers.take();
    let (content, checksum) = receive(shared, &req.headers, trailers, body).await?;
    let owner = who(&req);
    let input = req.input;
    let mut state = shared.state();
    let bucket = state.bucket(&input.bucket)?;
    let attributes = Attributes::of(shared, bucket, &req.headers, input.metadata);
    let current = bucket.get(&input.key);
    let quirks = &shared.quirks;
    Preconditions::of(&req.headers).check_write(
        quirks.put,
        quirks.raw_if_match,
        current.as_deref(),
    )?;
    let mut object = Object::new(content, attributes, &owner);
    object.checksum = checksum;
    let output = PutObjectOutput {
        e_tag: Some(quoted(&object.etag)),
        checksum_crc32: object.checksum.checksum_crc32.clone(),
        checksum_crc32c: object.checksum.checksum_crc32c.clone(),
        checksum_crc64nvme: object.checksum.checksum_crc64nvme.clone(),
        checksum_sha1: object.checksum.checksum_sha1.clone(),
        checksum_sha256: object.checksum.checksum_sha256.clone(),
        checksum_type: object.checksum.checksum_type.clone(),
        server_side_encryption: object
            .attributes
            .sse
            .clone()
            .map(ServerSideEncryption::from),
        ssekms_key_id: object.attributes.kms_key.clone(),
        ..PutObjectOutput::default()
    };
    let version_id = state.put(&input.bucket, &input.key, object)?;
    Ok(PutObjectOutput {
        version_id,
        ..output
    })
}

/// What GET and HEAD have in common: the object, if it may be read now.
fn readable<T>(
    shared: &Shared,
    req: &S3Request<T>,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> S3Result<(Arc<Object>, Option<String>)> {
    let state = shared.state();
    let found = state.bucket(bucket)?.find(key, version);
    if found.is_err() {
        // who may not list learns nothing about what is missing
        state.allow(&who(req), "ListBucket", bucket, "")?;
    }
    let (object, id) = found?;
    Preconditions::of(&req.headers).check_read(&object)?;
    Ok((object, id))
}

pub(crate) fn get(shared: &Shared, req: &S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
    let input = &req.input;
    let version = input.version_id.as_deref();
    let (object, version_id) = readable(shared, req, &input.bucket, &input.key, version)?;
    let len = object.content.len();
    let mut content = object.content.clone();
    let mut content_range = None;
    if let Some(range) = &input.range {
        let range = range
            .check(len)
            .map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?;
        content_range = Some(format!("bytes {}-{}/{len}", range.start, range.end - 1));
        content = content.slice(range);
    }
    let head = describe(
        shared,
        &object,
        input.checksum_mode.is_some() && content_range.is_none(),
    );
    let tags = object.attributes.tags.len();
    Ok(GetObjectOutput {
        body: Some(content.stream()),
        content_length: i64::try_from(content.len()).ok(),
        content_range,
        version_id,
        tag_count: i32::try_from(tags).ok().filter(|count| *count > 0),
        accept_ranges: head.accept_ranges,
        e_tag: head.e_tag,
        last_modified: head.last_modified,
        content_type: head.content_type,
        content_encoding: head.content_encoding,
        content_disposition: head.content_disposition,
        content_language: head.content_language,
        cache_control: head.cache_control,
        metadata: head.metadata,
        storage_class: head.storage_class,
        server_side_encryption: head.server_side_encryption,
        ssekms_key_id: head.ssekms_key_id,
        checksum_crc32: head.checksum_crc32,
        checksum_crc32c: head.checksum_crc32c,
        checksum_crc64nvme: head.checksum_crc64nvme,
        checksum_sha1: head.checksum_sha1,
        checksum_sha256: head.checksum_sha256,
        checksum_type: head.checksum_type,
        ..GetObjectOutput::default()
    })
}

pub(crate) fn head(
    shared: &Shared,
    req: &S3Request<HeadObjectInput>,
) -> S3Result<HeadObjectOutput> {
    let input = &req.input;
    let version = input.version_id.as_deref();
    let (object, version_id) = readable(shared, req, &input.bucket, &input.key, version)?;
    Ok(HeadObjectOutput {
        content_length: i64::try_from(object.content.len()).ok(),
        version_id,
        ..describe(shared, &object, input.checksum_mode.is_some())
    })
}

fn describe(shared: &Shared, object: &Object, checksums: bool) -> HeadObjectOutput {
    let attributes = object.attributes.clone();
    let metadata: Metadata = attributes.metadata.into_iter().collect();
    let checksum = if checksums && shared.quirks.checksums == Checksums::Full {
        object.checksum.clone()
    } else {
        Checksum::default()
    };
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        e_tag: Some(quoted(&object.etag)),
        last_modified: Some(object.modified.into()),
        content_type: Some(
            attributes
                .content_type
                .unwrap_or_else(|| "binary/octet-stream".to_owned()),
        ),
        content_encoding: attributes.content_encoding,
        content_disposition: attributes.content_disposition,
        content_language: attributes.content_language,
        cache_control: attributes.cache_control,
        metadata: (!metadata.is_empty()).then_some(metadata),
        storage_class: attributes.storage_class.map(StorageClass::from),
        server_side_encryption: attributes.sse.map(ServerSideEncryption::from),
        ssekms_key_id: attributes.kms_key,
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..HeadObjectOutput::default()
    }
}

/// The source of a copy, if it may be read and copied to `bucket`, with its version.
pub(crate) fn copy_source<T>(
    shared: &Shared,
    state: &State,
    req: &S3Request<T>,
    source: &CopySource,
    bucket: &str,
) -> S3Result<(Arc<Object>, Option<String>)> {
    let CopySource::Bucket {
        bucket: from,
        key,
        version_id,
    } = source
    else {
        return Err(s3_error!(NotImplemented, "copies from access points"));
    };
    state.allow(&who(req), "GetObject", from, key)?;
    let source_bucket = state.bucket(from)?;
    if source_bucket.region != state.bucket(bucket)?.region && !shared.quirks.cross_region {
        return Err(s3_error!(
            NotImplemented,
            "copies between regions are not supported"
        ));
    }
    let (object, id) = source_bucket.find(key, version_id.as_deref())?;
    Preconditions::of_copy_source(&req.headers).check_copy(shared.quirks.copy_source, &object)?;
    Ok((object, id))
}

pub(crate) fn copy(
    shared: &Shared,
    mut req: S3Request<CopyObjectInput>,
) -> S3Result<CopyObjectOutput> {
    let metadata = req.input.metadata.take();
    let owner = who(&req);
    let input = &req.input;
    let mut state = shared.state();
    let (source, source_version) =
        copy_source(shared, &state, &req, &input.copy_source, &input.bucket)?;
    if source.content.len() > COPY_LIMIT {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: {COPY_LIMIT}"
        ));
    }
    let replace = directive(
        input
            .metadata_directive
            .as_ref()
            .map(MetadataDirective::as_str),
    );
    let replace_tags = directive(
        input
            .tagging_directive
            .as_ref()
            .map(TaggingDirective::as_str),
    );
    let changes =
        replace || input.server_side_encryption.is_some() || input.storage_class.is_some();
    if !changes && is_itself(&input.copy_source, &input.bucket, &input.key) {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing it"
        ));
    }
    let bucket = state.bucket(&input.bucket)?;
    let current = bucket.get(&input.key);
    let quirks = &shared.quirks;
    Preconditions::of(&req.headers).check_write(
        quirks.copy,
        quirks.raw_if_match,
        current.as_deref(),
    )?;
    let given = Attributes::of(shared, bucket, &req.headers, metadata);
    let kept = if replace {
        given.clone()
    } else {
        source.attributes.clone()
    };
    let attributes = Attributes {
        tags: if replace_tags {
            given.tags
        } else {
            source.attributes.tags.clone()
        },
        storage_class: given.storage_class,
        sse: given.sse,
        kms_key: given.kms_key,
        acl: given.acl,
        ..kept
    };
    let mut object = Object::new(source.content.clone(), attributes, &owner);
    object.checksum = source.checksum.clone();
    let result = CopyObjectResult {
        e_tag: Some(quoted(&object.etag)),
        last_modified: Some(object.modified.into()),
        checksum_crc32: object.checksum.checksum_crc32.clone(),
        checksum_crc32c: object.checksum.checksum_crc32c.clone(),
        checksum_crc64nvme: object.checksum.checksum_crc64nvme.clone(),
        checksum_sha1: object.checksum.checksum_sha1.clone(),
        checksum_sha256: object.checksum.checksum_sha256.clone(),
        checksum_type: object.checksum.checksum_type.clone(),
    };
    let sse = object.attributes.sse.clone();
    let version_id = state.put(&input.bucket, &input.key, object)?;
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version,
        server_side_encryption: sse.map(ServerSideEncryption::from),
        version_id,
        ..CopyObjectOutput::default()
    })
}

fn directive(value: Option<&str>) -> bool {
    value == Some("REPLACE")
}

fn is_itself(source: &CopySource, to_bucket: &str, to_key: &str) -> bool {
    matches!(source, CopySource::Bucket { bucket, key, version_id: None }
        if &**bucket == to_bucket && &**key == to_key)
}

pub(crate) fn delete(
    shared: &Shared,
    req: &S3Request<DeleteObjectInput>,
) -> S3Result<DeleteObjectOutput> {
    let input = &req.input;
    let mut state = shared.state();
    let fresh_id = state.fresh_id("v");
    let bucket = state.bucket_mut(&input.bucket)?;
    let current = bucket.get(&input.key);
    let quirks = &shared.quirks;
    Preconditions::of(&req.headers).check_write(
        quirks.delete,
        quirks.raw_if_match,
        current.as_deref(),
    )?;
    let deleted = bucket.delete(&input.key, input.version_id.as_deref(), fresh_id);
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker,
        version_id: deleted.version,
        ..DeleteObjectOutput::default()
    })
}

pub(crate) fn delete_many(
    shared: &Shared,
    req: &S3Request<DeleteObjectsInput>,
) -> S3Result<DeleteObjectsOutput> {
    let input = &req.input;
    if input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "at most 1000 keys"));
    }
    shared.state().bucket(&input.bucket)?;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in &input.delete.objects {
        match delete_one(shared, &who(req), &input.bucket, object) {
            Ok(one) => deleted.push(one),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key.clone()),
                version_id: object.version_id.clone(),
            }),
        }
    }
    if input.delete.quiet == Some(true) {
        deleted.clear();
    }
    Ok(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    })
}

fn delete_one(
    shared: &Shared,
    who: &str,
    bucket: &str,
    object: &ObjectIdentifier,
) -> S3Result<DeletedObject> {
    let mut state = shared.state();
    state.allow(who, "DeleteObject", bucket, &object.key)?;
    let fresh_id = state.fresh_id("v");
    let bucket = state.bucket_mut(bucket)?;
    let current = bucket.get(&object.key);
    let conditions = Preconditions {
        if_match: object.e_tag.as_ref().map(|tag| tag.value().to_owned()),
        if_none_match: None,
    };
    conditions.check_write(shared.quirks.delete, false, current.as_deref())?;
    let done = bucket.delete(&object.key, object.version_id.as_deref(), fresh_id);
    Ok(DeletedObject {
        key: Some(object.key.clone()),
        delete_marker: done.marker,
        delete_marker_version_id: done.marker.and(done.version),
        version_id: object.version_id.clone(),
    })
}
