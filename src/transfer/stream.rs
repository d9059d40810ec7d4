//! Bytes on their way from one store to another: hashed, counted and held to what was announced.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::Observer;
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Hasher, Meta, ReadOptions, Result, Store,
};

/// Reads an object of the listed version and gives its checksum.
pub(super) async fn digest(
    store: &dyn Store,
    meta: &Meta,
    algorithm: Algorithm,
) -> Result<Checksum> {
    let options = ReadOptions {
        if_match: meta.tag.clone(),
        range: None,
    };
    let object = store.read(&meta.key, options).await?;
    let expected = object.meta.size;
    let mut hasher = Hasher::new(algorithm);
    let mut seen = 0;
    let mut chunks = object.body.into_stream();
    while let Some(chunk) = chunks.next().await.transpose()? {
        seen += chunk.len() as u64;
        hasher.update(&chunk);
    }
    if seen != expected {
        return Err(wrong_length(seen, expected).at(store.url(), Some(meta.key.as_str())));
    }
    Ok(hasher.finish())
}

pub(super) fn wrong_length(seen: u64, expected: u64) -> Error {
    let message = format!("{seen} bytes arrived, and {expected} were announced");
    Error::new(ErrorKind::Corrupt, "read", message)
}

pub(super) fn wrong_checksum(found: &Checksum, expected: &Checksum) -> Error {
    let message = format!(
        "the bytes have the {} {}, and the store publishes {}",
        expected.algorithm.name(),
        found.hex(),
        expected.hex()
    );
    Error::new(ErrorKind::Corrupt, "read", message)
}

/// The checksums of `bytes`.
pub(super) fn sums(algorithms: &[Algorithm], bytes: &[u8]) -> Vec<Checksum> {
    let of = |algorithm: &Algorithm| Checksum::of(*algorithm, bytes);
    algorithms.iter().map(of).collect()
}

/// Holds computed checksums against a published one.
pub(super) fn agree(sums: &[Checksum], published: Option<&Checksum>) -> Result<()> {
    let Some(published) = published else {
        return Ok(());
    };
    match sums.iter().find(|sum| sum.algorithm == published.algorithm) {
        Some(sum) if sum != published => Err(wrong_checksum(sum, published)),
        _ => Ok(()),
    }
}

/// What is known of a stream when it is through: its checksums, or why it broke off. Backends
/// wrap what a body says in their own errors, so its own word is kept here.
#[derive(Clone, Default)]
pub(super) struct Passed(Arc<Mutex<Option<Result<Vec<Checksum>>>>>);

impl Passed {
    fn set(&self, outcome: Result<Vec<Checksum>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    pub(super) fn take(&self) -> Option<Result<Vec<Checksum>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the bytes of an object must turn out to be.
pub(super) struct Expected {
    pub(super) size: u64,
    pub(super) checksum: Option<Checksum>,
    pub(super) algorithms: Vec<Algorithm>,
}

struct Tee {
    inner: BoxStream<'static, Result<Bytes>>,
    hashers: Vec<Hasher>,
    expected: Expected,
    seen: u64,
    /// One chunk stays behind until all is known to be right, so that bad bytes are never
    /// complete on the other side.
    held: Option<Bytes>,
    passed: Passed,
    observer: Arc<dyn Observer>,
}

/// A body that fails instead of ending when its bytes are not the expected ones.
pub(super) fn tee(body: Body, expected: Expected, observer: Arc<dyn Observer>) -> (Body, Passed) {
    let passed = Passed::default();
    let size = expected.size;
    let tee = Tee {
        inner: body.into_stream(),
        hashers: expected
            .algorithms
            .iter()
            .map(|a| Hasher::new(*a))
            .collect(),
        expected,
        seen: 0,
        held: None,
        passed: passed.clone(),
        observer,
    };
    let chunks = stream::unfold(Some(tee), async |tee| tee?.next().await);
    (Body::stream(Some(size), chunks), passed)
}

impl Tee {
    async fn next(mut self) -> Option<(Result<Bytes>, Option<Self>)> {
        loop {
            match self.inner.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.take(&chunk);
                    if self.seen > self.expected.size {
                        let error = wrong_length(self.seen, self.expected.size);
                        return Some(self.fail(error));
                    }
                    if let Some(ready) = self.held.replace(chunk) {
                        return Some((Ok(ready), Some(self)));
                    }
                }
                Some(Err(error)) => return Some(self.fail(error)),
                None => return self.end(),
            }
        }
    }

    fn take(&mut self, chunk: &Bytes) {
        self.seen += chunk.len() as u64;
        for hasher in &mut self.hashers {
            hasher.update(chunk);
        }
        self.observer.bytes(chunk.len() as u64);
    }

    fn fail(self, error: Error) -> (Result<Bytes>, Option<Self>) {
        self.passed.set(Err(error.clone()));
        (Err(error), None)
    }

    fn end(mut self) -> Option<(Result<Bytes>, Option<Self>)> {
        if self.seen != self.expected.size {
            let error = wrong_length(self.seen, self.expected.size);
            return Some(self.fail(error));
        }
        let sums: Vec<_> = std::mem::take(&mut self.hashers)
            .into_iter()
            .map(Hasher::finish)
            .collect();
        if let Err(error) = agree(&sums, self.expected.checksum.as_ref()) {
            return Some(self.fail(error));
        }
        self.passed.set(Ok(sums));
        self.held.map(|last| (Ok(last), None))
    }
}
