//! Where a lock lies, and reading what lies there.

use std::sync::Arc;

use futures::{TryStreamExt, stream};

use super::holder::Holder;
use super::record::Record;
use crate::store::{
    Body, Entry, Error, ErrorKind, Key, ListOptions, Precondition, RESERVED, ReadOptions, Result,
    Store, Tag, WriteOptions,
};

/// The folder of all locks, below the home of a store.
const FOLDER: &str = "locks";

/// Ends the name of the folder in which an advisory lock is announced.
const ANNOUNCED: &str = ".d";

/// The longest name of a lock in bytes.
const LONGEST: usize = 100;

/// No lock object is larger, in bytes.
const MAX_OBJECT: u64 = 64 << 10;

/// How many lock objects are read at once.
const AT_ONCE: usize = 8;

/// One lock of one store, and who asks for it.
#[derive(Clone)]
pub(super) struct Site {
    /// The store's home, beneath the gate of the run.
    pub(super) home: Arc<dyn Store>,
    pub(super) name: String,
    pub(super) me: Holder,
}

/// An object of a lock, as it was read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its key below the store's home.
    pub key: Key,
    /// Its version.
    pub tag: Tag,
    /// What stands in it, or why that can't be read.
    pub record: Result<Record, String>,
}

/// Whether a lock can have this name.
///
/// # Errors
/// [`ErrorKind::Invalid`] with the reason.
pub(super) fn check_name(store: &dyn Store, name: &str) -> Result<()> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it is longer than 100 bytes"
    } else if !name.chars().all(is_fit) {
        "it may have letters, digits, '-', '_' and '.'"
    } else if name.starts_with('.') {
        "it begins with a dot"
    } else if name.ends_with(ANNOUNCED) {
        "it ends in '.d', as the folders of advisory locks do"
    } else {
        return Ok(());
    };
    let message = format!("{name:?} can't be the name of a lock: {reason}");
    Err(Error::new(ErrorKind::Invalid, "lock", message).at(store.url(), None))
}

impl Site {
    /// The object of a lock that is more than advisory.
    pub(super) fn key(&self) -> Result<Key> {
        Ok(Key::parse(&format!("{RESERVED}/{FOLDER}/{}", self.name))?)
    }

    /// The folder in which an advisory lock is announced.
    pub(super) fn folder(&self) -> String {
        format!("{RESERVED}/{FOLDER}/{}{ANNOUNCED}", self.name)
    }

    /// The object that announces one acquisition.
    pub(super) fn announcement(&self, id: &str) -> Result<Key> {
        Ok(Key::parse(&format!("{}/{id}", self.folder()))?)
    }

    pub(super) async fn write(
        &self,
        key: &Key,
        record: &Record,
        precondition: Precondition,
    ) -> Result<Option<Tag>> {
        let options = WriteOptions {
            precondition,
            content_type: Some("application/json".to_owned()),
            ..WriteOptions::default()
        };
        let written = self
            .home
            .write(key, Body::from(record.to_bytes()), options)
            .await?;
        Ok(written.tag)
    }

    /// The object of a lock with its record; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is no record, which is not for us to overwrite.
    pub(super) async fn read(&self, key: &Key) -> Result<Option<(Tag, Record)>> {
        let Some(found) = read(&*self.home, key).await? else {
            return Ok(None);
        };
        match found.record {
            Ok(record) => Ok(Some((found.tag, record))),
            Err(reason) => Err(self.unreadable(key, &reason)),
        }
    }

    /// The record in a lease's note.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn parse(&self, key: &Key, note: &str) -> Result<Record> {
        Record::parse(note.as_bytes()).map_err(|reason| self.unreadable(key, &reason))
    }

    /// All announcements of the lock but one's own.
    pub(super) async fn announced(&self, own: &str) -> Result<Vec<(Key, Tag, Record)>> {
        let mut others = Vec::new();
        for found in list(&self.home, &self.folder()).await? {
            if found.key.name() == own {
                continue;
            }
            match found.record {
                Ok(record) => others.push((found.key, found.tag, record)),
                Err(reason) => return Err(self.unreadable(&found.key, &reason)),
            }
        }
        Ok(others)
    }

    /// Deletes the object that `id` left under a key, unless it is somebody else's by now.
    pub(super) async fn remove(&self, key: &Key, id: &str) -> Result<()> {
        match self.read(key).await? {
            Some((tag, record)) if record.id == id => remove_version(&*self.home, key, tag).await,
            _ => Ok(()),
        }
    }

    fn unreadable(&self, key: &Key, reason: &str) -> Error {
        let url = self.home.url();
        Error::new(
            ErrorKind::Corrupt,
            "lock",
            format!("the object there is no lock that can be read: {reason}"),
        )
        .at(url, Some(key.as_str()))
        .hint(format!(
            "find out who wrote it; `kstate lock break {url} {}` takes it away",
            self.name
        ))
    }
}

/// Deletes a version of an object. Where the store has no conditional delete, it is looked at
/// right before.
pub(super) async fn remove_version(store: &dyn Store, key: &Key, tag: Tag) -> Result<()> {
    if store.capabilities().delete_if_match {
        return store.delete(key, Precondition::IfMatch(tag)).await;
    }
    let now = match store.stat(key).await {
        Ok(meta) => meta.tag,
        Err(error) if error.is_missing_key() => None,
        Err(error) => return Err(error),
    };
    if now.as_ref() == Some(&tag) {
        return store.delete(key, Precondition::None).await;
    }
    let message = "the object is no longer the version that was read";
    Err(Error::new(
        ErrorKind::PreconditionFailed { found: now },
        "delete",
        message,
    )
    .at(store.url(), Some(key.as_str())))
}

async fn read(store: &dyn Store, key: &Key) -> Result<Option<Found>> {
    let object = match store.read(key, ReadOptions::default()).await {
        Ok(object) => object,
        // A folder that isn't there has no locks, and a bucket that isn't fails the write.
        Err(error) if *error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let tag = match object.meta.tag {
        Some(tag) => tag,
        None => Tag(String::new()),
    };
    let record = if object.meta.size > MAX_OBJECT {
        Err("it is too large".to_owned())
    } else {
        Record::parse(&object.body.collect(MAX_OBJECT).await?)
    };
    Ok(Some(Found {
        key: key.clone(),
        tag,
        record,
    }))
}

/// All lock objects below a folder, in the order of their keys.
async fn list(store: &Arc<dyn Store>, folder: &str) -> Result<Vec<Found>> {
    let listing = store.list(ListOptions::recursive(folder));
    let mut keys = Vec::new();
    let mut entries = std::pin::pin!(listing);
    loop {
        match entries.try_next().await {
            Ok(Some(Entry::Object(meta))) => keys.push(meta.key),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) if *error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    let reads = keys.into_iter().map(|key| {
        let store = Arc::clone(store);
        Ok(async move { read(&*store, &key).await })
    });
    let found = stream::iter(reads).try_buffered(AT_ONCE);
    found
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await
}

/// All locks below a store's home by name, with their objects.
pub(super) async fn all(home: &Arc<dyn Store>) -> Result<Vec<(String, Found)>> {
    let folder = format!("{RESERVED}/{FOLDER}");
    if let Some(leases) = home.leases() {
        let held = leases.held().await?.into_iter();
        let found = held.map(|(name, tag, lease)| {
            let key = Key::parse(&format!("{folder}/{name}"))?;
            let record = Record::parse(lease.note.as_bytes());
            Ok((name, Found { key, tag, record }))
        });
        return found.collect();
    }
    let found = list(home, &folder).await?;
    let named = found.into_iter().filter_map(|found| {
        let below = found
            .key
            .as_str()
            .strip_prefix(&folder)?
            .strip_prefix('/')?;
        let name = match below.split_once('/') {
            Some((announced, _)) => announced.strip_suffix(ANNOUNCED)?,
            None => below,
        };
        Some((name.to_owned(), found))
    });
    Ok(named.collect())
}
