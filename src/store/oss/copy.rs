//! Copies that the service makes itself, within and between the buckets of a region. Metadata
//! goes with the object.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::Request;
use http::request::Builder;
use serde::Deserialize;

use super::OssStore;
use super::meta::{crc, of_headers, quoted, tag};
use super::multipart::{AT_ONCE, MOST_PARTS, Part, Upload};
use super::write::{Written, forbidding};
use crate::store::mark::{marked, unmarked};
use crate::store::rest::{Failure, encoded_path};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag, WriteOptions};

/// The most bytes that `CopyObject` takes:
/// <https://www.alibabacloud.com/help/en/oss/developer-reference/uploadpartcopy>.
const LARGEST_COPY: u64 = 1 << 30;

/// One version of one object, as a copy's headers name it.
struct Origin<'a> {
    store: &'a OssStore,
    from: &'a Meta,
    /// `/bucket/name`, percent-encoded.
    path: String,
    tag: Tag,
}

/// Why there is no copy.
enum Refusal {
    /// Who may read there and write here may still not do both in one call.
    Impossible,
    Failed(Error),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Copied {
    #[serde(rename = "ETag")]
    etag: String,
}

impl Origin<'_> {
    fn named(&self, request: Builder) -> Builder {
        request
            .header("x-oss-copy-source", &self.path)
            .header("x-oss-copy-source-if-match", quoted(&self.tag))
    }

    /// Makes sure that the source is still that version.
    fn check(&self, found: Option<Tag>) -> Result<()> {
        if found.as_ref() == Some(&self.tag) {
            return Ok(());
        }
        Err(self.store.folder.overtaken("copy", &self.from.key, found))
    }
}

impl OssStore {
    pub(super) async fn copy_here(
        &self,
        source: &Self,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let path = self.new_path("copy", key)?;
        let from_name = source.folder.full(from.key.as_str());
        let onto_itself = source.site.bucket == self.site.bucket && from_name == self.full(key);
        let is_proven = options.checksum.is_none() || options.checksum == from.checksum;
        if !Arc::ptr_eq(&self.account, &source.account) || onto_itself || !is_proven {
            return Ok(None);
        }
        self.check_condition("copy", key, &options.precondition)
            .await?;
        let tag = match &from.tag {
            Some(tag) => tag.clone(),
            None => match source.head("copy", &from.key).await?.tag {
                Some(tag) => tag,
                None => return Ok(None),
            },
        };
        let origin = Origin {
            store: source,
            from,
            path: format!("/{}/{}", source.site.bucket, encoded_path(&from_name)),
            tag,
        };
        let copied = if from.size > self.largest_copy() {
            self.copy_parts(&origin, key, path, options).await
        } else {
            self.copy_whole(&origin, key, &path, options).await
        };
        match copied {
            Ok(meta) => Ok(Some(meta)),
            Err(Refusal::Impossible) => Ok(None),
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    fn largest_copy(&self) -> u64 {
        self.account.tuning.largest_copy.unwrap_or(LARGEST_COPY)
    }

    /// <https://www.alibabacloud.com/help/en/oss/developer-reference/copyobject>
    async fn copy_whole(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        path: &str,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let uncertain = AtomicBool::new(false);
        let request = || forbidding(origin.named(Request::put(path)), &options.precondition);
        let copied = self
            .send_copy(origin, key, request, "CopyObjectResult", &uncertain)
            .await;
        let (copied, headers) = match copied {
            Ok(copied) => copied,
            Err(Refusal::Failed(error)) if error.is_conflict() => {
                let uncertain = uncertain.load(Ordering::Relaxed);
                let settled = self.settle_copy(origin, key, error, uncertain).await;
                return settled.map_err(Refusal::Failed);
            }
            Err(refusal) => return Err(refusal),
        };
        let condition = &options.precondition;
        self.check_forbade("copy", key, condition, &headers)
            .map_err(Refusal::Failed)?;
        if tag(&copied.etag).as_ref() == Some(&origin.tag) {
            return Ok(Meta {
                key: key.clone(),
                modified: None,
                tag: Some(origin.tag.clone()),
                version: None,
                ..origin.from.clone()
            });
        }
        // What was uploaded in parts may get another tag, and have another checksum.
        self.head("copy", key).await.map_err(Refusal::Failed)
    }

    /// One call that copies; gives what it says, and its headers.
    async fn send_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        request: impl Fn() -> Builder,
        root: &str,
        uncertain: &AtomicBool,
    ) -> Result<(Copied, http::HeaderMap), Refusal> {
        let impossible = AtomicBool::new(false);
        let attempt = |_| async {
            let answer = self.send_for_xml(request(), Bytes::new(), root).await;
            answer.map_err(|failure| {
                uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
                impossible.store(is_impossible(&failure), Ordering::Relaxed);
                self.copy_error(origin, key, failure)
            })
        };
        let copied = self.account.tuning.retry.run(attempt).await;
        copied.map_err(|error| {
            if impossible.load(Ordering::Relaxed) {
                Refusal::Impossible
            } else {
                Refusal::Failed(error)
            }
        })
    }

    fn copy_error(&self, origin: &Origin<'_>, key: &Key, failure: Failure) -> Error {
        if failure.is(&["NoSuchKey"]) {
            return Error::not_found("copy", &origin.store.folder.url, &origin.from.key);
        }
        let error = failure.into_error(&self.call("copy", "oss:PutObject", Some(key)));
        match error.kind() {
            ErrorKind::AlreadyExists => self.folder.exists("copy", key),
            _ => error,
        }
    }

    /// A copy was refused: because the source is another version, or because of the condition
    /// here, which may have met our own copy.
    async fn settle_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Meta> {
        let source = origin.store.head("copy", &origin.from.key).await?;
        origin.check(source.tag)?;
        match self.head("copy", key).await {
            Ok(now) if uncertain && now.checksum.is_some() && now.checksum == source.checksum => {
                Ok(now)
            }
            _ => Err(refusal),
        }
    }

    /// Copies in parts, which carry over nothing but the bytes: the rest is sent anew.
    async fn copy_parts(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        path: String,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let failed = Refusal::Failed;
        let head = origin.store.head_headers("copy", &origin.from.key);
        let (size, headers) = head.await.map_err(failed)?;
        let head = of_headers(&origin.from.key, size, &headers);
        origin.check(head.tag).map_err(failed)?;
        let crc = crc(&headers);
        let written = Written {
            size,
            seen: crc.clone(),
            crc,
        };
        let options = marked(&WriteOptions {
            precondition: options.precondition.clone(),
            content_type: head.content_type,
            user: unmarked(&head.user),
            ..WriteOptions::default()
        });
        let mut upload = self.begin(key, path, &options).await.map_err(failed)?;
        let result = async {
            let parts = self.send_copies(origin, key, &upload, size).await?;
            let completed = upload.complete(&parts, &written, &options).await;
            completed.map_err(Refusal::Failed)
        }
        .await;
        if result.is_err() {
            upload.abort().await;
        }
        result
    }

    async fn send_copies(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        upload: &Upload<'_>,
        size: u64,
    ) -> Result<Vec<Part>, Refusal> {
        let step = self.largest_copy().max(size.div_ceil(MOST_PARTS));
        let parts = (0..size.div_ceil(step)).map(|index| {
            let range = index * step..size.min((index + 1) * step);
            self.send_part_copy(origin, key, upload, index + 1, range)
        });
        let mut parts: Vec<Part> = stream::iter(parts)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// <https://www.alibabacloud.com/help/en/oss/developer-reference/uploadpartcopy>
    async fn send_part_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        upload: &Upload<'_>,
        number: u64,
        range: Range<u64>,
    ) -> Result<Part, Refusal> {
        let url = upload.part_url(number);
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = || {
            origin
                .named(Request::put(&url))
                .header("x-oss-copy-source-range", &range)
        };
        let uncertain = AtomicBool::new(false);
        let sent = self.send_copy(origin, key, request, "CopyPartResult", &uncertain);
        match sent.await {
            Ok((Copied { etag }, _)) => Ok(Part { number, etag }),
            Err(Refusal::Failed(error)) if error.is_conflict() => {
                let source = origin.store.head("copy", &origin.from.key).await;
                let source = source.map_err(Refusal::Failed)?;
                origin.check(source.tag).map_err(Refusal::Failed)?;
                Err(Refusal::Failed(error))
            }
            Err(refusal) => Err(refusal),
        }
    }
}

fn is_impossible(failure: &Failure) -> bool {
    matches!(failure.status(), Some(403 | 405 | 501))
}
