//! Uploads: in one request of two parts, and resumable.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::request::Parts;
use kstate::store::Algorithm;
use serde::Deserialize;

use super::objects::{digest, resource};
use super::{Gs, Object, Outcome, Refusal, answer, check_generation, parameters, refuse};

/// Chunks but the last are multiples of this.
const QUANTUM: u64 = 256 << 10;

impl Session {
    pub(super) fn is_open(&self) -> bool {
        self.done.is_none()
    }
}

pub(super) struct Session {
    bucket: String,
    name: String,
    condition: Option<String>,
    wish: Wish,
    bytes: BytesMut,
    /// What was answered when it was done.
    done: Option<Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Wish {
    /// May stand in the query instead.
    name: Option<String>,
    content_type: String,
    metadata: BTreeMap<String, String>,
    md5_hash: Option<String>,
    crc32c: Option<String>,
}

impl Wish {
    /// What isn't said of the type stands in a header.
    fn or_of_type(mut self, header: Option<&str>) -> Self {
        if let Some(kind) = header.filter(|_| self.content_type.is_empty()) {
            kind.clone_into(&mut self.content_type);
        }
        self
    }
}

impl Gs {
    pub(super) fn upload(&mut self, request: &Parts, body: &Bytes, bucket: &str) -> Outcome {
        let known = parameters(request, &["uploadType", "name", "ifGenerationMatch"])?;
        let (wish, bytes) = match known.get("uploadType").map(String::as_str) {
            Some("multipart") => {
                let (wish, bytes) = related(request, body)?;
                (wish, Some(bytes))
            }
            Some("resumable") => {
                let kind = request.headers.get("x-upload-content-type");
                let kind = kind.and_then(|value| value.to_str().ok());
                (wish(body)?.or_of_type(kind), None)
            }
            _ => return refuse(400, "invalid", "no such uploadType"),
        };
        let name = known.get("name").or(wish.name.as_ref()).cloned();
        let Some(name) = name.filter(|name| is_name(name)) else {
            return refuse(400, "invalid", "no object can have this name");
        };
        let condition = known.get("ifGenerationMatch");
        check_generation(condition, self.bucket(bucket)?.get(&name))?;
        if let Some(bytes) = bytes {
            return self.store(bucket, &name, wish, bytes);
        }
        let id = format!("{:x}", self.generation + self.sessions.len() as u64);
        let session = Session {
            bucket: bucket.to_owned(),
            name,
            condition: condition.cloned(),
            wish,
            bytes: BytesMut::new(),
            done: None,
        };
        self.generation += 1;
        self.sessions.insert(id.clone(), session);
        let host = request.headers.get("host").expect("a host");
        let host = host.to_str().expect("text");
        let place = format!("http://{host}/upload/session/{id}");
        let response = Response::builder().header("location", place);
        Ok(response.body(Bytes::new()).expect("a response"))
    }

    fn store(&mut self, bucket: &str, name: &str, wish: Wish, bytes: Bytes) -> Outcome {
        let md5 = digest(Algorithm::Md5, &bytes);
        if wish.md5_hash.is_some_and(|wanted| wanted != md5) {
            return refuse(
                400,
                "invalid",
                "Provided MD5 hash doesn't match calculated MD5 hash",
            );
        }
        let crc = digest(Algorithm::Crc32c, &bytes);
        if wish.crc32c.is_some_and(|wanted| wanted != crc) {
            return refuse(
                400,
                "invalid",
                "Provided CRC32C doesn't match calculated CRC32C",
            );
        }
        let object = Object {
            bytes,
            content_type: wish.content_type,
            metadata: wish.metadata,
            ..Object::default()
        };
        let generation = self.put(bucket, name, object.clone());
        let object = Object {
            generation,
            ..object
        };
        Ok(answer(
            200,
            resource(bucket, name, &object).to_string().into(),
        ))
    }

    pub(super) fn resume(&mut self, request: &Parts, body: &Bytes, id: &str) -> Outcome {
        let keeps = self.keeps_of_chunk;
        let Some(session) = self.sessions.get_mut(id) else {
            return refuse(404, "notFound", "no such upload");
        };
        if let Some(done) = &session.done {
            return Ok(answer(200, done.clone()));
        }
        let range = request.headers.get("content-range");
        let range = range.and_then(|value| value.to_str().ok());
        let Some((range, total)) = range.and_then(parse) else {
            return refuse(400, "invalid", "no Content-Range");
        };
        let has = session.bytes.len() as u64;
        if let Some((first, end)) = range {
            if first != has || end - first != body.len() as u64 {
                return refuse(
                    400,
                    "invalid",
                    "the chunk doesn't go on where the last one ended",
                );
            }
            if total.is_none() && (end - first) % QUANTUM != 0 {
                return refuse(400, "invalid", "a chunk must be a multiple of 256 KiB");
            }
            session
                .bytes
                .extend_from_slice(&body[..body.len().min(keeps)]);
        }
        let has = session.bytes.len() as u64;
        if total == Some(has) {
            let bytes = std::mem::take(&mut session.bytes).freeze();
            let wish = std::mem::take(&mut session.wish);
            let condition = session.condition.clone();
            let (bucket, name) = (session.bucket.clone(), session.name.clone());
            let there = self.bucket(&bucket)?.get(&name);
            check_generation(condition.as_ref(), there)?;
            let answered = self.store(&bucket, &name, wish, bytes)?;
            if let Some(session) = self.sessions.get_mut(id) {
                session.done = Some(answered.body().clone());
            }
            return Ok(answered);
        }
        let mut response = Response::builder().status(308);
        if has > 0 {
            response = response.header("range", format!("bytes=0-{}", has - 1));
        }
        Ok(response.body(Bytes::new()).expect("a response"))
    }
}

/// `bytes 0-9/*`, `bytes 0-9/20`, `bytes */20`, `bytes */*`: the bytes and the size of all.
#[expect(clippy::type_complexity, reason = "two options of one line")]
fn parse(text: &str) -> Option<(Option<(u64, u64)>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let range = match range {
        "*" => None,
        range => {
            let (first, last) = range.split_once('-')?;
            Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
        }
    };
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((range, total))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 1024 && !name.contains(['\r', '\n'])
}

fn wish(body: &[u8]) -> Result<Wish, Refusal> {
    serde_json::from_slice(body).map_err(|error| (400, "parseError", error.to_string()))
}

/// The two parts of a `multipart/related` body.
fn related(request: &Parts, body: &Bytes) -> Result<(Wish, Bytes), Refusal> {
    let wrong = |what: &str| (400, "badContent", what.to_owned());
    let header = request.headers.get("content-type");
    let header = header.and_then(|value| value.to_str().ok());
    let boundary = header.and_then(|text| text.strip_prefix("multipart/related; boundary="));
    let boundary = boundary.ok_or_else(|| wrong("no boundary"))?;
    let boundary = boundary.trim_matches('"');
    let opening = format!("--{boundary}\r\n");
    let closing = format!("\r\n--{boundary}--");
    let inner = body
        .strip_prefix(opening.as_bytes())
        .map(|inner| inner.strip_suffix(b"\r\n").unwrap_or(inner))
        .and_then(|inner| inner.strip_suffix(closing.as_bytes()))
        .ok_or_else(|| wrong("no parts"))?;
    let between = format!("\r\n--{boundary}\r\n");
    let at = find(inner, between.as_bytes()).ok_or_else(|| wrong("one part"))?;
    let split = |part: &[u8]| {
        let end = find(part, b"\r\n\r\n")?;
        let headers = String::from_utf8(part[..end].to_vec()).ok()?;
        Some((headers, part[end + 4..].to_vec()))
    };
    let (_, first) = split(&inner[..at]).ok_or_else(|| wrong("no headers"))?;
    let second = split(&inner[at + between.len()..]);
    let (headers, second) = second.ok_or_else(|| wrong("no headers"))?;
    let kind = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then_some(value)
    });
    Ok((wish(&first)?.or_of_type(kind), second.into()))
}

fn find(all: &[u8], wanted: &[u8]) -> Option<usize> {
    all.windows(wanted.len())
        .position(|window| window == wanted)
}
