//! What every write of a run passes, whatever becomes of it: the layer of a rehearsal or a store.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::lock::Locks;
use super::permissions::Grants;
use crate::store::{Body, Key, Result, Store};

/// The conditions under which a run may write.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) grants: Grants,
    pub(super) locks: Arc<Locks>,
}

impl Gate {
    /// Lets a write, copy or delete through.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`](crate::store::ErrorKind::PermissionDenied) with the flag
    /// that would allow it, [`ErrorKind::LockLost`](crate::store::ErrorKind::LockLost) when the
    /// run lost a lock and what that protects has not ended yet.
    pub(super) fn admit(&self, verb: &'static str, store: &dyn Store, key: &Key) -> Result<()> {
        self.grants.check_write(verb, store, key)?;
        self.locks.check(verb, store, key)
    }

    /// A body that takes its time fails when a lock is lost meanwhile, at its very end too: what
    /// was sent of it by then is never made an object.
    pub(super) fn follow(&self, store: &Arc<dyn Store>, key: &Key, body: Body) -> Body {
        if matches!(body, Body::Bytes(_)) || !self.locks.any() {
            return body;
        }
        let (locks, store, key) = (Arc::clone(&self.locks), Arc::clone(store), key.clone());
        let end = stream::iter([Ok(Bytes::new())]);
        let size = body.size();
        let chunks = body.into_stream().chain(end).map(move |chunk| {
            locks.check("write", &*store, &key)?;
            chunk
        });
        let is_none = |chunk: &Result<Bytes>| matches!(chunk, Ok(bytes) if bytes.is_empty());
        Body::stream(
            size,
            chunks.filter(move |chunk| std::future::ready(!is_none(chunk))),
        )
    }
}
