//! What a run would do, in full: enough to show it to a person, and to do it later exactly so.

mod build;
pub mod difference;
pub mod file;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(super) use build::build;

use super::lock::{LockOptions, Strength, TakenLock};
use crate::store::{Place, UrlOptions};

/// A run that was rehearsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where it comes from.
    pub origin: Origin,
    /// The stores that it reads and writes.
    pub stores: Vec<PlannedStore>,
    /// What it does, in the order in which the run had it done.
    pub steps: Vec<Step>,
    /// The locks to hold meanwhile.
    pub locks: Vec<PlannedLock>,
    /// Everything that it was computed from, which must still be so.
    pub observed: Observed,
    /// Bytes by their SHA-256 in hex: of what is written, and of texts that are replaced.
    pub contents: BTreeMap<String, Bytes>,
}

/// Who made a plan, when, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What tells this plan from every other: 16 hex digits.
    pub id: String,
    /// The version of kstate.
    pub kstate: String,
    /// RFC 3339, in UTC.
    pub created: String,
    /// `user@host`.
    pub who: String,
    /// The script as it was named.
    pub script: String,
    /// The SHA-256 of the script's text, in hex.
    pub script_sha256: String,
    /// The script's arguments.
    pub args: Vec<String>,
}

/// A store as the run opened it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStore {
    /// The URL as it may be shown.
    pub url: String,
    /// How it is reached; no credentials.
    #[serde(default, skip_serializing_if = "UrlOptions::is_empty")]
    pub options: UrlOptions,
    /// The service and bucket ([`Place::root`](crate::store::Place)), which must be the same when
    /// the plan is applied.
    pub root: String,
    /// The folder in it.
    pub prefix: String,
}

/// One change to one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// So many of the steps before it must be done when it begins: those that the run had
    /// finished at that moment.
    pub after: usize,
    /// Which of the plan's stores.
    pub store: usize,
    /// The key, relative to that store.
    pub key: String,
    /// What is there when it begins.
    pub expects: Expects,
    /// The size of what is there, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_before: Option<u64>,
    /// The SHA-256 of what is there, in hex, when it is a text small enough to be shown; its
    /// bytes are among the plan's contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What happens to it.
    pub change: PlannedChange,
}

/// What a step finds under its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expects {
    /// No object.
    Absent,
    /// The object with this tag.
    Tag(String),
    /// What this earlier step of the same plan left there.
    Step(usize),
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedChange {
    /// Writes bytes.
    Write {
        /// Their SHA-256 in hex; they are among the plan's contents.
        content: String,
        /// How many they are.
        size: u64,
        /// The MIME type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// User metadata.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        user: BTreeMap<String, String>,
    },
    /// Copies another object.
    Copy {
        /// Which of the plan's stores it is in.
        store: usize,
        /// Its key there.
        key: String,
        /// The version of it.
        version: CopyOf,
        /// Its size in bytes.
        size: u64,
    },
    /// Deletes the object.
    Delete,
}

/// Which version of an object is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyOf {
    /// The one with this tag.
    Tag(String),
    /// The one that this earlier step of the same plan made.
    Step(usize),
}

/// A lock that the run held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedLock {
    /// Which of the plan's stores.
    pub store: usize,
    /// Its name.
    pub name: String,
    /// For how long it was taken, in milliseconds.
    pub ttl_ms: u64,
    /// The least that it had to be worth.
    pub min_strength: Strength,
}

impl PlannedLock {
    /// A lock that was taken on a store of this number.
    #[must_use]
    pub fn of(taken: TakenLock, store: usize) -> Self {
        Self {
            store,
            name: taken.name,
            ttl_ms: u64::try_from(taken.ttl.as_millis()).unwrap_or(u64::MAX),
            min_strength: taken.min_strength,
        }
    }

    /// How to take it again.
    #[must_use]
    pub fn options(&self, wait: Duration) -> LockOptions {
        let (shortest, longest) = LockOptions::TTL.into_inner();
        LockOptions {
            ttl: Duration::from_millis(self.ttl_ms).clamp(shortest, longest),
            wait,
            min_strength: self.min_strength,
        }
    }
}

/// What a run saw of its stores, before its own changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Objects.
    pub objects: Vec<SeenObject>,
    /// Listings.
    pub listings: Vec<SeenListing>,
}

/// An object that was read or listed, or was found missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenObject {
    /// Which of the plan's stores.
    pub store: usize,
    /// The key, relative to that store.
    pub key: String,
    /// Its version: the tag, or where a listing has none, size and time; `None` when there was
    /// no such object.
    pub version: Option<String>,
}

/// A listing, as far as it was read. Its objects are among the seen ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenListing {
    /// Which of the plan's stores.
    pub store: usize,
    /// The folder below which was listed, relative to that store.
    pub below: String,
    /// Only the next level.
    pub one_level: bool,
    /// Only names after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Up to and including this name; `None` when it was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The names in it that are no objects: folders of a one-level listing, which end in a slash,
    /// and what no key can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether all that it does is to write what is there already.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.steps.iter().all(|step| match &step.change {
            PlannedChange::Write { content, .. } => step.before.as_ref() == Some(content),
            _ => false,
        })
    }

    /// What tells an object from every other, through whichever store it is named: the root of
    /// its store, and its key there.
    #[must_use]
    pub fn full_key(&self, store: usize, key: &str) -> Option<(&str, String)> {
        let store = self.stores.get(store)?;
        let place = Place {
            root: store.root.clone(),
            prefix: store.prefix.clone(),
        };
        Some((&store.root, place.full_key(key)))
    }
}
