//! The locks that a run holds, and whether it still does: what every write of the run asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::clock::Moment;
use crate::store::{Error, ErrorKind, Key, Result, Store};

/// One lock that a run holds or asks for.
pub(super) struct Held {
    /// The home of its store, printable.
    pub(super) home: String,
    pub(super) name: String,
    /// The id of its record, once it is held.
    pub(super) id: OnceLock<String>,
    /// Until when it is ours without a renewal; far away while it isn't held.
    until: AtomicU64,
    /// Why it was lost, once it was.
    lost: watch::Sender<Option<String>>,
    /// What it protects has ended: it counts no more.
    ended: AtomicBool,
}

impl Held {
    pub(super) fn until(&self) -> Moment {
        Moment::from_nanos(self.until.load(Ordering::Acquire))
    }

    pub(super) fn extend(&self, until: Moment) {
        self.until.store(until.to_nanos(), Ordering::Release);
    }

    /// The first reason stands: what was lost stays lost.
    pub(super) fn lose(&self, reason: impl Into<String>) {
        self.lost.send_if_modified(|lost| {
            let is_first = lost.is_none();
            if is_first {
                *lost = Some(reason.into());
            }
            is_first
        });
    }

    /// Why the lock is ours no more.
    pub(super) fn why_lost(&self) -> Option<String> {
        if self.lost.borrow().is_none() && Moment::now() >= self.until() {
            self.lose("its time was over before it could be renewed");
        }
        self.lost.borrow().clone()
    }

    /// Waits until it is lost; for ever when it isn't.
    pub(super) async fn wait_until_lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        loop {
            if let Some(reason) = lost.borrow_and_update().clone() {
                return reason;
            }
            // `self` holds the sender, so the channel can't close.
            let _ = lost.changed().await;
        }
    }

    /// The error of something that can't be done without the lock.
    pub(super) fn error(&self, verb: &'static str, reason: &str) -> Error {
        let Self { home, name, .. } = self;
        let message = format!("this run lost the lock '{name}' on {home}: {reason}");
        Error::new(ErrorKind::LockLost, verb, message).hint(format!(
            "see who holds it now (kstate lock status {home}), and run it again: it goes on from \
             what was done"
        ))
    }
}

/// All locks of one run.
#[derive(Default)]
pub(in crate::session) struct Locks {
    /// By the store's root and the full key of the lock's object.
    all: Mutex<BTreeMap<(String, String), Arc<Held>>>,
    /// How many count.
    active: AtomicUsize,
    changed: tokio::sync::Notify,
}

impl Locks {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Held>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run holds any.
    pub(in crate::session) fn any(&self) -> bool {
        self.active.load(Ordering::Acquire) > 0
    }

    /// Lets a write through unless a lock of the run is lost.
    ///
    /// # Errors
    /// [`ErrorKind::LockLost`].
    pub(in crate::session) fn check(
        &self,
        verb: &'static str,
        store: &dyn Store,
        key: &Key,
    ) -> Result<()> {
        if !self.any() {
            return Ok(());
        }
        for held in self.all().values() {
            if held.ended.load(Ordering::Acquire) {
                continue;
            }
            if let Some(reason) = held.why_lost() {
                let error = held.error(verb, &reason);
                return Err(error.at(store.url(), Some(key.as_str())));
            }
        }
        Ok(())
    }

    /// Enters a lock that the run asks for, once an ended one of the same name is given back.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when the run holds it already.
    pub(super) async fn enter(
        self: &Arc<Self>,
        place: (String, String),
        home: &str,
        name: &str,
    ) -> Result<Entry> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.all().get(&place) {
                None => {}
                Some(held) if held.ended.load(Ordering::Acquire) => {
                    // Waited for below, without the map's lock.
                }
                Some(_) => {
                    let message = format!("this run holds the lock '{name}' already");
                    return Err(Error::new(ErrorKind::Locked, "lock", message)
                        .at(home, None)
                        .hint("take it once, around everything that it protects"));
                }
            }
            if let Some(entry) = self.try_enter(&place, home, name) {
                return Ok(entry);
            }
            changed.await;
        }
    }

    fn try_enter(
        self: &Arc<Self>,
        place: &(String, String),
        home: &str,
        name: &str,
    ) -> Option<Entry> {
        let mut all = self.all();
        if all.contains_key(place) {
            return None;
        }
        let held = Arc::new(Held {
            home: home.to_owned(),
            name: name.to_owned(),
            id: OnceLock::new(),
            until: AtomicU64::new(u64::MAX),
            lost: watch::Sender::new(None),
            ended: AtomicBool::new(false),
        });
        all.insert(place.clone(), Arc::clone(&held));
        self.active.fetch_add(1, Ordering::AcqRel);
        Some(Entry {
            locks: Arc::clone(self),
            place: place.clone(),
            held,
        })
    }

    /// The home of the lock that the run holds by the record `id`.
    pub(super) fn home_of(&self, id: &str) -> Option<String> {
        let all = self.all();
        let mut ours = all.values();
        let held = ours.find(|held| held.id.get().is_some_and(|held| held == id))?;
        let is_over = held.ended.load(Ordering::Acquire) || held.why_lost().is_some();
        (!is_over).then(|| held.home.clone())
    }

    /// What the lock protected has ended; giving it back may take longer.
    pub(super) fn end(&self, held: &Held) {
        if !held.ended.swap(true, Ordering::AcqRel) {
            self.active.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Waits until every lock that ended is given back.
    pub(in crate::session) async fn all_given_back(&self) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.all().is_empty() {
                return;
            }
            changed.await;
        }
    }
}

/// A lock's place among those of its run, until it is given back.
pub(super) struct Entry {
    locks: Arc<Locks>,
    place: (String, String),
    pub(super) held: Arc<Held>,
}

impl Entry {
    pub(super) fn end(&self) {
        self.locks.end(&self.held);
    }

    pub(super) fn locks(&self) -> Arc<Locks> {
        Arc::clone(&self.locks)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end();
        self.locks.all().remove(&self.place);
        self.locks.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{StoreUrl, mem};

    async fn enter(locks: &Arc<Locks>, name: &str) -> Result<Entry> {
        let place = ("memfs://b".to_owned(), name.to_owned());
        locks.enter(place, "memfs://b", name).await
    }

    fn check(locks: &Locks) -> Result<()> {
        let url = StoreUrl::parse("memfs://b").unwrap();
        let store = mem::Buckets::default().open(&url);
        locks.check("write", &store, &Key::parse("a/config").unwrap())
    }

    #[tokio::test]
    async fn writes_are_refused_from_the_moment_the_time_is_over_until_the_end() {
        let locks = Arc::new(Locks::default());
        let entry = enter(&locks, "store").await.unwrap();
        assert!(check(&locks).is_ok(), "not held yet");
        entry
            .held
            .extend(Moment::now().after(Duration::from_hours(1)));
        assert!(check(&locks).is_ok());
        entry.held.extend(Moment::now());
        let error = check(&locks).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LockLost);
        assert!(
            error
                .to_string()
                .contains("cannot write memfs://b/a/config"),
            "{error}"
        );
        assert!(error.to_string().contains("'store'"), "{error}");
        // A renewal that comes through later doesn't bring it back.
        entry
            .held
            .extend(Moment::now().after(Duration::from_hours(1)));
        assert!(check(&locks).is_err());
        entry.end();
        assert!(check(&locks).is_ok());
    }

    #[tokio::test]
    async fn one_run_takes_a_lock_once_and_again_when_it_is_given_back() {
        let locks = Arc::new(Locks::default());
        let first = enter(&locks, "store").await.unwrap();
        let other = enter(&locks, "other").await.unwrap();
        let error = enter(&locks, "store").await.map(|_| ()).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Locked);
        first.end();
        let again = enter(&locks, "store");
        let mut again = std::pin::pin!(again);
        assert!(
            futures::poll!(again.as_mut()).is_pending(),
            "not given back yet"
        );
        drop(first);
        drop(again.await.unwrap());
        drop(other);
        locks.all_given_back().await;
    }
}
