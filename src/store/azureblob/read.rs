//! Reading: `Get Blob`.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, header};

use super::AzureStore;
use super::meta::quoted;
use crate::store::rest::ranged;
use crate::store::resume::{Answer, Source};
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
        let mut request = ranged(Request::get(store.blob_url(&self.key)), range);
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, quoted(tag));
        }
        let call = store.call("read", super::READ, Some(&self.key));
        let request = call.built(request, Bytes::new())?;
        let sent = store.account.send(request).await;
        let Some(answer) = call.object(sent).await? else {
            return Ok(None);
        };
        let told = |size, headers: &HeaderMap| store.told("read", &self.key, size, headers);
        call.body(answer, told).map(Some)
    }
}
