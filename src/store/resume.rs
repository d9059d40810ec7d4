//! Reading: one request for the bytes, taken up again from where it broke off.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Body, Error, ErrorKind, Key, Meta, Object, ReadOptions, Result, Tag};

/// How often one body is taken up again, for as long as no byte arrives in between.
const RESUMES: u32 = 5;

/// One object at a service, whose bytes can be asked for.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    /// Asks for these bytes, or for all, of this version; passing troubles are met here. `None`
    /// when the range begins beyond the end.
    async fn ask(&self, range: Option<&Range<u64>>, of: Option<&Tag>) -> Result<Option<Answer>>;

    /// The metadata alone.
    async fn stat(&self) -> Result<Meta>;

    /// The pause before a second try at the rest of a body.
    fn pause(&self) -> Duration;

    /// An error in reading it.
    fn error(&self, kind: ErrorKind, message: &str) -> Error;
}

/// What a service answers.
pub(super) struct Answer {
    /// The metadata; `size` is the whole object's.
    pub meta: Meta,
    /// The bytes that come, of the whole: a service may ignore the range.
    pub part: Range<u64>,
    pub body: BoxStream<'static, Result<Bytes, Broken>>,
}

/// Why a body ended early.
pub(super) enum Broken {
    /// The connection did.
    Off(String),
    /// The bytes aren't those that the service means to send.
    Corrupt(String),
}

/// The bytes that an answer has, of the whole object, and the size of that: by its
/// `Content-Length` and `Content-Range`.
pub(super) fn part(length: Option<u64>, range: Option<&str>) -> Result<(Range<u64>, u64), String> {
    let length = length.ok_or("the answer has no length")?;
    let Some(text) = range else {
        return Ok((0..length, length));
    };
    match content_range(text)
        .and_then(|(first, size)| Some((first..first.checked_add(length)?, size)))
    {
        Some(part) => Ok(part),
        None => Err(format!("the answer has the range '{text}'")),
    }
}

/// `bytes 5-9/20` gives 5 and 20.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, size.parse().ok()?))
}

/// Reads an object.
///
/// # Errors
/// As [`Store::read`](super::Store::read).
pub(super) async fn read(source: impl Source, options: ReadOptions) -> Result<Object> {
    let ReadOptions { range, if_match } = options;
    if range.as_ref().is_some_and(Range::is_empty) {
        return nothing(&source, if_match).await;
    }
    let Some(answer) = source.ask(range.as_ref(), if_match.as_ref()).await? else {
        return nothing(&source, if_match).await;
    };
    let Answer { meta, part, body } = answer;
    let wanted = range.unwrap_or(0..meta.size);
    let rest = wanted.start.min(meta.size)..wanted.end.min(meta.size);
    if part.start > rest.start || part.end < rest.end {
        let message = format!(
            "asked for the bytes {}..{} and got {}..{}",
            rest.start, rest.end, part.start, part.end
        );
        return Err(source.error(ErrorKind::Corrupt, &message));
    }
    let reading = Reading {
        source,
        key: meta.key.clone(),
        tag: meta.tag.clone(),
        body,
        skip: rest.start - part.start,
        rest,
        resumes: 0,
    };
    Ok(Object {
        meta,
        body: reading.into_body(),
    })
}

/// The metadata with no bytes.
async fn nothing(source: &impl Source, if_match: Option<Tag>) -> Result<Object> {
    let meta = source.stat().await?;
    if if_match.is_some() && meta.tag != if_match {
        let found = meta.tag;
        let message = "the object is no longer the version that was asked for";
        return Err(source.error(ErrorKind::PreconditionFailed { found }, message));
    }
    Ok(Object {
        meta,
        body: Bytes::new().into(),
    })
}

/// A read under way.
struct Reading<S> {
    source: S,
    key: Key,
    tag: Option<Tag>,
    body: BoxStream<'static, Result<Bytes, Broken>>,
    /// The next byte to come, and the one after the last.
    rest: Range<u64>,
    /// Bytes that come before the next one, from a service that ignores ranges.
    skip: u64,
    resumes: u32,
}

impl<S: Source> Reading<S> {
    fn into_body(self) -> Body {
        let size = self.rest.end - self.rest.start;
        let stream = stream::try_unfold(Some(self), |state| async move {
            let Some(mut reading) = state else {
                return Ok(None);
            };
            match reading.next().await? {
                Some(chunk) => Ok(Some((chunk, Some(reading)))),
                None => Ok(None),
            }
        });
        Body::stream(Some(size), stream)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.rest.is_empty() {
            match self.body.next().await {
                Some(Ok(chunk)) => {
                    if let Some(chunk) = self.take(chunk) {
                        self.resumes = 0;
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(Broken::Corrupt(why))) => return Err(self.corrupt(&why)),
                Some(Err(Broken::Off(why))) => self.resume(ErrorKind::Unavailable, &why).await?,
                None => self.resume(ErrorKind::Corrupt, "it just ended").await?,
            }
        }
        // What compares checksums does so when it meets the end.
        match self.body.next().await {
            Some(Err(Broken::Corrupt(why))) => Err(self.corrupt(&why)),
            _ => Ok(None),
        }
    }

    /// The part of a chunk that was asked for.
    fn take(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let length = chunk.len() as u64;
        if self.skip >= length {
            self.skip -= length;
            return None;
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
        self.skip = 0;
        let mut chunk = chunk.split_off(skipped);
        let left = self.rest.end - self.rest.start;
        if chunk.len() as u64 > left {
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.rest.start += chunk.len() as u64;
        (!chunk.is_empty()).then_some(chunk)
    }

    async fn resume(&mut self, kind: ErrorKind, why: &str) -> Result<()> {
        self.resumes += 1;
        let Some(tag) = self.tag.clone().filter(|_| self.resumes <= RESUMES) else {
            let left = self.rest.end - self.rest.start;
            let message = format!("the body broke off {left} bytes before its end: {why}");
            return Err(self.source.error(kind, &message));
        };
        tracing::debug!(key = %self.key, from = self.rest.start, why, "taking a read up again");
        tokio::time::sleep(self.source.pause() * (self.resumes - 1)).await;
        let Some(answer) = self.source.ask(Some(&self.rest), Some(&tag)).await? else {
            let message = "the object became shorter";
            return Err(self.source.error(ErrorKind::Corrupt, message));
        };
        if answer.part.start > self.rest.start {
            let message = "the service gave another range";
            return Err(self.source.error(ErrorKind::Corrupt, message));
        }
        self.skip = self.rest.start - answer.part.start;
        self.body = answer.body;
        Ok(())
    }

    fn corrupt(&self, why: &str) -> Error {
        let message = format!("the bytes don't have their checksum: {why}");
        self.source.error(ErrorKind::Corrupt, &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_or_refused() {
        assert_eq!(part(Some(5), Some("bytes 5-9/20")), Ok((5..10, 20)));
        assert_eq!(part(Some(5), None), Ok((0..5, 5)));
        for text in ["bytes */20", "bytes 5-9/*", "5-9/20", ""] {
            assert!(part(Some(5), Some(text)).is_err(), "{text}");
        }
        assert!(part(None, None).is_err());
    }
}
