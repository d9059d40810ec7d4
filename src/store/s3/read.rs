//! Reading: `GetObject`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::error::Failure;
use super::{S3Store, kept_version, md5_in, quoted, tag_of, time_of};
use crate::store::mark::MARK;
use crate::store::resume::{self, Answer, Broken, Source};
use crate::store::{Error, ErrorKind, Key, Meta, Object, ReadOptions, Result, Tag};

/// An object that is read.
struct Wanted {
    store: S3Store,
    key: Key,
    /// The id of an old version.
    version: Option<String>,
}

impl S3Store {
    pub(super) async fn get(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        resume::read(self.wanted(key, None), options).await
    }

    /// The old version with this id.
    pub(super) async fn get_version(&self, key: &Key, version: &str) -> Result<Object> {
        let wanted = self.wanted(key, Some(version.to_owned()));
        resume::read(wanted, ReadOptions::default()).await
    }

    fn wanted(&self, key: &Key, version: Option<String>) -> Wanted {
        Wanted {
            store: self.clone(),
            key: key.clone(),
            version,
        }
    }
}

#[async_trait]
impl Source for Wanted {
    async fn ask(&self, range: Option<&Range<u64>>, of: Option<&Tag>) -> Result<Option<Answer>> {
        // Found first, so that its own retries aren't multiplied by ours.
        self.store.client("read").await?;
        let policy = &self.store.shared.account.tuning().retry;
        let answer = policy.run(|_| self.get_object(range, of)).await?;
        answer.map(|answer| self.answer(answer)).transpose()
    }

    async fn stat(&self) -> Result<Meta> {
        self.store.head("read", &self.key).await
    }

    fn pause(&self) -> Duration {
        self.store.shared.account.tuning().retry.first_pause
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        self.store.folder.error(kind, "read", &self.key, message)
    }
}

impl Wanted {
    async fn get_object(
        &self,
        range: Option<&Range<u64>>,
        if_match: Option<&Tag>,
    ) -> Result<Option<GetObjectOutput>> {
        let client = self.store.client("read").await?;
        let full = self.store.folder.full(self.key.as_str());
        let answer = client
            .get_object()
            .bucket(&self.store.shared.bucket_name)
            .key(&full)
            .set_version_id(self.version.clone())
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
                let action = match self.version {
                    Some(_) => "s3:GetObjectVersion",
                    None => "s3:GetObject",
                };
                let key = Some((&self.key, full.as_str()));
                Err(failure.into_error(&self.store.call("read", action, key)))
            }
        }
    }

    fn answer(&self, mut answer: GetObjectOutput) -> Result<Answer> {
        let length = answer.content_length();
        let length = length.and_then(|length| u64::try_from(length).ok());
        let (part, size) = resume::part(length, answer.content_range())
            .map_err(|why| self.error(ErrorKind::Corrupt, &why))?;
        let body = std::mem::take(&mut answer.body);
        Ok(Answer {
            meta: meta_of(&self.key, size, &answer),
            part,
            body: chunks(body),
        })
    }
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

fn chunks(body: ByteStream) -> BoxStream<'static, Result<Bytes, Broken>> {
    stream::unfold(body, |mut body| async {
        let chunk = body.next().await?;
        let chunk = chunk.map_err(|error| {
            if is_mismatch(&error) {
                Broken::Corrupt(error.to_string())
            } else {
                Broken::Off(error.to_string())
            }
        });
        Some((chunk, body))
    })
    .boxed()
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
