//! Uploads that go on where they were cut off:
//! <https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, header};

use super::GsStore;
use super::error::SERVICE;
use super::meta::Resource;
use super::write::{Wish, Written};
use crate::store::incoming::Incoming;
use crate::store::pieces::Piece;
use crate::store::rest::Failure;
use crate::store::{Error, ErrorKind, Key, Meta, Result, WriteOptions};

/// Chunks but the last are multiples of this, in bytes.
const QUANTUM: u64 = 256 << 10;

/// An upload under way; dropping it before its end leaves nothing but an unfinished upload,
/// which the service forgets after a week.
struct Session<'a> {
    store: &'a GsStore,
    key: &'a Key,
    options: &'a WriteOptions,
    url: String,
    /// Whether an answer was lost.
    uncertain: AtomicBool,
}

/// How far the service is.
enum Progress {
    /// It has this many bytes.
    Has(u64),
    Done(Box<Resource>),
}

impl GsStore {
    pub(super) async fn put_resumably(
        &self,
        key: &Key,
        name: &str,
        first: Piece,
        body: Incoming,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let session = self.begin(key, name, options).await?;
        let result = session.run(first, body).await;
        if result.is_err() {
            session.cancel().await;
        }
        result
    }

    async fn begin<'a>(
        &'a self,
        key: &'a Key,
        name: &str,
        options: &'a WriteOptions,
    ) -> Result<Session<'a>> {
        let url = self.upload_url("resumable", name, options);
        let wish = Bytes::from(Wish::json(options, None));
        let call = self
            .site
            .call(&self.folder, "write", "storage.objects.create", Some(key));
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let json = "application/json; charset=UTF-8";
            let request = Request::post(&url).header(header::CONTENT_TYPE, json);
            let request = call.built(request, wish.clone())?;
            let answer = self.account.call(request).await;
            answer.map_err(|failure| self.write_error(key, failure, options, &uncertain))
        };
        let answer = match self.account.tuning.retry.run(attempt).await {
            Ok(answer) => answer,
            Err(error) if matches!(error.kind(), ErrorKind::PreconditionFailed { .. }) => {
                let found = self.resource_once("write", key).await.ok();
                let found = found.and_then(|now| now.tag());
                return Err(self.folder.overtaken("write", key, found));
            }
            Err(error) => return Err(error),
        };
        let Some(url) = answer.header(header::LOCATION.as_str()) else {
            let message = "the service began an upload without naming it";
            return Err(self.folder.error(ErrorKind::Corrupt, "write", key, message));
        };
        Ok(Session {
            store: self,
            key,
            options,
            url: url.to_owned(),
            uncertain,
        })
    }
}

impl Session<'_> {
    async fn run(&self, first: Piece, mut body: Incoming) -> Result<Meta> {
        let account = &self.store.account;
        let size = account.tuning.part_size.next_multiple_of(QUANTUM);
        let mut offset = 0;
        let mut piece = first;
        while !body.at_end().await? {
            offset = self.send_part(offset, &piece.bytes).await?;
            piece = body.next(size, &account.buffers).await?;
        }
        let written = Written {
            size: offset + piece.bytes.len() as u64,
            sum: body.finish()?,
        };
        let sent = self.send(offset, &piece.bytes, Some(written.size)).await;
        match sent {
            Ok(Progress::Done(resource)) => self.store.written(self.key, *resource, &written).await,
            Ok(Progress::Has(_)) => Err(self.contradicts("it has all bytes and isn't done")),
            Err(error) => {
                let uncertain = self.uncertain.load(Ordering::Relaxed);
                let (store, options) = (self.store, self.options);
                store
                    .settle(self.key, &written, options, error, uncertain)
                    .await
            }
        }
    }

    async fn send_part(&self, offset: u64, bytes: &Bytes) -> Result<u64> {
        match self.send(offset, bytes, None).await? {
            Progress::Has(all) => Ok(all),
            Progress::Done(_) => Err(self.contradicts("it is done before the end")),
        }
    }

    /// Sends bytes until the service has all of them, going on where it is.
    async fn send(&self, offset: u64, bytes: &Bytes, total: Option<u64>) -> Result<Progress> {
        let end = offset + bytes.len() as u64;
        let policy = &self.store.account.tuning.retry;
        let mut has = offset;
        loop {
            let from = has;
            let attempt = |attempt| async move {
                let from = match attempt {
                    1 => from,
                    _ => match self.ask(self.bytes(None, total, Bytes::new())).await? {
                        Progress::Has(now) => now.max(from),
                        done @ Progress::Done(_) => return Ok(done),
                    },
                };
                let start = usize::try_from(from - offset).unwrap_or(usize::MAX);
                let rest = bytes.slice(start.min(bytes.len())..);
                self.ask(self.bytes(Some(from..end), total, rest)).await
            };
            match policy.run(attempt).await? {
                Progress::Has(now) if now == end && total.is_none() => {
                    return Ok(Progress::Has(now));
                }
                Progress::Has(now) if now <= from || now > end => {
                    return Err(self.contradicts(&format!("it has {now} of {end} bytes")));
                }
                Progress::Has(now) => has = now,
                done @ Progress::Done(_) => return Ok(done),
            }
        }
    }

    /// A request with bytes, or without a range one that asks how far the service is.
    fn bytes(
        &self,
        range: Option<Range<u64>>,
        total: Option<u64>,
        bytes: Bytes,
    ) -> (http::request::Builder, Bytes) {
        let total = total.map_or("*".to_owned(), |total| total.to_string());
        let range = match range {
            Some(range) if !range.is_empty() => format!("{}-{}", range.start, range.end - 1),
            _ => "*".to_owned(),
        };
        let content_range = format!("bytes {range}/{total}");
        let request = Request::put(&self.url).header(header::CONTENT_RANGE, content_range);
        (request, bytes)
    }

    async fn ask(&self, (request, bytes): (http::request::Builder, Bytes)) -> Result<Progress> {
        let (store, key) = (self.store, self.key);
        let call = store
            .site
            .call(&store.folder, "write", "storage.objects.create", Some(key));
        let request = call.built(request, bytes)?;
        let fail = |failure| store.write_error(key, failure, self.options, &self.uncertain);
        let answer = store.account.send(request).await.map_err(fail)?;
        match answer.status().as_u16() {
            308 => {
                let range = answer.header(header::RANGE.as_str());
                match range.map(|text| text.rsplit_once('-')) {
                    // Nothing has arrived yet.
                    None => Ok(Progress::Has(0)),
                    Some(Some((_, last))) if last.parse::<u64>().is_ok() => Ok(Progress::Has(
                        last.parse::<u64>().map_or(0, |last| last + 1),
                    )),
                    Some(_) => Err(self.contradicts("it tells no range")),
                }
            }
            200..300 => {
                let resource = store.json::<Resource>(answer).await.map_err(fail)?;
                Ok(Progress::Done(Box::new(resource)))
            }
            _ => Err(fail(Failure::of(answer, &SERVICE).await)),
        }
    }

    fn contradicts(&self, what: &str) -> Error {
        let message = format!("the service contradicts itself over the upload: {what}");
        self.store
            .folder
            .error(ErrorKind::Corrupt, "write", self.key, message)
    }

    async fn cancel(&self) {
        let call = self.store.site.call(
            &self.store.folder,
            "write",
            "storage.objects.create",
            Some(self.key),
        );
        let request = call.built(Request::delete(&self.url), Bytes::new());
        if let Ok(request) = request
            && let Err(failure) = self.store.account.send(request).await
        {
            tracing::debug!(key = %self.key, ?failure, "an unfinished upload was not cancelled");
        }
    }
}
