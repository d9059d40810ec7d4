//! A store that remembers what was seen in it, beneath the changes of a rehearsal: the inputs of
//! a plan.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;

use super::layer::Layer;
use super::opened::Reached;
use crate::store::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, RESERVED, ReadOptions, Result, Store, StoreUrl, WriteOptions,
};

/// Everything that a run saw.
#[derive(Default)]
pub(super) struct Sightings(Mutex<Seen>);

#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Objects as they were seen first.
    pub(super) objects: BTreeMap<Place, Sighting>,
    pub(super) listings: Vec<Listed>,
}

/// An object as it was seen.
#[derive(Clone)]
pub(super) struct Sighting {
    pub(super) through: Arc<StoreUrl>,
    /// `None` for what was missing.
    pub(super) version: Option<String>,
}

/// A listing, as far as it was read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// The store, to which all names here are relative.
    pub(super) store: Reached,
    /// The folder that was listed.
    pub(super) below: String,
    pub(super) one_level: bool,
    /// Only names after this one.
    pub(super) after: Option<String>,
    /// Up to this one; `None` to its end.
    pub(super) until: Option<String>,
    /// What was no object in it.
    pub(super) others: Vec<String>,
}

impl Listed {
    /// Whether both say the same.
    fn covers(&self, other: &Self) -> bool {
        let scope = |listed: &Self| (listed.below.clone(), listed.one_level, listed.after.clone());
        self.store.place == other.store.place
            && scope(self) == scope(other)
            && self.until == other.until
            && self.others == other.others
    }
}

/// What tells a version of an object from others: its tag, or where a listing gives none, its
/// size and time.
pub(super) fn version_of(meta: &Meta) -> String {
    match (&meta.tag, meta.modified) {
        (Some(tag), _) => tag.0.clone(),
        (None, modified) => {
            let since = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            format!(
                "{UNTAGGED}{}@{}",
                meta.size,
                since.unwrap_or_default().as_nanos()
            )
        }
    }
}

/// Whether a run decides by what stands under a name: locks come and go, also those of stores
/// below.
pub(super) fn is_input(name: &str) -> bool {
    !name.split('/').any(|segment| segment == RESERVED)
}

/// How a version begins that is no tag.
pub(super) const UNTAGGED: &str = "size:";

impl Sightings {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        *self.lock() = Seen::default();
    }

    pub(super) fn all(&self) -> Seen {
        self.lock().clone()
    }

    fn object(&self, store: &Reached, key: &str, version: Option<String>) {
        let Some(through) = store.through.clone().filter(|_| is_input(key)) else {
            return;
        };
        let place = Place {
            prefix: store.place.full_key(key),
            root: store.place.root.clone(),
        };
        let mut seen = self.lock();
        // What the run decided by is what it saw first; a plan that saw two versions is stale.
        let known = seen.objects.entry(place).or_insert_with(|| Sighting {
            through,
            version: version.clone(),
        });
        let knows_less = known.version.as_deref();
        if knows_less.is_some_and(|v| v.starts_with(UNTAGGED)) && version.is_some() {
            known.version = version;
        }
    }

    fn listing(&self, listed: Listed) {
        let mut seen = self.lock();
        if !seen.listings.iter().any(|known| known.covers(&listed)) {
            seen.listings.push(listed);
        }
    }
}

/// A store whose reads are remembered in a [`Layer`].
#[derive(Clone)]
pub(super) struct Watched {
    base: Arc<dyn Store>,
    opened_at: Arc<StoreUrl>,
    layer: Arc<Layer>,
}

impl Watched {
    /// A store that was opened at a URL.
    pub(super) fn over(base: Arc<dyn Store>, url: &StoreUrl, layer: &Arc<Layer>) -> Arc<dyn Store> {
        Arc::new(Self {
            base,
            opened_at: Arc::new(url.clone()),
            layer: Arc::clone(layer),
        })
    }

    fn saw(&self, key: &Key, found: Result<&Meta, &Error>) {
        let version = match found {
            Ok(meta) => Some(version_of(meta)),
            Err(error) if *error.kind() == ErrorKind::NotFound => None,
            Err(_) => return,
        };
        if let Some(sightings) = &self.layer.sightings {
            sightings.object(&Reached::of(self, ""), key.as_str(), version);
        }
    }
}

/// Remembers how far a listing was read, also when the reader stops early.
struct Reader {
    layer: Arc<Layer>,
    listed: Listed,
    last: Option<String>,
    ended: bool,
}

impl Reader {
    fn saw(&mut self, entry: Option<&Result<Entry>>) {
        let Some(sightings) = &self.layer.sightings else {
            return;
        };
        match entry {
            None => self.ended = true,
            // A folder or bucket that isn't there has nothing in it.
            Some(Err(error)) => self.ended = *error.kind() == ErrorKind::NotFound,
            Some(Ok(entry)) => {
                self.last = Some(entry.name().to_owned());
                match entry {
                    Entry::Object(meta) => {
                        let version = Some(version_of(meta));
                        sightings.object(&self.listed.store, meta.key.as_str(), version);
                    }
                    Entry::Prefix(name) | Entry::Foreign { name, .. } => {
                        if is_input(name) {
                            self.listed.others.push(name.clone());
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            self.listed.until = self.last.take();
            if self.listed.until.is_none() {
                return;
            }
        }
        if let Some(sightings) = &self.layer.sightings {
            sightings.listing(self.listed.clone());
        }
    }
}

#[async_trait]
impl Store for Watched {
    fn url(&self) -> &str {
        self.base.url()
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn capabilities(&self) -> Capabilities {
        self.base.capabilities()
    }

    async fn learn(&self) -> Result<()> {
        self.base.learn().await
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            base: self.base.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        let found = self.base.stat(key).await;
        self.saw(key, found.as_ref());
        found
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let found = self.base.read(key, options).await;
        self.saw(key, found.as_ref().map(|object| &object.meta));
        found
    }

    async fn read_version(&self, key: &Key, version: &str) -> Result<Object> {
        self.base.read_version(key, version).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.base.write(key, body, options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.base.delete(key, precondition).await
    }

    fn list(&self, options: ListOptions) -> Listing {
        let mut reader = Reader {
            layer: Arc::clone(&self.layer),
            listed: Listed {
                store: Reached::of(self, ""),
                below: options.below.clone(),
                one_level: options.one_level,
                after: options.start_after.clone(),
                until: None,
                others: Vec::new(),
            },
            last: None,
            ended: false,
        };
        let end = futures::stream::once(async { None });
        let entries = self.base.list(options).map(Some).chain(end);
        entries
            .filter_map(move |entry| {
                reader.saw(entry.as_ref());
                std::future::ready(entry)
            })
            .boxed()
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.base.copy_from(source, from, key, options).await
    }

    fn backend(&self) -> &dyn Any {
        self.base.backend()
    }

    fn opened_at(&self) -> Option<&Arc<StoreUrl>> {
        Some(&self.opened_at)
    }

    fn capacity(&self) -> Option<u64> {
        self.base.capacity()
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        self.base.refuses(key)
    }
}
