//! Copying through this process: read here, hash, write there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::Evidence;
use super::copy::{Lane, Trouble, changed_or_failed, conflict_or_failed, effective};
use super::stream::{Expected, agree, sums, tee, wrong_length};
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Object, Precondition, ReadOptions,
    WriteOptions,
};

/// Objects up to this size are held whole while they are written, so that the backend can try
/// again by itself.
const WHOLE: u64 = 8 << 20;
/// All objects that are held whole may add up to this, in KiB.
pub(super) const BUFFERS: usize = 32 << 10;
/// How often a stream that breaks off in the middle is started.
const ATTEMPTS: u32 = 3;

pub(super) struct Written {
    pub(super) meta: Meta,
    pub(super) sums: Vec<Checksum>,
    pub(super) size: u64,
    pub(super) metadata_dropped: bool,
}

/// A try that may be worth another.
struct Broken {
    trouble: Trouble,
    next: Next,
}

enum Next {
    Fail,
    /// What broke off in the body was not yet tried again.
    Again,
    /// The target doesn't check preconditions on this object, as S3 services don't on large ones.
    CheckBefore,
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self {
            trouble,
            next: Next::Fail,
        }
    }
}

impl Lane {
    pub(super) async fn stream(
        &self,
        from: &Meta,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Written, Trouble> {
        let mut attempt = 1;
        let mut precondition = precondition;
        let most = self.able.max_conditional;
        let is_too_large = most.is_some_and(|most| from.size > most);
        if is_too_large || !self.able.can_check(precondition) {
            self.check_target(key, precondition).await?;
        }
        if is_too_large {
            precondition = &Precondition::None;
        }
        loop {
            let broken = match self.stream_once(from, key, precondition).await {
                Ok(written) => return Ok(written),
                Err(broken) => broken,
            };
            match broken.next {
                Next::Again if attempt < ATTEMPTS => {
                    let longest = Duration::from_millis(200 << attempt);
                    tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
                    attempt += 1;
                }
                Next::CheckBefore => {
                    self.check_target(key, precondition).await?;
                    precondition = &Precondition::None;
                }
                Next::Again | Next::Fail => return Err(broken.trouble),
            }
        }
    }

    async fn stream_once(
        &self,
        from: &Meta,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Written, Broken> {
        let _room = self.room_for(from.size).await;
        let options = ReadOptions {
            range: None,
            if_match: from.tag.clone(),
        };
        let Object { meta, body } = match self.source.read(&from.key, options).await {
            Ok(object) => object,
            Err(error) => return Err(changed_or_failed(error).into()),
        };
        let algorithms = self.algorithms(&meta);
        // A source that lists no tags may have grown; what doesn't fit the room streams.
        if meta.size <= WHOLE.min(from.size) {
            self.write_whole(&meta, body, &algorithms, key, precondition)
                .await
        } else {
            self.write_through(&meta, body, algorithms, key, precondition)
                .await
        }
    }

    /// Larger objects stream, and what a stream has under way counts as much as a whole one.
    async fn room_for(&self, size: u64) -> Option<SemaphorePermit<'_>> {
        let permits = u32::try_from(size.min(WHOLE) / 1024).unwrap_or(u32::MAX);
        self.buffers.acquire_many(permits.max(1)).await.ok()
    }

    async fn write_whole(
        &self,
        meta: &Meta,
        body: Body,
        algorithms: &[Algorithm],
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Written, Broken> {
        let bytes = match body.collect(WHOLE).await {
            Ok(bytes) => bytes,
            Err(error) => return Err(in_body(error)),
        };
        let here = |error: Error| in_body(error.at(self.source.url(), Some(meta.key.as_str())));
        if bytes.len() as u64 != meta.size {
            return Err(here(wrong_length(bytes.len() as u64, meta.size)));
        }
        let sums = sums(algorithms, &bytes);
        agree(&sums, meta.checksum.as_ref()).map_err(here)?;
        self.observer.bytes(meta.size);
        loop {
            let mut options = self.write_options(meta, precondition);
            options.checksum = options.checksum.or_else(|| sums.first().cloned());
            let conditional = options.precondition != Precondition::None;
            let body = Body::Bytes(bytes.clone());
            match self.target.write(key, body, options).await {
                Ok(written) => return Ok(self.written(meta, written, sums)),
                Err(error) if conditional && *error.kind() == ErrorKind::Unsupported => {
                    self.no_write_conditions.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(conflict_or_failed(error).into()),
            }
        }
    }

    async fn write_through(
        &self,
        meta: &Meta,
        body: Body,
        algorithms: Vec<Algorithm>,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Written, Broken> {
        let expected = Expected {
            size: meta.size,
            checksum: meta.checksum.clone(),
            algorithms,
        };
        let (body, passed) = tee(body, expected, Arc::clone(&self.observer));
        let mut options = self.write_options(meta, precondition);
        // The body itself ends in an error when it isn't what was announced.
        options.checksum = None;
        let conditional = options.precondition != Precondition::None;
        let outcome = self.target.write(key, body, options).await;
        match (outcome, passed.take()) {
            (_, Some(Err(error))) => Err(in_body(
                error.at(self.source.url(), Some(meta.key.as_str())),
            )),
            (Ok(written), Some(Ok(sums))) => Ok(self.written(meta, written, sums)),
            (Ok(_), None) => {
                let message = "the store says that it is written, but did not take all bytes";
                let error = Error::new(ErrorKind::Corrupt, "write", message)
                    .at(self.target.url(), Some(key.as_str()));
                Err(Trouble::Failed(error).into())
            }
            (Err(error), _) if conditional && *error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "comparing the target before the write instead");
                Err(Broken {
                    trouble: Trouble::Failed(error),
                    next: Next::CheckBefore,
                })
            }
            (Err(error), _) => Err(conflict_or_failed(error).into()),
        }
    }

    fn written(&self, read: &Meta, meta: Meta, sums: Vec<Checksum>) -> Written {
        Written {
            meta,
            sums,
            size: read.size,
            metadata_dropped: !self.able.metadata && !read.user.is_empty(),
        }
    }

    fn write_options(&self, meta: &Meta, precondition: &Precondition) -> WriteOptions {
        let able = self.able.can_check(precondition);
        let mut options = WriteOptions {
            precondition: effective(precondition, able, &self.no_write_conditions),
            believed: precondition.clone(),
            checksum: meta.checksum.clone(),
            ..WriteOptions::default()
        };
        if self.able.metadata {
            options.content_type.clone_from(&meta.content_type);
            options.user.clone_from(&meta.user);
        }
        options
    }

    /// What to hash on the way: what the source publishes, and unless the target verifies writes
    /// by itself what it publishes, or something to read back by.
    fn algorithms(&self, meta: &Meta) -> Vec<Algorithm> {
        let published = meta.checksum.as_ref().map(|checksum| checksum.algorithm);
        let verified = self.able.verified_writes;
        let compared = self.able.checksum.filter(|_| !verified);
        let mut algorithms: Vec<_> = published.into_iter().chain(compared).collect();
        algorithms.dedup();
        let content = self.verify == Evidence::Content && !algorithms.contains(&Algorithm::Sha256);
        if content || (algorithms.is_empty() && !verified) {
            algorithms.push(Algorithm::Sha256);
        }
        algorithms
    }
}

fn in_body(error: Error) -> Broken {
    Broken {
        next: if error.is_retryable() {
            Next::Again
        } else {
            Next::Fail
        },
        trouble: Trouble::Failed(error),
    }
}
