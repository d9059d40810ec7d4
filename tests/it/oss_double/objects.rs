//! Single objects: writing, reading, deleting, copying.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Response;
use http::response::Builder;
use kstate::store::{Algorithm, Checksum};

use super::state::{Kind, Object};
use super::{Asked, Oss, Outcome, refuse, xml};
use crate::http_double::decoded;

/// 2026-01-02T03:04:05Z, when everything was written.
pub(super) const MODIFIED: &str = "2026-01-02T03:04:05.000Z";
const LAST_MODIFIED: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

/// The most bytes of an object's user metadata.
const LARGEST_USER: usize = 8 << 10;

pub(super) fn md5_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Checksum::of(Algorithm::Md5, bytes).value)
}

fn crc(bytes: &[u8]) -> String {
    let value = Checksum::of(Algorithm::Crc64Ecma, bytes).value;
    u64::from_be_bytes(value.try_into().expect("eight bytes")).to_string()
}

/// An answer that tells an object's tag and checksum, and its version if there is one.
pub(super) fn told(object: &Object, version: Option<String>) -> Builder {
    let response = Response::builder()
        .header("etag", format!("\"{}\"", object.etag))
        .header("x-oss-hash-crc64ecma", crc(&object.bytes));
    versioned(response, version)
}

pub(super) fn versioned(response: Builder, version: Option<String>) -> Builder {
    match version {
        Some(id) => response.header("x-oss-version-id", id),
        None => response,
    }
}

fn exists<T>() -> Outcome<T> {
    let message = "The object you specified already exists and can not be overwritten.";
    refuse(409, "FileAlreadyExists", "0026-00000002", message)
}

fn missing<T>() -> Outcome<T> {
    let message = "The specified key does not exist.";
    refuse(404, "NoSuchKey", "0026-00000001", message)
}

fn unmatched<T>() -> Outcome<T> {
    let message = "At least one of the pre-conditions you specified did not hold.";
    refuse(412, "PreconditionFailed", "0016-00000602", message)
}

/// An `ETag` in a condition, which may be quoted.
fn is_match(wanted: &str, object: &Object) -> bool {
    wanted.trim_matches('"') == object.etag
}

/// `bytes=5-9` and `bytes=5-`: the first byte, and the one after the last.
pub(super) fn range_of(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = match last {
        "" => usize::MAX,
        last => last.parse::<usize>().ok()?.checked_add(1)?,
    };
    (first < end).then_some((first, end))
}

impl Oss {
    pub(super) fn check_overwrite(&mut self, asked: &Asked<'_>) -> Outcome<()> {
        if asked.forbids()? && self.bucket(asked).protects(asked.name) {
            return exists();
        }
        Ok(())
    }

    pub(super) fn put(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(
            &[],
            &["content-md5", "x-oss-meta-", "x-oss-forbid-overwrite"],
        )?;
        asked.check_digest()?;
        self.check_overwrite(asked)?;
        let object = Object {
            content_type: content_type(asked),
            user: user(asked)?,
            ..Object::normal(asked.body.clone())
        };
        let id = self.next_id();
        let version = self.bucket(asked).put(asked.name, object.clone(), id);
        let response = told(&object, version).header("content-md5", md5_base64(asked.body));
        Ok(response.body(Bytes::new()).expect("a response"))
    }

    pub(super) fn get(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(
            &["versionId"],
            &["range", "if-match", "x-oss-range-behavior"],
        )?;
        let bucket = self.bucket(asked);
        let (object, version) = match asked.query.get("versionId") {
            None => (bucket.current(asked.name), bucket.current_id(asked.name)),
            Some(id) => match bucket.version(asked.name, id) {
                None => return refuse(404, "NoSuchVersion", "0026-00000003", "no such version"),
                object => (object, Some(id.clone())),
            },
        };
        let Some(object) = object else {
            return missing();
        };
        if let Some(wanted) = asked.header("if-match")
            && !is_match(wanted, object)
        {
            return unmatched();
        }
        let mut response = told(object, version)
            .header("content-type", &object.content_type)
            .header("last-modified", LAST_MODIFIED)
            .header("accept-ranges", "bytes")
            .header("x-oss-storage-class", "Standard")
            .header("x-oss-object-type", object.kind.name());
        for (name, value) in &object.user {
            response = response.header(format!("x-oss-meta-{name}"), value);
        }
        let size = object.bytes.len();
        let is_standard = match asked.header("x-oss-range-behavior") {
            None => false,
            Some("standard") => true,
            Some(_) => return refuse(400, "InvalidArgument", "", "x-oss-range-behavior"),
        };
        let range = asked.header("range").and_then(range_of);
        let body = match range {
            Some((first, _)) if is_standard && first >= size => {
                let message = "The requested range cannot be satisfied";
                return refuse(416, "InvalidRange", "0026-00000061", message);
            }
            // Unasked, the service ignores a range that leads beyond the end.
            Some((first, end)) if is_standard || end <= size => {
                let end = end.min(size);
                let range = format!("bytes {first}-{}/{size}", end - 1);
                response = response.status(206).header("content-range", range);
                object.bytes.slice(first..end)
            }
            _ => {
                if object.kind == Kind::Normal {
                    response = response.header("content-md5", md5_base64(&object.bytes));
                }
                object.bytes.clone()
            }
        };
        Ok(response.body(body).expect("a response"))
    }

    pub(super) fn delete(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&[], &[])?;
        if self.undeletable.as_deref() == Some(asked.name) {
            return refuse(403, "AccessDenied", "0003-00000001", "it stays");
        }
        let id = self.next_id();
        let version = self.bucket(asked).delete(asked.name, id);
        let response = versioned(Response::builder().status(204), version);
        Ok(response.body(Bytes::new()).expect("a response"))
    }

    /// The object that a copy is of.
    pub(super) fn source(&self, asked: &Asked<'_>) -> Outcome<Object> {
        let source = asked.header("x-oss-copy-source").unwrap_or_default();
        let Some((bucket, name)) = source
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
        else {
            return refuse(400, "InvalidArgument", "", "x-oss-copy-source");
        };
        if self.refuses_copies && bucket != asked.bucket {
            return refuse(403, "AccessDenied", "0003-00000001", "no copies from there");
        }
        let Some(bucket) = self.buckets.get(bucket) else {
            return refuse(404, "NoSuchBucket", "0015-00000101", "no such bucket");
        };
        let Some(object) = bucket.current(&decoded(name)) else {
            return missing();
        };
        match asked.header("x-oss-copy-source-if-match") {
            Some(wanted) if !is_match(wanted, object) => unmatched(),
            _ => Ok(object.clone()),
        }
    }

    pub(super) fn copy(&mut self, asked: &Asked<'_>) -> Outcome {
        let headers = [
            "x-oss-copy-source",
            "x-oss-copy-source-if-match",
            "x-oss-forbid-overwrite",
        ];
        asked.only(&[], &headers)?;
        self.check_overwrite(asked)?;
        let object = self.source(asked)?;
        if object.bytes.len() > self.largest_copy {
            let message = "use UploadPartCopy for what is larger than 1 GB";
            return refuse(400, "EntityTooLarge", "", message);
        }
        let id = self.next_id();
        let version = self.bucket(asked).put(asked.name, object.clone(), id);
        Ok(copied("CopyObjectResult", &object, version))
    }
}

/// What an answer to a copy says, in its headers too: Alibaba's own client reads only those.
pub(super) fn copied(root: &str, object: &Object, version: Option<String>) -> Response<Bytes> {
    let etag = &object.etag;
    let result = format!("<ETag>\"{etag}\"</ETag><LastModified>{MODIFIED}</LastModified>");
    let response = told(object, version).header("content-type", "application/xml");
    let body = xml::answer(root, &result).into_body();
    response.body(body).expect("a response")
}

pub(super) fn content_type(asked: &Asked<'_>) -> String {
    let given = asked.header("content-type");
    given.unwrap_or("application/octet-stream").to_owned()
}

/// The user metadata in a request.
pub(super) fn user(asked: &Asked<'_>) -> Outcome<BTreeMap<String, String>> {
    let mut user = BTreeMap::new();
    for (name, value) in &asked.request.headers {
        let Some(name) = name.as_str().strip_prefix("x-oss-meta-") else {
            continue;
        };
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        match value.to_str() {
            Ok(value) if is_name => drop(user.insert(name.to_owned(), value.to_owned())),
            _ => return refuse(400, "InvalidArgument", "", format!("x-oss-meta-{name}")),
        }
    }
    let size: usize = user
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > LARGEST_USER {
        return refuse(
            400,
            "InvalidArgument",
            "",
            "8 KB of user metadata are the most",
        );
    }
    Ok(user)
}
