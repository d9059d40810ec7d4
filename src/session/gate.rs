//! What every write of a run passes, whatever becomes of it: the layer of a rehearsal or a store.

use std::sync::Arc;

use super::lock::Locks;
use super::permissions::Grants;
use crate::store::{Key, Result, Store};

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
}
