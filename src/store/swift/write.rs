//! Writing: one request for what is no longer than a part, else segments.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Builder;
use http::{Request, Response, StatusCode, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{SwiftStore, WRITE, meta};
use crate::store::incoming::Incoming;
use crate::store::rest::Call;
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// kOps writes this type.
const OCTETS: &str = "application/octet-stream";

/// What must have been stored when a write got through.
pub(super) struct Written {
    pub size: u64,
    pub tag: Tag,
    pub sum: Option<Checksum>,
}

/// A write that failed.
pub(super) struct Unwritten {
    pub error: Error,
    /// Whether the object may be there all the same.
    pub uncertain: bool,
}

impl Written {
    pub(super) fn of(size: u64, sum: Checksum) -> Self {
        Self {
            size,
            tag: Tag(sum.hex()),
            sum: Some(sum),
        }
    }
}

impl SwiftStore {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        self.check_condition("write", key, &options.precondition)?;
        let name = self.new_name("write", key)?;
        let mut body = Incoming::new(body, options, Algorithm::Md5, (&self.folder.url, key));
        let account = &self.account;
        let first = body
            .next(account.tuning.part_size, &account.buffers)
            .await?;
        if !body.at_end().await? {
            return self.put_segments(key, &name, first, body, options).await;
        }
        let written = Written::of(first.bytes.len() as u64, body.finish()?);
        let old = self.segments_of(key, &name, options).await?;
        let request = || Request::put(self.path(&name)).header(header::ETAG, &written.tag.0);
        let meta = self
            .put_as(
                (key, &name),
                request,
                first.bytes.clone(),
                &written,
                options,
            )
            .await
            .map_err(|failed| failed.error)?;
        self.forget(&name, old).await;
        Ok(meta)
    }

    /// Sends what makes the object of this full name, until it is there.
    pub(super) async fn put_as(
        &self,
        (key, name): (&Key, &str),
        request: impl Fn() -> Builder,
        body: Bytes,
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta, Unwritten> {
        let call = self.call("write", WRITE, Some(key));
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let mut request =
                dressed(request(), options).header(header::CONTENT_LENGTH, body.len());
            if is_new(options) {
                // What exists is refused, though of many that create an object several may win.
                request = request.header(header::IF_NONE_MATCH, "*");
            }
            match self.once(request, body.clone()).await {
                Ok(answer) if is_stored(&answer) => Ok(answer.into_parts().0.headers),
                Ok(_) => {
                    uncertain.store(true, Ordering::Relaxed);
                    self.what_is_there(&call, name, Some(&written.tag)).await
                }
                Err(failure) => {
                    uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
                    Err(self.error(failure, &call).await)
                }
            }
        };
        let error = match self.account.tuning.retry.run(attempt).await {
            Ok(headers) => match self.written(key, &headers, written, options) {
                Ok(meta) => return Ok(meta),
                Err(error) => {
                    uncertain.store(true, Ordering::Relaxed);
                    error
                }
            },
            Err(error) if error.is_conflict() && is_new(options) => {
                // It may have met an earlier attempt of its own, whose answer was lost.
                if uncertain.load(Ordering::Relaxed)
                    && let Ok(now) = self.head("write", key).await
                    && now.tag.as_ref() == Some(&written.tag)
                {
                    return Ok(now);
                }
                self.folder.exists("write", key)
            }
            Err(error) => error,
        };
        Err(Unwritten {
            error,
            uncertain: uncertain.into_inner(),
        })
    }

    /// The headers of what is there when nothing was stored, if it is this all the same: from an
    /// earlier attempt.
    pub(super) async fn what_is_there(
        &self,
        call: &Call<'_>,
        name: &str,
        tag: Option<&Tag>,
    ) -> Result<HeaderMap> {
        let there = self.newest(*call, name).await;
        if let Ok(headers) = &there
            && tag.is_some()
            && meta::tag_in(headers).as_ref() == tag
        {
            return there;
        }
        let message = "the service stored nothing (HTTP 202): it has a newer version, from \
                       somebody else or by the clock of another of its servers";
        Err(Error::new(ErrorKind::Unavailable, call.operation, message)
            .at(&self.folder.url, call.key))
    }

    /// The metadata of a write, after comparing what the service says it stored.
    pub(super) fn written(
        &self,
        key: &Key,
        headers: &HeaderMap,
        written: &Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        if meta::tag_in(headers).as_ref() != Some(&written.tag) {
            let message = "the service stored something else than was sent: the ETags differ";
            return Err(self
                .folder
                .error(ErrorKind::Corrupt, "write", key, message)
                .hint("write the object again, and look what stands between (a proxy)"));
        }
        let modified = headers.get(header::LAST_MODIFIED);
        let modified = modified.and_then(|value| value.to_str().ok());
        let modified = modified.and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok());
        let content_type = options.content_type.as_deref().unwrap_or(OCTETS);
        Ok(Meta {
            modified: modified.map(Into::into),
            tag: Some(written.tag.clone()),
            checksum: written.sum.clone(),
            content_type: Some(content_type.to_owned()),
            user: options.user.clone(),
            ..Meta::new(key.clone(), written.size)
        })
    }
}

/// Whether the service has stored what it was sent. Where it has a newer version already, by the
/// clock of another server, it stores nothing and answers 202, without a tag:
/// <https://docs.openstack.org/swift/latest/overview_architecture.html>.
pub(super) fn is_stored(answer: &Response<Bytes>) -> bool {
    answer.status() != StatusCode::ACCEPTED && answer.headers().contains_key(header::ETAG)
}

/// Whether the caller has seen that there is no object.
pub(super) fn is_new(options: &WriteOptions) -> bool {
    options.believed == Precondition::IfAbsent
}

/// A request with what belongs to an object but its bytes.
pub(super) fn dressed(request: Builder, options: &WriteOptions) -> Builder {
    let content_type = options.content_type.as_deref().unwrap_or(OCTETS);
    let request = request.header(header::CONTENT_TYPE, content_type);
    options.user.iter().fold(request, |request, (name, value)| {
        request.header(format!("{}{name}", meta::USER), value.as_bytes())
    })
}
