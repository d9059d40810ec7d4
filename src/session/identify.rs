//! Whether an interrupted change was made after all.

use std::sync::Arc;

use super::journal::{New, Old, Op};
use crate::store::{Algorithm, Checksum, Hasher, Key, Meta, ReadOptions, Result, Store};
use futures::TryStreamExt;

/// What an interrupted change turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It was made; the object has this tag now, or is gone.
    Made(Option<String>),
    /// It was not: what was there before still is.
    NotMade,
    /// Neither: somebody else wrote there.
    Unknown,
}

/// Looks at an object whose change was interrupted. `source` is what it was copied from, where
/// that can still be opened.
///
/// # Errors
/// Those of the stores.
pub(super) async fn identify(
    op: &Op,
    store: &dyn Store,
    key: &Key,
    source: Option<Arc<dyn Store>>,
) -> Result<Finding> {
    let now = store.find(key).await?;
    let before = match &op.begin.old {
        Old::Absent => None,
        Old::Object { tag, .. } => Some(tag.as_deref()),
    };
    let tag = now.as_ref().and_then(tag_of);
    match (&now, before) {
        (None, None) => return Ok(Finding::NotMade),
        (Some(_), Some(before)) if before.is_some() && tag.as_deref() == before => {
            return Ok(Finding::NotMade);
        }
        _ => {}
    }
    let made = match (&op.begin.new, now) {
        (New::Delete, None) => return Ok(Finding::Made(None)),
        (New::Delete, Some(_)) | (_, None) => false,
        (New::Write { sha256 }, Some(now)) => match sha256.as_ref().or(op.body.as_ref()) {
            // A stream of which not all was seen was not written.
            None => false,
            Some(sum) => sha256_of(store, &now).await?.hex() == *sum,
        },
        (
            New::Copy {
                key,
                size,
                tag,
                checksum,
                ..
            },
            Some(now),
        ) => {
            let source = source.as_deref().zip(Key::parse(key).ok());
            let copied = Copied {
                size: *size,
                tag: tag.as_deref(),
                checksum: checksum.as_deref(),
            };
            is_copy(store, &now, &copied, source).await?
        }
    };
    Ok(if made {
        Finding::Made(tag)
    } else {
        Finding::Unknown
    })
}

struct Copied<'a> {
    size: u64,
    tag: Option<&'a str>,
    checksum: Option<&'a str>,
}

async fn is_copy(
    store: &dyn Store,
    now: &Meta,
    copied: &Copied<'_>,
    source: Option<(&dyn Store, Key)>,
) -> Result<bool> {
    if now.size != copied.size {
        return Ok(false);
    }
    let published = now
        .checksum
        .as_ref()
        .map(|sum| format!("{}:{}", sum.algorithm.name(), sum.hex()));
    if let (Some(published), Some(expected)) = (&published, copied.checksum)
        && published == expected
    {
        return Ok(true);
    }
    let Some((source, key)) = source else {
        return Ok(false);
    };
    let Some(from) = source.find(&key).await? else {
        return Ok(false);
    };
    if tag_of(&from).as_deref() != copied.tag {
        return Ok(false);
    }
    Ok(sha256_of(store, now).await? == sha256_of(source, &from).await?)
}

fn tag_of(meta: &Meta) -> Option<String> {
    meta.tag.as_ref().map(|tag| tag.0.clone())
}

async fn sha256_of(store: &dyn Store, meta: &Meta) -> Result<Checksum> {
    let pinned = ReadOptions {
        if_match: meta.tag.clone(),
        ..ReadOptions::default()
    };
    let object = store.read(&meta.key, pinned).await?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut chunks = object.body.into_stream();
    while let Some(chunk) = chunks.try_next().await? {
        hasher.update(&chunk);
    }
    Ok(hasher.finish())
}
