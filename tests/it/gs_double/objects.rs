//! Single objects: metadata, bytes, deletes, copies.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use kstate::store::{Algorithm, Checksum};
use serde_json::{Value, json};

use super::{Gs, Object, Outcome, Refusal, answer, check_generation, parameters, refuse};

/// 2026-01-02T03:04:05Z, when everything was written.
const UPDATED: &str = "2026-01-02T03:04:05.678Z";
const LAST_MODIFIED: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

pub(super) fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Checksum::of(algorithm, bytes).value)
}

pub(super) fn resource(bucket: &str, name: &str, object: &Object) -> Value {
    let mut resource = json!({
        "kind": "storage#object",
        "name": name,
        "bucket": bucket,
        "generation": object.generation.to_string(),
        "metageneration": "1",
        "contentType": object.content_type,
        "size": object.bytes.len().to_string(),
        "crc32c": digest(Algorithm::Crc32c, &object.bytes),
        "etag": format!("CK{}=", object.generation),
        "updated": UPDATED,
    });
    if !object.is_composite {
        resource["md5Hash"] = digest(Algorithm::Md5, &object.bytes).into();
    }
    if !object.metadata.is_empty() {
        resource["metadata"] = json!(object.metadata);
    }
    resource
}

fn no_object<T>(bucket: &str, name: &str) -> Result<T, Refusal> {
    refuse(404, "notFound", &format!("No such object: {bucket}/{name}"))
}

/// Only one generation of an object is kept: the others are missing.
fn check_only(
    wanted: Option<&String>,
    bucket: &str,
    name: &str,
    object: &Object,
) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if *wanted != object.generation.to_string() => no_object(bucket, name),
        _ => Ok(()),
    }
}

impl Gs {
    fn object(&mut self, bucket: &str, name: &str) -> Result<Object, Refusal> {
        match self.bucket(bucket)?.get(name) {
            Some(object) => Ok(object.clone()),
            None => no_object(bucket, name),
        }
    }

    pub(super) fn get_resource(&mut self, request: &Parts, bucket: &str, name: &str) -> Outcome {
        let known = parameters(request, &["ifGenerationMatch", "generation", "fields"])?;
        let object = self.object(bucket, name)?;
        check_only(known.get("generation"), bucket, name, &object)?;
        check_generation(known.get("ifGenerationMatch"), Some(&object))?;
        Ok(answer(
            200,
            resource(bucket, name, &object).to_string().into(),
        ))
    }

    pub(super) fn download(&mut self, request: &Parts, bucket: &str, name: &str) -> Outcome {
        let object = match self.bucket(bucket) {
            Err(_) => return refuse(404, "NoSuchBucket", "The specified bucket does not exist."),
            Ok(objects) => match objects.get(name) {
                None => return refuse(404, "NoSuchKey", "The specified key does not exist."),
                Some(object) => object.clone(),
            },
        };
        let wanted = request.headers.get("x-goog-if-generation-match");
        let wanted = wanted
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if check_generation(wanted.as_ref(), Some(&object)).is_err() {
            return refuse(412, "PreconditionFailed", "the generation is another one");
        }
        media(request, object)
    }

    /// The same in the JSON API, which Google's own clients read by.
    pub(super) fn download_media(&mut self, request: &Parts, bucket: &str, name: &str) -> Outcome {
        let known = parameters(request, &["alt", "generation", "ifGenerationMatch"])?;
        if known.get("alt").is_none_or(|alt| alt != "media") {
            return refuse(400, "invalid", "only media is downloaded");
        }
        let object = self.object(bucket, name)?;
        check_only(known.get("generation"), bucket, name, &object)?;
        check_generation(known.get("ifGenerationMatch"), Some(&object))?;
        media(request, object)
    }

    pub(super) fn delete(&mut self, request: &Parts, bucket: &str, name: &str) -> Outcome {
        let known = parameters(request, &["generation", "ifGenerationMatch"])?;
        let object = self.object(bucket, name)?;
        check_only(known.get("generation"), bucket, name, &object)?;
        check_generation(known.get("ifGenerationMatch"), Some(&object))?;
        self.bucket(bucket)?.remove(name);
        Ok(answer(204, Bytes::new()))
    }

    /// One call copies at most so many bytes; the token holds how many there are by now.
    pub(super) fn rewrite(
        &mut self,
        request: &Parts,
        (from_bucket, from): (&str, &str),
        (to_bucket, to): (&str, &str),
    ) -> Outcome {
        let known = [
            "sourceGeneration",
            "ifSourceGenerationMatch",
            "ifGenerationMatch",
            "rewriteToken",
        ];
        let known = parameters(request, &known)?;
        if self.refuses_rewrites && from_bucket != to_bucket {
            return refuse(403, "forbidden", "no access from one to the other");
        }
        let object = self.object(from_bucket, from)?;
        check_only(known.get("sourceGeneration"), from_bucket, from, &object)?;
        check_generation(known.get("ifSourceGenerationMatch"), Some(&object))?;
        let there = self.bucket(to_bucket)?.get(to).cloned();
        check_generation(known.get("ifGenerationMatch"), there.as_ref())?;
        let done = match known.get("rewriteToken") {
            None => 0,
            Some(token) => match token.strip_prefix("rewritten-").map(str::parse::<usize>) {
                Some(Ok(done)) => done,
                _ => return refuse(400, "invalid", "no such rewrite"),
            },
        };
        let size = object.bytes.len();
        let done = done.saturating_add(self.rewrite_size).min(size);
        let mut told = json!({"kind": "storage#rewriteResponse", "done": done == size,
            "totalBytesRewritten": done.to_string(), "objectSize": size.to_string()});
        if done == size {
            let generation = self.put(to_bucket, to, object.clone());
            let copy = Object {
                generation,
                ..object
            };
            told["resource"] = resource(to_bucket, to, &copy);
        } else {
            told["rewriteToken"] = format!("rewritten-{done}").into();
        }
        Ok(answer(200, told.to_string().into()))
    }
}

/// An object's bytes, or those of the range asked for, with its metadata in headers.
fn media(request: &Parts, object: Object) -> Outcome {
    let range = request.headers.get("range");
    let range = range.and_then(|value| value.to_str().ok());
    let size = object.bytes.len();
    let range = range.map(|range| {
        let range = range.strip_prefix("bytes=").expect("a range of bytes");
        let (first, last) = range.split_once('-').expect("a range");
        let first: usize = first.parse().expect("a first byte");
        let last: usize = last.parse().unwrap_or(usize::MAX);
        (first, last.min(size.saturating_sub(1)))
    });
    let mut response = Response::builder()
        .header("x-goog-generation", object.generation)
        .header("x-goog-stored-content-length", size)
        .header("content-type", &object.content_type)
        .header("last-modified", LAST_MODIFIED)
        .header(
            "x-goog-hash",
            format!("crc32c={}", digest(Algorithm::Crc32c, &object.bytes)),
        );
    if !object.is_composite {
        let md5 = digest(Algorithm::Md5, &object.bytes);
        response = response.header("x-goog-hash", format!("md5={md5}"));
    }
    for (name, value) in &object.metadata {
        response = response.header(format!("x-goog-meta-{name}"), value.as_bytes());
    }
    let body = match range {
        None => object.bytes,
        Some((first, _)) if first >= size => {
            return refuse(416, "InvalidRange", "the range lies beyond the end");
        }
        Some((first, last)) => {
            response = response
                .status(206)
                .header("content-range", format!("bytes {first}-{last}/{size}"));
            object.bytes.slice(first..=last)
        }
    };
    Ok(response.body(body).expect("a response"))
}
