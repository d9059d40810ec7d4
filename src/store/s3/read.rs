//! Reading: one `GetObject`, taken up again from where it broke off.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use futures::stream;

use super::error::Failure;
use super::write::MARK;
use super::{S3Store, kept_version, md5_in, quoted, tag_of, time_of};
use crate::store::{Body, Error, ErrorKind, Key, Meta, Object, ReadOptions, Result, Tag};

/// How often one body is taken up again, for as long as no byte arrives in between.
const RESUMES: u32 = 5;

/// A read under way.
struct Reading {
    store: S3Store,
    key: Key,
    /// The id of an old version that is read.
    version: Option<String>,
    tag: Option<Tag>,
    body: ByteStream,
    /// The next byte to come, and the one after the last.
    rest: Range<u64>,
    /// Bytes that come before the next one, from a service that ignores ranges.
    skip: u64,
    resumes: u32,
}

impl S3Store {
    pub(super) async fn get(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let ReadOptions { range, if_match } = options;
        if range.as_ref().is_some_and(|range| range.start >= range.end) {
            return self.get_nothing(key, if_match).await;
        }
        // Found first, so that its own retries aren't multiplied by ours.
        self.client("read").await?;
        let policy = &self.shared.account.tuning().retry;
        let full = self.full(key.as_str());
        let ask = |_| self.ask((key, &full), None, range.as_ref(), if_match.as_ref());
        let answer = policy.run(ask).await?;
        let Some(answer) = answer else {
            return self.get_nothing(key, if_match).await;
        };
        self.object(key, None, range, answer)
    }

    /// The old version with this id.
    pub(super) async fn get_version(&self, key: &Key, version: &str) -> Result<Object> {
        self.client("read").await?;
        let policy = &self.shared.account.tuning().retry;
        let full = self.full(key.as_str());
        let ask = |_| self.ask((key, &full), Some(version), None, None);
        match policy.run(ask).await? {
            Some(answer) => self.object(key, Some(version.to_owned()), None, answer),
            None => Err(self.error(ErrorKind::Corrupt, "read", key, "the answer has no bytes")),
        }
    }

    /// `None` when the range lies beyond the end.
    async fn ask(
        &self,
        (key, full): (&Key, &str),
        version: Option<&str>,
        range: Option<&Range<u64>>,
        if_match: Option<&Tag>,
    ) -> Result<Option<GetObjectOutput>> {
        let client = self.client("read").await?;
        let answer = client
            .get_object()
            .bucket(&self.shared.bucket_name)
            .key(full)
            .set_version_id(version.map(str::to_owned))
            .set_range(
                range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
            )
            .set_if_match(if_match.map(quoted))
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => {
                let failure = Failure::of::<GetObjectError>(&error);
                if failure.status() == Some(416) {
                    return Ok(None);
                }
                let action = match version {
                    Some(_) => "s3:GetObjectVersion",
                    None => "s3:GetObject",
                };
                Err(failure.into_error(&self.call("read", action, Some((key, full)))))
            }
        }
    }

    /// The metadata with no bytes.
    async fn get_nothing(&self, key: &Key, if_match: Option<Tag>) -> Result<Object> {
        let meta = self.head("read", key).await?;
        match if_match {
            Some(tag) if meta.tag.as_ref() != Some(&tag) => Err(self.changed(key, meta.tag)),
            _ => Ok(Object {
                meta,
                body: Bytes::new().into(),
            }),
        }
    }

    fn changed(&self, key: &Key, found: Option<Tag>) -> Error {
        self.error(
            ErrorKind::PreconditionFailed { found },
            "read",
            key,
            "the object is no longer the version that was asked for",
        )
    }

    fn object(
        &self,
        key: &Key,
        version: Option<String>,
        range: Option<Range<u64>>,
        mut answer: GetObjectOutput,
    ) -> Result<Object> {
        let length = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| {
                self.error(ErrorKind::Corrupt, "read", key, "the answer has no length")
            })?;
        let part = answer.content_range().map(content_range);
        let (first, size) = match part {
            Some(Some((first, size))) => (first, size),
            Some(None) => {
                let text = answer.content_range().unwrap_or_default();
                let message = format!("the answer has the range '{text}'");
                return Err(self.error(ErrorKind::Corrupt, "read", key, message));
            }
            None => (0, length),
        };
        let wanted = range.unwrap_or(0..size);
        let rest = wanted.start.min(size)..wanted.end.min(size);
        if first > rest.start || first + length < rest.end {
            let message = format!(
                "asked for the bytes {}..{} and got {first}..{}",
                rest.start,
                rest.end,
                first + length
            );
            return Err(self.error(ErrorKind::Corrupt, "read", key, message));
        }
        let body = std::mem::take(&mut answer.body);
        let meta = Self::meta_of(key, size, &answer);
        let reading = Reading {
            store: self.clone(),
            key: key.clone(),
            version,
            tag: meta.tag.clone(),
            body,
            skip: rest.start - first,
            rest,
            resumes: 0,
        };
        Ok(Object {
            meta,
            body: reading.into_body(),
        })
    }

    fn meta_of(key: &Key, size: u64, answer: &GetObjectOutput) -> Meta {
        let tag = answer.e_tag().and_then(tag_of);
        let mut user: BTreeMap<String, String> = answer
            .metadata()
            .map(|user| user.clone().into_iter().collect())
            .unwrap_or_default();
        user.remove(MARK);
        Meta {
            modified: answer.last_modified().and_then(time_of),
            checksum: tag
                .as_ref()
                .and_then(|tag| md5_in(tag, answer.server_side_encryption())),
            tag,
            content_type: answer.content_type().map(str::to_owned),
            user,
            version: kept_version(answer.version_id()),
            ..Meta::new(key.clone(), size)
        }
    }
}

/// `bytes 5-9/20` gives 5 and 20.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, size.parse().ok()?))
}

impl Reading {
    fn into_body(self) -> Body {
        let size = self.rest.end - self.rest.start;
        let stream = stream::try_unfold(Some(self), |state| async move {
            let Some(mut reading) = state else {
                return Ok(None);
            };
            match reading.next().await? {
                Some(chunk) => Ok(Some((chunk, Some(reading)))),
                None => Ok(None),
            }
        });
        Body::stream(Some(size), stream)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.rest.is_empty() {
            match self.body.next().await {
                Some(Ok(chunk)) => {
                    if let Some(chunk) = self.take(chunk) {
                        self.resumes = 0;
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(error)) if is_mismatch(&error) => return Err(self.mismatch(&error)),
                Some(Err(error)) => {
                    let why = error.to_string();
                    self.resume(ErrorKind::Unavailable, &why).await?;
                }
                None => self.resume(ErrorKind::Corrupt, "it just ended").await?,
            }
        }
        // The SDK compares checksums when it meets the end.
        match self.body.next().await {
            Some(Err(error)) if is_mismatch(&error) => Err(self.mismatch(&error)),
            _ => Ok(None),
        }
    }

    /// The part of a chunk that was asked for.
    fn take(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let length = chunk.len() as u64;
        if self.skip >= length {
            self.skip -= length;
            return None;
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
        self.skip = 0;
        let mut chunk = chunk.split_off(skipped);
        let left = self.rest.end - self.rest.start;
        if chunk.len() as u64 > left {
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.rest.start += chunk.len() as u64;
        (!chunk.is_empty()).then_some(chunk)
    }

    async fn resume(&mut self, kind: ErrorKind, why: &str) -> Result<()> {
        self.resumes += 1;
        let Some(tag) = self.tag.clone().filter(|_| self.resumes <= RESUMES) else {
            let message = format!(
                "the body broke off {} bytes before its end: {why}",
                self.rest.end - self.rest.start
            );
            return Err(self.fail(kind, message));
        };
        tracing::debug!(key = %self.key, from = self.rest.start, why, "taking a read up again");
        let full = self.store.full(self.key.as_str());
        let policy = &self.store.shared.account.tuning().retry;
        tokio::time::sleep(policy.first_pause * (self.resumes - 1)).await;
        let ask = |_| {
            self.store.ask(
                (&self.key, &full),
                self.version.as_deref(),
                Some(&self.rest),
                Some(&tag),
            )
        };
        let Some(answer) = policy.run(ask).await? else {
            return Err(self.fail(ErrorKind::Corrupt, "the object became shorter"));
        };
        let first = answer.content_range().and_then(content_range);
        let first = first.map_or(0, |(first, _)| first);
        if first > self.rest.start {
            return Err(self.fail(ErrorKind::Corrupt, "the service gave another range"));
        }
        self.skip = self.rest.start - first;
        self.body = answer.body;
        Ok(())
    }

    fn mismatch(&self, error: &ByteStreamError) -> Error {
        let message = format!("the bytes don't have their checksum: {error}");
        self.fail(ErrorKind::Corrupt, message)
    }

    fn fail(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        self.store.error(kind, "read", &self.key, message)
    }
}

fn is_mismatch(error: &ByteStreamError) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if error.to_string().contains("checksum mismatch") {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges_are_read_or_refused() {
        assert_eq!(content_range("bytes 5-9/20"), Some((5, 20)));
        for text in ["bytes */20", "bytes 5-9/*", "5-9/20", ""] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
