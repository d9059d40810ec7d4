//! Copies that the service makes itself, within an account and from one to another: `Copy Blob
//! From URL`, which is done when it is answered, and blocks that it fetches where that is too
//! much at once.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::Request;
use http::request::Builder;

use super::AzureStore;
use super::blocks::{BLOCKS_AT_ONCE, Blocks, MOST_BLOCKS, Upload};
use super::meta::{modified, quoted};
use super::write::{Written, base64, conditional, etag};
use crate::store::mark::marked;
use crate::store::rest::{Answer, Failure};
use crate::store::{
    Algorithm, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions, lock,
};

/// The most bytes that one call copies:
/// <https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url>.
const LARGEST: u64 = 256 << 20;

/// One version of one object.
struct Origin<'a> {
    store: &'a AzureStore,
    from: &'a Meta,
    tag: &'a Tag,
    url: String,
}

/// Why there is no copy.
enum Refusal {
    /// The service doesn't make it: the bytes must go through here.
    Impossible,
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What the attempts of one call have told beside their errors.
#[derive(Default)]
struct Seen {
    /// An answer was lost.
    uncertain: AtomicBool,
    impossible: AtomicBool,
    /// The source is another version by now.
    changed: AtomicBool,
}

impl AzureStore {
    pub(super) async fn copy_here(
        &self,
        source: &Self,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.check_name("copy", key)?;
        let is_proven = options.checksum.is_none() || options.checksum == from.checksum;
        let (Some(tag), true) = (&from.tag, is_proven) else {
            return Ok(None);
        };
        let origin = Origin {
            store: source,
            from,
            tag,
            url: source.blob_url(&from.key),
        };
        if origin.url == self.blob_url(key) || !self.reaches(source) {
            return Ok(None);
        }
        let copied = if from.size > self.largest_copy() {
            self.copy_blocks(&origin, key, options).await
        } else {
            self.copy_whole(&origin, key, options).await
        };
        match copied {
            Ok(meta) => Ok(Some(meta)),
            Err(Refusal::Impossible) => Ok(None),
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    fn largest_copy(&self) -> u64 {
        self.account.tuning.largest_copy.unwrap_or(LARGEST)
    }

    /// Whether the service may be able to fetch from another one, and wasn't seen to fail.
    fn reaches(&self, source: &Self) -> bool {
        let (here, there) = (&self.account.settings, &source.account.settings);
        let is_near = here.host() == there.host() || (here.is_azure() && there.is_azure());
        is_near && !lock(&self.account.uncopyable).contains(&there.endpoint)
    }

    async fn copy_whole(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let seen = Seen::default();
        let url = self.blob_url(key);
        let md5 = origin.from.checksum.as_ref();
        let md5 = md5
            .filter(|sum| sum.algorithm == Algorithm::Md5)
            .map(base64);
        let request = || {
            let mut request = Request::put(&url).header("x-ms-requires-sync", "true");
            if let Some(md5) = &md5 {
                request = request.header("x-ms-source-content-md5", md5);
            }
            conditional(request, &options.precondition)
        };
        let answer = match self.fetch(origin, key, request, options, &seen).await {
            Ok(answer) => answer,
            Err(Refusal::Failed(error)) if error.is_conflict() => {
                return Ok(self.settle_copy(origin, key, error, options, &seen).await?);
            }
            Err(refusal) => return Err(refusal),
        };
        let status = answer.header("x-ms-copy-status").unwrap_or("success");
        if status != "success" {
            let message = format!("the service says that the copy is '{status}'");
            let error = self.folder.error(ErrorKind::Corrupt, "copy", key, message);
            return Err(error.into());
        }
        let tag = etag(&answer).ok_or_else(|| self.no_tag("copy", key))?;
        Ok(Meta {
            key: key.clone(),
            tag: Some(tag),
            modified: answer.header("last-modified").and_then(modified),
            ..origin.from.clone()
        })
    }

    /// A request for bytes of the source, retried.
    async fn fetch(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        request: impl Fn() -> Builder,
        options: &WriteOptions,
        seen: &Seen,
    ) -> Result<Answer, Refusal> {
        let call = self.call("copy", super::WRITE, Some(key));
        let source = origin.store;
        let attempt = |_| async {
            let readable = source.account.readable(&source.site.bucket, &origin.url);
            let readable = readable.await.map_err(|failure| {
                let call = source.call("copy", super::READ, Some(&origin.from.key));
                failure.into_error(&call)
            });
            let (url, token) = readable?;
            let mut request = request()
                .header("x-ms-copy-source", url)
                .header("x-ms-source-if-match", quoted(origin.tag));
            if let Some(token) = token {
                request = request.header("x-ms-copy-source-authorization", token);
            }
            let request = call.built(request, Bytes::new())?;
            let answer = self.account.call(request).await;
            answer.map_err(|failure| {
                seen.note(&failure, self);
                self.write_error("copy", key, failure, options, &seen.uncertain)
            })
        };
        match self.account.tuning.retry.run(attempt).await {
            Ok(answer) => Ok(answer),
            Err(error) if seen.impossible.load(Ordering::Relaxed) => {
                tracing::debug!(%error, "no server-side copy");
                if matches!(error.kind(), ErrorKind::PermissionDenied { .. }) {
                    let endpoint = source.account.settings.endpoint.clone();
                    lock(&self.account.uncopyable).insert(endpoint);
                }
                Err(Refusal::Impossible)
            }
            Err(_) if seen.changed.load(Ordering::Relaxed) => {
                let now = source.head("copy", &origin.from.key).await.ok();
                let found = now.and_then(|now| now.tag);
                Err(origin.overtaken(found).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A copy was refused because of the condition, which may have met our own copy.
    async fn settle_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        refusal: Error,
        options: &WriteOptions,
        seen: &Seen,
    ) -> Result<Meta> {
        if seen.changed.load(Ordering::Relaxed) {
            return Err(refusal);
        }
        let now = self.head("copy", key).await.ok();
        let sum = origin.from.checksum.as_ref();
        let uncertain = seen.uncertain.load(Ordering::Relaxed);
        match now {
            Some(now) if uncertain && sum.is_some() && now.checksum.as_ref() == sum => Ok(now),
            _ if options.precondition == Precondition::IfAbsent => Err(refusal),
            now => {
                let found = now.and_then(|now| now.tag);
                Err(self.folder.overtaken("copy", key, found))
            }
        }
    }

    /// Blocks carry over nothing but the bytes: the rest is sent anew.
    async fn copy_blocks(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let head = origin.store.head("copy", &origin.from.key).await?;
        if head.tag.as_ref() != Some(origin.tag) {
            return Err(origin.overtaken(head.tag).into());
        }
        let options = marked(&WriteOptions {
            precondition: options.precondition.clone(),
            content_type: head.content_type.clone(),
            user: head.user.clone(),
            ..WriteOptions::default()
        });
        let upload = Upload::new();
        let step = self.largest_copy().max(head.size.div_ceil(MOST_BLOCKS));
        let count = head.size.div_ceil(step);
        stream::iter(0..count)
            .map(|number| {
                let url = self.block_url(key, upload, number);
                let range = number * step..head.size.min((number + 1) * step);
                self.fetch_block(origin, key, url, range)
            })
            .buffer_unordered(BLOCKS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let blocks = Blocks {
            upload,
            count,
            written: Written {
                size: head.size,
                md5: head.checksum,
            },
        };
        Ok(self.commit_blocks(key, blocks, &options).await?)
    }

    async fn fetch_block(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        url: String,
        range: Range<u64>,
    ) -> Result<(), Refusal> {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = || Request::put(&url).header("x-ms-source-range", &range);
        let (options, seen) = (WriteOptions::default(), Seen::default());
        let fetched = self.fetch(origin, key, request, &options, &seen).await;
        fetched.map(drop)
    }
}

impl Origin<'_> {
    fn overtaken(&self, found: Option<Tag>) -> Error {
        self.store.folder.overtaken("copy", &self.from.key, found)
    }
}

impl Seen {
    fn note(&self, failure: &Failure, target: &AzureStore) {
        // Who may read there and write here may still not do both in one call.
        let is_impossible = matches!(failure.status(), Some(401 | 403 | 501))
            || failure.is(&[
                "CopyAcrossAccountsNotSupported",
                "InvalidHeaderValue",
                "InvalidSourceBlobType",
                "InvalidSourceBlobUrl",
                "UnsupportedHeader",
            ]);
        self.impossible.store(is_impossible, Ordering::Relaxed);
        // Of the two objects, only the source must be there.
        let is_gone = failure.status() == Some(404) && !failure.is(target.site.service.no_bucket);
        let is_changed = is_gone || failure.is(&["SourceConditionNotMet"]);
        self.changed.store(is_changed, Ordering::Relaxed);
    }
}
