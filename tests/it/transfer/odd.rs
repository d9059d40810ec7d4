//! A store around another one that counts calls and misbehaves as told.

use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use kstate::store::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, WriteOptions,
};

use super::Shared;

type Change = Arc<dyn Fn(&mut Meta) + Send + Sync>;
pub(super) type Hook = Arc<dyn Fn(&Key) -> Option<Error> + Send + Sync>;
type BodyHook = Arc<dyn Fn(&Key, Bytes) -> Body + Send + Sync>;

#[derive(Default)]
pub(super) struct Calls {
    pub(super) list: AtomicU64,
    pub(super) stat: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) write: AtomicU64,
    pub(super) copy: AtomicU64,
    pub(super) order: Mutex<Vec<String>>,
}

#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent fault"
)]
pub(super) struct Odd {
    inner: Shared,
    pub(super) calls: Arc<Calls>,
    /// Changes what the store says it can do.
    pub(super) able: Arc<dyn Fn(&mut Capabilities) + Send + Sync>,
    /// Changes the metadata in listings.
    pub(super) listed: Change,
    /// Changes all other metadata.
    pub(super) told: Change,
    /// An error in place of the listing's entries from the n-th on.
    pub(super) break_list: Option<usize>,
    /// Entries put into the listing.
    pub(super) foreign: Vec<Entry>,
    pub(super) before_read: Hook,
    pub(super) before_write: Hook,
    pub(super) before_copy: Hook,
    pub(super) read_body: BodyHook,
    /// Refuses all preconditions in spite of its capabilities.
    pub(super) no_conditions: bool,
    /// Refuses preconditions on writes of more bytes than these.
    pub(super) largest_conditional: u64,
    /// How many writes came without a precondition.
    pub(super) unconditional: Arc<AtomicU64>,
    /// Whether others can see what it wraps, and so copy on the server.
    pub(super) opaque: bool,
    pub(super) unholdable: HashSet<String>,
    pub(super) capacity: Option<u64>,
    /// Takes the announced number of bytes, whatever they add up to, and doesn't wait for the
    /// body's end.
    pub(super) greedy: bool,
    /// Fails all deletions of a batch with one error that names no key.
    pub(super) fail_batch: bool,
}

impl Odd {
    pub(super) fn new(inner: &Shared) -> Self {
        Self {
            inner: Arc::clone(inner),
            calls: Arc::default(),
            able: Arc::new(|_| {}),
            listed: Arc::new(|_| {}),
            told: Arc::new(|_| {}),
            break_list: None,
            foreign: Vec::new(),
            before_read: Arc::new(|_| None),
            before_write: Arc::new(|_| None),
            before_copy: Arc::new(|_| None),
            read_body: Arc::new(|_, bytes| Body::Bytes(bytes)),
            no_conditions: false,
            largest_conditional: u64::MAX,
            unconditional: Arc::default(),
            opaque: false,
            unholdable: HashSet::new(),
            capacity: None,
            greedy: false,
            fail_batch: false,
        }
    }

    /// A store that publishes no checksums and is no kin to others, as a file system.
    pub(super) fn like_files(inner: &Shared) -> Self {
        let bare: Change = Arc::new(|meta| meta.checksum = None);
        Self {
            able: Arc::new(|able| {
                able.checksum = None;
                able.server_copy = false;
                able.hierarchical = true;
                able.metadata = false;
            }),
            listed: Arc::clone(&bare),
            told: bare,
            opaque: true,
            ..Self::new(inner)
        }
    }

    pub(super) fn share(self) -> Shared {
        Arc::new(self)
    }

    fn tell(&self, mut meta: Meta) -> Meta {
        (self.told)(&mut meta);
        meta
    }

    fn condition(&self, options: &WriteOptions) -> Result<()> {
        if self.no_conditions && options.precondition != Precondition::None {
            let text = "a header you provided implies functionality that is not implemented";
            return Err(Error::new(ErrorKind::Unsupported, "write", text));
        }
        Ok(())
    }
}

pub(super) fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "try", "as told").at("odd://", Some("k"))
}

pub(super) fn calls(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

async fn take_announced(body: Body) -> Result<Body> {
    let size = body.size().unwrap();
    let mut bytes = Vec::new();
    let mut chunks = body.into_stream();
    while (bytes.len() as u64) < size {
        let Some(chunk) = chunks.next().await.transpose()? else {
            break;
        };
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

#[async_trait]
impl Store for Odd {
    fn url(&self) -> &str {
        self.inner.url()
    }

    fn place(&self) -> Place {
        self.inner.place()
    }

    fn capabilities(&self) -> Capabilities {
        let mut able = self.inner.capabilities();
        (self.able)(&mut able);
        able
    }

    fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    fn at(&self, folder: &str) -> Shared {
        Arc::new(Self {
            inner: self.inner.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.calls.stat.fetch_add(1, Ordering::Relaxed);
        Ok(self.tell(self.inner.stat(key).await?))
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.calls.read.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = (self.before_read)(key) {
            return Err(error);
        }
        let object = self.inner.read(key, options).await?;
        let bytes = object.body.collect(u64::MAX).await?;
        Ok(Object {
            meta: self.tell(object.meta),
            body: (self.read_body)(key, bytes),
        })
    }

    async fn write(&self, key: &Key, body: Body, mut options: WriteOptions) -> Result<Meta> {
        self.calls.write.fetch_add(1, Ordering::Relaxed);
        self.condition(&options)?;
        if options.precondition == Precondition::None {
            self.unconditional.fetch_add(1, Ordering::Relaxed);
        } else if body
            .size()
            .is_some_and(|size| size > self.largest_conditional)
        {
            return Err(error(ErrorKind::Unsupported));
        }
        if let Some(error) = (self.before_write)(key) {
            return Err(error);
        }
        let body = if self.greedy {
            options.checksum = None;
            take_announced(body).await?
        } else {
            body
        };
        let written = self.inner.write(key, body, options).await?;
        self.calls.order.lock().unwrap().push(key.to_string());
        Ok(self.tell(written))
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        if let Some(error) = (self.before_write)(key) {
            return Err(error.at(self.url(), Some(key.as_str())));
        }
        self.inner.delete(key, precondition).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        if self.fail_batch {
            return vec![Error::new(ErrorKind::Unavailable, "delete", "reset").at("odd://", None)];
        }
        let mut failures = Vec::new();
        for key in keys {
            failures.extend(self.delete(&key, Precondition::None).await.err());
        }
        failures
    }

    fn list(&self, options: ListOptions) -> Listing {
        self.calls.list.fetch_add(1, Ordering::Relaxed);
        let listed = Arc::clone(&self.listed);
        let foreign = self.foreign.clone();
        let entries = self.inner.list(options).map(move |entry| {
            entry.map(|entry| match entry {
                Entry::Object(mut meta) => {
                    listed(&mut meta);
                    Entry::Object(meta)
                }
                other => other,
            })
        });
        let mixed = async move {
            let mut all: Vec<_> = entries.collect().await;
            all.extend(foreign.into_iter().map(Ok));
            all.sort_by_key(|entry| entry.as_ref().map(|e| e.name().to_owned()).ok());
            all
        };
        let entries = stream::once(mixed).flat_map(stream::iter);
        match self.break_list {
            None => entries.boxed(),
            Some(after) => {
                let broken = Error::new(ErrorKind::Unavailable, "list", "connection reset");
                let end = stream::once(async { Err(broken) });
                entries.take(after).chain(end).boxed()
            }
        }
    }

    async fn copy_from(
        &self,
        source: &Shared,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.calls.copy.fetch_add(1, Ordering::Relaxed);
        if self.opaque {
            return Ok(None);
        }
        self.condition(options)?;
        if let Some(error) = (self.before_copy)(key) {
            return Err(error);
        }
        let copied = self.inner.copy_from(source, from, key, options).await?;
        self.calls.order.lock().unwrap().push(key.to_string());
        Ok(copied.map(|meta| self.tell(meta)))
    }

    fn backend(&self) -> &dyn Any {
        if self.opaque {
            return self;
        }
        self.inner.backend()
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        let refused = self.unholdable.contains(key.as_str());
        refused.then(|| "it can't hold this name".to_owned())
    }
}
