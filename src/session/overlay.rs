//! A store seen through the changes of a dry run: reads and listings show them, the store
//! beneath gets no write request at all.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

use super::gate::Gate;
use super::layer::{Before, Change, Content, Deed, Layer, Recorded};
use super::merged::{merge, next_level, own_entries, tolerate_missing};
use super::opened::Reached;
use super::watched::Watched;
use crate::store::{
    Algorithm, Body, Capabilities, Checksum, Error, ErrorKind, Key, ListOptions, Listing, Meta,
    Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions,
};

/// The most that a written object may have, as a dry run holds it in memory: 256 MiB. Copies
/// are references and may have any size.
const MAX_WRITE: u64 = 256 << 20;

/// The most that a plan keeps of what a step replaces, to show the difference: 256 KiB.
const MAX_SHOWN: u64 = 256 << 10;

/// A store under a [`Layer`] of changes.
#[derive(Clone)]
pub(super) struct Overlay {
    base: Arc<dyn Store>,
    layer: Arc<Layer>,
    gate: Arc<Gate>,
    /// The folder as it was opened, of which this store may be a part.
    top: Arc<str>,
}

impl Overlay {
    pub(super) fn new(
        base: Arc<dyn Store>,
        url: &StoreUrl,
        layer: Arc<Layer>,
        gate: Arc<Gate>,
    ) -> Self {
        let peeking = Self::peeking(base, layer, gate);
        Self {
            base: Watched::over(peeking.base, url, &peeking.layer),
            ..peeking
        }
    }

    /// A store that remembers nothing of what is seen through it.
    pub(super) fn peeking(base: Arc<dyn Store>, layer: Arc<Layer>, gate: Arc<Gate>) -> Self {
        Self {
            top: base.place().prefix.into(),
            base,
            layer,
            gate,
        }
    }

    /// A folder that isn't there yet has come with the first write of the run.
    fn is_made_by_run(&self, error: &Error) -> bool {
        *error.kind() == ErrorKind::NotFound
            && error.key().is_none()
            && self.base.capabilities().hierarchical
            && self.layer.has_changes(&self.base.place().root, &self.top)
    }

    fn missing(&self, verb: &'static str, key: &Key) -> impl FnOnce(Error) -> Error {
        move |error| {
            if self.is_made_by_run(&error) {
                return Error::not_found(verb, self.url(), key);
            }
            error
        }
    }

    fn change(&self, key: &Key) -> Option<Change> {
        let place = self.base.place();
        self.layer.get(&place.root, &place.full_key(key.as_str()))
    }

    /// Changes an object when the precondition holds. `make` gets the tag for a written object.
    async fn apply(
        &self,
        verb: &'static str,
        key: &Key,
        wanted: &Precondition,
        keep_before: bool,
        make: impl FnOnce(Tag) -> (Change, Deed) + Send,
    ) -> Result<()> {
        self.gate.admit(verb, &*self.base, key)?;
        self.claims(verb, key, wanted).await?;
        let place = self.base.place();
        let full = place.full_key(key.as_str());
        let after = self.layer.completed();
        let own = self.change(key);
        let beneath = match own {
            Some(_) => None,
            None => self.base.find(key).await?,
        };
        let text = match own {
            _ if !keep_before || self.layer.sightings.is_none() => None,
            Some(Change::Written {
                content: Content::Bytes(bytes),
                ..
            }) => Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_SHOWN),
            _ => self.shown_before(key, beneath.as_ref()).await?,
        };
        let mut state = self.layer.lock();
        let (now, step, is_own) = match state.get(&place.root, &full) {
            Some(Change::Deleted) => (None, None, true),
            Some(Change::Written { meta, step, .. }) => (Some((**meta).clone()), *step, true),
            None => (beneath, None, false),
        };
        check(wanted, now.as_ref())
            .map_err(|kind| Error::new(kind, verb, CONFLICT).at(self.url(), Some(key.as_str())))?;
        let tag = state.next_tag();
        let (change, deed) = make(tag);
        if matches!(change, Change::Deleted) && now.is_none() {
            return Ok(());
        }
        let before = Before {
            size: now.as_ref().map(|meta| meta.size),
            tag: now.filter(|_| !is_own).and_then(|meta| meta.tag),
            step,
            text,
        };
        let recorded = Recorded {
            after,
            object: Reached::of(self, key.as_str()),
            before,
            deed,
        };
        state.apply(key.as_str(), change, recorded);
        Ok(())
    }

    /// The bytes that a plan shows beside the new ones.
    async fn shown_before(&self, key: &Key, beneath: Option<&Meta>) -> Result<Option<Bytes>> {
        let Some(meta) = beneath.filter(|meta| meta.size <= MAX_SHOWN) else {
            return Ok(None);
        };
        let pinned = ReadOptions {
            if_match: meta.tag.clone(),
            ..ReadOptions::default()
        };
        let read = self.base.read(key, pinned).await?;
        read.body.collect(MAX_SHOWN).await.map(Some)
    }

    /// A precondition that the store beneath can't check fails here too.
    async fn claims(&self, verb: &'static str, key: &Key, wanted: &Precondition) -> Result<()> {
        if *wanted == Precondition::None {
            return Ok(());
        }
        self.base.learn().await?;
        let able = self.base.capabilities();
        let claimed = match wanted {
            Precondition::IfMatch(_) if verb == "delete" => able.delete_if_match,
            wanted => able.can_check(wanted),
        };
        if claimed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            verb,
            "the store can't check this precondition",
        )
        .at(self.url(), Some(key.as_str())))
    }

    /// Records an object with its bytes, and gives its metadata with the new tag.
    async fn put(
        &self,
        meta: Meta,
        content: Content,
        wanted: &Precondition,
        deed: impl FnOnce(Box<Meta>) -> Deed + Send,
    ) -> Result<Meta> {
        let key = meta.key.clone();
        let mut written = meta.clone();
        let keep_before = matches!(content, Content::Bytes(_));
        self.apply("write", &key, wanted, keep_before, |tag| {
            written.tag = Some(tag.clone());
            let meta = Box::new(Meta {
                tag: Some(tag),
                ..meta
            });
            let deed = deed(meta.clone());
            let change = Change::Written {
                meta,
                content,
                step: None,
            };
            (change, deed)
        })
        .await?;
        Ok(written)
    }

    fn merged(&self, options: ListOptions) -> Listing {
        let place = self.base.place();
        let changes = self
            .layer
            .below(&place.root, &place.full_key(&options.below));
        if changes.is_empty() {
            let store = self.clone();
            let listing = self.base.list(options).filter(move |entry| {
                let made = matches!(entry, Err(error) if store.is_made_by_run(error));
                std::future::ready(!made)
            });
            return listing.boxed();
        }
        let own = own_entries(&place, changes, options.start_after.as_deref());
        let base = tolerate_missing(self.base.list(options.clone()));
        if !options.one_level {
            return merge(base.peekable(), own);
        }
        let store = self.clone();
        let after = options.start_after.clone();
        let is_empty = move |folder: &str| {
            // A listing may begin in the middle of a folder.
            let inside = after.clone().filter(|after| after.starts_with(folder));
            let mut listing = store.merged(ListOptions {
                start_after: inside,
                ..ListOptions::recursive(folder.trim_end_matches('/'))
            });
            async move { Ok(listing.next().await.transpose()?.is_none()) }
        };
        next_level(base, own, &options, is_empty)
    }
}

const CONFLICT: &str = "the object is not what the precondition says";

fn check(wanted: &Precondition, now: Option<&Meta>) -> Result<(), ErrorKind> {
    match (wanted, now) {
        (Precondition::None, _) | (Precondition::IfAbsent, None) => Ok(()),
        (Precondition::IfMatch(tag), Some(meta)) if meta.tag.as_ref() == Some(tag) => Ok(()),
        (Precondition::IfAbsent, Some(_)) => Err(ErrorKind::AlreadyExists),
        (Precondition::IfMatch(_), now) => Err(ErrorKind::PreconditionFailed {
            found: now.and_then(|meta| meta.tag.clone()),
        }),
    }
}

#[async_trait]
impl Store for Overlay {
    fn url(&self) -> &str {
        self.base.url()
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn capabilities(&self) -> Capabilities {
        let base = self.base.capabilities();
        Capabilities {
            server_copy: true,
            copy_conditions: base.if_absent && base.if_match,
            ..base
        }
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
        match self.change(key) {
            None => self.base.stat(key).await.map_err(self.missing("stat", key)),
            Some(Change::Deleted) => Err(Error::not_found("stat", self.url(), key)),
            Some(Change::Written { meta, .. }) => Ok(Meta {
                key: key.clone(),
                ..*meta
            }),
        }
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let (meta, content) = match self.change(key) {
            None => {
                let read = self.base.read(key, options).await;
                return read.map_err(self.missing("read", key));
            }
            Some(Change::Deleted) => return Err(Error::not_found("read", self.url(), key)),
            Some(Change::Written { meta, content, .. }) => (
                Meta {
                    key: key.clone(),
                    ..*meta
                },
                content,
            ),
        };
        if let Some(tag) = options.if_match {
            check(&Precondition::IfMatch(tag), Some(&meta)).map_err(|kind| {
                Error::new(kind, "read", CONFLICT).at(self.url(), Some(key.as_str()))
            })?;
        }
        let body = match content {
            Content::Bytes(bytes) => match options.range {
                Some(range) => {
                    let end = usize::try_from(range.end)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                    Body::Bytes(bytes.slice(start..end))
                }
                None => Body::Bytes(bytes),
            },
            Content::Reference { store, from } => {
                let pinned = ReadOptions {
                    range: options.range,
                    if_match: from.tag,
                };
                store.read(&from.key, pinned).await?.body
            }
        };
        Ok(Object { meta, body })
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        let corrupt = |message: &str| {
            Error::new(ErrorKind::Corrupt, "write", message).at(self.url(), Some(key.as_str()))
        };
        let expected = body.size();
        let bytes = body.collect(MAX_WRITE).await?;
        if expected.is_some_and(|size| size != bytes.len() as u64) {
            return Err(corrupt("the body has another length than announced"));
        }
        if let Some(wanted) = &options.checksum
            && Checksum::of(wanted.algorithm, &bytes) != *wanted
        {
            return Err(corrupt("the bytes don't have the expected checksum"));
        }
        let able = self.base.capabilities();
        let mut meta = Meta::new(key.clone(), bytes.len() as u64);
        meta.modified = Some(std::time::SystemTime::now());
        meta.checksum =
            (able.checksum == Some(Algorithm::Md5)).then(|| Checksum::of(Algorithm::Md5, &bytes));
        if able.metadata {
            meta.content_type = options.content_type;
            meta.user = options.user;
        }
        let content = Content::Bytes(bytes.clone());
        self.put(meta, content, &options.precondition, |meta| Deed::Write {
            meta,
            bytes,
        })
        .await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.apply("delete", key, &precondition, false, |_| {
            (Change::Deleted, Deed::Delete)
        })
        .await
    }

    fn list(&self, options: ListOptions) -> Listing {
        self.merged(options)
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let now = source.stat(&from.key).await?;
        if from.tag.is_some() && now.tag != from.tag {
            let kind = ErrorKind::PreconditionFailed { found: now.tag };
            return Err(Error::new(
                kind,
                "copy",
                "the source is no longer the version that was listed",
            )
            .at(source.url(), Some(from.key.as_str())));
        }
        let Some(origin) = source.backend().downcast_ref::<Self>() else {
            return Ok(None);
        };
        let changed = origin.change(&from.key);
        let (content, step) = if let Some(Change::Written { content, step, .. }) = changed {
            (content, step)
        } else {
            // What the run does to the source later must not show in the copy.
            let content = Content::Reference {
                store: Arc::clone(&origin.base),
                from: Box::new(now.clone()),
            };
            (content, None)
        };
        let deed = Deed::Copy {
            from: Reached::of(origin, from.key.as_str()),
            version: now.tag.clone(),
            step,
            size: now.size,
        };
        let meta = Meta {
            key: key.clone(),
            modified: Some(std::time::SystemTime::now()),
            ..now
        };
        self.put(meta, content, &options.precondition, |_| deed)
            .await
            .map(Some)
    }

    fn is_copy_of(&self, own: &Meta, other: &dyn Store, theirs: &Meta) -> bool {
        let Some(Change::Written {
            meta,
            content: Content::Reference { store, from },
            ..
        }) = self.change(&own.key)
        else {
            return false;
        };
        meta.tag == own.tag
            && from.tag.is_some()
            && from.tag == theirs.tag
            && Place::of(&*store, from.key.as_str()) == Place::of(other, theirs.key.as_str())
    }

    fn backend(&self) -> &dyn Any {
        self
    }

    fn opened_at(&self) -> Option<&Arc<StoreUrl>> {
        self.base.opened_at()
    }

    fn capacity(&self) -> Option<u64> {
        self.base.capacity()
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        self.base.refuses(key)
    }
}
