//! Finding out whether a store can be written, and whether it keeps its word on preconditions.
//!
//! Some services answer 200 to a conditional write and overwrite all the same, so what a lock or
//! a compare-and-swap stands on is tried before it is trusted.

use super::{
    Body, Error, ErrorKind, Key, Precondition, RESERVED, ReadOptions, Result, Store, Tag,
    WriteOptions,
};

/// What a store was seen to honour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A second [`Precondition::IfAbsent`] write was refused.
    pub if_absent: bool,
    /// A [`Precondition::IfMatch`] write was accepted with the right tag and refused with a stale one.
    pub if_match: bool,
}

/// Writes, rewrites and deletes one small object of its own below [`RESERVED`], and tells what
/// the store honoured. Leaves nothing behind.
///
/// # Errors
/// The store's own, when it can't be written or its object can't be deleted.
pub async fn probe(store: &dyn Store) -> Result<Verdict> {
    let key = Key::parse(&format!("{RESERVED}/probe/{:016x}", fastrand::u64(..)))?;
    let verdict = try_conditions(store, &key).await;
    let cleaned = store.delete(&key, Precondition::None).await;
    let verdict = verdict?;
    cleaned?;
    Ok(verdict)
}

async fn try_conditions(store: &dyn Store, key: &Key) -> Result<Verdict> {
    let write =
        async |text: &'static str, options| store.write(key, Body::from(text), options).await;
    let first = match write("first", WriteOptions::if_absent()).await {
        Ok(meta) => Some(meta),
        Err(error) if *error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error),
    };
    let if_absent = match first {
        Some(_) => refused(write("again", WriteOptions::if_absent()).await)?,
        None => false,
    };
    let old = write("old", WriteOptions::default()).await?.tag;
    let new = write("new", WriteOptions::default()).await?.tag;
    let found = store.read(key, ReadOptions::default()).await?;
    if found.body.collect(u64::MAX).await? != "new" {
        let message = "it answered that an object was written, but has another one";
        return Err(Error::new(ErrorKind::Corrupt, "write", message)
            .at(store.url(), Some(key.as_str()))
            .hint("don't trust this store with anything before that is explained"));
    }
    let if_match = match (old, new) {
        (Some(old), Some(new)) => accepts_only(store, key, old, new).await?,
        _ => false,
    };
    Ok(Verdict {
        if_absent,
        if_match,
    })
}

async fn accepts_only(store: &dyn Store, key: &Key, stale: Tag, current: Tag) -> Result<bool> {
    let swap = async |tag| {
        store
            .write(key, Body::from("swapped"), WriteOptions::if_match(tag))
            .await
    };
    if !refused(swap(stale).await)? {
        return Ok(false);
    }
    Ok(!refused(swap(current).await)?)
}

/// Whether a conditional write was refused for its condition; a store that can't check it at all
/// counts as one that didn't refuse.
fn refused<T>(result: Result<T, Error>) -> Result<bool> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if error.is_conflict() => Ok(true),
        Err(error) if *error.kind() == ErrorKind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::store::{ListOptions, StoreUrl, mem};

    #[tokio::test]
    async fn trusts_memory_and_leaves_nothing() {
        let url = StoreUrl::parse("memfs://probe").expect("a literal URL");
        let store = mem::Buckets::default().open(&url);
        let verdict = probe(&store).await.expect("a memory store can be written");
        assert_eq!(
            verdict,
            Verdict {
                if_absent: true,
                if_match: true
            }
        );
        assert_eq!(store.list(ListOptions::default()).count().await, 0);
    }
}
