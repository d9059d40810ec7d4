//! Writing: `Put Blob` for what is no longer than a part, else blocks. Either ends in one request
//! with which the object appears, under the condition.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Builder;
use http::{Request, header};

use super::AzureStore;
use super::error::{NO_BLOCKS, OTHER_BLOCKS};
use super::meta::{modified, quoted, tag, user_of, with_user};
use crate::store::incoming::Incoming;
use crate::store::mark::{MARK, marked, unmarked};
use crate::store::rest::{Answer, Failure};
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// kOps writes this type.
const OCTETS: &str = "application/octet-stream";

/// The largest body in bytes that goes up in one request when it is in memory anyway. Whoever else
/// writes the object at the same time would drop its blocks.
const IN_MEMORY: u64 = 32 << 20;

/// What is there when a write got through.
pub(super) struct Written {
    pub size: u64,
    /// The MD5 of all bytes, where it is known.
    pub md5: Option<Checksum>,
}

impl AzureStore {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        let options = &marked(options);
        self.check_name("write", key)?;
        let announced = body.size();
        let account = &self.account;
        let limit = match &body {
            Body::Bytes(_) => account.tuning.part_size.max(IN_MEMORY),
            Body::Stream { .. } => account.tuning.part_size,
        };
        let mut body = Incoming::new(body, options, Algorithm::Md5, (&self.folder.url, key));
        let first = body.next(limit, &account.buffers).await?;
        if !body.at_end().await? {
            let blocks = self.put_blocks(key, first, body, announced).await?;
            return self.commit_blocks(key, blocks, options).await;
        }
        let written = Written {
            size: first.bytes.len() as u64,
            md5: Some(body.finish()?),
        };
        let url = self.blob_url(key);
        let request = || Request::put(&url).header("x-ms-blob-type", "BlockBlob");
        self.commit(key, request, first.bytes.clone(), &written, options)
            .await
    }

    /// The request with which the object appears.
    pub(super) async fn commit(
        &self,
        key: &Key,
        request: impl Fn() -> Builder,
        body: Bytes,
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let uncertain = AtomicBool::new(false);
        let call = self.call("write", super::WRITE, Some(key));
        let sum = base64(&Checksum::of(Algorithm::Md5, &body));
        let attempt = |_| async {
            let mut request = request()
                .header("content-md5", &sum)
                .header("x-ms-blob-content-type", content_type(options));
            if let Some(md5) = &written.md5 {
                request = request.header("x-ms-blob-content-md5", base64(md5));
            }
            let request = with_user(conditional(request, &options.precondition), &options.user);
            let request = call.built(request, body.clone())?;
            let answer = self.account.call(request).await;
            answer.map_err(|failure| self.write_error("write", key, failure, options, &uncertain))
        };
        match self.account.tuning.retry.run(attempt).await {
            Ok(answer) => self.written(key, &answer, written, options),
            Err(error) => {
                let uncertain = uncertain.load(Ordering::Relaxed);
                self.settle(key, written, options, error, uncertain).await
            }
        }
    }

    /// What a failed write or copy means under its precondition.
    pub(super) fn write_error(
        &self,
        operation: &'static str,
        key: &Key,
        failure: Failure,
        options: &WriteOptions,
        uncertain: &AtomicBool,
    ) -> Error {
        uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
        if failure.is(&[NO_BLOCKS]) {
            let message =
                "somebody else wrote the object during the upload, which drops its blocks";
            let kind = ErrorKind::PreconditionFailed { found: None };
            return self.folder.error(kind, operation, key, message);
        }
        let is_crowded = failure.is(&[OTHER_BLOCKS]);
        let is_gone = failure.status() == Some(404) && !failure.is(self.site.service.no_bucket);
        let error = failure.into_error(&self.call(operation, super::WRITE, Some(key)));
        match (&options.precondition, error.kind()) {
            (Precondition::IfAbsent, ErrorKind::PreconditionFailed { .. }) => {
                self.folder.exists(operation, key)
            }
            (Precondition::IfMatch(_), _) if is_gone => self.folder.overtaken(operation, key, None),
            _ if is_crowded => error.hint(
                "another program's upload to this name was left unfinished: write something short \
                 there, or wait a week, until the service drops its blocks",
            ),
            _ => error,
        }
    }

    /// A conditional write was refused: finds out by whom it was beaten. When an earlier
    /// attempt's outcome is unknown, that may be itself.
    async fn settle(
        &self,
        key: &Key,
        written: &Written,
        options: &WriteOptions,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Meta> {
        let is_match = matches!(options.precondition, Precondition::IfMatch(_));
        let mark = options.user.get(MARK).filter(|_| uncertain);
        if !refusal.is_conflict() || !(mark.is_some() || is_match) {
            return Err(refusal);
        }
        let now = match self.head_answer("write", key).await {
            Ok(now) => now,
            Err(error) if error.is_missing_key() && is_match => {
                return Err(self.folder.overtaken("write", key, None));
            }
            Err(_) => return Err(refusal),
        };
        if mark.is_some() && user_of(now.headers()).get(MARK) == mark {
            return self.written(key, &now, written, options);
        }
        if is_match {
            Err(self.folder.overtaken("write", key, etag(&now)))
        } else {
            Err(refusal)
        }
    }

    /// The metadata of a write. The service has compared the bytes with the checksums sent.
    fn written(
        &self,
        key: &Key,
        answer: &Answer,
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let tag = etag(answer).ok_or_else(|| self.no_tag("write", key))?;
        let at = answer.header(header::LAST_MODIFIED.as_str());
        Ok(Meta {
            modified: at.and_then(modified),
            tag: Some(tag),
            checksum: written.md5.clone(),
            content_type: Some(content_type(options)),
            user: unmarked(&options.user),
            ..Meta::new(key.clone(), written.size)
        })
    }
}

/// A checksum as headers have it.
pub(super) fn base64(sum: &Checksum) -> String {
    BASE64_STANDARD.encode(&sum.value)
}

/// The content type, with blanks as the service signs them.
fn content_type(options: &WriteOptions) -> String {
    let words = options.content_type.as_deref().unwrap_or(OCTETS);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn etag(answer: &Answer) -> Option<Tag> {
    answer.header(header::ETAG.as_str()).and_then(tag)
}

/// The condition as headers.
pub(super) fn conditional(request: Builder, precondition: &Precondition) -> Builder {
    match precondition {
        Precondition::None => request,
        Precondition::IfAbsent => request.header(header::IF_NONE_MATCH, "*"),
        Precondition::IfMatch(tag) => request.header(header::IF_MATCH, quoted(tag)),
    }
}
