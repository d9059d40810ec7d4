//! Reading: a `GET`, whose headers have all metadata.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, header};

use super::meta::of_headers;
use super::{LOOKS, NEWEST, READ, SwiftStore};
use crate::store::rest::{Failure, ranged};
use crate::store::resume::{Answer, Source};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag};

/// An object that is read.
pub(super) struct Wanted {
    pub store: SwiftStore,
    pub key: Key,
}

#[async_trait]
impl Source for Wanted {
    async fn ask(&self, range: Option<&Range<u64>>, of: Option<&Tag>) -> Result<Option<Answer>> {
        let policy = &self.store.account.tuning.retry;
        let mut looks = 0;
        loop {
            looks += 1;
            let attempt = |_| self.get(range, of);
            match policy.run(attempt).await {
                Err(error) if self.store.may_be_there(&error) && looks < LOOKS => {}
                answer => return answer,
            }
        }
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
        let name = store.folder.full(self.key.as_str());
        // A replica that lags behind could lead astray whoever decides by what it reads.
        let request = Request::get(store.path(&name)).header(NEWEST, "true");
        let mut request = ranged(request, range);
        if let Some(Tag(etag)) = if_match {
            request = request.header(header::IF_MATCH, format!("\"{etag}\""));
        }
        let call = store.call("read", READ, Some(&self.key));
        let request = call.built(request, Bytes::new())?;
        match store.account.call(request).await {
            Ok(answer) => call
                .body(answer, |size, headers| self.meta(size, headers))
                .map(Some),
            Err(failure) if failure.status() == Some(416) => Ok(None),
            Err(failure) if failure.status() == Some(409) => Err(self.torn(&failure)),
            Err(failure) => Err(store.error(failure, &call).await),
        }
    }

    /// A replica may still have the manifest of a version whose segments are gone.
    fn torn(&self, failure: &Failure) -> Error {
        let words = failure.words();
        let message = format!("a segment of the object is not what its manifest says: {words}");
        self.error(ErrorKind::Unavailable, &message)
    }

    fn meta(&self, size: u64, headers: &HeaderMap) -> Result<Meta> {
        let meta = of_headers(&self.key, size, headers);
        if meta.tag.is_none() {
            return Err(self.error(ErrorKind::Corrupt, "the answer has no ETag"));
        }
        Ok(meta)
    }
}
