//! Reading: the XML API's `GET`, whose headers have all metadata.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, header};

use super::GsStore;
use super::meta::of_headers;
use crate::store::rest::{encoded_path, ranged};
use crate::store::resume::{Answer, Source};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag};

/// An object that is read.
pub(super) struct Wanted {
    pub store: GsStore,
    pub key: Key,
}

#[async_trait]
impl Source for Wanted {
    async fn ask(&self, range: Option<&Range<u64>>, of: Option<&Tag>) -> Result<Option<Answer>> {
        match self.ask_once(range, of).await? {
            Some(answer) if answer.meta.tag.is_none() => {
                // An emulator that serves one at a time waits until this one is taken.
                drop(answer);
                self.ask_emulator(range, of).await
            }
            answer => Ok(answer),
        }
    }

    async fn stat(&self) -> Result<Meta> {
        self.store.resource("read", &self.key).await
    }

    fn pause(&self) -> Duration {
        self.store.account.tuning.retry.first_pause
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        self.store.folder.error(kind, "read", &self.key, message)
    }
}

impl Wanted {
    async fn ask_once(
        &self,
        range: Option<&Range<u64>>,
        of: Option<&Tag>,
    ) -> Result<Option<Answer>> {
        let policy = &self.store.account.tuning.retry;
        policy.run(|_| self.get(range, of)).await
    }

    /// There are emulators that send no generation with the bytes, and heed none.
    async fn ask_emulator(
        &self,
        range: Option<&Range<u64>>,
        of: Option<&Tag>,
    ) -> Result<Option<Answer>> {
        let attempt = |_| async {
            let meta = self.stat().await?;
            if of.is_some() && meta.tag.as_ref() != of {
                return Err(self.store.folder.overtaken("read", &self.key, meta.tag));
            }
            match self.ask_once(range, of).await? {
                Some(answer) if answer.meta.size != meta.size => {
                    let message = "the object was replaced meanwhile";
                    Err(self.error(ErrorKind::Unavailable, message))
                }
                answer => Ok(answer.map(|answer| Answer { meta, ..answer })),
            }
        };
        self.store.account.tuning.retry.run(attempt).await
    }

    async fn get(
        &self,
        range: Option<&Range<u64>>,
        if_match: Option<&Tag>,
    ) -> Result<Option<Answer>> {
        let store = &self.store;
        let name = encoded_path(&store.folder.full(self.key.as_str()));
        let url = format!("{}/{}/{name}", store.account.endpoint, store.site.bucket);
        // Without it, what was stored compressed is sent decompressed.
        let request = Request::get(url).header(header::ACCEPT_ENCODING, "gzip");
        let mut request = ranged(request, range);
        if let Some(Tag(generation)) = if_match {
            request = request.header("x-goog-if-generation-match", generation);
        }
        let call = store.site.call(
            &store.folder,
            "read",
            "storage.objects.get",
            Some(&self.key),
        );
        let request = call.built(request, Bytes::new())?;
        let sent = store.account.send(request).await;
        let Some(answer) = call.object(sent).await? else {
            return Ok(None);
        };
        let meta = |size, headers: &HeaderMap| Ok(of_headers(&self.key, size, headers));
        call.body(answer, meta).map(Some)
    }
}
