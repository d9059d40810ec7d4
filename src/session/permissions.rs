//! What a run may do.

use crate::store::{Error, ErrorKind, Key, Place, Result, Store};

/// What was granted to a run. The default lets it write to every store that it can open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The only places that may be written; `None` for all.
    pub write: Option<Vec<Place>>,
}

impl Grants {
    /// Whether an object may be written or deleted.
    pub(super) fn check_write(
        &self,
        verb: &'static str,
        store: &dyn Store,
        key: &Key,
    ) -> Result<()> {
        let Some(places) = &self.write else {
            return Ok(());
        };
        let place = store.place();
        let object = Place {
            prefix: place.full_key(key.as_str()),
            root: place.root,
        };
        if places.iter().any(|granted| granted.contains(&object)) {
            return Ok(());
        }
        let kind = ErrorKind::PermissionDenied {
            action: Some("write".to_owned()),
            resource: Some(format!("{}/{key}", store.url())),
        };
        Err(Error::new(kind, verb, "this run may not write there")
            .at(store.url(), Some(key.as_str()))
            .hint(format!("allow it with --allow-write {}", store.url())))
    }
}
