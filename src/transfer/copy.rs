//! One object from store to store: on the server where that works, else through this process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::Semaphore;

use super::compare::{Verdict, judge, settle};
use super::relay::{BUFFERS, Written};
use super::stream::digest;
use super::{Evidence, Method, Observer};
use crate::store::{
    Capabilities, Checksum, Error, ErrorKind, Key, Meta, Precondition, Store, Tag, WriteOptions,
};

/// How many proofs are remembered from pass to pass.
const PROOFS: usize = 1 << 14;

/// Which way an object's bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The service copied them by itself.
    Server,
    /// Through this process.
    Streamed,
}

/// A copy that was made and verified.
#[derive(Clone, Debug)]
pub struct Copied {
    /// What is in the target now.
    pub meta: Meta,
    /// Which way the bytes went.
    pub route: Route,
    /// How the copy was verified.
    pub method: Method,
    /// The object has user metadata that the target can't keep.
    pub metadata_dropped: bool,
}

/// Copies one object: version `from` of `source` to `key` of `target`, verified. The
/// precondition is on the target; one that the target can't check at the moment of the write is
/// checked just before it.
///
/// # Errors
/// A conflict when the precondition doesn't hold or the source is no longer that version,
/// [`ErrorKind::Corrupt`] when the copy isn't what the source says; else the stores' own.
pub async fn copy_object(
    source: &Arc<dyn Store>,
    from: &Meta,
    target: &Arc<dyn Store>,
    key: &Key,
    precondition: &Precondition,
    verify: Evidence,
) -> Result<Copied, Error> {
    let lane = Lane::new(source, target, verify, Arc::new(()));
    let copied = async {
        lane.check_target(key, precondition).await?;
        lane.copy(from, key, precondition).await
    };
    match copied.await {
        Ok(copied) => Ok(copied),
        Err(Trouble::Changed(error) | Trouble::Conflict(error) | Trouble::Failed(error)) => {
            Err(error)
        }
    }
}

/// Why an object wasn't copied.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The source is no longer the version that was listed.
    Changed(Error),
    /// The target is not in the state that was listed.
    Conflict(Error),
    Failed(Error),
}

/// The way from one store to another, with what was learned about it on the way.
pub(super) struct Lane {
    pub(super) source: Arc<dyn Store>,
    pub(super) target: Arc<dyn Store>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) able: Capabilities,
    pub(super) verify: Evidence,
    pub(super) buffers: Semaphore,
    copies: AtomicBool,
    never_copies: AtomicBool,
    no_copy_conditions: AtomicBool,
    pub(super) no_write_conditions: AtomicBool,
    proofs: Mutex<HashMap<Key, (Tag, Tag)>>,
}

impl Lane {
    pub(super) fn new(
        source: &Arc<dyn Store>,
        target: &Arc<dyn Store>,
        verify: Evidence,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            source: Arc::clone(source),
            target: Arc::clone(target),
            observer,
            able: target.capabilities(),
            verify,
            buffers: Semaphore::new(BUFFERS),
            copies: AtomicBool::new(false),
            never_copies: AtomicBool::new(false),
            no_copy_conditions: AtomicBool::new(false),
            no_write_conditions: AtomicBool::new(false),
            proofs: Mutex::default(),
        }
    }

    pub(super) async fn copy(
        &self,
        from: &Meta,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Copied, Trouble> {
        if let Some(meta) = self.on_server(from, key, precondition).await? {
            let method = self.verify_server_copy(from, &meta).await?;
            self.observer.bytes(from.size);
            self.remember(from, &meta, method);
            return Ok(Copied {
                meta,
                route: Route::Server,
                method,
                metadata_dropped: false,
            });
        }
        let written = self.stream(from, key, precondition).await?;
        let method = self.verify_written(&written).await?;
        self.remember(from, &written.meta, method);
        Ok(Copied {
            meta: written.meta,
            route: Route::Streamed,
            method,
            metadata_dropped: written.metadata_dropped,
        })
    }

    async fn on_server(
        &self,
        from: &Meta,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Option<Meta>, Trouble> {
        loop {
            if !self.able.server_copy || self.never_copies.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let able = self.able.copy_conditions && self.able.can_check(precondition);
            let checked = effective(precondition, able, &self.no_copy_conditions);
            let conditional = checked != Precondition::None;
            let options = WriteOptions {
                precondition: checked,
                believed: precondition.clone(),
                ..WriteOptions::default()
            };
            let copy = self.target.copy_from(&self.source, from, key, &options);
            let error = match copy.await {
                Ok(Some(meta)) => {
                    self.copies.store(true, Ordering::Relaxed);
                    return Ok(Some(meta));
                }
                Ok(None) => {
                    self.give_up_copying();
                    return Ok(None);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Unsupported if conditional => {
                    self.no_copy_conditions.store(true, Ordering::Relaxed);
                }
                // One login may read and write where the other may not: stream with both.
                ErrorKind::Unsupported | ErrorKind::PermissionDenied { .. } => {
                    tracing::debug!(%error, "no server-side copy here, streaming");
                    self.give_up_copying();
                    return Ok(None);
                }
                _ => return Err(self.sort(error, from).await),
            }
        }
    }

    /// Whether a precondition holds now: what can be known where the target doesn't compare at
    /// the moment of the write.
    pub(super) async fn check_target(
        &self,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<(), Trouble> {
        if *precondition == Precondition::None {
            return Ok(());
        }
        let now = self.target.find(key).await.map_err(Trouble::Failed)?;
        let found = now.as_ref().and_then(|now| now.tag.clone());
        let (kind, message) = match (precondition, now) {
            (Precondition::IfAbsent, Some(_)) => {
                (ErrorKind::AlreadyExists, "the object exists already")
            }
            (Precondition::IfMatch(tag), _) if found.as_ref() != Some(tag) => (
                ErrorKind::PreconditionFailed { found },
                "the object is no longer the version that was listed",
            ),
            _ => return Ok(()),
        };
        let error = Error::new(kind, "copy", message).at(self.target.url(), Some(key.as_str()));
        Err(Trouble::Conflict(error))
    }

    /// A way that has worked once is tried for each object again.
    fn give_up_copying(&self) {
        if !self.copies.load(Ordering::Relaxed) {
            self.never_copies.store(true, Ordering::Relaxed);
        }
    }

    async fn verify_server_copy(&self, from: &Meta, written: &Meta) -> Result<Method, Trouble> {
        if written.size != from.size {
            return Err(self.damaged(written));
        }
        let ends = ((&*self.source, from), (&*self.target, written));
        let listed = from.checksum.as_ref().map(|checksum| checksum.algorithm);
        let stored = written.checksum.as_ref().map(|checksum| checksum.algorithm);
        if self.verify == Evidence::Checksum {
            if judge(from, written, self.verify) == Verdict::Same {
                return Ok(Method::Checksum);
            }
            // Where checksums are published but not for this one (S3: what came in parts), the
            // bytes never left the service; where none are (files), reading is all there is.
            if self.able.checksum.is_some() && (listed.is_none() || listed != stored) {
                return Ok(Method::Size);
            }
        }
        match settle(ends.0, ends.1, self.verify).await {
            Ok(Some(method)) => Ok(method),
            Ok(None) => Err(self.damaged(written)),
            Err(error) => Err(changed_or_failed(error)),
        }
    }

    async fn verify_written(&self, written: &Written) -> Result<Method, Trouble> {
        let Written {
            meta, sums, size, ..
        } = written;
        if meta.size != *size {
            return Err(self.damaged(meta));
        }
        let published = meta.checksum.as_ref();
        let matches = |sum: &&Checksum| published.is_some_and(|p| p.algorithm == sum.algorithm);
        let same = match sums.iter().find(matches) {
            Some(sum) => published == Some(sum),
            None => self.able.verified_writes,
        };
        if self.verify == Evidence::Checksum && same {
            return Ok(Method::Checksum);
        }
        // The last one is SHA-256 when the content itself is asked for.
        let Some(sum) = sums.last() else {
            return Err(self.damaged(meta));
        };
        match digest(&*self.target, meta, sum.algorithm).await {
            Ok(found) if found == *sum => Ok(Method::Content),
            Ok(_) => Err(self.damaged(meta)),
            Err(error) => Err(conflict_or_failed(error)),
        }
    }

    fn damaged(&self, meta: &Meta) -> Trouble {
        let message = "the copy is not the same as the source";
        let error = Error::new(ErrorKind::Corrupt, "verify", message)
            .at(self.target.url(), Some(meta.key.as_str()))
            .hint("don't use this copy; run the transfer again to replace it");
        Trouble::Failed(error)
    }

    /// A failed server-side copy may be about either end.
    async fn sort(&self, error: Error, from: &Meta) -> Trouble {
        match error.kind() {
            ErrorKind::AlreadyExists => Trouble::Conflict(error),
            ErrorKind::NotFound if error.is_missing_key() => Trouble::Changed(error),
            ErrorKind::PreconditionFailed { .. } => match self.source.stat(&from.key).await {
                // A source without listed tags can't have been held to one.
                Ok(now) if from.tag.is_none() || now.tag == from.tag => Trouble::Conflict(error),
                _ => Trouble::Changed(error),
            },
            _ => Trouble::Failed(error),
        }
    }

    /// Keeps what only reading can prove, so that the next pass need not read again.
    pub(super) fn remember(&self, source: &Meta, target: &Meta, method: Method) {
        let (Some(from), Some(to)) = (&source.tag, &target.tag) else {
            return;
        };
        let mut proofs = self.proofs();
        if method != Method::Checksum && proofs.len() < PROOFS {
            proofs.insert(source.key.clone(), (from.clone(), to.clone()));
        }
    }

    /// Whether these very versions were found the same before.
    pub(super) fn remembers(&self, source: &Meta, target: &Meta) -> bool {
        let proofs = self.proofs();
        let known = proofs.get(&source.key);
        known.is_some_and(|(from, to)| {
            source.tag.as_ref() == Some(from) && target.tag.as_ref() == Some(to)
        })
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<Key, (Tag, Tag)>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn effective(wanted: &Precondition, able: bool, refused: &AtomicBool) -> Precondition {
    if able && !refused.load(Ordering::Relaxed) {
        return wanted.clone();
    }
    Precondition::None
}

pub(super) fn changed_or_failed(error: Error) -> Trouble {
    if error.is_conflict() || error.is_missing_key() {
        return Trouble::Changed(error);
    }
    Trouble::Failed(error)
}

pub(super) fn conflict_or_failed(error: Error) -> Trouble {
    if error.is_conflict() {
        return Trouble::Conflict(error);
    }
    Trouble::Failed(error)
}
