//! Uploads in parts: a few in flight, each retried alone, none left behind:
//! <https://www.alibabacloud.com/help/en/oss/user-guide/multipart-upload>.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, stream};
use http::Request;
use serde::Deserialize;

use super::OssStore;
use super::meta::{md5_in, tag};
use super::write::{Written, described, forbidding};
use crate::store::incoming::Incoming;
use crate::store::pieces::Piece;
use crate::store::rest::encoded;
use crate::store::{Algorithm, Checksum, ErrorKind, Key, Meta, Result, WriteOptions, xml};

/// The most parts of an object:
/// <https://www.alibabacloud.com/help/en/oss/product-overview/limits-1>.
pub(super) const MOST_PARTS: u64 = 10_000;

/// How many parts are sent at once.
pub(super) const AT_ONCE: usize = 4;

/// An upload that the service keeps, and charges for, until it is completed or aborted; dropping
/// it aborts it.
pub(super) struct Upload<'a> {
    store: &'a OssStore,
    key: &'a Key,
    path: String,
    id: String,
    is_open: bool,
}

/// A part that the service has.
pub(super) struct Part {
    pub number: u64,
    /// Its `ETag` as the service gave it.
    pub etag: String,
}

/// What is still to be sent.
struct Feed<'a> {
    body: &'a mut Incoming,
    first: Option<Piece>,
    number: u64,
    size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Begun {
    upload_id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: String,
}

impl OssStore {
    pub(super) async fn put_parts(
        &self,
        key: &Key,
        path: String,
        first: Piece,
        mut body: Incoming,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let mut upload = self.begin(key, path, options).await?;
        let result = async {
            let (parts, size) = upload.send_all(first, &mut body).await?;
            let crc = body.finish()?;
            let written = Written {
                size,
                seen: Some(crc.clone()),
                crc: Some(crc),
            };
            upload.complete(&parts, &written, options).await
        }
        .await;
        if result.is_err() {
            upload.abort().await;
        }
        result
    }

    /// Begins an upload, with everything that belongs to the object but its bytes.
    pub(super) async fn begin<'a>(
        &'a self,
        key: &'a Key,
        path: String,
        options: &WriteOptions,
    ) -> Result<Upload<'a>> {
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let request = described(Request::post(format!("{path}?uploads")), options);
            let answer = self
                .send_for_xml::<Begun>(request, Bytes::new(), "InitiateMultipartUploadResult")
                .await;
            answer.map_err(|failure| self.write_error(key, failure, options, &uncertain))
        };
        let (Begun { upload_id: id }, _) = self.account.tuning.retry.run(attempt).await?;
        if id.is_empty() {
            let message = "the service began an upload without naming it";
            return Err(self.folder.error(ErrorKind::Corrupt, "write", key, message));
        }
        Ok(Upload {
            store: self,
            key,
            path,
            id,
            is_open: true,
        })
    }
}

impl Upload<'_> {
    /// Sends a body; gives its parts in order, and the number of its bytes.
    async fn send_all(&self, first: Piece, body: &mut Incoming) -> Result<(Vec<Part>, u64)> {
        let feed = Feed {
            size: body.announced(),
            body,
            first: Some(first),
            number: 0,
        };
        let pieces = stream::try_unfold(feed, |feed| self.feed(feed));
        let sending = pieces
            .map_ok(|(number, piece)| async move {
                let size = piece.bytes.len() as u64;
                Ok((self.send(number, piece).await?, size))
            })
            .try_buffer_unordered(AT_ONCE)
            .try_collect();
        // Boxed, because the compiler can't tell later that this is `Send`.
        let sent: Vec<(Part, u64)> = sending.boxed().await?;
        let size = sent.iter().map(|(_, size)| size).sum();
        let mut parts: Vec<Part> = sent.into_iter().map(|(part, _)| part).collect();
        parts.sort_by_key(|part| part.number);
        Ok((parts, size))
    }

    /// The next part, until there is none.
    async fn feed<'b>(&self, mut feed: Feed<'b>) -> Result<Option<((u64, Piece), Feed<'b>)>> {
        let account = &self.store.account;
        let least = account.tuning.part_size;
        // Parts grow with the object when its size is known, else with every thousand of them.
        let size = match feed.size {
            Some(size) => least.max(size.div_ceil(MOST_PARTS - 1)),
            None => least << (feed.number / 1000),
        };
        let piece = match feed.first.take() {
            Some(first) => first,
            None if feed.body.at_end().await? => return Ok(None),
            None => feed.body.next(size, &account.buffers).await?,
        };
        feed.number += 1;
        Ok(Some(((feed.number, piece), feed)))
    }

    async fn send(&self, number: u64, piece: Piece) -> Result<Part> {
        let (store, key) = (self.store, self.key);
        let bytes = piece.bytes.clone();
        // On another thread: here it would hold up the other parts.
        let md5 = tokio::task::spawn_blocking(move || Checksum::of(Algorithm::Md5, &bytes));
        let md5 = md5.await.map_err(|stopped| {
            let message = stopped.to_string();
            store.folder.error(ErrorKind::Other, "write", key, message)
        })?;
        let header = BASE64_STANDARD.encode(&md5.value);
        let url = self.part_url(number);
        let call = store.call("write", "oss:PutObject", Some(key));
        let attempt = |_| async {
            let request = Request::put(&url).header("content-md5", &header);
            let answer = store.send(request, piece.bytes.clone()).await;
            answer.map_err(|failure| failure.into_error(&call))
        };
        let answer = store.account.tuning.retry.run(attempt).await?;
        let etag = answer.header("etag").unwrap_or_default();
        if tag(etag).as_ref().and_then(md5_in) != Some(md5) {
            let message = format!("the service stored other bytes than were sent in part {number}");
            return Err(store
                .folder
                .error(ErrorKind::Corrupt, "write", key, message));
        }
        Ok(Part {
            number,
            etag: etag.to_owned(),
        })
    }

    /// Where a part is sent to.
    pub(super) fn part_url(&self, number: u64) -> String {
        format!(
            "{}?partNumber={number}&uploadId={}",
            self.path,
            encoded(&self.id)
        )
    }

    fn url(&self) -> String {
        format!("{}?uploadId={}", self.path, encoded(&self.id))
    }

    /// Makes the object of its parts.
    pub(super) async fn complete(
        &mut self,
        parts: &[Part],
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let (store, key, url) = (self.store, self.key, self.url());
        let list = Bytes::from(list_of(parts));
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let request = forbidding(Request::post(&url), &options.precondition);
            let answer = store
                .send_for_xml::<Completed>(request, list.clone(), "CompleteMultipartUploadResult")
                .await;
            answer.map_err(|failure| store.write_error(key, failure, options, &uncertain))
        };
        let result = match store.account.tuning.retry.run(attempt).await {
            Ok((completed, headers)) => {
                self.is_open = false;
                store.written(key, &headers, tag(&completed.etag), written, options)
            }
            // A second attempt finds no such upload where the first got through.
            Err(error) if uncertain.load(Ordering::Relaxed) => {
                store.settle(key, written, options, error).await
            }
            Err(error) => Err(error),
        };
        self.is_open &= result.is_err();
        result
    }

    /// Throws away what was sent. A failure is only logged: the write has failed already.
    pub(super) async fn abort(&mut self) {
        if std::mem::take(&mut self.is_open) {
            send_abort(self.store, &self.url()).await;
        }
    }
}

fn list_of(parts: &[Part]) -> String {
    let mut list = String::from("<CompleteMultipartUpload>");
    for Part { number, etag } in parts {
        let etag = xml::escaped(etag);
        // Writing to a String cannot fail.
        let _ = write!(
            list,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        );
    }
    list + "</CompleteMultipartUpload>"
}

async fn send_abort(store: &OssStore, url: &str) {
    match store.send(Request::delete(url), Bytes::new()).await {
        Err(failure) if !failure.is(&["NoSuchUpload"]) => {
            let store = &store.folder.url;
            tracing::warn!(%store, url, ?failure, "an unfinished upload was left behind");
        }
        _ => {}
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let (store, url) = (self.store.clone(), self.url());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { send_abort(&store, &url).await });
        }
    }
}
