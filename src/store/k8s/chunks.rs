//! The chunks of large objects: written, and cleared away when nothing names them any more.
//!
//! A chunk belongs to one write. It goes when that write fails, when the object that the write
//! made is replaced or deleted, and, after a write that ended without a word, when it is old and
//! no object is of that write. The last look is at all of a namespace, once in a process that
//! writes large objects. No write that still goes on can lose one: it gives up long before.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::K8sStore;
use super::call::{About, Resource};
use super::layout::{
    CHUNK, CHUNK_TYPE, Chunk, Role, Version, chunk_labels, chunk_name, marks, write_of_chunks,
};
use crate::store::{ErrorKind, Key, Result};

/// How many chunks are read or deleted at once.
pub(super) const AT_ONCE: usize = 4;

/// The chunks of a write that goes on.
pub(super) struct Written<'a> {
    store: &'a K8sStore,
    key: &'a Key,
    write: &'a str,
}

impl<'a> Written<'a> {
    pub(super) fn new(store: &'a K8sStore, key: &'a Key, write: &'a str) -> Self {
        Self { store, key, write }
    }

    pub(super) async fn send(&self, bytes: Bytes) -> Result<Chunk> {
        let chunk = Chunk {
            name: chunk_name(self.write, &bytes),
            size: bytes.len() as u64,
        };
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(chunk.name.clone()),
                labels: Some(chunk_labels(self.write)),
                annotations: Some(marks(
                    &self.store.folder.full(self.key.as_str()),
                    self.write,
                )),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                CHUNK.to_owned(),
                ByteString(bytes.into()),
            )])),
            immutable: Some(true),
            type_: Some(CHUNK_TYPE.to_owned()),
            ..Secret::default()
        };
        let about = About {
            operation: "write",
            key: Some(self.key.as_str()),
        };
        match self.store.create(about, Resource::Secrets, &secret).await {
            Ok(created) if created.data == secret.data => Ok(chunk),
            Ok(_) => {
                let message = "the API server stored other bytes than were sent";
                Err(self
                    .store
                    .folder
                    .error(ErrorKind::Corrupt, "write", self.key, message))
            }
            // The same bytes come twice, or an answer was lost.
            Err(refused) if refused.is(&ErrorKind::AlreadyExists) => Ok(chunk),
            Err(refused) => Err(refused.error),
        }
    }

    /// Clears away what was sent. What can't be is left to a later sweep.
    pub(super) async fn take_back(&self) {
        self.store.drop_chunks(self.key, self.write).await;
    }
}

impl K8sStore {
    /// Clears away the chunks of a write that no object is of any more.
    pub(super) async fn drop_chunks(&self, key: &Key, write: &str) {
        let about = About {
            operation: "clear away chunks",
            key: Some(key.as_str()),
        };
        let selector = Role::Chunk.of_write(write);
        match self.all(about, &selector, Some).await {
            Ok(found) => self.remove_all(about, found.items).await,
            Err(error) => tracing::debug!(%error, "left for a later sweep"),
        }
    }

    /// Clears away what writes left that ended without a word, at the first call in this process.
    pub(super) async fn sweep(&self) {
        if !self.shared.account.begins_sweep(&self.shared.namespace) {
            return;
        }
        if let Err(error) = self.try_sweep().await {
            tracing::debug!(%error, "left for a later sweep");
        }
    }

    async fn try_sweep(&self) -> Result<()> {
        let about = About {
            operation: "clear away chunks",
            key: None,
        };
        let chunks = self.all(about, &Role::Chunk.with_chunks(), Some).await?;
        let (Some(now), false) = (chunks.date, chunks.items.is_empty()) else {
            return Ok(());
        };
        // After the chunks: what was committed meanwhile is seen.
        let named = |object: ObjectMeta| write_of_chunks(&object).map(str::to_owned);
        let live = self.all(about, &Role::Object.with_chunks(), named).await?;
        let live: HashSet<String> = live.items.into_iter().collect();
        let oldest = now - self.tuning().collect_after;
        let is_left = |object: &ObjectMeta| {
            let made = object.creation_timestamp.as_ref();
            let is_old = made.is_some_and(|made| made.0.as_second() < oldest.unix_timestamp());
            is_old && write_of_chunks(object).is_some_and(|write| !live.contains(write))
        };
        let left: Vec<_> = chunks.items.into_iter().filter(is_left).collect();
        if !left.is_empty() {
            tracing::debug!("clearing away {} chunks of interrupted writes", left.len());
        }
        self.remove_all(about, left).await;
        Ok(())
    }

    async fn remove_all(&self, about: About<'_>, chunks: Vec<ObjectMeta>) {
        let removals = chunks.into_iter().map(|chunk| async move {
            let (Some(name), Some(version)) = (&chunk.name, Version::of(&chunk)) else {
                return;
            };
            match self.remove(about, name, &version).await {
                Ok(()) => {}
                Err(refused) if refused.is(&ErrorKind::NotFound) => {}
                Err(refused) => tracing::debug!(error = %refused.error, "left for a later sweep"),
            }
        });
        let mut removals = stream::iter(removals).buffer_unordered(AT_ONCE);
        while removals.next().await.is_some() {}
    }
}
