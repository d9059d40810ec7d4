//! Where a store is within its bucket, and errors about what lies there.

use std::sync::Arc;

use super::{Error, ErrorKind, Key, Place, StoreUrl, Tag};

/// A folder of a bucket, or the bucket's top.
#[derive(Clone)]
pub(super) struct Folder {
    /// The store's printable URL.
    pub url: Arc<str>,
    /// The folder's name in the bucket, without a slash at either end.
    pub prefix: Arc<str>,
}

impl Folder {
    /// The folder at a URL, whose path it is.
    pub(super) fn of(url: &StoreUrl) -> Self {
        Self {
            url: url.to_string().into(),
            prefix: url.path.as_str().into(),
        }
    }

    /// A folder in this one; itself without a name.
    pub(super) fn at(&self, name: &str) -> Self {
        if name.is_empty() {
            return self.clone();
        }
        Self {
            url: format!("{}/{name}", self.url).into(),
            prefix: self.full(name).into(),
        }
    }

    /// The place, in a bucket that `root` names.
    pub(super) fn place(&self, root: String) -> Place {
        Place {
            root,
            prefix: self.prefix.to_string(),
        }
    }

    /// The name of `key` in the bucket.
    pub(super) fn full(&self, key: &str) -> String {
        full_name(&self.prefix, key)
    }

    /// An error of our own making.
    pub(super) fn error(
        &self,
        kind: ErrorKind,
        operation: &'static str,
        key: &Key,
        message: impl Into<String>,
    ) -> Error {
        Error::new(kind, operation, message).at(&self.url, Some(key.as_str()))
    }

    /// Somebody else changed the object first, to the version that was found.
    pub(super) fn overtaken(
        &self,
        operation: &'static str,
        key: &Key,
        found: Option<Tag>,
    ) -> Error {
        let message = match found {
            Some(_) => "the object is no longer the version that was read",
            None => "the object that was read is gone",
        };
        let kind = ErrorKind::PreconditionFailed { found };
        self.error(kind, operation, key, message)
    }

    /// What a write met that was to make the object.
    pub(super) fn exists(&self, operation: &'static str, key: &Key) -> Error {
        let message = "the object exists already";
        self.error(ErrorKind::AlreadyExists, operation, key, message)
    }
}

/// The name in a bucket of what is `name` in the folder `prefix`; either may be empty.
pub(super) fn full_name(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}/{name}"),
    }
}
