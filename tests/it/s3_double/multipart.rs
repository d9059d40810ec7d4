//! Multipart uploads.

use std::collections::BTreeMap;
use std::time::SystemTime;

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::conditions::Preconditions;
use super::content::{Content, hex};
use super::listing::{encoded, is_url, limit};
use super::objects::{COPY_LIMIT, copy_source, quoted};
use super::server::{Shared, who};
use super::state::{Attributes, Object, Part, State, Upload};
use super::upload::{receive, verify};

impl Part {
    fn new(content: Content) -> Self {
        Self {
            digest: content.digest(),
            content,
            modified: SystemTime::now(),
        }
    }

    fn etag(&self) -> String {
        hex(&self.digest)
    }
}

fn upload<'a>(state: &'a mut State, id: &str, bucket: &str, key: &str) -> S3Result<&'a mut Upload> {
    state.bucket(bucket)?;
    state
        .uploads
        .get_mut(id)
        .filter(|upload| upload.bucket == bucket && upload.key == key)
        .ok_or_else(|| {
            s3_error!(
                NoSuchUpload,
                "The specified multipart upload does not exist"
            )
        })
}

pub(crate) fn create(
    shared: &Shared,
    mut req: S3Request<CreateMultipartUploadInput>,
) -> S3Result<CreateMultipartUploadOutput> {
    let metadata = req.input.metadata.take();
    let owner = who(&req);
    let input = req.input;
    let mut state = shared.state();
    let bucket = state.bucket(&input.bucket)?;
    let attributes = Attributes::of(shared, bucket, &req.headers, metadata);
    let sse = attributes.sse.clone();
    let id = state.fresh_id("upload-");
    let upload = Upload {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        attributes,
        owner,
        initiated: SystemTime::now(),
        parts: BTreeMap::new(),
    };
    state.uploads.insert(id.clone(), upload);
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        server_side_encryption: sse.map(ServerSideEncryption::from),
        ..CreateMultipartUploadOutput::default()
    })
}

fn check_part(number: i32, size: u64) -> S3Result<()> {
    if !(1..=10_000).contains(&number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be between 1 and 10000"
        ));
    }
    if size > COPY_LIMIT {
        return Err(s3_error!(
            EntityTooLarge,
            "a part has at most {COPY_LIMIT} bytes"
        ));
    }
    Ok(())
}

pub(crate) async fn put_part(
    shared: &Shared,
    mut req: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let body = req.input.body.take();
    let trailers = req.trailing_headers.take();
    let (content, checksum) = receive(shared, &req.headers, trailers, body).await?;
    let input = req.input;
    check_part(input.part_number, content.len())?;
    let mut state = shared.state();
    let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
    let part = Part::new(content);
    let etag = part.etag();
    upload.parts.insert(input.part_number, part);
    Ok(UploadPartOutput {
        e_tag: Some(quoted(&etag)),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        ..UploadPartOutput::default()
    })
}

pub(crate) fn copy_part(
    shared: &Shared,
    req: &S3Request<UploadPartCopyInput>,
) -> S3Result<UploadPartCopyOutput> {
    let input = &req.input;
    let mut state = shared.state();
    let (source, version) = copy_source(shared, &state, req, &input.copy_source, &input.bucket)?;
    let len = source.content.len();
    let content = match input.copy_source_range.as_deref() {
        Some(range) => source.content.slice(copy_range(range, len)?),
        None => source.content.clone(),
    };
    check_part(input.part_number, content.len())?;
    let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
    let part = Part::new(content);
    let result = CopyPartResult {
        e_tag: Some(quoted(&part.etag())),
        last_modified: Some(part.modified.into()),
        ..CopyPartResult::default()
    };
    upload.parts.insert(input.part_number, part);
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: version,
        ..UploadPartCopyOutput::default()
    })
}

/// `bytes=first-last`, both given and both within the source, as S3 demands for copies.
fn copy_range(text: &str, len: u64) -> S3Result<std::ops::Range<u64>> {
    let range = match Range::parse(text) {
        Ok(Range::Int {
            first,
            last: Some(last),
        }) => first..last + 1,
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "the copy range must be bytes=first-last"
            ));
        }
    };
    if range.end > len {
        return Err(s3_error!(
            InvalidRange,
            "range {text} is not valid for an object of {len} bytes"
        ));
    }
    Ok(range)
}

pub(crate) fn complete(
    shared: &Shared,
    req: &S3Request<CompleteMultipartUploadInput>,
) -> S3Result<CompleteMultipartUploadOutput> {
    let input = &req.input;
    let mut state = shared.state();
    let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?.clone();
    let named = input
        .multipart_upload
        .as_ref()
        .and_then(|list| list.parts.as_deref());
    let parts = chosen(&upload, named.unwrap_or_default(), shared.min_part)?;
    let content: Content = parts.iter().map(|part| part.content.clone()).collect();
    let current = state.bucket(&input.bucket)?.get(&input.key);
    let quirks = &shared.quirks;
    Preconditions::of(&req.headers).check_write(
        quirks.complete,
        quirks.raw_if_match,
        current.as_deref(),
    )?;
    let full = input
        .checksum_type
        .as_ref()
        .is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
    let checksum = if full {
        verify(shared, &content, &req.headers)?
    } else {
        Checksum::default()
    };
    let digests: Vec<u8> = parts.iter().flat_map(|part| part.digest).collect();
    let mut object = Object::new(content, upload.attributes, &upload.owner);
    object.etag = format!("{}-{}", hex(&Md5::digest(digests)), parts.len());
    object.checksum = checksum;
    let etag = quoted(&object.etag);
    let sse = object.attributes.sse.clone();
    let version_id = state.put(&input.bucket, &input.key, object)?;
    state.uploads.remove(&input.upload_id);
    Ok(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        e_tag: Some(etag),
        server_side_encryption: sse.map(ServerSideEncryption::from),
        version_id,
        ..CompleteMultipartUploadOutput::default()
    })
}

/// The parts that a completion names, in its order.
fn chosen(upload: &Upload, named: &[CompletedPart], min_part: u64) -> S3Result<Vec<Part>> {
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "a completion names at least one part"
        ));
    }
    if !named.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order"
        ));
    }
    let mut parts = Vec::new();
    for (n, wanted) in named.iter().enumerate() {
        let part = wanted
            .part_number
            .and_then(|number| upload.parts.get(&number));
        let tag = wanted.e_tag.as_ref().map(ETag::value);
        let part = part
            .filter(|part| tag.is_none_or(|tag| tag == part.etag()))
            .ok_or_else(|| {
                s3_error!(InvalidPart, "part {:?} is not as named", wanted.part_number)
            })?;
        if n + 1 < named.len() && part.content.len() < min_part {
            return Err(s3_error!(
                EntityTooSmall,
                "a part but the last is smaller than {min_part} bytes"
            ));
        }
        parts.push(part.clone());
    }
    Ok(parts)
}

pub(crate) fn abort(
    shared: &Shared,
    input: &AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    let mut state = shared.state();
    upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
    state.uploads.remove(&input.upload_id);
    Ok(AbortMultipartUploadOutput::default())
}

pub(crate) fn list_parts(shared: &Shared, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let mut state = shared.state();
    let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
    let after = input.part_number_marker.unwrap_or(0);
    let size = limit(shared, input.max_parts)?;
    let mut rest = upload.parts.range(after + 1..);
    let parts: Vec<_> = rest
        .by_ref()
        .take(size)
        .map(|(number, part)| s3s::dto::Part {
            part_number: Some(*number),
            e_tag: Some(quoted(&part.etag())),
            size: i64::try_from(part.content.len()).ok(),
            last_modified: Some(part.modified.into()),
            ..s3s::dto::Part::default()
        })
        .collect();
    let truncated = rest.next().is_some();
    Ok(ListPartsOutput {
        next_part_number_marker: parts
            .last()
            .and_then(|part| part.part_number)
            .filter(|_| truncated),
        is_truncated: Some(truncated),
        parts: Some(parts),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(after),
        ..ListPartsOutput::default()
    })
}

pub(crate) fn list_uploads(
    shared: &Shared,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let state = shared.state();
    state.bucket(&input.bucket)?;
    let url = is_url(input.encoding_type.as_ref());
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = (
        input.key_marker.clone().unwrap_or_default(),
        // without an upload id the marker stands for all uploads of its key
        input
            .upload_id_marker
            .clone()
            .unwrap_or_else(|| char::MAX.to_string()),
    );
    let mut waiting: Vec<_> = state
        .uploads
        .iter()
        .filter(|(_, upload)| upload.bucket == input.bucket && upload.key.starts_with(&prefix))
        .map(|(id, upload)| (upload.key.clone(), id.clone(), upload.initiated))
        .filter(|(key, id, _)| input.key_marker.is_none() || (key, id) > (&after.0, &after.1))
        .collect();
    waiting.sort();
    let size = limit(shared, input.max_uploads)?;
    let truncated = waiting.len() > size;
    waiting.truncate(size);
    let last = waiting.last().filter(|_| truncated).cloned();
    let uploads = waiting
        .into_iter()
        .map(|(key, id, initiated)| MultipartUpload {
            key: Some(encoded(key, url)),
            upload_id: Some(id),
            initiated: Some(initiated.into()),
            ..MultipartUpload::default()
        });
    Ok(ListMultipartUploadsOutput {
        uploads: Some(uploads.collect()),
        is_truncated: Some(truncated),
        next_key_marker: last.as_ref().map(|(key, _, _)| encoded(key.clone(), url)),
        next_upload_id_marker: last.map(|(_, id, _)| id),
        bucket: Some(input.bucket),
        prefix: input.prefix.map(|prefix| encoded(prefix, url)),
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    })
}
