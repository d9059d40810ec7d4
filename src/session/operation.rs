//! What a rehearsal tells of its steps.

use super::layer::{Deed, Recorded};
use super::opened::{Opened, Reached};

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

impl Operation {
    pub(super) fn of(step: &Recorded, opened: &Opened) -> Self {
        let overwrites = step.before.size.is_some();
        let (action, size) = match &step.deed {
            Deed::Write { bytes, .. } if overwrites => (Action::Overwrite, bytes.len() as u64),
            Deed::Write { bytes, .. } => (Action::Create, bytes.len() as u64),
            Deed::Copy { from, size, .. } => {
                let (store, key) = named(from, opened);
                let from = format!("{store}/{key}");
                (Action::Copy { from, overwrites }, *size)
            }
            Deed::Delete => (Action::Delete, 0),
        };
        let (store, key) = named(&step.object, opened);
        Self {
            action,
            store,
            key,
            size,
        }
    }
}

/// The store that an object was reached through, and its key there.
fn named(object: &Reached, opened: &Opened) -> (String, String) {
    let located = opened.locate(object);
    let store = located.and_then(|(index, key)| Some((opened.get(index)?.url, key)));
    store.unwrap_or_else(|| {
        let place = object.place.clone();
        (place.root, place.prefix)
    })
}
