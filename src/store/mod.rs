//! The store contract: objects under keys, behind one trait, whatever holds them.
//!
//! A backend is one file (or folder) here and one line in [`registry`]. [`contract`] is the
//! suite that every backend passes.

pub mod azureblob;
mod body;
pub mod contract;
mod error;
pub mod file;
mod folder;
pub mod gs;
mod incoming;
pub mod k8s;
mod key;
mod lease;
mod mark;
pub mod mem;
pub mod oss;
mod pages;
mod pieces;
pub mod probe;
pub mod registry;
pub mod rest;
mod resume;
pub mod retry;
pub mod s3;
pub mod swift;
mod url;
mod xml;

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

pub use body::{Algorithm, Body, Checksum, Hasher};
pub use error::{Error, ErrorKind, Result};
pub use key::{InvalidKey, Key};
pub use lease::{Lease, Leases};
#[cfg(test)]
pub(crate) use url::OPTIONS;
pub use url::{StoreUrl, UrlOptions};
pub(crate) use url::{option_doc, split_authority};

/// The folder below a store's top that is kstate's own: probes, locks, half-written files.
/// It holds nothing of a cluster's, and no transfer carries it.
pub const RESERVED: &str = ".kstate";

/// Whether a key is kstate's own and no part of the state.
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    key.strip_prefix(RESERVED)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An opaque version of an object; it changes whenever the bytes change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub String);

/// What a store tells about an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The name, relative to the store.
    pub key: Key,
    /// The length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<SystemTime>,
    /// The version; every backend gives one, here or in [`Store::stat`].
    pub tag: Option<Tag>,
    /// A checksum of the whole object, where the backend gives one at no extra cost.
    pub checksum: Option<Checksum>,
    /// The MIME type, where the backend keeps one.
    pub content_type: Option<String>,
    /// User metadata, where the backend keeps it; listings leave it out.
    pub user: BTreeMap<String, String>,
    /// What [`Store::read_version`] finds this version by after it was overwritten or deleted,
    /// where the store keeps old versions; listings leave it out.
    pub version: Option<String>,
}

impl Meta {
    /// The metadata of an object of which only name and size are known.
    #[must_use]
    pub fn new(key: Key, size: u64) -> Self {
        Self {
            key,
            size,
            modified: None,
            tag: None,
            checksum: None,
            content_type: None,
            user: BTreeMap::new(),
            version: None,
        }
    }
}

/// What must hold for a write or a delete to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// No object has the key.
    IfAbsent,
    /// The object is this very version.
    IfMatch(Tag),
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Only these bytes; a range that starts beyond the end gives no bytes.
    pub range: Option<Range<u64>>,
    /// Only this version, else [`ErrorKind::PreconditionFailed`].
    pub if_match: Option<Tag>,
}

/// How to write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// What must hold at the moment of the write.
    pub precondition: Precondition,
    /// What the caller saw under the key a moment ago, where it can't be a precondition. A store
    /// need not check it, and may as far as it can; a journal need not look again.
    pub believed: Precondition,
    /// The MIME type; without one `application/octet-stream`, as kOps writes.
    pub content_type: Option<String>,
    /// User metadata.
    pub user: BTreeMap<String, String>,
    /// What the bytes must add up to; [`ErrorKind::Corrupt`] and nothing written when they don't.
    pub checksum: Option<Checksum>,
}

impl WriteOptions {
    /// A write that happens only when no object has the key.
    #[must_use]
    pub fn if_absent() -> Self {
        Self {
            precondition: Precondition::IfAbsent,
            ..Self::default()
        }
    }

    /// A write that happens only when the object is still this version.
    #[must_use]
    pub fn if_match(tag: Tag) -> Self {
        Self {
            precondition: Precondition::IfMatch(tag),
            ..Self::default()
        }
    }
}

/// An object's metadata with its bytes.
pub struct Object {
    /// The metadata; `size` is the whole object's, also when a range was asked for.
    pub meta: Meta,
    /// The bytes asked for.
    pub body: Body,
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only what lies below this folder: `a/b` lists `a/b/…`, never `a/bc`. Empty lists all.
    pub below: String,
    /// Only the next level, with [`Entry::Prefix`] for what lies deeper.
    pub one_level: bool,
    /// Only keys after this one in byte order (it need not exist).
    pub start_after: Option<String>,
}

impl ListOptions {
    /// Everything below a folder, at every depth.
    #[must_use]
    pub fn recursive(below: impl Into<String>) -> Self {
        Self {
            below: below.into(),
            ..Self::default()
        }
    }
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object(Meta),
    /// In a one-level listing: something lies below this name, which ends in a slash.
    Prefix(String),
    /// Something is there under a name that is no [`Key`], or that can't be read as an object.
    Foreign {
        /// The name as the backend gives it, relative to the store.
        name: String,
        /// Its size in bytes, where it is known.
        size: Option<u64>,
        /// Why it can't be an object of ours.
        reason: String,
    },
}

impl Entry {
    /// The name by which listings are ordered.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object(meta) => meta.key.as_str(),
            Self::Prefix(name) | Self::Foreign { name, .. } => name,
        }
    }
}

/// The entries of a listing in byte order of their names. An error is the last item, and
/// means that the listing is not complete.
pub type Listing = BoxStream<'static, Result<Entry>>;

/// What a backend can do, as far as it is known without asking the service.
/// [`probe`] finds out what a service really honours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent ability"
)]
pub struct Capabilities {
    /// [`Precondition::IfAbsent`] on writes.
    pub if_absent: bool,
    /// [`Precondition::IfMatch`] on writes.
    pub if_match: bool,
    /// Both are known to hold whatever the timing, so that nobody need try.
    pub proven_conditions: bool,
    /// [`Precondition::IfMatch`] on deletes.
    pub delete_if_match: bool,
    /// Preconditions on server-side copies.
    pub copy_conditions: bool,
    /// The largest object in bytes that preconditions on writes hold for.
    pub max_conditional: Option<u64>,
    /// A write that succeeded was compared with checksums of the bytes that were sent, so that
    /// nobody need read it back.
    pub verified_writes: bool,
    /// The checksum that listings mostly carry.
    pub checksum: Option<Algorithm>,
    /// [`Store::copy_from`] can run on the server.
    pub server_copy: bool,
    /// `a` and `a/b` can't both exist.
    pub hierarchical: bool,
    /// Content type and user metadata are kept.
    pub metadata: bool,
    /// All of it is gone with this process.
    pub ephemeral: bool,
    /// The longest key in bytes, as the store counts it (after its own prefix).
    pub max_key: Option<usize>,
    /// The largest object in bytes.
    pub max_size: Option<u64>,
}

impl Capabilities {
    /// Whether a write can be held to this.
    #[must_use]
    pub fn can_check(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::None => true,
            Precondition::IfAbsent => self.if_absent,
            Precondition::IfMatch(_) => self.if_match,
        }
    }
}

/// Deletes objects by one call each, `at_once` of them at a time; gives the failures.
pub(crate) async fn delete_each(store: &dyn Store, keys: Vec<Key>, at_once: usize) -> Vec<Error> {
    let deletes = stream::iter(keys).map(|key| async move {
        let deleted = store.delete(&key, Precondition::None).await;
        deleted.err()
    });
    deletes
        .buffer_unordered(at_once)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// Where a store really is, to tell whether two stores are the same or contain each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The service and bucket; the same for all stores in one bucket or file system.
    pub root: String,
    /// The folder in it, without a slash at either end.
    pub prefix: String,
}

impl Place {
    /// Where an object of a store is.
    #[must_use]
    pub fn of(store: &dyn Store, key: &str) -> Self {
        let place = store.place();
        Self {
            prefix: place.full_key(key),
            root: place.root,
        }
    }

    /// Whether `other` is this place or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.root == other.root
            && (self.prefix.is_empty()
                || other.prefix == self.prefix
                || other
                    .prefix
                    .strip_prefix(&self.prefix)
                    .is_some_and(|rest| rest.starts_with('/')))
    }

    /// The name of `key` in the bucket or file system.
    #[must_use]
    pub fn full_key(&self, key: &str) -> String {
        folder::full_name(&self.prefix, key)
    }
}

/// A tree of objects at a URL. All keys are relative to that URL.
///
/// Every error names the store, the key and the operation. Backends retry only what is
/// [retryable](Error::is_retryable), within [`retry`]'s bounds, and a write only when doing it
/// twice is the same as doing it once or when its precondition tells.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The URL as it may be shown and written into a manifest: no options, no credentials, no
    /// trailing slash; a bare path for `file://`, as kOps writes it.
    fn url(&self) -> &str;

    /// Where the store really is.
    fn place(&self) -> Place;

    /// What the backend can do.
    fn capabilities(&self) -> Capabilities;

    /// Asks the service what [`capabilities`](Self::capabilities) can't tell otherwise, and does
    /// from then on. Writes nothing; most stores have nothing to ask.
    async fn learn(&self) -> Result<()> {
        Ok(())
    }

    /// The same store seen from a folder in it (a valid [`Key`], or empty for itself).
    fn at(&self, folder: &str) -> Arc<dyn Store>;

    /// The metadata of an object, with its tag.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the key when there is no such object; without the key when
    /// there is no such bucket or folder.
    async fn stat(&self, key: &Key) -> Result<Meta>;

    /// As [`stat`](Self::stat), with `None` for a missing object, also where the folder or bucket
    /// is missing that would hold it.
    async fn find(&self, key: &Key) -> Result<Option<Meta>> {
        match self.stat(key).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if *error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object's bytes, all of one version.
    ///
    /// # Errors
    /// As [`stat`](Self::stat). The body fails with [`ErrorKind::Corrupt`] when it ends early.
    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object>;

    /// An old version of an object, by [`Meta::version`].
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ErrorKind::Unsupported`] where no old versions are kept.
    async fn read_version(&self, key: &Key, version: &str) -> Result<Object> {
        let _ = version;
        Err(Error::new(
            ErrorKind::Unsupported,
            "read",
            "the store keeps no old versions",
        )
        .at(self.url(), Some(key.as_str())))
    }

    /// Writes an object whole: a reader sees the old bytes or the new, whatever happens.
    /// Gives the metadata of what was written, with its tag.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] or [`ErrorKind::PreconditionFailed`] when the precondition
    /// doesn't hold, [`ErrorKind::Unsupported`] when the backend can't check it.
    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta>;

    /// Deletes an object; a missing one is no error without a precondition. Of the
    /// preconditions only [`Precondition::IfMatch`] makes sense here.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()>;

    /// Deletes many objects, those that are missing included; gives the failures, one for each
    /// object that is still there.
    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        let mut failures = Vec::new();
        for key in keys {
            if let Err(error) = self.delete(&key, Precondition::None).await {
                failures.push(error);
            }
        }
        failures
    }

    /// Lists objects in byte order of their keys, as they come.
    fn list(&self, options: ListOptions) -> Listing;

    /// Copies the version `from` of an object of `source` to `key` here without its bytes
    /// passing through this process. Gives `None`, with nothing done, where that can't be:
    /// then the caller streams.
    ///
    /// # Errors
    /// [`ErrorKind::PreconditionFailed`] when the source is no longer that version; else as
    /// [`write`](Self::write).
    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>>;

    /// Whether an object here is known, without a look at its bytes, to be a copy of an object of
    /// another store: in a rehearsal copies are references.
    fn is_copy_of(&self, own: &Meta, other: &dyn Store, theirs: &Meta) -> bool {
        let _ = (own, other, theirs);
        false
    }

    /// The backend itself, for backends that recognize their own kind as the source of a copy.
    /// A wrapper answers with what it wraps.
    fn backend(&self) -> &dyn Any;

    /// The URL at which a run opened it, which is the same for every folder of it; `None` for a
    /// store that no run opened.
    fn opened_at(&self) -> Option<&Arc<StoreUrl>> {
        None
    }

    /// The most bytes that all objects here may have together, where such a limit is known.
    fn capacity(&self) -> Option<u64> {
        None
    }

    /// The leases on which locks are taken, where the service has its own.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// Why the store can't hold an object under this key, `None` when it can. Asks nobody.
    fn refuses(&self, key: &Key) -> Option<String> {
        let limit = self.capabilities().max_key?;
        let length = self.place().full_key(key.as_str()).len();
        (length > limit).then(|| format!("its name has {length} bytes, and {limit} is the most"))
    }
}

/// A panic elsewhere can't leave what is behind it half-changed: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_contain_whole_segments_only() {
        let place = |prefix: &str| Place {
            root: "r".into(),
            prefix: prefix.into(),
        };
        assert!(place("").contains(&place("a")));
        assert!(place("pro").contains(&place("pro")));
        assert!(place("pro").contains(&place("pro/x")));
        assert!(!place("pro").contains(&place("prod")));
        assert!(!place("pro/x").contains(&place("pro")));
    }

    #[test]
    fn reserved_is_a_whole_segment() {
        assert!(is_reserved(".kstate/probe/1"));
        assert!(!is_reserved(".kstate2/config"));
    }
}
