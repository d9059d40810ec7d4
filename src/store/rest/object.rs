//! Reading an object by one `GET`, whose headers have its metadata.

use std::ops::Range;

use http::request::Builder;
use http::{HeaderMap, header};

use super::{Answer, Call, Failure};
use crate::store::resume::{self, part};
use crate::store::{Error, ErrorKind, Meta, Result};

/// A request for these bytes only.
pub(in crate::store) fn ranged(request: Builder, range: Option<&Range<u64>>) -> Builder {
    let Some(Range { start, end }) = range else {
        return request;
    };
    let last = end.saturating_sub(1);
    request.header(header::RANGE, format!("bytes={start}-{last}"))
}

impl Call<'_> {
    /// What came of it, with any status; `None` when the range begins beyond the end.
    pub(in crate::store) async fn object(
        &self,
        sent: Result<Answer, Failure>,
    ) -> Result<Option<Answer>> {
        let answer = sent.map_err(|failure| failure.into_error(self))?;
        if answer.status().is_success() {
            return Ok(Some(answer));
        }
        let failure = Failure::of(answer, self.service).await;
        if failure.status() == Some(416) {
            return Ok(None);
        }
        Err(failure.into_error(self))
    }

    /// The object in an answer: its metadata, made of its size and the headers, and the bytes.
    pub(in crate::store) fn body(
        &self,
        answer: Answer,
        meta: impl FnOnce(u64, &HeaderMap) -> Result<Meta>,
    ) -> Result<resume::Answer> {
        let range = answer.header(header::CONTENT_RANGE.as_str());
        let (part, size) = part(answer.length(), range).map_err(|why| {
            Error::new(ErrorKind::Corrupt, self.operation, why).at(self.store, self.key)
        })?;
        Ok(resume::Answer {
            meta: meta(size, answer.headers())?,
            part,
            body: answer.chunks(),
        })
    }
}
