//! Single blobs: put whole, read, deleted.

use std::collections::BTreeMap;

use http::{Method, Response, response};

use super::{Azure, Blob, Call, LAST_MODIFIED, Outcome, Refusal, done, md5, refuse};

impl Azure {
    pub(super) fn put_blob(&mut self, call: &Call<'_>) -> Outcome {
        call.takes(&[
            "x-ms-blob-type",
            "x-ms-blob-content-type",
            "x-ms-blob-content-md5",
            "x-ms-meta-",
            "content-md5",
            "if-match",
            "if-none-match",
        ])?;
        if call.text("x-ms-blob-type") != Some("BlockBlob") {
            return refuse(400, "MissingRequiredHeader", "no x-ms-blob-type");
        }
        call.check_sum()?;
        call.check(self.container(call.place)?.get(&call.place.name))?;
        let told = call.text("x-ms-blob-content-md5");
        if told.is_some_and(|told| told != md5(call.body)) {
            return refuse(400, "Md5Mismatch", "x-ms-blob-content-md5 is another one");
        }
        let blob = described(call)?;
        let blob = Blob {
            bytes: call.body.clone(),
            md5: Some(md5(call.body)),
            ..blob
        };
        let blob = self.put(call.place, blob)?;
        Ok(done(created(&blob, 201)))
    }

    fn blob(&mut self, call: &Call<'_>) -> Result<Blob, Refusal> {
        match self.container(call.place)?.get(&call.place.name) {
            Some(blob) => Ok(blob.clone()),
            None => refuse(404, "BlobNotFound", "The specified blob does not exist."),
        }
    }

    pub(super) fn get(&mut self, call: &Call<'_>) -> Outcome {
        call.takes(&["if-match", "range"])?;
        let blob = self.blob(call)?;
        call.check(Some(&blob))?;
        let size = blob.bytes.len();
        let mut response = Response::builder()
            .header("etag", blob.quoted())
            .header("last-modified", LAST_MODIFIED)
            .header("content-type", &blob.content_type)
            .header("accept-ranges", "bytes")
            .header("x-ms-blob-type", "BlockBlob");
        for (name, value) in &blob.metadata {
            response = response.header(format!("x-ms-meta-{name}"), value);
        }
        let range = call
            .text("range")
            .filter(|_| call.request.method == Method::GET);
        let name = range.map_or("content-md5", |_| "x-ms-blob-content-md5");
        if let Some(md5) = &blob.md5 {
            response = response.header(name, md5);
        }
        let Some(range) = range else {
            return Ok(response.body(blob.bytes).expect("a response"));
        };
        let (first, last) = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .expect("a range of bytes");
        let first: usize = first.parse().expect("a first byte");
        let last: usize = last.parse().expect("a last byte");
        if first >= size {
            return refuse(416, "InvalidRange", "The range is invalid for the blob.");
        }
        let last = last.min(size - 1);
        let response = response
            .status(206)
            .header("content-range", format!("bytes {first}-{last}/{size}"));
        let part = blob.bytes.slice(first..=last);
        Ok(response.body(part).expect("a response"))
    }

    pub(super) fn delete(&mut self, call: &Call<'_>) -> Outcome {
        call.takes(&["if-match"])?;
        let blob = self.blob(call)?;
        call.check(Some(&blob))?;
        self.container(call.place)?.remove(&call.place.name);
        Ok(done(Response::builder().status(202)))
    }
}

/// A blob without bytes, as the headers describe it.
pub(super) fn described(call: &Call<'_>) -> Result<Blob, Refusal> {
    Ok(Blob {
        content_type: call
            .text("x-ms-blob-content-type")
            .unwrap_or("application/octet-stream")
            .to_owned(),
        metadata: metadata(call)?,
        ..Blob::default()
    })
}

/// <https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources>:
/// names are identifiers, and all together have at most 8 KiB.
pub(super) fn metadata(call: &Call<'_>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut metadata = BTreeMap::new();
    for (name, value) in &call.request.headers {
        let Some(name) = name.as_str().strip_prefix("x-ms-meta-") else {
            continue;
        };
        let is_identifier = !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let value = value.to_str().unwrap_or_default();
        if name.is_empty() || !is_identifier || value.is_empty() {
            return refuse(
                400,
                "InvalidMetadata",
                "no metadata can have this name or value",
            );
        }
        metadata.insert(name.to_owned(), value.to_owned());
    }
    let size: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > 8 << 10 {
        refuse(400, "MetadataTooLarge", "more than 8 KiB of metadata")
    } else {
        Ok(metadata)
    }
}

/// What is told of a blob that was written.
pub(super) fn created(blob: &Blob, status: u16) -> response::Builder {
    Response::builder()
        .status(status)
        .header("etag", blob.quoted())
        .header("last-modified", LAST_MODIFIED)
}
