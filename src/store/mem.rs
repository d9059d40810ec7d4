//! `memfs://`: objects in this process's memory, for tests and rehearsals. It is the
//! reference: what it does is what the contract means.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::registry::Kind;
use super::{
    Algorithm, Body, Capabilities, Checksum, Entry, Error, ErrorKind, Key, ListOptions, Listing,
    Meta, Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions,
};

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["memfs"],
    summary: "memory of this process, for trials and tests",
    form: "NAME/PREFIX",
    options: &[],
    beside: &[],
    environment: &[],
};

/// How many entries a listing takes under one lock.
const PAGE: usize = 1000;

/// The memory stores of one process, by name.
#[derive(Clone, Default)]
pub struct Buckets(Arc<Mutex<HashMap<String, Bucket>>>);

type Bucket = Arc<Mutex<BTreeMap<String, Stored>>>;

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    modified: SystemTime,
    tag: Tag,
    checksum: Checksum,
    content_type: Option<String>,
    user: BTreeMap<String, String>,
}

/// A tree in one of them.
#[derive(Clone)]
pub struct MemStore {
    url: String,
    name: String,
    prefix: String,
    bucket: Bucket,
}

impl Buckets {
    /// Opens the tree at a URL; the bucket is made when it is first named.
    pub fn open(&self, url: &StoreUrl) -> MemStore {
        MemStore {
            url: url.to_string(),
            name: url.authority.clone(),
            prefix: url.path.clone(),
            bucket: Arc::clone(lock(&self.0).entry(url.authority.clone()).or_default()),
        }
    }
}

/// A panic elsewhere can't leave these maps half-changed: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next_tag() -> Tag {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Tag(format!("m{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

impl Stored {
    fn meta(&self, key: Key) -> Meta {
        Meta {
            key,
            size: self.bytes.len() as u64,
            modified: Some(self.modified),
            tag: Some(self.tag.clone()),
            checksum: Some(self.checksum.clone()),
            content_type: self.content_type.clone(),
            user: self.user.clone(),
            version: None,
        }
    }
}

impl MemStore {
    fn full(&self, key: &Key) -> String {
        self.place().full_key(key.as_str())
    }

    fn check(
        &self,
        operation: &'static str,
        key: &Key,
        wanted: &Precondition,
        now: Option<&Stored>,
    ) -> Result<()> {
        let error = match (wanted, now) {
            (Precondition::None, _) | (Precondition::IfAbsent, None) => return Ok(()),
            (Precondition::IfMatch(tag), Some(stored)) if *tag == stored.tag => return Ok(()),
            (Precondition::IfAbsent, Some(_)) => Error::new(
                ErrorKind::AlreadyExists,
                operation,
                "the object exists already",
            ),
            (Precondition::IfMatch(_), now) => {
                let found = now.map(|stored| stored.tag.clone());
                Error::new(
                    ErrorKind::PreconditionFailed { found },
                    operation,
                    "the object is no longer the version that was read",
                )
            }
        };
        Err(error.at(&self.url, Some(key.as_str())))
    }

    fn put(&self, key: &Key, stored: Stored, wanted: &Precondition) -> Result<Meta> {
        let mut objects = lock(&self.bucket);
        let full = self.full(key);
        self.check("write", key, wanted, objects.get(&full))?;
        let meta = stored.meta(key.clone());
        objects.insert(full, stored);
        Ok(meta)
    }

    fn page(&self, options: &ListOptions, after: Option<&str>) -> Vec<Entry> {
        let place = self.place();
        let below = place.full_key(&options.below);
        let start = if below.is_empty() {
            String::new()
        } else {
            format!("{below}/")
        };
        let strip = if self.prefix.is_empty() {
            0
        } else {
            self.prefix.len() + 1
        };
        // A one-level listing goes on behind a whole folder: '0' is the byte after '/'.
        let from = match after {
            Some(name) if name.ends_with('/') => {
                Bound::Included(place.full_key(&format!("{}0", &name[..name.len() - 1])))
            }
            Some(name) => Bound::Excluded(place.full_key(name)),
            None => Bound::Included(start.clone()),
        };
        let from = match from {
            Bound::Included(key) | Bound::Excluded(key) if key < start => {
                Bound::Included(start.clone())
            }
            from => from,
        };
        let objects = lock(&self.bucket);
        let mut entries: Vec<Entry> = Vec::new();
        for (full, stored) in objects.range((from, Bound::Unbounded)) {
            if !full.starts_with(&start) || entries.len() == PAGE {
                break;
            }
            let name = &full[strip..];
            let deeper = full[start.len()..].split_once('/');
            match deeper {
                Some((folder, _)) if options.one_level => {
                    let folder = format!("{}{folder}/", &start[strip.min(start.len())..]);
                    if entries.last().map(Entry::name) != Some(&folder) {
                        entries.push(Entry::Prefix(folder));
                    }
                }
                _ => match Key::parse(name) {
                    Ok(key) => entries.push(Entry::Object(stored.meta(key))),
                    Err(bad) => entries.push(Entry::Foreign {
                        name: name.to_owned(),
                        size: Some(stored.bytes.len() as u64),
                        reason: bad.reason.to_owned(),
                    }),
                },
            }
        }
        entries
    }
}

#[async_trait]
impl Store for MemStore {
    fn url(&self) -> &str {
        &self.url
    }

    fn place(&self) -> Place {
        Place {
            root: format!("memfs://{}", self.name),
            prefix: self.prefix.clone(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: true,
            if_match: true,
            proven_conditions: true,
            delete_if_match: true,
            copy_conditions: true,
            max_conditional: None,
            verified_writes: false,
            checksum: Some(Algorithm::Md5),
            server_copy: true,
            hierarchical: false,
            metadata: true,
            ephemeral: true,
            max_key: None,
            max_size: None,
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        if folder.is_empty() {
            return Arc::new(self.clone());
        }
        Arc::new(Self {
            url: format!("{}/{folder}", self.url),
            prefix: self.place().full_key(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        match lock(&self.bucket).get(&self.full(key)) {
            Some(stored) => Ok(stored.meta(key.clone())),
            None => Err(Error::not_found("stat", &self.url, key)),
        }
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let stored = lock(&self.bucket).get(&self.full(key)).cloned();
        let stored = stored.ok_or_else(|| Error::not_found("read", &self.url, key))?;
        if let Some(tag) = options.if_match {
            self.check("read", key, &Precondition::IfMatch(tag), Some(&stored))?;
        }
        let bytes = match options.range {
            Some(range) => {
                let end = usize::try_from(range.end)
                    .unwrap_or(usize::MAX)
                    .min(stored.bytes.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                stored.bytes.slice(start..end)
            }
            None => stored.bytes.clone(),
        };
        Ok(Object {
            meta: stored.meta(key.clone()),
            body: bytes.into(),
        })
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        let expected = body.size();
        let here = |error: Error| error.at(&self.url, Some(key.as_str()));
        let bytes = body.collect(u64::MAX).await?;
        if expected.is_some_and(|size| size != bytes.len() as u64) {
            return Err(here(Error::new(
                ErrorKind::Corrupt,
                "write",
                "the body has another length than announced",
            )));
        }
        if let Some(wanted) = &options.checksum
            && Checksum::of(wanted.algorithm, &bytes) != *wanted
        {
            return Err(here(Error::new(
                ErrorKind::Corrupt,
                "write",
                "the bytes don't have the expected checksum",
            )));
        }
        let stored = Stored {
            modified: SystemTime::now(),
            tag: next_tag(),
            checksum: Checksum::of(Algorithm::Md5, &bytes),
            bytes,
            content_type: options.content_type,
            user: options.user,
        };
        self.put(key, stored, &options.precondition)
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        let mut objects = lock(&self.bucket);
        let full = self.full(key);
        self.check("delete", key, &precondition, objects.get(&full))?;
        objects.remove(&full);
        Ok(())
    }

    fn list(&self, options: ListOptions) -> Listing {
        let store = self.clone();
        let first = options.start_after.clone();
        stream::unfold(Some((store, options, first)), |state| async move {
            let (store, options, after) = state?;
            let page = store.page(&options, after.as_deref());
            let next = (page.len() == PAGE)
                .then(|| page.last().map(|entry| entry.name().to_owned()))
                .flatten()
                .map(|last| (store, options, Some(last)));
            Some((stream::iter(page.into_iter().map(Ok)), next))
        })
        .flatten()
        .boxed()
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let Some(origin) = source.backend().downcast_ref::<Self>() else {
            return Ok(None);
        };
        let stored = lock(&origin.bucket).get(&origin.full(&from.key)).cloned();
        let stored = stored.ok_or_else(|| Error::not_found("copy", &origin.url, &from.key))?;
        if let Some(tag) = &from.tag {
            origin.check(
                "copy",
                &from.key,
                &Precondition::IfMatch(tag.clone()),
                Some(&stored),
            )?;
        }
        let copy = Stored {
            modified: SystemTime::now(),
            tag: next_tag(),
            ..stored
        };
        self.put(key, copy, &options.precondition).map(Some)
    }

    fn backend(&self) -> &dyn Any {
        self
    }
}
