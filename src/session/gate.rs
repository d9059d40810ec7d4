//! What every write of a run passes, whatever becomes of it: the layer of a rehearsal or a store.

use super::permissions::Grants;
use crate::store::{Key, Result, Store};

/// The conditions under which a run may write.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) grants: Grants,
}

impl Gate {
    /// Lets a write, copy or delete through.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`](crate::store::ErrorKind::PermissionDenied) with the flag
    /// that would allow it.
    pub(super) fn admit(&self, verb: &'static str, store: &dyn Store, key: &Key) -> Result<()> {
        self.grants.check_write(verb, store, key)
    }
}
