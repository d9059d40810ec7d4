//! Single objects: bytes, metadata, copies, deletes.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use kstate::store::{Algorithm, Checksum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{Object, Outcome, Place, Refusal, Swift, answer, parameters, refuse, text};
use crate::http_double::decoded;

pub(super) fn md5(bytes: &[u8]) -> String {
    Checksum::of(Algorithm::Md5, bytes).hex()
}

/// Of a large object it is made of those of its segments.
pub(super) fn etag(object: &Object) -> String {
    match &object.segments {
        None => md5(&object.bytes),
        Some(segments) => {
            let all: String = segments
                .iter()
                .map(|segment| segment.hash.as_str())
                .collect();
            md5(all.as_bytes())
        }
    }
}

/// The headers that a request may have besides its own.
const COMMON: [&str; 6] = [
    "host",
    "user-agent",
    "accept",
    "content-length",
    "x-auth-token",
    "x-newest",
];

/// Refuses what isn't understood.
fn check_headers(request: &Parts, known: &[&str]) -> Result<(), Refusal> {
    let mut names = request.headers.keys().map(http::HeaderName::as_str);
    let unknown = names.find(|name| {
        let is_metadata = name.starts_with("x-object-meta-") && request.method == Method::PUT;
        !COMMON.contains(name) && !known.contains(name) && !is_metadata
    });
    match unknown {
        Some(name) => refuse(400, &format!("unknown header {name}")),
        None => Ok(()),
    }
}

/// User metadata, within Swift's limits: 128 bytes of a name, 256 of a value, 90 of them.
fn metadata(request: &Parts) -> Result<BTreeMap<String, String>, Refusal> {
    let mut metadata = BTreeMap::new();
    for (name, value) in &request.headers {
        if let Some(name) = name.as_str().strip_prefix("x-object-meta-") {
            let Ok(value) = String::from_utf8(value.as_bytes().to_vec()) else {
                return refuse(400, "Metadata must be valid UTF-8");
            };
            if name.len() > 128 || value.len() > 256 {
                return refuse(400, "Metadata name or value too long");
            }
            // An empty value takes an entry away.
            if !value.is_empty() {
                metadata.insert(name.to_owned(), value);
            }
        }
    }
    match metadata.len() {
        0..=90 => Ok(metadata),
        _ => refuse(400, "Too many metadata items"),
    }
}

fn times(object: &Object) -> (String, String) {
    let (seconds, rest) = (object.timestamp / 1_000_000, object.timestamp % 1_000_000);
    let rounded = seconds + u64::from(rest > 0);
    let seconds_up = i64::try_from(rounded).expect("a time");
    let time = OffsetDateTime::from_unix_timestamp(seconds_up).expect("a time");
    let text = time.format(&Rfc2822).expect("a time");
    (
        format!("{seconds}.{:05}", rest / 10),
        text.replace("+0000", "GMT"),
    )
}

impl Swift {
    pub(super) fn put_object(
        &mut self,
        request: &Parts,
        body: &Bytes,
        place: Place<'_>,
    ) -> Outcome {
        let (account, container, name) = place;
        let known = parameters(request, &["multipart-manifest"])?;
        check_headers(
            request,
            &[
                "content-type",
                "etag",
                "if-none-match",
                "if-match",
                // Ceph's name for the condition of a copy, which Swift doesn't know.
                "copy-if-match",
                "x-copy-from",
                "x-fresh-metadata",
            ],
        )?;
        if text(request, "content-length").is_none() {
            return refuse(411, "Missing Content-Length header.");
        }
        if name.len() > 1024 {
            return refuse(400, "Object name length of more than 1024");
        }
        let is_manifest = match known.get("multipart-manifest").map(String::as_str) {
            None => false,
            Some("put") if self.has_large_objects => true,
            Some(_) => return refuse(400, "unknown multipart-manifest"),
        };
        if request.headers.contains_key("x-copy-from") && !is_manifest {
            return self.copy_object(request, body, place);
        }
        if ["if-match", "x-fresh-metadata"]
            .iter()
            .any(|name| text(request, name).is_some())
        {
            return refuse(400, "a header of copies");
        }
        let exists = self
            .container(account, container)?
            .objects
            .contains_key(name);
        match text(request, "if-none-match") {
            Some("*") if exists => return refuse(412, "A precondition for this request failed."),
            None | Some("*") => {}
            Some(_) => return refuse(400, "If-None-Match only supports *"),
        }
        let content_type = text(request, "content-type").map(str::to_owned);
        let mut object = Object {
            content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            metadata: metadata(request)?,
            bytes: body.clone(),
            ..Object::default()
        };
        if is_manifest {
            object.segments = Some(self.checked_segments(account, body)?);
        } else if body.len() > self.max_file_size {
            return refuse(413, "Your request is too large.");
        }
        self.stored(request, place, object)
    }

    fn stored(&mut self, request: &Parts, place: Place<'_>, object: Object) -> Outcome {
        let (account, container, name) = place;
        let sum = etag(&object);
        let wanted = text(request, "etag").map(|etag| etag.trim_matches('"'));
        if wanted.is_some_and(|wanted| wanted != sum) {
            return refuse(422, "Unable to process the contained instructions");
        }
        let is_large = object.segments.is_some();
        if self.behind > 0
            && self
                .container(account, container)?
                .objects
                .contains_key(name)
        {
            self.behind -= 1;
            return Ok(answer(202, Bytes::new()));
        }
        self.put((account, container, name), object);
        let object = &self.container(account, container)?.objects[name];
        let (_, changed) = times(object);
        let response = Response::builder()
            .status(201)
            .header("etag", if is_large { format!("\"{sum}\"") } else { sum })
            .header("last-modified", changed)
            .header("content-type", "text/html; charset=UTF-8");
        Ok(response.body(Bytes::new()).expect("a response"))
    }

    /// Conditions are on the source; what is large is made one object.
    fn copy_object(&mut self, request: &Parts, body: &Bytes, place: Place<'_>) -> Outcome {
        let (account, container, _) = place;
        let from = decoded(text(request, "x-copy-from").unwrap_or_default());
        let from = from.strip_prefix('/').unwrap_or(&from);
        let Some((from_container, from)) = from.split_once('/') else {
            return refuse(
                412,
                "X-Copy-From header must be of the form <container>/<object>",
            );
        };
        if !body.is_empty() || text(request, "content-length") != Some("0") {
            return refuse(400, "Copy requests require a zero byte body");
        }
        self.container(account, container)?;
        let source = self
            .container(account, from_container)?
            .objects
            .get(from)
            .cloned();
        let Some(source) = source else {
            return refuse(404, "The resource could not be found.");
        };
        if text(request, "if-none-match").is_some() {
            return refuse(304, "");
        }
        check_match(request, &source)?;
        let bytes = self.content(account, &source)?;
        if bytes.len() > self.max_file_size {
            return refuse(413, "Your request is too large.");
        }
        let is_fresh = text(request, "x-fresh-metadata") == Some("true");
        let mut kept = if is_fresh {
            BTreeMap::new()
        } else {
            source.metadata
        };
        kept.extend(metadata(request)?);
        let content_type = text(request, "content-type").map(str::to_owned);
        let copy = Object {
            bytes,
            metadata: kept,
            content_type: content_type.unwrap_or(source.content_type),
            ..Object::default()
        };
        self.stored(request, place, copy)
    }

    pub(super) fn get_object(
        &mut self,
        request: &Parts,
        (account, container, name): Place<'_>,
    ) -> Outcome {
        let known = parameters(request, &["multipart-manifest"])?;
        check_headers(request, &["range", "if-match"])?;
        let is_newest = text(request, "x-newest") == Some("true");
        let lags = self.lags && !is_newest;
        let container = self.container(account, container)?;
        let before = container.before.get(name).filter(|_| lags);
        let Some(object) = before.or_else(|| container.objects.get(name)).cloned() else {
            return refuse(404, "The resource could not be found.");
        };
        check_match(request, &object)?;
        let as_manifest = match known.get("multipart-manifest").map(String::as_str) {
            None => false,
            Some("get") => object.segments.is_some(),
            Some(_) => return refuse(400, "unknown multipart-manifest"),
        };
        let bytes = match &object.segments {
            Some(segments) if as_manifest => super::large::told(segments),
            _ if request.method == Method::HEAD => vec![0; object.size()].into(),
            _ => self.content(account, &object)?,
        };
        let size = bytes.len();
        let (timestamp, changed) = times(&object);
        let mut response = Response::builder()
            .header("content-type", &object.content_type)
            .header("x-timestamp", timestamp)
            .header("last-modified", changed)
            .header("x-trans-id", "tx-of-the-double");
        response = match object.segments {
            Some(_) => response
                .header("etag", format!("\"{}\"", etag(&object)))
                .header("x-static-large-object", "True"),
            None => response.header("etag", etag(&object)),
        };
        for (name, value) in &object.metadata {
            response = response.header(format!("x-object-meta-{name}"), value.as_bytes());
        }
        let range = text(request, "range").map(|range| {
            let range = range.strip_prefix("bytes=").expect("a range of bytes");
            let (first, last) = range.split_once('-').expect("a range");
            let first: usize = first.parse().expect("a first byte");
            let last: usize = last.parse().expect("a last byte");
            (first, last.min(size.saturating_sub(1)))
        });
        let body = match range {
            None => bytes,
            Some((first, _)) if first >= size => {
                return refuse(416, "The Range requested is not available.");
            }
            Some((first, last)) => {
                response = response
                    .status(206)
                    .header("content-range", format!("bytes {first}-{last}/{size}"));
                bytes.slice(first..=last)
            }
        };
        Ok(response.body(body).expect("a response"))
    }

    pub(super) fn delete_object(&mut self, request: &Parts, place: Place<'_>) -> Outcome {
        let known = parameters(request, &["multipart-manifest"])?;
        check_headers(request, &[])?;
        match known.get("multipart-manifest").map(String::as_str) {
            None => {}
            Some("delete") if self.has_large_objects => return self.delete_large(place),
            Some(_) => return refuse(400, "unknown multipart-manifest"),
        }
        let (account, container, name) = place;
        match self.container(account, container)?.objects.remove(name) {
            Some(_) => Ok(answer(204, Bytes::new())),
            None => refuse(404, "The resource could not be found."),
        }
    }
}

fn check_match(request: &Parts, object: &Object) -> Result<(), Refusal> {
    let wanted = text(request, "if-match").map(|etag| etag.trim_matches('"'));
    match wanted {
        Some(wanted) if wanted != etag(object) => {
            refuse(412, "A precondition for this request failed.")
        }
        _ => Ok(()),
    }
}
