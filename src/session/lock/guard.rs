//! A lock in the hands of whoever took it.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::held::{Entry, Held, Locks};
use super::record::Record;
use crate::store::Result;

/// A lock that is held. Dropping it gives it back, a moment later; [`release`](Self::release)
/// waits for that.
pub struct Guard {
    record: Record,
    name: String,
    held: Arc<Held>,
    locks: Arc<Locks>,
    task: Option<Task>,
    /// In a rehearsal the place itself, as there is no task to keep it.
    _rehearsed: Option<Entry>,
}

/// What renews the lock and gives it back.
struct Task {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Guard {
    pub(super) fn new(
        record: Record,
        held: Arc<Held>,
        locks: Arc<Locks>,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<()>,
    ) -> Self {
        Self {
            name: held.name.clone(),
            record,
            held,
            locks,
            task: Some(Task { stop, ended }),
            _rehearsed: None,
        }
    }

    /// A lock that nobody but this run knows of.
    pub(super) fn rehearsed(record: Record, entry: Entry) -> Self {
        Self {
            name: entry.held.name.clone(),
            record,
            held: Arc::clone(&entry.held),
            locks: entry.locks(),
            task: None,
            _rehearsed: Some(entry),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its object says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Does some work under the lock, and gives it back. When the lock is lost, the work is
    /// dropped where it stands.
    ///
    /// # Errors
    /// [`ErrorKind::LockLost`](crate::store::ErrorKind::LockLost).
    pub async fn protect<T>(self, work: impl Future<Output = T>) -> Result<T> {
        let held = Arc::clone(&self.held);
        let result = tokio::select! {
            biased;
            reason = held.wait_until_lost() => Err(held.error("go on", &reason)),
            result = work => Ok(result),
        };
        self.release().await;
        result
    }

    /// Gives the lock back, and waits until that is done.
    pub async fn release(mut self) {
        if let Some(Task { stop, ended }) = self.task.take() {
            self.locks.end(&self.held);
            drop(stop);
            // It says by itself what went wrong.
            let _ = ended.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.locks.end(&self.held);
    }
}
