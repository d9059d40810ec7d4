//! Reading: `Get Blob`.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, header};

use super::AzureStore;
use super::error::SERVICE;
use super::meta::quoted;
use crate::store::rest::{self, Failure};
use crate::store::resume::{self, Answer, Source};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag};

/// An object that is read.
pub(super) struct Wanted {
    pub store: AzureStore,
    pub key: Key,
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
        let mut request = Request::get(store.blob_url(&self.key));
        if let Some(range) = range {
            let last = range.end.saturating_sub(1);
            request = request.header(header::RANGE, format!("bytes={}-{last}", range.start));
        }
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, quoted(tag));
        }
        let call = store.call("read", super::READ, Some(&self.key));
        let request = call.built(request, Bytes::new())?;
        let answer = store.account.send(request).await;
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
        Ok(Answer {
            meta: self.store.told("read", &self.key, size, answer.headers())?,
            part,
            body: answer.chunks(),
        })
    }
}
