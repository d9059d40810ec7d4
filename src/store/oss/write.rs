//! Writing: one `PutObject` for what is no longer than a part, else a multipart upload.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Request, header};

use super::OssStore;
use super::meta::{USER, crc, tag};
use crate::store::incoming::Incoming;
use crate::store::mark::{MARK, marked, unmarked};
use crate::store::rest::Failure;
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// kOps writes this type.
const OCTETS: &str = "application/octet-stream";

/// What must have been stored when a write got through.
pub(super) struct Written {
    pub size: u64,
    /// The CRC-64 of all bytes, where it is known.
    pub crc: Option<Checksum>,
    /// The checksum that readers will see.
    pub seen: Option<Checksum>,
}

impl OssStore {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        let options = &marked(options);
        let path = self.new_path("write", key)?;
        if let Some((name, _)) = options.user.iter().find(|(_, value)| !value.is_ascii()) {
            let message = format!("the metadata '{name}' is more than ASCII, which a header holds");
            return Err(self
                .folder
                .error(ErrorKind::Unsupported, "write", key, message));
        }
        self.check_condition("write", key, &options.precondition)
            .await?;
        let sum = Algorithm::Crc64Ecma;
        let mut body = Incoming::new(body, options, sum, (&self.folder.url, key));
        let account = &self.account;
        let first = body
            .next(account.tuning.part_size, &account.buffers)
            .await?;
        if !body.at_end().await? {
            return self.put_parts(key, path, first, body, options).await;
        }
        let crc = body.finish()?;
        self.put_single(key, &path, first.bytes.clone(), crc, options)
            .await
    }

    async fn put_single(
        &self,
        key: &Key,
        path: &str,
        bytes: Bytes,
        crc: Checksum,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let md5 = Checksum::of(Algorithm::Md5, &bytes);
        let header = BASE64_STANDARD.encode(&md5.value);
        let written = Written {
            size: bytes.len() as u64,
            crc: Some(crc),
            seen: Some(md5),
        };
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let request = described(Request::put(path), options).header("content-md5", &header);
            let answer = self.send(request, bytes.clone()).await;
            answer.map_err(|failure| self.write_error(key, failure, options, &uncertain))
        };
        match self.account.tuning.retry.run(attempt).await {
            Ok(answer) => {
                let tag = answer.header("etag").and_then(tag);
                self.written(key, answer.headers(), tag, &written, options)
            }
            Err(error) if error.is_conflict() && uncertain.load(Ordering::Relaxed) => {
                self.settle(key, &written, options, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// What a failed write means under its precondition.
    pub(super) fn write_error(
        &self,
        key: &Key,
        failure: Failure,
        options: &WriteOptions,
        uncertain: &AtomicBool,
    ) -> Error {
        uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
        let error = failure.into_error(&self.call("write", "oss:PutObject", Some(key)));
        match (&options.precondition, error.kind()) {
            (Precondition::IfAbsent, ErrorKind::AlreadyExists) => self.folder.exists("write", key),
            _ => error,
        }
    }

    /// A write failed after an attempt whose outcome is unknown: finds out whether that one wrote
    /// the object.
    pub(super) async fn settle(
        &self,
        key: &Key,
        written: &Written,
        options: &WriteOptions,
        failed: Error,
    ) -> Result<Meta> {
        let Ok(mut now) = self.head_marked("write", key).await else {
            return Err(failed);
        };
        let mark = now.user.remove(MARK);
        let is_ours = match options.user.get(MARK) {
            Some(ours) => mark.as_ref() == Some(ours),
            None => now.checksum.is_some() && now.checksum == written.seen,
        };
        if is_ours && now.size == written.size {
            return Ok(now);
        }
        Err(failed)
    }

    /// The metadata of a write, after comparing what the service says it stored.
    pub(super) fn written(
        &self,
        key: &Key,
        headers: &HeaderMap,
        tag: Option<Tag>,
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        self.check_forbade("write", key, &options.precondition, headers)?;
        let crc = crc(headers);
        let differs = crc.is_some() && written.crc.is_some() && crc != written.crc;
        let wrong = match &tag {
            None => "it tells no ETag",
            Some(_) if differs => "the checksums differ",
            _ => {
                let content_type = options.content_type.as_deref().unwrap_or(OCTETS);
                return Ok(Meta {
                    tag,
                    checksum: written.seen.clone(),
                    content_type: Some(content_type.to_owned()),
                    user: unmarked(&options.user),
                    ..Meta::new(key.clone(), written.size)
                });
            }
        };
        let message = format!("the service stored something else than was sent: {wrong}");
        Err(self.folder.error(ErrorKind::Corrupt, "write", key, message))
    }
}

/// A request with all that a new object is to be but its bytes.
pub(super) fn described(request: Builder, options: &WriteOptions) -> Builder {
    let content_type = options.content_type.as_deref().unwrap_or(OCTETS);
    let mut request = request.header(header::CONTENT_TYPE, content_type);
    for (name, value) in &options.user {
        request = request.header(format!("{USER}{name}"), value);
    }
    forbidding(request, &options.precondition)
}

/// A request that overwrites nothing, where that is the precondition.
pub(super) fn forbidding(request: Builder, precondition: &Precondition) -> Builder {
    match precondition {
        Precondition::IfAbsent => request.header("x-oss-forbid-overwrite", "true"),
        _ => request,
    }
}
