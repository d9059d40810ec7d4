//! Locks: one run at a time does something to a store.
//!
//! A lock is an object below `.kstate/locks` at the home of its store. It excludes other runs of
//! kstate; kOps knows nothing of it.

mod advisory;
mod atomic;
mod clock;
mod guard;
mod held;
mod holder;
mod home;
mod leased;
mod record;
mod several;
mod site;
mod status;
mod strength;
mod tend;
#[cfg(test)]
mod tests;
mod verdicts;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

pub use guard::Guard;
pub(super) use held::Locks;
pub use holder::{Holder, Process};
pub use record::{Record, State};
pub use site::Found;
pub use status::{LockState, Status};
pub use strength::{Judgement, Strength};

use super::opened::Reached;
use super::{Session, beneath};
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Place, Result, Store, StoreUrl};
use site::Site;
use verdicts::Verdicts;

/// The lock that whatever changes a whole store takes.
pub const STORE_LOCK: &str = "store";

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOptions {
    /// So long it stays when its holder is gone; it is renewed three times as often.
    pub ttl: Duration,
    /// How long to wait for somebody else to give it back.
    pub wait: Duration,
    /// The least that it must be worth.
    pub min_strength: Strength,
}

impl LockOptions {
    /// The shortest and the longest `ttl`.
    pub const TTL: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_hours(24);

    /// How the commands take one: a holder that died on another machine is outwaited.
    #[must_use]
    pub fn of_command(wait: Duration) -> Self {
        Self {
            ttl: Duration::from_secs(30),
            wait,
            ..Self::default()
        }
    }
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(1),
            wait: Duration::ZERO,
            min_strength: Strength::Advisory,
        }
    }
}

/// A lock that a run took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenLock {
    /// The store as it was opened, which finds the same home again.
    pub store: Arc<StoreUrl>,
    /// Where that is.
    pub place: Place,
    /// The lock's name.
    pub name: String,
    /// The longest time for which it was taken.
    pub ttl: Duration,
    /// The least that it had to be worth.
    pub min_strength: Strength,
}

impl TakenLock {
    pub(super) fn reached(&self) -> Reached {
        Reached {
            place: self.place.clone(),
            through: Some(Arc::clone(&self.store)),
        }
    }
}

/// What a run notes of locks.
pub(super) struct Notes {
    taken: Mutex<Vec<TakenLock>>,
    verdicts: Verdicts,
}

impl Notes {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            taken: Mutex::default(),
            verdicts: Verdicts::new(env),
        }
    }

    /// The locks taken so far, each once.
    pub(super) fn taken(&self) -> Vec<TakenLock> {
        let taken = self.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the locks taken so far.
    pub(super) fn clear(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clear();
    }

    fn take(&self, lock: TakenLock) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let known = taken
            .iter_mut()
            .find(|known| known.store == lock.store && known.name == lock.name);
        match known {
            Some(known) => {
                known.ttl = known.ttl.max(lock.ttl);
                known.min_strength = known.min_strength.max(lock.min_strength);
            }
            None => taken.push(lock),
        }
    }
}

impl Session {
    /// Takes a lock on a store that was opened here, or on a folder of one. In a dry run nothing
    /// is written and nobody is asked.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when somebody else holds it, [`ErrorKind::Unsupported`] when a lock on
    /// this store is worth less than what is wanted.
    pub async fn lock(
        &self,
        store: &Arc<dyn Store>,
        name: &str,
        options: &LockOptions,
    ) -> Result<Guard> {
        site::check_name(&**store, name)?;
        let home = self.lock_home(store).await?;
        let me = Holder::here(self.env(), &self.run);
        let site = Site {
            home,
            name: name.to_owned(),
            me,
        };
        let key = site.key()?;
        let place = site.home.place();
        let place = (place.root.clone(), place.full_key(key.as_str()));
        let locks = &self.gate.locks;
        let entry = locks.enter(place, site.home.url(), name).await?;
        // By what it protects: the lock of a folder may lie above the folder.
        self.gate.grants.check_write("lock", &**store, &key)?;
        let verdicts = &self.notes.verdicts;
        let judgement = if self.is_rehearsal() {
            strength::known(&*site.home, verdicts)
        } else {
            Some(strength::judge(&site.home, verdicts).await?)
        };
        let strength = match judgement {
            Some(judgement) if judgement.strength < options.min_strength => {
                return Err(too_weak(&site, &judgement, options.min_strength));
            }
            Some(judgement) => judgement.strength,
            // The real run will find out.
            None => options.min_strength,
        };
        let record = Record::new(site.me.clone(), strength, options.ttl);
        if self.is_rehearsal() {
            self.note_taken(store, name, options);
            return Ok(Guard::rehearsed(record, entry));
        }
        let (stop, stopped) = oneshot::channel();
        let (tell, ready) = oneshot::channel();
        let held = Arc::clone(&entry.held);
        let task = tend::tend(site, record, options.wait, entry, tell, stopped);
        let task = tokio::spawn(task);
        let record = ready.await.unwrap_or_else(|_| {
            let message = "the task that takes the lock ended early";
            Err(Error::new(ErrorKind::Other, "lock", message).at(store.url(), None))
        })?;
        self.note_taken(store, name, options);
        Ok(Guard::new(record, held, Arc::clone(locks), stop, task))
    }

    /// The locks that this run took, each once: what must be held when a plan of it is applied.
    pub fn locks_taken(&self) -> Vec<TakenLock> {
        self.notes.taken()
    }

    fn note_taken(&self, store: &Arc<dyn Store>, name: &str, options: &LockOptions) {
        let Some(opened) = store.opened_at() else {
            return;
        };
        // It was found a moment ago.
        if let Ok(top) = beneath(&self.registry, opened) {
            self.notes.take(TakenLock {
                store: Arc::clone(opened),
                place: top.place(),
                name: name.to_owned(),
                ttl: options.ttl,
                min_strength: options.min_strength,
            });
        }
    }

    /// Waits until all locks whose work has ended are given back.
    pub async fn locks_given_back(&self) {
        self.gate.locks.all_given_back().await;
    }

    fn is_rehearsal(&self) -> bool {
        self.layer.is_some()
    }

    /// Where the locks of a store lie, beneath the gate of the run.
    async fn lock_home(&self, store: &Arc<dyn Store>) -> Result<Arc<dyn Store>> {
        let Some(opened) = store.opened_at() else {
            let message = "the store was not opened by this run";
            return Err(Error::new(ErrorKind::Unsupported, "lock", message).at(store.url(), None));
        };
        home::find(&self.registry, opened).await
    }
}

fn too_weak(site: &Site, judgement: &Judgement, wanted: Strength) -> Error {
    let Judgement { strength, why } = judgement;
    let message = format!("a lock here is only {strength}, and at least {wanted} is wanted: {why}");
    Error::new(ErrorKind::Unsupported, "lock", message)
        .at(site.home.url(), None)
        .hint("take another store, or demand less: min_strength = \"advisory\"")
}
