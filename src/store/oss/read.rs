//! Reading: `GetObject`.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, header};

use super::OssStore;
use super::error::SERVICE;
use super::meta::{of_headers, quoted};
use crate::store::mark::MARK;
use crate::store::rest::{self, Failure, query};
use crate::store::resume::{self, Answer, Source};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag};

/// An object that is read.
pub(super) struct Wanted {
    pub store: OssStore,
    pub key: Key,
    /// The id of an old version.
    pub version: Option<String>,
}

#[async_trait]
impl Source for Wanted {
    async fn ask(&self, range: Option<&Range<u64>>, of: Option<&Tag>) -> Result<Option<Answer>> {
        let policy = &self.store.account.tuning.retry;
        let answer = policy.run(|_| self.get(range, of)).await?;
        answer.map(|answer| self.answer(answer)).transpose()
    }

    async fn stat(&self) -> Result<Meta> {
        self.store.head("read", &self.key).await
    }

    fn pause(&self) -> Duration {
        self.store.account.tuning.retry.first_pause
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        self.store.folder.error(kind, "read", &self.key, message)
    }
}

impl Wanted {
    async fn get(
        &self,
        range: Option<&Range<u64>>,
        if_match: Option<&Tag>,
    ) -> Result<Option<rest::Answer>> {
        let store = &self.store;
        let version = query([("versionId", self.version.as_deref())]);
        let mut request = Request::get(format!("{}{version}", store.path(&self.key)));
        if let Some(range) = range {
            let last = range.end.saturating_sub(1);
            request = request
                .header(header::RANGE, format!("bytes={}-{last}", range.start))
                // Else a range beyond the end gives everything.
                .header("x-oss-range-behavior", "standard");
        }
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, quoted(tag));
        }
        let action = match self.version {
            Some(_) => "oss:GetObjectVersion",
            None => "oss:GetObject",
        };
        let call = store.call("read", action, Some(&self.key));
        let answer = store.send_any(request, Bytes::new()).await;
        let answer = answer.map_err(|failure| failure.into_error(&call))?;
        if answer.status().is_success() {
            return Ok(Some(answer));
        }
        let failure = Failure::of(answer, &SERVICE).await;
        if failure.status() == Some(416) {
            return Ok(None);
        }
        Err(failure.into_error(&call))
    }

    fn answer(&self, answer: rest::Answer) -> Result<Answer> {
        let range = answer.header(header::CONTENT_RANGE.as_str());
        let (part, size) = resume::part(answer.length(), range)
            .map_err(|why| self.error(ErrorKind::Corrupt, &why))?;
        let mut meta = of_headers(&self.key, size, answer.headers());
        meta.user.remove(MARK);
        if meta.tag.is_none() {
            return Err(self.error(ErrorKind::Corrupt, "the answer has no ETag"));
        }
        Ok(Answer {
            meta,
            part,
            body: answer.chunks(),
        })
    }
}
