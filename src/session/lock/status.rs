//! Looking at the locks of a store, and breaking one.

use std::sync::Arc;

use super::record::Record;
use super::site::{self, Found, remove_version};
use super::strength::{self, Judgement};
use super::watch;
use super::{Holder, leased};
use crate::session::Session;
use crate::store::{Result, Store};

/// What is known of the locks of a store.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where they lie, as a printable URL.
    pub home: String,
    /// What they are worth; `None` before the first one is taken, which finds out.
    pub judgement: Option<Judgement>,
    /// Those that are held or asked for.
    pub locks: Vec<LockState>,
}

/// A lock as it was found.
#[derive(Clone, Debug)]
pub struct LockState {
    /// Its name.
    pub name: String,
    /// Its object.
    pub found: Found,
    /// Why it counts no more; `None` while it does.
    pub expired: Option<&'static str>,
}

impl LockState {
    /// What stands in the object, where it can be read.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.found.record.as_ref().ok()
    }
}

impl Session {
    /// The locks of a store. Writes nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn lock_status(&self, store: &Arc<dyn Store>) -> Result<Status> {
        let home = self.lock_home(store).await?;
        let me = Holder::here(self.env(), &self.run);
        let all = site::all(&home).await?.into_iter();
        let locks = all.map(|(name, found)| {
            let record = found.record.as_ref().ok();
            LockState {
                expired: record.and_then(|record| watch::expired(record, &me)),
                name,
                found,
            }
        });
        Ok(Status {
            home: home.url().to_owned(),
            judgement: strength::known(&*home, &self.notes.verdicts),
            locks: locks.collect(),
        })
    }

    /// Takes the objects of locks away, each only if it is still the version that was found.
    /// A dry run takes none.
    ///
    /// # Errors
    /// [`ErrorKind::PreconditionFailed`](crate::store::ErrorKind::PreconditionFailed) when one
    /// changed meanwhile; the ones before it are gone.
    pub async fn break_locks(&self, store: &Arc<dyn Store>, locks: &[LockState]) -> Result<()> {
        let home = self.lock_home(store).await?;
        for LockState { name, found, .. } in locks {
            self.gate.grants.check_write("break", &*home, &found.key)?;
            if self.is_rehearsal() {
                continue;
            }
            if let Some(leases) = home.leases() {
                leased::take_away(leases, name, &found.tag).await?;
            } else {
                remove_version(&*home, &found.key, found.tag.clone()).await?;
            }
        }
        Ok(())
    }
}
