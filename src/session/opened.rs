//! The stores that a run has opened, by which plans and journals name places.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::PlannedStore;
use crate::store::{Place, Store, StoreUrl};

/// A place, and how it was reached: one bucket may be open with two accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) place: Place,
    pub(super) through: Option<Arc<StoreUrl>>,
}

impl Reached {
    /// An object of a store; of the store itself for an empty key.
    pub(super) fn of(store: &dyn Store, key: &str) -> Self {
        Self {
            place: Place::of(store, key),
            through: store.opened_at().cloned(),
        }
    }
}

/// All stores of a run, in the order in which they were opened.
#[derive(Default)]
pub(super) struct Opened(Mutex<Vec<PlannedStore>>);

impl Opened {
    /// A panic elsewhere can't leave the list half-changed: each change is one call.
    fn lock(&self) -> MutexGuard<'_, Vec<PlannedStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a store.
    pub(super) fn add(&self, shown: &str, url: &StoreUrl, place: Place) {
        let store = PlannedStore {
            url: shown.to_owned(),
            options: url.options.clone(),
            root: place.root,
            prefix: place.prefix,
        };
        let mut list = self.lock();
        if !list.contains(&store) {
            list.push(store);
        }
    }

    /// The first store that was opened at a place or above it, and where the place lies in it.
    pub(super) fn locate(&self, reached: &Reached) -> Option<(usize, String)> {
        let list = self.lock();
        let same_way = |store: &PlannedStore| {
            let through = reached.through.as_ref();
            through.is_none_or(|url| url.options == store.options)
        };
        let stores = list.iter().enumerate();
        stores
            .filter(|(_, store)| same_way(store))
            .find_map(|(index, store)| Some((index, store.below(&reached.place)?)))
    }

    pub(super) fn get(&self, index: usize) -> Option<PlannedStore> {
        self.lock().get(index).cloned()
    }
}

impl PlannedStore {
    /// Where a place lies below this store; empty for the store itself, `None` when elsewhere.
    pub(super) fn below(&self, place: &Place) -> Option<String> {
        let own = Place {
            root: self.root.clone(),
            prefix: self.prefix.clone(),
        };
        if !own.contains(place) {
            return None;
        }
        let rest = place.prefix[own.prefix.len()..].trim_start_matches('/');
        Some(rest.to_owned())
    }
}
