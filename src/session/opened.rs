//! The stores that a run has opened, by which plans and journals name places.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::plan::PlannedStore;
use crate::store::{Place, StoreUrl};

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
    pub(super) fn locate(&self, place: &Place) -> Option<(usize, String)> {
        let list = self.lock();
        list.iter()
            .enumerate()
            .find_map(|(index, store)| Some((index, store.below(place)?)))
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
