//! The changes of a dry run, over all of its stores.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::store::{Meta, Store, Tag, is_reserved};

/// One change that a run would have made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it would have done.
    pub action: Action,
    /// The store's printable URL.
    pub store: String,
    /// The key in that store.
    pub key: String,
    /// The size of what would have been written, in bytes; zero for a delete.
    pub size: u64,
}

/// The kinds of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An object where there was none.
    Create,
    /// Other bytes for an object.
    Overwrite,
    /// The end of an object.
    Delete,
    /// An object with the bytes of another one, at this full URL.
    Copy {
        /// The full URL of the object that is copied.
        from: String,
        /// Whether the copy replaces an object.
        overwrites: bool,
    },
}

/// The bytes of a written object.
#[derive(Clone)]
pub(super) enum Content {
    /// At hand.
    Bytes(Bytes),
    /// Still in the store that they are copied from, in the version `from`.
    Reference {
        store: Arc<dyn Store>,
        from: Box<Meta>,
    },
}

/// What a run did to one object.
#[derive(Clone)]
pub(super) enum Change {
    Deleted,
    Written { meta: Box<Meta>, content: Content },
}

/// Changes by full key, for one bucket or file system.
pub(super) type Changes = BTreeMap<String, Change>;

/// All changes of a run, by the root of the [`Place`](crate::store::Place) that they are in, so
/// that two stores opened at different folders of one bucket see each other's.
#[derive(Default)]
pub(super) struct Layer(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    roots: HashMap<String, Changes>,
    operations: Vec<Operation>,
    tags: u64,
}

impl Layer {
    /// A panic elsewhere can't leave the maps half-changed: each change is one call.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, root: &str, full: &str) -> Option<Change> {
        self.lock().get(root, full).cloned()
    }

    /// The changes below a folder, as they are now.
    pub(super) fn below(&self, root: &str, folder: &str) -> Changes {
        let start = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let state = self.lock();
        let Some(changes) = state.roots.get(root) else {
            return Changes::new();
        };
        changes
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
            .take_while(|(full, _)| full.starts_with(&start))
            .map(|(full, change)| (full.clone(), change.clone()))
            .collect()
    }

    /// Whether the run has changed anything below a folder, if only for a while.
    pub(super) fn has_changes(&self, root: &str, folder: &str) -> bool {
        let start = format!("{folder}/");
        let state = self.lock();
        state.roots.get(root).is_some_and(|changes| {
            let mut below =
                changes.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
            below
                .next()
                .is_some_and(|(full, _)| full.starts_with(&start))
        })
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.lock().operations.clone()
    }
}

impl State {
    pub(super) fn get(&self, root: &str, full: &str) -> Option<&Change> {
        self.roots.get(root)?.get(full)
    }

    pub(super) fn next_tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(format!("dry-run-{}", self.tags))
    }

    /// Records a change; kstate's own objects are changed but not reported.
    pub(super) fn apply(
        &mut self,
        root: String,
        full: String,
        change: Change,
        operation: Operation,
    ) {
        self.roots.entry(root).or_default().insert(full, change);
        if !is_reserved(&operation.key) {
            self.operations.push(operation);
        }
    }
}
