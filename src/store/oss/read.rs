//! Reading: `GetObject`.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, header};

use super::OssStore;
use super::meta::{of_headers, quoted};
use crate::store::mark::MARK;
use crate::store::rest::{query, ranged};
use crate::store::resume::{Answer, Source};
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
        policy.run(|_| self.get(range, of)).await
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
    ) -> Result<Option<Answer>> {
        let store = &self.store;
        let version = query([("versionId", self.version.as_deref())]);
        let request = Request::get(format!("{}{version}", store.path(&self.key)));
        let mut request = ranged(request, range)
            // Else a range beyond the end gives everything.
            .header("x-oss-range-behavior", "standard");
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, quoted(tag));
        }
        let action = match self.version {
            Some(_) => "oss:GetObjectVersion",
            None => "oss:GetObject",
        };
        let call = store.call("read", action, Some(&self.key));
        let sent = store.send_any(request, Bytes::new()).await;
        let Some(answer) = call.object(sent).await? else {
            return Ok(None);
        };
        let meta = |size, headers: &HeaderMap| self.meta(size, headers);
        call.body(answer, meta).map(Some)
    }

    fn meta(&self, size: u64, headers: &HeaderMap) -> Result<Meta> {
        let mut meta = of_headers(&self.key, size, headers);
        meta.user.remove(MARK);
        if meta.tag.is_none() {
            return Err(self.error(ErrorKind::Corrupt, "the answer has no ETag"));
        }
        Ok(meta)
    }
}
