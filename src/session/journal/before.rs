//! What is there before a change, kept so that it can be put back.

use std::path::Path;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;

use super::{Journal, Kept, OBJECTS, Old, cannot};
use crate::store::{
    Algorithm, Body, Error, ErrorKind, Hasher, Key, Meta, Precondition, ReadOptions, Result, Store,
    Tag,
};
use crate::text::human_size;

/// What is kept in the log itself: 64 KiB at most.
const INLINE: u64 = 64 << 10;

impl Journal {
    /// Finds out and keeps what a change will replace. `wanted` is the change's own precondition,
    /// `believed` what its maker saw a moment ago. Where neither says what was seen, it looks: an
    /// undo must never take what was there for this run's own.
    ///
    /// # Errors
    /// A conflict when the precondition doesn't hold; [`ErrorKind::Unsupported`] when the object
    /// can't be kept and undo is required.
    pub(in crate::session) async fn look(
        &self,
        verb: &'static str,
        store: &dyn Store,
        key: &Key,
        (wanted, believed): (&Precondition, &Precondition),
    ) -> Result<Old> {
        let found = match (wanted, believed) {
            (_, Precondition::IfAbsent) => None,
            (Precondition::IfAbsent, _) => match store.find(key).await? {
                None => None,
                Some(_) => return Err(exists(verb, store, key)),
            },
            (Precondition::IfMatch(tag), _) => match find(store, key, Some(tag)).await? {
                Found::Object(object) => Some(object),
                Found::Nothing => return Err(conflict(verb, store, key, None)),
                Found::Other(found) => return Err(conflict(verb, store, key, found)),
            },
            (Precondition::None, _) => find(store, key, None).await?.object(),
        };
        let Some((meta, body)) = found else {
            return Ok(Old::Absent);
        };
        let kept = self.keep(&meta, body).await?;
        if kept == Kept::Nothing {
            self.cannot_restore(store, &meta)?;
        }
        Ok(Old::Object {
            tag: meta.tag.map(|tag| tag.0),
            size: meta.size,
            content_type: meta.content_type,
            user: meta.user,
            kept,
        })
    }

    async fn keep(&self, meta: &Meta, body: Body) -> Result<Kept> {
        if let Some(version) = &meta.version {
            return Ok(Kept::Version(version.clone()));
        }
        if meta.size > self.settings.max_object {
            return Ok(Kept::Nothing);
        }
        if meta.size <= INLINE {
            let bytes = body.collect(INLINE).await?;
            return Ok(Kept::Bytes(BASE64_STANDARD.encode(bytes)));
        }
        let started = self.started().await?;
        let number = started.files.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number:x}");
        let folder = started.folder.join(OBJECTS);
        let path = folder.join(&name);
        let sha256 = write_file(&path, body).await?;
        // The file's name must be on the disk before the log names it.
        let named = async { tokio::fs::File::open(&folder).await?.sync_all().await };
        named.await.map_err(|error| cannot(&folder, error))?;
        Ok(Kept::File { name, sha256 })
    }

    fn cannot_restore(&self, store: &dyn Store, meta: &Meta) -> Result<()> {
        let size = human_size(meta.size);
        let most = human_size(self.settings.max_object);
        let message =
            format!("undo could not restore it: it has {size}, and {most} are kept at most");
        if self.settings.require_undo {
            return Err(Error::new(ErrorKind::Unsupported, "replace", message)
                .at(store.url(), Some(meta.key.as_str()))
                .hint("nothing was changed there; leave --require-undo away, or switch the bucket's versions on"));
        }
        tracing::warn!("{}/{}: {message}", store.url(), meta.key);
        Ok(())
    }
}

enum Found {
    Object((Meta, Body)),
    Nothing,
    Other(Option<Tag>),
}

impl Found {
    fn object(self) -> Option<(Meta, Body)> {
        match self {
            Self::Object(object) => Some(object),
            Self::Nothing | Self::Other(_) => None,
        }
    }
}

async fn find(store: &dyn Store, key: &Key, tag: Option<&Tag>) -> Result<Found> {
    let options = ReadOptions {
        if_match: tag.cloned(),
        ..ReadOptions::default()
    };
    match store.read(key, options).await {
        Ok(object) => Ok(Found::Object((object.meta, object.body))),
        Err(error) => match error.kind() {
            // A folder or bucket that isn't there has nothing in it.
            ErrorKind::NotFound => Ok(Found::Nothing),
            ErrorKind::PreconditionFailed { found } => Ok(Found::Other(found.clone())),
            ErrorKind::PermissionDenied { .. } => Err(error.hint(
                "what is replaced is kept for undo, which takes the right to read it; \
                 --no-journal goes on without",
            )),
            _ => Err(error),
        },
    }
}

fn exists(verb: &'static str, store: &dyn Store, key: &Key) -> Error {
    Error::new(ErrorKind::AlreadyExists, verb, "the object exists already")
        .at(store.url(), Some(key.as_str()))
}

fn conflict(verb: &'static str, store: &dyn Store, key: &Key, found: Option<Tag>) -> Error {
    let kind = ErrorKind::PreconditionFailed { found };
    Error::new(
        kind,
        verb,
        "the object is no longer the version that was read",
    )
    .at(store.url(), Some(key.as_str()))
}

/// Writes a body into a new file that only its owner can read; gives its SHA-256 in hex when it
/// is on the disk.
async fn write_file(path: &Path, body: Body) -> Result<String> {
    let failed = |error: std::io::Error| cannot(path, error);
    let mut options = tokio::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.await.map_err(failed)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut chunks = body.into_stream();
    while let Some(chunk) = chunks.try_next().await? {
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    Ok(hasher.finish().hex())
}
